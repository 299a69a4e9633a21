// SPDX-License-Identifier: MIT

package python

import (
	"slices"
	"strconv"
)

// parser is a recursive-descent parser over the scanned tokens; errors travel as panics of *Error
// up to catch.
type parser struct {
	toks  []token
	i     int
	tok   token
	depth int // of nested expressions
}

// maxNesting bounds recursion; CPython's own limit is of the same size.
const maxNesting = 1000

func newParser(text string, start Pos, lines bool) (p *parser, err error) {
	p = &parser{}
	s := &scanner{src: text, pos: start, lines: lines}
	if s.pos.Col == 0 {
		s.pos = Pos{1, 1}
	}
	if err := p.catch(s.scan); err != nil {
		return nil, err
	}
	p.toks = s.out
	p.tok = p.toks[0]
	return p, nil
}

func (p *parser) catch(f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	f()
	return nil
}

func (p *parser) next() {
	if p.i < len(p.toks)-1 {
		p.i++
	}
	p.tok = p.toks[p.i]
}

func (p *parser) fail(pos Pos, text string)   { panic(&Error{Pos: pos, Text: text}) }
func (p *parser) refuse(pos Pos, what string) { panic(&Error{Pos: pos, Text: what, Unsupported: true}) }
func (p *parser) is(text string) bool         { return p.tok.kind == tokOp && p.tok.text == text }
func (p *parser) isWord(word string) bool     { return p.tok.kind == tokName && p.tok.text == word }
func (p *parser) peekTok() token              { return p.toks[min(p.i+1, len(p.toks)-1)] }
func (p *parser) accept(text string) bool     { return p.acceptIf(p.is(text)) }
func (p *parser) acceptWord(word string) bool { return p.acceptIf(p.isWord(word)) }
func isKeyword(name string) bool              { return slices.Contains(keywords, name) }
func (p *parser) isIdent() bool               { return p.tok.kind == tokName && !isKeyword(p.tok.text) }
func (p *parser) expect(text string)          { p.must(p.accept(text), text) }
func (p *parser) expectWord(word string)      { p.must(p.acceptWord(word), word) }

var keywords = []string{
	"False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif",
	"else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or",
	"pass", "raise", "return", "try", "while", "with", "yield",
}

func (p *parser) acceptIf(ok bool) bool {
	if ok {
		p.next()
	}
	return ok
}

func (p *parser) must(ok bool, want string) {
	if !ok {
		p.fail(p.tok.pos, "expected "+strconv.Quote(want)+" but found "+p.describe())
	}
}

func (p *parser) unexpected() { p.fail(p.tok.pos, "unexpected "+p.describe()) }

func (p *parser) describe() string {
	switch p.tok.kind {
	case tokEOF:
		return "the end of the text"
	case tokNewline:
		return "the end of the line"
	case tokIndent:
		return "an indented line"
	case tokDedent:
		return "the end of a block"
	case tokString:
		return "a string"
	}
	return strconv.Quote(p.tok.text)
}

func (p *parser) ident() string {
	if !p.isIdent() {
		p.fail(p.tok.pos, "expected a name but found "+p.describe())
	}
	name := p.tok.text
	p.next()
	return name
}

// deeper guards the recursion; call the result when done.
func (p *parser) deeper() func() {
	if p.depth++; p.depth > maxNesting {
		p.refuse(p.tok.pos, "nesting of expressions this deep")
	}
	return func() { p.depth-- }
}
