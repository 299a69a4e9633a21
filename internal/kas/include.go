package kas

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// maxFiles keeps a hostile set of includes (two includes of the next file, thirty times over) finite.
const maxFiles = 10000

// need is a repository that an include names, and the place where it does.
type need struct {
	repo string
	pos  diag.Pos
}

// loadedFile is a file at its place in the merge order.
type loadedFile struct {
	File
	root *yaml.Node
}

// walk is one pass over all files with the repositories known so far.
type walk struct {
	l       *loader
	paths   map[string]string // repository ID -> its folder
	stack   []string          // files being read, outermost first
	files   []loadedFile
	missing []need
}

// origin says where a file comes from: what its own includes are relative to.
type origin struct {
	repo     string // root that string includes are relative to
	external bool
	lock     bool
	main     bool // the first file of the command line
}

// gather reads every file that can be reached with the repositories in paths, and lists those still missing.
func (l *loader) gather(paths map[string]string) (*walk, error) {
	w := &walk{l: l, paths: paths}
	for i, top := range l.tops {
		if err := w.file(top, diag.Pos{}, origin{repo: l.topRepo, main: i == 0}); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// file reads one file with all that it pulls in: its lock file, its includes, itself.
func (w *walk) file(path string, from diag.Pos, o origin) error {
	root, err := w.l.parse(path, from, o.main)
	if err != nil {
		return err
	}
	real, err := resolve(path)
	if err != nil {
		return err
	}
	if i := slices.Index(w.stack, real); i >= 0 {
		return w.cycle(append(w.stack[i:], real), from)
	}
	w.stack = append(w.stack, real)
	defer func() { w.stack = w.stack[:len(w.stack)-1] }()

	lock := lockName(path)
	if _, err := os.Stat(lock); err == nil {
		if err := w.file(lock, from, origin{repo: o.repo, external: o.external, lock: true}); err != nil {
			return err
		}
	}
	if src := root.Lookup("_source_dir"); src != nil {
		if !o.main {
			return diag.Userf(src.Pos, "_source_dir is only allowed in the first kas file")
		}
		dir, _ := src.Text()
		w.l.topRepo = w.l.abs(dir)
		o.repo = w.l.topRepo
	}
	for _, inc := range root.Lookup("header", "includes").List() {
		if err := w.include(inc, path, o); err != nil {
			return err
		}
	}
	if w.files = append(w.files, loadedFile{File{Path: path, Lock: o.lock, External: o.external}, root}); len(w.files) > maxFiles {
		return diag.Userf(from, "includes load more than %d files", maxFiles)
	}
	return nil
}

func (w *walk) cycle(files []string, from diag.Pos) error {
	var names []string
	for _, f := range files {
		names = append(names, w.l.show(f))
	}
	return diag.Userf(from, "include cycle: %s", strings.Join(names, " includes ")).
		WithHint("remove one of these includes")
}

// include follows one entry of header.includes of the file by.
func (w *walk) include(inc *yaml.Node, by string, o origin) error {
	name, local := inc.Text()
	if local {
		path, err := w.l.inside(o.repo, name, inc.Pos)
		if err != nil {
			return err
		}
		if !exists(path) {
			beside, err := w.l.inside(filepath.Dir(by), name, inc.Pos)
			if err != nil {
				return err
			}
			if exists(beside) {
				w.l.warnOnce("%v: include %q is relative to its file; write it relative to the repository's root", inc.Pos, name)
				path = beside
			}
		}
		return w.file(path, inc.Pos, origin{repo: o.repo, external: o.external})
	}
	id, _ := inc.Lookup("repo").Text()
	name, _ = inc.Lookup("file").Text()
	dir, ok := w.paths[id]
	if !ok {
		if !slices.ContainsFunc(w.missing, func(n need) bool { return n.repo == id }) {
			w.missing = append(w.missing, need{id, inc.Lookup("repo").Pos})
		}
		return nil
	}
	path, err := w.l.inside(dir, name, inc.Pos)
	if err != nil {
		return err
	}
	return w.file(path, inc.Pos, origin{repo: dir, external: dir != w.l.topRepo})
}

// inside is the real path of name below root; one that leads out of root is refused.
func (l *loader) inside(root, name string, pos diag.Pos) (string, error) {
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(root, name)
	}
	path, err := resolve(path)
	if err != nil {
		return "", diag.Userf(pos, "include %q: %w", name, err)
	}
	realRoot, err := resolve(root)
	if err != nil {
		return "", diag.Userf(pos, "include %q: %w", name, err)
	}
	if rel, err := filepath.Rel(realRoot, path); err != nil || !filepath.IsLocal(rel) {
		return "", diag.Userf(pos, "include %q leads out of its repository %s", name, l.show(root)).
			WithHint("includes are relative to the root of the repository that holds the file; for another repository write\n" +
				"- repo: <key in repos>\n  file: <path in it>")
	}
	return path, nil
}

// resolve follows symbolic links as far as path exists; the rest is kept.
func resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if _, lerr := os.Lstat(path); lerr == nil { // a link to nothing
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			return filepath.Clean(target), nil
		}
		return filepath.Join(filepath.Dir(path), target), nil
	}
	dir, base := filepath.Split(filepath.Clean(path))
	if base == "" {
		return path, nil
	}
	parent, err := resolve(filepath.Clean(dir))
	return filepath.Join(parent, base), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lockName is the name that a file's lock file has: a.yml is locked by a.lock.yml.
func lockName(path string) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + ".lock" + ext
}
