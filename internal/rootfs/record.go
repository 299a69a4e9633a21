package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// recordTimes notes the modification times of the files that dpkg has just unpacked from debs: they come from the packages,
// all other times are of the moment. The clock cannot tell the two apart, since it may be wrong.
func (i *installer) recordTimes(debs []Deb) error {
	dirs := make(map[string]string)
	stack := i.draft.Stack()
	for _, d := range debs {
		list, err := os.ReadFile(i.infoFile(d, ".list"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // another package replaced all its files: dpkg has forgotten it
		}
		if err != nil {
			return err
		}
		names := strings.Split(strings.TrimSuffix(string(list), "\n"), "\n")
		parents := make(map[string]bool)
		for _, name := range names {
			dir := path.Dir(name)
			if parents[dir] = true; dirs[dir] == "" {
				dirs[dir] = stack.real(dir)
			}
		}
		for _, name := range names {
			if !parents[name] { // a directory may be a link here, which the package does not ship
				i.recordTime(path.Join(dirs[path.Dir(name)], path.Base(name)))
			}
		}
	}
	return nil
}

// recordTime notes the time of a file, which as a configuration file is still beside its place.
func (i *installer) recordTime(name string) {
	for _, suffix := range []string{".dpkg-new", ""} {
		info, err := os.Lstat(filepath.Join(i.draft.Root, name+suffix))
		if err == nil && !info.IsDir() {
			i.times[strings.TrimPrefix(name, "/")] = info.ModTime()
			return
		}
	}
}

// real is the path of the directory name without symbolic links, e.g. "/usr/bin" for "/bin"; name itself when it is not there.
func (s Stack) real(name string) string {
	at := "/"
	parts := split(name)
	for links := 0; len(parts) > 0; parts = parts[1:] {
		next := path.Join(at, parts[0])
		info, err := s.Lstat(next)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		p, err := s.walk(next, false)
		if err != nil {
			return name
		}
		target, err := os.Readlink(p[0])
		if links++; err != nil || links > maxLinks {
			return name
		}
		if path.IsAbs(target) {
			at = "/"
		}
		parts = append([]string{""}, append(split(target), parts[1:]...)...)
	}
	return at
}
