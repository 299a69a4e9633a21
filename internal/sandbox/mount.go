package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// tree builds what a sandbox sees, from inside its mount namespace. Sources are opened before anything is mounted, targets
// are looked up inside the new root whatever links they hold, and both are used by descriptor.
type tree struct {
	root    int // the new root
	targets []string
	made    []made // oldest first
	keep    bool   // the root is thrown away, so what was made in it need not be undone
	moved   bool   // the new root is this process's "/"
	tty     bool
	sync    bool
}

// build makes all mounts and moves this process into them.
func (t *tree) build(root string, mounts []Mount) error {
	if op, err := ownMounts(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	sources, err := openSources(mounts)
	if err != nil {
		return err
	}
	first := Mount{Type: Bind, Source: root, Target: "/"}
	switch {
	case len(mounts) > 0 && path.Clean(mounts[0].Target) == "/":
		first, mounts = mounts[0], mounts[1:]
	case root != "":
		fd, err := openPath(root)
		if err != nil {
			return err
		}
		sources[root] = fd
	default:
		return t.buildHere(mounts, sources)
	}
	at, readOnly, err := t.mountRoot(first, sources)
	if err != nil {
		return fmt.Errorf("mount %v: %w", first, err)
	}
	if t.root, err = openPath(at); err != nil {
		return err
	}
	if err := t.mountAll(mounts, sources); err != nil {
		return err
	}
	if readOnly {
		if err := setReadOnly(t.root, 0); err != nil {
			return fmt.Errorf("make the root read-only: %w", err)
		}
	}
	t.moved = true
	return pivot(t.root)
}

// buildHere mounts over the current root. Its /proc would show the processes of another namespace, so it is always replaced.
func (t *tree) buildHere(mounts []Mount, sources map[string]int) (err error) {
	if t.root, err = openPath("/"); err != nil {
		return err
	}
	return t.mountAll(append([]Mount{{Type: Proc, Target: "/proc"}}, mounts...), sources)
}

func (t *tree) mountAll(mounts []Mount, sources map[string]int) error {
	for _, m := range mounts {
		if err := t.mount(m, sources); err != nil {
			return fmt.Errorf("mount %v: %w", m, err)
		}
	}
	return nil
}

// openSources opens every path of the current root that mounts name; with an error it returns what it had opened.
func openSources(mounts []Mount) (map[string]int, error) {
	sources := map[string]int{}
	for _, m := range mounts {
		paths := append([]string{m.Source, m.Upper, m.Work}, m.Lower...)
		if m.Type == Sys {
			paths = append(paths, "/sys")
		}
		for _, p := range paths {
			if _, opened := sources[p]; p == "" || opened {
				continue
			}
			fd, err := openPath(p)
			if err != nil {
				return sources, fmt.Errorf("mount %v: %w", m, err)
			}
			sources[p] = fd
		}
	}
	return sources, nil
}

func openPath(p string) (int, error) {
	fd, err := unix.Open(p, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: p, Err: err}
	}
	return fd, nil
}

// fdPath names an open file for calls that take only paths.
func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// mountRoot puts the new root on top of one of its own directories, which needs no mount point elsewhere, and returns that
// directory. A read-only root gets a throw-away upper directory, in which missing mount points can be made; it is made
// read-only once everything is mounted.
func (t *tree) mountRoot(m Mount, sources map[string]int) (at string, readOnly bool, err error) {
	switch {
	case m.Type == Bind:
		return m.Source, false, bindTree(sources[m.Source], sources[m.Source], false)
	case m.Type == BindRO:
		m = Mount{Type: Overlay, Lower: []string{m.Source}, Target: m.Target}
	case len(m.Lower) == 0:
		return m.Upper, false, bindTree(sources[m.Upper], sources[m.Upper], false)
	}
	at = m.Lower[len(m.Lower)-1]
	if m.Upper != "" {
		return at, false, mountOverlay(m, sources, sources[at], t.sync)
	}
	t.keep = true
	upper, work, err := scratch(sources[at], at)
	if err != nil {
		return "", false, fmt.Errorf("make a throw-away upper directory: %w", err)
	}
	target, err := openPath(at)
	if err != nil {
		return "", false, err
	}
	m.Upper, m.Work = upper, work
	for _, p := range []string{upper, work} {
		if sources[p], err = openPath(p); err != nil {
			return "", false, err
		}
	}
	return at, true, mountOverlay(m, sources, target, t.sync)
}

// scratch puts an empty tmpfs on the directory behind target, whose path is at, with an upper and a work directory.
func scratch(target int, at string) (upper, work string, err error) {
	if err := unix.Mount("tmpfs", fdPath(target), "tmpfs", 0, "mode=755"); err != nil {
		return "", "", err
	}
	upper, work = path.Join(at, "upper"), path.Join(at, "work")
	for _, p := range []string{upper, work} {
		if err := unix.Mkdir(p, 0o755); err != nil {
			return "", "", &os.PathError{Op: "mkdir", Path: p, Err: err}
		}
	}
	return upper, work, nil
}

// bindTree puts a copy of the mounts at and below from on to.
func bindTree(from, to int, readOnly bool) error {
	tree, err := unix.OpenTree(from, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if readOnly {
		if err := setReadOnly(tree, unix.AT_RECURSIVE); err != nil {
			return err
		}
	}
	return unix.MoveMount(tree, "", to, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

func setReadOnly(mount int, flags uint) error {
	return unix.MountSetattr(mount, "", unix.AT_EMPTY_PATH|flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

// pivot makes root this process's "/" and lets the old one go.
func pivot(root int) error {
	if err := unix.Fchdir(root); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	err := unix.PivotRoot(".", ".")
	if errors.Is(err, unix.EINVAL) { // the old root is the initramfs, which cannot be moved
		if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move the new root: %w", err)
		}
		if err := unix.Chroot("."); err != nil {
			return fmt.Errorf("change the root: %w", err)
		}
		return unix.Chdir("/")
	}
	if err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	return unix.Chdir("/")
}

// undo removes created mount points from a root that stays.
func (t *tree) undo() {
	if t.keep || t.root < 0 {
		return
	}
	if !t.moved { // the targets are paths of the new root
		_ = unix.Fchdir(t.root)
		_ = unix.Chroot(".")
	}
	for i := len(t.targets) - 1; i >= 0; i-- {
		_ = unix.Unmount(t.targets[i], unix.MNT_DETACH)
	}
	for i := len(t.made) - 1; i >= 0; i-- {
		t.made[i].remove()
	}
}
