package flash

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"n3x/internal/diag"
)

// nvidia is the vendor of boards on USB (usb.ids).
const nvidia = "0955"

// modules are the product ids by which modules show in recovery mode, of those that the Orin Nano's flashing configuration is for.
var modules = map[string]string{
	"7523": "Orin Nano 8GB", "7623": "Orin Nano 4GB", "7323": "Orin NX 16GB", "7423": "Orin NX 8GB",
}

// others are product ids that tell what is wrong.
var others = map[string]string{
	"7020": "a board that runs Linux",
	"7023": "an AGX Orin in recovery mode", "7223": "an AGX Orin 32GB in recovery mode",
	"7019": "an AGX Xavier in recovery mode", "7e19": "a Xavier NX in recovery mode", "7f21": "a Nano in recovery mode",
}

// Device is a board of NVIDIA's on USB.
type Device struct {
	Port    string // e.g. "1-3": the bus, and the ports on the way
	Product string // product id, e.g. "7523"
	Module  string // e.g. "Orin Nano 8GB", in recovery mode; "" when it is none that can be flashed
}

// Boards reads NVIDIA's boards from the kernel's list of USB devices (sysfs-bus-usb). A machine without USB has none.
func Boards(dir string) ([]Device, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("look for USB devices: %w", err)
	}
	var found []Device
	for _, e := range entries {
		id := func(name string) string {
			data, err := os.ReadFile(filepath.Join(dir, e.Name(), name))
			if err != nil {
				return "" // interfaces have no ids, and a device may go away meanwhile
			}
			return strings.ToLower(strings.TrimSpace(string(data)))
		}
		if id("idVendor") == nvidia {
			product := id("idProduct")
			found = append(found, Device{Port: e.Name(), Product: product, Module: modules[product]})
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Port < found[j].Port })
	return found, nil
}

const recoveryHint = "connect the board's USB-C port, put the jumper on FC REC and GND, and switch it on; lsusb then shows 0955:7523 or the like"

// board finds the one to flash; the port is given on only when the user chose it.
func (o *Options) board() (port string, err error) {
	if o.AnyUSB {
		return o.Port, nil
	}
	all, err := Boards(o.USB)
	if err != nil {
		return "", err
	}
	var ready []Device
	var rest []string
	for _, d := range all {
		switch {
		case o.Port != "" && d.Port != o.Port:
		case d.Module != "":
			ready = append(ready, d)
		case others[d.Product] != "":
			rest = append(rest, fmt.Sprintf("%s at port %s (%s:%s)", others[d.Product], d.Port, nvidia, d.Product))
		default:
			rest = append(rest, fmt.Sprintf("%s:%s at port %s", nvidia, d.Product, d.Port))
		}
	}
	switch {
	case len(ready) == 1:
		o.say("found %s at USB port %s", ready[0].Module, ready[0].Port)
		return o.Port, nil
	case len(ready) > 1:
		var ports []string
		for _, d := range ready {
			ports = append(ports, d.Port)
		}
		return "", diag.Userf(diag.Pos{}, "there are %d boards in recovery mode, at the USB ports %s", len(ready), strings.Join(ports, ", ")).
			WithHint("choose one with --port %s", ports[0])
	}
	where := ""
	if o.Port != "" {
		where = " at USB port " + o.Port
	}
	e := diag.Userf(diag.Pos{}, "no Jetson Orin Nano is in recovery mode%s", where).WithHint(recoveryHint)
	if rest != nil {
		return "", e.WithNote("found instead: %s", strings.Join(rest, "; "))
	}
	return "", e
}
