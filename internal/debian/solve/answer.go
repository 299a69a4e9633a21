package solve

// take reads the request out of the plan.
func (z *searcher) take() bool {
	for _, p := range z.walk() {
		for v := z.pkgs[p].versions; v != 0; v = z.vers[v].next {
			if v != z.pkgs[p].current && v != z.pkg[p].candidate && !z.enqueue(verVar(v), mustNot, nil) {
				return false
			}
		}
	}
	for p := range z.pkgs {
		st := &z.pkg[p]
		z.pkgVars[p].manual = z.pkgs[p].current != 0 && !st.auto && !st.deleting()
	}
	for _, p := range z.walk() {
		if z.pkgs[p].versions != 0 && !z.takePackage(p) {
			return false
		}
	}
	return z.propagate()
}

func (z *searcher) takePackage(p int32) bool {
	n, st := &z.pkgs[p], &z.pkg[p]
	switch {
	case st.hold && !st.protected:
		if n.current != 0 {
			return z.enqueue(verVar(n.current), must, nil)
		}
		return z.enqueue(pkgVar(p), mustNot, nil)
	case st.deleting(), n.current == 0 && st.keep() && st.protected:
		return z.enqueue(pkgVar(p), mustNot, nil)
	case !st.installing() && (!st.keep() || n.current == 0):
		return true
	case n.essential || n.guarded || st.protected:
		if st.keep() {
			return z.enqueue(pkgVar(p), must, nil)
		}
		return z.enqueue(verVar(st.candidate), must, nil)
	}
	group := groupInstallManual
	switch upgrade := st.candidate != n.current; {
	case st.auto && upgrade:
		group = groupUpgradeAuto
	case st.auto:
		group = groupKeepAuto
	case upgrade:
		group = groupUpgradeManual
	}
	wish := z.register(&clause{group: group, optional: true, solutions: []variable{pkgVar(p)}})
	if !z.addWork(work{clause: wish, depth: z.depth()}) {
		return false
	}
	short := z.register(&clause{group: group, optional: true, solutions: z.versionsOf(p)})
	if !z.addWork(work{clause: short, depth: z.depth()}) {
		return false
	}
	if z.vers[n.versions].next != 0 {
		z.discover(pkgVar(p))
	}
	return true
}

// apply writes the answer into the plan.
func (z *searcher) apply() {
	z.sat = true
	for _, p := range z.walk() {
		n, st := &z.pkgs[p], &z.pkg[p]
		st.marked, st.garbage = false, false
		if z.pkgVars[p].decision == must {
			z.applyInstall(p)
			st.marked = true
		} else if n.current != 0 || st.installing() {
			z.markDelete(p, z.pkgVars[p].reason == nil, 0)
			st.garbage = true
		}
	}
	z.sat = false
}

func (z *searcher) applyInstall(p int32) {
	n, st := &z.pkgs[p], &z.pkg[p]
	v := n.versions
	for v != 0 && z.verVars[v].decision != must {
		v = z.vers[v].next
	}
	if v == 0 {
		return
	}
	var reason variable
	if c := z.verVars[v].reason; c != nil {
		reason = c.reason
	}
	if reason == pkgVar(p) {
		reason = 0
		if c := z.pkgVars[p].reason; c != nil {
			reason = c.reason
		}
	}
	if v == n.current {
		z.markKeep(p, reason == 0 && !st.auto, 0)
		return
	}
	auto := reason != 0 || st.auto
	z.setCandidate(v)
	z.markInstall(p, false, 0, !auto)
	if n.current == 0 {
		st.auto = auto
	}
}
