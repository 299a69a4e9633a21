// SPDX-License-Identifier: MIT

package pyeval

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// spec is a parsed format specification: [[fill]align][sign][#][0][width][,][.precision][type].
type spec struct {
	fill      string
	align     byte // '<', '>', '^', '=' or 0
	sign      byte
	alternate bool
	width     int
	group     string
	precision int // -1 = none
	kind      byte
}

func parseSpec(s string) (spec, error) {
	f := spec{fill: " ", precision: -1}
	bad := func() (spec, error) { return f, raise(valueError, "Invalid format specifier '%s'", s) }
	rest := s
	explicit := false
	if c, n := utf8.DecodeRuneInString(rest); n > 0 && len(rest) > n && strings.IndexByte("<>^=", rest[n]) >= 0 {
		f.fill, f.align, rest, explicit = string(c), rest[n], rest[n+1:], true
	} else if rest != "" && strings.IndexByte("<>^=", rest[0]) >= 0 {
		f.align, rest = rest[0], rest[1:]
	}
	take := func(chars string) byte {
		if rest != "" && strings.IndexByte(chars, rest[0]) >= 0 {
			c := rest[0]
			rest = rest[1:]
			return c
		}
		return 0
	}
	f.sign = take("+- ")
	if take("z") != 0 {
		return f, unsupported("the format option \"z\"")
	}
	f.alternate = take("#") != 0
	if take("0") != 0 && !explicit {
		f.fill = "0"
		if f.align == 0 {
			f.align = '='
		}
	}
	digits := func() (int, bool) {
		n := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		v, err := strconv.Atoi(rest[:n])
		rest = rest[n:]
		return v, err == nil && v <= 1_000_000
	}
	if rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		var ok bool
		if f.width, ok = digits(); !ok {
			return f, unsupported("a format width of this size")
		}
	}
	if c := take(",_"); c != 0 {
		f.group = string(c)
	}
	if take(".") != 0 {
		var ok bool
		if f.precision, ok = digits(); !ok {
			return bad()
		}
	}
	if len(rest) > 1 {
		return bad()
	}
	if rest != "" {
		f.kind = rest[0]
	}
	return f, nil
}

// formatValue is format(v, s).
func (r *run) formatValue(v starlark.Value, s string) (string, error) {
	if s == "" {
		return str(v)
	}
	switch v.(type) {
	case starlark.String, starlark.Int, starlark.Float, starlark.Bool:
	default:
		return "", raise(typeError, "unsupported format string passed to %s.__format__", typeName(v))
	}
	f, err := parseSpec(s)
	if err != nil {
		return "", err
	}
	badKind := func() (string, error) {
		return "", raise(valueError, "Unknown format code '%c' for object of type '%s'", f.kind, typeName(v))
	}
	switch v := v.(type) {
	case starlark.String:
		return formatStr(string(v), f, badKind)
	case starlark.Float:
		return formatFloat(float64(v), f, badKind)
	}
	i, _ := asInt(v)
	switch f.kind {
	case 'e', 'E', 'f', 'F', 'g', 'G', '%':
		x, err := toFloat(v)
		if err != nil {
			return "", err
		}
		return formatFloat(x, f, badKind)
	}
	return formatInt(i, f, badKind)
}

func formatStr(s string, f spec, badKind func() (string, error)) (string, error) {
	switch {
	case f.kind != 0 && f.kind != 's':
		return badKind()
	case f.sign != 0:
		return "", raise(valueError, "Sign not allowed in string format specifier")
	case f.alternate:
		return "", raise(valueError, "Alternate form (#) not allowed in string format specifier")
	case f.group != "":
		return "", raise(valueError, "Cannot specify '%s' with 's'.", f.group)
	case f.align == '=' && f.fill == "0":
		// CPython before 3.10 refuses what later versions pad on the right
		return "", unsupported("zero padding of a str")
	case f.align == '=':
		return "", raise(valueError, "'=' alignment not allowed in string format specifier")
	}
	if f.precision >= 0 && characters(s) > f.precision {
		s = string([]rune(s)[:f.precision])
	}
	if f.align == 0 {
		f.align = '<'
	}
	return pad("", s, f), nil
}

// pad fills up to the width; sign stays in front of the padding of '='.
func pad(sign, body string, f spec) string {
	missing := f.width - characters(sign) - characters(body)
	if missing <= 0 {
		return sign + body
	}
	switch f.align {
	case '<':
		return sign + body + strings.Repeat(f.fill, missing)
	case '^':
		left := missing / 2
		return strings.Repeat(f.fill, left) + sign + body + strings.Repeat(f.fill, missing-left)
	case '=':
		return sign + strings.Repeat(f.fill, missing) + body
	}
	return strings.Repeat(f.fill, missing) + sign + body
}

func formatInt(i starlark.Int, f spec, badKind func() (string, error)) (string, error) {
	if f.precision >= 0 {
		return "", raise(valueError, "Precision not allowed in integer format specifier")
	}
	base, prefix, every := 10, "", 3
	switch f.kind {
	case 0, 'd':
	case 'b':
		base, prefix, every = 2, "0b", 4
	case 'o':
		base, prefix, every = 8, "0o", 4
	case 'x', 'X':
		base, prefix, every = 16, "0"+string(f.kind), 4
	case 'c', 'n':
		return "", unsupported("the format code '%c'", f.kind)
	default:
		return badKind()
	}
	if f.group == "," && base != 10 {
		return "", raise(valueError, "Cannot specify ',' with '%c'.", f.kind)
	}
	if err := printable(i); err != nil {
		return "", err
	}
	neg := i.Sign() < 0
	digits := strings.TrimPrefix(i.BigInt().Text(base), "-")
	if f.kind == 'X' {
		digits = strings.ToUpper(digits)
	}
	sign := signOf(neg, f)
	if f.alternate {
		sign += prefix
	}
	if f.align == 0 {
		f.align = '>'
	}
	return grouped(sign, digits, "", every, f), nil
}

func signOf(neg bool, f spec) string {
	switch {
	case neg:
		return "-"
	case f.sign == '+' || f.sign == ' ':
		return string(f.sign)
	}
	return ""
}

// grouped separates the digits and pads; zero padding is separated too.
func grouped(sign, digits, tail string, every int, f spec) string {
	if f.group == "" {
		return pad(sign, digits+tail, f)
	}
	separate := func(s string) string {
		var b strings.Builder
		for i, c := range s {
			if i > 0 && (len(s)-i)%every == 0 {
				b.WriteString(f.group)
			}
			b.WriteRune(c)
		}
		return b.String()
	}
	out := separate(digits)
	if f.fill == "0" && f.align == '=' {
		for len(sign)+len(out)+len(tail) < f.width {
			digits = "0" + digits
			out = separate(digits)
		}
	}
	return pad(sign, out+tail, f)
}

func formatFloat(x float64, f spec, badKind func() (string, error)) (string, error) {
	kind, precision, percent := f.kind, f.precision, ""
	switch kind {
	case 0:
	case 'e', 'E', 'f', 'F', 'g', 'G':
		if precision < 0 {
			precision = 6
		}
	case '%':
		kind, percent, x = 'f', "%", x*100
		if precision < 0 {
			precision = 6
		}
	case 'n':
		return "", unsupported("the format code 'n'")
	default:
		return badKind()
	}
	if f.alternate || math.IsNaN(x) || math.IsInf(x, 0) {
		return "", unsupported("this format of a float")
	}
	digits := floatDigits(math.Abs(x), kind, precision)
	whole, tail := digits, ""
	if i := strings.IndexAny(digits, ".eE"); i >= 0 {
		whole, tail = digits[:i], digits[i:]
	}
	if f.align == 0 {
		f.align = '>'
	}
	return grouped(signOf(math.Signbit(x), f), whole, tail+percent, 3, f), nil
}

// floatDigits is the text of x >= 0.
func floatDigits(x float64, kind byte, precision int) string {
	switch kind {
	case 0:
		if precision < 0 {
			return floatRepr(x)
		}
		s := general(x, max(precision, 1), 1)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s
	case 'g', 'G':
		s := general(x, max(precision, 1), 0)
		if kind == 'G' {
			s = strings.ToUpper(s)
		}
		return s
	case 'e', 'E':
		return strconv.FormatFloat(x, kind, precision, 64)
	}
	return strconv.FormatFloat(x, 'f', precision, 64)
}

// general is C's %g: the exponent decides; early = 1 switches one digit earlier, as for no type.
func general(x float64, precision, early int) string {
	s := strconv.FormatFloat(x, 'e', precision-1, 64)
	i := strings.IndexByte(s, 'e')
	exp, _ := strconv.Atoi(s[i+1:])
	if exp < -4 || exp >= precision-early {
		return trimZeros(s[:i]) + s[i:]
	}
	return trimZeros(strconv.FormatFloat(x, 'f', max(precision-1-exp, 0), 64))
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
