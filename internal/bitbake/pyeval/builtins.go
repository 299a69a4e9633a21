// SPDX-License-Identifier: MIT

package pyeval

import (
	"math"
	"math/big"
	"strings"

	"go.starlark.net/starlark"
)

// impl is a function of Python's that this package implements.
type impl = func(r *run, a args) (starlark.Value, error)

// refusedBuiltins exist in Python; their absence here is not a NameError.
var refusedBuiltins = map[string]bool{
	"__import__": true, "aiter": true, "anext": true, "breakpoint": true, "bytearray": true, "classmethod": true, "compile": true,
	"complex": true, "copyright": true, "credits": true, "delattr": true, "dir": true, "eval": true, "exec": true, "exit": true,
	"globals": true, "help": true, "input": true, "license": true, "locals": true, "memoryview": true, "object": true,
	"property": true, "quit": true, "setattr": true, "staticmethod": true, "super": true, "vars": true, "id": true, "hash": true,
	"__name__": true, "__builtins__": true, "__file__": true, "Warning": true, "UserWarning": true, "DeprecationWarning": true,
	"ConnectionError": true, "BrokenPipeError": true, "TimeoutError": true, "MemoryError": true, "BufferError": true,
	"SyntaxError": true, "IndentationError": true, "SystemError": true, "ReferenceError": true, "FloatingPointError": true,
	"GeneratorExit": true, "StopAsyncIteration": true, "InterruptedError": true, "ProcessLookupError": true, "ChildProcessError": true,
	"BlockingIOError": true, "BaseExceptionGroup": true, "ExceptionGroup": true, "UnicodeTranslateError": true, "__debug__": true,
}

func makeBuiltins() map[string]starlark.Value {
	out := map[string]starlark.Value{}
	for name, fn := range map[string]impl{
		"abs": biAbs, "all": biAll, "any": biAny, "ascii": biAscii, "bin": biBase(2, "0b"), "callable": biCallable, "chr": biChr,
		"divmod": biDivmod, "enumerate": biEnumerate, "filter": biFilter, "format": biFormat, "getattr": biGetattr,
		"hasattr": biHasattr, "hex": biBase(16, "0x"), "isinstance": biIsinstance, "issubclass": biIssubclass, "iter": biIter,
		"len": biLen, "map": biMap, "max": biExtreme(">"), "min": biExtreme("<"), "next": biNext, "oct": biBase(8, "0o"),
		"open": biOpen, "ord": biOrd, "pow": biPow, "print": biPrint, "range": biRange, "repr": biRepr, "reversed": biReversed,
		"round": biRound, "slice": biSlice, "sorted": biSorted, "sum": biSum, "zip": biZip,
	} {
		out[name] = builtin(name, fn)
	}
	for _, t := range pyTypes() {
		out[t.name] = t
	}
	for name, v := range classBuiltins() {
		out[name] = v
	}
	for _, c := range builtinExceptions {
		out[c.name] = c
	}
	out["IOError"], out["EnvironmentError"] = osError, osError
	out["NotImplemented"] = &namespace{kind: "NotImplementedType"}
	out["__import__"] = builtin("__import__", func(r *run, a args) (starlark.Value, error) {
		v, err := a.bind("name", "/")
		if err != nil {
			return nil, err
		}
		name, err := a.wantStr(v[0])
		if err != nil {
			return nil, err
		}
		return r.importModule(name, importTop(name))
	})
	return out
}

func importTop(name string) string {
	top, _, _ := strings.Cut(name, ".")
	return top
}

func biAbs(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	if f, ok := a.pos[0].(starlark.Float); ok {
		return starlark.Float(math.Abs(float64(f))), nil
	}
	i, ok := asInt(a.pos[0])
	if !ok {
		return nil, raise(typeError, "bad operand type for abs(): '%s'", typeName(a.pos[0]))
	}
	if i.Sign() < 0 {
		return unary("-", i)
	}
	return i, nil
}

func biAll(r *run, a args) (starlark.Value, error) { return r.search(a, false) }
func biAny(r *run, a args) (starlark.Value, error) { return r.search(a, true) }

// search looks for an item whose truth is wanted; any() and all() differ in that only.
func (r *run) search(a args, wanted bool) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	next, err := r.iterate(a.pos[0])
	if err != nil {
		return nil, err
	}
	for {
		v, ok, err := next()
		if err != nil {
			return nil, err
		}
		if !ok || bool(v.Truth()) == wanted {
			return boolean(ok == wanted), nil
		}
	}
}

func biAscii(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	s, err := repr(a.pos[0])
	return text(asciiText(s)), err
}

func biRepr(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	s, err := repr(a.pos[0])
	return text(s), err
}

// biBase makes bin, oct and hex.
func biBase(base int, prefix string) impl {
	return func(_ *run, a args) (starlark.Value, error) {
		if err := a.exactly(1); err != nil {
			return nil, err
		}
		i, ok := asInt(a.pos[0])
		if !ok {
			return nil, raise(typeError, "'%s' object cannot be interpreted as an integer", typeName(a.pos[0]))
		}
		digits := i.BigInt().Text(base)
		if strings.HasPrefix(digits, "-") {
			return text("-" + prefix + digits[1:]), nil
		}
		return text(prefix + digits), nil
	}
}

func biCallable(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	_, ok := a.pos[0].(starlark.Callable)
	return boolean(ok), nil
}

func biChr(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	n, err := a.wantInt(a.pos[0], 0)
	switch {
	case err != nil:
		return nil, err
	case n < 0 || n > 0x10ffff:
		return nil, raise(valueError, "chr() arg not in range(0x110000)")
	case n >= 0xd800 && n <= 0xdfff:
		return nil, unsupported("a surrogate in a string")
	}
	return text(string(rune(n))), nil
}

func biOrd(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	switch v := a.pos[0].(type) {
	case starlark.String:
		if rs := []rune(string(v)); len(rs) == 1 {
			return number(int(rs[0])), nil
		}
		return nil, raise(typeError, "ord() expected a character, but string of length %d found", characters(string(v)))
	case starlark.Bytes:
		if len(v) == 1 {
			return number(int(v[0])), nil
		}
	}
	return nil, raise(typeError, "ord() expected string of length 1, but %s found", typeName(a.pos[0]))
}

func biDivmod(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	if !isNumber(a.pos[0]) || !isNumber(a.pos[1]) {
		return nil, operandError("divmod()", a.pos[0], a.pos[1])
	}
	div, err := r.binary("//", a.pos[0], a.pos[1])
	if err != nil {
		return nil, err
	}
	mod, err := r.binary("%", a.pos[0], a.pos[1])
	return starlark.Tuple{div, mod}, err
}

func biPow(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("base", "exp", "mod?")
	if err != nil {
		return nil, err
	}
	if !isNone(v[2]) {
		return nil, unsupported("pow() with three arguments")
	}
	if !isNumber(v[0]) || !isNumber(v[1]) {
		return nil, operandError("**", v[0], v[1])
	}
	return r.binary("**", v[0], v[1])
}

func biFormat(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("value", "spec?", "/")
	if err != nil {
		return nil, err
	}
	spec := ""
	if v[1] != nil {
		if spec, err = a.wantStr(v[1]); err != nil {
			return nil, err
		}
	}
	s, err := r.formatValue(v[0], spec)
	return text(s), err
}

func biGetattr(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("obj", "name", "default?", "/")
	if err != nil {
		return nil, err
	}
	name, err := a.wantStr(v[1])
	if err != nil {
		return nil, err
	}
	out, err := r.attr(v[0], name)
	if x := asException(err); x != nil && x.class == attributeError && v[2] != nil {
		return v[2], nil
	}
	return out, err
}

func biHasattr(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	name, err := a.wantStr(a.pos[1])
	if err != nil {
		return nil, err
	}
	_, err = r.attr(a.pos[0], name)
	if x := asException(err); x != nil && x.class == attributeError {
		return boolean(false), nil
	}
	return boolean(true), err
}

func biIsinstance(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	ok, err := isInstance(a.pos[0], a.pos[1])
	return boolean(ok), err
}

func isInstance(v, class starlark.Value) (bool, error) {
	switch c := class.(type) {
	case starlark.Tuple:
		for _, one := range c {
			if ok, err := isInstance(v, one); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	case *pyType:
		return c.has(v), nil
	case *excClass:
		x, ok := v.(*exc)
		return ok && x.class.is(c), nil
	case *pyClass:
		o, ok := v.(*instance)
		return ok && isSubclass(o.class, c), nil
	case *eventClass:
		return c.matches(v)
	case *module:
		return false, unsupported("isinstance() with %s", c.name)
	}
	return false, raise(typeError, "isinstance() arg 2 must be a type, a tuple of types, or a union")
}

func biIssubclass(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	c, ok1 := a.pos[0].(classValue)
	d, ok2 := a.pos[1].(classValue)
	if !ok1 || !ok2 {
		return nil, unsupported("issubclass() with these classes")
	}
	return boolean(isSubclass(c, d)), nil
}

func biLen(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	switch v := a.pos[0].(type) {
	case starlark.String:
		return number(characters(string(v))), nil
	case starlark.Bytes:
		return number(len(v)), nil
	case starlark.Tuple:
		return number(len(v)), nil
	case *starlark.List:
		return number(v.Len()), nil
	case *starlark.Dict:
		return number(v.Len()), nil
	case *starlark.Set:
		return number(v.Len()), nil
	case *view:
		return number(v.dict.Len()), nil
	case *dictLike:
		return number(v.dict.Len()), nil
	case *record:
		return number(len(v.values)), nil
	case *rng:
		return starlark.MakeInt64(v.len()), nil
	case *data:
		return nil, unsupported("len() of d")
	}
	return nil, raise(typeError, "object of type '%s' has no len()", typeName(a.pos[0]))
}

func biPrint(r *run, a args) (starlark.Value, error) {
	var words []string
	for _, v := range a.pos {
		s, err := str(v)
		if err != nil {
			return nil, err
		}
		words = append(words, s)
	}
	if len(a.kw) > 0 {
		return nil, unsupported("print() with keyword arguments")
	}
	r.log("plain", strings.Join(words, " "))
	return none()
}

func biRange(_ *run, a args) (starlark.Value, error) {
	if len(a.kw) > 0 || len(a.pos) == 0 || len(a.pos) > 3 {
		return nil, raise(typeError, "range expected 1 to 3 arguments, got %d", len(a.pos))
	}
	var n [3]int64
	for i, v := range a.pos {
		x, err := a.wantInt(v, 0)
		if err != nil {
			return nil, err
		}
		if n[i] = int64(x); n[i] > math.MaxInt32*1000 || n[i] < -math.MaxInt32*1000 {
			return nil, unsupported("a range of this size")
		}
	}
	switch len(a.pos) {
	case 1:
		return &rng{start: 0, stop: n[0], step: 1}, nil
	case 2:
		return &rng{start: n[0], stop: n[1], step: 1}, nil
	}
	if n[2] == 0 {
		return nil, raise(valueError, "range() arg 3 must not be zero")
	}
	return &rng{start: n[0], stop: n[1], step: n[2]}, nil
}

func biSlice(_ *run, a args) (starlark.Value, error) {
	if len(a.kw) > 0 || len(a.pos) == 0 || len(a.pos) > 3 {
		return nil, raise(typeError, "slice expected 1 to 3 arguments, got %d", len(a.pos))
	}
	s := &slice{lo: starlark.None, hi: starlark.None, step: starlark.None}
	switch len(a.pos) {
	case 1:
		s.hi = a.pos[0]
	case 3:
		s.step = a.pos[2]
		fallthrough
	case 2:
		s.lo, s.hi = a.pos[0], a.pos[1]
	}
	return s, nil
}

func biRound(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("number", "ndigits?")
	if err != nil {
		return nil, err
	}
	if i, ok := asInt(v[0]); ok && isNone(v[1]) {
		return i, nil
	}
	f, ok := v[0].(starlark.Float)
	switch {
	case !ok || !isNone(v[1]):
		return nil, unsupported("round() of a %s to a number of digits", typeName(v[0]))
	case math.IsNaN(float64(f)):
		return nil, raise(valueError, "cannot convert float NaN to integer")
	case math.IsInf(float64(f), 0):
		return nil, raise(overflowError, "cannot convert float infinity to integer")
	}
	return truncate(math.RoundToEven(float64(f))), nil
}

// truncate makes a finite float an int.
func truncate(f float64) starlark.Int {
	i, _ := big.NewFloat(f).Int(nil)
	return starlark.MakeBigInt(i)
}
