// SPDX-License-Identifier: MIT

package pyeval

import (
	"math"
	"math/big"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Results above these sizes are refused, so that a typing error cannot eat the machine.
const (
	maxText = 64 << 20
	maxList = 10_000_000
	maxBits = 1 << 20
)

// binary is x op y.
func (r *run) binary(op string, x, y starlark.Value) (starlark.Value, error) {
	if v, err := r.sequenceOp(op, x, y); v != nil || err != nil {
		return v, err
	}
	if p, ok := x.(*pathValue); ok && op == "/" {
		return joinPaths([]starlark.Value{p, y})
	}
	if op == "%" {
		switch x := x.(type) {
		case starlark.String:
			return r.percent(string(x), y)
		case starlark.Bytes:
			return nil, unsupported("%% formatting of bytes")
		}
	}
	if v, err := r.setOp(op, x, y); v != nil || err != nil {
		return v, err
	}
	if a, ok := x.(starlark.Bool); ok {
		if b, ok := y.(starlark.Bool); ok {
			switch op {
			case "&":
				return a && b, nil
			case "|":
				return a || b, nil
			case "^":
				return boolean(a != b), nil
			}
		}
	}
	a, aInt := asInt(x)
	b, bInt := asInt(y)
	if aInt && bInt {
		return intOp(op, a, b)
	}
	_, aFloat := x.(starlark.Float)
	_, bFloat := y.(starlark.Float)
	if (aInt || aFloat) && (bInt || bFloat) {
		return floatOp(op, x, y)
	}
	return nil, operandError(op, x, y)
}

func operandError(op string, x, y starlark.Value) error {
	if op == "**" {
		op = "** or pow()"
	}
	return raise(typeError, "unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(x), typeName(y))
}

// sequenceOp is + and * where a str, list, tuple or bytes takes part; nil, nil otherwise.
func (r *run) sequenceOp(op string, x, y starlark.Value) (starlark.Value, error) {
	switch op {
	case "+":
		return r.concat(x, y)
	case "*":
		if n, ok := asInt(y); ok && isSequence(x) {
			return r.repeat(x, n)
		}
		if n, ok := asInt(x); ok && isSequence(y) {
			return r.repeat(y, n)
		}
	}
	return nil, nil
}

func isSequence(v starlark.Value) bool {
	switch v.(type) {
	case starlark.String, starlark.Bytes, *starlark.List, starlark.Tuple:
		return true
	}
	return false
}

func (r *run) concat(x, y starlark.Value) (starlark.Value, error) {
	switch a := x.(type) {
	case starlark.String:
		if b, ok := y.(starlark.String); ok {
			return a + b, sized(len(a)+len(b), maxText)
		}
		return nil, raise(typeError, `can only concatenate str (not "%s") to str`, typeName(y))
	case starlark.Bytes:
		if b, ok := y.(starlark.Bytes); ok {
			return a + b, sized(len(a)+len(b), maxText)
		}
		return nil, raise(typeError, "can't concat %s to bytes", typeName(y))
	case *starlark.List:
		if b, ok := y.(*starlark.List); ok {
			return list(append(elems(a), elems(b)...)), sized(a.Len()+b.Len(), maxList)
		}
		return nil, raise(typeError, `can only concatenate list (not "%s") to list`, typeName(y))
	case starlark.Tuple:
		if b, ok := y.(starlark.Tuple); ok {
			return append(append(starlark.Tuple{}, a...), b...), sized(len(a)+len(b), maxList)
		}
		return nil, raise(typeError, `can only concatenate tuple (not "%s") to tuple`, typeName(y))
	}
	return nil, nil
}

func sized(n, limit int) error {
	if n > limit {
		return unsupported("a value of this size (%d)", n)
	}
	return nil
}

func elems(l *starlark.List) []starlark.Value {
	out := make([]starlark.Value, l.Len())
	for i := range out {
		out[i] = l.Index(i)
	}
	return out
}

func (r *run) repeat(x starlark.Value, times starlark.Int) (starlark.Value, error) {
	n64, ok := times.Int64()
	if times.Sign() <= 0 {
		n64 = 0
	} else if !ok || n64 > maxText {
		return nil, unsupported("a value of this size")
	}
	n := int(n64)
	switch x := x.(type) {
	case starlark.String:
		if err := sized(n*len(x), maxText); err != nil {
			return nil, err
		}
		return text(strings.Repeat(string(x), n)), nil
	case starlark.Bytes:
		if err := sized(n*len(x), maxText); err != nil {
			return nil, err
		}
		return starlark.Bytes(strings.Repeat(string(x), n)), nil
	case *starlark.List:
		vs, err := repeated(elems(x), n)
		return list(vs), err
	case starlark.Tuple:
		vs, err := repeated(x, n)
		return starlark.Tuple(vs), err
	}
	return nil, nil
}

func repeated(vs []starlark.Value, n int) ([]starlark.Value, error) {
	if err := sized(n*len(vs), maxList); err != nil {
		return nil, err
	}
	out := make([]starlark.Value, 0, n*len(vs))
	for range n {
		out = append(out, vs...)
	}
	return out, nil
}

// intOp is arithmetic of ints.
func intOp(op string, a, b starlark.Int) (starlark.Value, error) {
	switch op {
	case "+":
		return a.Add(b), nil
	case "-":
		return a.Sub(b), nil
	case "*":
		return a.Mul(b), sized(a.BigInt().BitLen()+b.BigInt().BitLen(), maxBits)
	case "&":
		return a.And(b), nil
	case "|":
		return a.Or(b), nil
	case "^":
		return a.Xor(b), nil
	case "<<", ">>":
		return shift(op, a, b)
	case "**":
		return power(a, b)
	case "@":
		return nil, operandError(op, a, b)
	}
	if b.Sign() == 0 {
		return nil, raise(zeroDivisionError, "%s", map[string]string{
			"/": "division by zero", "//": "integer division or modulo by zero", "%": "integer modulo by zero",
		}[op])
	}
	switch op {
	case "//":
		return a.Div(b), nil
	case "%":
		return a.Mod(b), nil
	case "/":
		if a.Sign() == 0 {
			return starlark.Float(math.Copysign(0, float64(b.Sign()))), nil
		}
		f, _ := new(big.Rat).SetFrac(a.BigInt(), b.BigInt()).Float64()
		if math.IsInf(f, 0) {
			return nil, raise(overflowError, "integer division result too large for a float")
		}
		return starlark.Float(f), nil
	}
	return nil, operandError(op, a, b)
}

func shift(op string, a, b starlark.Int) (starlark.Value, error) {
	if b.Sign() < 0 {
		return nil, raise(valueError, "negative shift count")
	}
	n, ok := b.Int64()
	if op == ">>" {
		if !ok || n > maxBits {
			n = maxBits // no int here is longer
		}
		return a.Rsh(uint(n)), nil
	}
	if !ok || n > maxBits {
		return nil, unsupported("an int of this size")
	}
	return a.Lsh(uint(n)), sized(a.BigInt().BitLen()+int(n), maxBits)
}

func power(a, b starlark.Int) (starlark.Value, error) {
	if b.Sign() < 0 {
		if a.Sign() == 0 {
			return nil, raise(zeroDivisionError, "0.0 cannot be raised to a negative power")
		}
		return floatOp("**", a, b)
	}
	n, ok := b.Int64()
	if bits := int64(a.BigInt().BitLen()); bits > 1 && (!ok || n > maxBits || n*bits > maxBits) {
		return nil, unsupported("an int of this size")
	}
	if a.BigInt().BitLen() <= 1 { // -1, 0, 1: only the exponent's parity and sign matter
		switch even := b.BigInt().Bit(0) == 0; {
		case b.Sign() == 0 || a.Sign() < 0 && even:
			return starlark.MakeInt(1), nil
		default:
			return a, nil
		}
	}
	return starlark.MakeBigInt(new(big.Int).Exp(a.BigInt(), big.NewInt(n), nil)), nil
}

// toFloat converts an int, a bool or a float.
func toFloat(v starlark.Value) (float64, error) {
	if f, ok := v.(starlark.Float); ok {
		return float64(f), nil
	}
	i, _ := asInt(v)
	f, _ := new(big.Float).SetInt(i.BigInt()).Float64()
	if math.IsInf(f, 0) {
		return 0, raise(overflowError, "int too large to convert to float")
	}
	return f, nil
}

// floatOp is arithmetic where at least one operand is (or is made) a float.
func floatOp(op string, x, y starlark.Value) (starlark.Value, error) {
	a, err := toFloat(x)
	if err != nil {
		return nil, err
	}
	b, err := toFloat(y)
	if err != nil {
		return nil, err
	}
	switch op {
	case "+":
		return starlark.Float(a + b), nil
	case "-":
		return starlark.Float(a - b), nil
	case "*":
		return starlark.Float(a * b), nil
	case "/":
		if b == 0 {
			return nil, raise(zeroDivisionError, "float division by zero")
		}
		return starlark.Float(a / b), nil
	case "//", "%":
		if b == 0 {
			return nil, raise(zeroDivisionError, "float floor division by zero")
		}
		div, mod := floatDivmod(a, b)
		if op == "%" {
			return starlark.Float(mod), nil
		}
		return starlark.Float(div), nil
	case "**":
		return floatPower(a, b)
	}
	return nil, operandError(op, x, y)
}

// floatDivmod is CPython's: the remainder has the divisor's sign, the quotient is a whole number.
func floatDivmod(a, b float64) (div, mod float64) {
	mod = math.Mod(a, b)
	div = (a - mod) / b
	if mod != 0 {
		if (b < 0) != (mod < 0) {
			mod += b
			div--
		}
	} else {
		mod = math.Copysign(0, b)
	}
	if div == 0 {
		return math.Copysign(0, a/b), mod
	}
	floor := math.Floor(div)
	if div-floor > 0.5 {
		floor++
	}
	return floor, mod
}

func floatPower(a, b float64) (starlark.Value, error) {
	if a == 0 && b < 0 {
		return nil, raise(zeroDivisionError, "0.0 cannot be raised to a negative power")
	}
	if a < 0 && b != math.Floor(b) {
		return nil, unsupported("a power that is a complex number")
	}
	base := new(big.Rat).SetFloat64(a)
	if base == nil || b != math.Trunc(b) || math.Abs(b) > 1024 || a == 0 {
		return nil, unsupported("a power of these floats") // the C library's last bit may differ
	}
	n := big.NewInt(int64(math.Abs(b)))
	power := new(big.Rat).SetFrac(new(big.Int).Exp(base.Num(), n, nil), new(big.Int).Exp(base.Denom(), n, nil))
	if b < 0 {
		power.Inv(power)
	}
	f, exact := power.Float64()
	if !exact {
		return nil, unsupported("a power that is not exact")
	}
	return starlark.Float(f), nil
}

// unary is op x.
func unary(op string, x starlark.Value) (starlark.Value, error) {
	if f, ok := x.(starlark.Float); ok && op != "~" {
		if op == "-" {
			f = -f
		}
		return f, nil
	}
	i, ok := asInt(x)
	if !ok {
		return nil, raise(typeError, "bad operand type for unary %s: '%s'", op, typeName(x))
	}
	switch op {
	case "-":
		return starlark.MakeInt(0).Sub(i), nil
	case "~":
		return i.Not(), nil
	}
	return i, nil
}

// setOp is | & - ^ of sets, dict views and dicts; nil, nil if none takes part.
func (r *run) setOp(op string, x, y starlark.Value) (starlark.Value, error) {
	if a, ok := x.(*starlark.Dict); ok {
		b, ok := y.(*starlark.Dict)
		if op != "|" || !ok {
			return nil, nil
		}
		out := starlark.NewDict(a.Len() + b.Len())
		for _, d := range []*starlark.Dict{a, b} {
			for _, item := range d.Items() {
				if err := setKey(out, item[0], item[1]); err != nil {
					return nil, err
				}
			}
		}
		return out, nil
	}
	token := map[string]syntax.Token{"|": syntax.PIPE, "&": syntax.AMP, "-": syntax.MINUS, "^": syntax.CIRCUMFLEX}[op]
	a, aOK := asSet(x)
	b, bOK := asSet(y)
	if token == 0 || !aOK || !bOK {
		return nil, nil
	}
	return combine(op, a, b)
}

// asSet takes sets and the views that behave like sets.
func asSet(v starlark.Value) ([]starlark.Value, bool) {
	switch v := v.(type) {
	case *starlark.Set:
		return setElems(v), true
	case *view:
		return v.list(), v.kind != "dict_values"
	}
	return nil, false
}

func setElems(s *starlark.Set) []starlark.Value {
	out := make([]starlark.Value, 0, s.Len())
	it := s.Iterate()
	defer it.Done()
	for v := starlark.Value(nil); it.Next(&v); {
		out = append(out, v)
	}
	return out
}

// combine makes the set of a op b.
func combine(op string, a, b []starlark.Value) (starlark.Value, error) {
	left, err := makeSet(a)
	if err != nil {
		return nil, err
	}
	right, err := makeSet(b)
	if err != nil {
		return nil, err
	}
	out := starlark.NewSet(len(a) + len(b))
	add := func(vs []starlark.Value, other *starlark.Set, wanted bool) error {
		for _, v := range vs {
			has, err := setHas(other, v)
			if err != nil {
				return err
			}
			if has == wanted {
				if err := addItem(out, v); err != nil {
					return err
				}
			}
		}
		return nil
	}
	switch op {
	case "|":
		for _, v := range append(a[:len(a):len(a)], b...) {
			if err := addItem(out, v); err != nil {
				return nil, err
			}
		}
	case "&":
		err = add(a, right, true)
	case "-":
		err = add(a, right, false)
	case "^":
		if err = add(a, right, false); err == nil {
			err = add(b, left, false)
		}
	}
	return out, err
}
