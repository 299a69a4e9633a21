package taskgraph

import (
	"errors"
	"slices"
	"strings"
)

// errShell says that a text is no shell as BitBake knows it.
var errShell = errors.New("unknown shell syntax")

// kind is what a token of the shell's grammar is: an operator or reserved word as it is written, or one of these.
type kind string

const (
	tkToken    kind = "word"
	tkOperator kind = "operator"
	tkComment  kind = "comment"
	tkNewline  kind = "newline"
	tkNumber   kind = "number of a redirection"
	tkAssign   kind = "assignment"
	tkHereName kind = "delimiter of a here-document"
	tkEnd      kind = "end"
)

type token struct {
	kind  kind
	text  string
	delim string // what came behind it
}

var (
	operators = map[string]bool{"&&": true, "||": true, ";;": true, "<<": true, ">>": true, "<&": true, ">&": true, "<>": true, "<<-": true, ">|": true, "&": true, ";": true, "<": true, ">": true, "(": true, ")": true}
	reserved  = map[string]bool{"if": true, "then": true, "else": true, "elif": true, "fi": true, "do": true, "done": true, "case": true, "esac": true, "while": true, "until": true, "for": true, "{": true, "}": true, "!": true, "in": true, "|": true}
)

// openings are what operators begin with, and operators.
var openings = func() map[string]bool {
	all := map[string]bool{}
	for op := range operators {
		for i := range op {
			all[op[:i+1]] = true
		}
	}
	return all
}()

// lexer splits a shell text into tokens the way BitBake's does, oddities included: a "$(" ends at the next ")", reserved
// words count anywhere, an assignment is only known as one at the end of the text.
type lexer struct {
	text   string
	at     int
	word   strings.Builder
	kind   kind
	tokens []token

	hereOp, hereName string
	named            bool
	pending          []token // of the line on which a here-document starts
	inHere           bool
	position         int // of the token behind "for" and "case"; -1 elsewhere
}

// lex gives the tokens of a text.
func lex(text string) ([]token, error) {
	l := &lexer{text: text, kind: tkToken, position: -1}
	for l.inHere || l.at < len(l.text) {
		if err := l.next(); err != nil {
			return nil, err
		}
	}
	if err := l.push(""); err != nil {
		return nil, err
	}
	if l.hereOp != "" || l.inHere {
		return nil, errShell
	}
	return append(l.tokens, token{kind: tkEnd}), nil
}

func (l *lexer) next() error {
	if l.inHere {
		return l.hereDocument()
	}
	switch c := l.text[l.at]; {
	case c == '\n':
		if err := l.push("\n"); err != nil {
			return err
		}
		l.word.WriteByte('\n')
		l.kind = tkNewline
		l.at++
		return l.push("")
	case strings.IndexByte("\\'\"`$", c) >= 0:
		return l.quoted()
	case strings.IndexByte("&|;<>()", c) >= 0:
		return l.operator()
	case c == ' ' || c == '\t':
		l.at++
		return l.push(string(c))
	case c == '#' && l.word.Len() == 0:
		return l.comment()
	default:
		l.word.WriteByte(c)
		l.at++
	}
	return nil
}

func (l *lexer) comment() error {
	l.kind = tkComment
	l.at++
	if l.at == len(l.text) {
		return nil
	}
	end := strings.IndexByte(l.text[l.at:], '\n')
	if end < 0 {
		return errShell
	}
	l.word.WriteString(l.text[l.at : l.at+end])
	l.at += end
	return nil
}

func (l *lexer) operator() error {
	op := string(l.text[l.at])
	if err := l.push(op); err != nil {
		return err
	}
	l.at++
	for l.at < len(l.text) && openings[op+string(l.text[l.at])] {
		op += string(l.text[l.at])
		l.at++
	}
	l.word.WriteString(op)
	l.kind = tkOperator
	return l.push(l.behind())
}

// behind is the character that comes next.
func (l *lexer) behind() string {
	if l.at < len(l.text) {
		return l.text[l.at : l.at+1]
	}
	return ""
}

// quoted reads one quoted or expanded part of a word.
func (l *lexer) quoted() error {
	w := wordPart{text: l.text, at: l.at}
	if err := w.read(0); err != nil {
		return err
	}
	l.word.WriteString(w.out.String())
	l.at = w.at
	return nil
}

// push ends a token; delim is what comes behind it.
func (l *lexer) push(delim string) error {
	if l.word.Len() == 0 {
		return nil
	}
	t := token{kind: l.kind, text: l.word.String(), delim: delim}
	l.word.Reset()
	l.kind = tkToken
	return l.take(t)
}

func (l *lexer) take(t token) error {
	if l.hereOp != "" {
		if l.named {
			if t.kind == tkNewline {
				l.inHere = true
			}
			l.pending = append(l.pending, t)
			return nil
		}
		if t.kind != tkToken {
			return errShell
		}
		name := unquoted(t.text)
		if name == "" {
			return errShell
		}
		l.hereName, l.named, t.kind = name, true, tkHereName
	}
	if t.kind == tkOperator {
		t.kind = tkToken
		if operators[t.text] {
			t.kind = kind(t.text)
		}
		if t.text == "<<" || t.text == "<<-" {
			l.hereOp = t.text
		}
	}
	switch t.kind {
	case tkComment:
		return nil
	case tkToken:
		t.kind = l.classify(t)
	}
	if l.position >= 0 {
		if l.position++; l.position == 3 {
			l.position = -1
		}
	}
	l.tokens = append(l.tokens, t)
	return nil
}

// classify tells words from reserved words, assignments and numbers of redirections.
func (l *lexer) classify(t token) kind {
	if name, _, ok := strings.Cut(t.text, "="); ok && t.delim == "" {
		if name != "" && isShellName(name) {
			return tkAssign
		}
		return tkToken
	}
	switch {
	case t.text == "in" && l.position != 2:
	case reserved[t.text]:
		if t.text == "for" || t.text == "case" {
			l.position = 0
		}
		return kind(t.text)
	case strings.Trim(t.text, "0123456789") == "" && (t.delim == "<" || t.delim == ">"):
		return tkNumber
	}
	return tkToken
}

func isShellName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_')
	})
}

// hereDocument reads the text of a here-document, then the rest of the line on which it started.
func (l *lexer) hereDocument() error {
	if l.at >= len(l.text) {
		return errShell
	}
	var content strings.Builder
	for {
		line, newline := l.line()
		if l.hereOp == "<<-" {
			line = strings.TrimLeft(line, "\t")
		}
		if line == l.hereName {
			break
		}
		content.WriteString(line)
		if !newline {
			break
		}
		content.WriteByte('\n')
	}
	pending := slices.Clone(l.pending)
	if content.Len() > 0 {
		pending = append([]token{{kind: tkToken, text: content.String(), delim: l.hereName}}, pending...)
	}
	l.hereOp, l.hereName, l.named, l.pending, l.inHere = "", "", false, nil, false
	for _, t := range pending {
		if err := l.take(t); err != nil {
			return err
		}
	}
	return nil
}

// line reads up to the next newline that no backslash stands before.
func (l *lexer) line() (text string, newline bool) {
	start := l.at
	for escaped := false; l.at < len(l.text); l.at++ {
		switch {
		case escaped:
			escaped = false
		case l.text[l.at] == '\\':
			escaped = true
		case l.text[l.at] == '\n':
			l.at++
			return l.text[start : l.at-1], true
		}
	}
	return l.text[start:], false
}
