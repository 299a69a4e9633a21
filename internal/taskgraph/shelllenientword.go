package taskgraph

import "strings"

// word reads one word, and the commands that are substituted in it.
func (s *lenient) word() {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n', ';', '&', '|', '<', '>', '(', ')':
			return
		case '\'':
			s.at++
			s.skipTo("'")
			s.step(1)
		case '"':
			s.at++
			s.quoted()
		default:
			s.part()
		}
	}
}

func (s *lenient) step(n int) { s.at = min(s.at+n, len(s.text)) }

// quoted reads the rest of a "..." string.
func (s *lenient) quoted() {
	for s.at < len(s.text) {
		if s.text[s.at] == '"' {
			s.at++
			return
		}
		s.part()
	}
}

// part reads one character, or what starts with $ or a backquote.
func (s *lenient) part() {
	switch rest := s.text[s.at:]; {
	case rest[0] == '\\':
		s.step(2)
	case strings.HasPrefix(rest, "$(("):
		s.step(3)
		s.arithmetic()
	case strings.HasPrefix(rest, "$("):
		s.step(2)
		s.list(")")
	case strings.HasPrefix(rest, "${"):
		s.step(2)
		s.parameter()
	case rest[0] == '`':
		s.backquoted()
	default:
		s.at++
	}
}

// arithmetic reads the rest of $((...)).
func (s *lenient) arithmetic() {
	for depth := 2; depth > 0 && s.at < len(s.text); {
		switch s.text[s.at] {
		case '(':
			depth++
			s.at++
		case ')':
			depth--
			s.at++
		default:
			s.part()
		}
	}
}

// parameter reads the rest of ${...}.
func (s *lenient) parameter() {
	if s.depth++; s.depth > maxShellDepth {
		s.at = len(s.text)
	}
	defer func() { s.depth-- }()
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '}':
			s.at++
			return
		case '"':
			s.at++
			s.quoted()
		default:
			s.part()
		}
	}
}

// backquoted reads `...`, inside of which a backslash quotes a backquote, a backslash and a dollar sign.
func (s *lenient) backquoted() {
	s.at++
	var text strings.Builder
	for s.at < len(s.text) && s.text[s.at] != '`' {
		if s.text[s.at] == '\\' && s.at+1 < len(s.text) && strings.IndexByte("`\\$", s.text[s.at+1]) >= 0 {
			s.at++
		}
		text.WriteByte(s.text[s.at])
		s.at++
	}
	s.step(1)
	s.inside(text.String())
}
