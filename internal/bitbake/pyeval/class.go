// SPDX-License-Identifier: MIT

package pyeval

import (
	"strings"
	"sync/atomic"

	"go.starlark.net/starlark"
)

// classValue is a class whose attributes Python code can see: one that it defines, or an exception's.
type classValue interface {
	starlark.Value
	Name() string
	own(name string) starlark.Value
	above() classValue // the base class, or nil
}

// pyClass is a class that Python code defines, with at most one base that matters.
type pyClass struct {
	opaque
	name    string
	id      string // makes it hashable
	base    *pyClass
	attrs   map[string]starlark.Value
	fields  []string // the annotated names, in order
	data    bool     // made by @dataclass
	refused string   // why it cannot have instances here; "" = it can
	frozen  bool
}

var lastIdentity atomic.Uint64

// newIdentity is a text that no other object has.
func newIdentity(kind string) string {
	return kind + string(starlark.MakeUint64(lastIdentity.Add(1)).String())
}

func (c *pyClass) String() string        { return "<class '" + c.name + "'>" }
func (*pyClass) Type() string            { return "type" }
func (c *pyClass) Name() string          { return c.name }
func (c *pyClass) Hash() (uint32, error) { return identity(c.id) }

func (c *pyClass) own(name string) starlark.Value { return c.attrs[name] }

func (c *pyClass) above() classValue {
	if c.base == nil {
		return nil
	}
	return c.base
}

// Freeze makes the class and what it holds unchangeable.
func (c *pyClass) Freeze() {
	if c.frozen {
		return
	}
	c.frozen = true
	for _, v := range c.attrs {
		v.Freeze()
	}
}

func (c *excClass) own(name string) starlark.Value { return c.attrs[name] }

func (c *excClass) above() classValue {
	if c.base == nil {
		return nil
	}
	return c.base
}

// classAttr finds an attribute along the bases.
func classAttr(c classValue, name string) starlark.Value {
	for ; c != nil; c = c.above() {
		if v := c.own(name); v != nil {
			return v
		}
	}
	return nil
}

// isSubclass reports whether c is of, or derived from it.
func isSubclass(c, of classValue) bool {
	for ; c != nil; c = c.above() {
		if c == of {
			return true
		}
	}
	return false
}

// Attr reads a name while the class's body runs.
func (c *pyClass) Attr(name string) (starlark.Value, error) { return bodyAttr(c.attrs, name) }

// Attr reads a name while the class's body runs.
func (c *excClass) Attr(name string) (starlark.Value, error) { return bodyAttr(c.attrs, name) }

func bodyAttr(attrs map[string]starlark.Value, name string) (starlark.Value, error) {
	if v := attrs[name]; v != nil {
		return v, nil
	}
	return nil, unsupported("the name %s in a class before it is defined there", name)
}

// AttrNames lists nothing: the emitter knows the names.
func (c *pyClass) AttrNames() []string { return nil }

// AttrNames lists nothing: the emitter knows the names.
func (c *excClass) AttrNames() []string { return nil }

// SetField defines a name of the class.
func (c *pyClass) SetField(name string, v starlark.Value) error {
	if c.frozen {
		return unsupported("changing the class %s once its module is loaded", c.name)
	}
	c.attrs[name] = v
	c.special(name)
	return nil
}

// SetField defines a name of the class.
func (c *excClass) SetField(name string, v starlark.Value) error {
	if c.frozen || c.attrs == nil {
		return unsupported("changing the class %s", c.name)
	}
	c.attrs[name] = v
	return nil
}

// harmless are the special names that change nothing of what the operators of this package do, or are refused when they would.
const harmless = " __init__ __init_subclass__ __str__ __repr__ __doc__ __module__ __slots__ __enter__ __exit__ "

func (c *pyClass) special(name string) {
	if strings.HasPrefix(name, "__") && !strings.Contains(harmless, " "+name+" ") {
		c.refused = "the method " + name + " of the class " + c.name
	}
}

// instance is an object of a class that Python code defines.
type instance struct {
	opaque
	class  *pyClass
	id     string
	attrs  map[string]starlark.Value
	frozen bool
}

func (o *instance) String() string        { return "<" + o.class.name + " object>" }
func (o *instance) Type() string          { return o.class.name }
func (o *instance) Hash() (uint32, error) { return identity(o.id) }

// Freeze makes the object unchangeable.
func (o *instance) Freeze() {
	if o.frozen {
		return
	}
	o.frozen = true
	for _, v := range o.attrs {
		v.Freeze()
	}
}

// CallInternal makes an instance.
func (c *pyClass) CallInternal(th *starlark.Thread, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	for k := c; k != nil; k = k.base {
		if k.refused != "" {
			return nil, unsupported("%s", k.refused)
		}
	}
	o := &instance{class: c, id: newIdentity("object"), attrs: map[string]starlark.Value{}}
	if init := classAttr(c, "__init__"); init != nil {
		_, err := starlark.Call(th, init, append(starlark.Tuple{o}, pos...), kw)
		return o, err
	}
	if c.data {
		return o, o.fill(args{c.name, pos, kw})
	}
	if len(pos)+len(kw) > 0 {
		return nil, raise(typeError, "%s() takes no arguments", c.name)
	}
	return o, nil
}

// fill is the constructor that @dataclass makes.
func (o *instance) fill(a args) error {
	params := make([]string, len(o.class.fields))
	for i, name := range o.class.fields {
		params[i] = name
		if o.class.attrs[name] != nil {
			params[i] += "?"
		}
	}
	values, err := a.bind(params...)
	if err != nil {
		return err
	}
	for i, name := range o.class.fields {
		if values[i] == nil {
			values[i] = o.class.attrs[name]
		}
		o.attrs[name] = values[i]
	}
	return nil
}

// attr is o.name.
func (o *instance) attr(r *run, name string) (starlark.Value, error) {
	found := classAttr(o.class, name)
	if p, ok := found.(*property); ok {
		return p.read(r, o)
	}
	if v := o.attrs[name]; v != nil {
		return v, nil
	}
	if name == "__class__" {
		return o.class, nil
	}
	return bound(found, o, o.class), nil
}

// setAttr is x.name = v.
func (r *run) setAttr(x starlark.Value, name string, v starlark.Value) error {
	switch x := x.(type) {
	case *instance:
		if p, ok := classAttr(x.class, name).(*property); ok {
			return p.write(r, x, v)
		}
		if x.frozen {
			return unsupported("changing an object of a module once that is loaded")
		}
		x.attrs[name] = v
		return nil
	case *pyClass:
		return x.SetField(name, v)
	case *starlark.Function:
		if name == "visitorcode" { // for BitBake's search for dependencies only
			return nil
		}
	case *exc:
		if x.class.attrs != nil && name != "args" && !strings.HasPrefix(name, "__") {
			if x.attrs == nil {
				x.attrs = map[string]starlark.Value{}
			}
			x.attrs[name] = v
			return nil
		}
	}
	return unsupported("setting the attribute %s of a %s", name, typeName(x))
}

// bound is what a class's attribute becomes when it is read from an instance, or from the class itself (self nil).
func bound(v starlark.Value, self starlark.Value, class classValue) starlark.Value {
	switch v := v.(type) {
	case *starlark.Function:
		if self != nil {
			return &boundMethod{self: self, fn: v}
		}
	case *methodOf:
		if v.static {
			return v.fn
		}
		return &boundMethod{self: class, fn: v.fn}
	}
	return v
}

// boundMethod is a function with its first argument.
type boundMethod struct {
	opaque
	self starlark.Value
	fn   starlark.Value
}

func (*boundMethod) String() string { return "<bound method>" }
func (*boundMethod) Type() string   { return "method" }

// Freeze makes what it holds unchangeable.
func (m *boundMethod) Freeze() { m.self.Freeze(); m.fn.Freeze() }

// Name is the function's name.
func (m *boundMethod) Name() string {
	if f, ok := m.fn.(starlark.Callable); ok {
		return f.Name()
	}
	return "method"
}

// CallInternal calls the function.
func (m *boundMethod) CallInternal(th *starlark.Thread, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	return starlark.Call(th, m.fn, append(starlark.Tuple{m.self}, pos...), kw)
}

// methodOf is a classmethod or, with static, a staticmethod.
type methodOf struct {
	opaque
	fn     starlark.Value
	static bool
}

func (*methodOf) String() string { return "<classmethod>" }
func (*methodOf) Type() string   { return "classmethod" }

// Freeze makes the function unchangeable.
func (m *methodOf) Freeze() { m.fn.Freeze() }

// Name is for messages.
func (*methodOf) Name() string { return "method" }

// CallInternal calls a staticmethod outside of a class.
func (m *methodOf) CallInternal(th *starlark.Thread, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	if !m.static {
		return nil, raise(typeError, "'classmethod' object is not callable")
	}
	return starlark.Call(th, m.fn, pos, kw)
}

// property is the result of @property.
type property struct {
	opaque
	get, set starlark.Value // set may be nil
}

func (*property) String() string { return "<property>" }
func (*property) Type() string   { return "property" }

// Freeze makes the functions unchangeable.
func (p *property) Freeze() {
	p.get.Freeze()
	if p.set != nil {
		p.set.Freeze()
	}
}

func (p *property) read(r *run, self starlark.Value) (starlark.Value, error) {
	return starlark.Call(r.thread, p.get, starlark.Tuple{self}, nil)
}

func (p *property) write(r *run, self, v starlark.Value) error {
	if p.set == nil {
		return raise(attributeError, "property of '%s' object has no setter", typeName(self))
	}
	_, err := starlark.Call(r.thread, p.set, starlark.Tuple{self, v}, nil)
	return err
}

// attr gives @x.setter.
func (p *property) attr(name string) (starlark.Value, error) {
	if name != "setter" {
		return nil, unsupported("the attribute %s of a property", name)
	}
	return builtin(name, func(_ *run, a args) (starlark.Value, error) {
		if err := a.exactly(1); err != nil {
			return nil, err
		}
		return &property{get: p.get, set: a.pos[0]}, nil
	}), nil
}

// superOf is super(): the attributes of the bases of class, for self.
type superOf struct {
	opaque
	class classValue
	self  starlark.Value
}

func (*superOf) String() string { return "<super>" }
func (*superOf) Type() string   { return "super" }

func (s *superOf) attr(name string) (starlark.Value, error) {
	class := s.class
	if v := classAttr(class.above(), name); v != nil {
		if c, ok := s.self.(classValue); ok { // inside of a classmethod
			return bound(v, nil, c), nil
		}
		return bound(v, s.self, class), nil
	}
	x, isException := s.self.(*exc)
	return builtin(name, func(_ *run, a args) (starlark.Value, error) {
		switch {
		case name == "__init__" && isException && len(a.kw) == 0:
			x.args = a.pos
		case name == "__init__" && !isException && len(a.pos)+len(a.kw) == 0, name == "__init_subclass__":
		default:
			return nil, unsupported("super().%s() with these arguments", name)
		}
		return none()
	}), nil
}

// construct makes an exception of a class that Python code defines.
func (c *excClass) construct(th *starlark.Thread, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	x := &exc{class: c, args: pos, attrs: map[string]starlark.Value{}}
	init := classAttr(c, "__init__")
	if init == nil {
		if len(kw) > 0 {
			return nil, raise(typeError, "%s() takes no keyword arguments", c.name)
		}
		return x, nil
	}
	_, err := starlark.Call(th, init, append(starlark.Tuple{x}, pos...), kw)
	return x, err
}

// helpClass begins a class: $class(name, bases).
func helpClass(_ *run, a starlark.Tuple) (starlark.Value, error) {
	name := word(a[0])
	c := &pyClass{name: name, id: newIdentity("class"), attrs: map[string]starlark.Value{}}
	bases := a[1].(starlark.Tuple)
	if len(bases) > 1 {
		c.refused = "the class " + name + " with several bases"
	}
	for _, b := range bases {
		switch b := b.(type) {
		case *excClass:
			if len(bases) == 1 {
				return &excClass{name: name, base: b, attrs: map[string]starlark.Value{}}, nil
			}
		case *pyClass:
			if c.base == nil {
				c.base = b
			}
		case *pyType:
			if b.name != "object" {
				c.refused = "the class " + name + ", which is derived from " + b.name
			}
		default:
			c.refused = "the class " + name + " with this base"
		}
	}
	return c, nil
}

// helpClassDone ends a class: its base is told.
func helpClassDone(r *run, a starlark.Tuple) (starlark.Value, error) {
	c := a[0].(classValue)
	if hook := classAttr(c.above(), "__init_subclass__"); hook != nil {
		if _, err := starlark.Call(r.thread, hook, starlark.Tuple{c}, nil); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func helpAnnotate(_ *run, a starlark.Tuple) (starlark.Value, error) {
	if c, ok := a[0].(*pyClass); ok {
		c.fields = append(c.fields, word(a[1]))
	}
	return none()
}

func helpSuper(_ *run, a starlark.Tuple) (starlark.Value, error) {
	return &superOf{class: a[0].(classValue), self: a[1]}, nil
}

// classBuiltins are the decorators among the builtins, and object.
func classBuiltins() map[string]starlark.Value {
	wrap := func(name string, make func(fn starlark.Value) starlark.Value) starlark.Value {
		return builtin(name, func(_ *run, a args) (starlark.Value, error) {
			if err := a.exactly(1); err != nil {
				return nil, unsupported("%s() with these arguments", name)
			}
			return make(a.pos[0]), nil
		})
	}
	object := &pyType{name: "object", has: func(starlark.Value) bool { return true }}
	object.call = func(*run, args) (starlark.Value, error) { return nil, unsupported("object()") }
	return map[string]starlark.Value{
		"property":     wrap("property", func(fn starlark.Value) starlark.Value { return &property{get: fn} }),
		"classmethod":  wrap("classmethod", func(fn starlark.Value) starlark.Value { return &methodOf{fn: fn} }),
		"staticmethod": wrap("staticmethod", func(fn starlark.Value) starlark.Value { return &methodOf{fn: fn, static: true} }),
		"object":       object,
	}
}

// classModules are the modules that exist for classes.
func classModules() []*module {
	same := func(name string) impl {
		return func(_ *run, a args) (starlark.Value, error) {
			if err := a.exactly(1); err != nil {
				return nil, unsupported("%s() with these arguments", name)
			}
			return a.pos[0], nil
		}
	}
	return []*module{
		ns("abc", map[string]impl{"abstractmethod": same("abstractmethod")}, map[string]starlark.Value{"ABC": rootClass("ABC", "")}),
		ns("enum", nil, map[string]starlark.Value{"Enum": rootClass("Enum", "a class derived from enum.Enum")}),
		ns("dataclasses", map[string]impl{"dataclass": dataclass}, nil),
	}
}

// rootClass is a class that this package has, for classes of Python code to be derived from.
func rootClass(name, refused string) starlark.Value {
	c := &pyClass{name: name, id: newIdentity("class"), refused: refused}
	c.Freeze()
	return c
}

// dataclass is @dataclass without arguments.
func dataclass(_ *run, a args) (starlark.Value, error) {
	if len(a.pos) != 1 || len(a.kw) > 0 {
		return nil, unsupported("dataclass() with these arguments")
	}
	c, ok := a.pos[0].(*pyClass)
	if !ok || c.base != nil || c.attrs["__init__"] != nil || c.attrs["__post_init__"] != nil {
		return nil, unsupported("dataclass() of this class")
	}
	optional := false
	for _, name := range c.fields {
		switch c.attrs[name].(type) {
		case nil:
			if optional {
				return nil, raise(typeError, "non-default argument '%s' follows default argument", name)
			}
		case starlark.String, starlark.Int, starlark.Bool, starlark.NoneType, starlark.Float:
			optional = true
		default:
			return nil, unsupported("this default value in a dataclass")
		}
	}
	c.data = true
	return c, nil
}
