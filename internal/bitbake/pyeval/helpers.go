// SPDX-License-Identifier: MIT

package pyeval

import (
	"go.starlark.net/starlark"
)

// helper is a function that translated programs call for what Starlark does otherwise.
type helper func(r *run, a starlark.Tuple) (starlark.Value, error)

// makeHelpers makes the table of helpers, by the names that the emitter uses.
func makeHelpers() starlark.StringDict {
	out := starlark.StringDict{}
	for name, fn := range map[string]helper{
		"$name":     func(r *run, a starlark.Tuple) (starlark.Value, error) { return r.name(word(a[0])) },
		"$compname": func(r *run, a starlark.Tuple) (starlark.Value, error) { return r.compName(word(a[0])) },
		"$global":   func(r *run, a starlark.Tuple) (starlark.Value, error) { return r.global(word(a[0])) },
		"$attr":     func(r *run, a starlark.Tuple) (starlark.Value, error) { return r.attr(a[0], word(a[1])) },
		"$index":    func(r *run, a starlark.Tuple) (starlark.Value, error) { return r.index(a[0], a[1]) },
		"$binary":   func(r *run, a starlark.Tuple) (starlark.Value, error) { return r.binary(word(a[0]), a[1], a[2]) },
		"$inplace":  func(r *run, a starlark.Tuple) (starlark.Value, error) { return r.inplace(word(a[0]), a[1], a[2]) },
		"$unary":    func(r *run, a starlark.Tuple) (starlark.Value, error) { return unary(word(a[0]), a[1]) },
		"$slice": func(r *run, a starlark.Tuple) (starlark.Value, error) {
			return &slice{lo: a[0], hi: a[1], step: a[2]}, nil
		},
		"$frame": func(*run, starlark.Tuple) (starlark.Value, error) {
			return &frame{vars: map[string]starlark.Value{}}, nil
		},
		"$enter":   helpEnter,
		"$compare": helpCompare,
		"$join":    helpJoin,
		"$format":  helpFormat,
		"$list":    func(r *run, a starlark.Tuple) (starlark.Value, error) { vs, err := r.chain(a); return list(vs), err },
		"$tuple": func(r *run, a starlark.Tuple) (starlark.Value, error) {
			vs, err := r.chain(a)
			return starlark.Tuple(vs), err
		},
		"$set":       func(r *run, a starlark.Tuple) (starlark.Value, error) { return makeSet(elems(a[0].(*starlark.List))) },
		"$dict":      helpDict,
		"$kwargs":    helpKwargs,
		"$iter":      helpIter,
		"$checked":   helpChecked,
		"$generator": helpGenerator,
		"$coroutine": helpCoroutine,
		"$yield":     helpYield,
		"$yieldfrom": helpYieldFrom,
		"$unpack":    helpUnpack,
		"$refuse": func(_ *run, a starlark.Tuple) (starlark.Value, error) {
			return nil, &Unsupported{Construct: word(a[0]), Source: word(a[1])}
		},
		"$setvar": helpSetVar,
		"$delvar": helpDelVar,
		"$forget": func(_ *run, a starlark.Tuple) (starlark.Value, error) {
			delete(a[0].(*frame).vars, word(a[1]))
			return none()
		},
		"$setitem": func(r *run, a starlark.Tuple) (starlark.Value, error) {
			return starlark.None, r.setItem(a[0], a[1], a[2])
		},
		"$delitem": func(r *run, a starlark.Tuple) (starlark.Value, error) { return starlark.None, r.deleteItem(a[0], a[1]) },
		"$setattr": func(r *run, a starlark.Tuple) (starlark.Value, error) {
			return starlark.None, r.setAttr(a[0], word(a[1]), a[2])
		},
		"$class":     helpClass,
		"$classdone": helpClassDone,
		"$annotate":  helpAnnotate,
		"$super":     helpSuper,
		"$modulename": func(r *run, a starlark.Tuple) (starlark.Value, error) {
			return r.moduleName(a[0].(*sourceModule), word(a[1]))
		},
		"$setmodule": func(_ *run, a starlark.Tuple) (starlark.Value, error) {
			return starlark.None, a[0].(*sourceModule).set(word(a[1]), a[2])
		},
		"$filter":     func(r *run, a starlark.Tuple) (starlark.Value, error) { return r.filterName(word(a[0])) },
		"$builtin":    func(r *run, a starlark.Tuple) (starlark.Value, error) { return r.builtin(word(a[0])) },
		"$import":     func(r *run, a starlark.Tuple) (starlark.Value, error) { return r.importModule(word(a[0]), word(a[1])) },
		"$importfrom": func(r *run, a starlark.Tuple) (starlark.Value, error) { return r.importFrom(word(a[0]), word(a[1])) },
		"$try":        helpTry,
		"$with":       helpWith,
		"$open":       helpOpen,
		"$raise":      helpRaise,
		"$assert":     helpAssert,
		"$return": func(_ *run, a starlark.Tuple) (starlark.Value, error) {
			return &leave{kind: "return", value: a[0]}, nil
		},
		"$break":    func(*run, starlark.Tuple) (starlark.Value, error) { return &leave{kind: "break"}, nil },
		"$continue": func(*run, starlark.Tuple) (starlark.Value, error) { return &leave{kind: "continue"}, nil },
		"$left": func(_ *run, a starlark.Tuple) (starlark.Value, error) {
			l, ok := a[0].(*leave)
			return boolean(ok && l.kind == word(a[1])), nil
		},
		"$result": func(_ *run, a starlark.Tuple) (starlark.Value, error) { return a[0].(*leave).value, nil },
	} {
		out[name] = builtin(name, func(r *run, a args) (starlark.Value, error) { return fn(r, a.pos) })
	}
	out.Freeze()
	return out
}

// word is a string that the emitter wrote.
func word(v starlark.Value) string { return string(v.(starlark.String)) }

const maxCalls = 1000 // CPython's own limit of nested calls

func helpEnter(r *run, _ starlark.Tuple) (starlark.Value, error) {
	if r.thread.CallStackDepth() > maxCalls {
		return nil, raise(recursionError, "maximum recursion depth exceeded")
	}
	return none()
}

func helpCompare(r *run, a starlark.Tuple) (starlark.Value, error) {
	ok, err := r.comparison(word(a[0]), a[1], a[2])
	return boolean(ok), err
}

// helpJoin joins the parts of an f-string.
func helpJoin(_ *run, a starlark.Tuple) (starlark.Value, error) {
	out := ""
	for _, part := range elems(a[0].(*starlark.List)) {
		out += word(part)
	}
	return text(out), sized(len(out), maxText)
}

func helpFormat(r *run, a starlark.Tuple) (starlark.Value, error) {
	v := a[0]
	if conv := word(a[1]); conv != "" {
		s, err := convert(v, conv[0])
		if err != nil {
			return nil, err
		}
		v = text(s)
	}
	s, err := r.formatValue(v, word(a[2]))
	return text(s), err
}

// chain is the items of several iterables.
func (r *run) chain(vs []starlark.Value) ([]starlark.Value, error) {
	var out []starlark.Value
	for _, v := range vs {
		items, err := r.collect(v)
		if err != nil {
			return nil, err
		}
		out = append(out, items...)
	}
	return out, sized(len(out), maxList)
}

// helpDict makes a dict of (key, value) pairs and, between them, whole mappings.
func helpDict(_ *run, a starlark.Tuple) (starlark.Value, error) {
	out := starlark.NewDict(0)
	for _, item := range elems(a[0].(*starlark.List)) {
		var pairs []starlark.Tuple
		switch item := item.(type) {
		case starlark.Tuple:
			pairs = []starlark.Tuple{item}
		case *starlark.Dict:
			pairs = item.Items()
		default:
			return nil, raise(typeError, "'%s' object is not a mapping", typeName(item))
		}
		for _, p := range pairs {
			if err := setKey(out, p[0], p[1]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func helpKwargs(_ *run, a starlark.Tuple) (starlark.Value, error) {
	out := starlark.NewDict(0)
	for _, v := range a {
		d, ok := v.(*starlark.Dict)
		if !ok {
			return nil, raise(typeError, "argument after ** must be a mapping, not %s", typeName(v))
		}
		for _, item := range d.Items() {
			if _, ok := item[0].(starlark.String); !ok {
				return nil, raise(typeError, "keywords must be strings")
			}
			if _, twice, _ := out.Get(item[0]); twice {
				return nil, raise(typeError, "got multiple values for keyword argument '%s'", word(item[0]))
			}
			if err := out.SetKey(item[0], item[1]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func helpIter(r *run, a starlark.Tuple) (starlark.Value, error) {
	next, err := r.iterate(a[0])
	if err != nil {
		return nil, err
	}
	if len(a) == 1 {
		return &loopIter{r: r, next: next}, nil
	}
	shaped := func() (starlark.Value, bool, error) {
		v, ok, err := next()
		if ok && err == nil {
			v, err = r.reshape(v, a[1])
		}
		return v, ok, err
	}
	return &loopIter{r: r, next: shaped}, nil
}

func helpChecked(r *run, a starlark.Tuple) (starlark.Value, error) {
	if err := r.pending; err != nil {
		r.pending = nil
		return nil, err
	}
	return a[0], nil
}

// helpGenerator makes a generator expression: the function gives the results for one item of the
// first iterable, so that work is done no earlier than the consumer asks for it.
func helpGenerator(r *run, a starlark.Tuple) (starlark.Value, error) {
	items, err := r.iterate(a[0])
	if err != nil {
		return nil, err
	}
	var ready []starlark.Value
	next := func() (starlark.Value, bool, error) {
		for len(ready) == 0 {
			item, ok, err := items()
			if !ok || err != nil {
				return nil, false, err
			}
			results, err := starlark.Call(r.thread, a[1], starlark.Tuple{item}, nil)
			if err == nil {
				err, r.pending = r.pending, nil
			}
			if err != nil {
				return nil, false, err
			}
			ready = elems(results.(*starlark.List))
		}
		v := ready[0]
		ready = ready[1:]
		return v, true, nil
	}
	return &iterator{kind: "generator", next: next}, nil
}

func helpUnpack(r *run, a starlark.Tuple) (starlark.Value, error) {
	n, _ := starlark.AsInt32(a[1])
	star := -1
	if a[2] != starlark.None {
		star, _ = starlark.AsInt32(a[2])
	}
	return r.unpack(a[0], n, star)
}

func helpSetVar(_ *run, a starlark.Tuple) (starlark.Value, error) {
	a[0].(*frame).vars[word(a[1])] = a[2]
	return a[2], nil
}

func helpDelVar(_ *run, a starlark.Tuple) (starlark.Value, error) {
	f, name := a[0].(*frame), word(a[1])
	if _, err := f.Attr(name); err != nil {
		return nil, err
	}
	delete(f.vars, name)
	return none()
}

// inplace is x op= y: lists, sets and dicts change in place.
func (r *run) inplace(op string, x, y starlark.Value) (starlark.Value, error) {
	switch v := x.(type) {
	case *starlark.List:
		switch op {
		case "+":
			items, err := r.collect(y)
			if err != nil {
				return nil, err
			}
			return v, extend(v, items)
		case "*":
			out, err := r.binary(op, x, y)
			if err != nil {
				return nil, err
			}
			return v, replaceAll(v, elems(out.(*starlark.List)))
		}
	case *starlark.Set:
		out, err := r.setOp(op, x, y)
		if out == nil || err != nil {
			break
		}
		if _, isSet := y.(*starlark.Set); !isSet {
			return nil, unsupported("%s= of a set and a %s", op, typeName(y))
		}
		return v, replaceSet(v, out.(*starlark.Set))
	case *starlark.Dict:
		if op == "|" {
			return v, r.updateDict(v, y)
		}
	}
	return r.binary(op, x, y)
}

func extend(l *starlark.List, items []starlark.Value) error {
	if err := sized(l.Len()+len(items), maxList); err != nil {
		return err
	}
	for _, item := range items {
		if err := l.Append(item); err != nil {
			return frozen(err)
		}
	}
	return nil
}

func replaceSet(s, with *starlark.Set) error {
	items := setElems(with)
	if err := s.Clear(); err != nil {
		return frozen(err)
	}
	for _, v := range items {
		if err := addItem(s, v); err != nil {
			return err
		}
	}
	return nil
}
