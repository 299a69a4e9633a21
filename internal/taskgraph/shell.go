package taskgraph

import "slices"

// maxShellDepth limits how deep substitutions, eval and compound commands may lie inside of each other.
const maxShellDepth = 100

// shell finds the names of the commands that a shell text runs, without the functions that it defines itself, as BitBake's
// own parser sees them: names made at run time are not known, nor are commands in quotes (until 2.10), in ${...}, in
// redirections and behind "case". Text that BitBake refuses is read by a parser that knows all of the shell's language.
func (c *code) shell(text string) []string {
	if names, ok := c.shells[text]; ok {
		return names
	}
	names, ok := shellCommands(text, c.quoted)
	if !ok {
		names = lenientCommands(text)
	}
	c.shells[text] = names
	return names
}

// shellCommands does that for what BitBake accepts; ok is false for the rest.
func shellCommands(text string, quoted bool) (names []string, ok bool) {
	s := &shell{quoted: quoted, runs: map[string]bool{}, defines: map[string]bool{}}
	if err := s.text(text); err != nil {
		return nil, false
	}
	return s.found(), true
}

// found are the commands that are no functions of the text itself.
func (s *shell) found() []string {
	names := []string{}
	for name := range s.runs {
		if !s.defines[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// shell parses a text by the grammar that BitBake knows. Commands are noted as they are read.
type shell struct {
	tokens        []token
	at, depth     int
	quoted        bool // substitutions in double quotes count
	runs, defines map[string]bool
}

// text reads a whole text, also one that is substituted in another.
func (s *shell) text(text string) error {
	tokens, err := lex(text)
	if err != nil {
		return err
	}
	sub := &shell{tokens: tokens, depth: s.depth + 1, quoted: s.quoted, runs: s.runs, defines: s.defines}
	if sub.depth > maxShellDepth {
		return errShell
	}
	sub.newlines()
	for sub.peek() != tkEnd {
		if err := sub.completeCommand(); err != nil {
			return err
		}
	}
	return nil
}

func (s *shell) peek() kind { return s.tokens[s.at].kind }

func (s *shell) accept(k kind) bool {
	if s.peek() != k {
		return false
	}
	s.at++
	return true
}

func (s *shell) expect(k kind) error {
	if !s.accept(k) {
		return errShell
	}
	return nil
}

func (s *shell) newlines() bool {
	some := false
	for s.accept(tkNewline) {
		some = true
	}
	return some
}

// separator skips what ends a command; last is the operator, "" for newlines.
func (s *shell) separator() (last kind, ok bool) {
	switch {
	case s.accept(";"):
		s.accept(";")
		last = ";"
	case s.accept("&"):
		last = "&"
	default:
		return "", s.newlines()
	}
	return last, true
}

// completeCommand reads commands up to the end of a line. Another may follow without any separator.
func (s *shell) completeCommand() error {
	for {
		if err := s.andOr(); err != nil {
			return err
		}
		op, ok := s.separator()
		if !ok || op == "" {
			return nil
		}
		if s.newlines() || s.peek() == tkEnd {
			return nil
		}
	}
}

// compoundList reads the commands inside of a compound one.
func (s *shell) compoundList() error {
	s.newlines()
	for {
		if err := s.andOr(); err != nil {
			return err
		}
		op, ok := s.separator()
		if !ok {
			return nil
		}
		s.newlines()
		if !s.starts() {
			if op == "&" { // BitBake does not know it as the last one
				return errShell
			}
			return nil
		}
	}
}

// starts reports whether a command can start here.
func (s *shell) starts() bool {
	switch s.peek() {
	case tkToken, tkAssign, tkNumber, "<", "<&", ">", ">&", ">>", "<>", ">|", "<<", "<<-", "!", "{", "(", "for", "case", "if", "while", "until":
		return true
	}
	return false
}

func (s *shell) andOr() error {
	for {
		s.accept("!")
		for {
			if err := s.command(); err != nil {
				return err
			}
			if !s.accept("|") {
				break
			}
			s.newlines()
		}
		if !s.accept("&&") && !s.accept("||") {
			return nil
		}
		s.newlines()
	}
}

func (s *shell) command() error {
	if s.depth++; s.depth > maxShellDepth {
		return errShell
	}
	defer func() { s.depth-- }()
	if s.peek() == tkToken && s.tokens[s.at+1].kind == "(" {
		return s.definition()
	}
	known, err := s.compound()
	if err != nil {
		return err
	}
	if !known {
		return s.simple()
	}
	_, err = s.redirections()
	return err
}

// definition reads a function.
func (s *shell) definition() error {
	s.defines[s.tokens[s.at].text] = true
	s.at += 2
	if err := s.expect(")"); err != nil {
		return err
	}
	s.newlines()
	known, err := s.compound()
	if err != nil {
		return err
	}
	redirected, err := s.redirections()
	if !known || redirected {
		return errShell
	}
	return err
}

// compound reads a compound command; known is false when there is none.
func (s *shell) compound() (known bool, err error) {
	k := s.peek()
	switch k {
	case "{", "(", "if", "while", "until", "for", "case":
		s.at++
	}
	switch k {
	case "{":
		return true, s.all(s.compoundList, s.needs("}"))
	case "(":
		return true, s.all(s.compoundList, s.needs(")"))
	case "while", "until":
		return true, s.all(s.compoundList, s.doGroup)
	case "if":
		return true, s.ifClause()
	case "for":
		return true, s.forClause()
	case "case":
		return true, s.caseClause()
	}
	return false, nil
}

func (s *shell) needs(k kind) func() error { return func() error { return s.expect(k) } }

func (s *shell) all(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *shell) doGroup() error { return s.all(s.needs("do"), s.compoundList, s.needs("done")) }

func (s *shell) ifClause() error {
	for {
		if err := s.all(s.compoundList, s.needs("then"), s.compoundList); err != nil {
			return err
		}
		if s.accept("elif") {
			continue
		}
		if s.accept("else") {
			if err := s.compoundList(); err != nil {
				return err
			}
		}
		return s.expect("fi")
	}
}

// plain reads what the grammar calls a token: a word, or fi.
func (s *shell) plain() (string, bool) {
	if k := s.peek(); k != tkToken && k != "fi" {
		return "", false
	}
	s.at++
	return s.tokens[s.at-1].text, true
}

func (s *shell) forClause() error {
	if _, ok := s.plain(); !ok {
		return errShell
	}
	s.newlines()
	if err := s.expect("in"); err != nil {
		return err
	}
	var items []shellWord
	for {
		text, ok := s.plain()
		if !ok {
			break
		}
		items = append(items, shellWord{text: text})
	}
	if !s.accept(";") && s.peek() != tkNewline {
		return errShell
	}
	s.newlines()
	if err := s.doGroup(); err != nil {
		return err
	}
	return s.words(items)
}

func (s *shell) caseClause() error {
	if _, ok := s.plain(); !ok {
		return errShell
	}
	s.newlines()
	if err := s.expect("in"); err != nil {
		return err
	}
	s.newlines()
	var patterns []shellWord
	for !s.accept("esac") {
		s.accept("(")
		for first := true; first || s.accept("|"); first = false {
			text, ok := s.plain()
			if !ok {
				return errShell
			}
			if first { // BitBake takes the bar for each of the others
				patterns = append(patterns, shellWord{text: text})
			}
		}
		if err := s.expect(")"); err != nil {
			return err
		}
		s.newlines()
		if s.starts() {
			if err := s.compoundList(); err != nil {
				return err
			}
		}
		if !s.accept(";;") && s.peek() != "esac" {
			return errShell
		}
		s.newlines()
	}
	return s.words(patterns)
}

func (s *shell) redirections() (some bool, err error) {
	for {
		ok, err := s.redirection()
		if !ok || err != nil {
			return some, err
		}
		some = true
	}
}

func (s *shell) redirection() (ok bool, err error) {
	numbered := s.accept(tkNumber)
	switch k := s.peek(); k {
	case "<", "<&", ">", ">&", ">>", "<>", ">|":
		s.at++
		return true, s.expect(tkToken)
	case "<<", "<<-":
		s.at++
		return true, s.all(s.needs(tkHereName), s.needs(tkToken))
	}
	if numbered {
		return true, errShell
	}
	return false, nil
}
