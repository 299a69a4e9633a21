// SPDX-License-Identifier: MIT

package pyeval

import (
	"strconv"
	"strings"

	"go.starlark.net/starlark"
)

// formatter runs str.format: replacement fields {name.attr[item]!conv:spec}.
type formatter struct {
	r      *run
	a      args
	auto   int
	manual bool
	map1   starlark.Value // the mapping of format_map, else nil
}

func (f *formatter) format(s string, depth int) (string, error) {
	if depth > 2 {
		return "", raise(valueError, "Max string recursion exceeded")
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		c := s[i]
		s = s[i+1:]
		if s != "" && s[0] == c {
			b.WriteByte(c)
			s = s[1:]
			continue
		}
		if c == '}' {
			return "", raise(valueError, "Single '}' encountered in format string")
		}
		field, rest, err := cutField(s)
		if err != nil {
			return "", err
		}
		s = rest
		out, err := f.field(field, depth)
		if err != nil {
			return "", err
		}
		b.WriteString(out)
		if err := sized(b.Len(), maxText); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// cutField cuts s at the "}" that closes the field.
func cutField(s string) (field, rest string, err error) {
	depth, bracket := 1, false
	for i := range len(s) {
		switch c := s[i]; {
		case bracket:
			bracket = c != ']'
		case c == '[':
			bracket = true
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return s[:i], s[i+1:], nil
			}
		}
	}
	if s == "" {
		return "", "", raise(valueError, "Single '{' encountered in format string")
	}
	return "", "", raise(valueError, "expected '}' before end of string")
}

func (f *formatter) field(field string, depth int) (string, error) {
	name, conv, spec := splitField(field)
	v, err := f.lookup(name)
	if err != nil {
		return "", err
	}
	switch conv {
	case "":
	case "r", "s", "a":
		s, err := convert(v, conv[0])
		if err != nil {
			return "", err
		}
		v = text(s)
	default:
		return "", raise(valueError, "Unknown conversion specifier %s", conv)
	}
	if spec, err = f.format(spec, depth+1); err != nil {
		return "", err
	}
	return f.r.formatValue(v, spec)
}

// splitField splits "name!conv:spec"; brackets in the name hide both signs.
func splitField(field string) (name, conv, spec string) {
	bracket := false
	for i := range len(field) {
		switch c := field[i]; {
		case bracket:
			bracket = c != ']'
		case c == '[':
			bracket = true
		case c == ':':
			return field[:i], "", field[i+1:]
		case c == '!':
			conv, spec, _ = strings.Cut(field[i+1:], ":")
			return field[:i], conv, spec
		}
	}
	return field, "", ""
}

// lookup finds the argument and follows .attr and [item].
func (f *formatter) lookup(name string) (starlark.Value, error) {
	n := strings.IndexAny(name, ".[")
	if n < 0 {
		n = len(name)
	}
	v, err := f.first(name[:n])
	path := name[n:]
	for err == nil && path != "" {
		if path[0] == '.' {
			n := strings.IndexAny(path[1:], ".[") + 1
			if n == 0 {
				n = len(path)
			}
			v, err = f.r.attr(v, path[1:n])
			path = path[n:]
			continue
		}
		end := strings.IndexByte(path, ']')
		if end < 0 {
			return nil, raise(valueError, "Missing ']' in format string")
		}
		key := starlark.Value(text(path[1:end]))
		if i, err := strconv.Atoi(path[1:end]); err == nil && path[1] != '-' && path[1] != '+' {
			key = number(i)
		}
		v, err = f.r.index(v, key)
		if path = path[end+1:]; path != "" && path[0] != '.' && path[0] != '[' {
			return nil, raise(valueError, "Only '.' or '[' may follow ']' in format field specifier")
		}
	}
	return v, err
}

func (f *formatter) first(name string) (starlark.Value, error) {
	if f.map1 != nil {
		return f.r.index(f.map1, text(name))
	}
	i, err := strconv.Atoi(name)
	switch {
	case name == "":
		if f.manual {
			return nil, raise(valueError, "cannot switch from manual field specification to automatic field numbering")
		}
		i = f.auto
		f.auto++
	case err == nil && name[0] != '-' && name[0] != '+':
		if f.auto > 0 {
			return nil, raise(valueError, "cannot switch from automatic field numbering to manual field specification")
		}
		f.manual = true
	default:
		for _, kv := range f.a.kw {
			if string(kv[0].(starlark.String)) == name {
				return kv[1], nil
			}
		}
		return nil, &raised{&exc{class: keyError, args: starlark.Tuple{text(name)}}}
	}
	if i >= len(f.a.pos) {
		return nil, raise(indexError, "Replacement index %d out of range for positional args tuple", i)
	}
	return f.a.pos[i], nil
}
