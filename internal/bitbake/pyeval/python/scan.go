// SPDX-License-Identifier: MIT

package python

import (
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokKind int

const (
	tokEOF tokKind = iota
	tokNewline
	tokIndent
	tokDedent
	tokName // identifiers and keywords
	tokOp
	tokNumber
	tokString
)

type token struct {
	kind  tokKind
	pos   Pos
	text  string // of names and operators
	value any    // number: *big.Int or float64; string: string, Bytes or *fstring
}

// fstring is a scanned, not yet parsed f-string.
type fstring struct{ parts []fpart }

// fpart is literal text, or an expression with its conversion and format spec.
type fpart struct {
	lit    string
	isExpr bool
	src    string // the expression's text
	pos    Pos
	conv   byte
	spec   *fstring
	debug  string // text of {x=} including "=", else ""
}

// scanner turns text into tokens. In expression mode (lines false) newlines at the top level end
// the expression and indentation means nothing.
type scanner struct {
	src    string
	off    int
	pos    Pos
	lines  bool
	depth  int   // of open brackets
	opened []Pos // where they are
	indent []int // columns of open blocks
	tabs   []int // the same with tabs counted as one column, to find ambiguous mixtures
	fresh  bool  // at the beginning of a logical line
	out    []token
	deep   int // nesting of f-strings
}

const maxDepth = 200 // of brackets and blocks, as in CPython

func (s *scanner) fail(pos Pos, text string) {
	panic(&Error{Pos: pos, Text: text})
}

func (s *scanner) peek(n int) byte {
	if s.off+n < len(s.src) {
		return s.src[s.off+n]
	}
	return 0
}

func (s *scanner) advance(n int) {
	for range n {
		if s.src[s.off] == '\n' {
			s.pos.Line++
			s.pos.Col = 1
		} else {
			s.pos.Col++
		}
		s.off++
	}
}

func (s *scanner) emit(kind tokKind, pos Pos, text string, value any) {
	s.out = append(s.out, token{kind, pos, text, value})
}

// scan reads everything.
func (s *scanner) scan() {
	s.fresh = s.lines
	s.indent, s.tabs = []int{0}, []int{0}
	for {
		if s.fresh && s.depth == 0 {
			s.indentation()
		}
		if s.off >= len(s.src) {
			break
		}
		if s.fresh && s.depth == 0 {
			continue // a blank line, or one that goes on
		}
		s.one()
	}
	if s.depth > 0 {
		s.fail(s.opened[s.depth-1], "this bracket is never closed")
	}
	if n := len(s.out); s.lines && n > 0 && s.out[n-1].kind != tokNewline && s.out[n-1].kind != tokDedent {
		s.emit(tokNewline, s.pos, "", nil)
	}
	for len(s.indent) > 1 {
		s.indent = s.indent[:len(s.indent)-1]
		s.emit(tokDedent, s.pos, "", nil)
	}
	s.emit(tokEOF, s.pos, "", nil)
}

// indentation measures the beginning of a line and opens or closes blocks; blank lines count nothing.
func (s *scanner) indentation() {
	col, alt := 0, 0
	for {
		switch s.peek(0) {
		case ' ':
			col++
			alt++
		case '\t':
			col = col/8*8 + 8
			alt++
		case '\f':
			col, alt = 0, 0
		default:
			goto measured
		}
		s.advance(1)
	}
measured:
	c := s.peek(0)
	if s.off >= len(s.src) || c == '\n' || c == '#' || c == '\r' && s.peek(1) == '\n' {
		s.skipLine()
		return
	}
	if c == '\\' && s.peek(1) == '\n' {
		s.advance(2)
		return // still the beginning of the same line
	}
	s.fresh = false
	top := len(s.indent) - 1
	switch {
	case col == s.indent[top]:
		if alt != s.tabs[top] {
			s.fail(s.pos, "inconsistent use of tabs and spaces in indentation")
		}
	case col > s.indent[top]:
		if alt <= s.tabs[top] {
			s.fail(s.pos, "inconsistent use of tabs and spaces in indentation")
		}
		if len(s.indent) > 99 {
			s.fail(s.pos, "too many levels of indentation")
		}
		s.indent, s.tabs = append(s.indent, col), append(s.tabs, alt)
		s.emit(tokIndent, s.pos, "", nil)
	default:
		s.dedent(col, alt)
	}
}

func (s *scanner) dedent(col, alt int) {
	for len(s.indent) > 1 && col < s.indent[len(s.indent)-1] {
		s.indent, s.tabs = s.indent[:len(s.indent)-1], s.tabs[:len(s.tabs)-1]
		s.emit(tokDedent, s.pos, "", nil)
	}
	top := len(s.indent) - 1
	if col != s.indent[top] {
		s.fail(s.pos, "unindent does not match any outer indentation level")
	}
	if alt != s.tabs[top] {
		s.fail(s.pos, "inconsistent use of tabs and spaces in indentation")
	}
}

// skipLine goes behind the next newline.
func (s *scanner) skipLine() {
	n := strings.IndexByte(s.src[s.off:], '\n')
	if n < 0 {
		s.advance(len(s.src) - s.off)
		s.fresh = false
		return
	}
	s.advance(n + 1)
}

// one reads one token, or skips one blank, comment or line end.
func (s *scanner) one() {
	c := s.peek(0)
	switch {
	case c == ' ' || c == '\t' || c == '\f' || c == '\r' && s.peek(1) == '\n':
		s.advance(1)
	case c == '\n':
		if s.depth == 0 {
			s.emit(tokNewline, s.pos, "", nil)
			s.fresh = s.lines
		}
		s.advance(1)
	case c == '#':
		for s.off < len(s.src) && s.peek(0) != '\n' {
			s.advance(1)
		}
	case c == '\\':
		s.continuation()
	case isIdentStart(s.src[s.off:]):
		s.nameOrString()
	case c >= '0' && c <= '9' || c == '.' && s.peek(1) >= '0' && s.peek(1) <= '9':
		s.number()
	case c == '"' || c == '\'':
		s.str(s.pos, "")
	default:
		s.operator()
	}
}

func (s *scanner) continuation() {
	switch {
	case s.peek(1) == '\n':
		s.advance(2)
	case s.peek(1) == '\r' && s.peek(2) == '\n':
		s.advance(3)
	default:
		s.fail(s.pos, "unexpected character after line continuation character")
	}
}

func isIdentStart(src string) bool {
	r, _ := utf8.DecodeRuneInString(src)
	return r == '_' || r < utf8.RuneSelf && unicode.IsLetter(r) || r >= utf8.RuneSelf && r != utf8.RuneError && unicode.IsLetter(r)
}

func (s *scanner) nameOrString() {
	start, pos := s.off, s.pos
	for s.off < len(s.src) {
		r, n := utf8.DecodeRuneInString(s.src[s.off:])
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) || r == utf8.RuneError {
			break
		}
		s.advance(n)
	}
	name := s.src[start:s.off]
	if c := s.peek(0); (c == '"' || c == '\'') && len(name) <= 2 {
		switch p := strings.ToLower(name); p {
		case "r", "b", "f", "u", "rb", "br", "rf", "fr":
			s.str(pos, p)
			return
		}
	}
	for _, r := range name {
		if r >= utf8.RuneSelf { // CPython folds these (NFKC); two spellings can be one name
			panic(&Error{Pos: pos, Text: "an identifier outside ASCII: " + name, Unsupported: true})
		}
	}
	s.emit(tokName, pos, name, nil)
}

// number reads an int or float literal.
func (s *scanner) number() {
	start, pos := s.off, s.pos
	isFloat := false
	if c := s.peek(1) | 0x20; s.peek(0) == '0' && (c == 'x' || c == 'o' || c == 'b') {
		s.advance(2)
		for isAlnum(s.peek(0)) {
			s.advance(1)
		}
	} else {
		for {
			c := s.peek(0)
			if (c == 'e' || c == 'E') && s.exponent() {
				isFloat = true
				continue
			}
			if c == '.' {
				isFloat = true
			} else if c != '_' && (c < '0' || c > '9') {
				break
			}
			s.advance(1)
		}
	}
	text := s.src[start:s.off]
	if isAlnum(s.peek(0)) && !s.keywordFollows() {
		if c := s.peek(0) | 0x20; c == 'j' {
			panic(&Error{Pos: pos, Text: "a complex number", Unsupported: true})
		}
		s.fail(pos, "invalid number "+strconv.Quote(text+string(s.peek(0))))
	}
	s.emit(tokNumber, pos, text, s.numberValue(pos, text, isFloat))
}

// exponent reads the exponent's letter and sign, if digits follow.
func (s *scanner) exponent() bool {
	n := 1
	if c := s.peek(1); c == '+' || c == '-' {
		n = 2
	}
	if c := s.peek(n); c < '0' || c > '9' {
		return false
	}
	s.advance(n)
	return true
}

// keywordFollows allows "1if x else 2", as CPython (with a warning) does.
func (s *scanner) keywordFollows() bool {
	for _, kw := range []string{"and", "else", "for", "if", "in", "is", "not", "or"} {
		if strings.HasPrefix(s.src[s.off:], kw) && !isAlnum(s.peek(len(kw))) {
			return true
		}
	}
	return false
}

func (s *scanner) numberValue(pos Pos, text string, isFloat bool) any {
	if strings.HasSuffix(text, "_") || strings.Contains(text, "__") {
		s.fail(pos, "invalid number "+strconv.Quote(text))
	}
	plain := strings.ReplaceAll(text, "_", "")
	if isFloat {
		f, err := strconv.ParseFloat(plain, 64)
		if err != nil && f == 0 {
			s.fail(pos, "invalid number "+strconv.Quote(text))
		}
		return f
	}
	base := 10
	if len(plain) > 1 && plain[0] == '0' {
		switch plain[1] | 0x20 {
		case 'x', 'o', 'b':
			base = map[byte]int{'x': 16, 'o': 8, 'b': 2}[plain[1]|0x20]
			plain = plain[2:]
		default:
			if strings.Trim(plain, "0") != "" {
				s.fail(pos, "leading zeros in decimal integer literals are not permitted: "+text)
			}
		}
	}
	i, ok := new(big.Int).SetString(plain, base)
	if !ok || strings.HasPrefix(plain, "+") || strings.HasPrefix(plain, "-") {
		s.fail(pos, "invalid number "+strconv.Quote(text))
	}
	return i
}

func isAlnum(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// operators, longest first.
var operators = []string{
	"**=", "//=", ">>=", "<<=", "...",
	"**", "//", ">>", "<<", "<=", ">=", "==", "!=", "->", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@=", ":=",
	"+", "-", "*", "/", "%", "@", "&", "|", "^", "~", "<", ">", "(", ")", "[", "]", "{", "}", ",", ":", ".", ";", "=",
}

func (s *scanner) operator() {
	for _, op := range operators {
		if !strings.HasPrefix(s.src[s.off:], op) {
			continue
		}
		switch op {
		case "(", "[", "{":
			if s.depth++; s.depth > maxDepth {
				s.fail(s.pos, "too many nested brackets")
			}
			s.opened = append(s.opened[:s.depth-1], s.pos)
		case ")", "]", "}":
			if s.depth--; s.depth < 0 {
				s.fail(s.pos, "unmatched "+op)
			}
		}
		s.emit(tokOp, s.pos, op, nil)
		s.advance(len(op))
		return
	}
	r, _ := utf8.DecodeRuneInString(s.src[s.off:])
	s.fail(s.pos, "invalid character "+strconv.QuoteRune(r))
}
