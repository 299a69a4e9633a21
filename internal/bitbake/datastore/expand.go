package datastore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

const (
	maxDepth = 250      // nested expansions over all copies, before infinite recursion is assumed
	maxText  = 16 << 20 // bytes of one expanded value
)

// IsSpace reports whether r separates words in metadata: what Python's str.isspace counts.
func IsSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// ErrUnterminated is what an [Evaluator] returns for an expression that ends inside a string literal, mostly because of a }
// in it. The text that holds it then stays as it is.
var ErrUnterminated = errors.New("expression ends inside a string literal")

// Expansion is an expanded text and what it was made of.
type Expansion struct {
	Text       string
	References []string // variables named by ${...} directly in the text, also undefined ones, in order of first use
	Python     []string // the expressions of its ${@...}, as evaluated
}

// Expand replaces the ${} references of s by their values.
func (d *Data) Expand(s string) (string, error) { return d.expandAs(s, "") }

// References are the variables that the ${} references of s name directly, also undefined ones, in order of first use.
// What inline Python reads is not among them; [Data.Trace] gives the expressions.
func (d *Data) References(s string) ([]string, error) {
	var e Expansion
	_, err := d.expandInto(s, "", &e)
	return e.References, err
}

// Trace expands s as the value of variable name (which may be "") and says what it was made of.
func (d *Data) Trace(s, name string) (Expansion, error) {
	var e Expansion
	var err error
	e.Text, err = d.expandInto(s, name, &e)
	return e, err
}

// expandAs expands s, the value of the variable (or "variable[flag]") called name.
func (d *Data) expandAs(s, name string) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	return d.expandInto(s, name, nil)
}

func (d *Data) expandInto(s, name string, trace *Expansion) (string, error) {
	if name != "" {
		if i := slices.Index(d.expanding, name); i >= 0 {
			return "", d.cycle(append(slices.Clone(d.expanding[i:]), name), false)
		}
		d.expanding = append(d.expanding, name)
		defer func() { d.expanding = d.expanding[:len(d.expanding)-1] }()
	}
	if d.depth++; d.depth > maxDepth {
		d.depth--
		e := diag.Userf(d.LastSet(name), "expanding %s recurses without end", describe(name, s)).
			WithHint("Python code in it reads a variable that leads back to it")
		return "", d.chained(&endless{e, recursionError, recursionText}, name, s)
	}
	defer func() { d.depth-- }()
	for strings.Contains(s, "${") {
		old := s
		next, err := d.replaceVariables(s, trace)
		if err == nil {
			s = next
			next, err = d.replacePython(s, name, trace)
		}
		if err != nil {
			return "", d.chained(err, name, s)
		}
		s = next
		if s == old {
			break
		}
	}
	return s, nil
}

func describe(name, s string) string {
	if name != "" {
		return "variable " + name
	}
	return fmt.Sprintf("%q", s)
}

// cycle is the error for a variable that refers to itself, directly or through others.
func (d *Data) cycle(chain []string, direct bool) error {
	e := diag.Userf(d.LastSet(chain[0]), "variable %s references itself", chain[0])
	if len(chain) > 2 {
		e = e.WithNote("%s", strings.Join(chain, " -> "))
	}
	for _, name := range chain[1 : len(chain)-1] {
		if pos := d.LastSet(name); !pos.IsZero() {
			e = e.WithNote("%s is set at %s", name, pos)
		}
	}
	e = e.WithHint("to add to the old value write :append or +=, or := to expand it at once")
	if direct {
		return &endless{e, "Exception", e.Text + "!"}
	}
	return &endless{e, recursionError, recursionText}
}

// endless is a cycle, which BitBake mostly notices by Python's stack only.
type endless struct {
	err        *diag.Error
	kind, text string // of BitBake's exception
}

const recursionError, recursionText = "RecursionError", "maximum recursion depth exceeded"

func (e *endless) Error() string { return e.err.Error() }
func (e *endless) Unwrap() error { return e.err }

// Error is a failed expansion: the cause and the chain of variables that led to it, innermost first.
type Error struct {
	Chain      []string // begins with the text itself when that belongs to no variable
	Name       string   // the innermost variable, or ""
	Expression string   // what was being expanded, innermost
	Err        error
}

// Error is the cause's text, followed by the chain when it has more than one link.
func (e *Error) Error() string {
	chain := e.Variables()
	if len(chain) < 2 {
		return e.Err.Error()
	}
	return e.Err.Error() + "\nwhile expanding " + strings.Join(chain, ", from ")
}

// Variables are those of the chain.
func (e *Error) Variables() []string {
	if e.Name == "" {
		return e.Chain[1:]
	}
	return e.Chain
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// chained adds name to the chain of an expansion error.
func (d *Data) chained(err error, name, text string) error {
	var e *Error
	if errors.As(err, &e) {
		if name != "" {
			e.Chain = append(e.Chain, name)
		}
		return err
	}
	if name == "" {
		return &Error{Chain: []string{text}, Expression: text, Err: err}
	}
	return &Error{Chain: []string{name}, Name: name, Expression: text, Err: err}
}

// LastSet is where a variable (or "variable[flag]") was last written in a file.
func (d *Data) LastSet(name string) diag.Pos {
	name, _, _ = strings.Cut(name, "[")
	if v := d.find(name); v != nil {
		for _, e := range slices.Backward(v.history) {
			if e.Pos.File != "" {
				return e.Pos
			}
		}
	}
	return diag.Pos{}
}

func nameByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-_+./~:", c) >= 0
}

// variableAt is the end of a ${NAME} reference that starts at s[0], or 0.
func variableAt(s string) int {
	i := 2
	for i < len(s) && nameByte(s[i]) {
		i++
	}
	if i == 2 || i == len(s) || s[i] != '}' {
		return 0
	}
	return i + 1
}

// replaceVariables substitutes each ${NAME} once; names of undefined variables stay.
func (d *Data) replaceVariables(s string, trace *Expansion) (string, error) {
	var out strings.Builder
	var wrong error // the first value that is no text, as Python counts what it joins
	pieces, plain := 0, false
	rest := s
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			break
		}
		end := variableAt(rest[i:])
		if end == 0 {
			out.WriteString(rest[:i+2])
			rest = rest[i+2:]
			plain = true
			continue
		}
		name := rest[i+2 : i+end-1]
		out.WriteString(rest[:i])
		if trace != nil && !slices.Contains(trace.References, name) {
			trace.References = append(trace.References, name)
		}
		if n := len(d.expanding); n > 0 && d.expanding[n-1] == name {
			return "", d.cycle([]string{name, name}, true)
		}
		c, err := d.read(name, mode{expand: true})
		if err != nil {
			return "", err
		}
		if i > 0 || plain {
			pieces++
			plain = false
		}
		switch {
		case c.object && wrong == nil:
			wrong = &pyeval.Exception{Pos: d.LastSet(name), Type: "TypeError", Text: fmt.Sprintf("sequence item %d: expected str instance, %s found", pieces, kind(c.s))}
		case c.ok:
			out.WriteString(c.s)
		default:
			out.WriteString(rest[i : i+end])
		}
		pieces++
		rest = rest[i+end:]
		if out.Len() > maxText {
			return "", diag.Userf(d.LastSet(name), "the value grows beyond %d MB when it is expanded", maxText>>20)
		}
	}
	if wrong != nil {
		return "", wrong
	}
	if len(rest) == len(s) {
		return s, nil
	}
	out.WriteString(rest)
	return out.String(), nil
}

// replacePython evaluates each ${@...} that holds no unexpanded variable.
func (d *Data) replacePython(s, name string, trace *Expansion) (string, error) {
	if !strings.Contains(s, "${@") {
		return s, nil
	}
	var out strings.Builder
	rest := s
	for {
		i := strings.Index(rest, "${@")
		if i < 0 {
			break
		}
		end := pythonAt(rest[i:])
		if end == 0 {
			out.WriteString(rest[:i+3])
			rest = rest[i+3:]
			continue
		}
		out.WriteString(rest[:i])
		code := rest[i+3 : i+end-1]
		if hasVariable(code) {
			out.WriteString(rest[i : i+end])
		} else {
			if trace != nil {
				trace.Python = append(trace.Python, code)
			}
			value, err := d.evaluate(code, name)
			if errors.Is(err, ErrUnterminated) {
				return s, nil
			}
			if err != nil {
				return "", err
			}
			out.WriteString(value)
		}
		rest = rest[i+end:]
	}
	out.WriteString(rest)
	return out.String(), nil
}

func hasVariable(s string) bool {
	for i := strings.Index(s, "${"); i >= 0; i = strings.Index(s, "${") {
		if variableAt(s[i:]) > 0 {
			return true
		}
		s = s[i+2:]
	}
	return false
}

func (d *Data) evaluate(code, name string) (string, error) {
	pos := d.LastSet(name)
	if pos.IsZero() {
		pos = d.origin.pos
	}
	if d.eval == nil {
		return "", diag.Userf(pos, "inline python ${@%s} cannot be evaluated here", code)
	}
	saved, outer := d.origin, d.evaluating
	d.evaluating = name
	defer func() { d.origin, d.evaluating = saved, outer }()
	// Code may read the variable it stands in and know when to stop (ISAR's list variables do), so that is no cycle here;
	// the nesting's depth stays limited.
	stack := d.expanding
	d.expanding = nil
	defer func() { d.expanding = stack }()
	return d.eval.Eval(strings.TrimFunc(code, IsSpace), d, pos)
}

// pythonAt is the end of a ${@...} expression that starts at s[0], or 0. It ends at the first } that does not close a { of
// its own; only one level of braces is known. When that leaves nothing to end at, the last closed brace is the end.
func pythonAt(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = s[:i]
	}
	last := 0 // end of the last braces that were skipped
	for i := 3; i < len(s); i++ {
		switch {
		case s[i] == '}' && i > 3:
			return i + 1
		case s[i] == '{':
			if n := strings.IndexByte(s[i:], '}'); n > 0 {
				i += n
				last = i + 1
			}
		}
	}
	return last
}
