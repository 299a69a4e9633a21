package syntax

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"n3x/internal/diag"
)

func TestStatements(t *testing.T) {
	tests := []struct {
		file, text string
		want       []Statement
	}{
		{"a.conf", "A = \"1\"\n\nexport B[x] ?= 'y'\n", []Statement{
			&Assignment{line: 1, Name: "A", Value: "1"},
			&Assignment{line: 3, Name: "B", Flag: "x", Op: Default, Value: "y", Export: true},
		}},
		{"a.conf", "A = \"1 \\\n  2\"\nB ??= \"\"", []Statement{
			&Assignment{line: 2, Name: "A", Value: "1   2"}, // a continued line counts as its last
			&Assignment{line: 3, Name: "B", Op: WeakDefault},
		}},
		{"a.conf", "include a b.inc\nrequire ${X}\ninclude_all c", []Statement{
			&Include{line: 1, Files: "a b.inc"}, &Include{line: 2, Files: "${X}", Require: true}, &Include{line: 3, Files: "c", All: true},
		}},
		{"a.conf", "export A\nunset B\nunset C[ff]\naddpylib ${X}/lib oe\naddfragments a b c d", []Statement{
			&Export{line: 1, Name: "A"}, &Unset{line: 2, Name: "B"}, &Unset{line: 3, Name: "C", Flag: "ff"},
			&AddPyLib{line: 4, Dir: "${X}/lib", Namespace: "oe"}, &AddFragments{line: 5, Prefix: "a", Variable: "b", Flagged: "c", Builtin: "d"},
		}},
		{"a.bb", "inherit a ${B}\ninherit_defer c\nEXPORT_FUNCTIONS x\naddhandler h i", []Statement{
			&Inherit{line: 1, Classes: "a ${B}"}, &Inherit{line: 2, Classes: "c", Deferred: true},
			&ExportFunctions{line: 3, Names: []string{"x"}}, &AddHandler{line: 4, Names: []string{"h", "i"}},
		}},
		{"x/c-d.bbclass", "EXPORT_FUNCTIONS a b", []Statement{&ExportFunctions{line: 1, Names: []string{"a", "b"}, Class: "c-d"}}},
		{"a.bb", "addtask do_a after x ${@'y'} before z # why\naddtask b\ndeltask c d", []Statement{
			&AddTask{line: 1, Tasks: "do_a", After: "x ${@'y'}", Before: "z "}, &AddTask{line: 2, Tasks: "b"}, &DelTask{line: 3, Tasks: "c d"},
		}},
		{"a.bb", "fakeroot python do_a() {\n    x\n\n}\ndo_b () {\n}\npython () {\n    y\n}", []Statement{
			&Function{line: 4, Name: "do_a", Body: "    x\n\n", Python: true, Fakeroot: true, FirstLine: 1},
			&Function{line: 6, Name: "do_b", FirstLine: 5},
			&Function{line: 9, Body: "    y\n", Python: true, FirstLine: 7},
		}},
		{"a.bb", "def f(d):\n    return 1\n\nA = \"1\"\ndef g(): return 2", []Statement{
			&Def{line: 4, Name: "f", Source: "def f(d):\n    return 1\n", FirstLine: 1},
			&Assignment{line: 4, Name: "A", Value: "1"},
			&Def{line: 6, Name: "g", Source: "def g(): return 2", FirstLine: 5},
		}},
		{"a.bb", "A = \"1\"\r\nB = \"2\"\r", []Statement{&Assignment{line: 1, Name: "A", Value: "1"}, &Assignment{line: 2, Name: "B", Value: "2"}}},
	}
	for _, tt := range tests {
		f, err := Parse(tt.file, []byte(tt.text))
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if diff := cmp.Diff(tt.want, f.Statements, cmp.AllowUnexported(Assignment{}, Include{}, Export{}, Unset{}, AddPyLib{}, AddFragments{},
			Inherit{}, ExportFunctions{}, AddHandler{}, AddTask{}, DelTask{}, Function{}, Def{})); diff != "" {
			t.Errorf("%q: want (-), got (+):\n%s", tt.text, diff)
		}
	}
}

// TestRefusals holds the place and the advice of errors; that BitBake refuses the same is TestLanguage's business.
func TestRefusals(t *testing.T) {
	tests := []struct{ file, text, pos, hint string }{
		{"a.conf", "A = \"1\"\nA = value", "a.conf:2", `write the value in quotes: A = "value"`},
		{"a.conf", "A = \"x", "a.conf:1", `does not end with the quote "`},
		{"a.conf", "A = \"x\"y\"", "a.conf:1", "use the other kind"},
		{"a.conf", "A |= \"x\"", "a.conf:1", "the operators are"},
		{"a.conf", "inherit foo", "a.conf:1", "INHERIT +="},
		{"a.conf", "addtask foo", "a.conf:1", "recipes and classes only"},
		{"a.conf", "requrie foo.inc", "a.conf:1", "did you mean require?"},
		{"a.bb", "inhert foo", "a.bb:1", "did you mean inherit?"},
		{"a.bb", "A = \"1\"\n  B = \"2\"", "a.bb:2", "first column"},
		{"a.bb", "\n  # c", "a.bb:2", "a comment must start in the first column"},
		{"a.bb", "do_a() {\n  x\n }", "a.bb:4", "a line that holds only }"},
		{"a.bb", "A = \"1 \\\n# c\n 2\"", "a.bb:2", "move the comment"},
		{"a.bb", "# c \\\nA = \"1\"", "a.bb:1", "start every line of it with #"},
		{"a.conf", "# c \\\nA = \"1\"", "a.conf:1", "start every line of it with #"},
		{"a.bb", "A = \"1 \\", "a.bb:2", "remove the backslash"},
		{"a.conf", "\\\n\nA = \"1\"", "a.conf:1", "remove the backslash"},
		{"a.conf", "unset A:x", "a.conf:1", "takes no overrides"},
		{"a.conf", "= \"x\"", "a.conf:1", ""},
		{"a.conf", "A = \"\xff\"", "a.conf:1", "iconv"},
		{"a.bb", "addtask x:append_y", "a.bb:1", "rename the task"},
	}
	for _, tt := range tests {
		_, err := Parse(tt.file, []byte(tt.text))
		var d *diag.Error
		if !errors.As(err, &d) {
			t.Errorf("%q: error %v, want a *diag.Error", tt.text, err)
			continue
		}
		if d.Pos.String() != tt.pos || !strings.Contains(d.Hint, tt.hint) {
			t.Errorf("%q: %v (hint %q), want %s and %q", tt.text, d, d.Hint, tt.pos, tt.hint)
		}
	}
}

func TestWarnings(t *testing.T) {
	f, err := Parse("a.bb", []byte("A=\"1\"\npython f() {\n\tx = 1\n}\ndo_s() {\n\tok\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range f.Warnings {
		got = append(got, w.Pos.String()+": "+w.Text)
	}
	want := []string{"a.bb:1: lack of whitespace around the assignment: 'A=\"1\"'", "a.bb:3: python should use 4 spaces indentation, but found tabs"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzParse looks for panics and hangs, and for statements or errors without a place in the file.
func FuzzParse(f *testing.F) {
	for _, archive := range []string{"language", "corners", "layers-isar"} {
		data, err := os.ReadFile("../recipe/testdata/" + archive + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range txtar.Parse(data).Files {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// Each backslash at the very end asks for one more line, which counts.
		last := strings.Count(strings.ReplaceAll(string(data), "\r", "\n"), "\n") + 2 + strings.Count(string(data), `\`)
		for i, name := range []string{"t.conf", "t.bb", "c.bbclass", "old.bb"} {
			parsed, err := Dialect(i/3).Parse(name, data)
			if err != nil {
				var d *diag.Error
				if !errors.As(err, &d) || d.Pos.File != name || d.Pos.Line < 1 || d.Pos.Line > last {
					t.Errorf("error without a good place: %v", err)
				}
				continue
			}
			for _, s := range parsed.Statements {
				if s.Line() < 1 || s.Line() > last {
					t.Errorf("%T at line %d of %d", s, s.Line(), last)
				}
			}
		}
	})
}
