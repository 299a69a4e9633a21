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

// directive is one "%..." that is being read.
type directive struct {
	s     string // from the percent sign on
	i     int    // what has been read
	a     *percentArgs
	named starlark.Value // of %(name)s
	f     spec
	zero  bool
	left  bool
}

// directive handles the one at the beginning of s and gives its length and its replacement.
func (r *run) directive(s string, a *percentArgs) (int, string, error) {
	d := &directive{s: s, i: 1, a: a, f: spec{fill: " ", precision: -1, align: '>'}}
	if err := d.key(r); err != nil {
		return 0, "", err
	}
	d.flags()
	if err := d.sizes(); err != nil {
		return 0, "", err
	}
	for d.i < len(s) && strings.IndexByte("hlL", s[d.i]) >= 0 {
		d.i++
	}
	if d.i >= len(s) {
		return 0, "", raise(valueError, "incomplete format")
	}
	d.f.kind = s[d.i]
	d.i++
	if d.f.kind == '%' {
		return d.i, "%", nil
	}
	v, err := d.named, error(nil)
	if v == nil {
		if v, err = a.take(); err != nil {
			return 0, "", err
		}
	}
	out, err := percentValue(v, d.f, d.zero, d.left)
	return d.i, out, err
}

func (d *directive) peek(c byte) bool { return d.i < len(d.s) && d.s[d.i] == c }

// key reads "(name)".
func (d *directive) key(r *run) error {
	if !d.peek('(') {
		return nil
	}
	depth, start := 1, d.i+1
	for d.i++; d.i < len(d.s) && depth > 0; d.i++ {
		switch d.s[d.i] {
		case '(':
			depth++
		case ')':
			depth--
		}
	}
	if depth > 0 {
		return raise(valueError, "incomplete format key")
	}
	if d.a.dict == nil {
		return raise(typeError, "format requires a mapping")
	}
	v, err := r.index(d.a.dict, text(d.s[start:d.i-1]))
	d.named, d.a.used = v, true
	return err
}

func (d *directive) flags() {
	for ; d.i < len(d.s); d.i++ {
		switch d.s[d.i] {
		case '#':
			d.f.alternate = true
		case '0':
			d.zero = true
		case '-':
			d.left = true
		case '+':
			d.f.sign = '+'
		case ' ':
			if d.f.sign == 0 {
				d.f.sign = ' '
			}
		default:
			return
		}
	}
}

// sizes reads width and precision.
func (d *directive) sizes() (err error) {
	if d.f.width, err = d.size(); err != nil {
		return err
	}
	if d.f.width < 0 {
		d.f.width, d.left = -d.f.width, true
	}
	if d.peek('.') {
		d.i++
		if d.f.precision, err = d.size(); err != nil {
			return err
		}
		d.f.precision = max(d.f.precision, 0)
	}
	return nil
}

const maxWidth = 1_000_000

// size reads digits, or takes an argument for "*".
func (d *directive) size() (int, error) {
	if d.peek('*') {
		d.i++
		v, err := d.a.take()
		if err != nil {
			return 0, err
		}
		i, ok := v.(starlark.Int)
		if !ok {
			return 0, raise(typeError, "* wants int")
		}
		n, ok := i.Int64()
		if !ok || n > maxWidth || n < -maxWidth {
			return 0, unsupported("a format width of this size")
		}
		return int(n), nil
	}
	start := d.i
	for d.i < len(d.s) && isDigit(d.s[d.i]) {
		d.i++
	}
	if start == d.i {
		return 0, nil
	}
	n, err := strconv.Atoi(d.s[start:d.i])
	if err != nil || n > maxWidth {
		return 0, unsupported("a format width of this size")
	}
	return n, nil
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
