// SPDX-License-Identifier: MIT

package regex

import "unicode"

// matcher is the state of one attempt.
type matcher struct {
	text  []rune
	caps  []int
	limit Limit
	err   error
	depth int
}

const maxDepth = 100_000 // of nested continuations

// step counts work; false stops the attempt.
func (m *matcher) step() bool {
	if m.err == nil && m.limit != nil {
		m.err = m.limit.Step()
	}
	return m.err == nil
}

// node matches at position i and then asks k to match the rest.
type node interface {
	match(m *matcher, i int, k func(int) bool) bool
	// width is the number of characters that the node matches, ok false if that varies.
	width() (n int, ok bool)
}

type (
	empty struct{}
	// char matches one character.
	char struct{ is func(c rune) bool }
	seq  []node
	alt  []node
	// rep repeats a node; max < 0 means without limit.
	rep struct {
		body     node
		min, max int
		lazy     bool
	}
	// group captures.
	group struct {
		n    int
		body node
	}
	// backref matches what a group matched.
	backref struct {
		n    int
		fold bool
	}
	// look is a look-ahead or look-behind.
	look struct {
		body           node
		behind, negate bool
		back           int // characters to go back
	}
	// cond is (?(n)yes|no).
	cond struct {
		n       int
		yes, no node
	}
	// assert is an anchor or a word boundary.
	assert struct {
		holds func(m *matcher, i int) bool
	}
)

func (empty) match(_ *matcher, i int, k func(int) bool) bool { return k(i) }
func (empty) width() (int, bool)                             { return 0, true }

func (c char) match(m *matcher, i int, k func(int) bool) bool {
	return m.step() && i < len(m.text) && c.is(m.text[i]) && k(i+1)
}
func (char) width() (int, bool) { return 1, true }

func (s seq) match(m *matcher, i int, k func(int) bool) bool {
	if len(s) == 0 {
		return k(i)
	}
	if len(s) == 1 {
		return s[0].match(m, i, k)
	}
	return s[0].match(m, i, func(j int) bool { return s[1:].match(m, j, k) })
}

func (s seq) width() (int, bool) {
	total := 0
	for _, n := range s {
		w, ok := n.width()
		if !ok {
			return 0, false
		}
		total += w
	}
	return total, true
}

func (a alt) match(m *matcher, i int, k func(int) bool) bool {
	for _, n := range a {
		if !m.step() {
			return false
		}
		if n.match(m, i, k) {
			return true
		}
	}
	return false
}

func (a alt) width() (int, bool) {
	first, ok := a[0].width()
	for _, n := range a[1:] {
		if w, ok2 := n.width(); !ok || !ok2 || w != first {
			return 0, false
		}
	}
	return first, ok
}

func (m *matcher) save() []int         { return append([]int(nil), m.caps...) }
func (m *matcher) restore(saved []int) { copy(m.caps, saved) }

func (r rep) match(m *matcher, i int, k func(int) bool) bool {
	if c, ok := r.body.(char); ok {
		return r.single(m, c, i, k)
	}
	return r.again(m, i, 0, -1, k)
}

// single repeats one character without recursion.
func (r rep) single(m *matcher, c char, i int, k func(int) bool) bool {
	n := 0
	take := func() bool {
		if !m.step() || r.max >= 0 && n >= r.max || i+n >= len(m.text) || !c.is(m.text[i+n]) {
			return false
		}
		n++
		return true
	}
	if r.lazy {
		for n < r.min {
			if !take() {
				return false
			}
		}
		for !k(i + n) {
			if !take() {
				return false
			}
		}
		return true
	}
	for take() {
	}
	for ; n >= r.min; n-- {
		if !m.step() {
			return false
		}
		if k(i + n) {
			return true
		}
	}
	return false
}

// again tries iteration number count; last is where the optional one before began. An optional
// iteration that matched nothing is not followed by another.
func (r rep) again(m *matcher, i, count, last int, k func(int) bool) bool {
	if m.depth++; m.depth > maxDepth {
		m.err = &Error{Text: "a repetition of this many groups", Unsupported: true}
	}
	defer func() { m.depth-- }()
	if !m.step() {
		return false
	}
	if count < r.min {
		return r.body.match(m, i, func(j int) bool { return r.again(m, j, count+1, last, k) })
	}
	body := func() bool {
		return r.body.match(m, i, func(j int) bool { return r.again(m, j, count+1, i, k) })
	}
	more := (r.max < 0 || count < r.max) && i != last
	if r.lazy {
		return k(i) || m.err == nil && more && body()
	}
	return more && body() || m.err == nil && k(i)
}

func (r rep) width() (int, bool) {
	w, ok := r.body.width()
	return w * r.min, ok && r.min == r.max
}

func (g group) match(m *matcher, i int, k func(int) bool) bool {
	return g.body.match(m, i, func(j int) bool {
		start, end := m.caps[2*g.n], m.caps[2*g.n+1]
		m.caps[2*g.n], m.caps[2*g.n+1] = i, j
		if k(j) {
			return true
		}
		m.caps[2*g.n], m.caps[2*g.n+1] = start, end
		return false
	})
}
func (g group) width() (int, bool) { return g.body.width() }

func (b backref) match(m *matcher, i int, k func(int) bool) bool {
	start, end := m.caps[2*b.n], m.caps[2*b.n+1]
	if start < 0 || i+end-start > len(m.text) {
		return false
	}
	for n := range end - start {
		x, y := m.text[start+n], m.text[i+n]
		if x != y && !(b.fold && unicode.ToLower(x) == unicode.ToLower(y)) {
			return false
		}
	}
	return m.step() && k(i+end-start)
}
func (backref) width() (int, bool) { return 0, false }

func (l look) match(m *matcher, i int, k func(int) bool) bool {
	saved := m.save()
	found := i-l.back >= 0 && l.body.match(m, i-l.back, func(j int) bool { return !l.behind || j == i })
	if m.err != nil {
		return false
	}
	if found == l.negate {
		m.restore(saved)
		return false
	}
	if l.negate {
		m.restore(saved)
	}
	if k(i) {
		return true
	}
	m.restore(saved)
	return false
}
func (look) width() (int, bool) { return 0, true }

func (c cond) match(m *matcher, i int, k func(int) bool) bool {
	if m.caps[2*c.n+1] >= 0 {
		return c.yes.match(m, i, k)
	}
	return c.no.match(m, i, k)
}

func (c cond) width() (int, bool) { return alt{c.yes, c.no}.width() }

func (a assert) match(m *matcher, i int, k func(int) bool) bool {
	return m.step() && a.holds(m, i) && k(i)
}
func (assert) width() (int, bool) { return 0, true }

// The anchors.
func atStart(_ *matcher, i int) bool     { return i == 0 }
func atEnd(m *matcher, i int) bool       { return i == len(m.text) }
func atLineStart(m *matcher, i int) bool { return i == 0 || m.text[i-1] == '\n' }
func atLineEnd(m *matcher, i int) bool   { return i == len(m.text) || m.text[i] == '\n' }

// atLastEnd is "$" without the M flag: also ahead of a newline that ends the text.
func atLastEnd(m *matcher, i int) bool {
	return i == len(m.text) || i == len(m.text)-1 && m.text[i] == '\n'
}

// boundary is \b, or \B with want false.
func boundary(isWord func(rune) bool, want bool) func(m *matcher, i int) bool {
	return func(m *matcher, i int) bool {
		if !want && len(m.text) == 0 {
			m.err = &Error{Text: `\B and an empty text`, Unsupported: true} // its meaning changed in Python 3.14
			return false
		}
		before := i > 0 && isWord(m.text[i-1])
		after := i < len(m.text) && isWord(m.text[i])
		return (before != after) == want
	}
}
