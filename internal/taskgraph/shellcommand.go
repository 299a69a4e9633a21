package taskgraph

import (
	"slices"
	"strings"
)

// shellWord is a word of a command.
type shellWord struct {
	text string
	name bool // it stands where a command's name does
	part bool // it is only a value that is assigned
}

// simple reads a simple command.
func (s *shell) simple() error {
	var words, assigned []shellWord
	prefix := false
	for {
		ok, err := s.redirection()
		if err != nil {
			return err
		}
		if !ok && s.accept(tkAssign) {
			_, value, _ := strings.Cut(s.tokens[s.at-1].text, "=")
			assigned, ok = append(assigned, shellWord{text: value, part: true}), true
		}
		if !ok {
			break
		}
		prefix = true
	}
	switch k := s.peek(); {
	case k == tkToken || prefix && k == "fi":
		words = append(words, shellWord{text: s.tokens[s.at].text, name: true})
		s.at++
	case prefix:
		return s.words(assigned)
	default:
		return errShell
	}
	for {
		ok, err := s.redirection()
		if err != nil {
			return err
		}
		if ok {
			continue
		}
		switch s.peek() {
		case tkToken, "fi", "for", "done", "do", "until", tkAssign, "if", "then", "!":
			words = append(words, shellWord{text: s.tokens[s.at].text})
			s.at++
			continue
		}
		return s.words(append(words, assigned...))
	}
}

// words notes what the words of a command run: what is substituted in them, and the command itself.
func (s *shell) words(words []shellWord) error {
	left := slices.Clone(words)
	for i := 0; i < len(words); i++ {
		w := words[i]
		commands, err := substitutions(w.text, s.quoted)
		if err != nil {
			return err
		}
		for _, c := range commands {
			if err := s.text(c); err != nil {
				return err
			}
			if j := slices.Index(left, w); w.name && j >= 0 {
				left = slices.Delete(left, j, j+1)
				if s.quoted {
					i++ // later releases look past the word behind it
				}
			}
		}
	}
	assigning := false
	for _, w := range left {
		if !w.name && !(assigning && !w.part) {
			continue
		}
		switch {
		case strings.Contains(w.text, "="):
			assigning = true
			continue
		case strings.HasPrefix(w.text, "$"):
		case w.text == "eval":
			return s.eval(left)
		default:
			s.runs[w.text] = true
		}
		return nil
	}
	return nil
}

// eval reads what follows it as a text of its own; words are those of its command.
func (s *shell) eval(words []shellWord) error {
	var text []string
	for _, w := range words[1:] {
		text = append(text, w.text)
	}
	return s.text(strings.Join(text, " "))
}
