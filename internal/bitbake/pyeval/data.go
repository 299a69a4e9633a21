// SPDX-License-Identifier: MIT

package pyeval

import (
	"strings"

	"go.starlark.net/starlark"

	"n3x/internal/diag"
)

// attr is a method of d.
func (d *data) attr(r *run, name string) (starlark.Value, error) {
	m := dataMethods[name]
	if m == nil {
		return nil, unsupported("d.%s", name)
	}
	return starlark.NewBuiltin(name, func(th *starlark.Thread, _ *starlark.Builtin, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		r := running(th)
		if err := r.settle(); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(name, "get") {
			r.place(th, d)
		}
		v, err := m(r, d, args{name, pos, kw})
		if err != nil {
			return nil, err
		}
		return v, r.pay(v)
	}), nil
}

// place tells the datastore which line of which function is about to write to it.
func (r *run) place(th *starlark.Thread, d *data) {
	placer, ok := d.vars.(Placer)
	if !ok {
		return
	}
	for i := 1; i < th.CallStackDepth(); i++ {
		frame := th.CallFrame(i)
		if frame.Pos.Filename() == "<builtin>" || frame.Pos.Line <= 0 {
			continue
		}
		pos := diag.Pos{File: frame.Pos.Filename(), Line: int(frame.Pos.Line)}
		if pos.File == "" {
			pos = offset(r.site.Pos, pos.Line)
		}
		placer.At(pos, r.codeName(th, i))
		return
	}
}

// codeName is the name of the Python code that frame i, or a part of which frame i, runs.
func (r *run) codeName(th *starlark.Thread, i int) string {
	for ; i < th.CallStackDepth(); i++ {
		switch name := th.CallFrame(i).Name; {
		case name == bodyName:
			return r.site.Name
		case name == evalName:
			if r.site.Name == "" {
				return "<expansion>:1 [<module>]"
			}
			return "Var <" + r.site.Name + ">:1 [<module>]"
		case name == "lambda":
			return "<lambda>"
		case !strings.HasPrefix(name, "$") && th.CallFrame(i).Pos.Filename() != "<builtin>":
			return name
		}
	}
	return r.site.Name
}

var dataMethods = map[string]func(r *run, d *data, a args) (starlark.Value, error){
	"getVar": dataGetVar, "getVarFlag": dataGetVarFlag, "getVarFlags": dataGetVarFlags, "get": dataGet,
	"setVar": dataSetVar, "setVarFlag": dataSetVarFlag, "setVarFlags": dataSetVarFlags,
	"appendVar": dataJoin("append", Vars.AppendVar), "prependVar": dataJoin("prepend", Vars.PrependVar),
	"appendVarFlag": dataJoinFlag(Vars.AppendVarFlag), "prependVarFlag": dataJoinFlag(Vars.PrependVarFlag),
	"setVarFilter": dataSetVarFilter, "hasOverrides": dataHasOverrides, "delVar": dataDelVar, "delVarFlag": dataDelVarFlag, "renameVar": dataRenameVar, "expand": dataExpand,
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

func dataGetVar(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var", "expand?", "noweakdefault?", "parsing?")
	if err != nil {
		return nil, err
	}
	names, err := a.names(v[0])
	if err != nil {
		return nil, err
	}
	return r.readVar(d, names[0], "", ReadMode{truthy(v[1], true), truthy(v[2], false), truthy(v[3], false)})
}

func dataGetVarFlag(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var", "flag", "expand?", "noweakdefault?", "parsing?", "retparser?")
	if err != nil {
		return nil, err
	}
	if truthy(v[5], false) {
		return nil, unsupported("d.getVarFlag() with retparser")
	}
	if !truthy(v[1], false) {
		r.log("warn", "Calling getVarFlag with flag unset is invalid")
		return none()
	}
	names, err := a.names(v[0], v[1])
	if err != nil {
		return nil, err
	}
	return r.readVar(d, names[0], names[1], ReadMode{truthy(v[2], true), truthy(v[3], false), truthy(v[4], false)})
}

// dataGetVarFlags gives the visible flags, or None if there are none.
func dataGetVarFlags(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var", "expand?", "internalflags?")
	if err != nil {
		return nil, err
	}
	names, err := a.names(v[0])
	if err != nil {
		return nil, err
	}
	flags, err := d.flags(names[0], truthy(v[2], false))
	if err != nil {
		return nil, err
	}
	out := starlark.NewDict(len(flags))
	for _, f := range flags {
		if truthy(v[1], false) {
			yes, err := r.contains(v[1], text(f.Name))
			if err != nil {
				return nil, err
			}
			if yes && f.Set && !f.Object {
				if f.Text, err = d.vars.Expand(f.Text); err != nil {
					return nil, fromVars(err)
				}
			}
		}
		value, err := r.object(d, names[0], f.Name, f.Value)
		if err != nil {
			return nil, err
		}
		if err := out.SetKey(text(f.Name), value); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return none()
	}
	return out, nil
}

// flags lists flags in the datastore's order, or sorted when it has none.
func (d *data) flags(name string, internal bool) ([]Flag, error) {
	if reader, ok := d.vars.(Reader); ok {
		return reader.Flags(name, internal), nil
	}
	if internal {
		return nil, unsupported("d.getVarFlags() with internalflags")
	}
	values, err := d.vars.VarFlags(name)
	if err != nil {
		return nil, fromVars(err)
	}
	var all []Flag
	for _, flag := range sortedKeys(values) {
		if flag != "" && flag[0] != '_' && flag[0] != ':' {
			all = append(all, Flag{flag, Value{Text: values[flag], Set: true}})
		}
	}
	return all, nil
}

func dataGet(r *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("key", "default?")
	if err != nil {
		return nil, err
	}
	out, err := d.item(r, v[0])
	if x := asException(err); x != nil && x.class == keyError {
		if v[1] != nil {
			return v[1], nil
		}
		return none()
	}
	return out, err
}

// item is d[name].
func (d *data) item(r *run, name starlark.Value) (starlark.Value, error) {
	names, err := args{fn: "d[...]"}.names(name)
	if err != nil {
		return nil, err
	}
	if err := r.settle(); err != nil {
		return nil, err
	}
	v, err := r.readVar(d, names[0], "", ReadMode{})
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

// setVar stores any value that can be written down.
func (r *run) setVar(d *data, name string, value starlark.Value) error {
	s, ok := value.(starlark.String)
	if !ok {
		if _, set, err := d.vars.Var(name, false); value == starlark.None && !set && err == nil && !isObjectStore(d.vars) {
			return nil // getVar says None before and after
		}
		return r.setObject(d, name, "", value)
	}
	r.write()
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

func (r *run) setVarFlag(d *data, name, flag string, value starlark.Value) error {
	s, ok := value.(starlark.String)
	if !ok {
		return r.setObject(d, name, flag, value)
	}
	r.write()
	return fromVars(d.vars.SetVarFlag(name, flag, string(s)))
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
	return starlark.None, r.setFlags(d, names[0], flags)
}

func dataJoin(keyword string, join func(v Vars, name, value string) error) func(*run, *data, args) (starlark.Value, error) {
	return func(r *run, d *data, a args) (starlark.Value, error) {
		v, err := a.bind("var", "value")
		if err != nil {
			return nil, err
		}
		names, err := a.names(v[0])
		if err != nil {
			return nil, err
		}
		s, ok := v[1].(starlark.String)
		if !ok { // breaks when the variable is read, unless that is of the same type
			return starlark.None, r.joinObject(d, names[0], keyword, v[1])
		}
		r.write()
		return starlark.None, fromVars(join(d.vars, names[0], string(s)))
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
		s, ok := v[2].(starlark.String)
		if !ok {
			return starlark.None, r.joinFlag(d, a.fn, names[0], names[1], v[2])
		}
		r.write()
		return starlark.None, fromVars(join(d.vars, names[0], names[1], string(s)))
	}
}

// joinFlag adds a value that is no text to a flag.
func (r *run) joinFlag(d *data, method, name, flag string, v starlark.Value) error {
	old, err := r.readVar(d, name, flag, ReadMode{})
	if err != nil {
		return err
	}
	if !truthy(old, false) {
		old = text("")
	}
	if method == "prependVarFlag" {
		old, v = v, old
	}
	if v, err = r.binary("+", old, v); err != nil {
		return err
	}
	return r.setVarFlag(d, name, flag, v)
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
	r.write()
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
	r.write()
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
	r.write()
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
