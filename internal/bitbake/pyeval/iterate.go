// SPDX-License-Identifier: MIT

package pyeval

import (
	"slices"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// iterate starts an iteration over v, as Python's iter() does: live, without locking v.
func (r *run) iterate(v starlark.Value) (nextFunc, error) {
	switch v := v.(type) {
	case starlark.String:
		return r.ticking(runes(string(v))), nil
	case starlark.Bytes:
		return r.ticking(overSlice(len(v), func(i int) starlark.Value { return number(int(v[i])) })), nil
	case *starlark.List:
		return r.ticking(overList(v)), nil
	case starlark.Tuple:
		return r.ticking(overSlice(len(v), func(i int) starlark.Value { return v[i] })), nil
	case *starlark.Dict:
		return r.ticking(overDict(v, v.Keys())), nil
	case *view:
		return r.ticking(overDict(v.dict, v.list())), nil
	case *dictLike:
		return r.iterate(v.dict)
	case *starlark.Set:
		vs := setElems(v)
		if err := setOrder(vs); err != nil {
			return nil, err
		}
		return r.ticking(overSlice(len(vs), func(i int) starlark.Value { return vs[i] })), nil
	case *rng:
		i := int64(0)
		return r.ticking(func() (starlark.Value, bool, error) {
			if i >= v.len() {
				return nil, false, nil
			}
			i++
			return starlark.MakeInt64(v.start + (i-1)*v.step), true, nil
		}), nil
	case *record:
		return r.iterate(v.values)
	case *iterator:
		return r.ticking(v.next), nil
	case *openFile:
		return r.ticking(v.lines()), nil
	case *data:
		return r.iterate(texts(v.vars.Keys()))
	case *environ:
		return nil, unsupported("an iteration over os.environ")
	}
	return nil, raise(typeError, "'%s' object is not iterable", typeName(v))
}

// setOrder refuses to choose an order where CPython's is neither random nor known here. The order
// of strings changes with CPython's hash seed, so that no correct metadata depends on it.
func setOrder(vs []starlark.Value) error {
	if len(vs) < 2 {
		return nil
	}
	for _, v := range vs {
		switch v := v.(type) {
		case starlark.String, starlark.Bytes:
		case starlark.Tuple:
			if !hasText(v) {
				return unsupported("the order of a set of %s", typeName(v))
			}
		default:
			return unsupported("the order of a set of %s", typeName(v))
		}
	}
	return nil
}

func hasText(t starlark.Tuple) bool {
	return slices.ContainsFunc(t, func(v starlark.Value) bool {
		_, isText := v.(starlark.String)
		return isText
	})
}

// ticking counts the steps of an iteration.
func (r *run) ticking(next nextFunc) nextFunc {
	return func() (starlark.Value, bool, error) {
		if err := r.tick(1); err != nil {
			return nil, false, err
		}
		return next()
	}
}

func overSlice(n int, at func(int) starlark.Value) nextFunc {
	i := -1
	return func() (starlark.Value, bool, error) {
		if i++; i >= n {
			return nil, false, nil
		}
		return at(i), true, nil
	}
}

// overList reads the list anew each time, since the loop's body may change it.
func overList(l *starlark.List) nextFunc {
	i, done := -1, false
	return func() (starlark.Value, bool, error) {
		if i++; done || i >= l.Len() {
			done = true
			return nil, false, nil
		}
		return l.Index(i), true, nil
	}
}

func overDict(d *starlark.Dict, items []starlark.Value) nextFunc {
	i, size := -1, d.Len()
	return func() (starlark.Value, bool, error) {
		if d.Len() != size {
			return nil, false, raise(runtimeError, "dictionary changed size during iteration")
		}
		if i++; i >= len(items) {
			return nil, false, nil
		}
		return items[i], true, nil
	}
}

func runes(s string) nextFunc {
	return func() (starlark.Value, bool, error) {
		if s == "" {
			return nil, false, nil
		}
		c, n := utf8.DecodeRuneInString(s)
		if c == utf8.RuneError && n == 1 {
			return nil, false, unsupported("a string that is not UTF-8")
		}
		item := s[:n]
		s = s[n:]
		return text(item), true, nil
	}
}

// collect gives all items of an iterable.
func (r *run) collect(v starlark.Value) ([]starlark.Value, error) {
	next, err := r.iterate(v)
	if err != nil {
		return nil, err
	}
	var out []starlark.Value
	for {
		item, ok, err := next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return out, nil
		}
		if out = append(out, item); len(out) > maxList {
			return nil, sized(len(out), maxList)
		}
	}
}

// loopIter lets the Starlark machine loop over a Python iteration. It cannot report an error, so
// it stops the loop and leaves the error to the helper $checked, which stands behind every loop.
type loopIter struct {
	opaque
	r    *run
	next nextFunc
}

func (*loopIter) String() string               { return "<loop>" }
func (*loopIter) Type() string                 { return "loop" }
func (l *loopIter) Iterate() starlark.Iterator { return l }

// Next gives the next item to the machine.
func (l *loopIter) Next(p *starlark.Value) bool {
	v, ok, err := l.next()
	if err != nil {
		l.r.pending = err
		return false
	}
	if ok {
		*p = v
	}
	return ok
}

// Done ends the loop.
func (*loopIter) Done() {}

// unpack takes exactly n items; with star >= 0, item number star is a list of what is left.
func (r *run) unpack(v starlark.Value, n, star int) (starlark.Tuple, error) {
	next, err := r.iterate(v)
	if err != nil {
		if x := asException(err); x != nil && x.class == typeError {
			return nil, raise(typeError, "cannot unpack non-iterable %s object", typeName(v))
		}
		return nil, err
	}
	var out starlark.Tuple
	for {
		item, ok, err := next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if out = append(out, item); star < 0 && len(out) > n {
			return nil, raise(valueError, "too many values to unpack (expected %d)", n)
		}
	}
	switch {
	case star < 0 && len(out) < n:
		return nil, raise(valueError, "not enough values to unpack (expected %d, got %d)", n, len(out))
	case star < 0:
		return out, nil
	case len(out) < n-1:
		return nil, raise(valueError, "not enough values to unpack (expected at least %d, got %d)", n-1, len(out))
	}
	rest := len(out) - (n - 1)
	middle := list(append([]starlark.Value{}, out[star:star+rest]...))
	return append(append(append(starlark.Tuple{}, out[:star]...), middle), out[star+rest:]...), nil
}

// reshape unpacks an item into nested tuples as shape says: None for a variable, a tuple for a tuple.
func (r *run) reshape(v, shape starlark.Value) (starlark.Value, error) {
	parts, ok := shape.(starlark.Tuple)
	if !ok {
		return v, nil
	}
	items, err := r.unpack(v, len(parts), -1)
	if err != nil {
		return nil, err
	}
	out := make(starlark.Tuple, len(items))
	for i := range items {
		if out[i], err = r.reshape(items[i], parts[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
