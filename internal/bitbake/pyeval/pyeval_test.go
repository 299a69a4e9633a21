// SPDX-License-Identifier: MIT

package pyeval

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/diag"
)

func site(v Vars, lib *Library) Site {
	return Site{Vars: v, Lib: lib, Pos: diag.Pos{File: "a.bb", Line: 10}, Name: "X"}
}

func TestPositions(t *testing.T) {
	in := testInterp()
	lib := NewLibrary(nil)
	if err := lib.Define(diag.Pos{File: "c.bbclass", Line: 40}, "def helper(d):\n    x = 1\n    return d.getVar('NOPE').split()\n"); err != nil {
		t.Fatal(err)
	}
	v := newFakeVars(in, lib)
	for _, c := range []struct{ expr, want string }{
		{"1/0", "a.bb:10: ZeroDivisionError: division by zero"},
		{"[1,\n 2,\n nope]", "a.bb:12: NameError: name 'nope' is not defined"},
		{"helper(d)", "c.bbclass:42: AttributeError: 'NoneType' object has no attribute 'split'"},
		{"(1,\n  +)", `a.bb:11: python syntax: unexpected ")" in: +)`},
		{"'a'.encode('utf-7')", "a.bb:10: python: the encoding \"utf-7\" is not supported here in: 'a'.encode('utf-7')"},
		{"__import__('numpy')", "a.bb:10: python: the module numpy is not supported here in: __import__('numpy')"},
		{"(\n(lambda: (yield))())", "a.bb:11: python: an assignment or yield inside of lambda is not supported here in: (lambda: (yield))())"},
	} {
		_, err := in.Eval(context.Background(), c.expr, site(v, lib))
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.expr, err, c.want)
		}
	}
	err := in.Exec(context.Background(), "    x = 1\n    bb.fatal('no')\n", site(v, lib))
	if err == nil || err.Error() != "a.bb:11: no" {
		t.Errorf("body: %v", err)
	}
}

func TestSkipAndFatal(t *testing.T) {
	in := testInterp()
	v := newFakeVars(in, nil)
	var skip *SkipRecipe
	err := in.Exec(context.Background(), "    raise bb.parse.SkipRecipe('no ' + 'way')\n", site(v, nil))
	if !errors.As(err, &skip) || skip.Reason != "no way" || skip.Pos.Line != 10 {
		t.Errorf("skip: %#v", err)
	}
	// A skip passes through nested expansions, which wrap any other exception.
	v.vars["INNER"] = "${@skipper()}"
	lib := NewLibrary(nil)
	if err := lib.Define(diag.Pos{File: "c", Line: 1}, "def skipper():\n    raise bb.parse.SkipPackage('deep')\n"); err != nil {
		t.Fatal(err)
	}
	v.lib = lib
	_, err = in.Eval(context.Background(), "d.getVar('INNER')", site(v, lib))
	if !errors.As(err, &skip) || skip.Reason != "deep" {
		t.Errorf("nested skip: %v", err)
	}
	v.vars["INNER"] = "${@1/0}"
	var x *Exception
	_, err = in.Eval(context.Background(), "d.getVar('INNER')", site(v, lib))
	if !errors.As(err, &x) || x.Type != "ExpansionError" {
		t.Errorf("nested exception: %v", err)
	}
}

func TestLimits(t *testing.T) {
	in := New(Options{MaxSteps: 200_000})
	v := newFakeVars(in, nil)
	for _, body := range []string{
		"while True: pass", "for i in range(10**9): pass", "sum(range(10**9))", "[x for x in range(10**8)]",
		"x = 'a' * 10**10", "x = 10**10**10", "x = 1 << 10**9", "x = '%1000000000d' % 1", "x = [0] * 10**9",
		"x = 'ab'\n    while 1: x += x", "x = [1]\n    while 1: x += x", "x = 2\n    while 1: x *= x",
		"__import__('re').match('(a*)*b', 'a' * 100)", "''.center(10**12)", "x = [1]\n    for i in x: x.append(i)",
		"x = []\n    x.append(x)\n    str(x)", "x = []\n    x.append(x)\n    x == [x]", "x = '{0:{0}}'.format(10**9)",
		"def f(): return [f() for i in 'aa']\n    f()",
	} {
		done := make(chan error, 1)
		go func() { done <- in.Exec(context.Background(), "    "+body+"\n", site(v, nil)) }()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%q: no error", body)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q hangs", body)
		}
	}
}

func TestCancel(t *testing.T) {
	in := New(Options{MaxSteps: 1 << 60})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := in.Exec(ctx, "    try:\n        while True: pass\n    except Exception: pass\n", site(newFakeVars(in, nil), nil))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestFuncsAndLog(t *testing.T) {
	var logged []string
	in := New(Options{
		Now: func() time.Time { return time.Unix(1700000000, 500000000) },
		Log: func(level, text string) { logged = append(logged, level+":"+text) },
		Funcs: map[string]Func{
			"bb.fetch2.get_srcrev": func(_ context.Context, s Site, args []any, kw map[string]any) (any, error) {
				name, _ := kw["name"].(string)
				if args[0] != Vars(s.Vars) {
					return nil, errors.New("d is another one")
				}
				return "rev-" + name, nil
			},
			"mymod.f": func(context.Context, Site, []any, map[string]any) (any, error) {
				return map[string]any{"b": []any{1, nil}, "a": true}, nil
			},
			"oe_import": func(context.Context, Site, []any, map[string]any) (any, error) { return "", nil },
			"failing":   func(context.Context, Site, []any, map[string]any) (any, error) { return nil, errors.New("broken") },
		},
	})
	lib := NewLibrary(nil)
	if err := lib.Define(diag.Pos{File: "c", Line: 1}, "def oe_import(d):\n    import sys\n    sys.path.insert(0, 'x')\n"); err != nil {
		t.Fatal(err)
	}
	v := newFakeVars(in, lib)
	for expr, want := range map[string]string{
		"bb.fetch2.get_srcrev(d, name='x')": "rev-x", "__import__('mymod').f()": "{'a': True, 'b': [1, None]}",
		"'[' + oe_import(d) + ']'": "[]", "int(time.time() * 10)": "17000000005", "time.strftime('%Y', time.gmtime())": "2023",
		"[bb.note('a', 'b'), bb.debug(1, 'c'), bb.warn('w')]": "[None, None, None]",
	} {
		got, err := in.Eval(context.Background(), expr, site(v, lib))
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v", expr, got, err)
		}
	}
	if _, err := in.Eval(context.Background(), "failing()", site(v, lib)); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("failing: %v", err)
	}
	if diff := cmp.Diff([]string{"note:ab", "debug:c", "warn:w"}, logged); diff != "" {
		t.Error(diff)
	}
	if _, err := testInterp().Eval(context.Background(), "time.time()", site(v, nil)); !errors.As(err, new(*Unsupported)) {
		t.Errorf("time without a clock: %v", err)
	}
}

func TestTasksAndEvents(t *testing.T) {
	in := testInterp()
	v := newFakeVars(in, nil)
	body := "    if isinstance(e, bb.event.ConfigParsed):\n        return\n    if bb.event.getName(e) == 'RecipeParsed':\n" +
		"        bb.build.addtask('do_a', 'do_build do_b', None, e.data)\n        bb.build.addtask('do_c', '', 'do_a', d)\n        bb.build.deltask('do_z', d)\n        e.data.setVar('R', e.fn)\n"
	s := site(v, nil)
	s.Event = map[string]string{"name": "bb.event.RecipeParsed", "fn": "x.bb"}
	if err := in.Exec(context.Background(), "    if not isinstance(e, bb.event.RecipeParsed):\n        bb.fatal('no instance')\n"+body, s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"do_a[do_build do_b] []", "do_c[] [do_a]", "-do_z"}, v.tasks); diff != "" {
		t.Error(diff)
	}
	if v.vars["R"] != "x.bb" {
		t.Error(v.vars)
	}
}

// recorder is a fallback that notes what it is asked.
type recorder struct{ asked []string }

func (r *recorder) Eval(_ context.Context, expr string, _ Site) (string, error) {
	r.asked = append(r.asked, expr)
	return "from CPython", nil
}

func (r *recorder) Exec(_ context.Context, body string, s Site) error {
	r.asked = append(r.asked, body)
	return s.Vars.SetVar("SEEN", strings.TrimSpace(s.Vars.(*snapVars).vars["X"]))
}

// snapVars can take changes back.
type snapVars struct{ *fakeVars }

func (s *snapVars) Snapshot() func() {
	saved := s.CreateCopy().(*fakeVars)
	return func() { s.vars, s.flags = saved.vars, saved.flags }
}

func TestFallback(t *testing.T) {
	rec := &recorder{}
	in := New(Options{Fallback: rec})
	v := &snapVars{newFakeVars(in, nil)}
	if got, err := in.Eval(context.Background(), "__import__('numpy').x", site(v, nil)); err != nil || got != "from CPython" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := in.Eval(context.Background(), "1 + 1", site(v, nil)); err != nil || got != "2" {
		t.Errorf("got %q, %v", got, err)
	}
	// The refusal comes after a change, which must be taken back before CPython starts anew.
	v.vars["X"] = "original"
	body := "    d.setVar('X', 'changed')\n    try:\n        __import__('numpy')\n    except Exception:\n        pass\n"
	if err := in.Exec(context.Background(), body, site(v, nil)); err != nil || v.vars["SEEN"] != "original" {
		t.Errorf("%v %v", err, v.vars)
	}
	// A construct of the text itself is known before anything is run.
	if err := in.Exec(context.Background(), "    d.setVar('X', '2')\n    global foo\n    foo = 1\n", site(v, nil)); err != nil || v.vars["SEEN"] != "original" {
		t.Errorf("%v %v", err, v.vars)
	}
	if len(rec.asked) != 3 {
		t.Errorf("asked %q", rec.asked)
	}
	// An exception is an answer, not a reason to ask.
	if _, err := in.Eval(context.Background(), "1/0", site(v, nil)); !errors.As(err, new(*Exception)) || len(rec.asked) != 3 {
		t.Errorf("%v %q", err, rec.asked)
	}
}

func TestLibrary(t *testing.T) {
	in := testInterp()
	parent := NewLibrary(nil)
	child := NewLibrary(parent)
	define := func(l *Library, src string) {
		t.Helper()
		if err := l.Define(diag.Pos{File: "c", Line: 1}, src); err != nil {
			t.Fatal(err)
		}
	}
	define(parent, "def who(): return 'parent ' + deeper()\ndef deeper(): return 'P'\n")
	define(child, "def deeper(): return 'C'\n")
	define(parent, "async def late(): pass\n\ndef broken():\n    async with x: pass\n")
	define(parent, "def keeps(x=[]):\n    x.append(1)\n    return len(x)\n")
	define(parent, "@staticmethod\ndef decorated(): return 1\n")
	v := newFakeVars(in, child)
	for _, c := range []struct{ expr, want string }{
		{"who()", "parent C"}, // a global is looked up when it is used
		{"broken()", "refused"}, {"keeps()", "refused"}, {"decorated()", "1"}, {"'ok'", "ok"},
	} {
		got, err := in.Eval(context.Background(), c.expr, site(v, child))
		if errors.As(err, new(*Unsupported)) {
			got, err = "refused", nil
		}
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %s", c.expr, got, err, c.want)
		}
	}
	if !child.Has("who") || child.Has("nobody") || (*Library)(nil).Has("x") {
		t.Error("Has")
	}
	if err := parent.Define(diag.Pos{File: "c", Line: 7}, "def f(x y):\n  pass\n"); err == nil || !strings.HasPrefix(err.Error(), "c:7: python syntax:") {
		t.Errorf("syntax error: %v", err)
	}
}

// memFiles serves a file system in memory under "/".
type memFiles struct{ fstest.MapFS }

func (m memFiles) at(p string) string {
	if p = strings.Trim(pathNorm(p), "/"); p == "" {
		return "."
	}
	return p
}
func (m memFiles) Stat(p string) (fs.FileInfo, error)      { return m.MapFS.Stat(m.at(p)) }
func (m memFiles) Lstat(p string) (fs.FileInfo, error)     { return m.MapFS.Stat(m.at(p)) }
func (m memFiles) ReadFile(p string) ([]byte, error)       { return m.MapFS.ReadFile(m.at(p)) }
func (m memFiles) ReadDir(p string) ([]fs.DirEntry, error) { return m.MapFS.ReadDir(m.at(p)) }
func (m memFiles) Readlink(string) (string, error)         { return "", fs.ErrInvalid }

func TestFiles(t *testing.T) {
	in := New(Options{Cwd: "/top", Files: memFiles{fstest.MapFS{
		"top/a.txt": {Data: []byte("one\r\ntwo\n")}, "l/conf/x.wks": {}, "l/p/b.patch": {}, "l/p/a.patch": {}, "l/p/.hidden.patch": {},
	}}})
	lib := NewLibrary(nil)
	src := "def read(name):\n    with open(name) as f:\n        return [f.readline(), f.read(), f.closed]\n" +
		"def lines(name):\n    f = open(name)\n    out = [l.strip() for l in f]\n    f.close()\n    return out\n"
	if err := lib.Define(diag.Pos{File: "c", Line: 1}, src); err != nil {
		t.Fatal(err)
	}
	v := newFakeVars(in, lib)
	v.vars["BBPATH"] = "/none:/l"
	for expr, want := range map[string]string{
		"read('a.txt')": `['one\n', 'two\n', False]`, "lines('/top/a.txt')": "['one', 'two']", "os.listdir('/l/p')": "['.hidden.patch', 'a.patch', 'b.patch']",
		"__import__('glob').glob('/l/*/*.patch')": "['/l/p/a.patch', '/l/p/b.patch']", "os.path.isfile('a.txt')": "True", "os.path.isdir('/l')": "True",
		"bb.utils.which('/none:/l', 'conf/x.wks')": "/l/conf/x.wks", "bb.parse.resolve_file('conf/x.wks', d)": "/l/conf/x.wks",
		"os.path.getsize('a.txt')": "9", "open('a.txt', 'rb').read()": `b'one\r\ntwo\n'`, "__import__('json').dumps(lines('a.txt'))": `["one", "two"]`,
	} {
		if got, err := in.Eval(context.Background(), expr, site(v, lib)); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", expr, got, err, want)
		}
	}
	for expr, class := range map[string]string{
		"bb.parse.resolve_file('nope', d)": "FileNotFoundError", "open('/nope')": "FileNotFoundError",
	} {
		if _, err := in.Eval(context.Background(), expr, site(v, lib)); errorClass(err) != class {
			t.Errorf("%s: %v", expr, err)
		}
	}
	if _, err := in.Eval(context.Background(), "open('x', 'w')", site(v, lib)); !errors.As(err, new(*Unsupported)) {
		t.Errorf("writing: %v", err)
	}
}

func TestStdlib(t *testing.T) {
	in := testInterp()
	v := newFakeVars(in, nil)
	// Values from CPython 3.11: python3 -c 'import uuid; print(uuid.uuid5(uuid.UUID(int=1709565251), "1709565251"))' and so on.
	for expr, want := range map[string]string{
		"__import__('uuid').UUID(int=1709565251)":                                                                                            "00000000-0000-0000-0000-000065e5e543",
		"__import__('uuid').uuid5(__import__('uuid').UUID(int=1709565251), '1709565251')":                                                    "39eea913-a2cb-5fce-be59-4614a056c624",
		"__import__('uuid').uuid5(__import__('uuid').NAMESPACE_DNS, 'a') == __import__('uuid').uuid5(__import__('uuid').NAMESPACE_DNS, 'a')": "True",
		"os.path.commonpath(['/a/b/c', '/a/b', '/a/./b/d'])":                                                                                 "/a/b",
		"list(__import__('itertools').chain('ab', [1], (x for x in [2])))":                                                                   "['a', 'b', 1, 2]",
		"list(__import__('collections').OrderedDict.fromkeys('b a b'.split()))":                                                              "['b', 'a']",
		"bb.data.inherits_class('image', d)":                                                                                                 "True", "oe.utils.inherits(d, 'no', 'image')": "True", "bb.data.inherits_class('no', d)": "False",
	} {
		if got, err := in.Eval(context.Background(), expr, site(v, nil)); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", expr, got, err, want)
		}
	}
}

// FuzzEval looks for texts that make the evaluator panic, hang or claim to be broken.
func FuzzEval(f *testing.F) {
	for _, seed := range []string{
		"d.getVar('A') or ''", "[x for x in 'ab' if x]", "f'{1:>{2}}'", "'%s' % (1,)", "(lambda *a, **k: a)(1, b=2)", "{**{}, 'a': 1}['a'][::-1]",
		"__import__('re').sub(r'(a)|b', r'\\1', 'ab')", "1 < 2 < 3", "x := 1", "'''a\\\n'''", "(y := [1, *'ab'])", "sorted({1: 2}, key=lambda k: -k)",
	} {
		f.Add(seed, "    try:\n        x = "+seed+"\n    except (KeyError, ValueError) as e:\n        raise\n    finally:\n        return\n")
	}
	in := New(Options{Environ: map[string]string{}, Files: memFiles{fstest.MapFS{}}, Cwd: "/", CPUs: 2, MaxSteps: 20_000})
	f.Fuzz(func(t *testing.T, expr, body string) {
		v := newFakeVars(in, nil)
		v.vars["A"] = "x y"
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, err := range []error{
			func() error { _, err := in.Eval(ctx, expr, site(v, nil)); return err }(),
			in.Exec(ctx, body, site(v, nil)),
		} {
			if errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%q / %q hangs", expr, body)
			}
			if err != nil && strings.Contains(err.Error(), "BUG") {
				t.Errorf("%q / %q: %v", expr, body, err)
			}
		}
	})
}
