// Package arch names processor architectures as the parts of a Debian build name them.
package arch

import (
	"maps"
	"runtime"
	"slices"
)

// Arch is a Debian architecture name, e.g. "amd64". "all" is not an Arch of a machine but is valid for a package.
type Arch string

type names struct{ gnu, kernel, efi, qemu string }

// One row an architecture that n3x can build for: Debian's multiarch tuple (dpkg-architecture(1)), the kernel's
// uname -m, the UEFI default loader suffix (UEFI 2.10, 3.5.1.1), QEMU's system emulator suffix.
var table = map[Arch]names{
	"amd64":   {"x86_64-linux-gnu", "x86_64", "x64", "x86_64"},
	"i386":    {"i386-linux-gnu", "i686", "ia32", "i386"},
	"arm64":   {"aarch64-linux-gnu", "aarch64", "aa64", "aarch64"},
	"armhf":   {"arm-linux-gnueabihf", "armv7l", "arm", "arm"},
	"riscv64": {"riscv64-linux-gnu", "riscv64", "riscv64", "riscv64"},
}

// Host is the architecture this program runs on.
func Host() Arch {
	switch runtime.GOARCH {
	case "386":
		return "i386"
	case "arm":
		return "armhf"
	}
	return Arch(runtime.GOARCH)
}

// Known reports whether n3x knows a.
func (a Arch) Known() bool { _, ok := table[a]; return ok }

// GNU is the multiarch tuple, e.g. "x86_64-linux-gnu"; "" when unknown.
func (a Arch) GNU() string { return table[a].gnu }

// Kernel is what uname -m prints, e.g. "x86_64".
func (a Arch) Kernel() string { return table[a].kernel }

// EFI is the suffix of the removable-media loader, e.g. "x64" in BOOTX64.EFI (in lower case).
func (a Arch) EFI() string { return table[a].efi }

// QEMU is the suffix of the system emulator, e.g. "x86_64" in qemu-system-x86_64.
func (a Arch) QEMU() string { return table[a].qemu }

// All are the architectures that n3x knows, sorted.
func All() []Arch { return slices.Sorted(maps.Keys(table)) }

// RunsOn reports whether programs of a can run natively on a machine of architecture host. For a 32-bit architecture on a
// 64-bit one, a particular kernel or processor may lack what it needs.
func (a Arch) RunsOn(host Arch) bool {
	return a == host || a == "all" || (host == "amd64" && a == "i386") || (host == "arm64" && a == "armhf")
}
