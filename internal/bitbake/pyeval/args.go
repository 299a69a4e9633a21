// SPDX-License-Identifier: MIT

package pyeval

import (
	"strings"

	"go.starlark.net/starlark"
)

// args are the arguments of one call of a function of this package.
type args struct {
	fn  string
	pos starlark.Tuple
	kw  []starlark.Tuple
}

// bind assigns the arguments to parameters. A name ending in "?" is optional, "/" stands behind
// positional-only parameters, "*" ahead of keyword-only ones. Missing ones are nil.
func (a args) bind(params ...string) ([]starlark.Value, error) {
	var out []starlark.Value
	var names []string
	var optional []bool
	positional, onlyPositional := -1, 0
	for _, p := range params {
		switch p {
		case "/":
			onlyPositional = len(names)
		case "*":
			positional = len(names)
		default:
			names = append(names, strings.TrimSuffix(p, "?"))
			optional = append(optional, strings.HasSuffix(p, "?"))
		}
	}
	if positional < 0 {
		positional = len(names)
	}
	if len(a.pos) > positional {
		return nil, raise(typeError, "%s() takes at most %d positional arguments (%d given)", a.fn, positional, len(a.pos))
	}
	out = make([]starlark.Value, len(names))
	copy(out, a.pos)
	for _, kv := range a.kw {
		if err := a.keyword(out, names, onlyPositional, kv); err != nil {
			return nil, err
		}
	}
	for i, v := range out {
		if v == nil && !optional[i] {
			return nil, raise(typeError, "%s() missing required argument: '%s'", a.fn, names[i])
		}
	}
	return out, nil
}

func (a args) keyword(out []starlark.Value, names []string, from int, kv starlark.Tuple) error {
	name := string(kv[0].(starlark.String))
	for i := from; i < len(names); i++ {
		if names[i] != name {
			continue
		}
		if out[i] != nil {
			return raise(typeError, "%s() got multiple values for argument '%s'", a.fn, name)
		}
		out[i] = kv[1]
		return nil
	}
	return raise(typeError, "%s() got an unexpected keyword argument '%s'", a.fn, name)
}

// exactly wants n positional arguments and nothing else.
func (a args) exactly(n int) error {
	if len(a.kw) > 0 {
		return raise(typeError, "%s() takes no keyword arguments", a.fn)
	}
	if len(a.pos) != n {
		return raise(typeError, "%s() takes exactly %d arguments (%d given)", a.fn, n, len(a.pos))
	}
	return nil
}

// wantStr takes a str argument.
func (a args) wantStr(v starlark.Value) (string, error) {
	if s, ok := v.(starlark.String); ok {
		return string(s), nil
	}
	return "", raise(typeError, "%s() argument must be str, not %s", a.fn, typeName(v))
}

// wantInt takes an int (or bool) argument; def stands for a missing one.
func (a args) wantInt(v starlark.Value, def int) (int, error) {
	if v == nil {
		return def, nil
	}
	i, ok := asInt(v)
	if !ok {
		return 0, raise(typeError, "'%s' object cannot be interpreted as an integer", typeName(v))
	}
	n, ok := i.Int64()
	if !ok || int64(int(n)) != n {
		return 0, raise(overflowError, "Python int too large to convert to C ssize_t")
	}
	return int(n), nil
}

// isNone reports a missing argument or None.
func isNone(v starlark.Value) bool { return v == nil || v == starlark.None }

// asInt takes ints and bools.
func asInt(v starlark.Value) (starlark.Int, bool) {
	switch v := v.(type) {
	case starlark.Int:
		return v, true
	case starlark.Bool:
		if v {
			return starlark.MakeInt(1), true
		}
		return starlark.MakeInt(0), true
	}
	return starlark.Int{}, false
}
