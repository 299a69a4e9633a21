package cpython

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// noticing is a datastore that notes what it is told.
type noticing struct {
	*datastore.Data
	seen []pyeval.Observation
}

func (n *noticing) Observe(o pyeval.Observation) { n.seen = append(n.seen, o) }

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestObserve checks that CPython's looks at the world are told in the words in which Starlark tells them.
func TestObserve(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"a": "x", "lib/oe/__init__.py": "", "lib/oe/m.py": "def f(): return open('" + "a" + "').read()\n"})
	f := newRuntime(t, Options{}).Bind(pyeval.Options{Environ: map[string]string{"HOME": "/h"}, Cwd: dir})
	file, folder := pyeval.LookedAtFile, pyeval.LookedAtDir
	module := []pyeval.Observation{{Kind: file, Name: dir + "/lib/oe/__init__.py"}, {Kind: file, Name: dir + "/lib/oe/m.py"}}
	for _, c := range []struct {
		expr string
		want []pyeval.Observation
	}{
		{"1 + 1", nil},
		{"os.path.exists('a')", []pyeval.Observation{{Kind: file, Name: dir + "/a"}}},
		{"os.path.isfile('/none')", []pyeval.Observation{{Kind: file, Name: "/none"}}},
		{"open('a').read()", []pyeval.Observation{{Kind: file, Name: dir + "/a"}}},
		{"os.listdir('lib')", []pyeval.Observation{{Kind: folder, Name: dir + "/lib"}}},
		{"len(list(os.scandir('.')))", []pyeval.Observation{{Kind: folder, Name: dir}}},
		{"os.environ.get('HOME')", []pyeval.Observation{{Kind: pyeval.LookedAtEnv, Name: "HOME"}}},
		{"os.getenv('NONE')", []pyeval.Observation{{Kind: pyeval.LookedAtEnv, Name: "NONE"}}},
		{"int(time.time()) > 0", []pyeval.Observation{{Kind: pyeval.LookedAtClock}}},
		{"__import__('datetime').datetime.now().year > 0", []pyeval.Observation{{Kind: pyeval.LookedAtClock}}},
		{"__import__('subprocess').check_output('exit 0', shell=True)", []pyeval.Observation{{Kind: pyeval.LookedAtProcess, Name: "/bin/sh"}}},
		{"oe.m.f()", append([]pyeval.Observation{{Kind: file, Name: dir + "/a"}}, module...)},
		{"oe.m.f()", append([]pyeval.Observation{{Kind: file, Name: dir + "/a"}}, module...)},
	} {
		v := &noticing{Data: newStore(t, f, nil)}
		site := pyeval.Site{Vars: v, PyLibs: []pyeval.PyLib{{Dir: dir + "/lib", Namespace: "oe"}}}
		if _, err := f.Eval(t.Context(), c.expr, site); err != nil {
			t.Errorf("%s: %v", c.expr, err)
		}
		slices.SortFunc(v.seen, func(a, b pyeval.Observation) int { return strings.Compare(a.Name, b.Name) })
		seen := slices.DeleteFunc(slices.Compact(v.seen), func(o pyeval.Observation) bool {
			return len(c.want) == 3 && o.Kind == folder // where the first import of a module looked
		})
		want := slices.Clone(c.want)
		slices.SortFunc(want, func(a, b pyeval.Observation) int { return strings.Compare(a.Name, b.Name) })
		if diff := cmp.Diff(want, seen); diff != "" && len(want)+len(seen) > 0 {
			t.Errorf("%s: (-want +got)\n%s", c.expr, diff)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	f := newRuntime(t, Options{}).Bind(pyeval.Options{})
	d := newStore(t, f, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := f.Exec(ctx, "    try:\n        while True: pass\n    except BaseException: pass\n", pyeval.Site{Vars: d})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	short := newRuntime(t, Options{Timeout: 3 * time.Second}).Bind(pyeval.Options{})
	err = short.Exec(t.Context(), "    while True: d.getVar('A')\n", pyeval.Site{Vars: newStore(t, short, nil), Pos: diag.Pos{File: "a.bb", Line: 3}})
	if err == nil || !strings.HasPrefix(err.Error(), "a.bb:3: python: it takes longer than 3s") {
		t.Errorf("got %v", err)
	}
}

// TestNothingIsLeft checks that what a killed evaluation has started dies with it.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	f := newRuntime(t, Options{}).Bind(pyeval.Options{})
	d := newStore(t, f, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	note := filepath.Join(t.TempDir(), "pid")
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(note); err == nil {
				cancel()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	body := fmt.Sprintf("    import subprocess\n    p = subprocess.Popen(['sleep', '1000'])\n    open(%[1]q, 'w').write('%%d %%d' %% (p.pid, os.getpid()))\n    os.rename(%[1]q, %[2]q)\n    p.wait()\n", note+".new", note)
	if err := f.Exec(ctx, body, pyeval.Site{Vars: d}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	text, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(text)) {
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			stat, err := os.ReadFile("/proc/" + pid + "/stat")
			if err != nil || strings.Contains(string(stat), ") Z ") {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("process %s is alive", pid)
				break
			}
		}
	}
}

func TestParallel(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, Options{Idle: 2})
	f := r.Bind(pyeval.Options{})
	var group errgroup.Group
	for i := range 4 {
		group.Go(func() error {
			d := newStore(t, f, nil, "N", fmt.Sprint(i), "X", "${@d.getVar('N') + '${N}'}", "Y", "${@d.getVar('X') * 2}")
			for range 10 {
				got, err := f.Eval(t.Context(), "d.getVar('Y')", pyeval.Site{Vars: d})
				if want := strings.Repeat(fmt.Sprint(i), 4); got != want || err != nil {
					t.Errorf("got %q, %v; want %q", got, err, want)
				}
			}
			return nil
		})
	}
	_ = group.Wait()
	if n := len(f.(*bound).idle); n < 1 || n > 2 {
		t.Errorf("%d processes are idle", n)
	}
}

// TestSharedWorld checks what an interpreter shares with its fallback: functions, programs, messages, injected modules.
func TestSharedWorld(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"lib/shared.py": "VALUE = 7\n", "lib/oe/__init__.py": ""})
	var logged []string
	in := pyeval.New(pyeval.Options{
		Cwd: "/", Fallback: newRuntime(t, Options{}), Environ: map[string]string{"PATH": "/usr/bin:/bin"},
		Log: func(level, text string) { logged = append(logged, level+":"+text) },
		Funcs: map[string]pyeval.Func{"bb.fetch2.get_srcrev": func(_ context.Context, s pyeval.Site, args []any, kw map[string]any) (any, error) {
			v, ok := args[0].(pyeval.Vars)
			if !ok {
				return nil, errors.New("no datastore")
			}
			a, _, err := v.Var("A", true)
			return []any{a, kw["x"]}, err
		}, "plain": func(context.Context, pyeval.Site, []any, map[string]any) (any, error) {
			return nil, errors.New("broken")
		}},
		Run: func(_ context.Context, c pyeval.Command) (pyeval.Result, error) {
			if c.Args[0] == "no-such-program" {
				return pyeval.Result{Stdout: []byte(c.Args[1] + " out\n"), Status: 3}, nil
			}
			return pyeval.Result{}, fs.ErrNotExist
		},
	})
	d := newStore(t, pyFallback{in}, nil, "A", "a", "BBPATH", dir, "CACHE", dir+"/cache")
	site := pyeval.Site{Vars: d, Pos: diag.Pos{File: "a.bb", Line: 1}}
	const cpython = "(lambda: __import__('codecs').encode('', 'rot13'))() + " // what Starlark refuses
	for _, c := range []struct{ expr, want string }{
		{cpython + "str(bb.fetch2.get_srcrev(d, x=[1, 'b', None, {'k': True}]))", "['a', [1, 'b', None, {'k': True}]]"},
		{cpython + "str(bb.fetch.get_srcrev(d, x=2**40))", "['a', 1099511627776]"},
		{cpython + "str(__import__('subprocess').run(['no-such-program', 'x'], capture_output=True, text=True).stdout)", "x out\n"},
		{cpython + "bb.persist_data.persist('T', d).get('k', 'none')", "none"},
		{cpython + "str(bb.persist_data.persist('T', d).__setitem__('k', \"it's\\n=\"))", "None"},
		{cpython + "bb.persist_data.persist('T', d)['k']", "it's\n="},
		{"bb.persist_data.persist('T', d)['k']", "it's\n="},
		{cpython + "type('F', (bb.fetch2.FetchMethod,), {})().__class__.__name__", "F"},
		{cpython + "str(bb.warn('w', '1'))", "None"},
		{cpython + "str(bb.utils._context.update(shared=__import__('shared')))", "None"},
		{cpython + "str(hash('a') == hash('a') and list({'x', 'y', 'z', 'a'}))", "['y', 'a', 'x', 'z']"},
		{cpython + "str(shared.VALUE)", "7"},
		{"shared.VALUE", "7"},
	} {
		got, err := in.Eval(t.Context(), c.expr, site)
		if got != c.want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", c.expr, got, err, c.want)
		}
	}
	if diff := cmp.Diff([]string{"warn:w1"}, logged); diff != "" {
		t.Error(diff)
	}
	for expr, want := range map[string]string{
		cpython + "plain()": "broken", cpython + "str(bb.fetch2.Fetch(['git://h/p'], d))": "n3x has no bb.fetch2.Fetch for this",
		cpython + "str(__import__('bs4').BeautifulSoup('x'))": "bs4.BeautifulSoup comes with BitBake",
		cpython + "bb.siggen.nope":                            "n3x has no bb.siggen.nope, and there is no BitBake library on disk", cpython + "bb.parse.siggen.dump()": "n3x computes signatures itself",
		cpython + "str(__import__('subprocess').run(['other-missing']))": "FileNotFoundError",
	} {
		if _, err := in.Eval(t.Context(), expr, site); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", expr, err, want)
		}
	}
}

// pyFallback evaluates by an interpreter.
type pyFallback struct{ in *pyeval.Interp }

func (f pyFallback) Eval(ctx context.Context, expr string, s pyeval.Site) (string, error) {
	return f.in.Eval(ctx, expr, s)
}

func (f pyFallback) Exec(ctx context.Context, body string, s pyeval.Site) error {
	return f.in.Exec(ctx, body, s)
}

// TestNestedErrors checks that an error keeps its cause through evaluations inside of evaluations.
func TestNestedErrors(t *testing.T) {
	t.Parallel()
	f := newRuntime(t, Options{}).Bind(pyeval.Options{})
	lib := pyeval.NewLibrary(nil)
	if err := lib.Define(diag.Pos{File: "c", Line: 1}, "def skipper():\n    raise bb.parse.SkipPackage('deep')\n"); err != nil {
		t.Fatal(err)
	}
	d := newStore(t, f, lib, "SKIP", "${@skipper()}", "ZERO", "${@1/0}", "FATAL", "${@bb.fatal('no')}", "CAUGHT", "${@tried(d)}", "SELF", "${@d.getVar('SELF')}")
	if err := lib.Define(diag.Pos{File: "c", Line: 9}, "def tried(d):\n    try:\n        d.getVar('ZERO')\n    except bb.data_smart.ExpansionError as e:\n        return 'caught'\n"); err != nil {
		t.Fatal(err)
	}
	eval := func(name string) (string, error) {
		return f.Eval(t.Context(), "d.getVar('"+name+"')", pyeval.Site{Vars: d, Lib: lib, Pos: diag.Pos{File: "a.bb", Line: 4}})
	}
	var skip *pyeval.SkipRecipe
	if _, err := eval("SKIP"); !errors.As(err, &skip) || skip.Reason != "deep" || skip.Pos != (diag.Pos{File: "c", Line: 2}) {
		t.Errorf("skip: %v", err)
	}
	var x *pyeval.Exception
	if _, err := eval("ZERO"); !errors.As(err, &x) || x.Type != "ExpansionError" || !errors.As(x.Err, &x) || x.Type != "ZeroDivisionError" {
		t.Errorf("zero: %v", err)
	}
	var fatal *pyeval.Fatal
	if _, err := eval("FATAL"); !errors.As(err, &fatal) || fatal.Text != "no" {
		t.Errorf("fatal: %v", err)
	}
	if got, err := eval("CAUGHT"); got != "caught" || err != nil {
		t.Errorf("caught: %q, %v", got, err)
	}
	if _, err := eval("SELF"); err == nil || !strings.Contains(err.Error(), "SELF") {
		t.Errorf("self: %v", err)
	}
}
