// SPDX-License-Identifier: MIT

package regex

import (
	"strconv"
	"strings"
	"unicode"
)

// paren reads everything that begins with "(".
func (p *parser) paren() node {
	start := p.i - 1
	if !p.accept("?") {
		return p.capture("", start)
	}
	switch {
	case p.accept(":"):
		return grouped(p.closed(start))
	case p.accept("#"):
		for p.more() && p.peek() != ')' {
			p.i++
		}
		if !p.accept(")") {
			p.fail("missing ), unterminated comment at position %d", start)
		}
		return nil
	case p.accept("P<"):
		return p.capture(p.name('>'), start)
	case p.accept("P="):
		name := p.name(')')
		n, ok := p.names[name]
		if !ok {
			p.fail("unknown group name %q at position %d", name, p.i)
		}
		return p.reference(n)
	case p.accept("="):
		return look{body: p.closed(start)}
	case p.accept("!"):
		return look{body: p.closed(start), negate: true}
	case p.accept("<="):
		return p.behind(start, false)
	case p.accept("<!"):
		return p.behind(start, true)
	case p.accept("("):
		return p.conditional(start)
	case p.accept(">"):
		p.refuse("an atomic group")
	}
	return p.scoped(start)
}

func (p *parser) closed(start int) node {
	flags := p.flags
	n := p.alternatives()
	p.flags = flags
	if !p.accept(")") {
		p.fail("missing ), unterminated subpattern at position %d", start)
	}
	return n
}

// grouped hides an anchor: in parentheses it may be repeated.
func grouped(n node) node {
	if _, isAssert := n.(assert); isAssert {
		return seq{n}
	}
	return n
}

func (p *parser) capture(name string, start int) node {
	p.groups++
	n := p.groups
	if n > 1000 {
		p.refuse("this many groups")
	}
	if name != "" {
		if old, twice := p.names[name]; twice {
			p.fail("redefinition of group name %q as group %d; was group %d at position %d", name, n, old, p.i)
		}
		p.names[name] = n
	}
	p.open[n] = true
	body := p.closed(start)
	delete(p.open, n)
	return group{n, body}
}

// name reads a group's name up to its terminator.
func (p *parser) name(end rune) string {
	start := p.i
	for p.more() && p.peek() != end {
		p.i++
	}
	name := string(p.src[start:p.i])
	if !p.accept(string(end)) {
		p.fail("missing %c, unterminated name at position %d", end, start)
	}
	ok := name != "" && !unicode.IsDigit(rune(name[0]))
	for _, c := range name {
		ok = ok && isWord(c)
	}
	if !ok {
		p.fail("bad character in group name %q at position %d", name, start)
	}
	return name
}

func (p *parser) behind(start int, negate bool) node {
	body := p.closed(start)
	n, ok := body.width()
	if !ok {
		if hasReference(body) {
			p.refuse("a reference inside of a look-behind")
		}
		p.fail("look-behind requires fixed-width pattern")
	}
	return look{body: body, behind: true, negate: negate, back: n}
}

// hasReference looks for group references, whose width Python knows better.
func hasReference(n node) bool {
	switch n := n.(type) {
	case backref, cond:
		return true
	case seq:
		for _, sub := range n {
			if hasReference(sub) {
				return true
			}
		}
	case alt:
		for _, sub := range n {
			if hasReference(sub) {
				return true
			}
		}
	case rep:
		return hasReference(n.body)
	case group:
		return hasReference(n.body)
	}
	return false
}

// conditional reads (?(group)yes|no) behind its second parenthesis.
func (p *parser) conditional(start int) node {
	from := p.i
	for p.more() && p.peek() != ')' {
		p.i++
	}
	ref := string(p.src[from:p.i])
	if !p.accept(")") {
		p.fail("missing ), unterminated name at position %d", from)
	}
	n, ok := p.names[ref]
	if !ok {
		var err error
		if n, err = strconv.Atoi(ref); err != nil || n < 1 {
			p.fail("bad group name %q at position %d", ref, from)
		}
		if n > p.groups {
			p.refuse("a condition on a later group")
		}
	}
	if p.open[n] {
		p.refuse("a condition on an open group")
	}
	yes, no := p.sequence(), node(empty{})
	if p.accept("|") {
		no = p.sequence()
	}
	if p.peek() == '|' {
		p.fail("conditional backref with more than two branches at position %d", p.i)
	}
	if !p.accept(")") {
		p.fail("missing ), unterminated subpattern at position %d", start)
	}
	return cond{n, yes, no}
}

// scoped reads (?i-m:...) behind the question mark.
func (p *parser) scoped(start int) node {
	outer := p.flags
	add := true
	for {
		if !p.more() {
			p.fail("unexpected end of pattern at position %d", p.i)
		}
		c := p.src[p.i]
		p.i++
		switch {
		case c == '-' && add:
			add = false
			continue
		case c == ':':
			n := p.closed(start)
			p.flags = outer
			return grouped(n)
		case c == ')':
			p.fail("global flags not at the start of the expression at position %d", start)
		case c == 'L':
			p.refuse("the flag L")
		case !strings.ContainsRune("aimsux", c):
			p.fail("unknown extension ?%c at position %d", c, start+1)
		}
		if add {
			p.flags |= flagOf(c)
		} else {
			p.flags &^= flagOf(c)
		}
	}
}

// set reads a character class behind "[".
func (p *parser) set() node {
	start := p.i - 1
	negate := p.accept("^")
	var parts []func(rune) bool
	fold := p.flags&IgnoreCase != 0
	add := func(lo, hi rune) {
		parts = append(parts, func(c rune) bool { return c >= lo && c <= hi })
		if fold {
			p.foldAny = true
			parts = append(parts, func(c rune) bool {
				l, u := unicode.ToLower(c), unicode.ToUpper(c)
				return l >= lo && l <= hi || u >= lo && u <= hi
			})
		}
	}
	for first := true; ; first = false {
		if !p.more() {
			p.fail("unterminated character set at position %d", start)
		}
		if !first && p.accept("]") {
			break
		}
		lo, is := p.setItem()
		if p.peek() != '-' || p.i+1 < len(p.src) && p.src[p.i+1] == ']' {
			if is != nil {
				parts = append(parts, is)
			} else {
				add(lo, lo)
			}
			continue
		}
		p.i++
		if !p.more() {
			p.fail("unterminated character set at position %d", start)
		}
		hi, isHi := p.setItem()
		if is != nil || isHi != nil || hi < lo {
			p.fail("bad character range at position %d", start)
		}
		add(lo, hi)
	}
	return char{func(c rune) bool {
		for _, is := range parts {
			if is(c) {
				return !negate
			}
		}
		return negate
	}}
}

// setItem reads one character or class of a set.
func (p *parser) setItem() (rune, func(rune) bool) {
	c := p.src[p.i]
	p.i++
	if c != '\\' {
		return c, nil
	}
	if !p.more() {
		p.fail("bad escape (end of pattern) at position %d", p.i-1)
	}
	c = p.src[p.i]
	p.i++
	if is := p.class(c); is != nil {
		return 0, is
	}
	if c == 'b' {
		return '\b', nil
	}
	if c >= '1' && c <= '7' {
		v := int(c - '0')
		for n := 0; n < 2 && p.peek() >= '0' && p.peek() <= '7'; n++ {
			v = v*8 + int(p.peek()-'0')
			p.i++
		}
		if v > 0o377 {
			p.fail("octal escape value outside of range 0-0o377 at position %d", p.i)
		}
		return rune(v), nil
	}
	return p.charEscape(c), nil
}
