// SPDX-License-Identifier: MIT

package pyeval

import (
	"math"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
)

// percentArgs are the operands of text % x.
type percentArgs struct {
	tuple starlark.Tuple
	next  int
	dict  starlark.Value // mapping, or nil
	used  bool           // by name
}

func (a *percentArgs) take() (starlark.Value, error) {
	if a.next >= len(a.tuple) {
		return nil, raise(typeError, "not enough arguments for format string")
	}
	a.next++
	return a.tuple[a.next-1], nil
}

// percent is format % x.
func (r *run) percent(format string, x starlark.Value) (starlark.Value, error) {
	a := &percentArgs{tuple: starlark.Tuple{x}}
	switch x := x.(type) {
	case starlark.Tuple:
		a.tuple = x
	case *starlark.Dict, *data, *environ, *starlark.List:
		a.dict = x
	}
	var b strings.Builder
	for format != "" {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			i = len(format)
		}
		b.WriteString(format[:i])
		if format = format[i:]; format == "" {
			break
		}
		n, s, err := r.directive(format, a)
		if err != nil {
			return nil, err
		}
		b.WriteString(s)
		format = format[n:]
		if err := sized(b.Len(), maxText); err != nil {
			return nil, err
		}
	}
	if a.next < len(a.tuple) && !a.used && a.dict == nil {
		return nil, raise(typeError, "not all arguments converted during string formatting")
	}
	return text(b.String()), nil
}

// directive handles one "%..." at the beginning of s and gives its length and its replacement.
func (r *run) directive(s string, a *percentArgs) (int, string, error) {
	i := 1
	incomplete := raise(valueError, "incomplete format")
	var named starlark.Value
	if i < len(s) && s[i] == '(' {
		depth, start := 1, i+1
		for i++; i < len(s) && depth > 0; i++ {
			switch s[i] {
			case '(':
				depth++
			case ')':
				depth--
			}
		}
		if depth > 0 {
			return 0, "", raise(valueError, "incomplete format key")
		}
		if a.dict == nil {
			return 0, "", raise(typeError, "format requires a mapping")
		}
		v, err := r.index(a.dict, text(s[start:i-1]))
		if err != nil {
			return 0, "", err
		}
		named, a.used = v, true
	}
	f := spec{fill: " ", precision: -1, align: '>'}
	zero, left := false, false
	for ; i < len(s) && strings.IndexByte("#0- +", s[i]) >= 0; i++ {
		switch s[i] {
		case '#':
			f.alternate = true
		case '0':
			zero = true
		case '-':
			left = true
		case '+':
			f.sign = '+'
		case ' ':
			if f.sign == 0 {
				f.sign = ' '
			}
		}
	}
	size := func() (int, error) {
		if i < len(s) && s[i] == '*' {
			i++
			v, err := a.take()
			if err != nil {
				return 0, err
			}
			n, ok := v.(starlark.Int)
			if !ok {
				return 0, raise(typeError, "* wants int")
			}
			size, ok := n.Int64()
			if !ok || size > 1_000_000 || size < -1_000_000 {
				return 0, unsupported("a format width of this size")
			}
			return int(size), nil
		}
		start := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		if start == i {
			return 0, nil
		}
		n, err := strconv.Atoi(s[start:i])
		if err != nil || n > 1_000_000 {
			return 0, unsupported("a format width of this size")
		}
		return n, nil
	}
	var err error
	if f.width, err = size(); err != nil {
		return 0, "", err
	}
	if f.width < 0 {
		f.width, left = -f.width, true
	}
	if i < len(s) && s[i] == '.' {
		i++
		if f.precision, err = size(); err != nil {
			return 0, "", err
		}
		f.precision = max(f.precision, 0)
	}
	for i < len(s) && strings.IndexByte("hlL", s[i]) >= 0 {
		i++
	}
	if i >= len(s) {
		return 0, "", incomplete
	}
	f.kind = s[i]
	i++
	if f.kind == '%' {
		return i, "%", nil
	}
	v := named
	if v == nil {
		if v, err = a.take(); err != nil {
			return 0, "", err
		}
	}
	out, err := percentValue(v, f, zero, left)
	return i, out, err
}

// percentValue converts one value.
func percentValue(v starlark.Value, f spec, zero, left bool) (string, error) {
	if left {
		f.align = '<'
	}
	switch f.kind {
	case 's', 'r', 'a':
		s, err := convert(v, f.kind)
		if err != nil {
			return "", err
		}
		if f.precision >= 0 && characters(s) > f.precision {
			s = string([]rune(s)[:f.precision])
		}
		return pad("", s, f), nil
	case 'd', 'i', 'u', 'o', 'x', 'X':
		return percentInt(v, f, zero && !left)
	case 'e', 'E', 'f', 'F', 'g', 'G':
		if !isNumber(v) {
			return "", raise(typeError, "must be real number, not %s", typeName(v))
		}
		x, err := toFloat(v)
		if err != nil {
			return "", err
		}
		if zero && !left {
			f.fill, f.align = "0", '='
		}
		return formatFloat(x, f, func() (string, error) { return "", unsupported("the format %%%c", f.kind) })
	case 'c':
		return percentChar(v, f)
	}
	return "", raise(valueError, "unsupported format character '%c' (0x%x)", f.kind, f.kind)
}

// convert is str(), repr() or ascii().
func convert(v starlark.Value, kind byte) (string, error) {
	switch kind {
	case 'r':
		return repr(v)
	case 'a':
		s, err := repr(v)
		return asciiText(s), err
	}
	return str(v)
}

func percentInt(v starlark.Value, f spec, zero bool) (string, error) {
	i, ok := asInt(v)
	if x, isFloat := v.(starlark.Float); isFloat && strings.IndexByte("diu", f.kind) >= 0 {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return "", raise(valueError, "cannot convert float to integer")
		}
		i, ok = truncate(float64(x)), true
	}
	if !ok {
		if strings.IndexByte("diu", f.kind) >= 0 {
			return "", raise(typeError, "%%%c format: a real number is required, not %s", f.kind, typeName(v))
		}
		return "", raise(typeError, "%%%c format: an integer is required, not %s", f.kind, typeName(v))
	}
	if err := printable(i); err != nil {
		return "", err
	}
	base, prefix := 10, ""
	switch f.kind {
	case 'o':
		base, prefix = 8, "0o"
	case 'x', 'X':
		base, prefix = 16, "0"+string(f.kind)
	}
	digits := strings.TrimPrefix(i.BigInt().Text(base), "-")
	if f.kind == 'X' {
		digits = strings.ToUpper(digits)
	}
	if f.precision > len(digits) {
		digits = strings.Repeat("0", f.precision-len(digits)) + digits
	}
	sign := signOf(i.Sign() < 0, f)
	if f.alternate {
		sign += prefix
	}
	if zero {
		f.fill, f.align = "0", '='
	}
	return pad(sign, digits, f), nil
}

func percentChar(v starlark.Value, f spec) (string, error) {
	switch v := v.(type) {
	case starlark.String:
		if characters(string(v)) == 1 {
			return pad("", string(v), f), nil
		}
	case starlark.Int:
		n, ok := v.Int64()
		switch {
		case !ok || n < 0 || n > 0x10ffff:
			return "", raise(overflowError, "%%c arg not in range(0x110000)")
		case n >= 0xd800 && n <= 0xdfff:
			return "", unsupported("a surrogate in a string")
		}
		return pad("", string(rune(n)), f), nil
	case starlark.Bool:
		return pad("", string(rune(map[starlark.Bool]int{false: 0, true: 1}[v])), f), nil
	}
	return "", raise(typeError, "%%c requires int or char")
}
