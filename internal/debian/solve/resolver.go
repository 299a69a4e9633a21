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
