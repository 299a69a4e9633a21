// Package qemu runs virtual machines with QEMU: a [Machine] is described as data, [Start] runs it, and the [VM] is its
// handle.
//
// QEMU and the UEFI firmware come from the host or from a tools tree ([Tools]). Disks are started as snapshots unless
// asked otherwise, so an image is never changed by booting it. KVM is used only when a short boot has proven that it
// works ([Tools.ProveKVM]); otherwise machines are emulated (TCG). When a VM has ended, no process and no file of it is
// left.
//
// Architectures: amd64 (machine type q35) and arm64 (virt). Other ones are refused by name. See QEMU's
// docs/system/invocation and docs/interop/qmp-spec.
package qemu

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"n3x/internal/arch"
	"n3x/internal/diag"
)

// Accel is how a machine's processor is run.
type Accel int

const (
	TCG Accel = iota // emulated: works everywhere
	KVM              // by the host's processor
)

// String is QEMU's name of the accelerator.
func (a Accel) String() string {
	if a == KVM {
		return "kvm"
	}
	return "tcg"
}

// tcgFactor is how much longer a guest takes when its processor is emulated: a boot to login needs 3 to 4 s with KVM
// and 19 to 36 s without.
const tcgFactor = 8

// Scale is a time limit that suits a guest under a, when d suits one under KVM.
func (a Accel) Scale(d time.Duration) time.Duration {
	if a == TCG {
		return d * tcgFactor
	}
	return d
}

// Machine describes a virtual machine. Arch and something to boot (a disk or a kernel) are needed.
type Machine struct {
	Name   string    // shown in messages and process lists; "" is "vm"
	Arch   arch.Arch // amd64 or arm64
	Accel  Accel
	CPUs   int // 0 is 2
	Memory int // MiB; 0 is 1024

	Firmware *Firmware // UEFI; nil boots Kernel without firmware
	Kernel   string    // direct boot: the kernel's file
	Initrd   string    // "" is none
	Append   string    // the kernel's command line

	Disks []Disk // in order: vda, vdb ...
	NICs  []NIC  // in order: eth0, eth1 ... with net.ifnames=0

	// Terminal gets the serial console, with Ctrl-A X to end the machine; nil leaves it to [VM.Console].
	Terminal *Terminal
	Log      io.Writer // receives what the machine writes to its console, without Terminal; nil discards

	// Channels are names of virtio-serial ports, which the guest sees in /dev/virtio-ports; [VM.Channel] is their other end.
	Channels []string

	Display  bool   // a screen, so that there is something for [VM.Screenshot]
	NoReboot bool   // a reboot of the guest ends the machine
	Paused   bool   // it does not run before [VM.Resume]
	Dir      string // where the machine's own files are while it runs, without names; "" is /var/tmp

	debugExit bool // a write to the port 0xf4 ends QEMU with a status of the guest's choice
}

// Terminal is the user's terminal, or files in its place.
type Terminal struct{ In, Out *os.File }

// Firmware is a UEFI firmware in two flash images.
type Firmware struct {
	Code string // read-only, e.g. "/usr/share/OVMF/OVMF_CODE_4M.fd"
	Vars string // template of the variable store; each machine gets its own copy
}

// Disk is a virtio disk with a raw image.
type Disk struct {
	Path     string
	Writable bool // changes go into the file itself, which then has no states to save ([VM.Save])
	// Overlay takes the changes when the disk is not writable. It is [NewOverlay]'s, and can be used by another machine later, but not at the
	// same time; the caller closes it. nil drops them when the machine ends.
	Overlay *os.File
	Serial  string // shown to the guest as /dev/disk/by-id/virtio-<serial>
}

// NIC is a virtio network card.
type NIC struct {
	MAC string // "" is 52:54:00:12:34:<56 + position>

	// User is a card behind a NAT in QEMU; nil when Socket is set.
	User *UserNet
	// Socket is one end of a datagram socket pair; the other end sees one Ethernet frame a datagram. The machine takes
	// it over: Start closes it in this process.
	Socket *os.File
}

// UserNet is a network of QEMU's own, with DHCP; the host is 10.0.2.2 in it.
type UserNet struct {
	Restrict bool      // no way out of it, not even to the host; forwards still work
	Forwards []Forward // ports of the host that lead into the guest
}

// Forward is a port of the host's loopback address that leads to a TCP port of the guest.
type Forward struct{ Host, Guest int }

// board is what differs between architectures.
type board struct {
	machine  string // type and its options
	tcgCPU   string
	keyboard string // the device, when the board has none
}

// CPU models for TCG. max on amd64 crashed kernels of Debian 13 under QEMU 7.2; without five-level paging and cmpxchg16b
// they boot. On arm64 the architected pointer authentication would cost a third of the speed.
var boards = map[arch.Arch]board{
	"amd64": {machine: "q35,hpet=off", tcgCPU: "max,-la57,-cx16"},
	"arm64": {machine: "virt,gic-version=max", tcgCPU: "max,pauth-impdef=on", keyboard: "virtio-keyboard-pci"},
}

// withDefaults fills in what is not set.
func (m Machine) withDefaults() Machine {
	if m.Name == "" {
		m.Name = "vm"
	}
	if m.CPUs == 0 {
		m.CPUs = 2
	}
	if m.Memory == 0 {
		m.Memory = 1024
	}
	return m
}

// validate refuses what QEMU would refuse, or worse, accept.
func (m *Machine) validate() error {
	if _, ok := boards[m.Arch]; !ok {
		return diag.Userf(diag.Pos{}, "start machine %s: architecture %q is not supported yet", m.Name, m.Arch).
			WithHint("amd64 and arm64 work")
	}
	if m.CPUs < 1 || m.CPUs > 255 || m.Memory < 32 {
		return diag.Userf(diag.Pos{}, "start machine %s: %d processors and %d MiB of memory are out of range", m.Name, m.CPUs, m.Memory)
	}
	if m.Kernel == "" && m.Firmware == nil {
		return diag.Userf(diag.Pos{}, "start machine %s: it has neither firmware nor a kernel to boot", m.Name)
	}
	if m.Kernel == "" && len(m.Disks) == 0 {
		return diag.Userf(diag.Pos{}, "start machine %s: it has neither a disk nor a kernel to boot", m.Name)
	}
	if m.Kernel == "" && (m.Initrd != "" || m.Append != "") {
		return diag.Userf(diag.Pos{}, "start machine %s: an initrd or a command line needs a kernel", m.Name)
	}
	files := []string{m.Kernel, m.Initrd}
	for _, d := range m.Disks {
		files = append(files, d.Path)
	}
	for _, f := range files {
		if st, err := os.Stat(f); f != "" && err != nil {
			return diag.Userf(diag.Pos{}, "start machine %s: %w", m.Name, err)
		} else if f != "" && st.IsDir() {
			return diag.Userf(diag.Pos{}, "start machine %s: %s is a folder", m.Name, f)
		}
	}
	return m.validateNICs()
}

func (m *Machine) validateNICs() error {
	for i, n := range m.NICs {
		if (n.User == nil) == (n.Socket == nil) {
			return fmt.Errorf("BUG: network card %d of machine %s needs either User or Socket", i, m.Name)
		}
		if n.User == nil {
			continue
		}
		for _, f := range n.User.Forwards {
			if f.Host < 1 || f.Host > 65535 || f.Guest < 1 || f.Guest > 65535 {
				return diag.Userf(diag.Pos{}, "start machine %s: forward from port %d to %d is out of range", m.Name, f.Host, f.Guest)
			}
		}
	}
	return nil
}

// absolute makes the machine's file names absolute, because QEMU runs in another folder.
func (m *Machine) absolute() error {
	paths := []*string{&m.Kernel, &m.Initrd, &m.Dir}
	m.Disks = append([]Disk(nil), m.Disks...)
	for i := range m.Disks {
		paths = append(paths, &m.Disks[i].Path)
	}
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}
