package debian

import (
	"fmt"
	"strings"
)

// String is the relation as a control file writes it, e.g. "libc6:any (>= 2.38) [amd64 !i386] <!nocheck>".
func (r Relation) String() string {
	var b strings.Builder
	b.WriteString(r.Name)
	if r.ArchQual != "" {
		b.WriteByte(':')
		b.WriteString(r.ArchQual)
	}
	if r.Op != "" {
		b.WriteString(" (" + r.Op + " " + string(r.Version) + ")")
	}
	if len(r.Arches) > 0 {
		b.WriteString(" [" + strings.Join(r.Arches, " ") + "]")
	}
	for _, p := range r.Profiles {
		b.WriteString(" <" + strings.Join(p, " ") + ">")
	}
	return b.String()
}

// String joins the alternatives with " | ".
func (a Alternatives) String() string { return join(a, " | ") }

// String is the field's value on one line, e.g. "libc6 (>= 2.38), awk | mawk".
func (d Dependency) String() string { return join(d, ", ") }

func join[T fmt.Stringer](list []T, sep string) string {
	if len(list) == 1 {
		return list[0].String()
	}
	var b strings.Builder
	for i, e := range list {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(e.String())
	}
	return b.String()
}

// SatisfiedBy reports whether version v fulfils r's version restriction. No version (an unversioned Provides)
// fulfils only a relation without one.
func (r Relation) SatisfiedBy(v Version) bool {
	if r.Op == "" {
		return true
	}
	if v == "" {
		return false
	}
	c := v.Compare(r.Version)
	switch r.Op {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	case ">>":
		return c > 0
	}
	return false
}

// ID names the package exactly, e.g. "hello:amd64=2.10-3".
func (p *Package) ID() string { return p.Name + ":" + p.Architecture + "=" + string(p.Version) }

// String names the index as apt does, e.g. "http://deb.debian.org/debian trixie/main amd64".
func (i *Index) String() string {
	s := i.URI + " " + i.Suite
	if i.Component != "" {
		s += "/" + i.Component
	}
	if i.Arch != "" {
		s += " " + i.Arch
	}
	return s
}
