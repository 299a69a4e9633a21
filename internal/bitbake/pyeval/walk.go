// SPDX-License-Identifier: MIT

package pyeval

import (
	"io/fs"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// osWalk is os.walk: (folder, names of folders, names of files), from the top. The consumer may
// take names out of the second list, so that these are not entered. Names are sorted; CPython's
// order is that of the directory, which nobody may depend on.
func osWalk(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("top", "topdown?")
	if err != nil || !truthy(v[1], true) {
		return nil, unsupported("os.walk() with these arguments")
	}
	top, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	todo := []string{top}
	var parent string
	var last *starlark.List
	next := func() (starlark.Value, bool, error) {
		if last != nil {
			var subs []string
			for _, name := range elems(last) {
				s, err := a.wantStr(name)
				if err != nil {
					return nil, false, err
				}
				subs = append(subs, strings.TrimSuffix(parent, "/")+"/"+s)
			}
			todo, last = append(subs, todo...), nil
		}
		for len(todo) > 0 {
			parent, todo = todo[0], todo[1:]
			full, err := r.absolute(parent)
			if err != nil {
				return nil, false, err
			}
			if info, err := r.types().Lstat(full); parent != top && err == nil && info.Mode()&fs.ModeSymlink != 0 {
				continue // links to folders are listed, not followed
			}
			entries, err := r.files().ReadDir(full)
			if err != nil {
				continue
			}
			dirs, files, err := r.sorted(full, entries)
			if err != nil {
				return nil, false, err
			}
			last = texts(dirs).(*starlark.List)
			return starlark.Tuple{text(parent), last, texts(files)}, true, nil
		}
		return nil, false, nil
	}
	return &iterator{kind: "generator", next: next}, nil
}

// sorted tells folders (also through links) from everything else.
func (r *run) sorted(dir string, entries []fs.DirEntry) (dirs, files []string, err error) {
	for _, e := range entries {
		isDir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			info, err := r.types().Stat(dir + "/" + e.Name())
			isDir = err == nil && info.IsDir()
		}
		if isDir {
			dirs = append(dirs, e.Name())
		} else {
			files = append(files, e.Name())
		}
	}
	slices.Sort(dirs)
	slices.Sort(files)
	return dirs, files, r.tick(uint64(len(entries)) + 1)
}

// osStat is os.stat or os.lstat, with the fields that metadata reads.
func osStat(stat func(Files, string) (fs.FileInfo, error)) impl {
	return func(r *run, a args) (starlark.Value, error) {
		if err := a.exactly(1); err != nil {
			return nil, unsupported("os.%s() with these arguments", a.fn)
		}
		name, full, err := r.pathArg(a, a.pos[0])
		if err != nil {
			return nil, err
		}
		info, err := stat(r.files(), full)
		if err != nil {
			return nil, osException(err, name)
		}
		return &namespace{kind: "os.stat_result", attrs: map[string]starlark.Value{
			"st_size":  starlark.MakeInt64(info.Size()),
			"st_mtime": starlark.Float(float64(info.ModTime().Unix()) + float64(info.ModTime().Nanosecond())*1e-9),
		}}, nil
	}
}
