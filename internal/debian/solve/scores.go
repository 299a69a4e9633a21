package solve

import "slices"

// How much each kind of dependency and each priority counts.
var (
	kindScore     = [...]int{preDepends: 1, depends: 1, conflicts: -1, breaks: -1, recommends: 1, suggests: 0, replaces: 0, enhances: 0}
	priorityScore = [...]int{0, 3, 2, 1, -1, -2}
)

const (
	scoreEssential    = 100
	scoreNotObsolete  = 1
	addProtectedScore = 10000
	addEssentialScore = 5000
)

// makeScores rates each package by its own importance and by who needs it (one level deep, and along provisions).
func (r *resolver) makeScores(order []int32) {
	clear(r.scores)
	for _, p := range order {
		if r.pkg[p].install != 0 {
			r.baseScore(p)
		}
	}
	old := slices.Clone(r.scores)
	for _, p := range order {
		if r.pkg[p].install == 0 {
			continue
		}
		for d := r.pkgs[p].revDeps; d != 0; d = r.deps[d].nextRev {
			dep := &r.deps[d]
			q := r.vers[dep.owner].pkg
			if k := dep.kind; r.pkg[q].install == dep.owner && (k <= depends || k == recommends) && old[q] > 0 {
				r.scores[p] += old[q]
			}
		}
	}
	for _, p := range order {
		transfer := r.scores[p] - old[p]
		if transfer < 0 {
			transfer = -transfer
		}
		if transfer == 0 {
			continue
		}
		for _, q := range r.providers(p, func(v *prvNode) bool { return !v.implicit }) {
			r.scores[q] += transfer
		}
	}
	for _, p := range order {
		if r.flags[p]&flagProtected != 0 {
			r.scores[p] += addProtectedScore
		}
		if n := &r.pkgs[p]; n.essential || n.guarded {
			r.scores[p] += addEssentialScore
		}
	}
}

func (r *resolver) baseScore(p int32) {
	n, st := &r.pkgs[p], &r.pkg[p]
	if n.essential || n.guarded {
		r.scores[p] += scoreEssential
	}
	v := &r.vers[st.install]
	if v.fetchable {
		r.scores[p] += priorityScore[v.priority]
	} else {
		r.scores[p] += priorityScore[5]
	}
	if n.current != 0 && st.candidate != 0 && r.vers[st.candidate].fetchable {
		r.scores[p] += scoreNotObsolete
	}
	for d := v.deps; d != 0; d = r.deps[d].next {
		dep := &r.deps[d]
		by := kindScore[dep.kind]
		if by == 0 {
			continue
		}
		if t := dep.target; !r.ignores(dep, t) {
			if dep.version != "" && (r.pkg[t].install == 0 || !r.heldBy(dep, r.pkg[t].install)) {
				continue
			}
			r.scores[t] += by
		}
		for _, q := range r.providers(dep.target, func(v *prvNode) bool {
			return !r.ignoresProvision(dep, v) && dep.holds(v.version)
		}) {
			r.scores[q] += by
		}
	}
}

// providers lists the packages that are to be installed in a version which provides p in an acceptable way.
func (r *resolver) providers(p int32, accept func(*prvNode) bool) []int32 {
	var list []int32
	for i := r.pkgs[p].provides; i != 0; i = r.prvs[i].next {
		v := &r.prvs[i]
		q := r.vers[v.owner].pkg
		if r.pkg[q].install == v.owner && accept(v) && !slices.Contains(list, q) {
			list = append(list, q)
		}
	}
	return list
}
