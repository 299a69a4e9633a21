package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"n3x/internal/arch"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

const (
	minKernel = "5.12"   // overlayfs in user namespaces is 5.11, mount_setattr(2) is 5.12
	minGit    = "2.20.0" // Debian 10's
	lowSpace  = 10 << 30 // an image, its root filesystem, packages and a cache need about this
)

// Needs is what a verb is about to use. The zero value asks for the kernel only.
type Needs struct {
	Git  bool
	Dirs []string // where much will be written, e.g. {"build"}; they need not exist yet
}

// Preflight looks for what would stop a build later. The warnings are no reason to stop.
func (h Host) Preflight(ctx context.Context, n Needs) (warnings []*diag.Error, err error) {
	errs := []error{h.checkMachine()}
	if n.Git {
		errs = append(errs, checkGit(ctx))
	}
	for _, dir := range n.Dirs {
		if w := checkSpace(dir); w != nil {
			warnings = append(warnings, w)
		}
	}
	return warnings, errors.Join(errs...)
}

// release is the running kernel's, e.g. "6.1.0-30-amd64".
func (h Host) release() string { return h.read("/proc/sys/kernel/osrelease") }

func (h Host) checkMachine() error {
	if a := arch.Host(); a.GNU() == "" {
		return diag.Userf(diag.Pos{}, "n3x does not run on the architecture %q", a).
			WithHint("use a machine with amd64, arm64 or riscv64")
	}
	release := h.release()
	if strings.HasSuffix(release, "-Microsoft") && strings.HasPrefix(release, "4.") {
		return diag.Userf(diag.Pos{}, "this is WSL 1, which has no Linux kernel (%s)", release).
			WithHint(`in PowerShell: wsl --set-version "$env:WSL_DISTRO_NAME" 2`)
	}
	if release != "" && older(release, minKernel) {
		return diag.Userf(diag.Pos{}, "Linux %s is too old: n3x needs %s or newer", release, minKernel).
			WithHint("boot a newer kernel (Debian: linux-image-amd64 from backports)")
	}
	return nil
}

// older compares the numbers at the beginning of two versions.
func older(a, b string) bool {
	x, y := numbers(a), numbers(b)
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return false
}

func numbers(version string) (n [3]int) {
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &n[0], &n[1], &n[2]) // as many as there are
	return n
}

func checkGit(ctx context.Context) error {
	if _, err := sandbox.LookPath("git"); err != nil {
		return diag.Userf(diag.Pos{}, "git is not installed").
			WithHint("install it, e.g. sudo apt-get install git")
	}
	out, err := (&sandbox.Cmd{Host: true, Argv: []string{"git", "--version"}}).Output(ctx)
	if err != nil {
		return fmt.Errorf("ask git for its version: %w", err)
	}
	version := strings.TrimPrefix(strings.TrimSpace(string(out)), "git version ")
	if older(version, minGit) {
		return diag.Userf(diag.Pos{}, "git %s is too old: n3x needs %s or newer", version, minGit).
			WithHint("upgrade git")
	}
	return nil
}

// checkSpace warns when the filesystem that will hold dir is nearly full.
func checkSpace(dir string) *diag.Error {
	var s unix.Statfs_t
	at, err := filepath.Abs(dir)
	if err != nil {
		return nil
	}
	for {
		if err = unix.Statfs(at, &s); err == nil {
			break
		}
		if at == "/" || !errors.Is(err, os.ErrNotExist) {
			return nil
		}
		at = filepath.Dir(at)
	}
	free := uint64(s.Bavail) * uint64(s.Bsize)
	if free >= lowSpace {
		return nil
	}
	return diag.Failedf(diag.Pos{}, "only %.1f GB are free for %s", float64(free)/(1<<30), dir).
		WithHint("a build needs about %d GB; free some, or set KAS_BUILD_DIR, DL_DIR and SSTATE_DIR to another disk", lowSpace>>30)
}
