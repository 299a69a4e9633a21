package apt

import (
	"cmp"
	"slices"

	"n3x/internal/arch"
	"n3x/internal/debian"
)

// Candidate is the version of a package that apt would install: the highest version among those of the highest
// priority. It is nil when there is none. name may carry an architecture ("libc6:arm64"); else a counts, and "all".
func (s *State) Candidate(name string, a arch.Arch) *debian.Package {
	var best *debian.Package
	for _, p := range s.Named(name, a) {
		if p.Pin > 0 && (best == nil || p.Pin > best.Pin || p.Pin == best.Pin && p.Version.Compare(best.Version) > 0) {
			best = p
		}
	}
	return best
}

// Named lists all versions of a package for a (and for "all"), in the order of the sources.
func (s *State) Named(name string, a arch.Arch) []*debian.Package {
	s.byNameOnce.Do(func() {
		s.byName = make(map[string][]*debian.Package, len(s.Packages))
		for _, p := range s.Packages {
			s.byName[p.Name] = append(s.byName[p.Name], p)
		}
	})
	if n, qualifier, ok := cutArch(name); ok {
		name, a = n, arch.Arch(qualifier)
	}
	var all []*debian.Package
	for _, p := range s.byName[name] {
		if p.Architecture == "all" || p.Architecture == string(a) {
			all = append(all, p)
		}
	}
	return all
}

// Candidates are the candidate versions of the named packages; names without a candidate are left out. It is what a
// build remembers in order to report, the next time, what has changed.
func (s *State) Candidates(names []string, a arch.Arch) map[string]debian.Version {
	all := make(map[string]debian.Version, len(names))
	for _, name := range names {
		if p := s.Candidate(name, a); p != nil {
			all[name] = p.Version
		}
	}
	return all
}

// Change is one package whose candidate differs between two states.
type Change struct {
	Name     string
	Old, New debian.Version // "" = none
}

// Changes compares two results of [State.Candidates]; the answer is sorted by name.
func Changes(before, after map[string]debian.Version) []Change {
	var all []Change
	for name, v := range before {
		if w := after[name]; w != v {
			all = append(all, Change{name, v, w})
		}
	}
	for name, w := range after {
		if _, known := before[name]; !known {
			all = append(all, Change{name, "", w})
		}
	}
	slices.SortFunc(all, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// String is "curl 8.14.1-2 -> 8.14.1-2+deb13u1".
func (c Change) String() string {
	show := func(v debian.Version) string {
		if v == "" {
			return "(none)"
		}
		return string(v)
	}
	return c.Name + " " + show(c.Old) + " -> " + show(c.New)
}
