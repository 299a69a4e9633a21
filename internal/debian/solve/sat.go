package solve

import (
	"slices"
	"strings"
)

// When marking and mending fail, apt 3.0 asks its second solver (apt-pkg/solver3.cc), a backtracking one in the
// manner of MiniSat, whose answer then counts. The searcher finds the same answer.

// variable is a package or one of its versions; 0 is the root, which is always true.
type variable int32

func pkgVar(p int32) variable { return variable(p) << 1 }
func verVar(v int32) variable { return variable(v)<<1 | 1 }

func (x variable) isVersion() bool { return x&1 != 0 }
func (x variable) index() int32    { return int32(x >> 1) }

type decision uint8

const (
	undecided decision = iota
	must
	mustNot
)

// clauseGroup orders the work: earlier groups first.
type clauseGroup uint8

const (
	groupSatisfyNew      clauseGroup = iota // dependencies that only new packages fulfil
	groupSatisfy                            // other dependencies
	groupSatisfyObsolete                    // dependencies that obsolete packages fulfil too
	groupSelectVersion                      // a version of a package that is to be there
	groupUpgradeManual
	groupInstallManual
	groupUpgradeAuto
	groupKeepAuto
	groupSatisfySuggests // what was recommended or suggested, and installed
)

// clause says: when reason is true, one of solutions must be (or none of them, when negative).
type clause struct {
	dep                int32 // the dependency it stands for, or 0
	reason             variable
	group              clauseGroup
	optional, negative bool
	solutions          []variable
}

type varState struct {
	reason             *clause // why it was decided
	depth              int
	decision           decision
	discovered, manual bool
	clauses, reverse   []*clause
}

type work struct {
	clause *clause
	depth  int
	size   int // solutions that were still possible when it was queued
	choice variable
}

// solved is one entry of the trail: a decided variable, or a clause that was worked on.
type solved struct {
	assigned variable
	work     *work
}

// conflict is why a branch of the search failed.
type conflict struct {
	x        variable
	decision decision // what it should have become as well
	clause   *clause
}

type searcher struct {
	*state
	root       varState
	pkgVars    []varState
	verVars    []varState
	obsolete   []int8
	queue      []work // a heap
	trail      []solved
	propagateQ []variable
	choices    []int // where in the trail each level starts
	failure    conflict
	failures   map[variable]conflict // why a choice was taken back
}

func newSearcher(s *state) *searcher {
	return &searcher{
		state: s, root: varState{decision: must}, pkgVars: make([]varState, len(s.pkgs)),
		verVars: make([]varState, len(s.vers)), obsolete: make([]int8, len(s.pkgs)), failures: map[variable]conflict{},
	}
}

func (z *searcher) at(x variable) *varState {
	switch {
	case x == 0:
		return &z.root
	case x.isVersion():
		return &z.verVars[x.index()]
	}
	return &z.pkgVars[x.index()]
}

func (z *searcher) pkgOf(x variable) int32 {
	if x.isVersion() {
		return z.vers[x.index()].pkg
	}
	return x.index()
}

func (z *searcher) is(x variable, d decision) bool { return z.at(x).decision == d }
func (z *searcher) depth() int                     { return len(z.choices) }

// less reports whether a is less urgent than b.
func (a work) less(b work) bool {
	ua, ub := !a.clause.optional && a.size < 2, !b.clause.optional && b.size < 2
	switch {
	case ua != ub:
		return ub
	case a.clause.optional != b.clause.optional:
		return a.clause.optional
	case a.clause.group != b.clause.group:
		return a.clause.group > b.clause.group
	case (a.size < 2) != (b.size < 2):
		return b.size < 2
	case a.size == 1 && b.size == 1:
		return len(a.clause.solutions) < len(b.clause.solutions)
	}
	return false
}

// enqueue decides x and queues what follows from it; false is a conflict.
func (z *searcher) enqueue(x variable, d decision, because *clause) bool {
	z.steps++
	st := z.at(x)
	if st.decision != undecided {
		if st.decision != d {
			z.failure = conflict{x, d, because}
			return false
		}
		return true
	}
	st.decision, st.depth, st.reason = d, z.depth(), because
	z.trail = append(z.trail, solved{assigned: x})
	z.propagateQ = append(z.propagateQ, x)
	return true
}

func (z *searcher) propagate() bool {
	for len(z.propagateQ) > 0 {
		x := z.propagateQ[0]
		z.propagateQ = z.propagateQ[1:]
		switch z.at(x).decision {
		case must:
			if !z.propagateTrue(x) {
				return false
			}
		case mustNot:
			if !z.propagateFalse(x) {
				return false
			}
		}
	}
	return true
}

func (z *searcher) propagateTrue(x variable) bool {
	z.discover(x)
	for _, c := range z.at(x).clauses {
		if !z.addWork(work{clause: c, depth: z.depth()}) {
			return false
		}
	}
	for _, c := range z.at(x).reverse {
		if c.negative && !c.optional && c.reason != 0 && !z.enqueue(c.reason, mustNot, c) {
			return false
		}
	}
	return true
}

func (z *searcher) propagateFalse(x variable) bool {
	for _, c := range z.at(x).reverse {
		if c.negative || c.reason == 0 || z.is(c.reason, mustNot) {
			continue
		}
		left := z.possible(c)
		switch {
		case left == 1 && z.is(c.reason, must):
			if !z.unit(c) {
				return false
			}
		case left == 0 && !c.optional:
			if !z.enqueue(c.reason, mustNot, c) {
				return false
			}
		}
	}
	return true
}

// unit takes the only solution that c has left.
func (z *searcher) unit(c *clause) bool {
	if c.optional {
		return z.addWork(work{clause: c, depth: z.depth()})
	}
	for _, y := range c.solutions {
		if z.is(y, undecided) && !z.enqueue(y, must, c) {
			return false
		}
	}
	return true
}

func (z *searcher) possible(c *clause) int {
	n := 0
	for _, y := range c.solutions {
		if !z.is(y, mustNot) {
			n++
		}
	}
	z.steps += len(c.solutions)
	return n
}

func (z *searcher) addWork(w work) bool {
	c := w.clause
	if c.negative {
		for _, y := range c.solutions {
			if !z.enqueue(y, mustNot, c) {
				return false
			}
		}
		return true
	}
	if len(c.solutions) == 1 && !c.optional {
		return z.enqueue(c.solutions[0], must, c)
	}
	w.size = z.possible(c)
	z.queue = append(z.queue, w)
	pushHeap(z.queue, work.less)
	return true
}

// solve searches until all work is done; false when there is no answer.
func (z *searcher) solve() bool {
	for {
		for !z.propagate() {
			if !z.backtrack() {
				return false
			}
		}
		if len(z.queue) == 0 {
			return true
		}
		popHeap(z.queue, work.less)
		last := len(z.queue) - 1
		w := z.queue[last]
		z.queue = z.queue[:last]
		entry := w
		z.trail = append(z.trail, solved{work: &entry})
		if slices.ContainsFunc(w.clause.solutions, func(y variable) bool { return z.is(y, must) }) {
			continue
		}
		if !z.choose(w) {
			return false
		}
	}
}

// choose takes the first solution that is not excluded, as an assumption when there are others.
func (z *searcher) choose(w work) bool {
	for _, y := range w.clause.solutions {
		if z.is(y, mustNot) {
			continue
		}
		if w.size > 1 || w.clause.optional {
			w.choice = y
			z.choices = append(z.choices, len(z.trail))
			z.trail = append(z.trail, solved{work: &w})
		}
		return z.enqueue(y, must, w.clause) || z.backtrack()
	}
	if w.clause.optional {
		return true
	}
	z.failure = conflict{w.clause.reason, mustNot, w.clause}
	return z.backtrack()
}

// backtrack takes the last assumption back and decides the opposite; false when none is left.
func (z *searcher) backtrack() bool {
	if z.depth() == 0 || z.exhausted() {
		return false
	}
	z.steps += len(z.queue)
	start := z.choices[len(z.choices)-1]
	choice := z.trail[start].work.choice
	z.failures[choice] = z.failure
	for len(z.trail) > start {
		z.undo()
	}
	z.choices = z.choices[:len(z.choices)-1]
	z.queue = slices.DeleteFunc(z.queue, func(w work) bool { return w.depth > z.depth() })
	makeHeap(z.queue, work.less)
	return z.enqueue(choice, mustNot, nil)
}

func (z *searcher) undo() {
	e := z.trail[len(z.trail)-1]
	if e.assigned != 0 {
		st := z.at(e.assigned)
		st.decision, st.reason, st.depth = undecided, nil, 0
	}
	if e.work != nil {
		z.addWork(*e.work)
	}
	z.trail = z.trail[:len(z.trail)-1]
}

// better is the order in which the search prefers versions, for a dependency on target.
func (z *searcher) better(av, bv, target int32) bool {
	a, b := z.vers[av].pkg, z.vers[bv].pkg
	if a == b {
		if cur := z.pkgs[a].current; av == bv || av == cur || bv == cur {
			return av != bv && av == cur
		}
		if x, y := z.pin(av), z.pin(bv); x != y {
			return x > y
		}
		return z.version(av).Compare(z.version(bv)) > 0
	}
	if better, decided := z.betterPackage(av, bv, target); decided {
		return better
	}
	if c := strings.Compare(z.name(a), z.name(b)); c != 0 {
		return c < 0
	}
	return a > b
}

// sortVariables sorts stably. A package counts as the least preferred of its versions.
func (z *searcher) sortVariables(list []variable, target int32) {
	version := func(x variable) int32 {
		if x.isVersion() {
			return x.index()
		}
		v := z.pkgs[x.index()].versions
		for w := v; w != 0; w = z.vers[w].next {
			if z.better(v, w, target) {
				v = w
			}
		}
		return v
	}
	slices.SortStableFunc(list, func(x, y variable) int {
		v, w := version(x), version(y)
		switch {
		case z.better(v, w, target):
			return -1
		case z.better(w, v, target):
			return 1
		}
		return 0
	})
}
