package qemu

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"n3x/internal/arch"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// Tools say where QEMU and the firmware come from.
type Tools struct {
	// Layers are the directories of a tools tree, stacked with the last one on top; none means the host.
	Layers []string
	// Env is the environment of a QEMU of the host, "NAME=value"; a tools tree's has its own.
	Env []string
}

// firmwareNames are where distributions keep UEFI firmware: code and variables, best first. Secure Boot builds are not
// among them: they refuse unsigned loaders once keys are enrolled.
var firmwareNames = map[arch.Arch][][2]string{
	"amd64": {
		{"usr/share/OVMF/OVMF_CODE_4M.fd", "usr/share/OVMF/OVMF_VARS_4M.fd"},           // Debian, Ubuntu
		{"usr/share/edk2/x64/OVMF_CODE.4m.fd", "usr/share/edk2/x64/OVMF_VARS.4m.fd"},   // Arch
		{"usr/share/edk2/ovmf/OVMF_CODE.fd", "usr/share/edk2/ovmf/OVMF_VARS.fd"},       // Fedora
		{"usr/share/qemu/ovmf-x86_64-code.bin", "usr/share/qemu/ovmf-x86_64-vars.bin"}, // openSUSE
		{"usr/share/OVMF/OVMF_CODE.fd", "usr/share/OVMF/OVMF_VARS.fd"},                 // older ones
		{"usr/share/qemu/edk2-x86_64-code.fd", "usr/share/qemu/edk2-i386-vars.fd"},     // QEMU's own build
	},
	"arm64": {
		{"usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "usr/share/AAVMF/AAVMF_VARS.fd"},
		{"usr/share/AAVMF/AAVMF_CODE.fd", "usr/share/AAVMF/AAVMF_VARS.fd"},
		{"usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "usr/share/edk2/aarch64/vars-template-pflash.raw"},
		{"usr/share/edk2/aarch64/QEMU_CODE.fd", "usr/share/edk2/aarch64/QEMU_VARS.fd"},
		{"usr/share/qemu/aavmf-aarch64-code.bin", "usr/share/qemu/aavmf-aarch64-vars.bin"},
		{"usr/share/qemu/edk2-aarch64-code.fd", "usr/share/qemu/edk2-arm-vars.fd"},
	},
}

// Packages are the Debian packages that a tools tree for machines of architecture a holds.
func Packages(a arch.Arch) []string {
	if a == "arm64" {
		return []string{"qemu-system-arm", "qemu-efi-aarch64"}
	}
	return []string{"qemu-system-x86", "ovmf", "seabios"}
}

// roots are where files of the tools are found, the first one hiding the others.
func (t Tools) roots() []string {
	if len(t.Layers) == 0 {
		return []string{"/"}
	}
	var r []string
	for i := len(t.Layers) - 1; i >= 0; i-- {
		r = append(r, t.Layers[i])
	}
	return r
}

// find is the real path of a file of the tools, given without its leading slash; "" when there is none.
func (t Tools) find(name string) string {
	for _, root := range t.roots() {
		p := filepath.Join(root, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p
		}
	}
	return ""
}

// Firmware finds the UEFI firmware for machines of architecture a.
func (t Tools) Firmware(a arch.Arch) (*Firmware, error) {
	for _, pair := range firmwareNames[a] {
		if code, vars := t.find(pair[0]), t.find(pair[1]); code != "" && vars != "" {
			return &Firmware{Code: code, Vars: vars}, nil
		}
	}
	return nil, diag.Userf(diag.Pos{}, "no UEFI firmware for %s is found", a).
		WithHint("install it (Debian: %s), or boot the kernel directly", Packages(a)[1%len(Packages(a))])
}

// Program is QEMU's path for machines of architecture a, as seen inside the tools; "" when the tools lack it.
func (t Tools) Program(a arch.Arch) string {
	name := "qemu-system-" + a.QEMU()
	if len(t.Layers) == 0 {
		path, err := sandbox.LookPath(name)
		if err != nil {
			return ""
		}
		return path
	}
	if t.find("usr/bin/"+name) == "" {
		return ""
	}
	return "/usr/bin/" + name
}

// filesDir is where a tools tree's QEMU sees the machine's files: a folder in memory, since the tree is read-only.
const filesDir = "/tmp/machine"

// shown is where QEMU sees the host's file path; n tells files of the same name apart.
func (t Tools) shown(path string, n int) string {
	if len(t.Layers) == 0 || path == "" {
		return path
	}
	return filepath.Join(filesDir, strconv.Itoa(n), filepath.Base(path))
}

// command is a command that runs QEMU. shared are the host's files and where QEMU sees them.
func (t Tools) command(a arch.Arch, shared map[string]string) (*sandbox.Cmd, error) {
	program := t.Program(a)
	if program == "" {
		return nil, diag.Userf(diag.Pos{}, "qemu-system-%s is not found", a.QEMU()).
			WithHint("install it (Debian: apt install %s)", Packages(a)[0])
	}
	if len(t.Layers) == 0 {
		return &sandbox.Cmd{Argv: []string{program}, Env: slices.Clone(t.Env), Host: true}, nil
	}
	mounts := append([]sandbox.Mount{{Type: sandbox.Overlay, Target: "/", Lower: t.Layers}}, sandbox.System()...)
	for _, src := range slices.Sorted(maps.Keys(shared)) {
		mounts = append(mounts, sandbox.Mount{Type: sandbox.Bind, Source: src, Target: shared[src]})
	}
	if _, err := os.Stat(kvmDevice); err == nil {
		mounts = append(mounts, sandbox.Mount{Type: sandbox.Bind, Source: kvmDevice, Target: kvmDevice})
	}
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return &sandbox.Cmd{Argv: []string{program}, Env: env, Mounts: mounts, Network: true, KeepGroups: true, KeepSync: true}, nil
}

const kvmDevice = "/dev/kvm"
