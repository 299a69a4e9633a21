package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// Draft is a layer under construction on top of a stack. Exactly one of [Draft.Commit] and [Draft.Discard] takes effect.
type Draft struct {
	Below Stack
	Root  string // the directory that becomes the layer; files may be put into it between commands

	dir  string // what Commit makes
	temp string // all that the draft has on disk; "" when it is committed or discarded
}

// NewDraft starts the layer dir, which must not exist yet; its parent must.
func NewDraft(dir string, below Stack) (*Draft, error) {
	if _, err := os.Lstat(dir); err == nil {
		return nil, fmt.Errorf("make layer %s: it exists already", dir)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".draft-*")
	if err != nil {
		return nil, fmt.Errorf("make layer %s: %w", dir, err)
	}
	d := &Draft{Below: slices.Clone(below), Root: filepath.Join(temp, "root"), dir: dir, temp: temp}
	for _, sub := range []string{d.Root, d.work()} {
		if err := errors.Join(os.Mkdir(sub, 0o755), os.Chmod(sub, 0o755)); err != nil {
			d.Discard()
			return nil, fmt.Errorf("make layer %s: %w", dir, err)
		}
	}
	return d, nil
}

func (d *Draft) work() string { return filepath.Join(d.temp, "work") }

// Stack is what a command of the draft sees as its root filesystem.
func (d *Draft) Stack() Stack { return append(slices.Clone(d.Below), d.Root) }

// Command is a command inside the root filesystem that writes to the draft. It has /proc, /sys, /dev and an empty /tmp, no
// network, and [Environment]; the caller adds what it needs and runs it. Two commands of one draft must not run at once.
func (d *Draft) Command(argv ...string) *sandbox.Cmd {
	return &sandbox.Cmd{Argv: argv, Env: Environment(), Mounts: []sandbox.Mount{
		{Type: sandbox.Overlay, Target: "/", Lower: d.Below, Upper: d.Root, Work: d.work()},
		{Type: sandbox.Proc, Target: "/proc"},
		{Type: sandbox.Sys, Target: "/sys"},
		{Type: sandbox.Dev, Target: "/dev"},
		{Type: sandbox.Tmpfs, Target: "/tmp"},
	}}
}

// Environment is what commands inside a root filesystem get: nothing of the host's.
func Environment() []string { return environment(defaultPath) }

func environment(path string) []string {
	return []string{
		"PATH=" + path, "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb",
		"SYSTEMD_OFFLINE=1", // systemctl takes a container for a running system otherwise
	}
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Commit finishes the layer: everything in it that the stack beneath does not have with the same time gets the time epoch.
func (d *Draft) Commit(epoch time.Time) (*Layer, error) {
	if err := d.commit(epoch, nil); err != nil {
		return nil, err
	}
	return &Layer{Dir: d.dir, Epoch: epoch}, nil
}

func (d *Draft) commit(epoch time.Time, keep times) error {
	if err := normalise(d.Root, d.Below, epoch, keep); err != nil {
		return fmt.Errorf("finish layer %s: %w", d.dir, err)
	}
	// RENAME_NOREPLACE: two builds of one layer do not mix, and the first one stays.
	if err := unix.Renameat2(unix.AT_FDCWD, d.Root, unix.AT_FDCWD, d.dir, unix.RENAME_NOREPLACE); err != nil {
		return fmt.Errorf("finish layer %s: %w", d.dir, err)
	}
	d.Discard()
	return nil
}

// Discard removes what Commit has not published. After Commit it does nothing.
func (d *Draft) Discard() {
	if d.temp != "" {
		_ = sandbox.Remove(d.temp)
		d.temp = ""
	}
}

// explainSpace adds what to do to an error of a full disk.
func explainSpace(err error, dir string) error {
	var e *diag.Error
	full := errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
	if !full || errors.As(err, &e) && e.Hint != "" {
		return err
	}
	return diag.Failedf(diag.Pos{}, "%w", err).WithHint("free some space on the file system of %s", filepath.Dir(dir))
}

// times are the modification times that files have from their packages, by path in the layer.
type times map[string]time.Time

// normalise takes out of a layer what tells when and how it was made: times, and overlayfs's notes about copied files.
func normalise(root string, below Stack, epoch time.Time, keep times) error {
	return filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if info.Mode()&(fs.ModeSymlink|fs.ModeDevice|fs.ModeSocket|fs.ModeNamedPipe) == 0 {
			if err := dropNotes(p); err != nil {
				return err
			}
		}
		mtime := epoch
		if !info.IsDir() && info.ModTime().Equal(keep.of(name, below)) {
			mtime = info.ModTime()
		}
		ts := unix.NsecToTimespec(mtime.UnixNano())
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &fs.PathError{Op: "set the time of", Path: p, Err: err}
		}
		return nil
	})
}

// of is the time that is not of the moment: from the package, else of the file that a lower layer has there.
func (t times) of(name string, below Stack) time.Time {
	if mtime, ok := t[name]; ok {
		return mtime
	}
	if info, err := below.Lstat(name); err == nil {
		return info.ModTime()
	}
	return time.Time{}
}

// dropNotes removes the attributes in which overlayfs keeps where a file was copied from. They only keep inode numbers
// stable while a mount lives, and name the lower filesystem's.
func dropNotes(p string) error {
	for _, note := range []string{"origin", "impure", "uuid"} {
		err := unix.Lremovexattr(p, overlayXattrs+note)
		if err != nil && err != unix.ENODATA && err != unix.ENOTSUP {
			return &fs.PathError{Op: "remove attribute " + overlayXattrs + note + " of", Path: p, Err: err}
		}
	}
	return nil
}
