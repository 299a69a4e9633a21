package recipe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/bitbake/syntax"
	"n3x/internal/diag"
)

// Eval implements [datastore.Evaluator] for the evaluator's store and copies of it.
func (e *evaluator) Eval(expr string, d *datastore.Data, pos diag.Pos) (string, error) {
	s, err := e.interp.Eval(e.ctx, expr, e.site(pyeval.Site{Vars: d, Pos: pos, Name: d.Evaluating()}))
	var bad *pyeval.SyntaxError
	if errors.As(err, &bad) && strings.Contains(bad.Text, "unterminated string literal") {
		return "", datastore.ErrUnterminated
	}
	return s, err
}

// Filter implements [datastore.Filterer].
func (e *evaluator) Filter(expr, value string, d *datastore.Data, pos diag.Pos) (string, error) {
	return e.interp.Filter(e.ctx, expr, value, e.site(pyeval.Site{Vars: d, Pos: pos}))
}

// MarkDependency implements [pyeval.DependencyMarker] for the store.
func (e *evaluator) MarkDependency(path string) {
	if !e.done {
		e.depend(path)
	}
}

// finish ends the time in which files are read. The store may be used by several goroutines, each with its copy, from now on.
func (e *evaluator) finish() {
	e.done = true
	e.stack = nil
	e.d.Trim()
}

// defs are the functions that a file defines from one place on, up to the next statement that reads another file. They are
// compiled once for all stores that have the same functions before: what is visible depends on these alone.
type defs struct {
	before *pyeval.Library
	file   *syntax.File
	first  int // index of the first statement
}

// library is made once for a [defs].
type library struct {
	once sync.Once
	lib  *pyeval.Library
	err  error
}

// define makes the functions visible that f defines from statement first on, and gives the statement up to which it did so.
func (e *evaluator) define(f *syntax.File, first int) (next int, err error) {
	var run []*syntax.Def
	names := map[string]bool{}
collect:
	for next = first; next < len(f.Statements); next++ {
		switch s := f.Statements[next].(type) {
		case *syntax.Def:
			if names[s.Name] {
				break collect
			}
			names[s.Name] = true
			run = append(run, s)
		case *syntax.Inherit, *syntax.Include, *syntax.AddFragments:
			break collect
		}
	}
	key := defs{e.state.lib, f, first}
	found, ok := e.libraries.Load(key)
	if !ok {
		found, _ = e.libraries.LoadOrStore(key, &library{})
	}
	l := found.(*library)
	l.once.Do(func() {
		l.lib = pyeval.NewLibrary(key.before)
		for _, s := range run {
			pos := diag.Pos{File: f.Name, Line: s.FirstLine}
			if l.err = placed(pos, l.lib.Define(pos, s.Source)); l.err != nil {
				return
			}
		}
	})
	e.state.lib = l.lib
	return next, l.err
}

// exec runs a python body on the evaluator's store.
func (e *evaluator) exec(body string, site pyeval.Site) error {
	site.Vars = e.d
	e.d.At(site.Pos, site.Name)
	return e.interp.Exec(e.ctx, body, e.site(site))
}

// site adds what Python sees of the files read so far.
func (e *evaluator) site(s pyeval.Site) pyeval.Site {
	s.Lib, s.PyLibs = e.state.lib, e.state.pyLibs
	return s
}

// functionPos is the place of a function's first body line.
func functionPos(d *datastore.Data, name string) diag.Pos {
	file, _, _ := d.VarFlag(name, "filename", false)
	line, _, _ := d.VarFlag(name, "lineno", false)
	n, _ := strconv.Atoi(line)
	return diag.Pos{File: file, Line: n + 1}
}

// ExecPython runs a python function of a recipe, e.g. a task, on d, which is the recipe's Data or a copy of it. Functions that
// it gives to bb.build.exec_func go to run, which knows shell; with nil these must be Python too.
func (w *World) ExecPython(ctx context.Context, function string, d *datastore.Data, run Runner) error {
	if run != nil {
		ctx = context.WithValue(ctx, runnerKey{}, run)
	}
	return w.loader.execFunction(ctx, function, d)
}

// Runner runs a function of d, in shell or Python.
type Runner func(ctx context.Context, function string, d *datastore.Data) error

// runnerKey is the key of the [Runner] of the task in whose context Python runs.
type runnerKey struct{}

func (s *shared) execFunction(ctx context.Context, function string, d *datastore.Data) error {
	body, ok, err := d.Var(function, false)
	if err != nil {
		return err
	}
	pos := functionPos(d, function)
	e, known := d.Evaluator().(*evaluator)
	switch python, _, _ := d.VarFlag(function, "python", false); {
	case !ok || !known:
		return diag.Userf(diag.Pos{}, "function %s is not defined", function)
	case python == "":
		return diag.Userf(pos, "function %s is a shell function, not Python", function)
	}
	d.At(pos, function)
	return placed(pos, s.interp.Exec(ctx, body, e.site(pyeval.Site{Vars: d, Pos: pos, Name: function})))
}

// functions adds bb.build.exec_func, which python functions of EXPORT_FUNCTIONS consist of, to those that the caller provides.
func (s *shared) functions(given map[string]pyeval.Func) map[string]pyeval.Func {
	const name = "bb.build.exec_func"
	if _, ok := given[name]; ok {
		return given
	}
	all := maps.Clone(given)
	if all == nil {
		all = map[string]pyeval.Func{}
	}
	all[name] = func(ctx context.Context, site pyeval.Site, args []any, _ map[string]any) (any, error) {
		if len(args) < 2 {
			return nil, errors.New("bb.build.exec_func takes a function's name and a datastore")
		}
		function, _ := args[0].(string)
		d, ok := args[1].(*datastore.Data)
		if !ok {
			return nil, fmt.Errorf("bb.build.exec_func(%q): the second argument is no datastore", function)
		}
		if run, ok := ctx.Value(runnerKey{}).(Runner); ok {
			return nil, run(ctx, function, d)
		}
		return nil, s.execFunction(ctx, function, d)
	}
	return all
}
