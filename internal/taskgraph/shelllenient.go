package taskgraph

import "strings"

// maxEvalDepth limits what eval runs; each level reads its text once more.
const maxEvalDepth = 1

// lenientCommands finds commands in a text that BitBake refuses.
func lenientCommands(text string) []string {
	l := &lenient{text: text, runs: map[string]bool{}, defines: map[string]bool{}}
	l.list("")
	return (&shell{runs: l.runs, defines: l.defines}).found()
}

// lenient reads a text by the POSIX shell's grammar, as far as it takes to tell commands from arguments.
type lenient struct {
	text          string
	at            int
	depth, evals  int
	here          []string // delimiters of here-documents whose text starts on the next line
	runs, defines map[string]bool
}

// command is the simple command that is being read.
type command struct {
	named bool     // its name was read
	eval  []string // arguments of eval
	first bool     // no word of it was read yet, so that reserved words count
}

// list reads commands up to the end of the text or up to end: ")" or "esac", which also ends at ";;".
func (s *lenient) list(end string) {
	if s.depth++; s.depth > maxShellDepth {
		s.at = len(s.text)
	}
	defer func() { s.depth-- }()
	cmd := command{first: true}
	for {
		s.blanks()
		if s.at >= len(s.text) {
			s.finish(&cmd)
			return
		}
		switch c := s.text[s.at]; c {
		case '\n':
			s.at++
			s.finish(&cmd)
			s.hereDocuments()
		case ';', '&', '|':
			s.finish(&cmd)
			if end == "esac" && strings.HasPrefix(s.text[s.at:], ";;") {
				s.at += 2
				return
			}
			s.at++
		case '(':
			s.at++
			s.list(")")
		case ')':
			s.finish(&cmd)
			s.at++
			if end == ")" {
				return
			}
		case '<', '>':
			s.redirection()
		default:
			start := s.at
			if s.word(); cmd.first && end == "esac" && s.text[start:s.at] == "esac" {
				s.at = start
				return
			}
			word := strings.ReplaceAll(s.text[start:s.at], "\\\n", "")
			if s.at < len(s.text) && strings.IndexByte("<>", s.text[s.at]) >= 0 && strings.Trim(word, "0123456789") == "" {
				continue // the number of what is redirected
			}
			s.took(&cmd, word)
		}
	}
}

// blanks skips what separates words, and comments.
func (s *lenient) blanks() {
	for s.at < len(s.text) {
		switch rest := s.text[s.at:]; {
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r':
			s.at++
		case strings.HasPrefix(rest, "\\\n"):
			s.at += 2
		case rest[0] == '#':
			s.skipTo("\n")
		default:
			return
		}
	}
}

// skipTo goes to the next occurrence of mark, or to the end.
func (s *lenient) skipTo(mark string) {
	if i := strings.Index(s.text[s.at:], mark); i >= 0 {
		s.at += i
	} else {
		s.at = len(s.text)
	}
}

// finish ends a simple command.
func (s *lenient) finish(cmd *command) {
	if len(cmd.eval) > 0 && s.evals < maxEvalDepth {
		s.evals++
		s.inside(strings.Join(cmd.eval, " "))
		s.evals--
	}
	*cmd = command{first: true}
}

// inside reads a text of its own: what eval and backquotes run.
func (s *lenient) inside(text string) {
	if s.depth < maxShellDepth {
		sub := &lenient{text: text, depth: s.depth + 1, evals: s.evals, runs: s.runs, defines: s.defines}
		sub.list("")
	}
}

// took decides what a word is.
func (s *lenient) took(cmd *command, word string) {
	switch {
	case cmd.eval != nil:
		cmd.eval = append(cmd.eval, word)
		return
	case cmd.named:
		return
	}
	if cmd.first && s.reserved(cmd, word) {
		return
	}
	cmd.first = false
	if strings.Contains(word, "=") {
		return
	}
	cmd.named = true
	switch {
	case s.definition():
		s.defines[word] = true
		*cmd = command{first: true}
	case word == "eval":
		cmd.eval = []string{}
	case !strings.ContainsAny(word, "$`"):
		s.runs[word] = true
	}
}

// reserved handles a reserved word where one counts; commands follow most of them.
func (s *lenient) reserved(cmd *command, word string) bool {
	switch word {
	case "if", "then", "else", "elif", "fi", "do", "done", "while", "until", "{", "}", "!", "esac":
		return true
	case "for":
		// All up to the end of the line are words of the loop.
		*cmd = command{named: true}
		return true
	case "case":
		s.caseItems()
		*cmd = command{first: true}
		return true
	}
	return false
}

// definition reports whether "()" follows, which makes the word before it a function's name.
func (s *lenient) definition() bool {
	rest := strings.TrimLeft(s.text[s.at:], " \t")
	if !strings.HasPrefix(rest, "(") {
		return false
	}
	after := strings.TrimLeft(rest[1:], " \t")
	if !strings.HasPrefix(after, ")") {
		return false
	}
	s.at = len(s.text) - len(after) + 1
	return true
}

// caseItems reads a case clause behind its first word, up to and with esac.
func (s *lenient) caseItems() {
	s.blanks()
	s.word()
	s.newlines()
	s.word() // in
	for {
		s.newlines()
		if s.at >= len(s.text) {
			return
		}
		if s.text[s.at] == '(' {
			s.at++
		}
		for { // patterns
			s.newlines()
			start := s.at
			s.word()
			if s.text[start:s.at] == "esac" {
				return
			}
			s.blanks()
			if s.at >= len(s.text) {
				return
			}
			s.at++
			if s.text[s.at-1] != '|' {
				break
			}
		}
		s.list("esac")
	}
}

func (s *lenient) newlines() {
	for s.blanks(); s.at < len(s.text) && s.text[s.at] == '\n'; s.blanks() {
		s.at++
	}
}

// redirection reads an operator; its target is the next word.
func (s *lenient) redirection() {
	rest := s.text[s.at:]
	if !strings.HasPrefix(rest, "<<") {
		s.at++
		if len(rest) > 1 && strings.IndexByte(">&|", rest[1]) >= 0 {
			s.at++
		}
		s.blanks()
		s.word()
		return
	}
	s.at += 2
	if s.at < len(s.text) && s.text[s.at] == '-' {
		s.at++
	}
	s.blanks()
	start := s.at
	s.word()
	s.here = append(s.here, unquoted(s.text[start:s.at]))
}

// hereDocuments skips those that start on this line.
func (s *lenient) hereDocuments() {
	for _, mark := range s.here {
		for s.at < len(s.text) {
			start := s.at
			s.skipTo("\n")
			line := s.text[start:s.at]
			s.at = min(s.at+1, len(s.text))
			if strings.TrimLeft(line, "\t") == mark {
				break
			}
		}
	}
	s.here = nil
}
