// SPDX-License-Identifier: MIT

package pyeval

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// pyTypes are the classes among the builtins.
func pyTypes() []*pyType {
	types := []*pyType{
		{name: "str", call: newStr, has: func(v starlark.Value) bool { _, ok := v.(starlark.String); return ok }},
		{name: "bytes", call: newBytes, has: func(v starlark.Value) bool { _, ok := v.(starlark.Bytes); return ok }},
		{name: "int", call: newInt, has: func(v starlark.Value) bool { _, ok := asInt(v); return ok }},
		{name: "float", call: newFloat, has: func(v starlark.Value) bool { _, ok := v.(starlark.Float); return ok }},
		{name: "bool", call: newBool, has: func(v starlark.Value) bool { _, ok := v.(starlark.Bool); return ok }},
		{name: "list", call: newList, has: func(v starlark.Value) bool { _, ok := v.(*starlark.List); return ok }},
		{name: "tuple", call: newTuple, has: func(v starlark.Value) bool { _, ok := v.(starlark.Tuple); return ok }},
		{name: "dict", call: newDict, has: func(v starlark.Value) bool { _, ok := v.(*starlark.Dict); return ok }},
		{name: "set", call: newSet, has: func(v starlark.Value) bool { _, ok := v.(*starlark.Set); return ok }},
		{name: "frozenset", call: newFrozenset, has: func(starlark.Value) bool { return false }},
	}
	byName := map[string]*pyType{}
	for _, t := range types {
		byName[t.name] = t
	}
	typeType := &pyType{name: "type"}
	typeType.has = func(v starlark.Value) bool { return v.Type() == "type" }
	typeType.call = func(_ *run, a args) (starlark.Value, error) {
		if err := a.exactly(1); err != nil {
			return nil, unsupported("type() with these arguments")
		}
		switch x := a.pos[0].(type) {
		case *exc:
			return x.class, nil
		case *instance:
			return x.class, nil
		case *pyType, *excClass, *pyClass:
			return typeType, nil
		}
		if t := byName[typeName(a.pos[0])]; t != nil {
			return t, nil
		}
		return nil, unsupported("the type of a %s object", typeName(a.pos[0]))
	}
	return append(types, typeType)
}

func newStr(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("object?", "encoding?", "errors?")
	if err != nil {
		return nil, err
	}
	if v[1] != nil || v[2] != nil {
		b, ok := v[0].(starlark.Bytes)
		if !ok {
			return nil, raise(typeError, "decoding to str: need a bytes-like object, %s found", typeName(v[0]))
		}
		return decode(string(b), v[1], v[2])
	}
	if v[0] == nil {
		return text(""), nil
	}
	s, err := str(v[0])
	return text(s), err
}

// codec checks the name of an encoding; only UTF-8 and ASCII are known.
func codec(v starlark.Value) (asciiOnly bool, err error) {
	if isNone(v) {
		return false, nil
	}
	name, ok := v.(starlark.String)
	if !ok {
		return false, raise(typeError, "encoding must be str, not %s", typeName(v))
	}
	switch strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(string(name))) {
	case "utf8", "u8":
		return false, nil
	case "ascii", "usascii":
		return true, nil
	}
	return false, unsupported("the encoding %s", name)
}

// decode makes bytes text.
func decode(b string, encoding, errors starlark.Value) (starlark.Value, error) {
	asciiOnly, err := codec(encoding)
	if err != nil {
		return nil, err
	}
	if utf8.ValidString(b) && (!asciiOnly || ascii(b)) {
		return text(b), nil
	}
	if !isNone(errors) && errors != text("strict") {
		return nil, unsupported("decoding invalid text with errors=%s", errors)
	}
	return nil, raise(unicodeDecodeError, "invalid text")
}

func newBytes(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("source?", "encoding?", "errors?")
	if err != nil {
		return nil, err
	}
	switch src := v[0].(type) {
	case nil:
		return starlark.Bytes(""), nil
	case starlark.Bytes:
		return src, nil
	case starlark.String:
		if v[1] == nil {
			return nil, raise(typeError, "string argument without an encoding")
		}
		return encode(string(src), v[1], v[2])
	}
	return nil, unsupported("bytes() of a %s", typeName(v[0]))
}

// encode makes text bytes.
func encode(s string, encoding, errors starlark.Value) (starlark.Value, error) {
	asciiOnly, err := codec(encoding)
	if err != nil {
		return nil, err
	}
	if asciiOnly && !ascii(s) {
		if !isNone(errors) && errors != text("strict") {
			return nil, unsupported("encoding with errors=%s", errors)
		}
		return nil, raise(unicodeEncodeError, "'ascii' codec can't encode characters: ordinal not in range(128)")
	}
	return starlark.Bytes(s), nil
}

func newInt(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("x?", "/", "base?")
	if err != nil {
		return nil, err
	}
	switch x := v[0].(type) {
	case nil:
		if v[1] != nil {
			return nil, raise(typeError, "int() missing string argument")
		}
		return number(0), nil
	case starlark.String:
		base, err := a.wantInt(v[1], 10)
		if err != nil {
			return nil, err
		}
		return parseInt(string(x), base)
	case starlark.Bytes:
		return nil, unsupported("int() of bytes")
	}
	if v[1] != nil {
		return nil, raise(typeError, "int() can't convert non-string with explicit base")
	}
	if f, ok := v[0].(starlark.Float); ok {
		switch {
		case math.IsNaN(float64(f)):
			return nil, raise(valueError, "cannot convert float NaN to integer")
		case math.IsInf(float64(f), 0):
			return nil, raise(overflowError, "cannot convert float infinity to integer")
		}
		return truncate(float64(f)), nil
	}
	if i, ok := asInt(v[0]); ok {
		return i, nil
	}
	return nil, raise(typeError, "int() argument must be a string, a bytes-like object or a real number, not '%s'", typeName(v[0]))
}

// hasWideDigits looks for digits and spaces outside ASCII, which int() and float() take.
func hasWideDigits(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= utf8.RuneSelf && (unicode.IsDigit(c) || isSpace(c)) }) >= 0
}

// parseInt is int(s, base) of a str.
func parseInt(s string, base int) (starlark.Value, error) {
	shown, err := repr(text(s))
	if err != nil {
		return nil, err
	}
	bad := raise(valueError, "invalid literal for int() with base %d: %s", base, shown)
	if base != 0 && (base < 2 || base > 36) {
		return nil, raise(valueError, "int() base must be >= 2 and <= 36, or 0")
	}
	if hasWideDigits(s) {
		return nil, unsupported("int() of digits outside ASCII")
	}
	if len(s) > 4000 {
		return nil, unsupported("int() of text of this length")
	}
	digits := strings.TrimFunc(s, isSpace)
	neg := strings.HasPrefix(digits, "-")
	if neg || strings.HasPrefix(digits, "+") {
		digits = digits[1:]
	}
	if len(digits) > 1 && digits[0] == '0' {
		prefixed := map[byte]int{'x': 16, 'o': 8, 'b': 2}[digits[1]|0x20]
		switch {
		case prefixed != 0 && (base == 0 || base == prefixed):
			base, digits = prefixed, strings.TrimPrefix(digits[2:], "_")
		case base == 0 && strings.Trim(digits, "0_") != "":
			return nil, bad
		}
	}
	if base == 0 {
		base = 10
	}
	if digits == "" || strings.HasPrefix(digits, "_") || strings.HasSuffix(digits, "_") || strings.Contains(digits, "__") || strings.ContainsAny(digits, "+-") {
		return nil, bad
	}
	i, ok := new(big.Int).SetString(strings.ReplaceAll(digits, "_", ""), base)
	if !ok {
		return nil, bad
	}
	if neg {
		i.Neg(i)
	}
	return starlark.MakeBigInt(i), nil
}

func newFloat(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("x?", "/")
	if err != nil {
		return nil, err
	}
	switch x := v[0].(type) {
	case nil:
		return starlark.Float(0), nil
	case starlark.String:
		return parseFloat(string(x))
	}
	if !isNumber(v[0]) {
		return nil, raise(typeError, "float() argument must be a string or a real number, not '%s'", typeName(v[0]))
	}
	f, err := toFloat(v[0])
	return starlark.Float(f), err
}

func parseFloat(s string) (starlark.Value, error) {
	shown, err := repr(text(s))
	if err != nil {
		return nil, err
	}
	if hasWideDigits(s) {
		return nil, unsupported("float() of digits outside ASCII")
	}
	word := strings.ToLower(strings.TrimFunc(s, isSpace))
	bad := raise(valueError, "could not convert string to float: %s", shown)
	switch strings.TrimLeft(word, "+-") {
	case "inf", "infinity", "nan":
	default:
		if word == "" || strings.ContainsAny(word, "xpin") {
			return nil, bad
		}
	}
	for i := range len(word) { // an underscore stands between digits
		if word[i] == '_' && (i == 0 || i+1 == len(word) || !isDigit(word[i-1]) || !isDigit(word[i+1])) {
			return nil, bad
		}
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(word, "_", ""), 64)
	if err != nil && !math.IsInf(f, 0) {
		return nil, bad
	}
	return starlark.Float(f), nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func newBool(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("x?", "/")
	if err != nil {
		return nil, err
	}
	return boolean(v[0] != nil && bool(v[0].Truth())), nil
}

// items is the content of an optional iterable argument.
func (r *run) items(a args) ([]starlark.Value, error) {
	v, err := a.bind("iterable?", "/")
	if err != nil || v[0] == nil {
		return nil, err
	}
	return r.collect(v[0])
}

func newList(r *run, a args) (starlark.Value, error) {
	vs, err := r.items(a)
	return list(append([]starlark.Value{}, vs...)), err
}

func newTuple(r *run, a args) (starlark.Value, error) {
	vs, err := r.items(a)
	return append(starlark.Tuple{}, vs...), err
}

func newSet(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("iterable?", "/")
	if err != nil {
		return nil, err
	}
	if v[0] == nil {
		return starlark.NewSet(0), nil
	}
	vs, err := r.collectFor(v[0], nil)
	if err != nil {
		return nil, err
	}
	return makeSet(vs)
}

func newFrozenset(*run, args) (starlark.Value, error) { return nil, unsupported("frozenset()") }

func newDict(r *run, a args) (starlark.Value, error) {
	out := starlark.NewDict(len(a.kw))
	if len(a.pos) > 1 {
		return nil, raise(typeError, "dict expected at most 1 argument, got %d", len(a.pos))
	}
	for _, v := range a.pos {
		if err := r.updateDict(out, v); err != nil {
			return nil, err
		}
	}
	for _, kv := range a.kw {
		if err := setKey(out, kv[0], kv[1]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// updateDict is dict.update for one positional argument.
func (r *run) updateDict(d *starlark.Dict, v starlark.Value) error {
	if from, ok := v.(*starlark.Dict); ok {
		for _, item := range from.Items() {
			if err := setKey(d, item[0], item[1]); err != nil {
				return err
			}
		}
		return nil
	}
	next, err := r.iterate(v)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		item, ok, err := next()
		if !ok || err != nil {
			return err
		}
		pair, err := r.unpack(item, 2, -1)
		if err != nil {
			if x := asException(err); x != nil && x.class == valueError {
				return raise(valueError, "dictionary update sequence element #%d has a wrong length; 2 is required", i)
			}
			return err
		}
		if err := setKey(d, pair[0], pair[1]); err != nil {
			return err
		}
	}
}
