package cpython

import (
	"context"
	"os"
	"strings"
	"testing"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// hostPython launches this machine's python3.
type hostPython struct{ t testing.TB }

func (h hostPython) Python(context.Context, string) (argv, env []string, err error) {
	return []string{"python3"}, []string{"PATH=" + os.Getenv("PATH")}, nil
}

// needPython skips a test where it cannot run.
func needPython(t testing.TB) Launcher {
	t.Helper()
	if _, err := sandbox.LookPath("python3"); err != nil {
		t.Skip("this machine has no python3; N3X_TEST_NETWORK=1 tests with that of a tools tree")
	}
	return hostPython{t}
}

// direct evaluates everything on CPython, also what is nested.
type direct struct {
	pyeval.Fallback
	lib *pyeval.Library
}

func (e *direct) Eval(expr string, d *datastore.Data, pos diag.Pos) (string, error) {
	return e.Fallback.Eval(context.Background(), expr, pyeval.Site{Vars: d, Lib: e.lib, Pos: pos})
}

func newRuntime(t testing.TB, o Options) *Runtime {
	t.Helper()
	r := New(needPython(t), o)
	t.Cleanup(r.Close)
	return r
}

func newStore(t testing.TB, f pyeval.Fallback, lib *pyeval.Library, vars ...string) *datastore.Data {
	t.Helper()
	d := datastore.New()
	d.SetEvaluator(&direct{f, lib})
	for i := 0; i < len(vars); i += 2 {
		if err := d.SetVar(vars[i], vars[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestEval(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, Options{})
	f := r.Bind(pyeval.Options{Environ: map[string]string{"HOME": "/h"}, Cwd: "/"})
	lib := pyeval.NewLibrary(nil)
	if err := lib.Define(diag.Pos{File: "c.bbclass", Line: 40}, "def helper(d):\n    x = 1\n    return d.getVar('NOPE').split()\n"); err != nil {
		t.Fatal(err)
	}
	d := newStore(t, f, lib, "A", "x ${B}", "B", "${@'b'.upper()}", "LIST", "1 2")
	for expr, want := range map[string]string{
		"1 + 1": "2", "d.getVar('A')": "x B", "A": "x B", "d.getVar('A', False)": "x ${B}", "' '.join(sorted(k for k in d if len(k) == 1))": "A B",
		"os.environ['HOME'] + os.getcwd()": "/h/", "bb.utils.contains('LIST', '1', 'y', 'n', d)": "y", "[type(d).__name__, 'A' in d, d['LIST']]": "['DataSmart', True, '1 2']",
		"sum(1 for x in [\n 1, 2])": "2",
	} {
		got, err := f.Eval(t.Context(), expr, pyeval.Site{Vars: d, Lib: lib, Pos: diag.Pos{File: "a.bb", Line: 10}})
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", expr, got, err, want)
		}
	}
	for expr, want := range map[string]string{
		"1/0": "a.bb:10: ZeroDivisionError: division by zero", "[1,\n 2,\n nope]": "a.bb:12: NameError: name 'nope' is not defined",
		"helper(d)": "c.bbclass:42: AttributeError: 'NoneType' object has no attribute 'split'",
		"(1,\n  +)": "a.bb:11: python syntax: invalid syntax", "bb.fatal('no')": "a.bb:10: no",
	} {
		_, err := f.Eval(t.Context(), expr, pyeval.Site{Vars: d, Lib: lib, Pos: diag.Pos{File: "a.bb", Line: 10}})
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", expr, err, want)
		}
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	f := newRuntime(t, Options{}).Bind(pyeval.Options{})
	d := newStore(t, f, nil, "A", "a")
	body := "    class C:\n        x = 3\n    d.setVar('R', d.getVar('A') + str(C.x))\n    d.appendVar('R', ' y')\n    d.setVarFlag('R', 'f', '1')\n    c = d.createCopy()\n    c.setVar('A', 'c')\n" +
		"    d.setVar('S', c.getVar('A') + d.getVar('A'))\n    d.setVar('L', [1, {'k': None}])\n    print('noise')\n    bb.build.addtask('x', 'do_build', None, d)\n    d.setVar('T', ' '.join(d.getVar('__BBTASKS', False)))\n"
	if err := f.Exec(t.Context(), body, pyeval.Site{Vars: d, Pos: diag.Pos{File: "a.bb", Line: 5}, Name: "anonymous python"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"R": "a3 y", "S": "ca", "L": "[1, {'k': None}]", "T": "do_x"} {
		if got, err := d.Value(name); got != want || err != nil {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
	if h := d.History("S"); len(h) != 1 || h[0].Pos != (diag.Pos{File: "a.bb", Line: 12}) {
		t.Errorf("history of S: %+v", h)
	}
	err := f.Exec(t.Context(), "    if e.fn:\n        raise bb.parse.SkipRecipe(bb.event.getName(e) + e.data.getVar('A'))\n",
		pyeval.Site{Vars: d, Pos: diag.Pos{File: "a.bb", Line: 5}, Event: map[string]string{"name": "bb.event.RecipeParsed", "fn": "x"}})
	if skip, ok := err.(*pyeval.SkipRecipe); !ok || skip.Reason != "RecipeParseda" || skip.Pos.Line != 6 {
		t.Errorf("handler: %v", err)
	}
}

func TestDeath(t *testing.T) {
	t.Parallel()
	f := newRuntime(t, Options{}).Bind(pyeval.Options{})
	d := newStore(t, f, nil, "NESTED", "${@os._exit(3)}")
	for body, want := range map[string]string{
		"    os._exit(3)\n":                                      "a.bb:1: python: CPython ended with status 3",
		"    os.kill(os.getpid(), 11)\n":                         "a.bb:1: python: CPython was ended by signal 11",
		"    print('last words', flush=True)\n    os._exit(4)\n": "last words",
		"    d.getVar('NESTED')\n":                               "CPython ended with status 3",
		"    os.write(4, b'rubbish' * 100)\n":                    "python: ",
		"    os.close(4)\n    d.getVar('A')\n":                   "python: ",
		"    raise SystemExit(5)\n":                              "a.bb:1: SystemExit: 5",
		"    raise KeyboardInterrupt\n":                          "a.bb:1: KeyboardInterrupt",
		"    def f(): return f()\n    f()\n":                     "RecursionError",
	} {
		err := f.Exec(t.Context(), body, pyeval.Site{Vars: d, Pos: diag.Pos{File: "a.bb", Line: 1}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", body, err, want)
		}
		if got, err := f.Eval(t.Context(), "1", pyeval.Site{Vars: d}); got != "1" || err != nil {
			t.Fatalf("after %q: %q, %v", body, got, err)
		}
	}
}
