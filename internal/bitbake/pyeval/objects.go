// SPDX-License-Identifier: MIT

package pyeval

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"n3x/internal/bitbake/pyeval/python"
	"n3x/internal/diag"
)

// ObjectStore is what a datastore has that can hold values which are not text: numbers, lists, dicts ... A literal is what
// Python's repr writes for the value; reading such a variable as text gives the same, which is also its str.
type ObjectStore interface {
	// Object gives the value of a variable (flag "") or of a flag; ok is false when it is text, None or not set.
	Object(name, flag string) (literal string, ok bool)
	// SetObject is setVar (flag "") or setVarFlag with a value that is not text; "None" takes the value away.
	SetObject(name, flag, literal string) error
}

// ObjectRefresher is an [ObjectStore] that is told when code changes an object that it has given away before.
type ObjectRefresher interface {
	RefreshObject(name, flag, was, now string) error
}

// ObjectJoiner is an [ObjectStore] that knows appendVar and prependVar from setVar of NAME:append.
type ObjectJoiner interface {
	JoinObject(name, keyword, literal string) error
}

// joinObject is appendVar or prependVar with a value that is no text.
func (r *run) joinObject(d *data, name, keyword string, v starlark.Value) error {
	store, ok := d.vars.(ObjectJoiner)
	if !ok {
		return r.setObject(d, name+":"+keyword, "", v)
	}
	s, err := literalOf(v)
	if err != nil {
		return unsupported("setting %s to a %s", target(name+":"+keyword, ""), typeName(v))
	}
	r.wrote = true
	return fromVars(store.JoinObject(name, keyword, s))
}

// ReadMode says how getVar and getVarFlag read.
type ReadMode struct{ Expand, NoWeakDefault, Parsing bool }

// Value is what a variable or a flag holds.
type Value struct {
	Text   string // the text, or an object's literal
	Set    bool   // false: Python sees None
	Object bool   // Text is a literal; see [ObjectStore]
}

// Flag is one flag of a variable.
type Flag struct {
	Name string
	Value
}

// Reader is what a datastore has that knows all ways of reading.
type Reader interface {
	// Read is getVar (flag "") or getVarFlag.
	Read(name, flag string, how ReadMode) (Value, error)
	// Flags are the flags, unexpanded, in the order in which they were made; internal ones if asked for.
	Flags(name string, internal bool) []Flag
}

// FlagsSetter is what a datastore has that knows setVarFlags from several calls of setVarFlag.
type FlagsSetter interface {
	SetVarFlags(name string, flags []Flag) error
}

// setFlags is setVarFlags.
func (r *run) setFlags(d *data, name string, flags *starlark.Dict) error {
	setter, ok := d.vars.(FlagsSetter)
	var all []Flag
	for _, item := range flags.Items() {
		flag, err := args{fn: "setVarFlags"}.names(item[0])
		if err != nil {
			return err
		}
		if !ok {
			if err := r.setVarFlag(d, name, flag[0], item[1]); err != nil {
				return err
			}
			continue
		}
		f := Flag{Name: flag[0]}
		switch v := item[1].(type) {
		case starlark.String:
			f.Text, f.Set = string(v), true
		case starlark.NoneType:
		default:
			if f.Text, err = literalOf(v); err != nil {
				return unsupported("setting the flag %s[%s] to a %s", name, flag[0], typeName(v))
			}
			f.Set, f.Object = true, true
		}
		all = append(all, f)
	}
	if !ok {
		return nil
	}
	r.wrote = true
	return fromVars(setter.SetVarFlags(name, all))
}

// Placer is what a datastore has that remembers where it was written.
type Placer interface {
	// At says where the operations that follow come from: a place in a file and the name of a Python function there, or, for
	// inline Python itself, "Var <NAME>:1 [<module>]".
	At(pos diag.Pos, function string)
}

// OriginalEnvironment is the variable that holds a datastore, see [Originator].
const OriginalEnvironment = "BB_ORIGENV"

// readVar is getVar, or getVarFlag for a flag that is not "".
func (r *run) readVar(d *data, name, flag string, how ReadMode) (starlark.Value, error) {
	if o, ok := d.vars.(Originator); ok && name == OriginalEnvironment && flag == "" {
		if env := o.OriginalEnvironment(); env != nil {
			return &data{vars: env}, nil
		}
	}
	reader, ok := d.vars.(Reader)
	switch {
	case ok:
	case how.NoWeakDefault || how.Parsing:
		return nil, unsupported("d.getVar() with noweakdefault or parsing")
	case flag == "":
		return optionalText(d.vars.Var(name, how.Expand))
	default:
		return optionalText(d.vars.VarFlag(name, flag, how.Expand))
	}
	v, err := reader.Read(name, flag, how)
	if err != nil {
		return nil, fromVars(err)
	}
	return r.object(d, name, flag, v)
}

// object is a value that was read, as a copy of its own: changing it changes what is stored only further down.
func (r *run) object(d *data, name, flag string, v Value) (starlark.Value, error) {
	switch {
	case !v.Set:
		return none()
	case !v.Object:
		return text(v.Text), nil
	}
	stored, err := parseLiteral(v.Text)
	if err != nil {
		return nil, err
	}
	out, deep, err := shallowCopy(stored)
	if deep {
		r.hold(d, name, flag, stored, v.Text)
	}
	return out, err
}

// shallowCopy is copy.copy(v); deep says whether parts of it can be changed.
func shallowCopy(v starlark.Value) (c starlark.Value, deep bool, err error) {
	switch v := v.(type) {
	case *starlark.List:
		items := elems(v)
		return list(slices.Clone(items)), slices.ContainsFunc(items, mutable), nil
	case starlark.Tuple:
		return v, slices.ContainsFunc(v, mutable), nil
	case *starlark.Set:
		c, err := makeSet(setElems(v))
		return c, false, err
	case *starlark.Dict:
		c := starlark.NewDict(v.Len())
		for _, item := range v.Items() {
			if err := setKey(c, item[0], item[1]); err != nil {
				return nil, false, err
			}
			deep = deep || mutable(item[1])
		}
		return c, deep, nil
	}
	return v, false, nil
}

func mutable(v starlark.Value) bool {
	switch v := v.(type) {
	case *starlark.List, *starlark.Dict, *starlark.Set:
		return true
	case starlark.Tuple:
		return slices.ContainsFunc(v, mutable)
	}
	return false
}

// held is an object that the code and the datastore both have: what the code does to it shows in the variable.
type held struct {
	d          *data
	name, flag string
	value      starlark.Value
	literal    string // what the datastore holds
}

// hold remembers an object.
func (r *run) hold(d *data, name, flag string, v starlark.Value, literal string) {
	r.held = slices.DeleteFunc(r.held, func(h held) bool { return h.d.vars == d.vars && h.name == name && h.flag == flag })
	r.held = append(r.held, held{d, name, flag, v, literal})
}

// settle writes to the datastore what the code has done to objects that it shares with it.
func (r *run) settle() error {
	kept := r.held[:0]
	for _, h := range r.held {
		store := h.d.vars.(ObjectStore)
		if old, ok := store.Object(h.name, h.flag); !ok || old != h.literal {
			continue // another value by now
		}
		now, err := literalOf(h.value)
		if err != nil {
			return err
		}
		if now != h.literal {
			refresh := func() error { return store.SetObject(h.name, h.flag, now) }
			if f, ok := store.(ObjectRefresher); ok {
				refresh = func() error { return f.RefreshObject(h.name, h.flag, h.literal, now) }
			}
			if err := refresh(); err != nil {
				return fromVars(err)
			}
			h.literal = now
		}
		kept = append(kept, h)
	}
	clear(r.held[len(kept):])
	r.held = kept
	return nil
}

// setObject stores a value that is no text.
func (r *run) setObject(d *data, name, flag string, v starlark.Value) error {
	store, ok := d.vars.(ObjectStore)
	if !ok {
		return unsupported("setting %s to a %s", target(name, flag), typeName(v))
	}
	s, err := literalOf(v)
	if err != nil {
		return unsupported("setting %s to a %s", target(name, flag), typeName(v))
	}
	r.write()
	if err := store.SetObject(name, flag, s); err != nil {
		return fromVars(err)
	}
	if mutable(v) {
		r.hold(d, name, flag, v, s)
	}
	return nil
}

func target(name, flag string) string {
	if flag == "" {
		return "the variable " + name
	}
	return "the flag " + name + "[" + flag + "]"
}

// literalOf is repr(v) of what [parseLiteral] can read. The items of a set, which Python shows in any order, are sorted.
func literalOf(v starlark.Value) (string, error) {
	var b strings.Builder
	err := writeLiteral(&b, v, 0)
	return b.String(), err
}

func writeLiteral(b *strings.Builder, v starlark.Value, depth int) error {
	if depth > maxDepth {
		return unsupported("values nested this deep in a variable")
	}
	switch v := v.(type) {
	case starlark.NoneType, starlark.Bool, starlark.Int, starlark.Float, starlark.String, starlark.Bytes:
		return writeRepr(b, v, depth)
	case *starlark.List:
		return writeItems(b, "[", elems(v), "]", depth)
	case starlark.Tuple:
		closer := ")"
		if len(v) == 1 {
			closer = ",)"
		}
		return writeItems(b, "(", v, closer, depth)
	case *starlark.Set:
		return writeSet(b, v, depth)
	case *starlark.Dict:
		b.WriteByte('{')
		for i, item := range v.Items() {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := writeLiteral(b, item[0], depth+1); err != nil {
				return err
			}
			b.WriteString(": ")
			if err := writeLiteral(b, item[1], depth+1); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return sized(b.Len(), maxText)
	}
	return unsupported("a %s in a variable", typeName(v))
}

func writeItems(b *strings.Builder, open string, vs []starlark.Value, closer string, depth int) error {
	b.WriteString(open)
	for i, v := range vs {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := writeLiteral(b, v, depth+1); err != nil {
			return err
		}
	}
	b.WriteString(closer)
	return sized(b.Len(), maxText)
}

func writeSet(b *strings.Builder, v *starlark.Set, depth int) error {
	var items []string
	for _, item := range setElems(v) {
		var one strings.Builder
		if err := writeLiteral(&one, item, depth+1); err != nil {
			return err
		}
		items = append(items, one.String())
	}
	if items == nil {
		b.WriteString("set()")
		return nil
	}
	slices.Sort(items)
	b.WriteString("{" + strings.Join(items, ", ") + "}")
	return sized(b.Len(), maxText)
}

// parseLiteral makes the value that Python's repr wrote.
func parseLiteral(s string) (starlark.Value, error) {
	if n, err := strconv.Atoi(s); err == nil && strconv.Itoa(n) == s { // flags of functions and tasks
		return number(n), nil
	}
	x, err := python.ParseExpr(s, python.Pos{Line: 1, Col: 1})
	if err != nil {
		return nil, unsupported("the value %s of a variable", clip(s))
	}
	return literalValue(x, s)
}

func literalValue(x python.Expr, source string) (starlark.Value, error) {
	switch x := x.(type) {
	case *python.Constant:
		return constantValue(x, source)
	case *python.UnaryOp:
		v, err := literalValue(x.X, source)
		if err != nil || x.Op != "-" {
			break
		}
		return unary("-", v)
	case *python.List:
		vs, err := literalValues(x.Elts, source)
		return list(vs), err
	case *python.Tuple:
		vs, err := literalValues(x.Elts, source)
		return starlark.Tuple(vs), err
	case *python.Set:
		vs, err := literalValues(x.Elts, source)
		if err != nil {
			return nil, err
		}
		return makeSet(vs)
	case *python.Dict:
		return literalDict(x, source)
	case *python.Call:
		if fn, ok := x.Fn.(*python.Name); ok && fn.ID == "set" && len(x.Args) == 0 {
			return makeSet(nil)
		}
	case *python.Name:
		switch x.ID {
		case "inf":
			return starlark.Float(math.Inf(1)), nil
		case "nan":
			return starlark.Float(math.NaN()), nil
		}
	}
	return nil, unsupported("the value %s of a variable", clip(source))
}

func constantValue(c *python.Constant, source string) (starlark.Value, error) {
	switch v := c.Value.(type) {
	case nil:
		return none()
	case bool:
		return boolean(v), nil
	case string:
		return text(v), nil
	case *big.Int:
		return starlark.MakeBigInt(v), nil
	case float64:
		return starlark.Float(v), nil
	case python.Bytes:
		return starlark.Bytes(v), nil
	}
	return nil, unsupported("the value %s of a variable", clip(source))
}

func literalValues(xs []python.Expr, source string) ([]starlark.Value, error) {
	vs := make([]starlark.Value, len(xs))
	var err error
	for i, x := range xs {
		if vs[i], err = literalValue(x, source); err != nil {
			return nil, err
		}
	}
	return vs, nil
}

func literalDict(x *python.Dict, source string) (starlark.Value, error) {
	d := starlark.NewDict(len(x.Keys))
	for i := range x.Keys {
		k, err := literalValue(x.Keys[i], source)
		if err != nil {
			return nil, err
		}
		v, err := literalValue(x.Values[i], source)
		if err != nil {
			return nil, err
		}
		if err := setKey(d, k, v); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func isObjectStore(v Vars) bool {
	_, ok := v.(ObjectStore)
	return ok
}
