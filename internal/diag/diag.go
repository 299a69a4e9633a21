// Package diag is the one shape of everything n3x refuses or reports to a person:
// what went wrong, where (file and line), and what to type next.
//
// Rooms below the command line return ordinary errors that wrap an [*Error] where a
// person can act on them; [Render] prints the whole chain and [Status] turns it into
// the process's exit status, at one place.
package diag

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Pos is a place in a text file. The zero Pos means "no place".
type Pos struct {
	File string // e.g. "kas/base.yml"
	Line int    // 1-based; 0 when only the file is known
	Col  int    // 1-based byte column; 0 when unknown
}

// IsZero reports whether p names no place at all.
func (p Pos) IsZero() bool { return p.File == "" && p.Line == 0 }

// String is "file:line", or "file:line:col" when the column is known.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Kind says whose move it is after an error; it decides the exit status.
type Kind int

const (
	Failed Kind = iota // a build, a test or a download failed: status 1
	User               // the input is wrong (configuration, metadata, flags, missing host feature): status 2
	Broken             // n3x itself is wrong: status 3
)

// Error is a failure that a person can act on.
type Error struct {
	Kind  Kind
	Pos   Pos
	Text  string   // what was attempted and on what, lower case, e.g. `unknown key "repoz"`
	Notes []string // further facts, one a line
	Hint  string   // what to type or change next
	Err   error    // the cause, if another error is one
}

// Userf makes an Error of kind [User] at pos.
func Userf(pos Pos, format string, args ...any) *Error { return newError(User, pos, format, args) }

// Failedf makes an Error of kind [Failed] at pos. A %w verb's operand becomes the cause.
func Failedf(pos Pos, format string, args ...any) *Error { return newError(Failed, pos, format, args) }

func newError(k Kind, pos Pos, format string, args []any) *Error {
	w := fmt.Errorf(format, args...)
	return &Error{Kind: k, Pos: pos, Text: w.Error(), Err: errors.Unwrap(w)}
}

// WithHint sets what the user should type or change next, and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithNote adds one further fact, and returns e.
func (e *Error) WithNote(format string, args ...any) *Error {
	e.Notes = append(e.Notes, fmt.Sprintf(format, args...))
	return e
}

// Error is "file:line: text".
func (e *Error) Error() string {
	if e.Pos.IsZero() {
		return e.Text
	}
	return e.Pos.String() + ": " + e.Text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrReported marks an error whose text has already been shown, so that only the exit status remains to be set.
var ErrReported = errors.New("already reported")

// Status is the exit status of the native verbs for err: 0 done, 1 build or test failed,
// 2 user error, 3 n3x is broken, 130 cancelled. SIGTERM's 143 is the caller's to choose.
func Status(err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) {
		return 130
	}
	status := 1
	walk(err, func(e *Error) {
		switch e.Kind {
		case User:
			status = max(status, 2)
		case Broken:
			status = max(status, 3)
		}
	})
	return status
}

// walk visits every *Error in err's tree, outermost first.
func walk(err error, visit func(*Error)) {
	for err != nil {
		if e, ok := err.(*Error); ok {
			visit(e)
		}
		switch u := err.(type) {
		case interface{ Unwrap() []error }:
			for _, sub := range u.Unwrap() {
				walk(sub, visit)
			}
			return
		case interface{ Unwrap() error }:
			err = u.Unwrap()
		default:
			return
		}
	}
}

// Render prints err for a person: one "error: file:line: text" per joined error, then the line that it is about when its
// file can be read and the text does not show it, then its notes and its hint, indented. prog names the program, e.g. "n3x".
func Render(w io.Writer, prog string, err error) {
	for _, one := range split(err) {
		if errors.Is(one, ErrReported) {
			continue
		}
		fmt.Fprintf(w, "%s: error: %s\n", prog, indent(one.Error()))
		if line := source(one); line != "" {
			fmt.Fprintf(w, "    line: %s\n", line)
		}
		walk(one, func(e *Error) {
			for _, n := range e.Notes {
				fmt.Fprintf(w, "    note: %s\n", indent(n))
			}
			if e.Hint != "" {
				fmt.Fprintf(w, "    hint: %s\n", indent(e.Hint))
			}
		})
	}
}

func split(err error) []error {
	if m, ok := err.(interface{ Unwrap() []error }); ok {
		if _, isErr := err.(*Error); !isErr {
			var all []error
			for _, sub := range m.Unwrap() {
				all = append(all, split(sub)...)
			}
			return all
		}
	}
	return []error{err}
}

func indent(s string) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n        ")
}

// Nearest is the candidate that name was most likely meant to be, or "" when none is close:
// at most a third of the characters may differ (Damerau-Levenshtein distance).
func Nearest(name string, candidates []string) string {
	best, bestDist := "", len(name)/3+1
	for _, c := range candidates {
		if d := Distance(strings.ToLower(name), strings.ToLower(c)); d < bestDist && c != name {
			best, bestDist = c, d
		}
	}
	return best
}

// Distance is how many characters of a have to be changed, added, dropped or swapped with the next to make b (optimal string alignment).
func Distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
