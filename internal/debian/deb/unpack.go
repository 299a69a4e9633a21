package deb

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/diag"
)

// UnpackOptions says how [Deb.Unpack] treats a package.
type UnpackOptions struct {
	Exclude func(name string) bool           // names like "usr/share/doc/x"; true leaves the file out
	Visit   func(name string, h *tar.Header) // called for each file and folder after it was made
}

// Unpack extracts data.tar below root, which must exist, with owner, mode, times, hard links and extended attributes.
// It needs the right to change owners (uid 0, in a user namespace at least).
//
// Symbolic links that already stand in root are followed as dpkg follows them (/bin to usr/bin), but never out of root:
// the kernel resolves every path with root as its "/". Existing files are replaced, existing folders kept.
func (d *Deb) Unpack(ctx context.Context, root string, o UnpackOptions) error {
	data, err := d.Data()
	if err != nil {
		return err
	}
	defer data.Close()
	return unpackTar(ctx, data, root, o, tarNames{d.name, d.data.name})
}

// UnpackTar extracts a tar archive that is no package, such as a root file system's, like [Deb.Unpack]. name is what messages call it;
// r gives it without compression ([Decompress]).
func UnpackTar(ctx context.Context, name string, r io.Reader, root string, o UnpackOptions) error {
	return unpackTar(ctx, r, root, o, tarNames{name, "it"})
}

// tarNames are what messages call an archive, and within it the tar file.
type tarNames struct{ whole, tar string }

func (n tarNames) wrap(err error) error {
	return diag.Failedf(diag.Pos{}, "read %s: %w", n.whole, err)
}

func unpackTar(ctx context.Context, r io.Reader, root string, o UnpackOptions, names tarNames) error {
	u, err := newUnpacker(root)
	if err != nil {
		return names.wrap(err)
	}
	defer u.close()
	tr := tar.NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if err == io.EOF {
			if err := u.finish(); err != nil {
				return names.wrap(err)
			}
			return nil
		}
		if err != nil {
			return names.wrap(fmt.Errorf("read %s: %w", names.tar, err))
		}
		name, err := cleanName(h.Name)
		if err != nil {
			return names.wrap(err)
		}
		if name != "." && o.Exclude != nil && o.Exclude(name) {
			continue
		}
		if err := u.extract(name, h, tr); err != nil {
			return names.unpackError(root, name, err)
		}
		if o.Visit != nil {
			o.Visit(name, h)
		}
	}
}

func (n tarNames) unpackError(root, name string, err error) error {
	e := diag.Failedf(diag.Pos{}, "unpack %s of %s: %w", name, n.whole, err)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return e.WithHint("free some space on the file system of %s", root)
	case errors.Is(err, unix.EPERM):
		return e.WithHint("owners can only be set by root, or inside a user namespace that maps the owner's id")
	}
	return e
}

// cleanName turns "./usr/bin/" into "usr/bin" and the top folder into ".".
func cleanName(name string) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("file name %q leaves the package", name)
		}
	}
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return ".", nil
	}
	return name, nil
}

// unpacker writes files below the folder that root has open.
type unpacker struct {
	root   int
	dirs   map[string]int // open folders, by name; the kernel is asked once for each
	stamps []stamp        // times of folders, which are set last
	buf    []byte
}

type stamp struct {
	dir   string
	mtime time.Time
}

// maxOpen bounds the folders that are kept open.
const maxOpen = 64

func newUnpacker(root string) (*unpacker, error) {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	return &unpacker{root: fd, dirs: make(map[string]int), buf: make([]byte, 128<<10)}, nil
}

func (u *unpacker) close() {
	u.forget()
	unix.Close(u.root)
}

func (u *unpacker) forget() {
	for _, fd := range u.dirs {
		unix.Close(fd)
	}
	clear(u.dirs)
}

// open resolves dir inside root. Folders that a package forgot to ship are made, as dpkg's tar does.
func (u *unpacker) open(dir string) (int, error) {
	if fd, ok := u.dirs[dir]; ok {
		return fd, nil
	}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := openat2(u.root, dir, &how)
	if err == unix.ENOENT && dir != "." {
		up, uperr := u.open(path.Dir(dir))
		if uperr != nil {
			return -1, uperr
		}
		if err := unix.Mkdirat(up, path.Base(dir), 0o755); err != nil && err != unix.EEXIST {
			return -1, fmt.Errorf("make folder %s: %w", dir, err)
		}
		fd, err = openat2(u.root, dir, &how)
	}
	if err != nil {
		return -1, fmt.Errorf("open folder %s: %w", dir, err)
	}
	u.dirs[dir] = fd
	return fd, nil
}

// openat2 repeats the call that the kernel gives up when a rename happens meanwhile.
func openat2(dirfd int, path string, how *unix.OpenHow) (int, error) {
	for {
		fd, err := unix.Openat2(dirfd, path, how)
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
}

func (u *unpacker) extract(name string, h *tar.Header, content io.Reader) error {
	if len(u.dirs) > maxOpen {
		u.forget()
	}
	if isSparse(h) {
		return errors.New("a package must not hold a sparse file")
	}
	if h.Typeflag == tar.TypeDir {
		return u.folder(name, h)
	}
	if name == "." {
		return errors.New("the top of the package is not a folder")
	}
	dir, kept, err := u.makeRoom(name, h)
	if err != nil || kept {
		return err
	}
	base := path.Base(name)
	switch h.Typeflag {
	case tar.TypeReg:
		return u.file(dir, base, h, content)
	case tar.TypeLink:
		return u.link(dir, base, h.Linkname)
	case tar.TypeSymlink:
		if err := unix.Symlinkat(h.Linkname, dir, base); err != nil {
			return err
		}
		return owner(dir, base, h)
	case tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
		return node(dir, base, h)
	}
	return fmt.Errorf("tar type %q is not supported in a package", h.Typeflag)
}

// makeRoom opens the folder in which name goes and removes what has that name. A folder is never removed: it is in the
// way of a file, and stays in place of a symbolic link, which is what dpkg does.
func (u *unpacker) makeRoom(name string, h *tar.Header) (dir int, kept bool, err error) {
	if dir, err = u.open(path.Dir(name)); err != nil {
		return dir, false, err
	}
	switch err := unix.Unlinkat(dir, path.Base(name), 0); {
	case err == unix.ENOENT:
		return dir, false, nil
	case err == unix.EISDIR && h.Typeflag == tar.TypeSymlink:
		return dir, true, nil
	case err == unix.EISDIR:
		return dir, false, errors.New("a folder of that name is in the way")
	case err != nil:
		return dir, false, fmt.Errorf("replace: %w", err)
	}
	u.forget() // it may have been a symbolic link that led to one of the open folders
	dir, err = u.open(path.Dir(name))
	return dir, false, err
}

func node(dir int, base string, h *tar.Header) error {
	kind := map[byte]uint32{tar.TypeFifo: unix.S_IFIFO, tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK}[h.Typeflag]
	mode := uint32(h.Mode & 0o7777)
	if err := unix.Mknodat(dir, base, kind|mode, int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)))); err != nil {
		return err
	}
	if err := unix.Fchmodat(dir, base, mode, 0); err != nil { // mknod obeys the umask
		return err
	}
	return owner(dir, base, h)
}

// folder makes a folder. One that exists, also through a symbolic link, stays as it is, which is what dpkg does.
func (u *unpacker) folder(name string, h *tar.Header) error {
	dir, err := u.open(path.Dir(name))
	if err != nil {
		return err
	}
	if err := unix.Mkdirat(dir, path.Base(name), 0o700); err == unix.EEXIST {
		_, err := u.open(name)
		return err
	} else if err != nil {
		return err
	}
	fd, err := unix.Openat(dir, path.Base(name), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	u.stamps = append(u.stamps, stamp{name, h.ModTime})
	return finishFile(fd, h)
}

func (u *unpacker) file(dir int, base string, h *tar.Header, content io.Reader) error {
	fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var written int64
	for {
		n, rerr := content.Read(u.buf)
		for b := u.buf[:n]; len(b) > 0; {
			w, werr := unix.Write(fd, b)
			if werr == unix.EINTR {
				continue
			}
			if werr != nil {
				return werr
			}
			b = b[w:]
			written += int64(w)
		}
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			return rerr
		}
	}
	if written != h.Size {
		return fmt.Errorf("%d of %d bytes", written, h.Size)
	}
	if err := finishFile(fd, h); err != nil {
		return err
	}
	return setTimes(dir, base, h.ModTime)
}

// link makes a hard link to a file that was unpacked before.
func (u *unpacker) link(dir int, base, target string) error {
	name, err := cleanName(target)
	if err != nil {
		return err
	}
	from, err := u.open(path.Dir(name))
	if err != nil {
		return err
	}
	if err := unix.Linkat(from, path.Base(name), dir, base, 0); err != nil {
		return fmt.Errorf("hard link to %s: %w", name, err)
	}
	return nil
}

// finishFile sets owner, mode and extended attributes, in the order in which none undoes another: the kernel drops
// setuid bits and capabilities when the owner changes.
func finishFile(fd int, h *tar.Header) error {
	if err := unix.Fchown(fd, h.Uid, h.Gid); err != nil {
		return fmt.Errorf("set owner %d:%d: %w", h.Uid, h.Gid, err)
	}
	if err := unix.Fchmod(fd, uint32(h.Mode&0o7777)); err != nil {
		return fmt.Errorf("set mode %04o: %w", h.Mode&0o7777, err)
	}
	for key, value := range h.PAXRecords {
		if attr, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
			if err := unix.Fsetxattr(fd, attr, []byte(value), 0); err != nil {
				return fmt.Errorf("set extended attribute %s: %w", attr, err)
			}
		}
	}
	return nil
}

// owner sets owner and times of what cannot be opened.
func owner(dir int, base string, h *tar.Header) error {
	if err := unix.Fchownat(dir, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set owner %d:%d: %w", h.Uid, h.Gid, err)
	}
	return setTimes(dir, base, h.ModTime)
}

func setTimes(dir int, base string, mtime time.Time) error {
	ts := unix.NsecToTimespec(mtime.UnixNano())
	return unix.UtimesNanoAt(dir, base, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

// finish sets the times of folders, the deepest first, now that nothing is put into them any more.
func (u *unpacker) finish() error {
	for i := len(u.stamps) - 1; i >= 0; i-- {
		fd, err := u.open(u.stamps[i].dir)
		if err != nil {
			return err
		}
		ts := unix.NsecToTimespec(u.stamps[i].mtime.UnixNano())
		if err := unix.UtimesNanoAt(fd, "", []unix.Timespec{ts, ts}, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("set the time of %s: %w", u.stamps[i].dir, err)
		}
		if len(u.dirs) > maxOpen {
			u.forget()
		}
	}
	return nil
}
