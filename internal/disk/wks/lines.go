// SPDX-License-Identifier: MIT

package wks

import (
	"fmt"
	"regexp"
	"strings"

	"n3x/internal/diag"
)

// A line is bounded while its variables are put in, so that variables which name each other come to an end.
const (
	maxText   = 1 << 18
	maxRounds = 1000
)

// variable is what wic's expand_line looks for.
var variable = regexp.MustCompile(`\$\{[^{}@\n\t :]+\}`)

// line is one logical line with the place where it begins.
type line struct {
	pos  diag.Pos
	text string
}

// lines splits data into logical lines: a backslash at the end of a line joins the next one to it.
func lines(path string, data []byte) []line {
	var out []line
	joined := false
	for i, text := range strings.Split(string(data), "\n") {
		text = strings.TrimSuffix(text, "\r")
		comment := strings.HasPrefix(strings.TrimSpace(text), "#")
		more := !comment && strings.HasSuffix(text, `\`) && !strings.HasSuffix(text, `\\`)
		if more {
			text = text[:len(text)-1]
		}
		if joined {
			out[len(out)-1].text += " " + strings.TrimSpace(text)
		} else {
			out = append(out, line{diag.Pos{File: path, Line: i + 1}, strings.TrimSpace(text)})
		}
		joined = more
	}
	return out
}

// expand puts the variables of a line in. In a template the values may hold further lines, in a plain file
// they may hold further variables.
func (p *parser) expand(l line, template bool) (string, error) {
	text := l.text
	for from, rounds := 0, 0; ; rounds++ {
		at := variable.FindStringIndex(text[from:])
		if at == nil {
			return text, nil
		}
		start, end := from+at[0], from+at[1]
		name := text[start+2 : end-1]
		value, ok := "", false
		if p.o.Var != nil {
			value, ok = p.o.Var(name)
		}
		if !ok && !template {
			return "", diag.Userf(l.pos, "variable %s is not set", name).
				WithHint("set %s, and name it in WICVARS so that wic sees it; or call the file .wks.in", name)
		}
		text = text[:start] + value + text[end:]
		if template {
			from = start + len(value)
		}
		if len(text) > maxText || rounds > maxRounds {
			return "", diag.Userf(l.pos, "variable %s refers to itself", name)
		}
	}
}

// Split cuts a line into words as a POSIX shell quotes them (Python's shlex.split), except that a word
// beginning with # starts a comment.
func Split(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	var quote rune
	rs := []rune(text)
	for i := 0; i < len(rs); i++ {
		r := rs[i]
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == '"' && r == '\\' && i+1 < len(rs) && (rs[i+1] == '"' || rs[i+1] == '\\'):
			i++
			word.WriteRune(rs[i])
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == '\\':
			if i++; i >= len(rs) {
				return nil, fmt.Errorf("nothing follows the backslash at the end of the line")
			}
			word.WriteRune(rs[i])
			inWord = true
		case r == ' ' || r == '\t' || r == '\r' || r == '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case r == '#' && !inWord:
			return words, nil
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("no closing quotation mark %c", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
