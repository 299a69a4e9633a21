// SPDX-License-Identifier: MIT

package pyeval

import (
	"strconv"

	"go.starlark.net/starlark"
)

// templatePart is literal text or a group (n >= 0).
type templatePart struct {
	lit string
	n   int
}

func (s *subject) fill(parts []templatePart, m []int) string {
	out := ""
	for _, p := range parts {
		if p.n < 0 {
			out += p.lit
		} else {
			out += word(s.group(m, p.n, text("")))
		}
	}
	return out
}

// template parses a replacement: \1, \g<name>, \g<1>, \n and the like.
func (s *subject) template(t string) ([]templatePart, error) {
	var parts []templatePart
	lit := func(x string) { parts = append(parts, templatePart{lit: x, n: -1}) }
	ref := func(n int) error {
		if n > s.p.re.Groups {
			return raise(reError, "invalid group reference %d", n)
		}
		parts = append(parts, templatePart{n: n})
		return nil
	}
	for i := 0; i < len(t); i++ {
		if t[i] != '\\' {
			lit(t[i : i+1])
			continue
		}
		if i++; i == len(t) {
			return nil, raise(reError, "bad escape (end of pattern)")
		}
		n, err := s.templateEscape(t[i:], lit, ref)
		if err != nil {
			return nil, err
		}
		i += n - 1
	}
	return parts, nil
}

// templateEscape handles what follows a backslash and gives its length.
func (s *subject) templateEscape(t string, lit func(string), ref func(int) error) (int, error) {
	c := t[0]
	octal := func(c byte) bool { return c >= '0' && c <= '7' }
	switch {
	case c == 'g':
		return s.templateName(t, ref)
	case c == '0':
		n := 1
		for n < len(t) && n < 3 && octal(t[n]) {
			n++
		}
		v, _ := strconv.ParseUint(t[:n], 8, 16)
		lit(string(rune(v)))
		return n, nil
	case isDigit(c):
		n := 1
		if len(t) > 1 && isDigit(t[1]) {
			n = 2
			if len(t) > 2 && octal(c) && octal(t[1]) && octal(t[2]) {
				v, _ := strconv.ParseUint(t[:3], 8, 16)
				if v > 0o377 {
					return 0, raise(reError, "octal escape value outside of range 0-0o377")
				}
				lit(string(rune(v)))
				return 3, nil
			}
		}
		v, _ := strconv.Atoi(t[:n])
		return n, ref(v)
	}
	for i, e := range "afnrtv\\" {
		if rune(c) == e {
			lit("\a\f\n\r\t\v\\"[i : i+1])
			return 1, nil
		}
	}
	if c|0x20 >= 'a' && c|0x20 <= 'z' {
		return 0, raise(reError, "bad escape \\%c", c)
	}
	lit("\\" + t[:1])
	return 1, nil
}

func (s *subject) templateName(t string, ref func(int) error) (int, error) {
	end := 0
	for end < len(t) && t[end] != '>' {
		end++
	}
	if len(t) < 2 || t[1] != '<' || end == len(t) || end == 2 {
		return 0, raise(reError, "missing group name")
	}
	name := t[2:end]
	if n, ok := s.p.re.Names[name]; ok {
		return end + 1, ref(n)
	}
	n, err := strconv.Atoi(name)
	if err != nil || !isDigit(name[0]) {
		return 0, raise(indexError, "unknown group name '%s'", name)
	}
	return end + 1, ref(n)
}

// match makes a match object.
func (s *subject) match(m []int) starlark.Value {
	m = append([]int(nil), m...)
	which := func(v starlark.Value) (int, error) {
		if v == nil {
			return 0, nil
		}
		if name, ok := v.(starlark.String); ok {
			if n, ok := s.p.re.Names[string(name)]; ok {
				return n, nil
			}
			return 0, raise(indexError, "no such group")
		}
		i, ok := asInt(v)
		n, fits := i.Int64()
		if !ok || !fits || n < 0 || int(n) > s.p.re.Groups {
			return 0, raise(indexError, "no such group")
		}
		return int(n), nil
	}
	span := func(pick func(from, to int) starlark.Value) impl {
		return func(_ *run, a args) (starlark.Value, error) {
			v, err := a.bind("group?", "/")
			if err != nil {
				return nil, err
			}
			n, err := which(v[0])
			if err != nil {
				return nil, err
			}
			return pick(m[2*n], m[2*n+1]), nil
		}
	}
	return &namespace{kind: "re.Match", attrs: map[string]starlark.Value{
		"group": builtin("group", func(_ *run, a args) (starlark.Value, error) {
			if len(a.pos) == 0 {
				return s.slice(m[0], m[1]), nil
			}
			out := make(starlark.Tuple, len(a.pos))
			for i, v := range a.pos {
				n, err := which(v)
				if err != nil {
					return nil, err
				}
				out[i] = s.group(m, n, starlark.None)
			}
			if len(out) == 1 {
				return out[0], nil
			}
			return out, nil
		}),
		"groups": builtin("groups", func(_ *run, a args) (starlark.Value, error) {
			v, err := a.bind("default?")
			if err != nil {
				return nil, err
			}
			if v[0] == nil {
				v[0] = starlark.None
			}
			return s.groups(m, v[0]), nil
		}),
		"groupdict": builtin("groupdict", func(_ *run, a args) (starlark.Value, error) {
			v, err := a.bind("default?")
			if err != nil {
				return nil, err
			}
			if v[0] == nil {
				v[0] = starlark.None
			}
			return s.groupdict(m, v[0])
		}),
		"start":  builtin("start", span(func(from, _ int) starlark.Value { return number(from) })),
		"end":    builtin("end", span(func(_, to int) starlark.Value { return number(to) })),
		"span":   builtin("span", span(func(from, to int) starlark.Value { return starlark.Tuple{number(from), number(to)} })),
		"string": text(s.text), "re": s.p, "pos": number(0), "endpos": number(len(s.runes)),
	}}
}

// groupdict lists the named groups in the order of the pattern.
func (s *subject) groupdict(m []int, def starlark.Value) (starlark.Value, error) {
	byNumber := make([]string, s.p.re.Groups+1)
	for name, n := range s.p.re.Names {
		byNumber[n] = name
	}
	out := starlark.NewDict(len(s.p.re.Names))
	for n, name := range byNumber {
		if name == "" {
			continue
		}
		if err := out.SetKey(text(name), s.group(m, n, def)); err != nil {
			return nil, err
		}
	}
	return out, nil
}
