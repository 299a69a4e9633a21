// SPDX-License-Identifier: MIT

package pyeval

import (
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// ascii reports whether bytes and characters are the same in s.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// characters counts the characters of s.
func characters(s string) int {
	if ascii(s) {
		return len(s)
	}
	return utf8.RuneCountInString(s)
}

// index is x[i].
func (r *run) index(x, i starlark.Value) (starlark.Value, error) {
	if s, ok := i.(*slice); ok {
		return r.slice(x, s)
	}
	switch x := x.(type) {
	case *starlark.Dict:
		v, found, err := getKey(x, i)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, &raised{&exc{class: keyError, args: starlark.Tuple{i}}}
		}
		return v, nil
	case *data:
		return x.item(r, i)
	case *record:
		return r.index(x.values, i)
	case *dictLike:
		return x.item(r, i)
	case *environ:
		return x.item(r, i)
	case *persistTable:
		return x.item(r, i)
	case *namespace:
		if group := x.attrs["group"]; group != nil && x.kind == "re.Match" {
			return starlark.Call(r.thread, group, starlark.Tuple{i}, nil)
		}
	case starlark.String:
		if !ascii(string(x)) {
			return indexRunes([]rune(string(x)), i)
		}
		n, err := position(i, len(x), "string")
		if err != nil {
			return nil, err
		}
		return x[n : n+1], nil
	case starlark.Bytes:
		n, err := position(i, len(x), "index")
		if err != nil {
			return nil, err
		}
		return number(int(x[n])), nil
	case *starlark.List:
		n, err := position(i, x.Len(), "list")
		if err != nil {
			return nil, err
		}
		return x.Index(n), nil
	case starlark.Tuple:
		n, err := position(i, len(x), "tuple")
		if err != nil {
			return nil, err
		}
		return x[n], nil
	case *rng:
		n, err := position(i, int(x.len()), "range object")
		if err != nil {
			return nil, err
		}
		return starlark.MakeInt64(x.start + int64(n)*x.step), nil
	}
	return nil, raise(typeError, "'%s' object is not subscriptable", typeName(x))
}

func indexRunes(rs []rune, i starlark.Value) (starlark.Value, error) {
	n, err := position(i, len(rs), "string")
	if err != nil {
		return nil, err
	}
	return text(string(rs[n])), nil
}

// position makes an index, possibly counted from the end, an offset into n items.
func position(i starlark.Value, n int, what string) (int, error) {
	x, ok := asInt(i)
	if !ok {
		return 0, raise(typeError, "%s indices must be integers, not %s", what, typeName(i))
	}
	at, ok := x.Int64()
	if at < 0 {
		at += int64(n)
	}
	if !ok || at < 0 || at >= int64(n) {
		return 0, raise(indexError, "%s index out of range", what)
	}
	return int(at), nil
}

// bounds resolves a slice of n items to start, number of items and step.
func (s *slice) bounds(n int) (start, count, step int, err error) {
	step = 1
	if s.step != starlark.None {
		if step, err = sliceInt(s.step); err != nil {
			return
		}
		if step == 0 {
			err = raise(valueError, "slice step cannot be zero")
			return
		}
	}
	low, high := 0, n
	if step < 0 {
		low, high = -1, n-1
	}
	clamp := func(v starlark.Value, def int) (int, error) {
		if v == starlark.None {
			return def, nil
		}
		i, err := sliceInt(v)
		if i < 0 {
			i = max(i+n, low)
		}
		return min(i, high), err
	}
	first, last := low, high
	if step < 0 {
		first, last = high, low
	}
	if start, err = clamp(s.lo, first); err != nil {
		return
	}
	stop, err := clamp(s.hi, last)
	if err != nil {
		return 0, 0, 0, err
	}
	switch {
	case step > 0 && stop > start:
		count = (stop-start-1)/step + 1
	case step < 0 && stop < start:
		count = (start-stop-1)/(-step) + 1
	}
	return start, count, step, nil
}

// sliceInt is one bound; huge ones are cut to what no sequence reaches.
func sliceInt(v starlark.Value) (int, error) {
	i, ok := asInt(v)
	if !ok {
		return 0, raise(typeError, "slice indices must be integers or None or have an __index__ method")
	}
	const huge = 1 << 40
	n, ok := i.Int64()
	switch {
	case !ok && i.Sign() < 0:
		return -huge, nil
	case !ok:
		return huge, nil
	}
	return int(max(min(n, huge), -huge)), nil
}

func (r *run) slice(x starlark.Value, s *slice) (starlark.Value, error) {
	pick := func(n int, take func(i int)) error {
		start, count, step, err := s.bounds(n)
		for i := range count {
			take(start + i*step)
		}
		return err
	}
	switch x := x.(type) {
	case starlark.String:
		if !ascii(string(x)) {
			rs := []rune(string(x))
			var out []rune
			err := pick(len(rs), func(i int) { out = append(out, rs[i]) })
			return text(string(out)), err
		}
		var out []byte
		err := pick(len(x), func(i int) { out = append(out, x[i]) })
		return text(string(out)), err
	case starlark.Bytes:
		var out []byte
		err := pick(len(x), func(i int) { out = append(out, x[i]) })
		return starlark.Bytes(out), err
	case *starlark.List:
		var out []starlark.Value
		err := pick(x.Len(), func(i int) { out = append(out, x.Index(i)) })
		return list(out), err
	case starlark.Tuple:
		out := starlark.Tuple{}
		err := pick(len(x), func(i int) { out = append(out, x[i]) })
		return out, err
	case *rng:
		return nil, unsupported("a slice of a range")
	case *starlark.Dict:
		return nil, unsupported("a slice as a key")
	}
	return nil, raise(typeError, "'%s' object is not subscriptable", typeName(x))
}

// setItem is x[i] = v.
func (r *run) setItem(x, i, v starlark.Value) error {
	switch x := x.(type) {
	case *starlark.Dict:
		if _, ok := i.(*slice); ok {
			return raise(typeError, "unhashable type: 'slice'")
		}
		return setKey(x, i, v)
	case *starlark.List:
		if s, ok := i.(*slice); ok {
			return r.setSlice(x, s, v)
		}
		n, err := position(i, x.Len(), "list assignment")
		if err != nil {
			return err
		}
		return frozen(x.SetIndex(n, v))
	case *data:
		name, err := args{fn: "d[...]"}.wantStr(i)
		if err != nil {
			return err
		}
		return r.setVar(x, name, v)
	case *dictLike:
		return setKey(x.dict, i, v)
	case *environ:
		return x.set(r, i, v)
	case *persistTable:
		return x.set(r, i, v)
	case *contextTable:
		return x.set(r, i, v)
	}
	return raise(typeError, "'%s' object does not support item assignment", typeName(x))
}

// replaceAll makes vs the content of the list.
func replaceAll(l *starlark.List, vs []starlark.Value) error {
	if err := sized(len(vs), maxList); err != nil {
		return err
	}
	if err := l.Clear(); err != nil {
		return frozen(err)
	}
	for _, v := range vs {
		if err := l.Append(v); err != nil {
			return frozen(err)
		}
	}
	return nil
}

func (r *run) setSlice(l *starlark.List, s *slice, v starlark.Value) error {
	vs, err := r.collect(v)
	if err != nil {
		return err
	}
	start, count, step, err := s.bounds(l.Len())
	if err != nil {
		return err
	}
	old := elems(l)
	if step != 1 {
		if len(vs) != count {
			return raise(valueError, "attempt to assign sequence of size %d to extended slice of size %d", len(vs), count)
		}
		for i, v := range vs {
			old[start+i*step] = v
		}
		return replaceAll(l, old)
	}
	return replaceAll(l, append(append(old[:start:start], vs...), old[start+count:]...))
}

// deleteItem is del x[i].
func (r *run) deleteItem(x, i starlark.Value) error {
	switch x := x.(type) {
	case *starlark.Dict:
		_, found, err := deleteKey(x, i)
		if err == nil && !found {
			err = &raised{&exc{class: keyError, args: starlark.Tuple{i}}}
		}
		return err
	case *starlark.List:
		old := elems(x)
		if s, ok := i.(*slice); ok {
			start, count, step, err := s.bounds(len(old))
			if err != nil {
				return err
			}
			gone := map[int]bool{}
			for k := range count {
				gone[start+k*step] = true
			}
			var kept []starlark.Value
			for k, v := range old {
				if !gone[k] {
					kept = append(kept, v)
				}
			}
			return replaceAll(x, kept)
		}
		n, err := position(i, len(old), "list assignment")
		if err != nil {
			return err
		}
		return replaceAll(x, append(old[:n:n], old[n+1:]...))
	case *data:
		name, err := args{fn: "del d[...]"}.wantStr(i)
		if err != nil {
			return err
		}
		r.write()
		return fromVars(x.vars.DelVar(name))
	case *dictLike:
		return r.deleteItem(x.dict, i)
	case *environ:
		return unsupported("taking a variable out of os.environ")
	}
	return raise(typeError, "'%s' object doesn't support item deletion", typeName(x))
}
