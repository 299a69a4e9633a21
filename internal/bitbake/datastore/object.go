package datastore

import (
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"n3x/internal/bitbake/pyeval"
)

// text is a value: a string, another Python object (s is then its repr, which is also its str), None, or nothing.
type text struct {
	s      string
	ok     bool // there is a value
	object bool // it is no string
	none   bool // was set to None: there is no value (ok is false), and a weak default does not count
}

// detail is str of the value, as the history shows it.
func (t text) detail() string {
	if t.none {
		return "None"
	}
	return t.s
}

// orEmpty is the text, or "" for what Python counts as false.
func (t text) orEmpty() string {
	if t.object && !truthy(t.s) {
		return ""
	}
	return t.s
}

// orBlank is the value, "" when there is none.
func (t text) orBlank() text {
	if t.ok {
		return t
	}
	return str("")
}

// truthy is the truth of a literal.
func truthy(literal string) bool {
	switch literal {
	case "None", "False", "0", "0.0", "-0.0", "[]", "()", "{}", "set()", "b''":
		return false
	}
	return true
}

func str(s string) text { return text{s: s, ok: true} }

// one is the integer that BitBake marks functions, tasks and exports with.
var one = text{s: "1", ok: true, object: true}

// literal is the value that Python's repr of it means.
func literal(s string) text {
	if s == "None" {
		return text{none: true}
	}
	return text{s: s, ok: true, object: true}
}

// Object implements [pyeval.ObjectStore].
func (d *Data) Object(name, flag string) (literal string, ok bool) {
	v, err := d.Read(name, flag, pyeval.ReadMode{})
	return v.Text, err == nil && v.Object
}

// SetObject implements [pyeval.ObjectStore].
func (d *Data) SetObject(name, flag, value string) error {
	t := literal(value)
	if flag != "" && flag != "_content" {
		return d.setFlag(name, flag, t, Event{Op: "set", Flag: flag, Detail: value})
	}
	return d.set(name, t, false, Event{Op: "set", Detail: value})
}

func (o operation) noText() bool { return !o.ok || o.object }

// JoinObject implements [pyeval.ObjectJoiner].
func (d *Data) JoinObject(name, keyword, value string) error {
	d.record(d.own(name), Event{Op: keyword, Detail: value})
	return d.set(name+":"+keyword, literal(value), true, Event{})
}

// RefreshObject implements [pyeval.ObjectRefresher]: no history shows it, but the operation that brought the object shows, from
// BitBake 2.9 on, what has become of it.
func (d *Data) RefreshObject(name, flag, was, now string) error {
	e := Event{}
	v := d.own(name)
	if !d.old {
		for i := len(v.history) - 1; i >= 0; i-- {
			if h := v.history[i]; h.Flag == flag && h.Detail == was {
				v.history = withDetail(v.history, i, now)
				break
			}
		}
	}
	if flag != "" {
		return d.setFlag(name, flag, literal(now), e)
	}
	return d.set(name, literal(now), true, e)
}

// Read implements [pyeval.Reader].
func (d *Data) Read(name, flag string, how pyeval.ReadMode) (pyeval.Value, error) {
	var t text
	var err error
	if flag == "" || flag == "_content" {
		var c content
		c, err = d.read(name, mode{expand: how.Expand, noWeak: how.NoWeakDefault, parsing: how.Parsing})
		t = c.text
	} else {
		t, err = d.readFlag(name, flag, mode{expand: how.Expand, noWeak: how.NoWeakDefault})
	}
	return pyeval.Value{Text: t.s, Set: t.ok, Object: t.object}, err
}

// Flags implements [pyeval.Reader].
func (d *Data) Flags(name string, internal bool) []pyeval.Flag {
	if d.reads != nil {
		d.reads[name] = true
	}
	v := d.find(name)
	if v == nil {
		return nil
	}
	var all []pyeval.Flag
	for _, f := range v.flags {
		switch {
		case internal && f.weak:
			f.name = weakFlagPrefix + f.name
		case !internal && (internalFlag(f.name) || f.weak && v.flag(f.name) != nil):
			continue
		}
		all = append(all, pyeval.Flag{Name: f.name, Value: f.value.forPython()})
	}
	if internal {
		all = append(all, v.internals()...)
	}
	return all
}

const weakFlagPrefix = "_defaultval_flag_"

func (t text) forPython() pyeval.Value { return pyeval.Value{Text: t.s, Set: t.ok, Object: t.object} }

// internals are the values and operations of a variable as BitBake keeps them among the flags.
func (v *variable) internals() []pyeval.Flag {
	var all []pyeval.Flag
	if v.value.ok || v.value.none {
		all = append(all, pyeval.Flag{Name: "_content", Value: v.value.forPython()})
	}
	if v.weak.ok {
		all = append(all, pyeval.Flag{Name: "_defaultval", Value: v.weak.forPython()})
	}
	for _, o := range []struct {
		name string
		list []operation
	}{{":append", v.appends}, {":prepend", v.prepends}, {":remove", v.removes}} {
		if len(o.list) > 0 {
			all = append(all, pyeval.Flag{Name: o.name, Value: pyeval.Value{Text: operationList(o.list), Set: true, Object: true}})
		}
	}
	return all
}

// operationList is the list of pairs (value, override) that BitBake keeps.
func operationList(list []operation) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, op := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("[" + op.repr() + ", ")
		if op.override == "" {
			b.WriteString("None]")
		} else {
			b.WriteString(Quote(op.override) + "]")
		}
	}
	return b.String() + "]"
}

// repr is the value as Python writes it.
func (t text) repr() string {
	switch {
	case t.object:
		return t.s
	case t.ok:
		return Quote(t.s)
	}
	return "None"
}

func internalFlag(name string) bool {
	return strings.HasPrefix(name, "_") || strings.HasPrefix(name, ":")
}

// ListLiteral is Python's repr of a list of strings.
func ListLiteral(words []string) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(Quote(w))
	}
	b.WriteByte(']')
	return b.String()
}

// Quote is Python's repr of a string.
func Quote(s string) string {
	q := byte('\'')
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		q = '"'
	}
	b := append(make([]byte, 0, len(s)+2), q)
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == rune(q) || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r == '\t':
			b = append(b, '\\', 't')
		case r < ' ' || r == 0x7f:
			b = append(b, '\\', 'x', "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		case r == utf8.RuneError || !strconv.IsPrint(r):
			b = append(b, escaped(s[:n], r)...)
		default:
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return string(append(b, q))
}

func escaped(s string, r rune) string {
	switch {
	case r == utf8.RuneError:
		return s
	case r <= 0xff:
		return `\x` + strconv.FormatInt(int64(r), 16)
	case r <= 0xffff:
		return `\u` + ("0000" + strconv.FormatInt(int64(r), 16))[len(strconv.FormatInt(int64(r), 16)):]
	}
	h := strconv.FormatInt(int64(r), 16)
	return `\U` + ("00000000" + h)[len(h):]
}

// ParseList gives the strings of a list as Python's repr writes it; anything else is split at white space.
func ParseList(s string) []string {
	inner, ok := strings.CutPrefix(s, "[")
	if !ok || !strings.HasSuffix(inner, "]") {
		return words(s)
	}
	inner = inner[:len(inner)-1]
	var all []string
	for inner != "" {
		item, rest, ok := cutString(inner)
		if !ok {
			return words(s)
		}
		all = append(all, item)
		inner = strings.TrimPrefix(rest, ", ")
	}
	return all
}

// cutString takes a quoted string off the start of s.
func cutString(s string) (item, rest string, ok bool) {
	q := s[0]
	if q != '\'' && q != '"' {
		return "", "", false
	}
	if end := strings.IndexByte(s[1:], q); end >= 0 && strings.IndexByte(s[1:end+1], '\\') < 0 {
		return s[1 : end+1], s[end+2:], true
	}
	s = s[1:]
	var b strings.Builder
	for s != "" {
		if s[0] == q {
			return b.String(), s[1:], true
		}
		r, _, tail, err := strconv.UnquoteChar(s, q)
		if err != nil {
			return "", "", false
		}
		b.WriteRune(r)
		s = tail
	}
	return "", "", false
}

// plus is a + b as Python adds the contents of :append and :prepend; name is said in the error.
func (d *Data) plus(name string, a, b text) (text, error) {
	if !a.object && !b.object && a.ok && b.ok {
		return str(a.s + b.s), nil
	}
	if a.object && b.object {
		if n := kind(a.s); n == kind(b.s) && (n == "list" || n == "tuple") {
			return literal(joinLiterals(a.s, b.s)), nil
		}
		if x, ok := integer(a.s); ok {
			if y, ok := integer(b.s); ok {
				return literal(x.Add(x, y).String()), nil
			}
		}
	}
	return text{}, &pyeval.Exception{Pos: d.LastSet(name), Type: "TypeError", Text: cannotAdd(kindOf(a), kindOf(b))}
}

// cannotAdd is what Python says of a + b.
func cannotAdd(a, b string) string {
	switch a {
	case "str", "list", "tuple":
		return "can only concatenate " + a + " (not \"" + b + "\") to " + a
	case "bytes":
		return "can't concat " + b + " to bytes"
	}
	return "unsupported operand type(s) for +: '" + a + "' and '" + b + "'"
}

func kindOf(t text) string {
	switch {
	case t.object:
		return kind(t.s)
	case t.ok:
		return "str"
	}
	return "NoneType"
}

// kind is the name of the type of a literal.
func kind(s string) string {
	switch {
	case s == "True" || s == "False":
		return "bool"
	case strings.HasPrefix(s, "["):
		return "list"
	case strings.HasPrefix(s, "("):
		return "tuple"
	case strings.HasPrefix(s, "set("):
		return "set"
	case strings.HasPrefix(s, "{"):
		return braceKind(s)
	case strings.HasPrefix(s, "b"):
		return "bytes"
	}
	if _, ok := integer(s); ok {
		return "int"
	}
	return "float"
}

// braceKind tells a dict from a set: its first item is followed by a colon.
func braceKind(s string) string {
	depth := 0
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '\'', '"':
			_, rest, ok := cutString(s[i:])
			if !ok {
				return "dict"
			}
			i = len(s) - len(rest) - 1
		case '[', '(', '{':
			depth++
		case ']', ')':
			depth--
		case '}':
			if depth--; depth < 0 && i > 1 {
				return "set"
			}
		case ':', ',':
			if depth == 0 {
				return map[byte]string{':': "dict", ',': "set"}[c]
			}
		}
	}
	return "dict"
}

func integer(s string) (*big.Int, bool) {
	switch s {
	case "True":
		return big.NewInt(1), true
	case "False":
		return big.NewInt(0), true
	}
	return new(big.Int).SetString(s, 10)
}

// joinLiterals joins two lists, or two tuples.
func joinLiterals(a, b string) string {
	left, right := strings.TrimSuffix(a[1:len(a)-1], ","), strings.TrimSuffix(b[1:len(b)-1], ",")
	switch {
	case left == "":
		return b
	case right == "":
		return a
	}
	return a[:1] + left + ", " + right + a[len(a)-1:]
}
