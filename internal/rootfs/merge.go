package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

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
func mergeUsr(root string, a arch.Arch) error {
	if info, err := os.Lstat(filepath.Join(root, "bin")); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	for _, name := range append([]string{"bin", "sbin", "lib"}, libDirs[a]...) {
		top, usr := filepath.Join(root, name), filepath.Join(root, "usr", name)
		if err := os.Remove(top); err != nil && !errors.Is(err, fs.ErrNotExist) { // base-files ships empty ones
			return err
		}
		if err := errors.Join(os.MkdirAll(usr, 0o755), os.Chmod(usr, 0o755), os.Symlink("usr/"+name, top)); err != nil {
			return err
		}
	}
	return nil
}
