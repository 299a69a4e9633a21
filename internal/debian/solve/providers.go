package solve

import "slices"

// origin says which versions of the packages a dependency names are looked at.
type origin uint8

const (
	fromCandidates origin = 1 << iota
	fromInstalled
	fromBoth = fromCandidates | fromInstalled
)

// solutions lists the versions that fulfil the or-group from d up to, not including, next. Sorted, they come in the
// order in which they are to be tried: installed packages first, then in the order of the alternatives.
func (s *state) solutions(d, next int32, from origin, sorted bool) []int32 {
	var first, second []int32
	for e := d; e != next; e = s.deps[e].next {
		s.steps++
		found := s.choices(&s.deps[e], s.dep[e], from)
		if !sorted {
			first = append(first, found...)
			continue
		}
		s.sortProviders(found, s.deps[e].target)
		for _, v := range found {
			if s.pkgs[s.vers[v].pkg].current != 0 {
				first = append(first, v)
			} else {
				second = append(second, v)
			}
		}
	}
	list := append(first, second...)
	if !sorted {
		slices.Sort(list)
	}
	list = slices.Compact(list)
	if s.deps[d].kind.negative() {
		return list
	}
	return slices.DeleteFunc(list, func(v int32) bool {
		p := s.vers[v].pkg
		st := &s.pkg[p]
		return st.protected && (st.deleting() || st.keep() && s.pkgs[p].current == 0)
	})
}

// choices are the versions that fulfil one dependency. A version found as itself and as a provider comes once.
func (s *state) choices(d *depNode, bits uint8, from origin) []int32 {
	var list []int32
	insert := func(v int32) {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	for _, o := range [...]origin{fromCandidates, fromInstalled} {
		if from&o == 0 || o == fromCandidates && (bits&depCandidate == 0) != d.kind.negative() {
			continue
		}
		version := func(p int32) int32 {
			if o == fromInstalled {
				return s.pkgs[p].current
			}
			return s.pkg[p].candidate
		}
		if v := version(d.target); v != 0 && !s.ignores(d, d.target) && s.heldBy(d, v) {
			insert(v)
		}
		for r := s.pkgs[d.target].provides; r != 0; r = s.prvs[r].next {
			prv := &s.prvs[r]
			if s.ignoresProvision(d, prv) || version(s.vers[prv.owner].pkg) != prv.owner || !d.holds(prv.version) {
				continue
			}
			insert(prv.owner)
		}
	}
	return list
}

// sortProviders orders versions by how good a provider of target they are.
func (s *state) sortProviders(list []int32, target int32) {
	sortFunc(list, func(a, b int32) bool { return s.betterProvider(a, b, target) })
}

// betterProvider is apt's order of providers.
func (s *state) betterProvider(av, bv, target int32) bool {
	a, b := s.vers[av].pkg, s.vers[bv].pkg
	if x, y := s.pkg[a].protected, s.pkg[b].protected; x != y {
		return x
	}
	if better, decided := s.cache.betterPackage(av, bv, target); decided {
		return better
	}
	return a > b
}

// betterPackage compares two versions by the properties that do not depend on the plan.
func (c *cache) betterPackage(av, bv, target int32) (better, decided bool) {
	a, b := c.vers[av].pkg, c.vers[bv].pkg
	na, nb := &c.pkgs[a], &c.pkgs[b]
	if x, y := c.siblingInstalled(av), c.siblingInstalled(bv); x != y {
		return x, true
	}
	if x, y := na.current != 0, nb.current != 0; x != y {
		return x, true
	}
	if na.group != nb.group {
		if wanted := c.pkgs[target].group; na.group == wanted || nb.group == wanted {
			return na.group == wanted, true
		}
	}
	if na.essential != nb.essential {
		return na.essential, true
	}
	if na.guarded != nb.guarded {
		return na.guarded, true
	}
	if na.arch != nb.arch {
		return na.arch < nb.arch, true
	}
	if x, y := c.vers[av].priority, c.vers[bv].priority; x != y {
		return x < y, true
	}
	return false, false
}

// siblingInstalled reports whether v is Multi-Arch: same and some architecture of its name is installed.
func (c *cache) siblingInstalled(v int32) bool {
	if c.vers[v].multi&multiSame == 0 {
		return false
	}
	for q := c.groups[c.pkgs[c.vers[v].pkg].group].first; q != 0; q = c.pkgs[q].next {
		if c.pkgs[q].current != 0 {
			return true
		}
	}
	return false
}
