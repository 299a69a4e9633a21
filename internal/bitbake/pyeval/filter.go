// SPDX-License-Identifier: MIT

package pyeval

import (
	"context"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"n3x/internal/bitbake/pyeval/python"
)

// filterNames are the builtins that filter expressions may use; nothing else of Python is in sight there.
const filterNames = " all any bin bool chr enumerate float format hex int len map max min oct ord pow str sum "

const maxFiltered = 50_000 // remembered results; then the memory starts anew

// Filter passes a value through the filter expression of a variable (d.setVarFilter), in which val is the value. Filters are
// functions of their arguments alone, so that results are remembered, as in BitBake.
func (in *Interp) Filter(ctx context.Context, expr, value string, s Site) (string, error) {
	expr = strings.TrimSpace(expr)
	if expr == "" {
		return value, nil
	}
	key := expr + "\x00" + value
	in.mu.Lock()
	out, ok := in.filtered[key]
	in.mu.Unlock()
	if ok {
		return out, nil
	}
	out, err := in.filter(ctx, expr, value, s)
	if in.hasFallback(err) {
		quoted, _ := repr(text(value))
		return in.opts.Fallback.Eval(ctx, "bb.filter.apply_filters("+quoted+", ["+mustRepr(expr)+"])", s)
	}
	if err != nil {
		return "", err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.filtered == nil || len(in.filtered) >= maxFiltered {
		in.filtered = map[string]string{}
	}
	in.filtered[key] = out
	return out, nil
}

func mustRepr(s string) string {
	out, _ := repr(text(s))
	return out
}

func (in *Interp) filter(ctx context.Context, expr, value string, s Site) (string, error) {
	p, err := in.compiled("f"+expr, func() (*program, error) { return compileFilter(expr) })
	if err != nil {
		return "", located(err, s.Pos, expr)
	}
	r := newRun(ctx, in, s, expr)
	defer r.close()
	v, err := r.invoke(p, evalName, nil, text(value))
	out, isText := v.(starlark.String)
	if err == nil && !isText {
		err = unsupported("a filter that gives a %s", typeName(v))
	}
	return string(out), r.outcome(err)
}

// compileFilter translates a filter expression: a function of val.
func compileFilter(expr string) (*program, error) {
	x, err := python.ParseExpr(expr, python.Pos{Line: 1, Col: 1})
	if err != nil {
		return nil, err
	}
	e := newEmitter("", expr, 1)
	e.globals = "$filter"
	fn := &python.FunctionDef{Pos: x.Start(), Name: evalName, Params: []python.Param{{Name: "val"}}, Body: []python.Stmt{&python.Return{Pos: x.Start(), X: x}}}
	return e.compile([]syntax.Stmt{e.function(fn, surveyExpr(x), false)})
}

// filterName resolves a name in a filter expression: what bb.filter has itself, or a function that a module of addpylib has
// registered by @bb.filter.filter_proc().
func (r *run) filterName(name string) (starlark.Value, error) {
	if fn := filterFuncs[name]; fn != nil {
		return builtin(name, fn), nil
	}
	if strings.Contains(filterNames, " "+name+" ") {
		return r.in.builtins[name], nil
	}
	if v := r.in.registered(name); v != nil {
		return v, nil
	}
	for _, lib := range r.site.PyLibs {
		if err := r.registerFilters(lib.Namespace); err != nil {
			return nil, err
		}
		if v := r.in.registered(name); v != nil {
			return v, nil
		}
	}
	return nil, raise(nameError, "name '%s' is not defined", name)
}

func (in *Interp) registered(name string) starlark.Value {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.filters[name]
}

// registerFilters loads the modules that BitBake imports for a package of addpylib, as far as they register filters.
func (r *run) registerFilters(namespace string) error {
	m, err := r.findSource(namespace)
	if m == nil || err != nil {
		return err
	}
	imports, err := m.attr(r, "BBIMPORTS")
	if err != nil {
		return err
	}
	list, ok := imports.(*starlark.List)
	if !ok {
		return unsupported("BBIMPORTS that is a %s", typeName(imports))
	}
	for _, item := range elems(list) {
		sub, err := r.findSource(namespace + "." + plain(item))
		if sub == nil || err != nil {
			return err
		}
		content, err := r.files().ReadFile(sub.file)
		if err == nil && strings.Contains(string(content), "filter_proc") {
			if err := r.loaded(sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// bbFilterProc is the decorator bb.filter.filter_proc(name=None).
func bbFilterProc(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("*", "name?")
	if err != nil {
		return nil, err
	}
	return builtin("inner", func(r *run, a args) (starlark.Value, error) {
		if err := a.exactly(1); err != nil {
			return nil, err
		}
		fn, ok := a.pos[0].(starlark.Callable)
		if !ok || r.importing == nil {
			return nil, unsupported("bb.filter.filter_proc() here")
		}
		name := r.callableName(fn)
		if !isNone(v[0]) {
			name = plain(v[0])
		}
		if strings.Contains(name, ".") || name == "" {
			return nil, unsupported("bb.filter.filter_proc() with this name")
		}
		r.in.mu.Lock()
		defer r.in.mu.Unlock()
		if r.in.filters == nil {
			r.in.filters = map[string]starlark.Value{}
		}
		r.in.filters[name] = fn
		return fn, nil
	}), nil
}

// filterFuncs are the filters that BitBake has itself.
var filterFuncs = map[string]impl{
	"suffix": func(_ *run, a args) (starlark.Value, error) {
		return eachWord(a, "suffix", func(w, x string) string { return w + x })
	},
	"prefix": func(_ *run, a args) (starlark.Value, error) {
		return eachWord(a, "prefix", func(w, x string) string { return x + w })
	},
	"sort":   filterSort,
	"remove": filterRemove,
}

func eachWord(a args, param string, f func(word, x string) string) (starlark.Value, error) {
	v, err := a.bind("val", param)
	if err != nil {
		return nil, err
	}
	words, err := wordsOf(a, v[0])
	if err != nil {
		return nil, err
	}
	x, err := a.wantStr(v[1])
	for i := range words {
		words[i] = f(words[i], x)
	}
	return text(strings.Join(words, " ")), err
}

func filterSort(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("val")
	if err != nil {
		return nil, err
	}
	words, err := wordsOf(a, v[0])
	slices.Sort(words)
	return text(strings.Join(words, " ")), err
}

func filterRemove(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("val", "remove", "sep?")
	if err != nil {
		return nil, err
	}
	if !isNone(v[2]) {
		return nil, unsupported("the filter remove() with a separator")
	}
	words, err := wordsOf(a, v[0])
	if err != nil {
		return nil, err
	}
	var away []string
	if l, ok := v[1].(*starlark.List); ok {
		for _, item := range elems(l) {
			away = append(away, plain(item))
		}
	} else if away, err = wordsOf(a, v[1]); err != nil {
		return nil, err
	}
	words = slices.DeleteFunc(words, func(w string) bool { return slices.Contains(away, w) })
	return text(strings.Join(words, " ")), nil
}

// callableName is the name that a function was defined by.
func (r *run) callableName(fn starlark.Callable) string {
	name := fn.Name()
	if strings.HasPrefix(name, "$def") {
		return ""
	}
	return name
}

// FilterSetter is what a datastore has whose metadata may call d.setVarFilter.
type FilterSetter interface {
	SetVarFilter(name, expr string) error
}

func dataSetVarFilter(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var", "filter")
	if err != nil {
		return nil, err
	}
	names, err := a.names(v...)
	if err != nil {
		return nil, err
	}
	s, ok := d.vars.(FilterSetter)
	if !ok {
		return nil, unsupported("d.setVarFilter()")
	}
	r.wrote = true
	return starlark.None, fromVars(s.SetVarFilter(names[0], names[1]))
}

// bbFilterString keeps the words of a text that are among others, sorted.
func bbFilterString(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("val", "checkvalues")
	if err != nil {
		return nil, err
	}
	if !bool(v[0].Truth()) {
		return text(""), nil
	}
	words, err := wordsOf(a, v[0])
	if err != nil {
		return nil, err
	}
	return r.filterWords(words, v[1])
}

// sameFunction is a decorator that changes nothing that runs.
func sameFunction(_ *run, _ args) (starlark.Value, error) {
	return builtin("inner", func(_ *run, a args) (starlark.Value, error) {
		if err := a.exactly(1); err != nil {
			return nil, err
		}
		return a.pos[0], nil
	}), nil
}
