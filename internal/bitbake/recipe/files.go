package recipe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"n3x/internal/bitbake/syntax"
)

// tree is the file system that metadata sees: overlays in front of the disk. What it has found out about a path stays true
// until follow is set, so that one load works on one state. It may be used by several goroutines.
type tree struct {
	follow   atomic.Bool // look at the disk each time
	overlays []Overlay   // longest path first
	dialect  syntax.Dialect
	stats    sync.Map  // path -> statResult
	dirs     sync.Map  // path -> []fs.DirEntry
	parsed   sync.Map  // path -> *parsedFile
	sums     *sync.Map // path -> what contentSum said of what was read; nil when nobody wants to know
}

type statResult struct {
	info fs.FileInfo
	err  error
}

type parsedFile struct {
	once sync.Once
	file *syntax.File
	err  error
}

func newTree(overlays []Overlay) *tree {
	t := &tree{overlays: slices.Clone(overlays)}
	for i := range t.overlays {
		t.overlays[i].Path = filepath.Clean(t.overlays[i].Path)
	}
	slices.SortStableFunc(t.overlays, func(a, b Overlay) int { return len(b.Path) - len(a.Path) })
	return t
}

// locate says in which overlay a path lies, and under which name there; nil when it is on disk.
func (t *tree) locate(path string) (fs.FS, string) {
	for _, o := range t.overlays {
		if path == o.Path {
			return o.FS, "."
		}
		if len(path) > len(o.Path) && path[len(o.Path)] == '/' && strings.HasPrefix(path, o.Path) {
			return o.FS, path[len(o.Path)+1:]
		}
	}
	return nil, path
}

// stat follows symbolic links.
func (t *tree) stat(path string) (fs.FileInfo, error) {
	if r, ok := t.stats.Load(path); ok && !t.follow.Load() {
		return r.(statResult).info, r.(statResult).err
	}
	var r statResult
	if fsys, name := t.locate(filepath.Clean(path)); fsys != nil {
		r.info, r.err = fs.Stat(fsys, name)
	} else {
		r.info, r.err = os.Stat(path)
	}
	t.stats.Store(path, r)
	return r.info, r.err
}

func (t *tree) exists(path string) bool {
	_, err := t.stat(path)
	return err == nil
}

func (t *tree) isDir(path string) bool {
	info, err := t.stat(path)
	return err == nil && info.IsDir()
}

func (t *tree) isFile(path string) bool {
	info, err := t.stat(path)
	return err == nil && info.Mode().IsRegular()
}

// maxFile is the size of a file that metadata may consist of or read, in bytes.
const maxFile = 256 << 20

// read notes the content's checksum; what the inode says of it was noted before.
func (t *tree) read(path string) (data []byte, err error) {
	switch info, err := t.stat(path); {
	case err != nil || info.IsDir(): // reading says so
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	case info.Size() > maxFile:
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d MiB", maxFile>>20)}
	}
	if fsys, name := t.locate(filepath.Clean(path)); fsys != nil {
		data, err = fs.ReadFile(fsys, name)
	} else {
		data, err = os.ReadFile(path)
	}
	if t.sums != nil && !t.follow.Load() {
		sum := contentSum(data, err)
		if old, loaded := t.sums.LoadOrStore(path, sum); loaded && old != sum {
			t.sums.Store(path, changing)
		}
	}
	return data, err
}

// readDir is sorted by name; a folder that cannot be read is empty.
func (t *tree) readDir(path string) []fs.DirEntry {
	if r, ok := t.dirs.Load(path); ok && !t.follow.Load() {
		return r.([]fs.DirEntry)
	}
	var entries []fs.DirEntry
	if fsys, name := t.locate(filepath.Clean(path)); fsys != nil {
		entries, _ = fs.ReadDir(fsys, name)
	} else {
		entries, _ = os.ReadDir(path)
	}
	t.dirs.Store(path, entries)
	return entries
}

// parse gives the statements of a file, which are read once.
func (t *tree) parse(path string) (*syntax.File, error) {
	p, ok := t.parsed.Load(path)
	if !ok {
		p, _ = t.parsed.LoadOrStore(path, &parsedFile{})
	}
	one := p.(*parsedFile)
	one.once.Do(func() {
		var data []byte
		if data, one.err = t.read(path); one.err == nil {
			one.file, one.err = t.dialect.Parse(path, data)
		}
	})
	return one.file, one.err
}

// joinPath is Python's os.path.join: nothing is cleaned.
func joinPath(dir, name string) string {
	switch {
	case dir == "" || strings.HasPrefix(name, "/"):
		return name
	case strings.HasSuffix(dir, "/"):
		return dir + name
	}
	return dir + "/" + name
}

// dirName is Python's os.path.dirname: nothing is cleaned.
func dirName(path string) string {
	dir := path[:strings.LastIndexByte(path, '/')+1]
	if trimmed := strings.TrimRight(dir, "/"); trimmed != "" {
		return trimmed
	}
	return dir
}

// pythonPattern rewrites a fnmatch pattern for filepath.Match: sets are negated by !, and a backslash is no escape.
func pythonPattern(s string) string {
	return strings.NewReplacer(`[!`, `[^`, `\`, `\\`).Replace(s)
}

// pythonFiles shows a tree to Python code.
type pythonFiles struct{ t *tree }

// Stat implements [pyeval.Files].
func (p pythonFiles) Stat(path string) (fs.FileInfo, error) { return p.t.stat(path) }

// Lstat implements [pyeval.Files].
func (p pythonFiles) Lstat(path string) (fs.FileInfo, error) {
	if fsys, name := p.t.locate(filepath.Clean(path)); fsys != nil {
		return fs.Stat(fsys, name) // overlays hold no links
	}
	return os.Lstat(path)
}

// ReadFile implements [pyeval.Files].
func (p pythonFiles) ReadFile(path string) ([]byte, error) { return p.t.read(path) }

// ReadDir implements [pyeval.Files].
func (p pythonFiles) ReadDir(path string) ([]fs.DirEntry, error) {
	if _, err := p.t.stat(path); err != nil {
		return nil, err
	}
	return slices.Clone(p.t.readDir(path)), nil
}

// Readlink implements [pyeval.Files].
func (p pythonFiles) Readlink(path string) (string, error) {
	if fsys, _ := p.t.locate(filepath.Clean(path)); fsys != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: fs.ErrInvalid}
	}
	return os.Readlink(path)
}
