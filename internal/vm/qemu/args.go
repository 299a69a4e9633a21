package qemu

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// firstFD is the first descriptor that QEMU inherits: the serial console's, then QMP's, then those of network cards.
const firstFD = 3

// patience are words on the kernel's command line for a system in an emulated machine: disks and services may take longer than systemd waits for
// them, which is 90 s, and on a busy host the kernel would take a late timer for a broken one. The image stays as it is: systemd-boot is told
// by SMBIOS strings (systemd-boot(7), since 256), a kernel that boots directly by its command line.
func (m *Machine) patience() string {
	words := "systemd.default_device_timeout_sec=900 systemd.default_timeout_start_sec=900"
	switch {
	case m.Accel != TCG:
		return ""
	case m.Arch == "amd64":
		return words + " no_timer_check"
	}
	return words
}

// view is how QEMU sees the files of one running machine.
type view struct {
	code           string // of the firmware
	kernel, initrd string
	disks          []string
	overlayFD      map[int]int // by the disk's position, unless it is writable
	varsFD         int         // the firmware's variables
	pictureFD      int
	serialFD       int // 0 when the console is the terminal
	qmpFD          int
	nicFD          map[int]int // by the card's position
	channelFD      []int
}

// args is QEMU's command line, without the program.
func (m *Machine) args(v view) []string {
	b := boards[m.Arch]
	cpu := b.tcgCPU
	accel := "tcg,thread=multi"
	if m.Accel == KVM {
		cpu, accel = "host", "kvm"
	}
	a := []string{"-name", escape(m.Name), "-nodefaults", "-no-user-config", "-display", "none",
		"-machine", b.machine, "-accel", accel, "-cpu", cpu, "-smp", strconv.Itoa(m.CPUs), "-m", strconv.Itoa(m.Memory) + "M",
		"-device", "virtio-rng-pci"} // host keys are made at first boot
	if m.NoReboot {
		a = append(a, "-action", "reboot=shutdown")
	}
	if m.Paused {
		a = append(a, "-S")
	}
	if m.debugExit {
		a = append(a, "-device", "isa-debug-exit,iobase=0xf4,iosize=4")
	}
	if words := m.patience(); words != "" && m.Firmware != nil {
		a = append(a, "-smbios", "type=11,value=io.systemd.boot.kernel-cmdline-extra="+words)
	}
	a = append(a, m.bootArgs(v)...)
	a = append(a, m.consoleArgs(v)...)
	if m.Display {
		a = append(a, "-device", "virtio-gpu-pci", "-add-fd", addFD(v.pictureFD))
		if b.keyboard != "" {
			a = append(a, "-device", b.keyboard)
		}
	}
	if len(m.Channels) > 0 {
		a = append(a, "-device", "virtio-serial-pci")
	}
	for i, name := range m.Channels {
		a = append(a, "-chardev", fmt.Sprintf("socket,id=channel%d,fd=%d", i, v.channelFD[i]),
			"-device", fmt.Sprintf("virtserialport,chardev=channel%d,name=%s", i, escape(name)))
	}
	for i, d := range m.Disks {
		a = append(a, diskArgs(i, d, v)...)
	}
	for i, n := range m.NICs {
		a = append(a, nicArgs(i, n, v.nicFD[i])...)
	}
	return a
}

func (m *Machine) bootArgs(v view) []string {
	var a []string
	if m.Firmware != nil {
		a = append(a, "-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+escape(v.code),
			"-add-fd", addFD(v.varsFD), "-drive", "if=pflash,unit=1,format=raw,auto-read-only=off,file="+nameFD(v.varsFD))
	}
	if m.Kernel != "" {
		a = append(a, "-kernel", v.kernel)
		if m.Initrd != "" {
			a = append(a, "-initrd", v.initrd)
		}
		if m.Append != "" {
			a = append(a, "-append", strings.TrimSpace(m.Append+" "+m.patience()))
		}
	}
	return a
}

func (m *Machine) consoleArgs(v view) []string {
	var a []string
	if m.Terminal != nil {
		// mux: Ctrl-A X ends the machine. signal=off: Ctrl-C goes to the guest.
		a = append(a, "-chardev", "stdio,id=serial,mux=on,signal=off", "-mon", "chardev=serial,mode=readline")
	} else {
		a = append(a, "-chardev", fmt.Sprintf("socket,id=serial,fd=%d", v.serialFD))
	}
	return append(a, "-serial", "chardev:serial",
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", v.qmpFD), "-mon", "chardev=qmp,mode=control")
}

// node is a block device's part in QEMU's words (qapi/block-core.json).
type node struct {
	Driver   string    `json:"driver"`
	Name     string    `json:"node-name,omitempty"`
	Filename string    `json:"filename,omitempty"`
	ReadOnly bool      `json:"read-only,omitempty"`
	Discard  string    `json:"discard,omitempty"`
	Locking  string    `json:"locking,omitempty"`
	Cache    *flushing `json:"cache,omitempty"`
	File     *node     `json:"file,omitempty"`
	Backing  *node     `json:"backing,omitempty"`
}

type flushing struct {
	No bool `json:"no-flush"`
}

// diskNode is the name of a disk, by its position.
func diskNode(i int) string { return fmt.Sprintf("disk%d", i) }

func diskArgs(i int, d Disk, v view) []string {
	image := &node{Driver: "raw", Discard: "unmap", File: &node{Driver: "file", Filename: v.disks[i], Discard: "unmap"}}
	top := image
	var a []string
	if !d.Writable {
		image.ReadOnly, image.Discard = true, ""
		image.File.ReadOnly, image.File.Discard = true, ""
		// What is written goes to a file without a name, so nothing has to reach the medium.
		fast := &flushing{true}
		fd := v.overlayFD[i]
		a = append(a, "-add-fd", addFD(fd))
		top = &node{Driver: "qcow2", Discard: "unmap", Cache: fast, Backing: image,
			File: &node{Driver: "file", Filename: nameFD(fd), Discard: "unmap", Locking: "off", Cache: fast}}
	}
	top.Name = diskNode(i)
	text, err := json.Marshal(top)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	device := fmt.Sprintf("virtio-blk-pci,drive=%s,bootindex=%d", top.Name, i+1)
	if d.Serial != "" {
		device += ",serial=" + escape(d.Serial)
	}
	return append(a, "-blockdev", string(text), "-device", device)
}

// addFD makes a file that QEMU inherits one that it can open by [nameFD].
func addFD(fd int) string { return fmt.Sprintf("fd=%d,set=%d", fd, fd) }

func nameFD(fd int) string { return fmt.Sprintf("/dev/fdset/%d", fd) }

func nicArgs(i int, n NIC, fd int) []string {
	net := fmt.Sprintf("dgram,id=net%d,local.type=fd,local.str=%d", i, fd)
	if n.User != nil {
		net = fmt.Sprintf("user,id=net%d", i)
		if n.User.Restrict {
			net += ",restrict=on"
		}
		for _, f := range n.User.Forwards {
			net += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", f.Host, f.Guest)
		}
	}
	mac := n.MAC
	if mac == "" {
		mac = fmt.Sprintf("52:54:00:12:34:%02x", (0x56+i)&0xff)
	}
	// Without a ROM there is no network boot before the disk's. Without a filter of its own the card passes all VLANs to the guest, which
	// looks itself: QEMU before 8.0 forgets the filter when a state is put back, and then passes none.
	return []string{"-netdev", net, "-device", fmt.Sprintf("virtio-net-pci,id=nic%d,netdev=net%d,mac=%s,romfile=,ctrl_vlan=off", i, i, mac)}
}

// escape doubles commas, which end a value in QEMU's options.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }
