// SPDX-License-Identifier: MIT

package pyeval

import (
	"strings"
	"unicode"

	"go.starlark.net/starlark"
)

// isSpace is str.isspace for one character; it includes the four ASCII separators.
func isSpace(c rune) bool {
	switch {
	case c >= '\t' && c <= '\r', c >= 0x1c && c <= ' ', c == 0x85, c == 0xa0, c == 0x1680, c >= 0x2000 && c <= 0x200a,
		c == 0x2028, c == 0x2029, c == 0x202f, c == 0x205f, c == 0x3000:
		return true
	}
	return false
}

// strMethod is a method of str.
type strMethod = func(r *run, s string, a args) (starlark.Value, error)

func strMethods() map[string]strMethod {
	return map[string]strMethod{
		"capitalize": caseMethod(capitalize), "casefold": caseMethod(strings.ToLower), "lower": caseMethod(strings.ToLower),
		"upper": caseMethod(strings.ToUpper), "swapcase": caseMethod(swapcase), "title": caseMethod(title),
		"center": strCenter, "ljust": justify('<'), "rjust": justify('>'), "zfill": strZfill,
		"count": strCount, "find": strFind(false, false), "rfind": strFind(true, false), "index": strFind(false, true), "rindex": strFind(true, true),
		"startswith": strAffix(strings.HasPrefix), "endswith": strAffix(strings.HasSuffix),
		"removeprefix": strCut(strings.TrimPrefix), "removesuffix": strCut(strings.TrimSuffix),
		"split": strSplit, "rsplit": strRsplit, "splitlines": strSplitlines, "partition": strPartition, "rpartition": strRpartition,
		"strip": strStrip(true, true), "lstrip": strStrip(true, false), "rstrip": strStrip(false, true),
		"join": strJoin, "replace": strReplace, "expandtabs": strExpandtabs, "format": strFormat, "format_map": strFormatMap,
		"encode": strEncode, "translate": strTranslate,
		"isalnum": strIs(isAlphaNumeric), "isalpha": strIs(unicode.IsLetter), "isdecimal": strIs(isASCIIDigit), "isdigit": strIs(isASCIIDigit),
		"isnumeric": strIs(isASCIIDigit), "isspace": strIsSpace, "isascii": strIsASCII, "isidentifier": strIsIdentifier,
		"islower": strIsCase(unicode.IsLower, unicode.IsUpper), "isupper": strIsCase(unicode.IsUpper, unicode.IsLower),
		"isprintable": strIsPrintable, "istitle": strIsTitle,
	}
}

// asciiOnly refuses text whose letters need Unicode's tables, which differ between versions.
func asciiOnly(fn, s string) error {
	if ascii(s) {
		return nil
	}
	return unsupported("str.%s() of text outside ASCII", fn)
}

func caseMethod(change func(string) string) strMethod {
	return func(_ *run, s string, a args) (starlark.Value, error) {
		if err := a.exactly(0); err != nil {
			return nil, err
		}
		return text(change(s)), asciiOnly(a.fn, s)
	}
}

func capitalize(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + strings.ToLower(s[1:])
}

func swapcase(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsUpper(c) {
			return unicode.ToLower(c)
		}
		return unicode.ToUpper(c)
	}, s)
}

func title(s string) string {
	inWord := false
	return strings.Map(func(c rune) rune {
		first := !inWord
		if inWord = unicode.IsLetter(c); first {
			return unicode.ToUpper(c)
		}
		return unicode.ToLower(c)
	}, s)
}

func isASCIIDigit(c rune) bool   { return c >= '0' && c <= '9' }
func isAlphaNumeric(c rune) bool { return isASCIIDigit(c) || unicode.IsLetter(c) }
func strIsASCII(_ *run, s string, a args) (starlark.Value, error) {
	return boolean(ascii(s)), a.exactly(0)
}

// strIs reports whether all characters (at least one) have a property.
func strIs(property func(rune) bool) strMethod {
	return func(_ *run, s string, a args) (starlark.Value, error) {
		if err := a.exactly(0); err != nil {
			return nil, err
		}
		return boolean(s != "" && strings.IndexFunc(s, func(c rune) bool { return !property(c) }) < 0), asciiOnly(a.fn, s)
	}
}

func strIsSpace(_ *run, s string, a args) (starlark.Value, error) {
	return boolean(s != "" && strings.TrimFunc(s, isSpace) == ""), a.exactly(0)
}

func strIsPrintable(_ *run, s string, a args) (starlark.Value, error) {
	if err := a.exactly(0); err != nil {
		return nil, err
	}
	return boolean(strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) < 0), asciiOnly(a.fn, s)
}

func strIsIdentifier(_ *run, s string, a args) (starlark.Value, error) {
	if err := a.exactly(0); err != nil {
		return nil, err
	}
	ok := s != "" && !isASCIIDigit(rune(s[0])) && strings.IndexFunc(s, func(c rune) bool { return c != '_' && !isAlphaNumeric(c) }) < 0
	return boolean(ok), asciiOnly(a.fn, s)
}

func strIsCase(is, other func(rune) bool) strMethod {
	return func(_ *run, s string, a args) (starlark.Value, error) {
		if err := a.exactly(0); err != nil {
			return nil, err
		}
		return boolean(strings.IndexFunc(s, is) >= 0 && strings.IndexFunc(s, other) < 0), asciiOnly(a.fn, s)
	}
}

func strIsTitle(_ *run, s string, a args) (starlark.Value, error) {
	if err := a.exactly(0); err != nil {
		return nil, err
	}
	return boolean(strings.IndexFunc(s, unicode.IsLetter) >= 0 && title(s) == s), asciiOnly(a.fn, s)
}

// fillArgs are the width and the fill character of center, ljust and rjust.
func fillArgs(a args) (int, string, error) {
	v, err := a.bind("width", "fillchar?", "/")
	if err != nil {
		return 0, "", err
	}
	width, err := a.wantInt(v[0], 0)
	if err != nil {
		return 0, "", err
	}
	fill := " "
	if v[1] != nil {
		if fill, err = a.wantStr(v[1]); err != nil {
			return 0, "", err
		}
		if characters(fill) != 1 {
			return 0, "", raise(typeError, "The fill character must be exactly one character long")
		}
	}
	return width, fill, sized(width, maxText)
}

func justify(align byte) strMethod {
	return func(_ *run, s string, a args) (starlark.Value, error) {
		width, fill, err := fillArgs(a)
		if err != nil {
			return nil, err
		}
		return text(pad("", s, spec{fill: fill, align: align, width: width})), nil
	}
}

// strCenter differs from the format '^' in which side gets the odd character.
func strCenter(_ *run, s string, a args) (starlark.Value, error) {
	width, fill, err := fillArgs(a)
	if err != nil {
		return nil, err
	}
	missing := width - characters(s)
	if missing <= 0 {
		return text(s), nil
	}
	left := missing/2 + missing&width&1
	return text(strings.Repeat(fill, left) + s + strings.Repeat(fill, missing-left)), nil
}

func strZfill(_ *run, s string, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	width, err := a.wantInt(a.pos[0], 0)
	if err != nil {
		return nil, err
	}
	sign := ""
	if s != "" && (s[0] == '+' || s[0] == '-') {
		sign, s = s[:1], s[1:]
	}
	return text(pad(sign, s, spec{fill: "0", align: '=', width: width})), sized(width, maxText)
}

// window is s[start:end] as find and its relatives take it; from is where it begins, in
// characters, and ok is false when it begins behind the end.
func window(s string, a args, start, end starlark.Value) (sub string, from int, ok bool, err error) {
	w := &slice{lo: starlark.None, hi: starlark.None, step: starlark.None}
	if start != nil {
		w.lo = start
	}
	if end != nil {
		w.hi = end
	}
	n := characters(s)
	from, count, _, err := w.bounds(n)
	if err != nil {
		return "", 0, false, err
	}
	if w.lo != starlark.None {
		if lo, _ := sliceInt(w.lo); lo > n {
			return "", from, false, nil
		}
	}
	if w.hi != starlark.None { // an end ahead of the start finds not even the empty string
		hi, _ := sliceInt(w.hi)
		if hi < 0 {
			hi = max(hi+n, 0)
		}
		if hi < from {
			return "", from, false, nil
		}
	}
	if ascii(s) {
		return s[from : from+count], from, true, nil
	}
	return string([]rune(s)[from : from+count]), from, true, nil
}

func strCount(_ *run, s string, a args) (starlark.Value, error) {
	v, err := a.bind("sub", "start?", "end?", "/")
	if err != nil {
		return nil, err
	}
	sub, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	s, _, ok, err := window(s, a, v[1], v[2])
	if err != nil || !ok {
		return number(0), err
	}
	return number(strings.Count(s, sub)), nil
}

func strFind(last, must bool) strMethod {
	return func(_ *run, s string, a args) (starlark.Value, error) {
		v, err := a.bind("sub", "start?", "end?", "/")
		if err != nil {
			return nil, err
		}
		sub, err := a.wantStr(v[0])
		if err != nil {
			return nil, err
		}
		s, from, ok, err := window(s, a, v[1], v[2])
		if err != nil {
			return nil, err
		}
		at := -1
		if ok && last {
			at = strings.LastIndex(s, sub)
		} else if ok {
			at = strings.Index(s, sub)
		}
		switch {
		case at >= 0:
			return number(from + characters(s[:at])), nil
		case must:
			return nil, raise(valueError, "substring not found")
		}
		return number(-1), nil
	}
}

func strAffix(has func(s, affix string) bool) strMethod {
	return func(_ *run, s string, a args) (starlark.Value, error) {
		v, err := a.bind("affix", "start?", "end?", "/")
		if err != nil {
			return nil, err
		}
		s, _, ok, err := window(s, a, v[1], v[2])
		if err != nil {
			return nil, err
		}
		affixes, isTuple := v[0].(starlark.Tuple)
		if !isTuple {
			affixes = starlark.Tuple{v[0]}
		}
		for _, x := range affixes {
			affix, isStr := x.(starlark.String)
			if !isStr {
				return nil, raise(typeError, "%s first arg must be str or a tuple of str, not %s", a.fn, typeName(x))
			}
			if ok && has(s, string(affix)) {
				return boolean(true), nil
			}
		}
		return boolean(false), nil
	}
}

func strCut(cut func(s, affix string) string) strMethod {
	return func(_ *run, s string, a args) (starlark.Value, error) {
		if err := a.exactly(1); err != nil {
			return nil, err
		}
		affix, err := a.wantStr(a.pos[0])
		return text(cut(s, affix)), err
	}
}

func strStrip(left, right bool) strMethod {
	return func(_ *run, s string, a args) (starlark.Value, error) {
		v, err := a.bind("chars?", "/")
		if err != nil {
			return nil, err
		}
		in := isSpace
		if !isNone(v[0]) {
			chars, err := a.wantStr(v[0])
			if err != nil {
				return nil, err
			}
			in = func(c rune) bool { return strings.ContainsRune(chars, c) }
		}
		if left {
			s = strings.TrimLeftFunc(s, in)
		}
		if right {
			s = strings.TrimRightFunc(s, in)
		}
		return text(s), nil
	}
}

func strJoin(r *run, s string, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	items, err := r.collect(a.pos[0])
	if err != nil {
		if x := asException(err); x != nil && x.class == typeError && !isIterable(a.pos[0]) {
			return nil, raise(typeError, "can only join an iterable")
		}
		return nil, err
	}
	size := 0
	words := make([]string, len(items))
	for i, item := range items {
		word, ok := item.(starlark.String)
		if !ok {
			return nil, raise(typeError, "sequence item %d: expected str instance, %s found", i, typeName(item))
		}
		words[i] = string(word)
		size += len(word) + len(s)
	}
	if err := sized(size, maxText); err != nil {
		return nil, err
	}
	return text(strings.Join(words, s)), nil
}

func isIterable(v starlark.Value) bool {
	switch v.(type) {
	case starlark.NoneType, starlark.Int, starlark.Bool, starlark.Float:
		return false
	}
	return true
}

func strReplace(_ *run, s string, a args) (starlark.Value, error) {
	v, err := a.bind("old", "new", "count?")
	if err != nil {
		return nil, err
	}
	before, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	after, err := a.wantStr(v[1])
	if err != nil {
		return nil, err
	}
	count, err := a.wantInt(v[2], -1)
	if err != nil {
		return nil, err
	}
	if err := sized((strings.Count(s, before)+1)*len(after)+len(s), maxText); err != nil {
		return nil, err
	}
	if s == "" && before == "" && count >= 0 && v[2] != nil {
		return nil, unsupported("\"\".replace(\"\", ..., count)") // its meaning changed in Python 3.9
	}
	return text(strings.Replace(s, before, after, count)), nil
}

func strExpandtabs(_ *run, s string, a args) (starlark.Value, error) {
	v, err := a.bind("tabsize?")
	if err != nil {
		return nil, err
	}
	size, err := a.wantInt(v[0], 8)
	if err != nil {
		return nil, err
	}
	if err := sized(max(size, 0)*strings.Count(s, "\t"), maxText); err != nil {
		return nil, err
	}
	var b strings.Builder
	col := 0
	for _, c := range s {
		switch {
		case c == '\t' && size > 0:
			n := size - col%size
			b.WriteString(strings.Repeat(" ", n))
			col += n
		case c == '\t':
		default:
			b.WriteRune(c)
			if col++; c == '\n' || c == '\r' {
				col = 0
			}
		}
	}
	return text(b.String()), nil
}

func strFormat(r *run, s string, a args) (starlark.Value, error) {
	out, err := (&formatter{r: r, a: a}).format(s, 0)
	return text(out), err
}

func strFormatMap(r *run, s string, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	out, err := (&formatter{r: r, map1: a.pos[0]}).format(s, 0)
	return text(out), err
}

func strEncode(_ *run, s string, a args) (starlark.Value, error) {
	v, err := a.bind("encoding?", "errors?")
	if err != nil {
		return nil, err
	}
	return encode(s, v[0], v[1])
}

// strTranslate takes the tables that str.maketrans makes: code point to text, code point or None.
func strTranslate(_ *run, s string, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	table, ok := a.pos[0].(*starlark.Dict)
	if !ok {
		return nil, unsupported("str.translate() with a %s", typeName(a.pos[0]))
	}
	var b strings.Builder
	for _, c := range s {
		v, found, err := getKey(table, number(int(c)))
		if err != nil {
			return nil, err
		}
		switch v := v.(type) {
		case starlark.String:
			b.WriteString(string(v))
		case starlark.Int:
			n, _ := v.Int64()
			b.WriteRune(rune(n))
		default:
			if !found {
				b.WriteRune(c)
			}
		}
	}
	return text(b.String()), sized(b.Len(), maxText)
}
