package isar

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/atomicfile"
)

// adjustGit makes checkouts of git sources borrow objects by a relative path: GIT_DL_LINK_DIR/.git-downloads is a link
// to the clones in DL_DIR, so that the work folder can be looked at from where DL_DIR has another path.
func adjustGit(_ context.Context, c *Call) error {
	v, err := c.Values("GITDIR", "GIT_DL_LINK_DIR", "WORKDIR")
	if err != nil {
		return err
	}
	clones, work := v[0], v[2]
	if clones == "" || v[1] == "" {
		return nil
	}
	_, sources, err := fetcher(c, Outside{})
	if err != nil {
		return err
	}
	for _, s := range sources {
		dest, err := s.Checkout(work)
		if err != nil {
			return err
		}
		if dest == "" {
			continue
		}
		link := filepath.Join(v[1], ".git-downloads")
		if err := os.MkdirAll(v[1], 0o777); err != nil {
			return err
		}
		if err := atomicfile.Symlink(clones, link); err != nil {
			return err
		}
		if err := adjustCheckout(dest, clones, link); err != nil {
			return err
		}
	}
	return nil
}

// adjustCheckout changes the alternates of a checkout, or bare repository, and of its submodules.
func adjustCheckout(dest, clones, link string) error {
	if isDir(filepath.Join(dest, ".git")) {
		dest = filepath.Join(dest, ".git")
	}
	real, err := filepath.EvalSymlinks(clones)
	if err != nil {
		real = clones
	}
	return filepath.WalkDir(dest, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == dest {
			return fs.SkipAll
		}
		if err != nil || d.IsDir() || filepath.Base(path) != "alternates" || filepath.Base(filepath.Dir(path)) != "info" {
			return err
		}
		objects := filepath.Dir(filepath.Dir(path))
		rel, err := filepath.Rel(objects, link)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines := strings.SplitAfter(string(data), "\n")
		for i, l := range lines {
			for _, name := range []string{clones, real} {
				if rest, ok := strings.CutPrefix(l, name+"/"); ok {
					lines[i] = rel + "/" + rest
				}
			}
		}
		return atomicfile.WriteIfChanged(path, []byte(strings.Join(lines, "")), 0o644)
	})
}
