// SPDX-License-Identifier: MIT

package pyeval

import (
	"strings"

	"go.starlark.net/starlark"
)

// attr is x.name.
func (r *run) attr(x starlark.Value, name string) (starlark.Value, error) {
	v, err := r.findAttr(x, name)
	if v != nil || err != nil {
		return v, err
	}
	if strings.HasPrefix(name, "__") {
		return nil, unsupported("the attribute %s of a %s", name, typeName(x))
	}
	return nil, raise(attributeError, "'%s' object has no attribute '%s'", typeName(x), name)
}

// findAttr is attr, with nil, nil for an attribute that does not exist.
func (r *run) findAttr(x starlark.Value, name string) (starlark.Value, error) {
	switch x := x.(type) {
	case starlark.String:
		if m := r.in.methods.str[name]; m != nil {
			return builtin(name, func(r *run, a args) (starlark.Value, error) { return m(r, string(x), a) }), nil
		}
		if name == "maketrans" {
			return builtin(name, strMaketrans), nil
		}
	case starlark.Bytes:
		return bytesAttr(x, name)
	case *starlark.List:
		if m := r.in.methods.list[name]; m != nil {
			return builtin(name, func(r *run, a args) (starlark.Value, error) { return m(r, x, a) }), nil
		}
	case *starlark.Dict:
		if m := r.in.methods.dict[name]; m != nil {
			return builtin(name, func(r *run, a args) (starlark.Value, error) { return m(r, x, a) }), nil
		}
		if name == "fromkeys" {
			return nil, unsupported("dict.fromkeys()")
		}
	case *starlark.Set:
		if m := r.in.methods.set[name]; m != nil {
			return builtin(name, func(r *run, a args) (starlark.Value, error) { return m(r, x, a) }), nil
		}
	case starlark.Tuple:
		return r.tupleAttr(x, name)
	case *data:
		return x.attr(r, name)
	case *module:
		return r.moduleAttr(x, name)
	case *namespace:
		if v := x.attrs[name]; v != nil {
			return v, nil
		}
		return nil, unsupported("the attribute %s of a %s", name, x.kind)
	case *exc:
		return x.attr(r, name)
	case *excClass:
		if name == "__name__" || name == "__qualname__" {
			return text(x.name), nil
		}
		return bound(classAttr(x, name), nil, x), nil
	case *pyClass:
		if name == "__name__" {
			return text(x.name), nil
		}
		if p, ok := classAttr(x, name).(*property); ok {
			return p, nil
		}
		return bound(classAttr(x, name), nil, x), nil
	case *instance:
		return x.attr(r, name)
	case *record:
		return x.attr(name)
	case *superOf:
		return x.attr(name)
	case *property:
		return x.attr(name)
	case *sourceModule:
		return x.attr(r, name)
	case *pathValue:
		return x.attr(r, name)
	case *pyType:
		return r.typeAttr(x, name)
	case *openFile:
		return x.attr(name)
	case *process:
		return x.attr(name)
	case *pattern:
		return x.attr(name)
	case *environ:
		return x.attr(name)
	case *persistTable:
		return x.attr(name)
	case *dictLike:
		return x.attr(r, name)
	case *uuidValue:
		if name == "hex" {
			return text(strings.ReplaceAll(x.id.String(), "-", "")), nil
		}
		return nil, unsupported("the attribute %s of a UUID", name)
	case *starlark.Builtin:
		if name == "__name__" {
			return text(x.Name()), nil
		}
		return nil, unsupported("the attribute %s of a function", name)
	case *starlark.Function:
		if name == "__name__" && !strings.ContainsAny(x.Name(), "$<") {
			return text(x.Name()), nil
		}
		return nil, unsupported("the attribute %s of a function", name)
	case starlark.Int, starlark.Float, starlark.Bool:
		return numberAttr(x, name)
	case *iterator, *view, *rng, *slice:
		return nil, unsupported("the attribute %s of a %s", name, typeName(x))
	}
	return nil, nil
}

// moduleAttr looks into a module; a name that this package lacks is refused, not missing. The
// embedding program's functions come first.
func (r *run) moduleAttr(m *module, name string) (starlark.Value, error) {
	full := m.name + "." + name
	if fn := r.in.opts.Funcs[full]; fn != nil {
		return builtin(name, func(r *run, a args) (starlark.Value, error) { return r.callFunc(fn, a) }), nil
	}
	if v := m.attrs[name]; v != nil {
		return v, nil
	}
	switch {
	case name == "__name__":
		return text(m.name), nil
	case full == "sys.path", full == "bb.fetch2.methods", full == "bb.fetch.methods":
		return starlark.NewList(nil), nil // class code adds to these; what can be imported and fetched is decided elsewhere
	}
	return nil, unsupported("%s", full)
}

// typeAttr gives methods of a class without their object, e.g. str.lower.
func (r *run) typeAttr(t *pyType, name string) (starlark.Value, error) {
	switch {
	case name == "__name__" || name == "__qualname__":
		return text(t.name), nil
	case t.name == "str" && name == "maketrans":
		return builtin(name, strMaketrans), nil
	case (t.name == "dict" || t.name == "OrderedDict") && name == "fromkeys":
		return builtin(name, dictFromkeys), nil
	}
	known := false
	switch t.name {
	case "str":
		known = r.in.methods.str[name] != nil
	case "list":
		known = r.in.methods.list[name] != nil
	case "dict":
		known = r.in.methods.dict[name] != nil
	case "set":
		known = r.in.methods.set[name] != nil
	}
	if !known {
		return nil, unsupported("the attribute %s of the class %s", name, t.name)
	}
	return builtin(name, func(r *run, a args) (starlark.Value, error) {
		if len(a.pos) == 0 || !t.has(a.pos[0]) {
			return nil, raise(typeError, "descriptor '%s' for '%s' objects doesn't apply", name, t.name)
		}
		method, err := r.attr(a.pos[0], name)
		if err != nil {
			return nil, err
		}
		return starlark.Call(r.thread, method, a.pos[1:], a.kw)
	}), nil
}

func (x *exc) attr(r *run, name string) (starlark.Value, error) {
	if v := x.attrs[name]; v != nil {
		return v, nil
	}
	switch {
	case name == "args":
		return x.args, nil
	case name == "__class__":
		return x.class, nil
	case classAttr(x.class, name) != nil:
		if p, ok := classAttr(x.class, name).(*property); ok {
			return p.read(r, x)
		}
		return bound(classAttr(x.class, name), x, x.class), nil
	case strings.HasPrefix(name, "__") || x.cause != nil || x.class.is(osError) || x.class.is(subprocessError) || x.class.is(cmdError):
		return nil, unsupported("the attribute %s of a %s", name, x.class.name)
	}
	return nil, nil
}

func numberAttr(x starlark.Value, name string) (starlark.Value, error) {
	i, isInt := asInt(x)
	switch {
	case name == "bit_length" && isInt:
		return builtin(name, func(_ *run, a args) (starlark.Value, error) { return number(i.BigInt().BitLen()), a.exactly(0) }), nil
	case name == "is_integer" && !isInt:
		f := float64(x.(starlark.Float))
		return builtin(name, func(_ *run, a args) (starlark.Value, error) { return boolean(f == float64(int64(f))), a.exactly(0) }), nil
	}
	switch name {
	case "real", "imag", "numerator", "denominator", "conjugate", "to_bytes", "from_bytes", "bit_count", "as_integer_ratio", "hex", "fromhex":
		return nil, unsupported("the attribute %s of a %s", name, typeName(x))
	}
	return nil, nil
}

func bytesAttr(b starlark.Bytes, name string) (starlark.Value, error) {
	switch name {
	case "decode":
		return builtin(name, func(_ *run, a args) (starlark.Value, error) {
			v, err := a.bind("encoding?", "errors?")
			if err != nil {
				return nil, err
			}
			return decode(string(b), v[0], v[1])
		}), nil
	case "hex":
		return builtin(name, func(_ *run, a args) (starlark.Value, error) {
			if err := a.exactly(0); err != nil {
				return nil, unsupported("bytes.hex() with arguments")
			}
			return text(hexText(string(b))), nil
		}), nil
	}
	return nil, unsupported("the attribute %s of bytes", name)
}

func (r *run) tupleAttr(t starlark.Tuple, name string) (starlark.Value, error) {
	switch name {
	case "count", "index":
		m := r.in.methods.list[name]
		return builtin(name, func(r *run, a args) (starlark.Value, error) { return m(r, starlark.NewList(t), a) }), nil
	}
	return nil, nil
}

// callFunc calls a function of the embedding program.
func (r *run) callFunc(fn Func, a args) (starlark.Value, error) {
	pos := make([]any, len(a.pos))
	for i, v := range a.pos {
		var err error
		if pos[i], err = export(v, 0); err != nil {
			return nil, err
		}
	}
	kw := map[string]any{}
	for _, kv := range a.kw {
		v, err := export(kv[1], 0)
		if err != nil {
			return nil, err
		}
		kw[word(kv[0])] = v
	}
	r.write() // it may have changed variables
	out, err := fn(r.ctx, r.site, pos, kw)
	if err != nil {
		return nil, fromVars(err)
	}
	return imported(out)
}

// export makes a value one of Go's plain types.
func export(v starlark.Value, depth int) (any, error) {
	if depth > maxDepth {
		return nil, unsupported("a value nested this deep as an argument")
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.String:
		return string(v), nil
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			return n, nil
		}
	case *data:
		return v.vars, nil
	case *starlark.List:
		return exportAll(elems(v), depth)
	case starlark.Tuple:
		return exportAll(v, depth)
	case *starlark.Dict:
		out := map[string]any{}
		for _, item := range v.Items() {
			key, ok := item[0].(starlark.String)
			if !ok {
				return nil, unsupported("a dict with keys that are not str as an argument")
			}
			one, err := export(item[1], depth+1)
			if err != nil {
				return nil, err
			}
			out[string(key)] = one
		}
		return out, nil
	}
	return nil, unsupported("a %s as an argument", typeName(v))
}

func exportAll(vs []starlark.Value, depth int) (any, error) {
	out := make([]any, len(vs))
	for i, v := range vs {
		var err error
		if out[i], err = export(v, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// imported makes a value of what the embedding program gave.
func imported(v any) (starlark.Value, error) {
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return boolean(v), nil
	case int:
		return number(v), nil
	case int64:
		return starlark.MakeInt64(v), nil
	case string:
		return text(v), nil
	case []string:
		return texts(v), nil
	case []byte:
		return starlark.Bytes(v), nil
	case []any:
		out := make([]starlark.Value, len(v))
		for i, one := range v {
			var err error
			if out[i], err = imported(one); err != nil {
				return nil, err
			}
		}
		return list(out), nil
	case map[string]any:
		out := starlark.NewDict(len(v))
		for _, k := range sortedKeys(v) {
			one, err := imported(v[k])
			if err != nil {
				return nil, err
			}
			if err := out.SetKey(text(k), one); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, unsupported("a Go value of type %T", v)
}
