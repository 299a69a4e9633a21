package recipe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// inline evaluates ${@...} for a store.
type inline struct {
	ctx    context.Context
	interp *pyeval.Interp
	lib    *pyeval.Library
	depend func(path string)
}

// MarkDependency implements [pyeval.DependencyMarker] for the store.
func (i *inline) MarkDependency(path string) { i.depend(path) }

// attach makes the evaluator's store run Python.
func (e *evaluator) attach() {
	e.d.SetEvaluator(&inline{ctx: e.ctx, interp: e.interp, lib: e.state.lib, depend: e.depend})
}

// Eval implements [datastore.Evaluator].
func (i *inline) Eval(expr string, d *datastore.Data, pos diag.Pos) (string, error) {
	s, err := i.interp.Eval(i.ctx, expr, pyeval.Site{Vars: d, Lib: i.lib, Pos: pos})
	var bad *pyeval.SyntaxError
	if errors.As(err, &bad) && strings.Contains(bad.Text, "unterminated string literal") {
		return "", datastore.ErrUnterminated
	}
	return s, err
}

// exec runs a python body on the evaluator's store.
func (e *evaluator) exec(body string, site pyeval.Site) error {
	site.Vars, site.Lib = e.d, e.state.lib
	e.d.At(site.Pos, site.Name)
	return e.interp.Exec(e.ctx, body, site)
}

// functionPos is the place of a function's first body line.
func functionPos(d *datastore.Data, name string) diag.Pos {
	file, _, _ := d.VarFlag(name, "filename", false)
	line, _, _ := d.VarFlag(name, "lineno", false)
	n, _ := strconv.Atoi(line)
	return diag.Pos{File: file, Line: n + 1}
}

// ExecPython runs a python function of a recipe, e.g. a task, on d, which is the recipe's Data or a copy of it.
func (w *World) ExecPython(ctx context.Context, function string, d *datastore.Data) error {
	return w.loader.execFunction(ctx, function, d)
}

func (s *shared) execFunction(ctx context.Context, function string, d *datastore.Data) error {
	body, ok, err := d.Var(function, false)
	if err != nil {
		return err
	}
	pos := functionPos(d, function)
	in, known := d.Evaluator().(*inline)
	switch python, _, _ := d.VarFlag(function, "python", false); {
	case !ok || !known:
		return diag.Userf(diag.Pos{}, "function %s is not defined", function)
	case python == "":
		return diag.Userf(pos, "function %s is a shell function, not Python", function)
	}
	d.At(pos, function)
	return placed(pos, s.interp.Exec(ctx, body, pyeval.Site{Vars: d, Lib: in.lib, Pos: pos, Name: function}))
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
		return nil, s.execFunction(ctx, function, d)
	}
	return all
}
