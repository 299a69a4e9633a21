package cpython

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// answer answers one question of Python: ("call", what, arguments ...).
func (l *lease) answer(ctx context.Context, m []any, s pyeval.Site) error {
	what, _ := field[string](m, 1)
	call := calls[what]
	if call == nil {
		return fmt.Errorf("%w: question %q", errFrame, what)
	}
	a := &arguments{l: l, ctx: ctx, site: s, list: m[2:]}
	if what != "func" && what != "new" && what != "run" {
		a.vars = a.store()
	}
	out, err := call(a)
	if a.bad {
		return fmt.Errorf("%w: the arguments of %s", errFrame, what)
	}
	if l.loop != nil {
		return l.loop
	}
	if err == nil {
		return l.p.send("reply", out)
	}
	if ctx.Err() != nil {
		l.p.kill()
		return ctx.Err()
	}
	kind, text := describe(err)
	l.failures = append(l.failures, err)
	return l.p.send("error", kind, text, len(l.failures)-1)
}

// describe says what an error is to Python.
func describe(err error) (kind, text string) {
	var skip *pyeval.SkipRecipe
	var fatal *pyeval.Fatal
	var refused *refusal
	switch {
	case errors.As(err, &skip):
		return "skip", skip.Reason
	case errors.As(err, &fatal):
		return "fatal", fatal.Text
	case errors.As(err, &refused):
		return "refused", refused.text
	case errors.Is(err, fs.ErrNotExist):
		return "missing", err.Error()
	}
	return "expansion", err.Error()
}

// refusal is what this side cannot do.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// arguments are those of a question.
type arguments struct {
	l    *lease
	ctx  context.Context
	site pyeval.Site
	vars pyeval.Vars
	list []any
	next int
	bad  bool
}

func take[T any](a *arguments) T {
	v, ok := field[T](a.list, a.next)
	a.next++
	a.bad = a.bad || !ok
	return v
}

func (a *arguments) text() string { return take[string](a) }

func (a *arguments) flag() bool { return take[bool](a) }

func (a *arguments) store() pyeval.Vars {
	n := take[int64](a)
	if n < 0 || n >= int64(len(a.l.handles)) {
		a.bad = true
		return a.site.Vars
	}
	return a.l.handles[n]
}

func (a *arguments) words() []string {
	var out []string
	for _, v := range take[[]any](a) {
		s, ok := v.(string)
		a.bad = a.bad || !ok
		out = append(out, s)
	}
	return out
}

// placer is a datastore that keeps a history.
type placer interface {
	At(pos diag.Pos, function string)
	Pos() diag.Pos
}

// place takes the position of the Python that changes something, for the history.
func (a *arguments) place() {
	at, _ := field[[]any](a.list, a.next)
	p, ok := a.vars.(placer)
	if !ok || len(at) != 3 {
		return
	}
	file, _ := field[string](at, 0)
	line, _ := field[int64](at, 1)
	if file != "" {
		p.At(diag.Pos{File: file, Line: int(line)}, a.site.Name)
	}
}

// calls are the questions that Python asks.
var calls = map[string]func(a *arguments) (any, error){
	"get": callGet, "set": callSet, "join": callJoin, "del": callDel, "rename": callRename, "flags": callFlags, "keys": callKeys,
	"expand": callExpand, "copy": callCopy, "new": callNew, "history": callHistory, "filter": callFilter, "overridden": callOverridden,
	"overrides": callOverrides, "addtask": callAddtask, "deltask": callDeltask, "inherits": callInherits, "mark": callMark, "func": callFunc, "run": callRun, "persist": callPersist,
}

// valueOf is a value for Python: (text, whether it is a literal).
func valueOf(v pyeval.Value, err error) (any, error) {
	switch {
	case err != nil:
		return nil, err
	case !v.Set:
		return tuple{nil, false}, nil
	}
	return tuple{v.Text, v.Object}, nil
}

func callGet(a *arguments) (any, error) {
	name, flag := a.text(), a.text()
	how := pyeval.ReadMode{Expand: a.flag(), NoWeakDefault: a.flag(), Parsing: a.flag()}
	if a.bad {
		return nil, nil
	}
	if o, ok := a.vars.(pyeval.Originator); ok && name == pyeval.OriginalEnvironment && flag == "" {
		if env := o.OriginalEnvironment(); env != nil {
			return tuple{a.l.handle(env), false}, nil
		}
	}
	if r, ok := a.vars.(pyeval.Reader); ok {
		return valueOf(r.Read(name, flag, how))
	}
	if how.NoWeakDefault || how.Parsing {
		return nil, refuse("this datastore cannot be read with noweakdefault or parsing")
	}
	var v pyeval.Value
	var err error
	if flag == "" {
		v.Text, v.Set, err = a.vars.Var(name, how.Expand)
	} else {
		v.Text, v.Set, err = a.vars.VarFlag(name, flag, how.Expand)
	}
	return valueOf(v, err)
}

func callSet(a *arguments) (any, error) {
	name, flag := a.text(), a.text()
	value, _ := field[any](a.list, a.next)
	a.next++
	literal := a.flag()
	if a.bad {
		return nil, nil
	}
	a.place()
	text, isText := value.(string)
	if isText && !literal {
		if flag == "" {
			return nil, a.vars.SetVar(name, text)
		}
		return nil, a.vars.SetVarFlag(name, flag, text)
	}
	if !isText {
		text = "None"
	}
	if o, ok := a.vars.(pyeval.ObjectStore); ok {
		return nil, o.SetObject(name, flag, text)
	}
	if text == "None" && flag == "" {
		if _, set, err := a.vars.Var(name, false); !set {
			return nil, err
		}
	}
	if text == "None" && flag != "" {
		return nil, a.vars.DelVarFlag(name, flag)
	}
	return nil, refuse("this datastore keeps text only, and %s cannot become %s", name, text)
}

func callJoin(a *arguments) (any, error) {
	name, flag, behind, text := a.text(), a.text(), a.flag(), a.text()
	if a.bad {
		return nil, nil
	}
	a.place()
	switch {
	case flag == "" && behind:
		return nil, a.vars.AppendVar(name, text)
	case flag == "":
		return nil, a.vars.PrependVar(name, text)
	case behind:
		return nil, a.vars.AppendVarFlag(name, flag, text)
	}
	return nil, a.vars.PrependVarFlag(name, flag, text)
}

func callDel(a *arguments) (any, error) {
	name, flag := a.text(), a.text()
	if a.bad {
		return nil, nil
	}
	a.place()
	if flag == "" {
		return nil, a.vars.DelVar(name)
	}
	return nil, a.vars.DelVarFlag(name, flag)
}

func callRename(a *arguments) (any, error) {
	from, to := a.text(), a.text()
	if a.bad {
		return nil, nil
	}
	a.place()
	return nil, a.vars.RenameVar(from, to)
}

func callFlags(a *arguments) (any, error) {
	name, internal := a.text(), a.flag()
	if a.bad {
		return nil, nil
	}
	out := []any{}
	if r, ok := a.vars.(pyeval.Reader); ok {
		for _, f := range r.Flags(name, internal) {
			var v any
			if f.Set {
				v = f.Text
			}
			out = append(out, tuple{f.Name, v, f.Object})
		}
		return out, nil
	}
	if internal {
		return nil, refuse("this datastore does not show internal flags")
	}
	flags, err := a.vars.VarFlags(name)
	for _, k := range sortedNames(flags) {
		out = append(out, tuple{k, flags[k], false})
	}
	return out, err
}

// callNew makes an empty datastore, as bb.data.init() does.
func callNew(a *arguments) (any, error) { return a.l.handle(datastore.New()), nil }

func callKeys(a *arguments) (any, error) { return a.vars.Keys(), nil }

func callExpand(a *arguments) (any, error) {
	text, _ := a.text(), a.text()
	if a.bad {
		return nil, nil
	}
	return a.vars.Expand(text)
}

func callCopy(a *arguments) (any, error) {
	c, ok := a.vars.(pyeval.Copier)
	if !ok {
		return nil, refuse("this datastore cannot be copied")
	}
	return a.l.handle(c.CreateCopy()), nil
}

// callHistory lists a variable's operations.
func callHistory(a *arguments) (any, error) {
	name := a.text()
	d, ok := a.vars.(interface {
		History(string) []datastore.Event
	})
	if !ok {
		return nil, refuse("this datastore keeps no history")
	}
	out := []any{}
	for _, e := range d.History(name) {
		out = append(out, tuple{e.Op, e.Pos.File, e.Pos.Line, e.Function, e.Flag, e.Detail})
	}
	return out, nil
}

func callFilter(a *arguments) (any, error) {
	name, expr := a.text(), a.text()
	d, ok := a.vars.(interface{ SetVarFilter(name, expr string) error })
	if !ok {
		return nil, refuse("this datastore has no filters")
	}
	return nil, d.SetVarFilter(name, expr)
}

func callOverridden(a *arguments) (any, error) {
	name := a.text()
	d, ok := a.vars.(interface{ HasOverrides(string) bool })
	if !ok {
		return nil, refuse("this datastore knows no overrides")
	}
	return d.HasOverrides(name), nil
}

func callOverrides(a *arguments) (any, error) {
	d, ok := a.vars.(interface{ Overrides() ([]string, error) })
	if !ok {
		return nil, refuse("this datastore knows no overrides")
	}
	list, err := d.Overrides()
	return append([]string{}, list...), err
}

func callAddtask(a *arguments) (any, error) {
	name, before, after := a.text(), a.words(), a.words()
	t, ok := a.vars.(pyeval.TaskEditor)
	if !ok {
		return nil, refuse("this datastore has no tasks")
	}
	return nil, t.AddTask(name, before, after)
}

func callDeltask(a *arguments) (any, error) {
	name := a.text()
	t, ok := a.vars.(pyeval.TaskEditor)
	if !ok {
		return nil, refuse("this datastore has no tasks")
	}
	return nil, t.DelTask(name)
}

func callInherits(a *arguments) (any, error) {
	name := a.text()
	i, ok := a.vars.(pyeval.Inheriter)
	if !ok {
		return nil, refuse("this datastore knows no classes")
	}
	return i.Inherits(name), nil
}

func callMark(a *arguments) (any, error) {
	name := a.text()
	if m, ok := a.vars.(pyeval.DependencyMarker); ok && !a.bad {
		m.MarkDependency(name)
	}
	return nil, nil
}
