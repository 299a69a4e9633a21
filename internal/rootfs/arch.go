package rootfs

import (
	"context"
	"path/filepath"

	"n3x/internal/arch"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// canRun reports, as an error, that programs of a cannot run here: maintainer scripts have to. layer is where they will lie.
func canRun(ctx context.Context, a arch.Arch, layer string) error {
	if !a.Known() {
		return diag.Userf(diag.Pos{}, "make a root filesystem for architecture %q: it is not known", a)
	}
	if a == arch.Host() {
		return nil
	}
	if err := sandbox.Runs(ctx, a.QEMU(), filepath.Dir(layer)); err != nil {
		return diag.Userf(diag.Pos{}, "make a root filesystem for %s: this machine (%s) cannot run its maintainer scripts: %w", a, arch.Host(), err).
			WithHint("use Linux 6.7 or newer, or as root of the machine: apt-get install qemu-user-static binfmt-support; or build on %s", a)
	}
	return nil
}
