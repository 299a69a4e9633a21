package sandbox

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links a target may lead through, as in path_resolution(7).
const maxLinks = 40

// made is a mount point that did not exist and was created.
type made struct {
	parent        int // descriptor
	name          string
	dir           bool
	before, after unix.Stat_t // of the parent, around the creation
}

// mount makes one mount below the root.
func (t *tree) mount(m Mount, sources map[string]int) error {
	dir := true
	if m.Type == Bind || m.Type == BindRO {
		var s unix.Stat_t
		if err := unix.Fstat(sources[m.Source], &s); err != nil {
			return err
		}
		dir = s.Mode&unix.S_IFMT == unix.S_IFDIR
	}
	to, err := t.ensure(path.Clean(m.Target), dir, maxLinks)
	if err != nil {
		return fmt.Errorf("make the mount point: %w", err)
	}
	defer unix.Close(to)
	t.targets = append(t.targets, m.Target)
	switch m.Type {
	case Bind, BindRO:
		return bindTree(sources[m.Source], to, m.Type == BindRO)
	case Overlay:
		return stack(m, sources, to, t.sync)
	case Tmpfs:
		return mountTmpfs(to, m.Mode)
	case Proc:
		return t.mountProc(m.Target, to)
	case Sys:
		return t.mountSys(m.Target, sources["/sys"], to)
	default:
		return t.mountDev(m.Target, to)
	}
}

// open looks a path up as a process inside the new root would.
func (t *tree) open(p string) (fd int, err error) {
	for range 1000 { // a lookup of ".." while anything anywhere is renamed or mounted gives EAGAIN
		fd, err = unix.Openat2(t.root, p, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
		if err != unix.EAGAIN && err != unix.EINTR {
			break
		}
	}
	return fd, err
}

// ensure opens a target, creating it and its parents when they are missing, also where a dangling link leads to.
func (t *tree) ensure(p string, dir bool, links int) (int, error) {
	fd, err := t.open(p)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	if links == 0 {
		return -1, unix.ELOOP
	}
	p = strings.TrimRight(p, "/")
	slash := strings.LastIndexByte(p, '/')
	above, name := p[:slash+1], p[slash+1:]
	parent, err := t.ensure(above, true, links)
	if err != nil {
		return -1, err
	}
	m := made{parent: parent, name: name, dir: dir}
	switch err = m.create(); {
	case errors.Is(err, unix.EEXIST):
		link, linkErr := readlinkat(parent, name)
		if linkErr != nil {
			return -1, err
		}
		if !path.IsAbs(link) {
			link = above + link
		}
		return t.ensure(link, dir, links-1)
	case err != nil:
		return -1, fmt.Errorf("%s: %w", p, err)
	}
	t.made = append(t.made, m)
	return t.open(p)
}

// create makes the mount point and remembers what that changes.
func (m *made) create() error {
	if err := unix.Fstat(m.parent, &m.before); err != nil {
		return err
	}
	if m.dir {
		if err := unix.Mkdirat(m.parent, m.name, 0o755); err != nil {
			return err
		}
	} else {
		fd, err := unix.Openat(m.parent, m.name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return err
		}
		unix.Close(fd)
	}
	return unix.Fstat(m.parent, &m.after)
}

// remove takes the mount point away again unless the program has put something into it, and sets the parent's times back
// unless the program has changed them.
func (m *made) remove() {
	var now, self unix.Stat_t
	if unix.Fstat(m.parent, &now) != nil || unix.Fstatat(m.parent, m.name, &self, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return
	}
	flags := 0
	if m.dir {
		flags = unix.AT_REMOVEDIR
	} else if self.Size != 0 || self.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	if unix.Unlinkat(m.parent, m.name, flags) == nil && now.Mtim == m.after.Mtim {
		_ = unix.UtimesNanoAt(m.parent, "", []unix.Timespec{m.before.Atim, m.before.Mtim}, unix.AT_EMPTY_PATH)
	}
}

func readlinkat(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}
