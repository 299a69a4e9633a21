package rootfs

import (
	"slices"
	"strings"

	"n3x/internal/debian"
)

// set is packages, found by their names and by what they provide.
type set struct {
	byName map[string][]*debian.Package
}

func newSet(packages []*debian.Package) set {
	var s set
	for _, p := range packages {
		s.add(p)
	}
	return s
}

func (s *set) add(p *debian.Package) {
	if s.byName == nil {
		s.byName = make(map[string][]*debian.Package)
	}
	for _, name := range namesOf(p) {
		s.byName[name] = append(s.byName[name], p)
	}
}

func (s *set) drop(p *debian.Package) {
	for _, name := range namesOf(p) {
		s.byName[name] = slices.DeleteFunc(s.byName[name], func(q *debian.Package) bool { return q == p })
	}
}

// replace adds p in place of another version of it.
func (s *set) replace(p *debian.Package) {
	if old := s.version(p); old != nil {
		s.drop(old)
	}
	s.add(p)
}

// remove drops the package that the user calls name or name:arch.
func (s *set) remove(name string) {
	name, arch, qualified := strings.Cut(name, ":")
	for _, p := range slices.Clone(s.byName[name]) {
		if p.Name == name && (!qualified || p.Architecture == arch) {
			s.drop(p)
		}
	}
}

// version is the member that p replaces: same name and architecture, or one of them "all".
func (s *set) version(p *debian.Package) *debian.Package {
	for _, q := range s.byName[p.Name] {
		if q.Name == p.Name && (q.Architecture == p.Architecture || q.Architecture == "all" || p.Architecture == "all") {
			return q
		}
	}
	return nil
}

func (s *set) all() []*debian.Package {
	members := make(map[*debian.Package]bool)
	for _, list := range s.byName {
		for _, p := range list {
			members[p] = true
		}
	}
	return sorted(members)
}

// first is the member that fulfils the earliest of the alternatives of a dependency of dependant, or nil.
func (s *set) first(alternatives debian.Alternatives, dependant *debian.Package) *debian.Package {
	for _, r := range alternatives {
		for _, p := range s.byName[r.Name] {
			if matches(p, r, dependant) {
				return p
			}
		}
	}
	return nil
}

func (s *set) satisfies(alternatives debian.Alternatives, dependant *debian.Package) bool {
	return s.first(alternatives, dependant) != nil
}

func (s *set) satisfiesAll(d debian.Dependency, dependant *debian.Package) bool {
	return !slices.ContainsFunc(d, func(a debian.Alternatives) bool { return !s.satisfies(a, dependant) })
}

// close adds p and everything in s that it depends on, directly or not, to closure.
func (s *set) close(p *debian.Package, closure map[*debian.Package]bool) {
	if closure[p] {
		return
	}
	closure[p] = true
	for _, alternatives := range slices.Concat(p.PreDepends, p.Depends) {
		if next := s.first(alternatives, p); next != nil {
			s.close(next, closure)
		}
	}
}

// namesOf is p's own name and the others it provides.
func namesOf(p *debian.Package) []string {
	names := []string{p.Name}
	for _, alternatives := range p.Provides {
		for _, r := range alternatives {
			if !slices.Contains(names, r.Name) {
				names = append(names, r.Name)
			}
		}
	}
	return names
}

// matches reports whether p fulfils relation r of dependant, by dpkg's rules for versions, Provides and architectures.
func matches(p *debian.Package, r debian.Relation, dependant *debian.Package) bool {
	if !archMatches(p, r.ArchQual, dependant) {
		return false
	}
	if p.Name == r.Name && r.SatisfiedBy(p.Version) {
		return true
	}
	for _, alternatives := range p.Provides {
		for _, provided := range alternatives {
			if provided.Name == r.Name && r.SatisfiedBy(provided.Version) {
				return true
			}
		}
	}
	return false
}

// archMatches is dpkg's rule: the dependant's own architecture, unless p serves foreign ones or the relation asks for any.
func archMatches(p *debian.Package, qualifier string, dependant *debian.Package) bool {
	switch {
	case qualifier == "any":
		return p.MultiArch == "allowed" || p.Architecture == dependant.Architecture
	case qualifier != "" && qualifier != "native":
		return p.Architecture == qualifier
	case p.MultiArch == "foreign" || p.Architecture == "all" || dependant.Architecture == "all":
		return true
	}
	return p.Architecture == dependant.Architecture
}
