package fetch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// umask is what a recipe's unpacked files lose of their modes.
const umask = 0o022

// maxEntries is how many files one archive may hold.
const maxEntries = 4 << 20

// tree writes files below one folder. The kernel (openat2 with RESOLVE_BENEATH) refuses every name that leads out of it:
// by "..", by being absolute, or through symbolic links that an archive made before.
type tree struct {
	root    int // descriptor of the folder
	dir     string
	limit   int64 // bytes that may be written; 0 is no limit
	left    int64 // of them
	limited bool
	entries int

	keepModes bool                 // whatever the umask, and setuid bits
	times     map[string]time.Time // of folders, set at the end because their content changes them
}

func openTree(dir string, limit int64) (*tree, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return &tree{root: fd, dir: dir, limit: limit, left: limit, limited: limit > 0, times: map[string]time.Time{}}, nil
}

func (t *tree) close() { unix.Close(t.root) }

// finish sets the folders' times. After a failure there is nothing to do.
func (t *tree) finish(failed error) error {
	if failed != nil {
		return nil
	}
	for name, at := range t.times {
		fd, err := t.openDir(name)
		if err != nil {
			continue // replaced by something else later in the archive
		}
		if !at.IsZero() {
			ts := []unix.Timespec{unix.NsecToTimespec(at.UnixNano()), unix.NsecToTimespec(at.UnixNano())}
			err = unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), ts, 0)
		}
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("set time of %s: %w", name, err)
		}
	}
	return nil
}

// resolve opens name below the root.
func (t *tree) resolve(name string, flags int, mode uint64) (int, error) {
	how := &unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Mode: mode,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(t.root, name, how)
		if err == unix.EINTR || err == unix.EAGAIN { // EAGAIN: something above was renamed meanwhile
			continue
		}
		return fd, err
	}
}

func (t *tree) openDir(name string) (int, error) {
	if name == "" || name == "." {
		name = "."
	}
	return t.resolve(name, unix.O_PATH|unix.O_DIRECTORY, 0)
}

// parent opens the folder that holds name, making it where it is missing, and returns the last element of name.
func (t *tree) parent(name string) (fd int, base string, err error) {
	clean, err := t.check(name)
	if err != nil {
		return -1, "", err
	}
	dir, base := path.Split(clean)
	dir = strings.TrimSuffix(dir, "/")
	if fd, err = t.openDir(dir); err == nil {
		return fd, base, nil
	}
	if err != unix.ENOENT {
		return -1, "", t.explain(name, err)
	}
	up, last, err := t.parent(dir)
	if err != nil {
		return -1, "", err
	}
	err = unix.Mkdirat(up, last, 0o777&^umask)
	unix.Close(up)
	if err != nil && err != unix.EEXIST {
		return -1, "", t.explain(name, err)
	}
	if fd, err = t.openDir(dir); err != nil {
		return -1, "", t.explain(name, err)
	}
	return fd, base, nil
}

// check refuses names that no archive should hold. The kernel decides about the rest.
func (t *tree) check(name string) (string, error) {
	clean := strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	if strings.ContainsRune(clean, 0) {
		return "", fmt.Errorf("%q holds a NUL byte", name)
	}
	if !localPath(clean) || path.Clean(clean) == "." {
		return "", fmt.Errorf("%q leads out of the folder that it is unpacked into", name)
	}
	return path.Clean(clean), nil
}

func (t *tree) explain(name string, err error) error {
	switch {
	case errors.Is(err, unix.EXDEV):
		return fmt.Errorf("%q leads out of the folder that it is unpacked into, through a symbolic link", name)
	case errors.Is(err, unix.ENOSYS):
		return errors.New("this kernel has no openat2: Linux 5.6 or newer is needed")
	}
	return fmt.Errorf("make %q: %w", name, err)
}

// count limits how many entries an archive may have.
func (t *tree) count() error {
	if t.entries++; t.entries > maxEntries && t.limited {
		return fmt.Errorf("it holds more than %d files", maxEntries)
	}
	return nil
}

// mkdir makes a folder, or gives an existing one the mode. The root itself stays as it is.
func (t *tree) mkdir(name string, mode fs.FileMode, at time.Time) error {
	if c := path.Clean(name); c == "." {
		return nil
	}
	if err := t.count(); err != nil {
		return err
	}
	dir, base, err := t.parent(name)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	// The owner can always work in the folder; tar would have to postpone a stricter mode to the end.
	perm := t.mode(mode) | 0o700
	err = unix.Mkdirat(dir, base, perm)
	if err == unix.EEXIST {
		var st unix.Stat_t
		if err = unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
			switch st.Mode & unix.S_IFMT {
			case unix.S_IFDIR:
				err = unix.Fchmodat(dir, base, perm, 0)
			case unix.S_IFLNK: // tar keeps a link to a folder that is there already
				if fd, derr := t.openDir(path.Clean(name)); derr == nil {
					unix.Close(fd)
					return nil
				}
				err = unix.EEXIST
			default:
				if err = unix.Unlinkat(dir, base, 0); err == nil {
					err = unix.Mkdirat(dir, base, perm)
				}
			}
		}
	} else if err == nil {
		err = unix.Fchmodat(dir, base, perm, 0) // whatever this process's umask is
	}
	if err != nil {
		return t.explain(name, err)
	}
	t.times[path.Clean(name)] = at
	return nil
}

// mode is a file's mode as the kernel has it.
func (t *tree) mode(m fs.FileMode) uint32 {
	if !t.keepModes {
		return uint32(m.Perm() &^ umask)
	}
	mode := uint32(m.Perm())
	for bit, flag := range map[uint32]fs.FileMode{unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky} {
		if m&flag != 0 {
			mode |= bit
		}
	}
	return mode
}

// clear removes what a new entry would replace. A folder that is not empty stays, and is an error.
func (t *tree) clear(dir int, base string) error {
	err := unix.Unlinkat(dir, base, 0)
	if err == unix.EISDIR || err == unix.EPERM {
		err = unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
	}
	if err == unix.ENOENT {
		return nil
	}
	return err
}

// file writes a regular file.
func (t *tree) file(name string, r io.Reader, mode fs.FileMode, at time.Time) error {
	if err := t.count(); err != nil {
		return err
	}
	dir, base, err := t.parent(name)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := t.clear(dir, base); err != nil {
		return t.explain(name, err)
	}
	fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return t.explain(name, err)
	}
	out := os.NewFile(uintptr(fd), path.Join(t.dir, name))
	defer out.Close()
	if err := t.fill(out, r); err != nil {
		return fmt.Errorf("unpack %q: %w", name, err)
	}
	if err := unix.Fchmod(fd, t.mode(mode)); err != nil {
		return t.explain(name, err)
	}
	if !at.IsZero() {
		ts := []unix.Timespec{unix.NsecToTimespec(at.UnixNano()), unix.NsecToTimespec(at.UnixNano())}
		if err := unix.UtimesNanoAt(dir, base, ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return t.explain(name, err)
		}
	}
	return out.Close()
}

// fill copies r, up to the limit of the whole archive.
func (t *tree) fill(w io.Writer, r io.Reader) error {
	if !t.limited {
		_, err := io.Copy(w, r)
		return err
	}
	n, err := io.Copy(w, io.LimitReader(r, t.left+1))
	if t.left -= n; t.left < 0 {
		return &limitError{t.limit}
	}
	return err
}

// symlink makes a symbolic link. Its target may be anything: only following it is dangerous, and the kernel does not.
func (t *tree) symlink(target, name string) error {
	if err := t.count(); err != nil {
		return err
	}
	dir, base, err := t.parent(name)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := t.clear(dir, base); err != nil {
		return t.explain(name, err)
	}
	if err := unix.Symlinkat(target, dir, base); err != nil {
		return t.explain(name, err)
	}
	return nil
}

// link makes a hard link to another file of the tree.
func (t *tree) link(old, name string) error {
	if err := t.count(); err != nil {
		return err
	}
	oldClean, err := t.check(old)
	if err != nil {
		return err
	}
	oldDir, err := t.openDir(path.Dir(oldClean))
	if err != nil {
		return t.explain(old, err)
	}
	defer unix.Close(oldDir)
	dir, base, err := t.parent(name)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if path.Clean(name) == oldClean {
		return nil
	}
	if err := t.clear(dir, base); err != nil {
		return t.explain(name, err)
	}
	if err := unix.Linkat(oldDir, path.Base(oldClean), dir, base, 0); err != nil {
		return t.explain(name, err)
	}
	return nil
}
