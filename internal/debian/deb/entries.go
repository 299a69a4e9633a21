package deb

import (
	"archive/tar"
	"fmt"
	"path"
	"sort"
	"strings"
	"time"
)

// normalEntries sorts, completes and normalises the entries of data.tar.
func normalEntries(c Contents) ([]Entry, error) {
	byName := make(map[string]Entry, len(c.Data)+8)
	for _, e := range c.Data {
		e, err := normalEntry(e, c)
		if err != nil {
			return nil, err
		}
		if _, twice := byName[e.Name]; twice {
			return nil, fmt.Errorf("%s occurs twice in the package", e.Name)
		}
		byName[e.Name] = e
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	for _, name := range names {
		for dir := parent(name); ; dir = parent(dir) {
			if _, ok := byName[dir]; ok {
				break
			}
			byName[dir] = folder(dir, c.ModTime)
			if dir == "./" {
				break
			}
		}
	}
	if len(byName) == 0 {
		byName["./"] = folder("./", c.ModTime)
	}
	all := make([]Entry, 0, len(byName))
	for _, e := range byName {
		all = append(all, e)
	}
	sort.Slice(all, func(i, j int) bool {
		if a, b := all[i].Typeflag == tar.TypeSymlink, all[j].Typeflag == tar.TypeSymlink; a != b {
			return b // dpkg-deb puts links behind all that they may lead to
		}
		return less(all[i].Name, all[j].Name)
	})
	for i, e := range all {
		if e.Typeflag == tar.TypeLink { // its target must come first
			if t, ok := byName[e.Linkname]; !ok || t.Typeflag != tar.TypeReg || !less(e.Linkname, e.Name) {
				return nil, fmt.Errorf("hard link %s: its target %s is not an earlier file of the package", e.Name, e.Linkname)
			}
			all[i].Size = 0
		}
	}
	return all, nil
}

func normalEntry(e Entry, c Contents) (Entry, error) {
	for part := range strings.SplitSeq(e.Name, "/") {
		if part == ".." {
			return e, fmt.Errorf("file name %q leaves the package", e.Name)
		}
	}
	h := tar.Header{
		Name: normalName(e.Name), Typeflag: e.Typeflag, Linkname: e.Linkname, Mode: e.Mode & 0o7777,
		Size: e.Size, ModTime: e.ModTime.Truncate(time.Second), Uname: "root", Gname: "root", Format: tar.FormatGNU,
	}
	if c.KeepOwner {
		h.Uid, h.Gid, h.Uname, h.Gname = e.Uid, e.Gid, e.Uname, e.Gname
	}
	if h.ModTime.After(c.ModTime) {
		h.ModTime = c.ModTime
	}
	if len(e.PAXRecords) > 0 {
		return e, fmt.Errorf("%s: a Debian package cannot hold extended attributes or capabilities", e.Name)
	}
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeLink:
		h.Linkname = normalName(h.Linkname)
		h.Size = 0
	case tar.TypeDir:
		h.Name = strings.TrimSuffix(h.Name, "/") + "/"
		h.Size = 0
	case tar.TypeSymlink:
		h.Mode, h.Size = 0o777, 0
	case tar.TypeFifo:
		h.Size = 0
	default:
		return e, fmt.Errorf("%s: a file of tar type %q cannot be packaged", e.Name, h.Typeflag)
	}
	e.Header = h
	return e, nil
}

// normalName is how dpkg-deb writes names: "./usr/bin/x".
func normalName(name string) string {
	name = path.Clean("/" + name)
	return "." + name
}

func parent(name string) string {
	dir := path.Dir(strings.TrimSuffix(name, "/"))
	if dir == "." {
		return "./"
	}
	return "./" + dir + "/"
}

// less puts a folder before what it holds, and siblings in byte order.
func less(a, b string) bool {
	return strings.ReplaceAll(strings.TrimSuffix(a, "/"), "/", "\x00") < strings.ReplaceAll(strings.TrimSuffix(b, "/"), "/", "\x00")
}

func folder(name string, mtime time.Time) Entry {
	return Entry{Header: tar.Header{
		Name: name, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: mtime, Uname: "root", Gname: "root", Format: tar.FormatGNU,
	}}
}
