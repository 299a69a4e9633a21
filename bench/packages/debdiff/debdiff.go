// SPDX-License-Identifier: MIT

// Package debdiff compares binary packages (deb(5)) that two programs made of the same sources: control fields, control
// files, maintainer scripts, and each entry of the file system with type, mode, owner, link target, content and time.
//
// It takes folders of .deb files, in which packages are matched by name and architecture, and gives differences that each
// belong to a class, so that a reader sees at once whether something that matters is among them. What a build may say in
// other words is normalised first: the version of debhelper in the marks of maintainer scripts, blanks and comments there,
// and the compression of files that are compressed. It refuses what package deb cannot read.
package debdiff

import (
	"cmp"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Class says what kind of difference it is; see the constants.
type Class string

// The classes, the most important first: in this order they are printed.
const (
	Missing    Class = "package"    // a package is in one folder only
	Field      Class = "field"      // a control field has another value or is in one package only
	Files      Class = "files"      // a path is in one package only
	Type       Class = "type"       // a path is a file here and something else there
	Mode       Class = "mode"       // permission bits, with setuid, setgid and sticky
	Owner      Class = "owner"      // name and number of user or group
	Link       Class = "link"       // target of a symbolic or hard link
	Content    Class = "content"    // bytes of a file; for compressed ones, uncompressed
	Changelog  Class = "changelog"  // content of a changelog
	Conffiles  Class = "conffiles"  // the list of configuration files
	Script     Class = "script"     // a maintainer script, normalised
	Control    Class = "control"    // another control file: triggers, shlibs, symbols, md5sums, ...
	Size       Class = "size"       // Installed-Size
	Compressed Class = "compressed" // a compressed file has the same content and other bytes
	Form       Class = "form"       // the package's members, the order of fields, modes of control files; other bytes that say the same
	Order      Class = "order"      // order of entries in data.tar
	Time       Class = "time"       // time of an entry
)

// Classes lists all classes in the order of their importance.
func Classes() []Class {
	return []Class{Missing, Field, Files, Type, Mode, Owner, Link, Content, Changelog, Conffiles, Script, Control, Size, Compressed, Form, Order, Time}
}

// Difference is one thing in which two packages differ.
type Difference struct {
	Package string // name and architecture, e.g. "hello:amd64"
	Class   Class
	What    string // the field, path or control file, e.g. "Depends", "usr/bin/hello", "postinst"
	A, B    string // the values, shortened for people; "" when it is absent there
}

// String is the difference on one line.
func (d Difference) String() string {
	show := func(s string) string {
		if s == "" {
			return "(nothing)"
		}
		return s
	}
	return fmt.Sprintf("%s: %s %s: %s | %s", d.Package, d.Class, d.What, show(d.A), show(d.B))
}

// Report is what the comparison of two folders found.
type Report struct {
	Compared    int          // packages that are in both folders
	Identical   int          // packages of these that are bit-identical
	Differences []Difference // sorted by class, package and place
}

// Without gives the differences that are of none of the classes.
func (r Report) Without(classes ...Class) []Difference {
	return slices.DeleteFunc(slices.Clone(r.Differences), func(d Difference) bool { return slices.Contains(classes, d.Class) })
}

// Folders compares the packages below a with those below b.
func Folders(a, b string) (Report, error) {
	left, err := packages(a)
	if err != nil {
		return Report{}, err
	}
	right, err := packages(b)
	if err != nil {
		return Report{}, err
	}
	var r Report
	for _, key := range keys(left, right) {
		l, r2 := left[key], right[key]
		if l == "" || r2 == "" {
			r.Differences = append(r.Differences, Difference{Package: key, Class: Missing, What: "", A: filepath.Base(zeroDot(l)), B: filepath.Base(zeroDot(r2))})
			continue
		}
		d, same, err := compareFiles(key, l, r2)
		if err != nil {
			return Report{}, err
		}
		r.Compared++
		if same {
			r.Identical++
		}
		r.Differences = append(r.Differences, d...)
	}
	r.sort()
	return r, nil
}

// Packages compares two .deb files.
func Packages(a, b string) ([]Difference, error) {
	p, err := open(a)
	if err != nil {
		return nil, err
	}
	d, _, err := compareFiles(p.key(), a, b)
	r := Report{Differences: d}
	r.sort()
	return r.Differences, err
}

func (r *Report) sort() {
	order := Classes()
	slices.SortStableFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Class), slices.Index(order, b.Class)), strings.Compare(a.Package, b.Package), strings.Compare(a.What, b.What))
	})
}

// packages finds the .deb files below dir; the same file name twice is the same package, as in a work folder and in a pool.
func packages(dir string) (map[string]string, error) {
	out := map[string]string{}
	seen := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(path, ".deb") || seen[d.Name()] {
			return err
		}
		seen[d.Name()] = true
		p, err := open(path)
		if err != nil {
			return err
		}
		if other := out[p.key()]; other != "" {
			return fmt.Errorf("%s and %s are the same package in two versions: compare folders that hold one of them", other, path)
		}
		out[p.key()] = path
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s holds no .deb", dir)
	}
	return out, err
}

func zeroDot(path string) string {
	if path == "" {
		return "-"
	}
	return path
}

// keys gives the keys of both maps, sorted.
func keys[V any](a, b map[string]V) []string {
	var out []string
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, both := a[k]; !both {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}
