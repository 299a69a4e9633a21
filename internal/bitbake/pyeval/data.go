// SPDX-License-Identifier: MIT

package pyeval

import (
	"go.starlark.net/starlark"
)

// attr is a method of d.
func (d *data) attr(r *run, name string) (starlark.Value, error) {
	m := dataMethods[name]
	if m == nil {
		return nil, unsupported("d.%s", name)
	}
	return builtin(name, func(r *run, a args) (starlark.Value, error) { return m(r, d, a) }), nil
}

var dataMethods = map[string]func(r *run, d *data, a args) (starlark.Value, error){
	"getVar": dataGetVar, "getVarFlag": dataGetVarFlag, "getVarFlags": dataGetVarFlags, "get": dataGet,
	"setVar": dataSetVar, "setVarFlag": dataSetVarFlag, "setVarFlags": dataSetVarFlags,
	"appendVar": dataJoin(Vars.AppendVar), "prependVar": dataJoin(Vars.PrependVar),
	"appendVarFlag": dataJoinFlag(Vars.AppendVarFlag), "prependVarFlag": dataJoinFlag(Vars.PrependVarFlag),
	"delVar": dataDelVar, "delVarFlag": dataDelVarFlag, "renameVar": dataRenameVar, "expand": dataExpand,
	"keys":       func(_ *run, d *data, a args) (starlark.Value, error) { return texts(d.vars.Keys()), a.exactly(0) },
	"createCopy": func(_ *run, d *data, a args) (starlark.Value, error) { return d.copy() },
}

func (d *data) copy() (starlark.Value, error) {
	c, ok := d.vars.(Copier)
	if !ok {
		return nil, unsupported("d.createCopy()")
	}
	return &data{vars: c.CreateCopy()}, nil
}

// optionalText is a value that may be absent, as Python sees it.
func optionalText(s string, ok bool, err error) (starlark.Value, error) {
	if err != nil {
		return nil, fromVars(err)
	}
	if !ok {
		return none()
	}
	return text(s), nil
}

// names takes the leading arguments, which name variables and flags.
func (a args) names(vs ...starlark.Value) ([]string, error) {
	out := make([]string, len(vs))
	for i, v := range vs {
		s, ok := v.(starlark.String)
		if !ok {
			return nil, unsupported("%s() with a name that is a %s", a.fn, typeName(v))
		}
		out[i] = string(s)
	}
	return out, nil
}

// truthy is the truth of an optional argument.
func truthy(v starlark.Value, def bool) bool {
	if v == nil {
		return def
	}
	return bool(v.Truth())
}

func dataGetVar(_ *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var", "expand?", "noweakdefault?", "parsing?")
	if err != nil {
		return nil, err
	}
	if truthy(v[2], false) || truthy(v[3], false) {
		return nil, unsupported("d.getVar() with noweakdefault or parsing")
	}
	names, err := a.names(v[0])
	if err != nil {
		return nil, err
	}
	return optionalText(d.vars.Var(names[0], truthy(v[1], true)))
}

func dataGetVarFlag(_ *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var", "flag", "expand?", "noweakdefault?", "parsing?")
	if err != nil {
		return nil, err
	}
	if truthy(v[3], false) || truthy(v[4], false) {
		return nil, unsupported("d.getVarFlag() with noweakdefault or parsing")
	}
	names, err := a.names(v[0], v[1])
	if err != nil {
		return nil, err
	}
	return optionalText(d.vars.VarFlag(names[0], names[1], truthy(v[2], true)))
}

// dataGetVarFlags gives the visible flags, or None if there are none.
func dataGetVarFlags(_ *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var", "expand?", "internalflags?")
	if err != nil {
		return nil, err
	}
	if truthy(v[1], false) || truthy(v[2], false) {
		return nil, unsupported("d.getVarFlags() with expand or internalflags")
	}
	names, err := a.names(v[0])
	if err != nil {
		return nil, err
	}
	flags, err := d.vars.VarFlags(names[0])
	if err != nil {
		return nil, fromVars(err)
	}
	out := starlark.NewDict(len(flags))
	for _, name := range sortedKeys(flags) {
		if name == "" || name[0] == '_' || name[0] == ':' {
			continue
		}
		if err := out.SetKey(text(name), text(flags[name])); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return none()
	}
	return out, nil
}

func dataGet(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("key", "default?")
	if err != nil {
		return nil, err
	}
	out, err := d.item(v[0])
	if x := asException(err); x != nil && x.class == keyError {
		if v[1] != nil {
			return v[1], nil
		}
		return none()
	}
	return out, err
}

// item is d[name].
func (d *data) item(name starlark.Value) (starlark.Value, error) {
	names, err := args{fn: "d[...]"}.names(name)
	if err != nil {
		return nil, err
	}
	v, err := optionalText(d.vars.Var(names[0], false))
	if err == nil && v == starlark.None {
		err = &raised{&exc{class: keyError, args: starlark.Tuple{name}}}
	}
	return v, err
}

func dataSetVar(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var", "value", "parsing?", "ignore?")
	if err != nil {
		return nil, err
	}
	names, err := a.names(v[0])
	if err != nil {
		return nil, err
	}
	return starlark.None, r.setVar(d, names[0], v[1])
}

// setVar stores text; BitBake would store any object, but then its own expansion breaks on it.
func (r *run) setVar(d *data, name string, value starlark.Value) error {
	s, ok := value.(starlark.String)
	if !ok {
		if _, set, err := d.vars.Var(name, false); value == starlark.None && !set {
			return fromVars(err) // getVar says None before and after
		}
		return unsupported("setting the variable %s to a %s", name, typeName(value))
	}
	r.wrote = true
	return fromVars(d.vars.SetVar(name, string(s)))
}

func dataSetVarFlag(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var", "flag", "value")
	if err != nil {
		return nil, err
	}
	names, err := a.names(v[0], v[1])
	if err != nil {
		return nil, err
	}
	return starlark.None, r.setVarFlag(d, names[0], names[1], v[2])
}

// setVarFlag stores text. A true number is stored as its text, which is what the tasks' flags
// (noexec, nostamp, network ...) are written as in metadata; None takes the flag away.
func (r *run) setVarFlag(d *data, name, flag string, value starlark.Value) error {
	r.wrote = true
	switch v := value.(type) {
	case starlark.String:
		return fromVars(d.vars.SetVarFlag(name, flag, string(v)))
	case starlark.NoneType:
		return fromVars(d.vars.DelVarFlag(name, flag))
	}
	if i, ok := asInt(value); ok && i.Sign() > 0 {
		return fromVars(d.vars.SetVarFlag(name, flag, i.String()))
	}
	return unsupported("setting the flag %s[%s] to a %s", name, flag, typeName(value))
}

func dataSetVarFlags(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var", "flags")
	if err != nil {
		return nil, err
	}
	names, err := a.names(v[0])
	if err != nil {
		return nil, err
	}
	flags, ok := v[1].(*starlark.Dict)
	if !ok {
		return nil, unsupported("d.setVarFlags() with a %s", typeName(v[1]))
	}
	for _, item := range flags.Items() {
		flag, err := a.names(item[0])
		if err != nil {
			return nil, err
		}
		if err := r.setVarFlag(d, names[0], flag[0], item[1]); err != nil {
			return nil, err
		}
	}
	return none()
}

// addend is text to append or prepend; BitBake takes anything and breaks when the variable is read.
func addend(v starlark.Value) (string, error) {
	s, ok := v.(starlark.String)
	if !ok {
		return "", unsupported("appending or prepending a %s", typeName(v))
	}
	return string(s), nil
}

func dataJoin(join func(v Vars, name, value string) error) func(*run, *data, args) (starlark.Value, error) {
	return func(r *run, d *data, a args) (starlark.Value, error) {
		v, err := a.bind("var", "value")
		if err != nil {
			return nil, err
		}
		names, err := a.names(v[0])
		if err != nil {
			return nil, err
		}
		s, err := addend(v[1])
		if err != nil {
			return nil, err
		}
		r.wrote = true
		return starlark.None, fromVars(join(d.vars, names[0], s))
	}
}

func dataJoinFlag(join func(v Vars, name, flag, value string) error) func(*run, *data, args) (starlark.Value, error) {
	return func(r *run, d *data, a args) (starlark.Value, error) {
		v, err := a.bind("var", "flag", "value")
		if err != nil {
			return nil, err
		}
		names, err := a.names(v[0], v[1])
		if err != nil {
			return nil, err
		}
		s, err := addend(v[2])
		if err != nil {
			return nil, err
		}
		r.wrote = true
		return starlark.None, fromVars(join(d.vars, names[0], names[1], s))
	}
}

func dataDelVar(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var")
	if err != nil {
		return nil, err
	}
	names, err := a.names(v[0])
	if err != nil {
		return nil, err
	}
	r.wrote = true
	return starlark.None, fromVars(d.vars.DelVar(names[0]))
}

func dataDelVarFlag(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var", "flag")
	if err != nil {
		return nil, err
	}
	names, err := a.names(v[0], v[1])
	if err != nil {
		return nil, err
	}
	r.wrote = true
	return starlark.None, fromVars(d.vars.DelVarFlag(names[0], names[1]))
}

func dataRenameVar(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("key", "newkey")
	if err != nil {
		return nil, err
	}
	names, err := a.names(v[0], v[1])
	if err != nil {
		return nil, err
	}
	r.wrote = true
	return starlark.None, fromVars(d.vars.RenameVar(names[0], names[1]))
}

func dataExpand(_ *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("s", "varname?")
	if err != nil {
		return nil, err
	}
	s, ok := v[0].(starlark.String)
	if !ok {
		return v[0], nil // as BitBake gives back what is not text
	}
	out, err := d.vars.Expand(string(s))
	if err != nil {
		return nil, fromVars(err)
	}
	return text(out), nil
}
