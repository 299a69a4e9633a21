package solve

// resolver mends a plan that marking left with broken packages, from the most to the least important package, by
// keeping, upgrading or removing one of the two sides (apt-pkg/algorithms.cc, pkgProblemResolver).
type resolver struct {
	*state
	flags  []resolverFlag
	scores []int
	round  int
	change bool
}

type resolverFlag uint8

const (
	flagPreInstalled resolverFlag = 1 << iota // was to be installed when the resolver started
	flagUpgradable                            // may still be tried as an upgrade
	flagProtected                             // asked for by the user
	flagRemove                                // asked to be removed
)

const maxRounds = 20

func newResolver(s *state) *resolver {
	return &resolver{state: s, flags: make([]resolverFlag, len(s.pkgs)), scores: make([]int, len(s.pkgs))}
}

// protect keeps the resolver from changing what the user asked for.
func (r *resolver) protect(p int32) {
	r.flags[p] = r.flags[p]&^flagRemove | flagProtected
	r.pkg[p].protected = true
}

// resolve reports whether nothing is broken in the end.
func (r *resolver) resolve() bool {
	if r.broken == 0 && !r.anyFellBack() {
		return true
	}
	order := r.walk()
	r.start(order)
	r.makeScores(order)
	list := append([]int32(nil), order...)
	sortFunc(list, func(a, b int32) bool { return r.scores[a] > r.scores[b] })
	r.change = true
	for r.round = 0; r.round < maxRounds && r.change && !r.exhausted(); r.round++ {
		r.change = false
		for _, p := range list {
			r.reinstate(p)
			if r.pkg[p].install != 0 && r.pkg[p].instBroken() {
				r.mend(p)
			}
		}
	}
	if r.broken != 0 {
		return false
	}
	for _, p := range order {
		if r.pkg[p].newInstall() && r.flags[p]&flagPreInstalled == 0 {
			r.pkg[p].auto = true
		}
	}
	return true
}

func (r *resolver) start(order []int32) {
	for again := true; again && !r.exhausted(); {
		again = false
		for _, p := range order {
			r.flags[p] |= flagUpgradable
			if r.pkg[p].installing() {
				r.flags[p] |= flagPreInstalled
				continue
			}
			if r.pkg[p].instBroken() {
				r.markInstall(p, false, 0, false)
				again = again || r.pkg[p].installing()
			}
			r.flags[p] &^= flagPreInstalled
		}
	}
}

// fellBack reports whether p is installed and will be, but not in the version that is its candidate.
func (r *resolver) fellBack(p int32) bool {
	st := &r.pkg[p]
	return r.pkgs[p].current != 0 && st.install != 0 && st.candidate != st.install && !st.protected
}

func (r *resolver) anyFellBack() bool {
	for p := range r.pkg {
		if r.pkg[p].installing() && r.fellBack(int32(p)) {
			return true
		}
	}
	return false
}

// reinstate tries again to upgrade an installed package that fell back to its old version.
func (r *resolver) reinstate(p int32) {
	st := &r.pkg[p]
	if !r.fellBack(p) || r.flags[p]&flagPreInstalled == 0 {
		return
	}
	before := r.broken
	r.flags[p] = 0
	r.markInstall(p, false, 0, false)
	if st.instBroken() || before < r.broken {
		r.markKeep(p, false, 0)
	}
}

// victim is a package to be changed so that another one is not broken.
type victim struct{ p, dep int32 }

// repair is the work on one broken package.
type repair struct {
	*resolver
	p       int32
	victims []victim
	inOr    bool // within an or-group with further members
	orKeep  bool // when a whole or-group fails, keeping the package is enough
}

func (r *resolver) mend(p int32) {
	f := &repair{resolver: r, p: p}
	next := r.vers[r.pkg[p].install].deps
	var start, end int32
	before := 0
	for next != 0 || f.inOr {
		if start == end {
			f.finishGroup(before)
			f.inOr, f.orKeep = false, false
			if next == 0 {
				break
			}
			start = next
			end, next = r.orGroup(start)
			if !r.deps[end].kind.critical() {
				start = end
				continue
			}
			f.inOr = start != end
			before = len(f.victims)
		} else {
			start = r.deps[start].next
		}
		if r.dep[end]&depGroupInstall != 0 {
			f.inOr = false
			start = end
			continue
		}
		if f.member(start, end) && !f.inOr {
			break
		}
	}
	if r.pkg[p].install != 0 {
		f.applyVictims()
	}
}

// finishGroup acts when no member of an or-group could be mended.
func (f *repair) finishGroup(before int) {
	if !f.inOr || before != len(f.victims) {
		return
	}
	if f.orKeep {
		f.markKeep(f.p, false, 0)
		f.change = true
	} else if !f.pkg[f.p].protected {
		f.markDelete(f.p, false, 0)
		f.change = true
	}
}

// member deals with one broken member of an or-group, and reports whether the package is dealt with.
func (f *repair) member(start, end int32) (done bool) {
	d := &f.deps[start]
	list := f.targets(d)
	st := &f.pkg[f.p]
	if len(list) == 0 && !st.protected && !d.kind.negative() && !st.nowBroken() {
		if f.inOr {
			return false
		}
		f.change = true
		f.markKeep(f.p, false, 0)
		return true
	}
	for _, v := range list {
		q := f.vers[v].pkg
		if f.pkg[q].install != v && d.kind.negative() {
			continue
		}
		if f.scores[f.p] <= f.scores[q] || f.dep[start]&depNow == 0 && !f.deps[end].kind.negative() {
			if st.protected {
				if f.doUpgrade(q, 0) {
					f.scores[q] = min(f.scores[q], f.scores[f.p])
					break
				}
				continue
			}
			f.giveWay(start, q)
			f.change = true
			return true
		}
		if d.kind == breaks && f.dep[end]&depGroupCandidate != 0 {
			f.markInstall(q, false, 0, false)
			continue
		}
		if f.pkg[q].protected && !f.pkg[q].deleting() {
			continue
		}
		f.victims = append(f.victims, victim{q, end})
		if !d.kind.negative() {
			break
		}
	}
	if len(list) == 0 && !d.kind.negative() && !st.protected {
		f.giveWayToNothing()
		f.change = true
		return true
	}
	return false
}

// giveWay changes the broken package itself, since q, which it is at odds with, is more important.
func (f *repair) giveWay(start, q int32) {
	st := &f.pkg[f.p]
	installed := st.installing()
	f.markKeep(f.p, false, 0)
	if !st.instBroken() {
		f.orKeep = true
		if f.inOr && installed {
			f.markInstall(f.p, false, 0, false)
		}
		return
	}
	if f.doUpgrade(f.p, 0) {
		return
	}
	target := f.deps[start].target
	t := &f.pkg[target]
	switch {
	case !f.inOr || st.garbage:
		f.markDelete(f.p, false, 0)
		if f.round > 1 && f.scores[q] > f.scores[f.p] {
			f.scores[f.p] = f.scores[q]
		}
	case f.pkgs[target].current == 0 && !t.deleting() && f.flags[target]&flagRemove == 0 && t.candidate != 0:
		before := f.broken
		f.markInstall(target, true, 1, false)
		f.orKeep = true
		if t.instBroken() || f.broken > before {
			f.markDelete(target, false, 1)
			f.orKeep = false
		}
	}
}

func (f *repair) giveWayToNothing() {
	st := &f.pkg[f.p]
	installed := st.installing()
	f.markKeep(f.p, true, 0)
	if !st.instBroken() {
		f.orKeep = true
		if f.inOr && installed {
			f.markInstall(f.p, false, 0, false)
		}
	} else if !f.inOr {
		f.markDelete(f.p, false, 0)
	}
}

func (f *repair) applyVictims() {
	for _, v := range f.victims {
		fixed := false
		if f.dep[v.dep]&depGroupNow == 0 {
			fixed = f.deps[v.dep].kind.negative() && f.markDelete(v.p, false, 0)
		} else {
			fixed = f.markKeep(v.p, false, 0)
		}
		if (!fixed || f.round > 1) && f.scores[f.p] > f.scores[v.p] {
			f.scores[v.p] = f.scores[f.p]
			f.change = true
		}
		f.change = f.change || fixed
	}
}

// doUpgrade tries to install the candidate of p and the upgrades that this needs.
func (r *resolver) doUpgrade(p int32, depth int) bool {
	st := &r.pkg[p]
	if r.flags[p]&flagUpgradable == 0 || !st.upgradable() || r.flags[p]&flagProtected != 0 || depth > maxDepth {
		return false
	}
	r.flags[p] &^= flagUpgradable
	wasKept := st.keep()
	if !r.markInstall(p, false, 0, false) || st.install == 0 {
		return false
	}
	failed := false
	for d := r.vers[st.install].deps; d != 0 && !failed; {
		end, next := r.orGroup(d)
		if r.deps[end].kind.critical() {
			failed = !r.upgradeTargets(d, end, depth)
		}
		d = next
	}
	if !failed {
		return true
	}
	if wasKept {
		r.markKeep(p, false, 0)
	} else {
		r.markDelete(p, false, 0)
	}
	return false
}

// upgradeTargets tries to make the or-group from start to end hold by upgrading one of its targets.
func (r *resolver) upgradeTargets(start, end int32, depth int) bool {
	ok := true
	for d := start; ; d = r.deps[d].next {
		if r.dep[end]&depGroupInstall != 0 {
			return ok
		}
		dep := &r.deps[d]
		q := r.smartTarget(dep)
		switch {
		case r.pkg[q].protected:
			ok = false
		case r.dep[d]&depCandidate != 0:
			if r.doUpgrade(q, depth+1) {
				return true
			}
			ok = false
		case dep.kind.negative():
			return ok // left to the next round
		default:
			ok = false
		}
		if d == end {
			return ok
		}
	}
}
