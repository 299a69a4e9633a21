package rootfs

import (
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/diag"
)

// canRun reports, as an error, that programs of a cannot run here: maintainer scripts have to.
func canRun(a arch.Arch) error {
	if !a.Known() {
		return diag.Userf(diag.Pos{}, "make a root filesystem for architecture %q: it is not known", a)
	}
	if a.RunsOn(arch.Host()) || emulated(a) {
		return nil
	}
	return diag.Userf(diag.Pos{}, "make a root filesystem for %s: this machine (%s) cannot run its maintainer scripts", a, arch.Host()).
		WithHint("install qemu-user-static and binfmt-support on this machine, or build on %s", a)
}

// emulated reports whether the kernel hands programs of a to an emulator that it has open already (flag F), so that the
// emulator need not be inside the root filesystem.
func emulated(a arch.Arch) bool {
	entries, _ := filepath.Glob("/proc/sys/fs/binfmt_misc/qemu-" + a.QEMU())
	for _, e := range entries {
		text, err := os.ReadFile(e)
		if err == nil && strings.HasPrefix(string(text), "enabled\n") && fixedBinary(string(text)) {
			return true
		}
	}
	return false
}

// fixedBinary reports whether a binfmt_misc entry has the flag F.
func fixedBinary(entry string) bool {
	for line := range strings.Lines(entry) {
		if flags, ok := strings.CutPrefix(line, "flags:"); ok {
			return strings.Contains(flags, "F")
		}
	}
	return false
}
