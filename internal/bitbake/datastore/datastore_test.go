package datastore

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/bitbake/syntax"
	"n3x/internal/diag"
)

// Values by BitBake's rules are held against recorded answers in package recipe; here is what those cannot show.

// load evaluates assignments and unsets.
func load(t *testing.T, text string) *Data {
	t.Helper()
	d := New()
	read(t, d, text)
	return d
}

func read(t *testing.T, d *Data, text string) {
	t.Helper()
	f, err := syntax.Parse("t.conf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range f.Statements {
		switch s := s.(type) {
		case *syntax.Assignment:
			err = d.Assign(diag.Pos{File: "t.conf", Line: s.Line()}, s)
		case *syntax.Unset:
			err = d.DelVar(s.Name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func want(t *testing.T, d *Data, name, value string) {
	t.Helper()
	if got, err := d.Value(name); err != nil || got != value {
		t.Errorf("%s = %q, %v; want %q", name, got, err, value)
	}
}

func TestCopyIsIndependent(t *testing.T) {
	d := load(t, "OVERRIDES = \"x\"\nA = \"a\"\nA:append = \" b\"\nA[f] = \"1\"\nB:x = \"bx\"")
	c := d.Copy()
	read(t, c, "A:append = \" c\"\nA[f] .= \"2\"\nB = \"b\"\nB:x += \"more\"\nOVERRIDES = \"\"")
	read(t, d, "A =+ \"original\"\nA[g] = \"3\"")
	want(t, d, "A", "original a b")
	want(t, c, "A", "a b c")
	want(t, d, "B", "bx")
	want(t, c, "B", "b")
	if f, _ := c.VarFlags("A"); !cmp.Equal(f, map[string]string{"f": "12"}) {
		t.Errorf("flags of the copy: %v", f)
	}
	if f, _ := d.VarFlags("A"); !cmp.Equal(f, map[string]string{"f": "1", "g": "3"}) {
		t.Errorf("flags of the original: %v", f)
	}
}

func TestManyCopies(t *testing.T) {
	d := load(t, `N = ""`)
	for range 100 {
		d = d.Copy()
		read(t, d, `N .= "x"`)
	}
	want(t, d, "N", strings.Repeat("x", 100))
	if d.top.depth > maxLayers+1 {
		t.Errorf("%d layers", d.top.depth)
	}
	d.Freeze()
	want(t, d.Copy(), "N", strings.Repeat("x", 100))
}

func TestSnapshot(t *testing.T) {
	d := load(t, "A = \"1\"\nOVERRIDES = \"x\"\nB:x = \"x\"")
	want(t, d, "B", "x")
	restore := d.Snapshot()
	read(t, d, "A = \"2\"\nOVERRIDES = \"\"")
	restore()
	want(t, d, "A", "1")
	want(t, d, "B", "x")
}

// TestPythonWrites holds d.setVar and its kin against recorded answers: python3 -c with bb.data.init() of BitBake 2.19,
// the same calls, then d.getVar and d.getVar(..., False).
func TestPythonWrites(t *testing.T) {
	const base = "OVERRIDES = \"x\"\nA = \"a\"\nA:x = \"ax\"\nA:y = \"ay\"\nA:append = \" app\"\nA:remove = \"gone\"\nA[f] = \"flag\""
	tests := []struct {
		name  string
		do    func(d *Data) error
		value string
	}{
		{"set", func(d *Data) error { return d.SetVar("A", "new gone") }, "new gone"},
		{"set append", func(d *Data) error { return d.SetVar("A:append", " more gone") }, "ax app more "},
		{"append", func(d *Data) error { return d.AppendVar("A", " z") }, "ax app z"},
		{"prepend", func(d *Data) error { return d.PrependVar("A", "z ") }, "z ax app"},
		{"delete", func(d *Data) error { return d.DelVar("A") }, ""},
		{"delete override", func(d *Data) error { return d.DelVar("A:x") }, "a app"},
		{"set override", func(d *Data) error { return d.SetVar("A:x", "new") }, "new app"},
		{"rename", func(d *Data) error { return d.RenameVar("A", "B") }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := load(t, base)
			if err := tt.do(d); err != nil {
				t.Fatal(err)
			}
			want(t, d, "A", tt.value)
			if tt.name == "rename" {
				want(t, d, "B", "ax app")
				want(t, d, "B:y", "ay")
			}
		})
	}
}

func TestCycle(t *testing.T) {
	d := load(t, "A = \"${B}\"\nB = \"x ${C}\"\nC = \"${A}\"\nD = \"${D}\"")
	_, err := d.Value("B")
	var e *diag.Error
	if !errors.As(err, &e) || e.Pos.Line != 2 || !strings.Contains(strings.Join(e.Notes, "\n"), "B -> C -> A -> B") {
		t.Errorf("cycle: %v, notes %q", err, e.Notes)
	}
	if _, err := d.Value("D"); !errors.As(err, &e) || e.Pos.Line != 4 {
		t.Errorf("self reference: %v", err)
	}
	want(t, load(t, "A = \"1\"\nA := \"${A}2\""), "A", "12")
}

func TestOverridesThatNeverSettle(t *testing.T) {
	d := load(t, "OVERRIDES = \"${M}\"\nM = \"a\"\nM:a = \"b\"\nX:a = \"1\"\nX = \"2\"")
	_, err := d.Value("X")
	var e *diag.Error
	if !errors.As(err, &e) || !strings.Contains(e.Text, "does not settle") {
		t.Errorf("got %v", err)
	}
}

// evalFunc is an Evaluator.
type evalFunc func(expr string, d *Data) (string, error)

func (f evalFunc) Eval(expr string, d *Data, _ diag.Pos) (string, error) { return f(expr, d) }

func TestInlinePython(t *testing.T) {
	d := New()
	d.SetEvaluator(evalFunc(func(expr string, d *Data) (string, error) {
		if strings.HasPrefix(expr, "get ") {
			return d.Value(expr[4:])
		}
		if strings.Contains(expr, "'") {
			return "", ErrUnterminated
		}
		return "<" + expr + ">", nil
	}))
	read(t, d, `V = "v"
A = "${@a}"
B = "${@ {x}{y} z }${@b}"
C = "${@ ${V} ${NOPE} }"
D = "${@ {x }"
E = "${@}}"
F = "${@ 'x} ${V}"
G = "${@get V}${@get A}"
H = "${@"
I = "${@x}}"
OVERRIDES = "${@get MACHINE}"
X = "x"
X:one = "1"
X:two = "2"
MACHINE = "one"`)
	for name, value := range map[string]string{
		"A": "<a>", "B": "<{x}{y} z><b>", "C": "${@ v ${NOPE} }", "D": "<{x>", "E": "<}>", "F": "${@ 'x} v", "G": "v<a>", "H": "${@", "I": "<x>}", "X": "1",
	} {
		want(t, d, name, value)
	}
	read(t, d, `MACHINE = "two"`)
	want(t, d, "X", "2") // only Python code read MACHINE
}

func TestTrace(t *testing.T) {
	d := load(t, "A = \"${B} ${C} ${B} ${NOPE}\"\nB = \"${D}\"\nC = \"c\"\nD = \"d\"")
	raw, _, _ := d.Var("A", false)
	e, err := d.Trace(raw, "A")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Expansion{Text: "d c d ${NOPE}", References: []string{"B", "C", "NOPE"}}, e); diff != "" {
		t.Error(diff)
	}
}

// TestHistory holds what `bitbake -e` prints above a variable (BitBake 2.19: d.varhistory.emit on the same file).
func TestHistory(t *testing.T) {
	d := load(t, "OVERRIDES = \"x\"\nA ??= \"w\"\nA ?= \"1\"\nA += \"2\"\nA:append:y = \"3\"\nA:x = \"4\"\nA[f] = \"5\"")
	var b strings.Builder
	raw, _, _ := d.Var("A", false)
	if err := d.WriteHistory(&b, "A", raw); err != nil {
		t.Fatal(err)
	}
	const want = `#
# $A [6 operations]
#   set t.conf:2
#     [_defaultval] "w"
#   set? t.conf:3
#     "1"
#   append t.conf:4
#     "2"
#   :append[y] t.conf:5
#     "3"
#   set t.conf:7
#     [f] "5"
#   override[x]:set t.conf:6
#     "4"
# pre-expansion value:
#   "4"
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestReplaceReference(t *testing.T) {
	d := load(t, `OLD = "${DIR}/old"`)
	d = d.Copy()
	read(t, d, "DIR = \"/l\"\nA = \"${DIR}/a\"\nB:append = \" ${DIR}/b\"\nC[f] = \"${DIR}\"")
	if err := d.ReplaceReference("DIR", "/l"); err != nil {
		t.Fatal(err)
	}
	if err := d.DelVar("DIR"); err != nil {
		t.Fatal(err)
	}
	want(t, d, "A", "/l/a")
	want(t, d, "B", " /l/b")
	want(t, d, "OLD", "${DIR}/old")
}

func TestRefusedNames(t *testing.T) {
	for name, hint := range map[string]string{"A_append": "A:append", "A_remove_x": "A:remove_x", "BB_ENV_WHITELIST": "BB_ENV_PASSTHROUGH"} {
		err := New().SetVar(name, "x")
		var e *diag.Error
		if !errors.As(err, &e) || !strings.Contains(e.Hint, hint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzExpand looks for panics and endless expansion.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"${A}", "${@x}", "${${A}}", "${@{x}}${", "${@ ${B} {{}} }", "a:append", "${A:x:y}"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		d := New()
		d.SetEvaluator(evalFunc(func(expr string, _ *Data) (string, error) { return expr, nil }))
		_ = d.SetVar("A", a)
		_ = d.SetVar(b, a)
		_ = d.SetVar("OVERRIDES", b)
		for _, k := range d.Keys() {
			_, _ = d.Value(k)
		}
		_, _ = d.ExpandKeys()
	})
}

type upper struct{ evalFunc }

func (upper) Filter(expr, value string, _ *Data, _ diag.Pos) (string, error) {
	return expr + "(" + value + ")", nil
}

func TestFilter(t *testing.T) {
	d := load(t, "OVERRIDES = \"x\"\nA = \"a\"\nA:x = \"ax\"\nB = \"${A}\"\nC = \"\"")
	d.SetEvaluator(upper{})
	for _, name := range []string{"A", "C"} {
		if err := d.SetVarFilter(name, "f"); err != nil {
			t.Fatal(err)
		}
	}
	c := d.Copy()
	want(t, c, "A:x", "f(ax)")
	want(t, c, "B", "f(ax)")
	want(t, c, "A:x", "ax") // BitBake remembers what it has seen on the way to A, until something is written
	if err := c.SetVar("D", ""); err != nil {
		t.Fatal(err)
	}
	want(t, c, "A:x", "f(ax)")
	want(t, c, "C", "")
	if err := c.SetVarFilter("A", ""); err != nil {
		t.Fatal(err)
	}
	want(t, c, "A", "ax")
	want(t, d, "A", "f(ax)")
}

// TestReplaceReferenceAfterSnapshot checks that what Python wrote, with a way back, counts as written since the last copy.
func TestReplaceReferenceAfterSnapshot(t *testing.T) {
	base := New()
	if err := base.SetVar("OLD", "${DIR}"); err != nil {
		t.Fatal(err)
	}
	d := base.Copy()
	if err := d.SetVar("A", "${DIR}/a"); err != nil {
		t.Fatal(err)
	}
	d.Snapshot()
	if err := d.SetVar("B", "${DIR}/b"); err != nil {
		t.Fatal(err)
	}
	if err := d.ReplaceReference("DIR", "/x"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"A": "/x/a", "B": "/x/b", "OLD": "${DIR}"} {
		if got, _, err := d.Var(name, false); got != want || err != nil {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
}

// TestOverriddenListsAreOwn checks that lists of overrides which are changed in place belong to one store.
func TestOverriddenListsAreOwn(t *testing.T) {
	d := load(t, "OVERRIDES = \"x:y:z\"\nA = \"a\"\nA:x = \"ax\"\nA:y = \"ay\"\nA:z = \"az\"")
	if err := d.DelVar("A:z"); err != nil {
		t.Fatal(err)
	}
	c := d.Copy()
	for _, step := range []func() error{
		func() error { return c.DelVar("A:y") }, func() error { return c.SetVar("A:z", "cz") }, func() error { return c.RenameVar("A:x", "A:w") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	want(t, d, "A", "ay")
	want(t, c, "A", "cz")
	end := d.trial()
	if err := d.DelVar("A:y"); err != nil {
		t.Fatal(err)
	}
	if err := d.SetVar("A:z", "dz"); err != nil {
		t.Fatal(err)
	}
	if err := d.DelVar("A:x"); err != nil {
		t.Fatal(err)
	}
	end()
	want(t, d, "A", "ay")
	if err := d.DelVar("A:y"); err != nil {
		t.Fatal(err)
	}
	want(t, d, "A", "ax")
	want(t, c, "A", "cz")
}
