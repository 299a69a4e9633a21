package solve

import "slices"

// discover turns the dependencies of x, and of all that it may bring in, into clauses.
func (z *searcher) discover(x variable) {
	queue := []variable{x}
	for len(queue) > 0 {
		x = queue[0]
		queue = queue[1:]
		// A package goes before its versions, which share its clauses.
		if p := pkgVar(z.pkgOf(x)); x.isVersion() && !z.at(p).discovered {
			x = p
		}
		st := z.at(x)
		if st.discovered {
			continue
		}
		st.discovered = true
		if x.isVersion() {
			z.discoverVersion(x.index())
		} else {
			z.discoverPackage(x.index())
		}
		for _, c := range st.clauses {
			for _, y := range c.solutions {
				if s := z.at(y); s.decision != mustNot || s.depth > 0 {
					queue = append(queue, y)
				}
			}
		}
	}
}

func (z *searcher) register(c *clause) *clause {
	st := z.at(c.reason)
	st.clauses = append(st.clauses, c)
	for _, y := range c.solutions {
		s := z.at(y)
		s.reverse = append(s.reverse, c)
	}
	z.steps += len(c.solutions)
	return c
}

func (z *searcher) versionsOf(p int32) []variable {
	var list []variable
	for v := z.pkgs[p].versions; v != 0; v = z.vers[v].next {
		list = append(list, verVar(v))
	}
	z.sortVariables(list, p)
	return list
}

// discoverPackage registers the choice of a version, and the dependencies that all versions have in common.
func (z *searcher) discoverPackage(p int32) {
	z.register(&clause{reason: pkgVar(p), group: groupSelectVersion, solutions: z.versionsOf(p)})
	first := z.pkgs[p].versions
	for d := z.vers[first].deps; d != 0; {
		_, next := z.orGroup(d)
		common := true
		for v := first; v != 0 && common; v = z.vers[v].next {
			common = false
			for e := z.vers[v].deps; e != 0 && !common; {
				common = z.sameGroup(d, e)
				_, e = z.orGroup(e)
			}
		}
		if common {
			z.register(z.translate(d, next, pkgVar(p)))
		}
		d = next
	}
}

func (z *searcher) discoverVersion(v int32) {
	p := z.vers[v].pkg
	z.register(&clause{reason: verVar(v), group: groupSelectVersion, solutions: []variable{pkgVar(p)}})
	for w := z.pkgs[p].versions; w != 0; w = z.vers[w].next {
		if w != v {
			z.register(&clause{reason: verVar(v), group: groupSelectVersion, negative: true, solutions: []variable{verVar(w)}})
		}
	}
	shared := z.at(pkgVar(p)).clauses
	for d := z.vers[v].deps; d != 0; {
		_, next := z.orGroup(d)
		if !slices.ContainsFunc(shared, func(c *clause) bool { return c.dep != 0 && z.sameGroup(d, c.dep) }) {
			z.register(z.translate(d, next, verVar(v)))
		}
		d = next
	}
}

// sameGroup reports whether two or-groups say the same.
func (z *searcher) sameGroup(a, b int32) bool {
	for {
		x, y := &z.deps[a], &z.deps[b]
		if x.target != y.target || x.version != y.version || x.kind != y.kind || x.op != y.op || x.or != y.or ||
			x.archSpecific != y.archSpecific || x.implicit != y.implicit {
			return false
		}
		if !x.or {
			return true
		}
		a, b = x.next, y.next
	}
}

// translate makes the clause of the or-group from start up to, not including, next.
func (z *searcher) translate(start, next int32, reason variable) *clause {
	first := &z.deps[start]
	installed := z.pkgs[z.vers[first.owner].pkg].current
	empty := &clause{reason: reason, group: groupSatisfy, optional: true}
	if installed == 0 && !z.important(first) || first.kind == replaces || first.kind == enhances {
		return empty
	}
	c := &clause{
		dep: start, reason: reason, group: groupSatisfy,
		optional: !first.kind.critical(), negative: first.kind.negative(),
	}
	for d := start; d != next; d = z.deps[d].next {
		c.solutions = append(c.solutions, z.alternatives(&z.deps[d], first.target)...)
	}
	present := func(x variable) bool { return z.pkgs[z.pkgOf(x)].current != 0 }
	slices.SortStableFunc(c.solutions, func(x, y variable) int {
		switch a, b := present(x), present(y); {
		case a && !b:
			return -1
		case b && !a:
			return 1
		}
		return 0
	})
	if !slices.ContainsFunc(c.solutions, present) {
		c.group = groupSatisfyNew
	}
	if slices.ContainsFunc(c.solutions, func(x variable) bool { return z.isObsolete(z.pkgOf(x)) }) {
		c.group = groupSatisfyObsolete
	}
	if c.optional && installed != 0 {
		return z.optionalOfInstalled(c, empty)
	}
	return c
}

// alternatives are the solutions of one member of an or-group. Where every version of the named package will do,
// the package itself stands for them.
func (z *searcher) alternatives(d *depNode, target int32) []variable {
	n := &z.pkgs[d.target]
	if !d.kind.negative() && n.provides == 0 && n.versions != 0 {
		all := true
		for v := n.versions; v != 0; v = z.vers[v].next {
			all = all && z.heldBy(d, v)
		}
		if all {
			return []variable{pkgVar(d.target)}
		}
	}
	var list []variable
	for _, v := range z.targets(d) {
		list = append(list, verVar(v))
	}
	z.sortVariables(list, target)
	return list
}

// optionalOfInstalled decides what becomes of a recommendation or suggestion of an installed package: what was
// fulfilled is kept, what was not is not newly installed.
func (z *searcher) optionalOfInstalled(c, empty *clause) *clause {
	first := &z.deps[c.dep]
	toKeep := func(d *depNode) bool {
		return z.important(d) || d.kind == recommends || d.kind == suggests
	}
	met := slices.ContainsFunc(c.solutions, func(x variable) bool {
		cur := z.pkgs[z.pkgOf(x)].current
		return cur != 0 && (!x.isVersion() || cur == x.index())
	})
	var existing *depNode
	for d := z.vers[z.pkgs[z.vers[first.owner].pkg].current].deps; d != 0 && existing == nil; d = z.deps[d].next {
		if e := &z.deps[d]; !e.kind.critical() && toKeep(e) && e.target == first.target {
			existing = e
		}
	}
	switch important := z.important(first); {
	case existing != nil && !important && toKeep(first) && met:
		c.group = groupSatisfySuggests
		c.solutions = slices.DeleteFunc(c.solutions, func(x variable) bool { return z.pkgs[z.pkgOf(x)].current == 0 })
	case !important, existing != nil && z.important(existing) && !met:
		return empty
	}
	return c
}

// isObsolete reports whether p cannot be had from an index, or is left over from an older source version.
func (z *searcher) isObsolete(p int32) bool {
	if z.obsolete[p] == 0 {
		z.obsolete[p] = 1
		v := z.cache.candidate(p)
		if v == 0 || z.outdatedSource(v) || !z.vers[v].fetchable {
			z.obsolete[p] = 2
		}
	}
	return z.obsolete[p] == 2
}

func (z *searcher) outdatedSource(v int32) bool {
	n := &z.vers[v]
	own := n.p.SourceVersion
	if own == "" {
		own = n.p.Version
	}
	for w := z.groups[n.source].sources; w != 0; w = z.vers[w].nextInSource {
		o := &z.vers[w]
		if o.pkg == n.pkg || z.pkgs[o.pkg].arch != z.pkgs[n.pkg].arch {
			continue
		}
		theirs := o.p.SourceVersion
		if theirs == "" {
			theirs = o.p.Version
		}
		if theirs.Compare(own) > 0 && z.pin(w) != 0 && z.pin(w) >= z.pin(v) {
			return true
		}
	}
	return false
}
