package cpython

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// Messages are values in the format of CPython's module marshal, version 2, of which a few types are used: None, bool, int,
// text, tuples, lists and dicts. Text that is not UTF-8 passes through as Python's surrogateescape has it.

type (
	// tuple is a message or a part of one.
	tuple []any
	// table is a dict in a fixed order.
	table [][2]any
)

const (
	maxFrame = 256 << 20
	maxNest  = 100
)

// encode appends v in marshal's format.
func encode(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 'N')
	case bool:
		if v {
			return append(b, 'T')
		}
		return append(b, 'F')
	case int:
		return encodeInt(b, int64(v))
	case int64:
		return encodeInt(b, v)
	case string:
		return encodeText(b, v)
	case []byte:
		return append(binary.LittleEndian.AppendUint32(append(b, 's'), uint32(len(v))), v...)
	case tuple:
		return encodeItems(append(b, '('), v)
	case []any:
		return encodeItems(append(b, '['), v)
	case []string:
		b = binary.LittleEndian.AppendUint32(append(b, '['), uint32(len(v)))
		for _, s := range v {
			b = encodeText(b, s)
		}
		return b
	case table:
		b = append(b, '{')
		for _, item := range v {
			b = encode(encode(b, item[0]), item[1])
		}
		return append(b, '0')
	}
	panic(fmt.Sprintf("BUG: a %T in a message", v))
}

func encodeItems(b []byte, vs []any) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(vs)))
	for _, v := range vs {
		b = encode(b, v)
	}
	return b
}

// encodeInt writes a 32-bit int, or Python's digits of 15 bits.
func encodeInt(b []byte, n int64) []byte {
	if n >= math.MinInt32 && n <= math.MaxInt32 {
		return binary.LittleEndian.AppendUint32(append(b, 'i'), uint32(int32(n)))
	}
	u := uint64(n)
	if n < 0 {
		u = -u
	}
	var digits []byte
	count := int32(0)
	for ; u > 0; u >>= 15 {
		digits = binary.LittleEndian.AppendUint16(digits, uint16(u&0x7fff))
		count++
	}
	if n < 0 {
		count = -count
	}
	return append(binary.LittleEndian.AppendUint32(append(b, 'l'), uint32(count)), digits...)
}

func encodeText(b []byte, s string) []byte {
	if utf8.ValidString(s) {
		return append(binary.LittleEndian.AppendUint32(append(b, 'u'), uint32(len(s))), s...)
	}
	var out []byte
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 { // the byte x becomes U+DCxx, which UTF-8 does not have
			out = append(out, 0xed, 0xb0|s[i]>>6&3, 0x80|s[i]&0x3f)
		} else {
			out = append(out, s[i:i+n]...)
		}
		i += n
	}
	return append(binary.LittleEndian.AppendUint32(append(b, 'u'), uint32(len(out))), out...)
}

var errFrame = errors.New("the message cannot be read")

// decoder reads marshal's format.
type decoder struct {
	b    []byte
	nest int
}

func decode(b []byte) (any, error) {
	d := &decoder{b: b}
	v, err := d.value()
	if err == nil && len(d.b) > 0 {
		err = errFrame
	}
	return v, err
}

func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.b) {
		return nil, errFrame
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out, nil
}

func (d *decoder) size() (int, error) {
	b, err := d.take(4)
	if err != nil {
		return 0, err
	}
	return int(int32(binary.LittleEndian.Uint32(b))), nil
}

func (d *decoder) value() (any, error) {
	if d.nest++; d.nest > maxNest {
		return nil, errFrame
	}
	defer func() { d.nest-- }()
	kind, err := d.take(1)
	if err != nil {
		return nil, err
	}
	switch kind[0] {
	case 'N':
		return nil, nil
	case 'T':
		return true, nil
	case 'F':
		return false, nil
	case 'i':
		n, err := d.size()
		return int64(n), err
	case 'l':
		return d.long()
	case 'u', 's':
		n, err := d.size()
		if err != nil {
			return nil, err
		}
		text, err := d.take(n)
		return unescape(text), err
	case '(', '[':
		return d.items()
	case '{':
		return d.dict()
	}
	return nil, errFrame
}

func (d *decoder) items() (any, error) {
	n, err := d.size()
	if err != nil || n < 0 || n > len(d.b) {
		return nil, errFrame
	}
	out := make([]any, n)
	for i := range out {
		if out[i], err = d.value(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (d *decoder) dict() (any, error) {
	out := map[string]any{}
	for {
		if len(d.b) > 0 && d.b[0] == '0' {
			d.b = d.b[1:]
			return out, nil
		}
		k, err := d.value()
		if err != nil {
			return nil, err
		}
		key, ok := k.(string)
		if !ok {
			return nil, errFrame
		}
		if out[key], err = d.value(); err != nil {
			return nil, err
		}
	}
}

func (d *decoder) long() (any, error) {
	count, err := d.size()
	if err != nil || count < -5 || count > 5 {
		return nil, errFrame
	}
	digits, err := d.take(2 * max(count, -count))
	if err != nil {
		return nil, err
	}
	var n int64
	for i := len(digits) - 2; i >= 0; i -= 2 {
		n = n<<15 | int64(binary.LittleEndian.Uint16(digits[i:]))
	}
	if count < 0 {
		n = -n
	}
	return n, nil
}

// unescape turns U+DC80 to U+DCFF back into the bytes they stand for. Other lone surrogates have no text; they become U+FFFD.
func unescape(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out := slices.Grow([]byte(nil), len(b))
	for i := 0; i < len(b); {
		if i+2 < len(b) && b[i] == 0xed && b[i+1]&0xfc == 0xb0 {
			out = append(out, b[i+1]&3<<6|b[i+2]&0x3f)
			i += 3
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		out = utf8.AppendRune(out, r)
		i += n
	}
	return string(out)
}
