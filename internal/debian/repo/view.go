package repo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// View makes a copy of the repository at dir that later changes do not touch: the files of the pool are hard links, or
// copies where links cannot be. What lay at dir is replaced.
func (r *Repository) View(dir string) error {
	lock, err := r.lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	c, err := r.open()
	if err != nil {
		return err
	}
	for _, e := range c.entries {
		for _, f := range e.files {
			if err := linkOrCopy(filepath.Join(r.o.Dir, f.path), filepath.Join(dir, f.path)); err != nil {
				return err
			}
		}
	}
	return copyTree(filepath.Join(r.o.Dir, "dists"), filepath.Join(dir, "dists"))
}

func linkOrCopy(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	if err := os.Link(from, to); err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return copyFile(from, to)
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o777)
		}
		return linkOrCopy(path, filepath.Join(to, rel))
	})
}
