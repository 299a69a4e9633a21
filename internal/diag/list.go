package diag

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// List collects what is wrong with a file, so that all of it is told at once. The zero List is empty.
type List struct{ errs []*Error }

// Userf adds an error of the input, and gives it, for a hint.
func (l *List) Userf(pos Pos, format string, args ...any) *Error {
	e := Userf(pos, format, args...)
	l.errs = append(l.errs, e)
	return e
}

// Add adds an error.
func (l *List) Add(e *Error) { l.errs = append(l.errs, e) }

// Err joins the errors in the order of their places in the file; nil when there are none.
func (l *List) Err() error {
	slices.SortStableFunc(l.errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	var out []error
	for _, e := range l.errs {
		out = append(out, e)
	}
	return errors.Join(out...)
}

// Unknown says that what has no kind of this name, and which of those that it has was meant.
func Unknown(pos Pos, what, kind, name string, names []string) *Error {
	e := Userf(pos, "%s has no %s %q", what, kind, name)
	if near := Nearest(name, names); near != "" {
		return e.WithHint("did you mean %s?", near)
	}
	if len(names) == 0 {
		return e.WithHint("it has none")
	}
	return e.WithHint("it has: %s", strings.Join(names, ", "))
}
