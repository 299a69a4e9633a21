package taskgraph

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval/python"
	"n3x/internal/diag"
)

// uses is what Python code reads of the datastore and calls, as far as it is written literally.
type uses struct {
	reads []string            // variables, or "variable[flag]"
	calls []string            // names of functions, e.g. "bb.utils.contains"
	asks  map[string][]string // words that a variable is asked for: by variable
}

// code remembers what was found in the code of all recipes; most of it comes from the same classes.
type code struct {
	quoted  bool // commands in "$(...)" count: BitBake 2.8 missed them
	pythons map[string]*uses
	shells  map[string][]string
}

func newCode(quoted bool) *code {
	return &code{quoted: quoted, pythons: map[string]*uses{}, shells: map[string][]string{}}
}

// python finds what a function's body, or the source of a def, uses.
func (c *code) python(text string) *uses {
	return c.find(text, func() ([]python.Stmt, error) {
		if t := strings.TrimLeft(text, "\n"); t != "" && (t[0] == ' ' || t[0] == '\t') {
			return python.ParseFile("if 1:\n"+text, python.Pos{})
		}
		return python.ParseFile(text, python.Pos{})
	})
}

// expression finds what the code inside ${@...} uses.
func (c *code) expression(text string) *uses {
	return c.find(text, func() ([]python.Stmt, error) {
		x, err := python.ParseExpr(strings.TrimFunc(text, datastore.IsSpace), python.Pos{})
		return []python.Stmt{&python.ExprStmt{X: x}}, err
	})
}

func (c *code) find(text string, parse func() ([]python.Stmt, error)) *uses {
	if u := c.pythons[text]; u != nil {
		return u
	}
	s := &scan{c: c, reads: map[string]bool{}, calls: map[string]bool{}, asks: map[string][]string{}}
	body, err := parse()
	if err != nil {
		s.guess(text)
	} else {
		python.Walk(body, func(n python.Node) bool {
			if call, ok := n.(*python.Call); ok {
				s.call(call)
			}
			return true
		})
	}
	u := &uses{reads: slices.Sorted(maps.Keys(s.reads)), calls: slices.Sorted(maps.Keys(s.calls)), asks: s.asks}
	c.pythons[text] = u
	return u
}

// scan looks at one piece of code.
type scan struct {
	c            *code
	reads, calls map[string]bool
	asks         map[string][]string
}

var (
	quoted = regexp.MustCompile(`["']([A-Za-z0-9_:+.-]+)["']`)
	called = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_.]*)\s*\(`)
)

// guess is for code that the parser does not know: whatever may be a variable's name or a function's counts.
func (s *scan) guess(text string) {
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		s.reads[m[1]] = true
	}
	for _, m := range called.FindAllStringSubmatch(text, -1) {
		s.calls[m[1]] = true
	}
}

func anySuffix(name string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) })
}

// call notes what a call reads. Where the variable's name is no literal, BitBake knows nothing either: [vardeps] names it.
func (s *scan) call(c *python.Call) {
	name := dotted(c.Fn)
	first, isText := literal(c, 0)
	second, both := literal(c, 1)
	flag := anySuffix(name, ".getVarFlag", ".appendVarFlag", ".prependVarFlag")
	one := name == "bb.utils.contains" || name == "base_contains"
	some := name == "bb.utils.contains_any" || name == "bb.utils.filter"
	switch {
	case name == "":
	case flag || one || some || anySuffix(name, ".getVar", ".appendVar", ".prependVar", "oe.utils.conditional"):
		switch {
		case !isText:
		case one && both:
			s.asks[first] = append(s.asks[first], second)
		case some && both:
			s.asks[first] = append(s.asks[first], strings.FieldsFunc(second, datastore.IsSpace)...)
		case flag && both:
			s.reads[first+"["+second+"]"] = true
		case !flag:
			s.reads[first] = true
		}
	case strings.HasSuffix(name, ".expand"):
		if isText {
			s.expanded(first)
		}
	case name == "bb.build.exec_func" || name == "bb.build.exec_task":
		if isText {
			s.calls[first] = true
		}
	default:
		s.calls[name] = true
	}
}

// noValues evaluates inline Python of which only the text matters.
type noValues struct{}

func (noValues) Eval(string, *datastore.Data, diag.Pos) (string, error) { return "", nil }

// expanded notes what a text given to d.expand refers to.
func (s *scan) expanded(text string) {
	d := datastore.New()
	d.SetEvaluator(noValues{})
	trace, _ := d.Trace(text, "") // what cannot be expanded reads nothing
	for _, r := range trace.References {
		s.reads[r] = true
	}
	for _, p := range trace.Python {
		u := s.c.expression(p)
		for _, r := range u.reads {
			s.reads[r] = true
		}
		for _, c := range u.calls {
			s.calls[c] = true
		}
		for name, words := range u.asks {
			s.asks[name] = append(s.asks[name], words...)
		}
	}
}

// dotted is a called name as it is written, or "".
func dotted(x python.Expr) string {
	switch x := x.(type) {
	case *python.Name:
		return x.ID
	case *python.Attribute:
		if before := dotted(x.X); before != "" {
			return before + "." + x.Attr
		}
	}
	return ""
}

// literal is the call's i-th positional argument when it is a string.
func literal(c *python.Call, i int) (string, bool) {
	if i >= len(c.Args) || c.Args[i].Name != "" || c.Args[i].Stars > 0 {
		return "", false
	}
	k, ok := c.Args[i].X.(*python.Constant)
	if !ok {
		return "", false
	}
	s, ok := k.Value.(string)
	return s, ok
}
