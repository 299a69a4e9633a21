// SPDX-License-Identifier: MIT

package pyeval

import (
	"sort"

	"go.starlark.net/starlark"
)

func biSum(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("iterable", "start?")
	if err != nil {
		return nil, err
	}
	total := v[1]
	if total == nil {
		total = number(0)
	}
	if _, isText := total.(starlark.String); isText {
		return nil, raise(typeError, "sum() can't sum strings [use ''.join(seq) instead]")
	}
	items, err := r.collectFor(v[0], nil)
	if err != nil {
		return nil, err
	}
	floats := 0
	for _, item := range items {
		if _, ok := item.(starlark.Float); ok {
			floats++
		}
		if total, err = r.binary("+", total, item); err != nil {
			return nil, err
		}
	}
	if floats > 1 {
		return nil, unsupported("sum() of floats") // Python 3.12 compensates rounding errors
	}
	return total, nil
}

// biExtreme makes max and min.
func biExtreme(op string) impl {
	return func(r *run, a args) (starlark.Value, error) {
		var key, def starlark.Value
		for _, kv := range a.kw {
			switch word(kv[0]) {
			case "key":
				key = kv[1]
			case "default":
				def = kv[1]
			default:
				return nil, raise(typeError, "%s() got an unexpected keyword argument '%s'", a.fn, word(kv[0]))
			}
		}
		items := []starlark.Value(a.pos)
		var err error
		switch len(a.pos) {
		case 0:
			return nil, raise(typeError, "%s expected at least 1 argument, got 0", a.fn)
		case 1:
			if items, err = r.collectFor(a.pos[0], key); err != nil {
				return nil, err
			}
		}
		if len(items) == 0 {
			if def != nil {
				return def, nil
			}
			return nil, raise(valueError, "%s() arg is an empty sequence", a.fn)
		}
		return r.extreme(op, items, key)
	}
}

func (r *run) extreme(op string, items []starlark.Value, key starlark.Value) (starlark.Value, error) {
	keys, err := r.keys(items, key)
	if err != nil {
		return nil, err
	}
	best := 0
	for i := 1; i < len(items); i++ {
		better, err := r.order(op, keys[i], keys[best], 0)
		if err != nil {
			return nil, err
		}
		if better {
			best = i
		}
	}
	return items[best], nil
}

// keys applies a key function.
func (r *run) keys(items []starlark.Value, key starlark.Value) ([]starlark.Value, error) {
	if isNone(key) {
		return items, nil
	}
	out := make([]starlark.Value, len(items))
	for i, v := range items {
		var err error
		if out[i], err = r.call(key, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func biSorted(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("iterable", "/", "*", "key?", "reverse?")
	if err != nil {
		return nil, err
	}
	items, err := r.collectFor(v[0], v[1])
	if err != nil {
		return nil, err
	}
	out, err := r.sort(items, v[1], v[2])
	return list(out), err
}

// collectFor is collect for a consumer to whom the order of a set is the same, unless it looks at
// a key, by which different items can be equal.
func (r *run) collectFor(v, key starlark.Value) ([]starlark.Value, error) {
	if s, ok := v.(*starlark.Set); ok && isNone(key) {
		return setElems(s), nil
	}
	return r.collect(v)
}

// sort sorts stably, as list.sort does.
func (r *run) sort(items []starlark.Value, key, reverse starlark.Value) ([]starlark.Value, error) {
	keys, err := r.keys(items, key)
	if err != nil {
		return nil, err
	}
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	var failed error
	down := reverse != nil && bool(reverse.Truth())
	sort.SliceStable(order, func(i, j int) bool {
		x, y := keys[order[i]], keys[order[j]]
		if down {
			x, y = y, x
		}
		if failed == nil {
			failed = r.tick(1)
		}
		if failed != nil {
			return false
		}
		less, err := r.order("<", x, y, 0)
		if err != nil {
			failed = err
		}
		return less
	})
	out := make([]starlark.Value, len(items))
	for i, at := range order {
		out[i] = items[at]
	}
	return out, failed
}
