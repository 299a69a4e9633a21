package solve

// The marks follow apt-pkg/depcache.cc: each changes the plan for one package and, if it can, for what that needs.

const (
	maxDepth = 3000
	budget   = 40_000_000 // steps; the whole of Debian's index takes some hundred thousand
)

// exhausted reports whether the work is getting out of hand: only a made-up universe gets there.
func (s *state) exhausted() bool { return s.steps > budget }

// mayChange reports whether the mode of p may become m.
func (s *state) mayChange(m mode, p int32, depth int, byUser bool) bool {
	if depth > maxDepth || s.exhausted() || s.pkgs[p].versions == 0 {
		return false
	}
	st := &s.pkg[p]
	switch {
	case byUser || st.mode == m:
		return true
	case st.protected:
		return false
	case m != modeKeep && st.hold:
		return false
	}
	return m != modeDelete || !s.pkgs[p].essential && !s.pkgs[p].guarded
}

func (s *state) markKeep(p int32, byUser bool, depth int) bool {
	if !s.mayChange(modeKeep, p, depth, byUser) {
		return false
	}
	st := &s.pkg[p]
	if st.keep() {
		return true
	}
	s.setInstall(p, s.pkgs[p].current, modeKeep)
	return true
}

func (s *state) markDelete(p int32, byUser bool, depth int) bool {
	if !s.mayChange(modeDelete, p, depth, byUser) {
		return false
	}
	st := &s.pkg[p]
	if st.deleting() || st.install == 0 {
		return true
	}
	if !s.mayDelete(p, byUser) {
		return false
	}
	m := modeDelete
	if s.pkgs[p].current == 0 {
		m = modeKeep
	}
	s.setInstall(p, 0, m)
	return true
}

// mayDelete protects what the user asked to be installed anew.
func (s *state) mayDelete(p int32, byUser bool) bool {
	st := &s.pkg[p]
	return byUser || s.pkgs[p].current != 0 || st.install == 0 || st.status != 2 || st.auto
}

// stateChange makes p's candidate the planned version, without looking at what it needs.
func (s *state) stateChange(p int32, withDeps, byUser bool) {
	st := &s.pkg[p]
	if st.protected && st.install == st.candidate {
		return
	}
	if byUser {
		if st.status == 2 || s.pkgs[p].current != 0 && (withDeps || !st.marked) {
			st.auto = false
		}
	} else if st.status == 2 {
		st.auto = true
	}
	m := modeInstall
	if st.candidate == s.pkgs[p].current {
		m = modeKeep
	}
	s.setInstall(p, st.candidate, m)
}

// discardCandidate forgets the candidate of p. What others make of its candidate is deliberately not refreshed.
func (s *state) discardCandidate(p int32) {
	st := &s.pkg[p]
	st.candidate = st.install
	// the status stays: it says how the version was chosen first
}

func (s *state) discardInstall(p int32) {
	st := &s.pkg[p]
	cur := s.pkgs[p].current
	if st.keep() && st.install == st.candidate && st.candidate == cur {
		return
	}
	s.setInstall(p, cur, modeKeep)
	s.discardCandidate(p)
}

// mayInstall refuses a candidate that would put the architectures of a Multi-Arch: same package out of step, and one
// with a dependency that nothing can meet; the latter is no candidate any more.
func (s *state) mayInstall(p int32, withDeps, byUser bool) bool {
	if !byUser && !s.inStep(p) {
		return false
	}
	st := &s.pkg[p]
	if !withDeps || st.candidate == s.pkgs[p].current {
		return true
	}
	for d := s.vers[st.candidate].deps; d != 0; {
		_, next := s.orGroup(d)
		possible := false
		for e := d; e != next; e = s.deps[e].next {
			possible = possible || s.dep[e]&(depInstall|depCandidate) != 0
		}
		if possible || !s.deps[d].kind.critical() || s.deps[d].kind.negative() {
			d = next
			continue
		}
		if !st.protected {
			if cur := s.pkgs[p].current; cur != 0 {
				s.setCandidate(cur)
			} else {
				st.candidate = 0
			}
			if !st.deleting() {
				st.mode = modeKeep
				s.updateStatus(p)
			}
		}
		return false
	}
	return true
}

func (s *state) inStep(p int32) bool {
	st := &s.pkg[p]
	cand := st.candidate
	if st.installing() && st.install == cand || cand == s.pkgs[p].current || s.vers[cand].multi&multiSame == 0 {
		return true
	}
	for q := s.groups[s.pkgs[p].group].first; q != 0; q = s.pkgs[q].next {
		if s.pkgs[q].current == 0 || q == p {
			continue
		}
		other := s.pkg[q].candidate
		if other == 0 || s.version(other) == s.version(cand) || s.vers[other].multi&multiSame == 0 || !s.vers[other].fetchable {
			continue
		}
		return false
	}
	return true
}

func (c *cache) sourceVersion(v int32) string {
	p := c.vers[v].p
	if p.SourceVersion != "" {
		return string(p.SourceVersion)
	}
	return string(p.Version)
}
