package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/arch"
)

// libDirs are the further library directories that Debian 12 and older have in / on some architectures, as debootstrap
// makes them.
var libDirs = map[arch.Arch][]string{
	"amd64": {"lib32", "lib64", "libx32"},
	"i386":  {"lib64", "libx32"},
}

// mergeUsr makes /bin, /sbin and the library directories links into /usr. From Debian 13 on the package base-files, which
// root holds already, brings them itself.
func mergeUsr(root string, a arch.Arch, epoch time.Time) error {
	if info, err := os.Lstat(filepath.Join(root, "bin")); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	for _, name := range append([]string{"bin", "sbin", "lib"}, libDirs[a]...) {
		top, usr := filepath.Join(root, name), filepath.Join(root, "usr", name)
		if err := os.Remove(top); err != nil && !errors.Is(err, fs.ErrNotExist) { // base-files ships empty ones
			return err
		}
		ts := unix.NsecToTimespec(epoch.UnixNano()) // for dpkg these are base-files' own, whose times stay
		if err := errors.Join(os.MkdirAll(usr, 0o755), os.Chmod(usr, 0o755), os.Symlink("usr/"+name, top),
			unix.UtimesNanoAt(unix.AT_FDCWD, top, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)); err != nil {
			return err
		}
	}
	return nil
}
