package solve

import "slices"

type mode uint8

const (
	modeKeep mode = iota
	modeInstall
	modeDelete
)

// Bits of a dependency's state: does it hold with what is installed now, with what will be, and with the candidates.
// The group bits, on the last member of an or-group, say it of the whole group.
const (
	depNow uint8 = 1 << iota
	depInstall
	depCandidate
	depGroupNow
	depGroupInstall
	depGroupCandidate
)

// Bits of a package's state: set while no critical dependency (min), and no important one (policy), is broken.
const (
	nowPolicy uint8 = 1 << iota
	nowMin
	instPolicy
	instMin
)

// pkgState is what is planned for one package.
type pkgState struct {
	install, candidate int32 // versions
	mode               mode
	status             int8 // the candidate is 2: new, 1: newer, 0: the same, -1: older than what is installed
	deps               uint8
	auto               bool // to be removed when nobody needs it
	protected          bool // the user's word: nobody else may change the mode
	marked, garbage    bool
	hold               bool
}

func (s *pkgState) keep() bool             { return s.mode == modeKeep }
func (s *pkgState) installing() bool       { return s.mode == modeInstall }
func (s *pkgState) deleting() bool         { return s.mode == modeDelete }
func (s *pkgState) newInstall() bool       { return s.status == 2 && s.mode == modeInstall }
func (s *pkgState) upgrade() bool          { return s.status > 0 && s.mode == modeInstall }
func (s *pkgState) upgradable() bool       { return s.status >= 1 && s.candidate != 0 }
func (s *pkgState) nowBroken() bool        { return s.deps&nowMin == 0 }
func (s *pkgState) instBroken() bool       { return s.deps&instMin == 0 }
func (s *pkgState) instPolicyBroken() bool { return s.deps&instPolicy == 0 }

// state is the plan in the making, over a fixed cache. It behaves as apt's dependency cache (apt-pkg/depcache.cc).
type state struct {
	*cache
	recommends   bool // Recommends count as important
	pkg          []pkgState
	dep          []uint8
	broken       int // packages with a broken critical dependency
	policyBroken int

	steps int // work done so far, against budget
	sat   bool
}

// newState is the state in which nothing is planned.
func newState(c *cache, auto map[string]bool, recommends bool) *state {
	s := &state{cache: c, recommends: recommends, pkg: make([]pkgState, len(c.pkgs)), dep: make([]uint8, len(c.deps))}
	for p := 1; p < len(c.pkgs); p++ {
		n, st := &c.pkgs[p], &s.pkg[p]
		st.candidate, st.install = c.candidate(int32(p)), n.current
		s.updateStatus(int32(p))
		if n.current != 0 && len(auto) > 0 {
			q := c.vers[n.current].p
			st.auto = auto[q.Name+":"+q.Architecture] || auto[q.Name+":"+c.arches[n.arch]]
		}
	}
	for v := 1; v < len(c.vers); v++ {
		for d := c.vers[v].deps; d != 0; d = c.deps[d].next {
			if dep := &c.deps[d]; s.important(dep) { // the state of others is never asked for
				s.dep[d] = s.evaluate(dep)
			}
		}
		s.combine(int32(v))
	}
	for p := 1; p < len(c.pkgs); p++ {
		s.updatePackage(int32(p))
		s.count(int32(p), 1)
	}
	return s
}

// clone copies the plan, not the cache.
func (s *state) clone() *state {
	t := *s
	t.pkg, t.dep = slices.Clone(s.pkg), slices.Clone(s.dep)
	return &t
}

// restore sets s back to what t was when it was cloned from s.
func (s *state) restore(t *state) {
	copy(s.pkg, t.pkg)
	copy(s.dep, t.dep)
	s.broken, s.policyBroken = t.broken, t.policyBroken
}

func (s *state) important(d *depNode) bool {
	return d.kind.critical() || d.kind == recommends && s.recommends
}

// evaluate computes the three basic bits of a dependency.
func (s *state) evaluate(d *depNode) uint8 {
	var bits uint8
	if !s.ignores(d, d.target) {
		cur, st := s.pkgs[d.target].current, &s.pkg[d.target]
		cand := st.candidate
		if cand != 0 && s.heldBy(d, cand) {
			bits |= depCandidate
		}
		if st.install != 0 && (st.install == cand && bits != 0 || st.install != cand && s.heldBy(d, st.install)) {
			bits |= depInstall
		}
		if cur != 0 && (cur == cand && bits&depCandidate != 0 || cur != cand && s.heldBy(d, cur)) {
			bits |= depNow
		}
	}
	for r := s.pkgs[d.target].provides; r != 0 && bits != depNow|depInstall|depCandidate; r = s.prvs[r].next {
		prv := &s.prvs[r]
		owner := s.vers[prv.owner].pkg
		var hit uint8
		if s.pkgs[owner].current == prv.owner {
			hit |= depNow
		}
		if s.pkg[owner].install == prv.owner {
			hit |= depInstall
		}
		if s.pkg[owner].candidate == prv.owner {
			hit |= depCandidate
		}
		if hit&^bits != 0 && !s.ignoresProvision(d, prv) && d.holds(prv.version) {
			bits |= hit
		}
	}
	if d.kind.negative() {
		bits = ^bits
	}
	return bits
}

// whole looks afresh at all that will be there. The running account misses, as apt's does, that a version which
// stopped being the candidate no longer provides what it did; apt finds out when it configures the packages.
func (s *state) whole() bool {
	for p := range s.pkg {
		v := s.pkg[p].install
		if v == 0 {
			continue
		}
		for d := s.vers[v].deps; d != 0; d = s.deps[d].next {
			if dep := &s.deps[d]; s.important(dep) {
				s.dep[d] = s.evaluate(dep)
			}
		}
		s.combine(v)
		s.count(int32(p), -1)
		s.updatePackage(int32(p))
		s.count(int32(p), 1)
	}
	return s.broken == 0
}

// alone adds the group bits of a dependency that is a group of its own.
func alone(bits uint8, negative bool) uint8 {
	if negative {
		bits = ^bits
	}
	bits &= depNow | depInstall | depCandidate
	bits |= bits << 3
	if negative {
		bits = ^bits
	}
	return bits
}

// combine computes the group bits of all dependencies of v from their basic bits.
func (s *state) combine(v int32) {
	var group uint8
	for d := s.vers[v].deps; d != 0; d = s.deps[d].next {
		bits := s.dep[d]
		negative := s.deps[d].kind.negative()
		if negative {
			bits = ^bits
		}
		bits &= depNow | depInstall | depCandidate
		group |= bits
		bits |= group << 3
		if !s.deps[d].or {
			group = 0
		}
		if negative {
			bits = ^bits
		}
		s.dep[d] = bits
	}
}

// check runs over the dependencies of a version: which of min and policy stay set when bit is asked of each group.
func (s *state) check(v int32, bit, minBit, policyBit uint8) uint8 {
	result := uint8(0xff)
	for d := s.vers[v].deps; d != 0; {
		end, next := s.orGroup(d)
		holds := (s.dep[end]|s.dep[end]>>3)&bit != 0
		switch {
		case holds:
		case s.deps[d].kind.critical():
			return result &^ (minBit | policyBit)
		case s.important(&s.deps[d]):
			result &^= policyBit
		}
		d = next
	}
	return result
}

func (s *state) updatePackage(p int32) {
	st := &s.pkg[p]
	st.deps = 0xff
	if cur := s.pkgs[p].current; cur != 0 {
		st.deps &= s.check(cur, depNow, nowMin, nowPolicy)
	}
	if st.install != 0 {
		st.deps &= s.check(st.install, depInstall, instMin, instPolicy)
	}
}

func (s *state) count(p int32, by int) {
	if s.pkg[p].instBroken() {
		s.broken += by
	}
	if s.pkg[p].instPolicyBroken() {
		s.policyBroken += by
	}
}

func (s *state) updateStatus(p int32) {
	st, cur := &s.pkg[p], s.pkgs[p].current
	switch {
	case cur == 0 || st.candidate == 0:
		st.status = 2
	case cur == st.candidate:
		st.status = 0
	default:
		st.status = -1
		for v := st.candidate; v != 0; v = s.vers[v].next {
			if v == cur {
				st.status = 1
			}
		}
	}
}

// refresh brings all that depends on package p up to date after its planned or candidate version changed.
func (s *state) refresh(p int32) {
	s.count(p, -1)
	s.updatePackage(p)
	s.count(p, 1)
	s.refreshRelations(p)
	cur, cand := s.pkgs[p].current, s.pkg[p].candidate
	if cur != 0 {
		for r := s.vers[cur].provides; r != 0; r = s.prvs[r].nextOfOwner {
			s.refreshRelations(s.prvs[r].target)
		}
	}
	if cand != 0 && cand != cur {
		for r := s.vers[cand].provides; r != 0; r = s.prvs[r].nextOfOwner {
			s.refreshRelations(s.prvs[r].target)
		}
	}
}

func (s *state) refreshRelations(target int32) {
	for d := s.pkgs[target].revDeps; d != 0; d = s.deps[d].nextRev {
		s.steps++
		if !s.important(&s.deps[d]) {
			continue
		}
		bits := s.evaluate(&s.deps[d])
		const basic = depNow | depInstall | depCandidate
		if (bits^s.dep[d])&basic == 0 {
			continue
		}
		v := s.deps[d].owner
		if s.dep[d] = bits; s.deps[d].single {
			s.dep[d] = alone(bits, s.deps[d].kind.negative())
		} else {
			s.combine(v)
		}
		owner := s.vers[v].pkg
		if v == s.pkgs[owner].current || v == s.pkg[owner].install {
			s.count(owner, -1)
			s.updatePackage(owner)
			s.count(owner, 1)
		}
	}
}

// setInstall changes what is planned for p, and everything that follows from it.
func (s *state) setInstall(p, version int32, m mode) {
	st := &s.pkg[p]
	st.mode, st.install = m, version
	s.refresh(p)
}

// setCandidate makes v the version to be installed of its package.
func (s *state) setCandidate(v int32) {
	p := s.vers[v].pkg
	st := &s.pkg[p]
	if st.candidate == v {
		return
	}
	if st.candidate == st.install && st.installing() {
		st.install = v
	}
	st.candidate = v
	s.updateStatus(p)
	s.refresh(p)
}
