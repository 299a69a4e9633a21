package apt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"n3x/internal/debian"
)

// assemble joins the indices into one universe and pins every package. What several indices hold stays there several
// times, as one offer each, with one pin.
func (c *Client) assemble(repos []*opened) *State {
	s := new(State)
	digest := sha256.New()
	var all []loaded
	total := 0
	for _, o := range repos {
		s.Warnings = append(s.Warnings, o.warnings...)
		for _, l := range o.indices {
			all = append(all, l)
			s.Indices = append(s.Indices, l.index)
			s.Warnings = append(s.Warnings, l.warnings...)
			total += len(l.packages)
			digestIndex(digest, l.index)
		}
	}
	for _, p := range c.opt.Preferences {
		fmt.Fprintf(digest, "%q %q %q %d\n", p.Packages, p.Type, p.Data, p.Priority)
	}
	s.Digest = hex.EncodeToString(digest.Sum(nil))
	s.Packages = make([]*debian.Package, 0, total)
	also := duplicates(all)
	for _, l := range all {
		for i := range l.packages {
			p := &l.packages[i]
			p.Index = l.index
			s.Packages = append(s.Packages, p)
		}
	}
	c.pin(s, also)
	return s
}

func digestIndex(w io.Writer, i *debian.Index) {
	fmt.Fprintf(w, "%q %q %q %q %q %q %q %q %q %t %t %t %s\n", i.URI, i.Suite, i.Component, i.Arch, i.Origin, i.Label,
		i.Codename, i.Archive, i.ReleaseVersion, i.NotAutomatic, i.ButAutomaticUpgrades, i.Trusted, i.SHA256)
}

// copies are the indices that hold one and the same version of a package; apt takes such entries for one.
type copies struct {
	version      debian.Version
	arch, sha256 string
	indices      []*debian.Index // in the order of the sources
}

// copiesByName holds what several indices have, by package name.
type copiesByName map[string][]copies

// of lists the indices that hold p when there are several, else nil.
func (c copiesByName) of(p *debian.Package) []*debian.Index {
	for _, one := range c[p.Name] {
		if one.version == p.Version && one.arch == p.Architecture && one.sha256 == p.SHA256 {
			return one.indices
		}
	}
	return nil
}

// duplicates finds packages that several indices hold. Only the names of all but the largest index are looked at
// twice, for that is usually the whole of Debian and the others are its updates.
func duplicates(all []loaded) copiesByName {
	largest := -1
	for i, l := range all {
		if largest < 0 || len(l.packages) > len(all[largest].packages) {
			largest = i
		}
	}
	found := make(copiesByName)
	for i, l := range all {
		for j := range l.packages {
			if i != largest {
				found[l.packages[j].Name] = nil
			}
		}
	}
	for _, l := range all {
		for j := range l.packages {
			p := &l.packages[j]
			list, small := found[p.Name]
			if !small {
				continue
			}
			k := slices.IndexFunc(list, func(c copies) bool {
				return c.version == p.Version && c.arch == p.Architecture && c.sha256 == p.SHA256
			})
			if k < 0 {
				found[p.Name] = append(list, copies{p.Version, p.Architecture, p.SHA256, []*debian.Index{l.index}})
			} else {
				list[k].indices = append(list[k].indices, l.index)
			}
		}
	}
	for name, list := range found {
		list = slices.DeleteFunc(list, func(c copies) bool { return len(c.indices) < 2 })
		if found[name] = list; len(list) == 0 {
			delete(found, name)
		}
	}
	return found
}
