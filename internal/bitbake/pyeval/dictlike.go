// SPDX-License-Identifier: MIT

package pyeval

import (
	"go.starlark.net/starlark"
)

// dictLike is a collections.OrderedDict, Counter or defaultdict; the latter two have an answer for keys that they lack.
type dictLike struct {
	opaque
	kind    string
	dict    *starlark.Dict
	factory starlark.Value // of a defaultdict; nil for a Counter
}

func (*dictLike) String() string         { return "<dict>" }
func (d *dictLike) Type() string         { return d.kind }
func (d *dictLike) Truth() starlark.Bool { return d.dict.Len() > 0 }

func newCounter(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("iterable?", "/")
	if err != nil {
		return nil, unsupported("collections.Counter() with keyword arguments")
	}
	c := &dictLike{kind: "Counter", dict: starlark.NewDict(0)}
	if v[0] == nil {
		return c, nil
	}
	if _, isDict := v[0].(*starlark.Dict); isDict {
		return nil, unsupported("collections.Counter() of a dict")
	}
	items, err := r.collect(v[0])
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		n, err := c.item(r, item)
		if err != nil {
			return nil, err
		}
		i, _ := asInt(n)
		if err := setKey(c.dict, item, i.Add(starlark.MakeInt(1))); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func newDefaultdict(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("factory", "/")
	if err != nil || v[0] == starlark.None {
		return nil, unsupported("collections.defaultdict() with these arguments")
	}
	return &dictLike{kind: "defaultdict", dict: starlark.NewDict(0), factory: v[0]}, nil
}

// item is d[key]: a Counter counts 0 for a missing key, a defaultdict makes and keeps a value.
func (d *dictLike) item(r *run, key starlark.Value) (starlark.Value, error) {
	v, found, err := getKey(d.dict, key)
	switch {
	case err != nil || found:
		return v, err
	case d.kind == "OrderedDict":
		return nil, &raised{&exc{class: keyError, args: starlark.Tuple{key}}}
	case d.factory == nil:
		return number(0), nil
	}
	if v, err = r.call(d.factory); err != nil {
		return nil, err
	}
	return v, setKey(d.dict, key, v)
}

// attr gives the methods that do the same for a dict.
func (d *dictLike) attr(r *run, name string) (starlark.Value, error) {
	switch name {
	case "items", "keys", "values", "get", "pop", "setdefault", "clear":
		return r.findAttr(d.dict, name)
	}
	return nil, unsupported("the method %s of a %s", name, d.kind)
}
