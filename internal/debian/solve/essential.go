package solve

import (
	"n3x/internal/arch"
	"n3x/internal/debian"
)

// Essential lists the packages of an architecture that are marked Essential: yes, each in the version that would be
// installed, sorted by name. Every Debian tree starts with these and what they need.
func Essential(universe []*debian.Package, a arch.Arch) []*debian.Package {
	return pickBest(universe, a, func(p *debian.Package) bool { return p.Essential })
}

// Required lists the packages of priority required; with Essential they are what mmdebstrap's variant minbase asks
// for besides apt.
func Required(universe []*debian.Package, a arch.Arch) []*debian.Package {
	return pickBest(universe, a, func(p *debian.Package) bool { return p.Priority == "required" })
}

func pickBest(universe []*debian.Package, a arch.Arch, wanted func(*debian.Package) bool) []*debian.Package {
	best := map[string]*debian.Package{}
	for _, p := range universe {
		if p.Architecture != string(a) && p.Architecture != "all" || originPin(p) < 0 {
			continue
		}
		q := best[p.Name]
		if q == nil || originPin(p) > originPin(q) || originPin(p) == originPin(q) && p.Version.Compare(q.Version) > 0 {
			best[p.Name] = p
		}
	}
	var list []*debian.Package
	for _, p := range best {
		if wanted(p) {
			list = append(list, p)
		}
	}
	sortPackages(list)
	return list
}
