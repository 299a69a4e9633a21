// SPDX-License-Identifier: MIT

package pyeval

import (
	"fmt"

	"go.starlark.net/starlark"
)

// Python values are Starlark values: None, Bool, Int, Float, String (str), Bytes, *List, Tuple,
// *Dict, *Set, functions and builtins, and the types of this file.

// opaque gives the parts of starlark.Value that nobody uses: text of values is repr's task.
type opaque struct{}

func (opaque) Freeze()               {}
func (opaque) Truth() starlark.Bool  { return true }
func (opaque) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable") }

// identity makes pointers usable as dict keys and set items.
func identity(s string) (uint32, error) { return starlark.String(s).Hash() }

// data is the datastore, `d`.
type data struct {
	opaque
	vars Vars
}

func (*data) String() string { return "<d>" }
func (*data) Type() string   { return "DataSmart" }

// module is a module or a namespace such as bb.utils.
type module struct {
	opaque
	name  string
	attrs map[string]starlark.Value
}

func (m *module) String() string        { return "<module " + m.name + ">" }
func (*module) Type() string            { return "module" }
func (m *module) Hash() (uint32, error) { return identity(m.name) }

// pyType is a class such as str; calling it converts.
type pyType struct {
	opaque
	name string
	call func(r *run, a args) (starlark.Value, error)
	has  func(v starlark.Value) bool // isinstance
}

func (t *pyType) String() string        { return "<class '" + t.name + "'>" }
func (*pyType) Type() string            { return "type" }
func (t *pyType) Name() string          { return t.name }
func (t *pyType) Hash() (uint32, error) { return identity(t.name) }

// CallInternal converts a value to the class.
func (t *pyType) CallInternal(th *starlark.Thread, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	return t.call(running(th), args{t.name, pos, kw})
}

func (c *excClass) String() string        { return "<class '" + c.name + "'>" }
func (*excClass) Type() string            { return "type" }
func (*excClass) Truth() starlark.Bool    { return true }
func (c *excClass) Hash() (uint32, error) { return identity(c.name) }
func (c *excClass) Name() string          { return c.name }

// Freeze makes a class of Python code unchangeable.
func (c *excClass) Freeze() {
	if c.attrs == nil || c.frozen {
		return
	}
	c.frozen = true
	for _, v := range c.attrs {
		v.Freeze()
	}
}

// CallInternal makes an exception.
func (c *excClass) CallInternal(th *starlark.Thread, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	if c.attrs != nil {
		return c.construct(th, pos, kw)
	}
	if len(kw) > 0 {
		return nil, unsupported("%s() with keyword arguments", c.name)
	}
	return &exc{class: c, args: pos}, nil
}

func (x *exc) String() string      { return x.class.name }
func (x *exc) Type() string        { return x.class.name }
func (*exc) Freeze()               {}
func (*exc) Truth() starlark.Bool  { return true }
func (*exc) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable") }

// frame holds the local variables of a function that contains try blocks and the like.
type frame struct {
	opaque
	vars   map[string]starlark.Value
	frozen bool
}

// Freeze makes the variables unchangeable: a function of a module holds them.
func (f *frame) Freeze() {
	if f.frozen {
		return
	}
	f.frozen = true
	for _, v := range f.vars {
		v.Freeze()
	}
}

func (*frame) String() string { return "<frame>" }
func (*frame) Type() string   { return "frame" }

// Attr reads a local variable.
func (f *frame) Attr(name string) (starlark.Value, error) {
	if v := f.vars[name]; v != nil {
		return v, nil
	}
	return nil, raise(unboundLocalError, "cannot access local variable '%s' where it is not associated with a value", name)
}

// AttrNames lists nothing: frames are the emitter's own.
func (f *frame) AttrNames() []string { return nil }

// SetField assigns a local variable.
func (f *frame) SetField(name string, v starlark.Value) error {
	if f.frozen {
		return unsupported("changing a variable of a module's closure")
	}
	f.vars[name] = v
	return nil
}

// leave says how a try closure was left.
type leave struct {
	opaque
	kind  string // "return", "break" or "continue"
	value starlark.Value
}

func (*leave) String() string { return "<leave>" }
func (*leave) Type() string   { return "leave" }

// slice is lo:hi:step; each is an Int or None.
type slice struct {
	opaque
	lo, hi, step starlark.Value
}

func (*slice) String() string { return "<slice>" }
func (*slice) Type() string   { return "slice" }

// rng is range(start, stop, step).
type rng struct {
	opaque
	start, stop, step int64
}

func (*rng) String() string         { return "<range>" }
func (*rng) Type() string           { return "range" }
func (g *rng) Truth() starlark.Bool { return g.len() > 0 }

func (g *rng) len() int64 {
	switch {
	case g.step > 0 && g.start < g.stop:
		return (g.stop-g.start-1)/g.step + 1
	case g.step < 0 && g.start > g.stop:
		return (g.start-g.stop-1)/(-g.step) + 1
	}
	return 0
}

// view is dict.keys(), .values() or .items().
type view struct {
	opaque
	dict *starlark.Dict
	kind string // "dict_keys", "dict_values" or "dict_items"
}

func (v *view) String() string       { return "<" + v.kind + ">" }
func (v *view) Type() string         { return v.kind }
func (v *view) Truth() starlark.Bool { return v.dict.Len() > 0 }

func (v *view) list() []starlark.Value {
	var out []starlark.Value
	for _, item := range v.dict.Items() {
		switch v.kind {
		case "dict_keys":
			out = append(out, item[0])
		case "dict_values":
			out = append(out, item[1])
		default:
			out = append(out, item)
		}
	}
	return out
}

// iterator is a generator, a map, a zip, ...: it can be used up once.
type iterator struct {
	opaque
	kind string
	next nextFunc
}

// nextFunc gives the next item, or ok false at the end.
type nextFunc func() (v starlark.Value, ok bool, err error)

func (i *iterator) String() string { return "<" + i.kind + ">" }
func (i *iterator) Type() string   { return i.kind }

// namespace is an object with fixed attributes, e.g. a match object or `e`.
type namespace struct {
	opaque
	kind  string
	attrs map[string]starlark.Value
}

func (n *namespace) String() string { return "<" + n.kind + ">" }
func (n *namespace) Type() string   { return n.kind }

// typeName is the name of a value's class, as Python's messages give it.
func typeName(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.NoneType:
		return "NoneType"
	case starlark.String:
		return "str"
	case starlark.Bytes:
		return "bytes"
	case *starlark.Function:
		return "function"
	case *starlark.Builtin:
		return "builtin_function_or_method"
	case *exc:
		return v.class.name
	}
	return v.Type() // bool, int, float, list, tuple, dict, set and those above
}

// builtin makes a function of this package a value. What it returns is paid for by its size, so
// that the step limit bounds memory as well.
func builtin(name string, fn func(r *run, a args) (starlark.Value, error)) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(th *starlark.Thread, _ *starlark.Builtin, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		r := running(th)
		v, err := fn(r, args{name, pos, kw})
		if err != nil {
			return nil, err
		}
		return v, r.pay(v)
	})
}

// boolean, text and number make values.
func boolean(b bool) starlark.Value           { return starlark.Bool(b) }
func text(s string) starlark.Value            { return starlark.String(s) }
func number(n int) starlark.Value             { return starlark.MakeInt(n) }
func none() (starlark.Value, error)           { return starlark.None, nil }
func list(vs []starlark.Value) starlark.Value { return starlark.NewList(vs) }

func texts(ss []string) starlark.Value {
	vs := make([]starlark.Value, len(ss))
	for i, s := range ss {
		vs[i] = starlark.String(s)
	}
	return starlark.NewList(vs)
}
