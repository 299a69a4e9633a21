// Package solve chooses packages: from a universe of packages with their pins, what is installed and what is asked
// for, it computes what `apt-get -y --no-install-recommends install` of apt 3.0 would do from the same indices.
//
// Input: packages as debian/apt reads them, in the order of the sources, and the words of a request: name,
// name:arch, name=version, name/suite, name- (not to be installed, or to be removed), name+; a virtual name means
// its only provider. Output: a [Plan]; or, as an error, an [Unsatisfiable] with a tree of reasons.
//
// It refuses by name: tasks, globs, regular expressions, search patterns and package files; and, as apt-get -y does,
// plans that would remove an essential package or install an older version.
//
// It behaves as, and is named in the words of, apt-pkg's pkgcachegen (cache.go, merge.go), policy and depcache
// (state.go, mark.go, providers.go), algorithms (resolver.go, scores.go), solver3 (sat.go, clauses.go), cacheset
// (words.go) and apt-private's install and autoremove (this file, garbage.go). The two solvers run one after the
// other as in apt: mark what is asked for with all it needs; mend what is broken; and if that fails, search with
// backtracking. All of it is deterministic, and bounded in depth and in steps.
package solve

import (
	"slices"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/debian"
)

// Request is one question to the solver.
type Request struct {
	Packages   []*debian.Package // the universe, in the order of the sources; Pin is set (0 means 500)
	Installed  []*debian.Package // what is installed already; empty for a new tree
	Auto       map[string]bool   // "name:arch" of what in Installed was pulled in as a dependency
	Install    []string          // apt-get's words: name, name:arch, name=version, name/suite, name-
	Arch       arch.Arch         // the native architecture
	Foreign    []arch.Arch       // foreign architectures in order of preference
	Recommends bool              // install recommended packages too
}

// Plan is the answer: what has to happen to the tree. All lists are sorted by name, then architecture.
type Plan struct {
	Install []*debian.Package        // new packages
	Upgrade []*debian.Package        // newer versions of installed packages
	Remove  []*debian.Package        // installed packages that go
	Auto    map[*debian.Package]bool // the members of Install that were not asked for

	searched bool // the answer is the backtracking solver's
}

// Solve answers r. A request that cannot be met is an [*Unsatisfiable] error.
func Solve(r Request) (*Plan, error) {
	return NewUniverse(r).Solve(r.Install...)
}

// Universe is the prepared graph of a request's packages, for several questions about the same indices.
// It may be used by several goroutines at a time.
type Universe struct {
	cache   *cache
	initial *state
}

// NewUniverse prepares all of r but its words.
func NewUniverse(r Request) *Universe {
	arches := []string{string(r.Arch)}
	for _, a := range r.Foreign {
		if !slices.Contains(arches, string(a)) {
			arches = append(arches, string(a))
		}
	}
	c := newCache(arches, len(r.Packages)+len(r.Installed))
	for _, p := range r.Packages {
		c.merge(p, false)
	}
	for _, p := range r.Installed {
		c.merge(p, true)
	}
	s := newState(c, r.Auto, r.Recommends)
	s.markAndSweep()
	return &Universe{cache: c, initial: s}
}

// Solve plans the installation of words.
func (u *Universe) Solve(words ...string) (*Plan, error) {
	s := u.initial.clone()
	brokenBefore := s.broken != 0
	sel, errs := s.choose(words)
	if len(errs) > 0 {
		return nil, &Unsatisfiable{Words: words, Reasons: errs}
	}
	r := newResolver(s)
	s.request(r, sel)
	requested := s.clone()
	ok := s.installAll(sel, brokenBefore) && r.resolve()
	if !ok && brokenBefore {
		return nil, &Unsatisfiable{Words: words, Reasons: s.explainBroken()}
	}
	if !ok {
		marked := s.clone()
		s.restore(requested)
		s.switchReleases(sel)
		z := newSearcher(s)
		if !z.take() || !z.solve() {
			return nil, &Unsatisfiable{Words: words, Reasons: z.explain(marked)}
		}
		z.apply()
	}
	if s.broken != 0 || !s.dropGarbage() || !s.whole() {
		return nil, &Unsatisfiable{Words: words, Reasons: s.explainBroken()}
	}
	if errs := s.forbidden(); len(errs) > 0 {
		return nil, &Unsatisfiable{Words: words, Reasons: errs}
	}
	plan := s.plan()
	plan.searched = !ok
	return plan, nil
}

// request marks what was asked for, removals first, without looking at dependencies.
func (s *state) request(r *resolver, sel selection) {
	for _, v := range sel.remove {
		p := s.vers[v].pkg
		r.protect(p)
		r.flags[p] |= flagRemove
		if s.pkgs[p].current == 0 {
			s.pkg[p].hold = true
		} else {
			s.markDelete(p, true, 0)
		}
	}
	for _, v := range sel.install {
		p := s.vers[v].pkg
		s.setCandidate(v)
		r.protect(p)
		s.markInstall(p, false, 0, true)
		if !s.pkg[p].installing() {
			s.pkg[p].auto = false
		}
	}
}

// installAll marks what the requested packages need. A tree that was broken before must be mended by the request
// itself.
func (s *state) installAll(sel selection, brokenBefore bool) bool {
	s.switchReleases(sel)
	if brokenBefore {
		return s.broken == 0
	}
	for _, v := range sel.install {
		s.markInstall(s.vers[v].pkg, true, 0, true)
	}
	return true
}

// switchReleases takes what packages chosen by name/suite need from the same suite.
func (s *state) switchReleases(sel selection) {
	for _, r := range sel.releases {
		s.setCandidate(r.version)
	}
	var changed []int32
	for _, r := range sel.releases {
		changed = append(changed, r.version)
		s.switchRelease(r.version, r.release, &changed)
	}
}

// forbidden lists what apt-get -y would refuse to do.
func (s *state) forbidden() []*Reason {
	var errs []*Reason
	for p := int32(1); p < int32(len(s.pkgs)); p++ {
		n, st := &s.pkgs[p], &s.pkg[p]
		switch {
		case st.hold && st.install != n.current:
			errs = append(errs, &Reason{Text: "package " + s.pretty(p) + " was asked both to be installed and not to be"})
		case st.deleting() && (n.essential || n.guarded):
			errs = append(errs, &Reason{Text: "essential package " + s.pretty(p) + " would be removed"})
		case st.installing() && st.status < 0:
			errs = append(errs, &Reason{Text: "package " + s.pretty(p) + " would go back from version " +
				string(s.version(n.current)) + " to " + string(s.version(st.install))})
		}
	}
	slices.SortFunc(errs, func(a, b *Reason) int { return strings.Compare(a.Text, b.Text) })
	return errs
}

func (s *state) plan() *Plan {
	plan := &Plan{Auto: map[*debian.Package]bool{}}
	for p := range s.pkg {
		st, n := &s.pkg[p], &s.pkgs[p]
		switch {
		case st.newInstall():
			q := s.best(st.install)
			plan.Install = append(plan.Install, q)
			if st.auto {
				plan.Auto[q] = true
			}
		case st.upgrade():
			plan.Upgrade = append(plan.Upgrade, s.best(st.install))
		case st.deleting() && n.current != 0:
			plan.Remove = append(plan.Remove, s.vers[n.current].installed)
		}
	}
	for _, list := range [][]*debian.Package{plan.Install, plan.Upgrade, plan.Remove} {
		sortPackages(list)
	}
	return plan
}

// best is where a version is to be fetched from: the index with the highest pin, the first of equals.
func (s *state) best(v int32) *debian.Package {
	n := &s.vers[v]
	p := n.p
	for _, q := range n.also {
		if originPin(q) > originPin(p) {
			p = q
		}
	}
	return p
}

func sortPackages(list []*debian.Package) {
	slices.SortFunc(list, func(a, b *debian.Package) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Architecture, b.Architecture)
	})
}
