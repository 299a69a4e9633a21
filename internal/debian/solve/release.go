package solve

// switchRelease makes v the candidate, and looks through its dependencies for those that only other versions of the
// same release fulfil: those become candidates as well (apt-pkg/depcache.cc, SetCandidateRelease). The last member of
// changed is v. When it fails, what it changed is forgotten but, as in apt, not all of it is taken back.
func (s *state) switchRelease(v int32, release string, changed *[]int32) bool {
	s.setCandidate(v)
	s.steps += 10
	if release == "installed" || release == "candidate" || len(*changed) == 0 || len(*changed) > maxDepth || s.exhausted() {
		return true
	}
	own := len(*changed) - 1
	for d := s.vers[v].deps; d != 0; {
		_, next := s.orGroup(d)
		dep := &s.deps[d]
		if !dep.kind.negative() && s.important(dep) && !s.reachable(d, next) &&
			!s.switchAlternative(d, next, release, changed) && dep.kind.critical() {
			own = min(own, len(*changed))
			for _, w := range (*changed)[min(own+1, len(*changed)):] {
				s.setCandidate(w)
			}
			*changed = (*changed)[:own]
			return false
		}
		d = next
	}
	return true
}

// reachable reports whether a member of the or-group is installed or has a candidate that looks installable.
func (s *state) reachable(d, next int32) bool {
	installable := func(v int32) bool {
		return v != 0 && s.check(v, depInstall, instMin, instPolicy)&instMin != 0
	}
	for ; d != next; d = s.deps[d].next {
		dep := &s.deps[d]
		n := &s.pkgs[dep.target]
		if n.provides == 0 && n.versions == 0 {
			continue
		}
		if n.current != 0 && s.heldBy(dep, n.current) {
			return true
		}
		cand := s.pkg[dep.target].candidate
		if dep.version == "" && n.provides != 0 {
			for r := n.provides; r != 0; r = s.prvs[r].next {
				if o := s.prvs[r].owner; s.pkg[s.vers[o].pkg].candidate == o && installable(o) {
					return true
				}
			}
			continue
		}
		if installable(cand) && s.heldBy(dep, cand) {
			return true
		}
	}
	return false
}

func (s *state) switchAlternative(d, next int32, release string, changed *[]int32) bool {
	for ; d != next; d = s.deps[d].next {
		dep := &s.deps[d]
		if dep.version == "" {
			continue
		}
		w := s.pkgs[dep.target].versions
		for w != 0 && release != "newest" && !s.inRelease(w, release) {
			w = s.vers[w].next
		}
		if w == 0 || !s.heldBy(dep, w) {
			continue
		}
		old := s.pkg[dep.target].candidate
		if w == old {
			for _, x := range *changed {
				if s.vers[x].pkg == dep.target {
					return true
				}
			}
		}
		*changed = append(*changed, w)
		if s.switchRelease(w, release, changed) {
			return true
		}
		if s.deps[d].next == next {
			return false
		}
		if old != 0 {
			s.setCandidate(old)
		}
		*changed = (*changed)[:max(1, len(*changed))-1]
	}
	return false
}
