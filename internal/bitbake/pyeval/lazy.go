// SPDX-License-Identifier: MIT

package pyeval

import (
	"go.starlark.net/starlark"
)

// The builtin functions that make iterators.

func biEnumerate(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("iterable", "start?")
	if err != nil {
		return nil, err
	}
	next, err := r.iterate(v[0])
	if err != nil {
		return nil, err
	}
	n, err := a.wantInt(v[1], 0)
	if err != nil {
		return nil, err
	}
	return &iterator{kind: "enumerate", next: func() (starlark.Value, bool, error) {
		item, ok, err := next()
		if !ok || err != nil {
			return nil, false, err
		}
		n++
		return starlark.Tuple{number(n - 1), item}, true, nil
	}}, nil
}

func biFilter(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	next, err := r.iterate(a.pos[1])
	if err != nil {
		return nil, err
	}
	return &iterator{kind: "filter", next: func() (starlark.Value, bool, error) {
		for {
			item, ok, err := next()
			if !ok || err != nil {
				return nil, false, err
			}
			keep := item
			if a.pos[0] != starlark.None {
				if keep, err = r.call(a.pos[0], item); err != nil {
					return nil, false, err
				}
			}
			if keep.Truth() {
				return item, true, nil
			}
		}
	}}, nil
}

// several starts an iteration over each value.
func (r *run) several(vs []starlark.Value) ([]nextFunc, error) {
	out := make([]nextFunc, len(vs))
	for i, v := range vs {
		var err error
		if out[i], err = r.iterate(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// together takes one item of each; ok is false as soon as one has ended.
func together(nexts []nextFunc) (starlark.Tuple, bool, error) {
	out := make(starlark.Tuple, len(nexts))
	for i, next := range nexts {
		v, ok, err := next()
		if !ok || err != nil {
			return nil, false, err
		}
		out[i] = v
	}
	return out, len(nexts) > 0, nil
}

func biMap(r *run, a args) (starlark.Value, error) {
	if len(a.kw) > 0 || len(a.pos) < 2 {
		return nil, raise(typeError, "map() must have at least two arguments.")
	}
	nexts, err := r.several(a.pos[1:])
	if err != nil {
		return nil, err
	}
	return &iterator{kind: "map", next: func() (starlark.Value, bool, error) {
		items, ok, err := together(nexts)
		if !ok || err != nil {
			return nil, false, err
		}
		v, err := r.call(a.pos[0], items...)
		return v, err == nil, err
	}}, nil
}

func biZip(r *run, a args) (starlark.Value, error) {
	if len(a.kw) > 0 {
		return nil, unsupported("zip() with keyword arguments")
	}
	nexts, err := r.several(a.pos)
	if err != nil {
		return nil, err
	}
	return &iterator{kind: "zip", next: func() (starlark.Value, bool, error) {
		items, ok, err := together(nexts)
		return items, ok, err
	}}, nil
}

func biReversed(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	switch a.pos[0].(type) {
	case *starlark.List, starlark.Tuple, starlark.String, *rng, *starlark.Dict, *view:
	default:
		return nil, raise(typeError, "'%s' object is not reversible", typeName(a.pos[0]))
	}
	items, err := r.collect(a.pos[0])
	if err != nil {
		return nil, err
	}
	n := len(items)
	return &iterator{kind: "list_reverseiterator", next: overSlice(n, func(i int) starlark.Value { return items[n-1-i] })}, nil
}

func biIter(r *run, a args) (starlark.Value, error) {
	if len(a.pos) != 1 {
		return nil, unsupported("iter() with a sentinel")
	}
	if it, ok := a.pos[0].(*iterator); ok {
		return it, nil
	}
	next, err := r.iterate(a.pos[0])
	if err != nil {
		return nil, err
	}
	return &iterator{kind: typeName(a.pos[0]) + "_iterator", next: next}, nil
}

func biNext(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("iterator", "default?", "/")
	if err != nil {
		return nil, err
	}
	it, ok := v[0].(*iterator)
	if !ok {
		return nil, raise(typeError, "'%s' object is not an iterator", typeName(v[0]))
	}
	item, ok, err := it.next()
	switch {
	case err != nil:
		return nil, err
	case ok:
		return item, nil
	case v[1] != nil:
		return v[1], nil
	}
	return nil, &raised{&exc{class: stopIteration}}
}
