package images

import (
	"bufio"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/isar"
)

// cleanFiles removes ROOTFS_CLEAN_FILES: what must not come from the machine that builds.
func cleanFiles(_ context.Context, c *isar.Call) error {
	t := c.Tree()
	if t == nil {
		return nil // nothing installed yet, so nothing that could have come from outside
	}
	names, err := c.Words("ROOTFS_CLEAN_FILES")
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := removeIn(t, name); err != nil {
			return err
		}
	}
	return nil
}

// removeIn removes a file or folder of the tree; the last element of the name is not followed if it is a link.
func removeIn(t *isar.Tree, name string) error {
	dir, err := inside(t, filepath.Dir(filepath.Clean("/"+name)))
	if err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(dir, filepath.Base(name)))
}

// emptyIn removes what is in a folder of the tree, but not the folder.
func emptyIn(t *isar.Tree, name string) error {
	dir, err := inside(t, name)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func cleanPackageCache(_ context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	for _, name := range []string{"/var/cache/apt/pkgcache.bin", "/var/cache/apt/srcpkgcache.bin", "/var/cache/apt/archives"} {
		if err := removeIn(t, name); err != nil {
			return err
		}
	}
	return emptyIn(t, "/var/lib/apt/lists")
}

// cleanLogFiles removes the files below /var/log that no package owns.
func cleanLogFiles(_ context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	owned, err := ownedBelow(t, "/var/log/")
	if err != nil {
		return err
	}
	return removeFiles(t, "/var/log", func(name string) bool { return !owned[name] })
}

func cleanPycache(_ context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	if err := removeFiles(t, "/usr", func(name string) bool { return strings.HasSuffix(name, ".pyc") }); err != nil {
		return err
	}
	root, err := inside(t, "/usr")
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || d.Name() != "__pycache__" {
			return err
		}
		if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		return fs.SkipDir
	})
}

// removeFiles removes the regular files below a folder of the tree for which gone says so; it is asked by the name
// that the file has in the tree.
func removeFiles(t *isar.Tree, dir string, gone func(name string) bool) error {
	root, err := inside(t, dir)
	if err != nil {
		return err
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if gone(strings.TrimPrefix(path, t.Dir)) {
			return os.Remove(path)
		}
		return nil
	})
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// ownedBelow are the paths below prefix that dpkg's file lists name.
func ownedBelow(t *isar.Tree, prefix string) (map[string]bool, error) {
	lists, err := filepath.Glob(filepath.Join(t.Dir, "var/lib/dpkg/info/*.list"))
	if err != nil {
		return nil, err
	}
	owned := map[string]bool{}
	for _, list := range lists {
		f, err := os.Open(list)
		if err != nil {
			return nil, err
		}
		s := bufio.NewScanner(f)
		for s.Scan() {
			if strings.HasPrefix(s.Text(), prefix) {
				owned[s.Text()] = true
			}
		}
		f.Close()
		if err := s.Err(); err != nil {
			return nil, err
		}
	}
	return owned, nil
}
