// SPDX-License-Identifier: MIT

package regex

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// parser reads a pattern; errors travel as panics of *Error up to Compile.
type parser struct {
	src     []rune
	i       int
	flags   Flags
	groups  int
	open    map[int]bool // groups that are not closed yet
	names   map[string]int
	foldAny bool
	depth   int
}

func (p *parser) fail(format string, args ...any) { panic(&Error{Text: fmt.Sprintf(format, args...)}) }
func (p *parser) refuse(what string)              { panic(&Error{Text: what, Unsupported: true}) }

func (p *parser) more() bool { return p.i < len(p.src) }

func (p *parser) peek() rune {
	if p.more() {
		return p.src[p.i]
	}
	return -1
}

func (p *parser) accept(s string) bool {
	rs := []rune(s)
	if p.i+len(rs) > len(p.src) || string(p.src[p.i:p.i+len(rs)]) != s {
		return false
	}
	p.i += len(rs)
	return true
}

func (p *parser) parse() node {
	p.open = map[int]bool{}
	p.globalFlags()
	n := p.alternatives()
	if p.more() {
		p.fail("unbalanced parenthesis at position %d", p.i)
	}
	return n
}

// globalFlags reads "(?im)" at the beginning; elsewhere it is an error since Python 3.11.
func (p *parser) globalFlags() {
	for p.accept("(?") {
		start := p.i
		set := Flags(0)
		for p.more() && strings.ContainsRune("aimsux", p.peek()) {
			set |= flagOf(p.src[p.i])
			p.i++
		}
		if set == 0 || !p.accept(")") {
			p.i = start - 2
			return
		}
		p.flags |= set
	}
}

func flagOf(c rune) Flags {
	return map[rune]Flags{'a': ASCII, 'i': IgnoreCase, 'm': Multiline, 's': DotAll, 'u': Unicode, 'x': Verbose}[c]
}

func (p *parser) alternatives() node {
	if p.depth++; p.depth > 200 {
		p.refuse("groups nested this deep")
	}
	defer func() { p.depth-- }()
	out := alt{p.sequence()}
	for p.accept("|") {
		out = append(out, p.sequence())
	}
	if len(out) == 1 {
		return out[0]
	}
	return out
}

func (p *parser) sequence() node {
	var out seq
	for p.more() && p.peek() != '|' && p.peek() != ')' {
		if p.skipBlank() {
			continue
		}
		if item := p.item(); item != nil {
			out = append(out, p.quantified(item))
		}
	}
	if len(out) == 1 {
		return out[0]
	}
	return out
}

// skipBlank drops white space and comments of verbose patterns.
func (p *parser) skipBlank() bool {
	if p.flags&Verbose == 0 {
		return false
	}
	if strings.ContainsRune(" \t\n\r\f\v", p.peek()) {
		p.i++
		return true
	}
	if p.peek() == '#' {
		for p.more() && p.peek() != '\n' {
			p.i++
		}
		return true
	}
	return false
}

func (p *parser) quantified(item node) node {
	for p.more() && p.skipBlank() {
	}
	r := rep{body: item}
	switch {
	case p.accept("*"):
		r.min, r.max = 0, -1
	case p.accept("+"):
		r.min, r.max = 1, -1
	case p.accept("?"):
		r.min, r.max = 0, 1
	case p.peek() == '{':
		if !p.braces(&r) {
			return item
		}
	default:
		return item
	}
	if _, isAssert := item.(assert); isAssert {
		p.fail("nothing to repeat at position %d", p.i-1)
	}
	if p.peek() == '+' {
		p.refuse("a possessive repetition")
	}
	r.lazy = p.accept("?")
	for p.more() && p.skipBlank() {
	}
	if c := p.peek(); c == '*' || c == '+' || c == '?' {
		p.fail("multiple repeat at position %d", p.i)
	} else if c == '{' {
		again := rep{}
		if start := p.i; p.braces(&again) {
			p.fail("multiple repeat at position %d", start)
		}
	}
	return r
}

// braces reads "{m,n}"; text that only looks like it is literal.
func (p *parser) braces(r *rep) bool {
	end := p.i + 1
	for end < len(p.src) && p.src[end] != '}' {
		end++
	}
	if end == len(p.src) {
		return false
	}
	text := string(p.src[p.i+1 : end])
	low, high, comma := strings.Cut(text, ",")
	if text == "" || !digits(low) || !digits(high) {
		return false
	}
	r.min, _ = strconv.Atoi(low)
	switch {
	case !comma:
		r.max = r.min
	case high == "":
		r.max = -1
	default:
		r.max, _ = strconv.Atoi(high)
		if r.max < r.min {
			p.fail("min repeat greater than max repeat at position %d", p.i)
		}
	}
	if len(low) > 6 || len(high) > 6 {
		p.refuse("a repetition of this size")
	}
	p.i = end + 1
	return true
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// item reads one thing that can be repeated; nil for what matches nothing, like a comment.
func (p *parser) item() node {
	c := p.src[p.i]
	p.i++
	switch c {
	case '.':
		if p.flags&DotAll != 0 {
			return char{func(rune) bool { return true }}
		}
		return char{func(c rune) bool { return c != '\n' }}
	case '^':
		if p.flags&Multiline != 0 {
			return assert{atLineStart}
		}
		return assert{atStart}
	case '$':
		if p.flags&Multiline != 0 {
			return assert{atLineEnd}
		}
		return assert{atLastEnd}
	case '*', '+', '?':
		p.fail("nothing to repeat at position %d", p.i-1)
	case '{':
		if r := (rep{}); p.startsBraces(&r) {
			p.fail("nothing to repeat at position %d", p.i-1)
		}
	case '(':
		return p.paren()
	case '[':
		return p.set()
	case '\\':
		return p.escape()
	}
	return p.literal(c)
}

// startsBraces reports "{m,n}" where the brace has been read; since Python takes it literally at
// the beginning of an item only if it is no repetition.
func (p *parser) startsBraces(r *rep) bool {
	p.i--
	ok := p.braces(r)
	if !ok {
		p.i++
	}
	return ok
}

func (p *parser) literal(c rune) node {
	if p.flags&IgnoreCase != 0 && unicode.ToLower(c) != unicode.ToUpper(c) {
		p.foldAny = true
		c = unicode.ToLower(c)
		return char{func(x rune) bool { return unicode.ToLower(x) == c }}
	}
	return char{func(x rune) bool { return x == c }}
}

func (p *parser) word() func(rune) bool {
	if p.flags&ASCII != 0 {
		return func(c rune) bool { return c <= 127 && isWord(c) }
	}
	return isWord
}

func isWord(c rune) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c > 127 && (unicode.IsLetter(c) || unicode.IsNumber(c))
}

func isSpace(c rune) bool {
	switch {
	case c >= '\t' && c <= '\r', c >= 0x1c && c <= ' ', c == 0x85, c == 0xa0, c == 0x1680, c >= 0x2000 && c <= 0x200a,
		c == 0x2028, c == 0x2029, c == 0x202f, c == 0x205f, c == 0x3000:
		return true
	}
	return false
}

// class is \d, \w, \s or a negation of them.
func (p *parser) class(c rune) func(rune) bool {
	ascii := p.flags&ASCII != 0
	var is func(rune) bool
	switch unicode.ToLower(c) {
	case 'd':
		is = func(c rune) bool { return c >= '0' && c <= '9' || !ascii && c > 127 && unicode.Is(unicode.Nd, c) }
	case 'w':
		is = p.word()
	case 's':
		is = isSpace
		if ascii { // without the separators \x1c to \x1f, unlike str.isspace
			is = func(c rune) bool { return c == ' ' || c >= '\t' && c <= '\r' }
		}
	default:
		return nil
	}
	if unicode.IsUpper(c) {
		return func(c rune) bool { return !is(c) }
	}
	return is
}

func (p *parser) escape() node {
	if !p.more() {
		p.fail("bad escape (end of pattern) at position %d", p.i-1)
	}
	c := p.src[p.i]
	p.i++
	switch c {
	case 'A':
		return assert{atStart}
	case 'Z':
		return assert{atEnd}
	case 'b':
		return assert{boundary(p.word(), true)}
	case 'B':
		return assert{boundary(p.word(), false)}
	}
	if is := p.class(c); is != nil {
		return char{is}
	}
	if c >= '1' && c <= '9' {
		return p.numbered(c)
	}
	return p.literal(p.charEscape(c))
}

// numbered reads \1 to \99, or \nnn in octal.
func (p *parser) numbered(c rune) node {
	n := int(c - '0')
	if next := p.peek(); next >= '0' && next <= '9' {
		if c <= '7' && next <= '7' && p.i+1 < len(p.src) && p.src[p.i+1] >= '0' && p.src[p.i+1] <= '7' {
			v := n*64 + int(next-'0')*8 + int(p.src[p.i+1]-'0')
			p.i += 2
			if v > 0o377 {
				p.fail("octal escape value outside of range 0-0o377 at position %d", p.i-4)
			}
			return p.literal(rune(v))
		}
		n = n*10 + int(next-'0')
		p.i++
	}
	return p.reference(n)
}

func (p *parser) reference(n int) node {
	if n > p.groups {
		p.fail("invalid group reference %d at position %d", n, p.i)
	}
	if p.open[n] {
		p.fail("cannot refer to an open group at position %d", p.i)
	}
	fold := p.flags&IgnoreCase != 0
	p.foldAny = p.foldAny || fold
	return backref{n, fold}
}

// charEscape is the character behind a backslash outside and inside of sets.
func (p *parser) charEscape(c rune) rune {
	if i := strings.IndexRune("afnrtv\\", c); i >= 0 {
		return rune("\a\f\n\r\t\v\\"[i])
	}
	switch c {
	case 'x':
		return p.hex(2)
	case 'u':
		return p.hex(4)
	case 'U':
		return p.hex(8)
	case 'N':
		p.refuse(`the escape \N{...}`)
	case '0':
		v := 0
		for n := 0; n < 2 && p.peek() >= '0' && p.peek() <= '7'; n++ {
			v = v*8 + int(p.peek()-'0')
			p.i++
		}
		return rune(v)
	}
	if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
		p.fail("bad escape \\%c at position %d", c, p.i-2)
	}
	return c
}

func (p *parser) hex(n int) rune {
	if p.i+n > len(p.src) {
		p.fail("incomplete escape at position %d", p.i)
	}
	v, err := strconv.ParseUint(string(p.src[p.i:p.i+n]), 16, 32)
	if err != nil || v > unicode.MaxRune {
		p.fail("bad escape at position %d", p.i)
	}
	p.i += n
	return rune(v)
}
