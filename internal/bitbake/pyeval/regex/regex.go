// SPDX-License-Identifier: MIT

// Package regex matches Python's regular expressions (module re, str patterns) with CPython's
// results: leftmost match, alternatives and repetitions tried in Python's order, positions counted
// in characters, backreferences, look-around and conditionals. Go's own package regexp has another
// meaning of "$", other classes and no way to repeat Python's treatment of empty matches.
//
// Input is a pattern and a text; output is a match with its groups. Matching backtracks, so it is
// bounded by a step counter that the caller gives. Refused by name ([*Error] with Unsupported set):
// bytes patterns, the L flag, atomic groups and possessive repetitions (new in Python 3.11), \N{...},
// and ignoring the case of characters outside ASCII.
//
// Mirrors the documentation of CPython's module re and the behaviour of its Modules/_sre.
package regex

import (
	"fmt"
	"strings"
)

// Flags of a pattern, with the values of Python's re.
type Flags int

// The flags that metadata can use.
const (
	IgnoreCase Flags = 2
	Multiline  Flags = 8
	DotAll     Flags = 16
	Unicode    Flags = 32
	Verbose    Flags = 64
	ASCII      Flags = 256

	known = IgnoreCase | Multiline | DotAll | Unicode | Verbose | ASCII
)

// Error is a pattern that is wrong or, with Unsupported, outside of this package.
type Error struct {
	Text        string
	Unsupported bool
}

func (e *Error) Error() string { return e.Text }

// Regexp is a compiled pattern; it may be used from several goroutines.
type Regexp struct {
	Pattern string
	Flags   Flags
	Groups  int            // number of capturing groups
	Names   map[string]int // of named groups

	prog    node
	foldAny bool // some part ignores case
	wide    bool // the pattern has characters outside ASCII
}

// Mode says where a match must begin and end.
type Mode int

// The modes are those of search, match and fullmatch.
const (
	Search Mode = iota
	Match
	Full
)

// ErrSteps is given when the step counter ends the match.
var ErrSteps = fmt.Errorf("regular expression: too many steps")

// Limit bounds the work of matching; Step is called for each bit of work and stops it by an error.
type Limit interface{ Step() error }

// Compile parses a pattern.
func Compile(pattern string, flags Flags) (re *Regexp, err error) {
	if flags&^known != 0 {
		return nil, &Error{Text: fmt.Sprintf("the flags %d", flags&^known), Unsupported: true}
	}
	p := &parser{src: []rune(pattern), names: map[string]int{}, flags: flags}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	prog := p.parse()
	re = &Regexp{Pattern: pattern, Flags: p.flags | Unicode, Groups: p.groups, Names: p.names, prog: prog, foldAny: p.foldAny}
	if p.flags&ASCII != 0 {
		re.Flags &^= Unicode
	}
	for _, c := range p.src {
		re.wide = re.wide || c > 127
	}
	return re, nil
}

// Find looks for a match in text[from:] (positions are characters). With advance, an empty match
// at from itself does not count. The result holds start and end of the match and of each group,
// -1 for a group that took no part; nil means no match.
func (re *Regexp) Find(text []rune, from int, mode Mode, advance bool, limit Limit) ([]int, error) {
	if re.foldAny {
		for _, c := range text {
			if re.wide || c > 127 {
				return nil, &Error{Text: "ignoring the case of characters outside ASCII", Unsupported: true}
			}
		}
		if re.wide {
			return nil, &Error{Text: "ignoring the case of characters outside ASCII", Unsupported: true}
		}
	}
	m := &matcher{text: text, limit: limit, caps: make([]int, 2*(re.Groups+1))}
	for at := from; at <= len(text); at++ {
		for i := range m.caps {
			m.caps[i] = -1
		}
		end := -1
		ok := re.prog.match(m, at, func(i int) bool {
			if advance && i == from || mode == Full && i != len(text) {
				return false
			}
			end = i
			return true
		})
		if m.err != nil {
			return nil, m.err
		}
		if ok {
			m.caps[0], m.caps[1] = at, end
			return m.caps, nil
		}
		if mode != Search {
			break
		}
	}
	return nil, nil
}

// Escape is re.escape.
func Escape(s string) string {
	var b strings.Builder
	for _, c := range s {
		if strings.ContainsRune("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}
