// SPDX-License-Identifier: MIT

package pyeval

import (
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

const maxDepth = 200 // of nested values and of calls that compare or print them

// comparison is x op y for one operator of Python's.
func (r *run) comparison(op string, x, y starlark.Value) (bool, error) {
	switch op {
	case "==":
		return equal(x, y, 0)
	case "is":
		return same(x, y)
	case "in":
		return r.contains(y, x)
	}
	return r.order(op, x, y, 0)
}

// same is the operator "is", where its answer does not depend on the implementation.
func same(x, y starlark.Value) (bool, error) {
	switch x.(type) {
	case starlark.NoneType, starlark.Bool:
		return x == y, nil
	}
	switch y.(type) {
	case starlark.NoneType, starlark.Bool:
		return false, nil
	case starlark.Int, starlark.Float, starlark.String, starlark.Bytes, starlark.Tuple:
		if typeName(x) != typeName(y) {
			return false, nil
		}
		return false, unsupported("the operator \"is\" between %s values", typeName(x))
	}
	switch x.(type) {
	case starlark.Int, starlark.Float, starlark.String, starlark.Bytes, starlark.Tuple:
		return false, nil
	case *starlark.Builtin:
		return false, unsupported("the operator \"is\" between functions")
	}
	return x == y, nil
}

// equal is ==.
func equal(x, y starlark.Value, depth int) (bool, error) {
	if depth > maxDepth {
		return false, raise(recursionError, "maximum recursion depth exceeded in comparison")
	}
	if isNumber(x) && isNumber(y) {
		return starlark.CompareDepth(syntax.EQL, arithmetic(x), arithmetic(y), 10)
	}
	switch a := x.(type) {
	case starlark.String:
		b, ok := y.(starlark.String)
		return ok && a == b, nil
	case starlark.Bytes:
		b, ok := y.(starlark.Bytes)
		return ok && a == b, nil
	case *starlark.List:
		b, ok := y.(*starlark.List)
		if !ok {
			return false, nil
		}
		return equalItems(elems(a), elems(b), depth)
	case starlark.Tuple:
		b, ok := y.(starlark.Tuple)
		if !ok {
			return false, nil
		}
		return equalItems(a, b, depth)
	case *starlark.Dict:
		b, ok := y.(*starlark.Dict)
		if !ok || a.Len() != b.Len() {
			return false, nil
		}
		return equalDicts(a, b, depth)
	case *rng:
		b, ok := y.(*rng)
		if !ok {
			return false, nil
		}
		return a.len() == b.len() && (a.len() == 0 || a.start == b.start && (a.len() == 1 || a.step == b.step)), nil
	case *uuidValue:
		b, ok := y.(*uuidValue)
		return ok && a.id == b.id, nil
	case *instance:
		if b, ok := y.(*instance); ok && (a.class.data || b.class.data) {
			return false, unsupported("a comparison of dataclass objects")
		}
		return x == y, nil
	case *slice, *structTime, *pattern, *dictLike, *pathValue, *boundMethod:
		return false, unsupported("a comparison of %s objects", typeName(x))
	}
	if a, ok := asSet(x); ok {
		b, ok := asSet(y)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		return subset(a, b)
	}
	return x == y, nil
}

func isNumber(v starlark.Value) bool {
	switch v.(type) {
	case starlark.Int, starlark.Float, starlark.Bool:
		return true
	}
	return false
}

// arithmetic makes a bool the int it is in Python.
func arithmetic(v starlark.Value) starlark.Value {
	if b, ok := v.(starlark.Bool); ok {
		i, _ := asInt(b)
		return i
	}
	return v
}

func equalItems(a, b []starlark.Value, depth int) (bool, error) {
	if len(a) != len(b) {
		return false, nil
	}
	for i := range a {
		if ok, err := equal(a[i], b[i], depth+1); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func equalDicts(a, b *starlark.Dict, depth int) (bool, error) {
	for _, item := range a.Items() {
		other, found, err := getKey(b, item[0])
		if !found || err != nil {
			return false, err
		}
		if ok, err := equal(item[1], other, depth+1); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func subset(a, b []starlark.Value) (bool, error) {
	all, err := makeSet(b)
	if err != nil {
		return false, err
	}
	for _, v := range a {
		if has, err := setHas(all, v); !has || err != nil {
			return false, err
		}
	}
	return true, nil
}

// order is <, <=, > and >=.
func (r *run) order(op string, x, y starlark.Value, depth int) (bool, error) {
	if depth > maxDepth {
		return false, raise(recursionError, "maximum recursion depth exceeded in comparison")
	}
	if isNumber(x) && isNumber(y) {
		return starlark.CompareDepth(orderToken[op], arithmetic(x), arithmetic(y), 10)
	}
	switch a := x.(type) {
	case starlark.String:
		if b, ok := y.(starlark.String); ok { // UTF-8 sorts like code points
			return ordered(op, strings.Compare(string(a), string(b))), nil
		}
	case starlark.Bytes:
		if b, ok := y.(starlark.Bytes); ok {
			return ordered(op, strings.Compare(string(a), string(b))), nil
		}
	case *starlark.List:
		if b, ok := y.(*starlark.List); ok {
			return r.orderItems(op, elems(a), elems(b), depth)
		}
	case starlark.Tuple:
		if b, ok := y.(starlark.Tuple); ok {
			return r.orderItems(op, a, b, depth)
		}
	}
	if a, ok := asSet(x); ok {
		if b, ok := asSet(y); ok {
			return orderSets(op, a, b)
		}
	}
	return false, raise(typeError, "'%s' not supported between instances of '%s' and '%s'", op, typeName(x), typeName(y))
}

var orderToken = map[string]syntax.Token{"<": syntax.LT, "<=": syntax.LE, ">": syntax.GT, ">=": syntax.GE}

func ordered(op string, c int) bool {
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

// orderItems compares at the first difference.
func (r *run) orderItems(op string, a, b []starlark.Value, depth int) (bool, error) {
	for i := range min(len(a), len(b)) {
		eq, err := equal(a[i], b[i], depth+1)
		if err != nil {
			return false, err
		}
		if !eq {
			return r.order(op, a[i], b[i], depth+1)
		}
	}
	return ordered(op, len(a)-len(b)), nil
}

// orderSets is the subset relation.
func orderSets(op string, a, b []starlark.Value) (bool, error) {
	if op == ">" || op == ">=" {
		a, b = b, a
	}
	if (op == "<" || op == ">") && len(a) >= len(b) {
		return false, nil
	}
	return subset(a, b)
}

// contains is v in container.
func (r *run) contains(container, v starlark.Value) (bool, error) {
	switch c := container.(type) {
	case starlark.String:
		s, ok := v.(starlark.String)
		if !ok {
			return false, raise(typeError, "'in <string>' requires string as left operand, not %s", typeName(v))
		}
		return strings.Contains(string(c), string(s)), nil
	case *starlark.Dict:
		_, found, err := getKey(c, v)
		return found, err
	case *starlark.Set:
		return setHas(c, v)
	case *view:
		if c.kind == "dict_keys" {
			_, found, err := getKey(c.dict, v)
			return found, err
		}
	case *data:
		name, ok := v.(starlark.String)
		if !ok {
			return false, unsupported("\"in d\" with a %s", typeName(v))
		}
		_, set, err := c.vars.Var(string(name), false)
		return set, fromVars(err)
	case *environ:
		name, ok := v.(starlark.String)
		if !ok {
			return false, raise(typeError, "str expected, not %s", typeName(v))
		}
		_, set := r.environ(string(name))
		return set, nil
	case *persistTable:
		return c.has(r, v)
	case *dictLike:
		return r.contains(c.dict, v)
	case starlark.Bytes:
		return false, unsupported("\"in\" with bytes")
	}
	next, err := r.iterate(container)
	if err != nil {
		if x := asException(err); x != nil && x.class == typeError {
			return false, raise(typeError, "argument of type '%s' is not iterable", typeName(container))
		}
		return false, err
	}
	for {
		item, ok, err := next()
		if !ok || err != nil {
			return false, err
		}
		if eq, err := equal(item, v, 0); eq || err != nil {
			return eq, err
		}
	}
}
