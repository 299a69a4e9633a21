// SPDX-License-Identifier: MIT

package pyeval

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// hostFiles is the file system of the host.
type hostFiles struct{}

func (hostFiles) Stat(path string) (fs.FileInfo, error)      { return os.Stat(path) }
func (hostFiles) Lstat(path string) (fs.FileInfo, error)     { return os.Lstat(path) }
func (hostFiles) ReadFile(path string) ([]byte, error)       { return os.ReadFile(path) }
func (hostFiles) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
func (hostFiles) Readlink(path string) (string, error)       { return os.Readlink(path) }

// openFile is an open file, read as a whole.
type openFile struct {
	opaque
	name   string
	whole  string
	rest   string
	binary bool
	closed bool
	status starlark.Value // what close() gives; nil is None
}

func (*openFile) String() string { return "<file>" }
func (*openFile) Type() string   { return "_io.TextIOWrapper" }

// absolute resolves a path against the current directory.
func (r *run) absolute(p string) (string, error) {
	if path.IsAbs(p) {
		return p, nil
	}
	if r.in.opts.Cwd == "" {
		return "", unsupported("the relative path %q without a current directory", p)
	}
	return strings.TrimSuffix(r.in.opts.Cwd, "/") + "/" + p, nil
}

// osException is the OSError for a Go error.
func osException(err error, name string) error {
	class, number, msg := osError, 5, "Input/output error"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		class, number, msg = fileNotFoundError, 2, "No such file or directory"
	case errors.Is(err, fs.ErrPermission):
		class, number, msg = permissionError, 13, "Permission denied"
	case strings.Contains(err.Error(), "not a directory"):
		class, number, msg = notADirectoryError, 20, "Not a directory"
	case strings.Contains(err.Error(), "is a directory"):
		class, number, msg = isADirectoryError, 21, "Is a directory"
	case strings.Contains(err.Error(), "invalid argument"):
		number, msg = 22, "Invalid argument"
	}
	return &raised{&exc{
		class: class, args: starlark.Tuple{starlark.MakeInt(number), text(msg)}, cause: err,
		attrs: map[string]starlark.Value{"errno": starlark.MakeInt(number), "strerror": text(msg), "filename": text(name)},
	}}
}

// biOpen is open() for reading.
func biOpen(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("file", "mode?", "buffering?", "encoding?", "errors?", "newline?")
	if err != nil {
		return nil, err
	}
	name, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	mode := "r"
	if v[1] != nil {
		if mode, err = a.wantStr(v[1]); err != nil {
			return nil, err
		}
	}
	switch mode {
	case "r", "rt", "rb":
	default:
		return nil, unsupported("open() with mode %q", mode)
	}
	if !isNone(v[2]) || !isNone(v[4]) || !isNone(v[5]) {
		return nil, unsupported("open() with these arguments")
	}
	if asciiOnly, err := codec(v[3]); err != nil || asciiOnly {
		return nil, unsupported("open() with this encoding")
	}
	full, err := r.absolute(name)
	if err != nil {
		return nil, err
	}
	content, err := r.files().ReadFile(full)
	if err != nil {
		return nil, osException(err, name)
	}
	f := &openFile{name: name, rest: string(content), binary: mode == "rb"}
	if !f.binary {
		if !utf8.Valid(content) {
			return nil, unsupported("the file %s, which is not UTF-8", name)
		}
		f.rest = universalNewlines(f.rest)
	}
	if f.rest == string(content) {
		f.whole = f.rest // else places in it are not those in the file
	}
	return f, sized(len(content), maxText)
}

func (f *openFile) value(s string) starlark.Value {
	if f.binary {
		return starlark.Bytes(s)
	}
	return text(s)
}

// line takes the next line with its end; "" at the end of the file.
func (f *openFile) line() string {
	n := strings.IndexByte(f.rest, '\n') + 1
	if n == 0 {
		n = len(f.rest)
	}
	s := f.rest[:n]
	f.rest = f.rest[n:]
	return s
}

func (f *openFile) lines() nextFunc {
	return func() (starlark.Value, bool, error) {
		if f.closed {
			return nil, false, raise(valueError, "I/O operation on closed file.")
		}
		s := f.line()
		return f.value(s), s != "", nil
	}
}

func (f *openFile) attr(name string) (starlark.Value, error) {
	var do func(r *run) (starlark.Value, error)
	switch name {
	case "read":
		do = func(*run) (starlark.Value, error) {
			s := f.rest
			f.rest = ""
			return f.value(s), nil
		}
	case "readline":
		do = func(*run) (starlark.Value, error) { return f.value(f.line()), nil }
	case "readlines":
		do = func(r *run) (starlark.Value, error) {
			vs, err := r.collect(f)
			return list(vs), err
		}
	case "close":
		return builtin(name, func(_ *run, a args) (starlark.Value, error) {
			f.closed = true
			if f.status != nil {
				return f.status, a.exactly(0)
			}
			return starlark.None, a.exactly(0)
		}), nil
	case "seek":
		return builtin(name, func(_ *run, a args) (starlark.Value, error) { return f.seek(a) }), nil
	case "name":
		return text(f.name), nil
	case "closed":
		return boolean(f.closed), nil
	default:
		return nil, unsupported("the method %s of a file", name)
	}
	return builtin(name, func(r *run, a args) (starlark.Value, error) {
		if err := a.exactly(0); err != nil {
			return nil, unsupported("%s() of a file with arguments", name)
		}
		if f.closed {
			return nil, raise(valueError, "I/O operation on closed file.")
		}
		return do(r)
	}), nil
}
