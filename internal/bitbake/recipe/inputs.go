package recipe

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"n3x/internal/bitbake/pyeval"
)

// fact is an input with what was seen of it.
type fact struct {
	input
	seen string
	// quick, when it is known, is what the inode said: as long as it says so, nothing has changed.
	quick mark
	// under is, for what does not exist, the nearest folder that does: as long as that has not changed, it does not exist.
	under string
}

// mark is what an inode says of a file's or folder's content; the zero mark says nothing.
type mark struct {
	dev, ino uint64
	size     int64
	changed  int64 // nanoseconds since 1970
	folder   bool
}

// clockMargin is how old a file must be, seen from the start of a load, before its time can be trusted to change when the
// file does: file systems count in steps of up to two seconds.
const clockMargin = 2 * time.Second

func (t *tree) mark(path string) mark {
	info, err := t.stat(path)
	if err != nil || !info.IsDir() && !info.Mode().IsRegular() {
		return mark{}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return mark{}
	}
	m := mark{dev: uint64(st.Dev), ino: st.Ino, size: info.Size(), changed: info.ModTime().UnixNano(), folder: info.IsDir()} //nolint:unconvert // Dev is narrower elsewhere
	return m
}

// changing is the checksum of a file that was another one each time it was read.
const changing = "changing"

// contentSum tells contents, and reasons why there is none, apart.
func contentSum(data []byte, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "-"
	case err != nil:
		return "!"
	}
	sum := sha256.Sum256(data)
	return string(sum[:])
}

// facts tells what inputs are now.
type facts struct {
	l     *loader
	ctx   context.Context
	start time.Time // when the load began
}

// of is the input as it is.
func (f *facts) of(in input) string {
	l := f.l
	switch in.kind {
	case inType:
		return l.tree.typeOf(in.name)
	case inContent:
		return l.tree.sum(in.name)
	case inFile:
		return l.tree.attributes(in.name)
	case inDir:
		return l.tree.listing(in.name)
	case inVariable:
		if in.name == "" {
			return encodeMap(l.opts.Environ)
		}
		return environmentValue(l.opts.Environ, in.name)
	case inEnviron:
		if in.name == "" {
			return encodeMap(l.environ)
		}
		return environmentValue(l.environ, in.name)
	case inNames:
		return strings.Join(l.inherited, " ")
	case inLayer:
		if l.opts.LayerPath == nil {
			return in.name
		}
		return l.opts.LayerPath(in.name)
	case inRun:
		return f.answer(in.name)
	}
	return changing
}

func environmentValue(environ map[string]string, name string) string {
	if v, ok := environ[name]; ok {
		return "=" + v
	}
	return "-"
}

func encodeMap(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%q=%q ", k, m[k])
	}
	return b.String()
}

func (t *tree) typeOf(path string) string {
	info, err := t.stat(path)
	switch {
	case err != nil:
		return "-"
	case info.IsDir():
		return "d"
	case info.Mode().IsRegular():
		return "f"
	}
	return "o"
}

func (t *tree) sum(path string) string {
	if s, ok := t.sums.Load(path); ok {
		return s.(string)
	}
	if info, err := t.stat(path); err == nil && !info.Mode().IsRegular() {
		return "!"
	}
	_, _ = t.read(path)
	s, _ := t.sums.Load(path)
	return s.(string)
}

// attributes are all of a file but, of a folder, what is in it.
func (t *tree) attributes(path string) string {
	target := ""
	if fsys, _ := t.locate(filepath.Clean(path)); fsys == nil {
		if to, err := os.Readlink(path); err == nil {
			target = " -> " + to
		}
	}
	info, err := t.stat(path)
	if err != nil {
		return "-" + target
	}
	if !info.Mode().IsRegular() {
		return info.Mode().Type().String() + target
	}
	return fmt.Sprintf("%s %d %d %s%s", info.Mode(), info.Size(), info.ModTime().UnixNano(), t.sum(path), target)
}

// listing is the names in a folder with their types.
func (t *tree) listing(path string) string {
	h := sha256.New()
	if typ := t.typeOf(path); typ != "d" {
		return typ
	}
	for _, e := range t.readDir(path) {
		fmt.Fprintf(h, "%s\x00%d\x00", e.Name(), e.Type())
	}
	return string(h.Sum(nil))
}

// encodeCommand is a command as text.
func encodeCommand(c pyeval.Command) string {
	text, _ := json.Marshal(c) // strings, bytes and a map of strings
	return string(text)
}

// answer runs a command once.
func (f *facts) answer(command string) string {
	if known, ok := f.l.answers.Load(command); ok {
		return known.(string)
	}
	var c pyeval.Command
	if f.l.run == nil || json.Unmarshal([]byte(command), &c) != nil {
		return changing
	}
	result, err := f.l.run(f.ctx, c)
	known, _ := f.l.answers.LoadOrStore(command, encodeResult(result, err))
	return known.(string)
}

func encodeResult(r pyeval.Result, err error) string {
	if err != nil {
		return "! " + err.Error()
	}
	text, _ := json.Marshal(r)
	return string(text)
}

// fact is an input as it is, ready to be written down.
func (f *facts) fact(in input) fact {
	out := fact{input: in}
	if in.kind == inContent || in.kind == inFile {
		// What only CPython has read is read now: that must not be later than a change of it.
		_, known := f.l.tree.sums.Load(in.name)
		if m := f.l.tree.mark(in.name); !known && m.changed > f.start.Add(-100*time.Millisecond).UnixNano() && !m.folder {
			out.seen = changing
			return out
		}
	}
	out.seen = f.of(in)
	switch in.kind {
	case inType, inContent, inFile:
		if out.seen == "-" {
			out.under = f.nearest(in.name)
			return out
		}
		if in.kind != inType && !strings.Contains(out.seen, " -> ") {
			out.quick = f.trusted(in.name)
		}
	case inDir:
		out.quick = f.trusted(in.name)
	}
	return out
}

// trusted is the mark of a path, unless that is so young that the path could change without it.
func (f *facts) trusted(path string) mark {
	m := f.l.tree.mark(path)
	if m.changed > f.start.Add(-clockMargin).UnixNano() {
		return mark{}
	}
	return m
}

// nearest is the folder on disk that a missing path would begin in, if its mark can be trusted.
func (f *facts) nearest(path string) string {
	if fsys, _ := f.l.tree.locate(filepath.Clean(path)); fsys != nil {
		return ""
	}
	clean := filepath.Clean(path)
	if clean != path && strings.Contains(path, "..") || !filepath.IsAbs(path) {
		return ""
	}
	dir := filepath.Dir(clean)
	for f.l.tree.typeOf(dir) == "-" && dir != "/" {
		dir = filepath.Dir(dir)
	}
	if f.l.tree.typeOf(dir) != "d" || f.trusted(dir) == (mark{}) {
		return ""
	}
	return dir
}

// outdated reports whether a fact that holds could be confirmed faster if it were written down anew.
func (f *facts) outdated(was fact) bool {
	switch was.kind {
	case inContent, inFile, inDir:
		return !strings.Contains(was.seen, " -> ") && f.trusted(was.name) != was.quick
	}
	return false
}

// holds reports whether an input still is what it was. folders are the marks of the folders that missing paths are under.
func (f *facts) holds(was fact, folders map[string]mark) bool {
	if was.quick != (mark{}) && f.l.tree.mark(was.name) == was.quick {
		return true
	}
	if m := folders[was.under]; was.under != "" && m != (mark{}) && f.l.tree.mark(was.under) == m {
		return true
	}
	return was.kind != inNothing && was.seen != changing && f.of(was.input) == was.seen
}
