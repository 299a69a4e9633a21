// SPDX-License-Identifier: MIT

package pyeval

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// str is str(v).
func str(v starlark.Value) (string, error) {
	switch v := v.(type) {
	case starlark.String:
		return string(v), nil
	case *exc:
		return v.str()
	case *uuidValue:
		return v.id.String(), nil
	}
	return repr(v)
}

// plain is str(v) for messages.
func plain(v starlark.Value) string {
	s, err := str(v)
	if err != nil {
		return v.String()
	}
	return s
}

// repr is repr(v); what CPython prints with an address or in an arbitrary order is refused.
func repr(v starlark.Value) (string, error) {
	var b strings.Builder
	err := writeRepr(&b, v, 0)
	if err == nil {
		err = sized(b.Len(), maxText)
	}
	return b.String(), err
}

func writeRepr(b *strings.Builder, v starlark.Value, depth int) error {
	if depth > maxDepth {
		return unsupported("the text of values nested this deep")
	}
	switch v := v.(type) {
	case starlark.Int:
		b.WriteString(v.String())
		return printable(v)
	case starlark.NoneType, starlark.Bool:
		b.WriteString(v.String())
	case starlark.Float:
		b.WriteString(floatRepr(float64(v)))
	case starlark.String:
		return quote(b, string(v))
	case starlark.Bytes:
		b.WriteByte('b')
		quoteBytes(b, string(v))
	case *starlark.List:
		return reprItems(b, "[", elems(v), "]", depth)
	case starlark.Tuple:
		closer := ")"
		if len(v) == 1 {
			closer = ",)"
		}
		return reprItems(b, "(", v, closer, depth)
	case *starlark.Dict:
		return reprDict(b, v, depth)
	case *starlark.Set:
		items := setElems(v)
		switch len(items) {
		case 0:
			b.WriteString("set()")
			return nil
		case 1:
			return reprItems(b, "{", items, "}", depth)
		}
		return unsupported("the text of a set of several items (their order is random)")
	case *view:
		b.WriteString(v.kind)
		return reprItems(b, "([", v.list(), "])", depth)
	case *rng:
		if v.step == 1 {
			fmt.Fprintf(b, "range(%d, %d)", v.start, v.stop)
		} else {
			fmt.Fprintf(b, "range(%d, %d, %d)", v.start, v.stop, v.step)
		}
	case *uuidValue:
		b.WriteString("UUID('" + v.id.String() + "')")
	case *exc:
		b.WriteString(v.class.name)
		return reprItems(b, "(", v.args, ")", depth)
	default:
		return unsupported("the text of a %s object", typeName(v))
	}
	return nil
}

// printable refuses ints with more than 4300 digits, which newer versions of CPython refuse too.
func printable(i starlark.Int) error {
	if i.BigInt().BitLen() > 14_000 {
		return unsupported("the text of an int of this size")
	}
	return nil
}

func reprItems(b *strings.Builder, open string, vs []starlark.Value, closer string, depth int) error {
	b.WriteString(open)
	for i, v := range vs {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := writeRepr(b, v, depth+1); err != nil {
			return err
		}
	}
	b.WriteString(closer)
	return sized(b.Len(), maxText)
}

func reprDict(b *strings.Builder, d *starlark.Dict, depth int) error {
	b.WriteByte('{')
	for i, item := range d.Items() {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := writeRepr(b, item[0], depth+1); err != nil {
			return err
		}
		b.WriteString(": ")
		if err := writeRepr(b, item[1], depth+1); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return sized(b.Len(), maxText)
}

// quote writes a str literal: single quotes, unless the text has some and no double ones.
func quote(b *strings.Builder, s string) error {
	q := '\''
	if strings.ContainsRune(s, '\'') && !strings.ContainsRune(s, '"') {
		q = '"'
	}
	b.WriteRune(q)
	for i, c := range s {
		switch {
		case c == q || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(b, `\x%02x`, c)
		case c < utf8.RuneSelf:
			b.WriteRune(c)
		case c == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			return unsupported("a string that is not UTF-8")
		default:
			if err := quoteWide(b, c); err != nil {
				return err
			}
		}
	}
	b.WriteRune(q)
	return nil
}

// quoteWide writes a character outside ASCII: as it is if it is printable.
func quoteWide(b *strings.Builder, c rune) error {
	switch {
	case unicode.In(c, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S):
		b.WriteRune(c)
	case !unicode.In(c, unicode.Z, unicode.Cc, unicode.Cf, unicode.Co):
		return unsupported("repr() of the character U+%04X", c) // unassigned here, perhaps not there
	case c <= 0xff:
		fmt.Fprintf(b, `\x%02x`, c)
	case c <= 0xffff:
		fmt.Fprintf(b, `\u%04x`, c)
	default:
		fmt.Fprintf(b, `\U%08x`, c)
	}
	return nil
}

func quoteBytes(b *strings.Builder, s string) {
	q := byte('\'')
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		q = '"'
	}
	b.WriteByte(q)
	for i := range len(s) {
		switch c := s[i]; {
		case c == q || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte(q)
}

// asciiText is ascii(v), given repr(v).
func asciiText(s string) string {
	var b strings.Builder
	for _, c := range s {
		switch {
		case c < utf8.RuneSelf:
			b.WriteRune(c)
		case c <= 0xff:
			fmt.Fprintf(&b, `\x%02x`, c)
		case c <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			fmt.Fprintf(&b, `\U%08x`, c)
		}
	}
	return b.String()
}

// floatRepr is the shortest text that reads back as f.
func floatRepr(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	exp, _ := strconv.Atoi(s[strings.IndexByte(s, 'e')+1:])
	if exp < -4 || exp >= 16 {
		return s
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
