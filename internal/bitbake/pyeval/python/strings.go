// SPDX-License-Identifier: MIT

package python

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// str reads a string literal whose prefix (lower case) has been read.
func (s *scanner) str(pos Pos, prefix string) {
	quote := s.src[s.off : s.off+1]
	if strings.HasPrefix(s.src[s.off:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	s.advance(len(quote))
	raw, bytes := strings.Contains(prefix, "r"), strings.Contains(prefix, "b")
	if strings.Contains(prefix, "f") {
		if s.deep++; s.deep > 10 {
			s.fail(pos, "f-string: expressions nested too deeply")
		}
		f := &fstring{}
		s.fbody(f, quote, raw, false)
		s.advance(len(quote))
		s.deep--
		s.emit(tokString, pos, "", f)
		return
	}
	start := s.off
	for !strings.HasPrefix(s.src[s.off:], quote) {
		s.strChar(pos, quote)
	}
	body := s.src[start:s.off]
	s.advance(len(quote))
	if !bytes {
		s.emit(tokString, pos, "", s.unescape(pos, body, raw, false))
		return
	}
	for i := range len(body) {
		if body[i] >= utf8.RuneSelf {
			s.fail(pos, "bytes can only contain ASCII literal characters")
		}
	}
	s.emit(tokString, pos, "", Bytes(s.unescape(pos, body, raw, true)))
}

// strChar skips one character, or one backslash and the character behind it.
func (s *scanner) strChar(pos Pos, quote string) {
	if s.off >= len(s.src) || s.peek(0) == '\n' && len(quote) == 1 {
		s.fail(pos, "unterminated string literal")
	}
	if s.peek(0) == '\\' && s.off+1 < len(s.src) {
		s.advance(1)
		if s.peek(0) == '\r' && s.peek(1) == '\n' {
			s.advance(1)
		}
	}
	s.advance(1)
}

// fbody reads the inside of an f-string up to its closing quote, or of a format spec up to "}".
func (s *scanner) fbody(f *fstring, quote string, raw, spec bool) {
	pos, start := s.pos, s.off
	lit := func() {
		text := s.src[start:s.off]
		if !spec {
			text = strings.ReplaceAll(strings.ReplaceAll(text, "{{", "{"), "}}", "}")
		}
		if text = s.unescape(pos, text, raw, false); text != "" {
			f.parts = append(f.parts, fpart{lit: text})
		}
	}
	for {
		switch {
		case s.off >= len(s.src):
			s.fail(pos, "unterminated f-string literal")
		case spec && s.peek(0) == '}':
			lit()
			return
		case strings.HasPrefix(s.src[s.off:], quote):
			if spec {
				s.fail(s.pos, "f-string: expecting '}'")
			}
			lit()
			return
		case !raw && strings.HasPrefix(s.src[s.off:], `\N{`):
			panic(&Error{Pos: s.pos, Text: `the escape \N{...}`, Unsupported: true})
		case !spec && (strings.HasPrefix(s.src[s.off:], "{{") || strings.HasPrefix(s.src[s.off:], "}}")):
			s.advance(2)
		case s.peek(0) == '}':
			s.fail(s.pos, "f-string: single '}' is not allowed")
		case s.peek(0) == '{':
			lit()
			s.advance(1)
			f.parts = append(f.parts, s.replacement(quote, raw))
			start = s.off
		case s.peek(0) == '\\' && (s.peek(1) == '{' || s.peek(1) == '}'):
			s.advance(1) // the backslash stays; the brace has its own meaning
		default:
			s.strChar(pos, quote)
		}
	}
}

// replacement reads "expr[=][!conv][:spec]}" behind an opening brace.
func (s *scanner) replacement(quote string, raw bool) fpart {
	part := fpart{isExpr: true, pos: s.pos}
	part.src = s.fexpr()
	if text := strings.TrimRight(part.src, " \t\n"); strings.HasSuffix(text, "=") {
		part.debug, part.src = part.src, text[:len(text)-1]
	}
	if strings.TrimSpace(part.src) == "" {
		s.fail(part.pos, "f-string: valid expression required before '}'")
	}
	if s.peek(0) == '!' {
		part.conv = s.peek(1)
		if part.conv != 'r' && part.conv != 's' && part.conv != 'a' {
			s.fail(s.pos, "f-string: invalid conversion character: expected 's', 'r', or 'a'")
		}
		s.advance(2)
	}
	if s.peek(0) == ':' {
		s.advance(1)
		if s.deep++; s.deep > 10 {
			s.fail(s.pos, "f-string: expressions nested too deeply")
		}
		part.spec = &fstring{}
		s.fbody(part.spec, quote, raw, true)
		s.deep--
	}
	if s.peek(0) != '}' {
		s.fail(s.pos, "f-string: expecting '}'")
	}
	s.advance(1)
	return part
}

// fexpr reads the expression's text up to "}", "!conv" or ":" outside of brackets and strings.
func (s *scanner) fexpr() string {
	start, depth := s.off, 0
	for s.off < len(s.src) {
		c := s.peek(0)
		switch {
		case c == '\'' || c == '"':
			s.skipString()
			continue
		case c == '(' || c == '[' || c == '{':
			depth++
		case depth > 0 && (c == ')' || c == ']' || c == '}'):
			depth--
		case depth == 0 && (c == '}' || c == ':' || c == '!' && s.peek(1) != '='):
			return s.src[start:s.off]
		case depth == 0 && (c == '!' || c == '=' || c == '<' || c == '>') && s.peek(1) == '=':
			s.advance(1)
		case c == '#':
			s.fail(s.pos, "f-string expression part cannot include '#'")
		case c == '\\':
			s.fail(s.pos, "f-string expression part cannot include a backslash")
		}
		s.advance(1)
	}
	s.fail(s.pos, "f-string: expecting '}'")
	return ""
}

// skipString goes behind a string inside an f-string's expression.
func (s *scanner) skipString() {
	pos, quote := s.pos, s.src[s.off:s.off+1]
	if strings.HasPrefix(s.src[s.off:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	s.advance(len(quote))
	for !strings.HasPrefix(s.src[s.off:], quote) {
		s.strChar(pos, quote)
	}
	s.advance(len(quote))
}

var simpleEscapes = map[byte]byte{
	'\\': '\\', '\'': '\'', '"': '"', 'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
}

// unescape resolves a literal's escapes; an unknown one stays as it is written.
func (s *scanner) unescape(pos Pos, body string, raw, bytes bool) string {
	body = strings.ReplaceAll(body, "\r\n", "\n")
	if raw || !strings.Contains(body, `\`) {
		return body
	}
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' || i+1 == len(body) {
			b.WriteByte(body[i])
			continue
		}
		i++
		c := body[i]
		if r, ok := simpleEscapes[c]; ok {
			b.WriteByte(r)
			continue
		}
		width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		switch {
		case c == '\n':
		case c >= '0' && c <= '7':
			n := i
			for n < len(body) && n < i+3 && body[n] >= '0' && body[n] <= '7' {
				n++
			}
			v, _ := strconv.ParseUint(body[i:n], 8, 16)
			s.writeCode(pos, &b, v, bytes)
			i = n - 1
		case width > 0 && (c == 'x' || !bytes):
			if i+width >= len(body) {
				s.fail(pos, "truncated \\"+string(c)+" escape")
			}
			v, err := strconv.ParseUint(body[i+1:i+1+width], 16, 32)
			if err != nil || v > 0x10ffff {
				s.fail(pos, "invalid \\"+string(c)+" escape")
			}
			s.writeCode(pos, &b, v, bytes)
			i += width
		case c == 'N' && !bytes:
			panic(&Error{Pos: pos, Text: `the escape \N{...}`, Unsupported: true})
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (s *scanner) writeCode(pos Pos, b *strings.Builder, v uint64, bytes bool) {
	switch {
	case bytes:
		b.WriteByte(byte(v))
	case v >= 0xd800 && v <= 0xdfff:
		panic(&Error{Pos: pos, Text: "a surrogate in a string", Unsupported: true})
	default:
		b.WriteRune(rune(v))
	}
}
