// SPDX-License-Identifier: MIT

package pyeval

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

func makeOSPath() *module {
	return ns("os.path", map[string]impl{
		"basename": pathFunc(func(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }),
		"dirname":  pathFunc(pathDir),
		"normpath": pathFunc(pathNorm),
		"isabs": func(_ *run, a args) (starlark.Value, error) {
			p, err := onePath(a)
			return boolean(strings.HasPrefix(p, "/")), err
		},
		"join": pathJoin, "split": pathSplit, "splitext": pathSplitext, "abspath": pathAbs, "relpath": pathRel, "realpath": pathReal,
		"commonprefix": pathCommonPrefix, "commonpath": pathCommonPath, "expanduser": pathExpandUser, "exists": pathExists,
		"lexists": pathTest(Files.Lstat, func(fs.FileInfo) bool { return true }),
		"isfile":  pathTest(Files.Stat, func(i fs.FileInfo) bool { return i.Mode().IsRegular() }),
		"isdir":   pathTest(Files.Stat, fs.FileInfo.IsDir),
		"islink":  pathTest(Files.Lstat, func(i fs.FileInfo) bool { return i.Mode()&fs.ModeSymlink != 0 }),
		"getsize": pathStat(func(i fs.FileInfo) starlark.Value { return starlark.MakeInt64(i.Size()) }),
		"getmtime": pathStat(func(i fs.FileInfo) starlark.Value {
			return starlark.Float(float64(i.ModTime().Unix()) + float64(i.ModTime().Nanosecond())*1e-9)
		}),
	}, map[string]starlark.Value{"sep": text("/"), "pardir": text(".."), "curdir": text("."), "extsep": text(".")})
}

func onePath(a args) (string, error) {
	if err := a.exactly(1); err != nil {
		return "", err
	}
	s, ok := a.pos[0].(starlark.String)
	if !ok {
		return "", raise(typeError, "expected str, bytes or os.PathLike object, not %s", typeName(a.pos[0]))
	}
	return string(s), nil
}

func pathFunc(f func(string) string) impl {
	return func(_ *run, a args) (starlark.Value, error) {
		p, err := onePath(a)
		if err != nil {
			return nil, err
		}
		return text(f(p)), nil
	}
}

func pathDir(p string) string {
	head := p[:strings.LastIndexByte(p, '/')+1]
	if strings.Trim(head, "/") != "" {
		return strings.TrimRight(head, "/")
	}
	return head
}

// pathNorm is posixpath.normpath, where two leading slashes stay two.
func pathNorm(p string) string {
	if p == "" {
		return "."
	}
	clean := path.Clean(p)
	if strings.HasPrefix(p, "//") && !strings.HasPrefix(p, "///") {
		return "/" + clean
	}
	return clean
}

func pathJoin(_ *run, a args) (starlark.Value, error) {
	if len(a.kw) > 0 || len(a.pos) == 0 {
		return nil, raise(typeError, "join() missing 1 required positional argument: 'a'")
	}
	out := ""
	for i, v := range a.pos {
		p, ok := v.(starlark.String)
		switch {
		case !ok:
			return nil, raise(typeError, "join() argument must be str, bytes, or os.PathLike object, not '%s'", typeName(v))
		case i == 0 || strings.HasPrefix(string(p), "/"):
			out = string(p)
		case out == "" || strings.HasSuffix(out, "/"):
			out += string(p)
		default:
			out += "/" + string(p)
		}
	}
	return text(out), nil
}

func pathSplit(_ *run, a args) (starlark.Value, error) {
	p, err := onePath(a)
	if err != nil {
		return nil, err
	}
	return starlark.Tuple{text(pathDir(p)), text(p[strings.LastIndexByte(p, '/')+1:])}, nil
}

// pathSplitext splits at the last dot; leading dots of the name belong to the name.
func pathSplitext(_ *run, a args) (starlark.Value, error) {
	p, err := onePath(a)
	if err != nil {
		return nil, err
	}
	base := strings.LastIndexByte(p, '/') + 1
	dot := strings.LastIndexByte(p, '.')
	if dot < base || strings.Trim(p[base:dot], ".") == "" {
		return starlark.Tuple{text(p), text("")}, nil
	}
	return starlark.Tuple{text(p[:dot]), text(p[dot:])}, nil
}

func pathAbs(r *run, a args) (starlark.Value, error) {
	p, err := onePath(a)
	if err != nil {
		return nil, err
	}
	if p == "" {
		p = "."
	}
	full, err := r.absolute(p)
	return text(pathNorm(full)), err
}

func pathRel(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("path", "start?")
	if err != nil {
		return nil, err
	}
	if isNone(v[1]) {
		v[1] = text(".")
	}
	var parts [2][]string
	for i, x := range v {
		p, err := a.wantStr(x)
		if err != nil {
			return nil, err
		}
		if p == "" && i == 0 {
			return nil, raise(valueError, "no path specified")
		}
		if p == "" {
			p = "."
		}
		full, err := r.absolute(p)
		if err != nil {
			return nil, err
		}
		parts[i] = strings.FieldsFunc(pathNorm(full), func(c rune) bool { return c == '/' })
	}
	same := 0
	for same < min(len(parts[0]), len(parts[1])) && parts[0][same] == parts[1][same] {
		same++
	}
	out := slices.Repeat([]string{".."}, len(parts[1])-same)
	out = append(out, parts[0][same:]...)
	if len(out) == 0 {
		return text("."), nil
	}
	return text(strings.Join(out, "/")), nil
}

// pathReal resolves symbolic links as far as the path exists.
func pathReal(r *run, a args) (starlark.Value, error) {
	p, err := onePath(a)
	if err != nil {
		return nil, err
	}
	full, err := r.absolute(p)
	if err != nil {
		return nil, err
	}
	todo := strings.Split(full, "/")
	at, links := "/", 0
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		target, err := r.files().Readlink(next)
		if err != nil {
			at = next
			continue
		}
		if links++; links > 40 {
			return nil, unsupported("os.path.realpath() of a loop of links")
		}
		if path.IsAbs(target) {
			at = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return text(at), nil
}

func pathCommonPrefix(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	items, err := r.collect(a.pos[0])
	if err != nil || len(items) == 0 {
		return text(""), err
	}
	var prefix []rune
	for i, v := range items {
		s, ok := v.(starlark.String)
		if !ok {
			return nil, unsupported("os.path.commonprefix() of %s values", typeName(v))
		}
		if i == 0 {
			prefix = []rune(string(s))
			continue
		}
		n := 0
		for _, c := range string(s) {
			if n == len(prefix) || prefix[n] != c {
				break
			}
			n++
		}
		prefix = prefix[:n]
	}
	return text(string(prefix)), nil
}

func pathExpandUser(r *run, a args) (starlark.Value, error) {
	p, err := onePath(a)
	if err != nil || !strings.HasPrefix(p, "~") {
		return text(p), err
	}
	home, set := r.environ("HOME")
	if p != "~" && !strings.HasPrefix(p, "~/") || !set {
		return nil, unsupported("os.path.expanduser(%q)", p)
	}
	if home = strings.TrimRight(home, "/") + p[1:]; home == "" {
		home = "/"
	}
	return text(home), nil
}

func pathExists(r *run, a args) (starlark.Value, error) {
	return pathTest(Files.Stat, func(fs.FileInfo) bool { return true })(r, a)
}

func pathTest(stat func(Files, string) (fs.FileInfo, error), ok func(fs.FileInfo) bool) impl {
	return func(r *run, a args) (starlark.Value, error) {
		p, err := onePath(a)
		if err != nil {
			return nil, err
		}
		if p == "" || strings.Contains(p, "\x00") {
			return boolean(false), nil
		}
		full, err := r.absolute(p)
		if err != nil {
			return nil, err
		}
		info, err := stat(r.types(), full)
		return boolean(err == nil && ok(info)), nil
	}
}

func pathStat(get func(fs.FileInfo) starlark.Value) impl {
	return func(r *run, a args) (starlark.Value, error) {
		p, err := onePath(a)
		if err != nil {
			return nil, err
		}
		full, err := r.absolute(p)
		if err != nil {
			return nil, err
		}
		info, err := r.files().Stat(full)
		if err != nil {
			return nil, osException(err, p)
		}
		return get(info), nil
	}
}
