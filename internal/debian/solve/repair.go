package solve

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
