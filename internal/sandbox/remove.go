package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Remove deletes the tree at path, including what other ids of the sandbox own. It refuses while something is mounted in it.
// A path that does not exist is no error.
func Remove(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if path == "" || abs == "/" {
		return fmt.Errorf("remove %q: not a tree to remove", path)
	}
	// The tree is found by its real name in the mount table; a link as path itself is removed, not followed.
	if parent, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(parent, filepath.Base(abs))
	}
	points, err := mountPoints()
	if err != nil {
		return err
	}
	for _, p := range points {
		if p == abs || strings.HasPrefix(p, abs+"/") {
			return fmt.Errorf("remove %s: %s is a mount point", path, p)
		}
	}
	err = os.RemoveAll(abs)
	if errors.Is(err, fs.ErrPermission) {
		unlock(abs)
		err = os.RemoveAll(abs)
	}
	return err
}

// unlock makes directories writable that their owner, this process, has made unwritable; what it cannot, RemoveAll will name.
func unlock(root string) {
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir
		}
		if d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
}

// mountPoints lists the mount points that this process sees.
func mountPoints() ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 4 {
			points = append(points, unescape.Replace(f[4]))
		}
	}
	return points, nil
}
