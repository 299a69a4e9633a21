package rootfs

import (
	"regexp"
	"strings"

	"n3x/internal/diag"
)

// FileConflict is why dpkg gave a package up that has a file of another one, and neither says that it replaces the other.
// Diversions, Replaces and files that instances of a Multi-Arch: same package share are dpkg's to judge; what it accepts
// is no conflict.
type FileConflict struct {
	Path    string // e.g. "/usr/bin/x"
	Package string // the one that could not be unpacked
	Other   string // the one that has the file; Package itself when it is another architecture's instance; "" for a diversion
	What    string // how the conflict came about, in words
}

// Error implements error.
func (f *FileConflict) Error() string { return f.What }

// clashes are dpkg's texts (1.21, and 1.22, which puts the version in brackets).
var clashes = []struct {
	text *regexp.Regexp
	what string // %1 is the path, %2 the other package, %p the one that was given up
}{
	{regexp.MustCompile(`^trying to overwrite '(.+)', which is also in package (\S+) \(?\S+$`), "%1 is in package %p and in package %2"},
	{regexp.MustCompile(`^trying to overwrite directory '(.+)' in package (\S+) \S+ with nondirectory$`), "%1 is a file in package %p and a folder in package %2"},
	{regexp.MustCompile(`^trying to overwrite shared '(.+)', which is different from other instances of package (\S+)$`),
		"%1 differs between the architectures of package %p, which is Multi-Arch: same"},
	{regexp.MustCompile(`^trying to overwrite '(.+)', which is the diverted version of '(.+)'`), "%1 is in package %p, and it is where %2 was diverted to"},
}

// conflict reads a failure; nil when it is of another kind.
func (f failure) conflict() *FileConflict {
	for i, c := range clashes {
		m := c.text.FindStringSubmatch(f.why)
		if m == nil {
			continue
		}
		out := &FileConflict{Path: m[1], Package: f.name()}
		switch i {
		case 2:
			out.Other = out.Package
		case 3:
		default:
			out.Other, _, _ = strings.Cut(m[2], ":")
		}
		out.What = strings.NewReplacer("%1", m[1], "%2", m[2], "%p", out.Package).Replace(c.what)
		return out
	}
	return nil
}

// explained is the conflict as an error.
func (f *FileConflict) explained() *diag.Error {
	e := diag.Failedf(diag.Pos{}, "install %s: %s", f.Package, f.What)
	switch f.Other {
	case "":
		return e.WithHint("give the file in %s another name, or undo the diversion", f.Package)
	case f.Package:
		return e.WithHint("make the file equal, put it into a package of its own, or leave out Multi-Arch: same")
	}
	return e.WithHint("leave the file out of one of them; if one takes it over, let it say Replaces: and the other's name, and Conflicts: if the two do not go together")
}
