package cpython

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"n3x/internal/bitbake/pyeval"
)

// callFunc calls a function that the embedding program provides.
func callFunc(a *arguments) (any, error) {
	name, list, named := a.text(), take[[]any](a), take[map[string]any](a)
	fn := a.l.b.world.Funcs[name]
	if fn == nil || a.bad {
		a.bad = true
		return nil, nil
	}
	args, err := a.fromPython(list)
	if err != nil {
		return nil, err
	}
	kwargs := map[string]any{}
	for k, v := range named {
		if kwargs[k], err = a.value(v); err != nil {
			return nil, err
		}
	}
	out, err := fn(a.ctx, a.site, args, kwargs)
	if err != nil {
		return nil, err
	}
	return toPython(out)
}

// fromPython is a list of arguments.
func (a *arguments) fromPython(list []any) ([]any, error) {
	out := make([]any, len(list))
	var err error
	for i, v := range list {
		if out[i], err = a.value(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (a *arguments) value(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if n, ok := v[storeMark].(int64); ok && len(v) == 1 {
			if n < 0 || n >= int64(len(a.l.handles)) {
				a.bad = true
				return nil, nil
			}
			return a.l.handles[n], nil
		}
		out := map[string]any{}
		var err error
		for k, item := range v {
			if out[k], err = a.value(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		return a.fromPython(v)
	}
	return v, nil
}

// storeMark is the only key of the dict that stands for a datastore.
const storeMark = "\x00d"

// toPython is a result of a function.
func toPython(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, int, int64, []string, []byte:
		return v, nil
	case []any:
		out := make([]any, len(v))
		var err error
		for i := range v {
			if out[i], err = toPython(v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := table{}
		for _, k := range sortedNames(v) {
			item, err := toPython(v[k])
			if err != nil {
				return nil, err
			}
			out = append(out, [2]any{k, item})
		}
		return out, nil
	}
	return nil, fmt.Errorf("BUG: a function gives a %T", v)
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// callRun answers for a program that this machine does not have; nil when there is no answer.
func callRun(a *arguments) (any, error) {
	args, _ := field[[]any](a.list, a.next)
	a.next++
	c := pyeval.Command{Shell: a.text(), Dir: a.text(), Env: map[string]string{}}
	env := take[map[string]any](a)
	c.Merge = a.flag()
	for k, v := range env {
		c.Env[k], _ = v.(string)
	}
	for _, arg := range args {
		s, ok := arg.(string)
		a.bad = a.bad || !ok
		c.Args = append(c.Args, s)
	}
	if a.bad || a.l.b.world.Run == nil {
		return nil, nil
	}
	result, err := a.l.b.world.Run(a.ctx, c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return tuple{result.Stdout, result.Stderr, result.Status}, err
}

// callPersist reads, or with a value sets, an item of a table of bb.persist_data, which the interpreter keeps.
func callPersist(a *arguments) (any, error) {
	domain, key := a.text(), a.text()
	value, set := field[string](a.list, a.next)
	in := a.site.Interp
	if a.bad {
		return nil, nil
	}
	if in == nil || a.l.persisting { // the interpreter, too, asks CPython when it cannot read the database
		return nil, refuse("bb.persist_data cannot be used here")
	}
	a.l.persisting = true
	defer func() { a.l.persisting = false }()
	site := pyeval.Site{Vars: a.vars, Pos: a.site.Pos}
	table := "bb.persist_data.persist(" + quoted(domain) + ", d)"
	if set {
		return nil, in.Exec(a.ctx, "    t = "+table+"\n    t["+quoted(key)+"] = "+quoted(value)+"\n", site)
	}
	out, err := in.Eval(a.ctx, "(lambda v: '' if v is None else '=' + v)("+table+".get("+quoted(key)+"))", site)
	if found, ok := strings.CutPrefix(out, "="); ok {
		return found, err
	}
	return nil, err
}

// quoted is a Python literal.
func quoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`, "\r", `\r`, "\x00", `\x00`).Replace(s) + "'"
}
