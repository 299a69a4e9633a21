package tools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/debian"
	"n3x/internal/debian/apt"
	"n3x/internal/debian/deb"
	"n3x/internal/diag"
	"n3x/internal/progress"
	"n3x/internal/sandbox"
)

// EmulatorPackage has the static qemu-NAME programs, of which only those for architectures that n3x knows are kept: all together
// take half a gigabyte.
const EmulatorPackage = "qemu-user"

// Emulate makes programs of architecture a run in all sandboxes that this process starts from now on. What the kernel runs itself needs
// nothing. Else the emulator of the archive is fetched and registered in this process's own user namespace; where the host does
// not allow that, its administrator's registration serves. When there is neither, the error says what to type.
func (p *Provider) Emulate(ctx context.Context, a arch.Arch) error {
	if a == arch.Host() {
		return nil
	}
	if !a.Known() {
		return diag.Userf(diag.Pos{}, "run programs of architecture %q: it is not known", a)
	}
	if err := os.MkdirAll(p.o.Dir, 0o777); err != nil {
		return err
	}
	if a.RunsOn(arch.Host()) && sandbox.Runs(ctx, a.QEMU(), p.o.Dir) == nil {
		return nil
	}
	err := sandbox.Emulate(a.QEMU(), func() (string, error) { return p.emulator(ctx, a) })
	var refused *sandbox.NoEmulation
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	runs := sandbox.Runs(ctx, a.QEMU(), p.o.Dir)
	if runs == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return cannotEmulate(a, err)
	}
	return fmt.Errorf("the emulator of %s does not work: %w", a, runs)
}

// cannotEmulate says what the host lacks.
func cannotEmulate(a arch.Arch, reason error) error {
	e := diag.Userf(diag.Pos{}, "run programs of %s on this machine (%s): %w", a, arch.Host(), reason).
		WithHint("run n3x on Linux 6.7 or newer and let it make a user namespace: then it needs nothing else; or, as root of the machine (not of a container): apt-get install qemu-user-static binfmt-support")
	registration := "/proc/sys/fs/binfmt_misc/qemu-" + a.QEMU()
	switch text, err := os.ReadFile(registration); {
	case err != nil:
		e.WithNote("nor has the administrator registered an emulator: %s does not exist", registration)
	case strings.HasPrefix(string(text), "disabled"):
		e.WithNote("the administrator's registration %s is disabled", registration)
	default:
		e.WithNote("the administrator's registration %s does not work inside root file systems; it needs the flag F, and a static emulator", registration)
	}
	return e
}

// emulator is the path of the static emulator of a, fetched and unpacked when it is not there.
func (p *Provider) emulator(ctx context.Context, a arch.Arch) (file string, err error) {
	key := p.setKey([]string{EmulatorPackage, "alone"})
	if r, err := p.readSet(key); err == nil && !p.o.Refresh {
		file := p.emulatorFile(r.Tree, a)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	task := p.o.Progress.Task("tools")
	defer func() { task.End(err) }()
	task.Step("preparing the emulator of " + string(a))
	q, err := p.fetchEmulators(ctx, false, task)
	if errors.Is(err, apt.ErrMissing) { // the last update is older than what the mirror still has
		q, err = p.fetchEmulators(ctx, true, task)
	}
	if err != nil {
		return "", fmt.Errorf("prepare the emulator of %s: %w", a, err)
	}
	file = p.emulatorFile(q.SHA256, a)
	if _, err := os.Stat(file); err != nil {
		return "", diag.Failedf(diag.Pos{}, "prepare the emulator of %s: %s has no /usr/bin/%s", a, q.ID(), filepath.Base(file))
	}
	return file, p.writeSet(key, q.SHA256, []string{EmulatorPackage}, []*debian.Package{q})
}

func (p *Provider) emulatorFile(key string, a arch.Arch) string {
	return filepath.Join(p.o.Dir, "emulators", key, "qemu-"+a.QEMU())
}

// fetchEmulators resolves, fetches and unpacks the package with the emulators.
func (p *Provider) fetchEmulators(ctx context.Context, fresh bool, task *progress.Task) (*debian.Package, error) {
	packages, err := p.resolve(ctx, []string{EmulatorPackage}, fresh, task)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(packages, func(q *debian.Package) bool { return q.Name == EmulatorPackage })
	if at < 0 {
		return nil, fmt.Errorf("another package stands in for %s", EmulatorPackage)
	}
	q := packages[at]
	return q, p.o.Client.FetchEach(ctx, packages[at:at+1], task, func(_ int, file string) error {
		task.Step("unpacking the emulators")
		return p.unpackEmulators(ctx, file, filepath.Join(p.o.Dir, "emulators", q.SHA256))
	})
}

// unpackEmulators puts the emulators of the known architectures into dir.
func (p *Provider) unpackEmulators(ctx context.Context, file, dir string) error {
	wanted := map[string]bool{"usr": true, "usr/bin": true}
	for _, a := range arch.All() {
		wanted["usr/bin/qemu-"+a.QEMU()] = true
	}
	d, err := deb.OpenFile(file)
	if err != nil {
		return err
	}
	defer d.Close()
	return p.publish(dir, func(root string) error {
		if err := d.Unpack(ctx, root, deb.UnpackOptions{Exclude: func(name string) bool { return !wanted[name] }}); err != nil {
			return err
		}
		for _, a := range arch.All() {
			name := "qemu-" + a.QEMU()
			err := os.Rename(filepath.Join(root, "usr/bin", name), filepath.Join(root, name))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		return os.RemoveAll(filepath.Join(root, "usr"))
	})
}
