// SPDX-License-Identifier: MIT

package pyeval

import (
	"maps"
	"slices"

	"go.starlark.net/starlark"
)

// methods are the methods of the built-in classes.
type methods struct {
	str  map[string]strMethod
	list map[string]listMethod
	dict map[string]dictMethod
	set  map[string]setMethod
}

type (
	listMethod = func(r *run, l *starlark.List, a args) (starlark.Value, error)
	dictMethod = func(r *run, d *starlark.Dict, a args) (starlark.Value, error)
	setMethod  = func(r *run, s *starlark.Set, a args) (starlark.Value, error)
)

func makeMethods() methods {
	return methods{
		str: strMethods(),
		list: map[string]listMethod{
			"append": listAppend, "extend": listExtend, "insert": listInsert, "remove": listRemove, "pop": listPop, "clear": listClear,
			"index": listIndex, "count": listCount, "sort": listSort, "reverse": listReverse,
			"copy": func(_ *run, l *starlark.List, a args) (starlark.Value, error) { return list(elems(l)), a.exactly(0) },
		},
		dict: map[string]dictMethod{
			"get": dictGet, "setdefault": dictSetdefault, "pop": dictPop, "popitem": dictPopitem, "update": dictUpdate,
			"keys": dictView("dict_keys"), "values": dictView("dict_values"), "items": dictView("dict_items"),
			"copy": func(_ *run, d *starlark.Dict, a args) (starlark.Value, error) { return copyDict(d), a.exactly(0) },
			"clear": func(_ *run, d *starlark.Dict, a args) (starlark.Value, error) {
				return starlark.None, frozen(d.Clear())
			},
		},
		set: map[string]setMethod{
			"add": setAdd, "discard": setDiscard(false), "remove": setDiscard(true), "pop": setPop, "clear": setClear,
			"union": setCombine("|", false), "intersection": setCombine("&", false), "difference": setCombine("-", false),
			"symmetric_difference": setCombine("^", false), "update": setCombine("|", true), "intersection_update": setCombine("&", true),
			"difference_update": setCombine("-", true), "symmetric_difference_update": setCombine("^", true),
			"issubset": setRelation("<="), "issuperset": setRelation(">="), "isdisjoint": setDisjoint,
			"copy": func(_ *run, s *starlark.Set, a args) (starlark.Value, error) { return makeSet(setElems(s)) },
		},
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func listAppend(_ *run, l *starlark.List, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	return starlark.None, extend(l, a.pos)
}

func listExtend(r *run, l *starlark.List, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	items, err := r.collect(a.pos[0])
	if err != nil {
		return nil, err
	}
	return starlark.None, extend(l, items)
}

func listInsert(_ *run, l *starlark.List, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	i, err := a.wantInt(a.pos[0], 0)
	if err != nil {
		return nil, err
	}
	if i < 0 {
		i = max(i+l.Len(), 0)
	}
	return starlark.None, replaceAll(l, slices.Insert(elems(l), min(i, l.Len()), a.pos[1]))
}

// find is the position of the first item in l[from:to] that equals v, or -1.
func find(l *starlark.List, v starlark.Value, from, to int) (int, error) {
	for i := from; i < to && i < l.Len(); i++ {
		if eq, err := equal(l.Index(i), v, 0); eq || err != nil {
			return i, err
		}
	}
	return -1, nil
}

func listRemove(_ *run, l *starlark.List, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	i, err := find(l, a.pos[0], 0, l.Len())
	if err != nil {
		return nil, err
	}
	if i < 0 {
		return nil, raise(valueError, "list.remove(x): x not in list")
	}
	return starlark.None, replaceAll(l, slices.Delete(elems(l), i, i+1))
}

func listPop(_ *run, l *starlark.List, a args) (starlark.Value, error) {
	v, err := a.bind("index?", "/")
	if err != nil {
		return nil, err
	}
	if l.Len() == 0 {
		return nil, raise(indexError, "pop from empty list")
	}
	i, err := a.wantInt(v[0], -1)
	if err != nil {
		return nil, err
	}
	if i < 0 {
		i += l.Len()
	}
	if i < 0 || i >= l.Len() {
		return nil, raise(indexError, "pop index out of range")
	}
	item := l.Index(i)
	return item, replaceAll(l, slices.Delete(elems(l), i, i+1))
}

func listClear(_ *run, l *starlark.List, a args) (starlark.Value, error) {
	return starlark.None, replaceAll(l, nil)
}

func listIndex(_ *run, l *starlark.List, a args) (starlark.Value, error) {
	v, err := a.bind("value", "start?", "stop?", "/")
	if err != nil {
		return nil, err
	}
	w := &slice{lo: starlark.None, hi: starlark.None, step: starlark.None}
	if v[1] != nil {
		w.lo = v[1]
	}
	if v[2] != nil {
		w.hi = v[2]
	}
	from, count, _, err := w.bounds(l.Len())
	if err != nil {
		return nil, err
	}
	i, err := find(l, v[0], from, from+count)
	if err == nil && i < 0 {
		shown, _ := repr(v[0])
		err = raise(valueError, "%s is not in list", shown)
	}
	return number(i), err
}

func listCount(_ *run, l *starlark.List, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	n := 0
	for _, v := range elems(l) {
		eq, err := equal(v, a.pos[0], 0)
		if err != nil {
			return nil, err
		}
		if eq {
			n++
		}
	}
	return number(n), nil
}

func listSort(r *run, l *starlark.List, a args) (starlark.Value, error) {
	v, err := a.bind("*", "key?", "reverse?")
	if err != nil {
		return nil, err
	}
	out, err := r.sort(elems(l), v[0], v[1])
	if err != nil {
		return nil, err
	}
	return starlark.None, replaceAll(l, out)
}

func listReverse(_ *run, l *starlark.List, a args) (starlark.Value, error) {
	vs := elems(l)
	slices.Reverse(vs)
	return starlark.None, replaceAll(l, vs)
}

func copyDict(d *starlark.Dict) *starlark.Dict {
	out := starlark.NewDict(d.Len())
	for _, item := range d.Items() {
		_ = out.SetKey(item[0], item[1]) // the keys come from a dict
	}
	return out
}

func dictGet(_ *run, d *starlark.Dict, a args) (starlark.Value, error) {
	v, err := a.bind("key", "default?", "/")
	if err != nil {
		return nil, err
	}
	out, found, err := getKey(d, v[0])
	switch {
	case err != nil || found:
		return out, err
	case v[1] != nil:
		return v[1], nil
	}
	return none()
}

func dictSetdefault(_ *run, d *starlark.Dict, a args) (starlark.Value, error) {
	v, err := a.bind("key", "default?", "/")
	if err != nil {
		return nil, err
	}
	out, found, err := getKey(d, v[0])
	if err != nil || found {
		return out, err
	}
	if v[1] == nil {
		v[1] = starlark.None
	}
	return v[1], setKey(d, v[0], v[1])
}

func dictPop(_ *run, d *starlark.Dict, a args) (starlark.Value, error) {
	v, err := a.bind("key", "default?", "/")
	if err != nil {
		return nil, err
	}
	out, found, err := deleteKey(d, v[0])
	switch {
	case err != nil || found:
		return out, err
	case v[1] != nil:
		return v[1], nil
	}
	return nil, &raised{&exc{class: keyError, args: starlark.Tuple{v[0]}}}
}

func dictPopitem(_ *run, d *starlark.Dict, a args) (starlark.Value, error) {
	items := d.Items()
	if len(items) == 0 {
		return nil, raise(keyError, "popitem(): dictionary is empty")
	}
	last := items[len(items)-1]
	_, _, err := deleteKey(d, last[0])
	return last, err
}

func dictUpdate(r *run, d *starlark.Dict, a args) (starlark.Value, error) {
	if len(a.pos) > 1 {
		return nil, raise(typeError, "update expected at most 1 argument, got %d", len(a.pos))
	}
	for _, v := range a.pos {
		if err := r.updateDict(d, v); err != nil {
			return nil, err
		}
	}
	for _, kv := range a.kw {
		if err := setKey(d, kv[0], kv[1]); err != nil {
			return nil, err
		}
	}
	return none()
}

func dictView(kind string) dictMethod {
	return func(_ *run, d *starlark.Dict, a args) (starlark.Value, error) {
		return &view{dict: d, kind: kind}, a.exactly(0)
	}
}

// dictFromkeys is dict.fromkeys, metadata's way to drop duplicates in order.
func dictFromkeys(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("iterable", "value?", "/")
	if err != nil {
		return nil, err
	}
	items, err := r.collect(v[0])
	if err != nil {
		return nil, err
	}
	if v[1] == nil {
		v[1] = starlark.None
	}
	out := starlark.NewDict(len(items))
	for _, item := range items {
		if err := setKey(out, item, v[1]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func setAdd(_ *run, s *starlark.Set, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	return starlark.None, addItem(s, a.pos[0])
}

func setDiscard(must bool) setMethod {
	return func(_ *run, s *starlark.Set, a args) (starlark.Value, error) {
		if err := a.exactly(1); err != nil {
			return nil, err
		}
		if err := checkKey(a.pos[0]); err != nil {
			return nil, err
		}
		found, err := s.Delete(setCanonical(s, a.pos[0]))
		if err != nil {
			return nil, frozen(err)
		}
		if must && !found {
			return nil, &raised{&exc{class: keyError, args: starlark.Tuple{a.pos[0]}}}
		}
		return none()
	}
}

func setPop(_ *run, s *starlark.Set, a args) (starlark.Value, error) {
	items := setElems(s)
	switch len(items) {
	case 0:
		return nil, raise(keyError, "pop from an empty set")
	case 1:
		return items[0], frozen(s.Clear())
	}
	return nil, unsupported("set.pop() of several items (which one is random)")
}

func setClear(_ *run, s *starlark.Set, a args) (starlark.Value, error) {
	return starlark.None, frozen(s.Clear())
}

// setCombine is a method with any number of iterables; in place it changes the set itself.
func setCombine(op string, inPlace bool) setMethod {
	return func(r *run, s *starlark.Set, a args) (starlark.Value, error) {
		if len(a.kw) > 0 || op == "^" && len(a.pos) != 1 {
			return nil, raise(typeError, "%s() takes other arguments", a.fn)
		}
		out, err := makeSet(setElems(s))
		if err != nil {
			return nil, err
		}
		for _, v := range a.pos {
			items, err := r.collectFor(v, nil)
			if err != nil {
				return nil, err
			}
			next, err := combine(op, setElems(out), items)
			if err != nil {
				return nil, err
			}
			out = next.(*starlark.Set)
		}
		if inPlace {
			return starlark.None, replaceSet(s, out)
		}
		return out, nil
	}
}

func setRelation(op string) setMethod {
	return func(r *run, s *starlark.Set, a args) (starlark.Value, error) {
		if err := a.exactly(1); err != nil {
			return nil, err
		}
		items, err := r.collectFor(a.pos[0], nil)
		if err != nil {
			return nil, err
		}
		other, err := makeSet(items)
		if err != nil {
			return nil, err
		}
		ok, err := orderSets(op, setElems(s), setElems(other))
		return boolean(ok), err
	}
}

func setDisjoint(r *run, s *starlark.Set, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	items, err := r.collectFor(a.pos[0], nil)
	if err != nil {
		return nil, err
	}
	for _, v := range items {
		if has, err := setHas(s, v); has || err != nil {
			return boolean(false), err
		}
	}
	return boolean(true), nil
}

// strMaketrans makes a table for str.translate.
func strMaketrans(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("x", "y?", "z?", "/")
	if err != nil {
		return nil, err
	}
	out := starlark.NewDict(0)
	if d, ok := v[0].(*starlark.Dict); ok && v[1] == nil {
		for _, item := range d.Items() {
			key := item[0]
			if s, ok := key.(starlark.String); ok {
				rs := []rune(string(s))
				if len(rs) != 1 {
					return nil, raise(valueError, "string keys in translate table must be of length 1")
				}
				key = number(int(rs[0]))
			}
			if err := setKey(out, key, item[1]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	var parts [3][]rune
	for i, x := range v {
		if x == nil {
			continue
		}
		s, err := a.wantStr(x)
		if err != nil {
			return nil, err
		}
		parts[i] = []rune(s)
	}
	if len(parts[0]) != len(parts[1]) {
		return nil, raise(valueError, "the first two maketrans arguments must have equal length")
	}
	for i, c := range parts[0] {
		if err := setKey(out, number(int(c)), number(int(parts[1][i]))); err != nil {
			return nil, err
		}
	}
	for _, c := range parts[2] {
		if err := setKey(out, number(int(c)), starlark.None); err != nil {
			return nil, err
		}
	}
	return out, nil
}
