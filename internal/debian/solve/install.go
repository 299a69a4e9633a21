package solve

import (
	"slices"
	"strings"
)

// marking is one attempt to install a package with all it needs.
type marking struct {
	*state
	p, version      int32
	depth           int
	byUser          bool
	wasProtected    bool    // so its needs are protected too
	toInstall       []int32 // first members of or-groups
	toRemove        []int32 // negative dependencies
	toUpgrade, drop []int32 // packages
	fresh           []int32 // packages newly installed for dependencies
}

// markInstall plans to install the candidate of p, and with withDeps all it needs and removes what is in the way.
// A false result means that it, or something it needs, cannot be had.
func (s *state) markInstall(p int32, withDeps bool, depth int, byUser bool) bool {
	st := &s.pkg[p]
	onlyProtect := st.protected && st.keep() && st.candidate != 0 && st.candidate == s.pkgs[p].current
	if !onlyProtect && !s.mayChange(modeInstall, p, depth, byUser) || st.candidate == 0 {
		return false
	}
	if !st.protected && !st.instPolicyBroken() && !st.instBroken() {
		if st.candidate == s.pkgs[p].current {
			return st.install != 0 || s.markKeep(p, byUser, depth+1)
		}
		if st.installing() {
			return true
		}
	}
	if !s.mayInstall(p, withDeps, byUser) {
		return false
	}
	if byUser {
		s.stateChange(p, withDeps, true)
	}
	withDeps = withDeps && !s.sat
	m := &marking{state: s, p: p, version: st.candidate, depth: depth, byUser: byUser, wasProtected: st.protected}
	failEarly, failed := !st.protected && !byUser, false
	if withDeps {
		m.collect()
		if !m.removeConflicts() {
			if failEarly {
				return false
			}
			failed = true
		}
		m.collectReverse()
	}
	if !byUser {
		s.stateChange(p, withDeps, false)
	}
	if !withDeps {
		return !failed
	}
	ok := m.install(failEarly)
	return ok && !failed
}

// install is the part of markInstall that runs while p itself is protected.
func (m *marking) install(failEarly bool) bool {
	st := &m.pkg[m.p]
	if !m.wasProtected {
		st.protected = true
		defer func() { m.pkg[m.p].protected = false }()
	}
	ok := true
	m.upgradeSiblings(st.candidate)
	for _, step := range []func() bool{m.upgradeOrRemove, m.installNeeds, m.removeDelayed} {
		if step() {
			continue
		}
		if failEarly {
			m.discardInstall(m.p)
			return false
		}
		ok = false
	}
	if m.becameTransitional() {
		st.auto = true
		for _, q := range m.fresh {
			m.pkg[q].auto = false
		}
	}
	return ok
}

// becameTransitional reports whether this upgrade moves a package that the user chose into section oldlibs: then
// what it brings along was chosen by the user instead.
func (m *marking) becameTransitional() bool {
	cur, inst := m.pkgs[m.p].current, m.pkg[m.p].install
	if cur == 0 || inst == 0 || m.pkg[m.p].auto {
		return false
	}
	from, to := m.vers[cur].p.Section, m.vers[inst].p.Section
	return from != "" && !transitional(from) && transitional(to)
}

func transitional(section string) bool {
	return section == "oldlibs" || strings.HasSuffix(section, "/oldlibs")
}

// collect sorts the unmet dependencies into what to install and what to remove.
func (m *marking) collect() {
	for d := m.vers[m.version].deps; d != 0; {
		_, next := m.orGroup(d)
		met := false
		for e := d; e != next; e = m.deps[e].next {
			met = met || m.dep[e]&depInstall != 0
		}
		first := &m.deps[d]
		if (!met || m.wasProtected) && m.important(first) {
			if first.kind.negative() {
				m.toRemove = append(m.toRemove, d)
			} else {
				m.toInstall = append(m.toInstall, d)
			}
		}
		d = next
	}
}

// removeConflicts handles what the version excludes: a planned candidate is kept back, an installed version is to be
// upgraded or else removed.
func (m *marking) removeConflicts() bool {
	failed := false
	giveUp := func() bool { return failed && !m.wasProtected && !m.byUser }
	var bad []int32
	for _, d := range m.toRemove {
		for _, v := range m.solutions(d, m.deps[d].next, fromCandidates, true) {
			q := m.vers[v].pkg
			switch {
			case m.pkg[q].candidate != v:
			case m.pkgs[q].current == v:
				failed = !m.dropInstead(q) || failed
			case m.pkg[q].installing() && !m.markKeep(q, false, m.depth):
				failed = true
			case m.wasProtected:
				m.discardCandidate(q)
				if m.pkgs[q].current == 0 {
					m.pkg[q].protected = true
				}
			default:
				bad = append(bad, q)
			}
			if giveUp() {
				return false
			}
		}
		for _, v := range m.solutions(d, m.deps[d].next, fromInstalled, true) {
			q := m.vers[v].pkg
			switch cand := m.pkg[q].candidate; {
			case cand != v && cand != 0 && !slices.Contains(bad, q):
				m.toUpgrade = append(m.toUpgrade, q)
			case cand == m.pkgs[q].current:
			default:
				failed = !m.dropInstead(q) || failed
			}
			if giveUp() {
				return false
			}
		}
	}
	return !failed
}

// dropInstead plans the removal of q, whose upgrade would not help.
func (m *marking) dropInstead(q int32) bool {
	st := &m.pkg[q]
	if !m.wasProtected {
		if st.deleting() {
			return true
		}
		if !m.mayChange(modeDelete, q, m.depth, false) || !m.mayDelete(q, false) {
			return false
		}
		m.drop = append(m.drop, q)
		return true
	}
	if !st.deleting() && !m.markDelete(q, false, m.depth+1) {
		return false
	}
	m.discardCandidate(q)
	st.protected = true
	return true
}

// collectReverse finds installed packages that need the installed version of p and would not be content with the
// new one.
func (m *marking) collectReverse() {
	cur := m.pkgs[m.p].current
	if cur == 0 {
		return
	}
	for d := m.pkgs[m.p].revDeps; d != 0; d = m.deps[d].nextRev {
		dep := &m.deps[d]
		q := m.vers[dep.owner].pkg
		if m.pkgs[q].current != dep.owner || m.pkg[q].installing() || m.pkg[q].deleting() || slices.Contains(m.drop, q) {
			continue
		}
		if !m.important(dep) || dep.kind.negative() || !m.heldBy(dep, cur) || m.heldBy(dep, m.version) {
			continue
		}
		if !slices.Contains(m.toUpgrade, q) {
			m.toUpgrade = append(m.toUpgrade, q)
		}
	}
}

// upgradeSiblings takes the other installed packages of the same source along to the same version.
func (m *marking) upgradeSiblings(v int32) {
	var list []int32
	for w := m.groups[m.vers[v].source].sources; w != 0; w = m.vers[w].nextInSource {
		q := m.vers[w].pkg
		cur := m.pkgs[q].current
		st := &m.pkg[q]
		if q == m.p || cur == 0 || cur == w || st.installing() && st.install == w || st.candidate != w {
			continue
		}
		if m.sourceVersion(w) == m.sourceVersion(v) && !slices.Contains(list, q) {
			list = append(list, q)
		}
	}
	slices.Sort(list)
	for _, withDeps := range []bool{false, true} {
		for _, q := range list {
			m.markInstall(q, withDeps, m.depth+1, false)
		}
	}
}

func (m *marking) upgradeOrRemove() bool {
	failed := false
	for _, q := range m.toUpgrade {
		if m.pkg[q].installing() || m.markInstall(q, true, m.depth+1, false) {
			continue
		}
		if !m.markDelete(q, false, m.depth+1) {
			failed = true
			if !m.wasProtected && !m.byUser {
				break
			}
		} else if m.wasProtected {
			m.pkg[q].protected = true
		}
	}
	return !failed
}

// installNeeds installs, for each unmet dependency in order, the first solution that works.
func (m *marking) installNeeds() bool {
	failed := false
	for _, d := range m.toInstall {
		if m.installNeed(d) {
			continue
		}
		failed = true
		if !m.wasProtected && !m.byUser {
			break
		}
	}
	return !failed
}

func (m *marking) installNeed(d int32) bool {
	_, next := m.orGroup(d)
	met := false
	for e := d; e != next; e = m.deps[e].next {
		met = met || m.dep[e]&depInstall != 0
	}
	critical := m.deps[d].kind.critical()
	if met {
		return !m.wasProtected || !critical || m.protectOnly(d, next)
	}
	if m.pkgs[m.p].current != 0 && !critical && m.oldUnmet(d) {
		return true
	}
	choices := m.solutions(d, next, fromCandidates, true)
	for _, v := range choices {
		q := m.vers[v].pkg
		if m.pkg[q].candidate != v {
			continue
		}
		if m.wasProtected && critical && len(choices) == 1 {
			if !m.markInstall(q, false, m.depth+1, false) {
				continue
			}
			m.pkg[q].protected = true
		}
		if m.markInstall(q, true, m.depth+1, false) {
			if m.pkgs[q].current == 0 {
				m.fresh = append(m.fresh, q)
			}
			return true
		}
	}
	return !critical
}

// protectOnly protects the only solution of a dependency that holds already.
func (m *marking) protectOnly(d, next int32) bool {
	choices := m.solutions(d, next, fromBoth, false)
	if len(choices) != 1 {
		return true
	}
	q := m.vers[choices[0]].pkg
	if m.pkg[q].protected {
		return true
	}
	m.pkg[q].protected = true
	return m.markInstall(q, true, m.depth+1, false)
}

// oldUnmet reports whether the installed version recommends the same and did so in vain.
func (m *marking) oldUnmet(d int32) bool {
	isNew, met := true, false
	for e := m.vers[m.pkgs[m.p].current].deps; e != 0 && !met; e = m.deps[e].next {
		dep := &m.deps[e]
		if dep.kind.critical() || !m.important(dep) || dep.target != m.deps[d].target {
			continue
		}
		isNew = false
		for m.deps[e].or && m.deps[e].next != 0 {
			e = m.deps[e].next
		}
		met = m.dep[e]&depGroupNow != 0
	}
	return !isNew && !met
}

func (m *marking) removeDelayed() bool {
	ok := true
	for _, q := range m.drop {
		if !m.markDelete(q, false, m.depth) {
			ok = false
			if !m.wasProtected && !m.byUser {
				return false
			}
		}
	}
	return ok
}
