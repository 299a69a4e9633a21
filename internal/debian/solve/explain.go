package solve

import "slices"

// A failed search ends with a variable that had to be both true and false. The trees follow the clauses that forced
// either side back to the request.

const (
	maxReasonDepth = 30
	maxReasons     = 200
)

type explainer struct {
	*searcher
	seen  map[variable]bool
	count int
}

// explain gives the reasons why the search failed; marked is what marking and mending had left before it.
func (z *searcher) explain(marked *state) []*Reason {
	if z.exhausted() {
		given := &Reason{Text: "the dependencies are too entangled to try all combinations"}
		return append(marked.explainBroken(), given)
	}
	e := &explainer{searcher: z, seen: map[variable]bool{}}
	f := z.failure
	list := []*Reason{e.why(f.x, f.decision, f.clause, 0)}
	if st := z.at(f.x); st.decision != undecided && st.decision != f.decision {
		list = append(list, e.why(f.x, st.decision, st.reason, 0))
		if f.decision == mustNot {
			slices.Reverse(list) // first why it is needed
		}
	}
	return list
}

// text names x as a version where that is known.
func (e *explainer) text(x variable) string {
	if x.isVersion() {
		return e.versioned(x.index())
	}
	p := x.index()
	if v := e.pkg[p].candidate; v != 0 {
		return e.versioned(v)
	}
	return e.pretty(p)
}

// because explains why x is what it is.
func (e *explainer) because(x variable, depth int) *Reason {
	st := e.at(x)
	return e.why(x, st.decision, st.reason, depth)
}

func (e *explainer) why(x variable, d decision, c *clause, depth int) *Reason {
	// A package is there since its version is, and the other way round: say it once.
	// Two steps are enough; the clause of an undone decision may lead in a circle.
	for range 2 {
		if c == nil || c.group != groupSelectVersion || c.negative || d != must || c.reason == 0 {
			break
		}
		x = c.reason
		c = e.at(x).reason
	}
	if e.count++; e.count > maxReasons || depth > maxReasonDepth {
		return &Reason{Text: "..."}
	}
	key := x<<2 | variable(d)
	if e.seen[key] {
		if d == must {
			return &Reason{Text: e.text(x) + " (as above)"}
		}
		return &Reason{Text: e.text(x) + " cannot be installed (as above)"}
	}
	e.seen[key] = true
	switch {
	case d == must:
		return e.whyNeeded(x, c, depth)
	case c == nil:
		return e.whyExcluded(x, depth)
	case c.negative:
		return e.whyConflict(x, c, depth)
	}
	return e.whyNoChoice(c, depth)
}

func (e *explainer) whyNeeded(x variable, c *clause, depth int) *Reason {
	if c == nil || c.reason == 0 || c.dep == 0 {
		p := e.pkgOf(x)
		switch {
		case e.pkg[p].protected:
			return &Reason{Text: e.text(x) + " was asked for"}
		case e.pkgs[p].current != 0:
			return &Reason{Text: e.text(x) + " is installed"}
		}
		return &Reason{Text: e.text(x) + " is wanted"}
	}
	r := &Reason{Text: e.text(x) + " is needed: " + e.text(c.reason) + " " + e.dependency(c.dep)}
	r.Because = append(r.Because, e.because(c.reason, depth+1))
	for _, y := range c.solutions {
		if y != x && e.pkgOf(y) != e.pkgOf(x) && e.is(y, mustNot) {
			r.Because = append(r.Because, e.because(y, depth+1))
		}
	}
	return r
}

// whyExcluded explains a decision that no clause forced.
func (e *explainer) whyExcluded(x variable, depth int) *Reason {
	p := e.pkgOf(x)
	st := &e.pkg[p]
	if f, ok := e.failures[x]; ok && depth < maxReasonDepth {
		delete(e.failures, x)
		r := &Reason{Text: e.text(x) + " was tried and does not work"}
		if f.clause != nil {
			r.Because = append(r.Because, e.why(f.x, f.decision, f.clause, depth+1))
		}
		return r
	}
	switch {
	case st.deleting() || st.protected && st.keep() && e.pkgs[p].current == 0:
		return &Reason{Text: e.pretty(p) + " was asked not to be there"}
	case x.isVersion() && st.candidate == 0:
		return &Reason{Text: e.text(x) + " is not a candidate: " + e.versionList(p)}
	case x.isVersion() && st.candidate != x.index():
		return &Reason{Text: e.text(x) + " is not the candidate, " + string(e.version(st.candidate)) + " is"}
	}
	return &Reason{Text: e.text(x) + " is excluded"}
}

func (e *explainer) whyConflict(x variable, c *clause, depth int) *Reason {
	other := c.reason
	if other == x {
		for _, y := range c.solutions {
			if e.is(y, must) {
				other = y
			}
		}
	}
	if c.dep == 0 {
		return &Reason{Text: e.text(x) + " is not the version to be installed", Because: []*Reason{e.because(other, depth+1)}}
	}
	text := e.text(c.reason) + " " + e.dependency(c.dep)
	r := &Reason{Text: e.text(x) + " cannot be installed with " + e.text(other) + ": " + text}
	if other != x && e.is(other, must) {
		r.Because = append(r.Because, e.because(other, depth+1))
	}
	return r
}

// whyNoChoice explains that none of a clause's solutions is left.
func (e *explainer) whyNoChoice(c *clause, depth int) *Reason {
	if c.dep == 0 {
		r := &Reason{Text: e.text(c.reason) + " cannot be installed"}
		for _, y := range c.solutions {
			r.Because = append(r.Because, e.because(y, depth+1))
		}
		if len(r.Because) == 1 {
			return r.Because[0]
		}
		return r
	}
	_, next := e.orGroup(c.dep)
	r := &Reason{Text: e.text(c.reason) + " " + e.dependency(c.dep) + ", which cannot be installed"}
	r.Because = e.missing(c.dep, next)
	for _, y := range c.solutions {
		if e.is(y, mustNot) {
			r.Because = append(r.Because, e.because(y, depth+1))
		}
	}
	return r
}
