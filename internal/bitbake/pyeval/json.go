// SPDX-License-Identifier: MIT

package pyeval

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"

	"go.starlark.net/starlark"
)

func makeJSON() *module {
	return ns("json", map[string]impl{"loads": jsonLoads, "load": jsonLoad, "dumps": jsonDumps}, map[string]starlark.Value{"JSONDecodeError": jsonDecodeError})
}

func jsonLoad(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, unsupported("json.load() with options")
	}
	f, ok := a.pos[0].(*openFile)
	if !ok {
		return nil, unsupported("json.load() of a %s", typeName(a.pos[0]))
	}
	s := f.rest
	f.rest = ""
	return decodeJSON(s)
}

func jsonLoads(r *run, a args) (starlark.Value, error) {
	if hook, ok := keywordHook(a); ok && hook == r.in.orderedDict() {
		v, err := jsonLoads(r, args{a.fn, a.pos, nil})
		return orderedDicts(v), err
	}
	if err := a.exactly(1); err != nil {
		return nil, unsupported("json.loads() with options")
	}
	switch s := a.pos[0].(type) {
	case starlark.String:
		return decodeJSON(string(s))
	case starlark.Bytes:
		return decodeJSON(string(s))
	}
	return nil, raise(typeError, "the JSON object must be str, bytes or bytearray, not %s", typeName(a.pos[0]))
}

// keywordHook is the value of object_pairs_hook, if that is the only option.
func keywordHook(a args) (starlark.Value, bool) {
	if len(a.kw) != 1 || word(a.kw[0][0]) != "object_pairs_hook" {
		return nil, false
	}
	return a.kw[0][1], true
}

func (in *Interp) orderedDict() starlark.Value {
	return in.modules["collections"].(*module).attrs["OrderedDict"]
}

func decodeJSON(s string) (starlark.Value, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	v, err := jsonValue(d, 0)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = fmt.Errorf("extra data")
		}
	}
	if err == nil {
		return v, nil
	}
	if _, isOurs := err.(*Unsupported); isOurs {
		return nil, err
	}
	if strings.Contains(s, "NaN") || strings.Contains(s, "Infinity") {
		return nil, unsupported("NaN or Infinity in JSON")
	}
	return nil, raise(jsonDecodeError, "invalid JSON: %s", err)
}

func jsonValue(d *json.Decoder, depth int) (starlark.Value, error) {
	if depth > maxDepth {
		return nil, unsupported("JSON nested this deep")
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return boolean(t), nil
	case string:
		return text(t), nil
	case json.Number:
		if strings.ContainsAny(string(t), ".eE") {
			return parseFloat(string(t))
		}
		return parseInt(string(t), 10)
	case json.Delim:
		if t == '[' {
			return jsonArray(d, depth)
		}
		return jsonObject(d, depth)
	}
	return nil, fmt.Errorf("unexpected token")
}

func jsonArray(d *json.Decoder, depth int) (starlark.Value, error) {
	var out []starlark.Value
	for d.More() {
		v, err := jsonValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.Token()
	return list(out), err
}

func jsonObject(d *json.Decoder, depth int) (starlark.Value, error) {
	out := starlark.NewDict(0)
	for d.More() {
		k, err := jsonValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		v, err := jsonValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		if err := out.SetKey(k, v); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return out, err
}

// jsonStyle is how dumps writes.
type jsonStyle struct {
	indent     string
	item, key  string
	sorted     bool
	ascii      bool
	hasNewline bool
}

func jsonDumps(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("obj", "*", "indent?", "sort_keys?", "separators?", "ensure_ascii?")
	if err != nil {
		return nil, unsupported("json.dumps() with these options")
	}
	style := jsonStyle{item: ", ", key: ": ", sorted: truthy(v[2], false), ascii: truthy(v[4], true)}
	if !isNone(v[1]) {
		n, ok := asInt(v[1])
		width, fits := n.Int64()
		if s, isStr := v[1].(starlark.String); isStr {
			style.indent = string(s)
		} else if !ok || !fits || width < 0 || width > 100 {
			return nil, unsupported("json.dumps() with this indent")
		} else {
			style.indent = strings.Repeat(" ", int(width))
		}
		style.hasNewline, style.item = true, ","
	}
	if sep, ok := v[3].(starlark.Tuple); ok && len(sep) == 2 {
		style.item, style.key = plain(sep[0]), plain(sep[1])
	} else if !isNone(v[3]) {
		return nil, unsupported("json.dumps() with these separators")
	}
	var b strings.Builder
	err = style.write(&b, v[0], 0)
	return text(b.String()), err
}

func (s jsonStyle) write(b *strings.Builder, v starlark.Value, depth int) error {
	if depth > maxDepth {
		return unsupported("JSON nested this deep")
	}
	switch v := v.(type) {
	case starlark.NoneType:
		b.WriteString("null")
	case starlark.Bool:
		b.WriteString(strings.ToLower(v.String()))
	case starlark.Int:
		b.WriteString(v.String())
	case starlark.Float:
		text := floatRepr(float64(v))
		if strings.ContainsAny(text, "in") {
			return unsupported("nan or inf in json.dumps()")
		}
		b.WriteString(text)
	case starlark.String:
		s.quote(b, string(v))
	case *starlark.List:
		return s.container(b, '[', ']', len(elems(v)), depth, func(i int) error { return s.write(b, v.Index(i), depth+1) })
	case starlark.Tuple:
		return s.container(b, '[', ']', len(v), depth, func(i int) error { return s.write(b, v[i], depth+1) })
	case *starlark.Dict:
		return s.object(b, v, depth)
	default:
		return raise(typeError, "Object of type %s is not JSON serializable", typeName(v))
	}
	return sized(b.Len(), maxText)
}

func (s jsonStyle) object(b *strings.Builder, d *starlark.Dict, depth int) error {
	keys := make(map[string]starlark.Value, d.Len())
	var order []string
	for _, item := range d.Items() {
		k, ok := item[0].(starlark.String)
		if !ok {
			return unsupported("json.dumps() of a dict with keys that are not str")
		}
		keys[string(k)] = item[1]
		order = append(order, string(k))
	}
	if s.sorted {
		order = sortedKeys(keys)
	}
	return s.container(b, '{', '}', len(order), depth, func(i int) error {
		s.quote(b, order[i])
		b.WriteString(s.key)
		return s.write(b, keys[order[i]], depth+1)
	})
}

func (s jsonStyle) container(b *strings.Builder, open, closer byte, n, depth int, item func(i int) error) error {
	b.WriteByte(open)
	line := func(depth int) {
		if s.hasNewline && n > 0 {
			b.WriteString("\n" + strings.Repeat(s.indent, depth))
		}
	}
	for i := range n {
		if i > 0 {
			b.WriteString(s.item)
		}
		line(depth + 1)
		if err := item(i); err != nil {
			return err
		}
	}
	line(depth)
	b.WriteByte(closer)
	return sized(b.Len(), maxText)
}

func (s jsonStyle) quote(b *strings.Builder, v string) {
	b.WriteByte('"')
	for _, c := range v {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\f':
			b.WriteString(`\f`)
		case c == '\b':
			b.WriteString(`\b`)
		case c < ' ':
			fmt.Fprintf(b, `\u%04x`, c)
		case c > 0xffff && s.ascii:
			hi, lo := utf16.EncodeRune(c)
			fmt.Fprintf(b, `\u%04x\u%04x`, hi, lo)
		case c > 0x7e && s.ascii && c != 0x7f:
			fmt.Fprintf(b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
}
