// SPDX-License-Identifier: MIT

package pyeval

import (
	"path"
	"strings"

	"go.starlark.net/starlark"
)

// pathValue is a pathlib.Path.
type pathValue struct {
	opaque
	path string // as str() gives it
}

func (*pathValue) String() string          { return "<Path>" }
func (*pathValue) Type() string            { return "PosixPath" }
func (p *pathValue) Hash() (uint32, error) { return identity(p.path) }

func makePathlib() *module {
	t := &pyType{name: "Path", has: func(v starlark.Value) bool { _, ok := v.(*pathValue); return ok }}
	t.call = func(_ *run, a args) (starlark.Value, error) {
		if len(a.kw) > 0 {
			return nil, unsupported("Path() with keyword arguments")
		}
		return joinPaths(a.pos)
	}
	return ns("pathlib", nil, map[string]starlark.Value{"Path": t})
}

// joinPaths makes a path of parts; each absolute one starts anew.
func joinPaths(parts []starlark.Value) (starlark.Value, error) {
	out := ""
	for _, part := range parts {
		s := ""
		switch part := part.(type) {
		case starlark.String:
			s = string(part)
		case *pathValue:
			s = part.path
		default:
			return nil, raise(typeError, "argument should be a str or an os.PathLike object where __fspath__ returns a str, not '%s'", typeName(part))
		}
		switch {
		case strings.HasPrefix(s, "//"), strings.Contains("/"+s+"/", "/../"):
			return nil, unsupported("the path %q in pathlib", s)
		case strings.HasPrefix(s, "/"):
			out = s
		case s != "":
			out += "/" + s
		}
		if !strings.HasPrefix(s, "/") {
			out = strings.TrimPrefix(out, "/")
			if len(parts) > 0 && isAbsolutePart(parts[0]) {
				out = "/" + out
			}
		}
	}
	return &pathValue{path: path.Clean(out)}, nil
}

func isAbsolutePart(v starlark.Value) bool {
	switch v := v.(type) {
	case starlark.String:
		return strings.HasPrefix(string(v), "/")
	case *pathValue:
		return strings.HasPrefix(v.path, "/")
	}
	return false
}

// attr is what a path says about itself, and reading its file.
func (p *pathValue) attr(_ *run, name string) (starlark.Value, error) {
	base := path.Base(p.path)
	if p.path == "/" || p.path == "." {
		base = ""
	}
	ext := path.Ext(base)
	if ext == base || ext == "." {
		ext = ""
	}
	switch name {
	case "parent":
		return &pathValue{path: path.Dir(p.path)}, nil
	case "name":
		return text(base), nil
	case "suffix":
		return text(ext), nil
	case "stem":
		return text(strings.TrimSuffix(base, ext)), nil
	case "open":
		return builtin(name, func(r *run, a args) (starlark.Value, error) {
			return biOpen(r, args{a.fn, append(starlark.Tuple{text(p.path)}, a.pos...), a.kw})
		}), nil
	case "exists", "is_file", "is_dir":
		return builtin(name, func(r *run, a args) (starlark.Value, error) {
			if err := a.exactly(0); err != nil {
				return nil, err
			}
			full, err := r.absolute(p.path)
			if err != nil {
				return nil, err
			}
			info, err := r.files().Stat(full)
			ok := err == nil && (name == "exists" || name == "is_dir" && info.IsDir() || name == "is_file" && info.Mode().IsRegular())
			return boolean(ok), nil
		}), nil
	}
	return nil, unsupported("the attribute %s of a Path", name)
}
