// SPDX-License-Identifier: MIT

package pyeval

import (
	"errors"

	"go.starlark.net/starlark"

	"n3x/internal/bitbake/pyeval/regex"
)

// pattern is a compiled regular expression.
type pattern struct {
	opaque
	re *regex.Regexp
}

func (*pattern) String() string { return "<re.Pattern>" }
func (*pattern) Type() string   { return "re.Pattern" }

func makeRe() *module {
	funcs := map[string]impl{
		"compile": func(r *run, a args) (starlark.Value, error) {
			v, err := a.bind("pattern", "flags?")
			if err != nil {
				return nil, err
			}
			return r.compilePattern(v[0], v[1])
		},
		"escape": func(_ *run, a args) (starlark.Value, error) {
			if err := a.exactly(1); err != nil {
				return nil, err
			}
			s, err := a.wantStr(a.pos[0])
			return text(regex.Escape(s)), err
		},
		"purge": func(*run, args) (starlark.Value, error) { return none() },
	}
	for name, params := range patternParams {
		funcs[name] = reFunc(name, params)
	}
	values := map[string]starlark.Value{"error": reError}
	for names, flag := range map[[2]string]regex.Flags{
		{"I", "IGNORECASE"}: regex.IgnoreCase, {"M", "MULTILINE"}: regex.Multiline, {"S", "DOTALL"}: regex.DotAll,
		{"X", "VERBOSE"}: regex.Verbose, {"A", "ASCII"}: regex.ASCII, {"U", "UNICODE"}: regex.Unicode,
	} {
		values[names[0]], values[names[1]] = number(int(flag)), number(int(flag))
	}
	return ns("re", funcs, values)
}

// patternParams are the parameters of a pattern's methods; the functions of the module have the
// pattern in front and the flags behind.
var patternParams = map[string][]string{
	"match": {"string"}, "search": {"string"}, "fullmatch": {"string"}, "findall": {"string"}, "finditer": {"string"},
	"split": {"string", "maxsplit?"}, "sub": {"repl", "string", "count?"}, "subn": {"repl", "string", "count?"},
}

func reFunc(name string, params []string) impl {
	all := append(append([]string{"pattern"}, params...), "flags?")
	return func(r *run, a args) (starlark.Value, error) {
		v, err := a.bind(all...)
		if err != nil {
			return nil, err
		}
		p, err := r.compilePattern(v[0], v[len(v)-1])
		if err != nil {
			return nil, err
		}
		return r.patternMethod(p, name, args{a.fn, nil, nil}, v[1:len(v)-1])
	}
}

func (r *run) compilePattern(v, flags starlark.Value) (*pattern, error) {
	if p, ok := v.(*pattern); ok {
		if flags != nil && flags.Truth() {
			return nil, raise(valueError, "cannot process flags argument with a compiled pattern")
		}
		return p, nil
	}
	s, ok := v.(starlark.String)
	if !ok {
		if _, isBytes := v.(starlark.Bytes); isBytes {
			return nil, unsupported("a regular expression of bytes")
		}
		return nil, raise(typeError, "first argument must be string or compiled pattern")
	}
	set, err := args{fn: "compile"}.wantInt(flags, 0)
	if err != nil {
		return nil, err
	}
	re, err := regex.Compile(string(s), regex.Flags(set))
	if err != nil {
		return nil, patternError(err)
	}
	return &pattern{re: re}, nil
}

func patternError(err error) error {
	var e *regex.Error
	if errors.As(err, &e) {
		if e.Unsupported {
			return unsupported("in a regular expression, %s", e.Text)
		}
		return raise(reError, "%s", e.Text)
	}
	return err
}

func (p *pattern) attr(name string) (starlark.Value, error) {
	if params := patternParams[name]; params != nil {
		if name == "match" || name == "search" || name == "fullmatch" {
			params = []string{"string", "pos?", "endpos?"}
		}
		return builtin(name, func(r *run, a args) (starlark.Value, error) {
			v, err := a.bind(params...)
			if err != nil {
				return nil, err
			}
			if len(v) == 3 && params[1] == "pos?" && (v[1] != nil || v[2] != nil) {
				return nil, unsupported("%s() with pos or endpos", name)
			}
			return r.patternMethod(p, name, a, v)
		}), nil
	}
	switch name {
	case "pattern":
		return text(p.re.Pattern), nil
	case "groups":
		return number(p.re.Groups), nil
	case "flags":
		return number(int(p.re.Flags)), nil
	}
	return nil, unsupported("the attribute %s of a pattern", name)
}

// Step counts the work of a match.
func (r *run) Step() error { return r.tick(1) }

// subject is a text that is searched; positions are characters.
type subject struct {
	r     *run
	p     *pattern
	text  string
	runes []rune
}

func (s *subject) slice(from, to int) starlark.Value { return text(string(s.runes[from:to])) }

func (s *subject) find(from int, mode regex.Mode, advance bool) ([]int, error) {
	m, err := s.p.re.Find(s.runes, from, mode, advance, s.r)
	return m, patternError(err)
}

// each calls f with every match, as findall and sub see them: an empty match may follow a match
// directly, but not an empty one at the same place.
func (s *subject) each(f func(m []int) (more bool, err error)) error {
	at, advance := 0, false
	for {
		m, err := s.find(at, regex.Search, advance)
		if m == nil || err != nil {
			return err
		}
		more, err := f(append([]int(nil), m...))
		if !more || err != nil {
			return err
		}
		at, advance = m[1], m[0] == m[1]
	}
}

// patternMethod runs a method with its bound arguments.
func (r *run) patternMethod(p *pattern, name string, a args, v []starlark.Value) (starlark.Value, error) {
	at := 0
	if name == "sub" || name == "subn" {
		at = 1
	}
	str, ok := v[at].(starlark.String)
	if !ok {
		return nil, raise(typeError, "expected string or bytes-like object, got '%s'", typeName(v[at]))
	}
	s := &subject{r: r, p: p, text: string(str), runes: []rune(string(str))}
	switch name {
	case "match", "search", "fullmatch":
		mode := map[string]regex.Mode{"match": regex.Match, "search": regex.Search, "fullmatch": regex.Full}[name]
		m, err := s.find(0, mode, false)
		if m == nil || err != nil {
			return starlark.None, err
		}
		return s.match(m), nil
	case "findall":
		return s.findall()
	case "finditer":
		return s.finditer()
	}
	limit, err := a.wantInt(v[at+1], 0)
	if err != nil {
		return nil, err
	}
	if name == "split" {
		return s.split(limit)
	}
	out, n, err := s.sub(v[0], limit)
	if err != nil || name == "sub" {
		return text(out), err
	}
	return starlark.Tuple{text(out), number(n)}, nil
}

// group is group number n of a match; def stands for one that took no part.
func (s *subject) group(m []int, n int, def starlark.Value) starlark.Value {
	if m[2*n] < 0 || m[2*n+1] < 0 {
		return def
	}
	return s.slice(m[2*n], m[2*n+1])
}

func (s *subject) groups(m []int, def starlark.Value) starlark.Tuple {
	out := make(starlark.Tuple, s.p.re.Groups)
	for i := range out {
		out[i] = s.group(m, i+1, def)
	}
	return out
}

func (s *subject) findall() (starlark.Value, error) {
	var out []starlark.Value
	err := s.each(func(m []int) (bool, error) {
		switch s.p.re.Groups {
		case 0:
			out = append(out, s.slice(m[0], m[1]))
		case 1:
			out = append(out, s.group(m, 1, text("")))
		default:
			out = append(out, s.groups(m, text("")))
		}
		return len(out) <= maxList, nil
	})
	return list(out), err
}

func (s *subject) finditer() (starlark.Value, error) {
	var out []starlark.Value
	err := s.each(func(m []int) (bool, error) {
		out = append(out, s.match(m))
		return len(out) <= maxList, nil
	})
	return &iterator{kind: "callable_iterator", next: overSlice(len(out), func(i int) starlark.Value { return out[i] })}, err
}

func (s *subject) split(limit int) (starlark.Value, error) {
	var out []starlark.Value
	last, n := 0, 0
	if limit < 0 {
		return list([]starlark.Value{text(s.text)}), nil
	}
	err := s.each(func(m []int) (bool, error) {
		out = append(out, s.slice(last, m[0]))
		out = append(out, s.groups(m, starlark.None)...)
		last = m[1]
		n++
		return n != limit && len(out) <= maxList, nil
	})
	return list(append(out, s.slice(last, len(s.runes)))), err
}

func (s *subject) sub(repl starlark.Value, limit int) (string, int, error) {
	expand := func(m []int) (string, error) {
		v, err := s.r.call(repl, s.match(m))
		if err != nil || v == starlark.None {
			return "", err
		}
		return args{fn: "sub"}.wantStr(v)
	}
	if template, ok := repl.(starlark.String); ok {
		parts, err := s.template(string(template))
		if err != nil {
			return "", 0, err
		}
		expand = func(m []int) (string, error) { return s.fill(parts, m), nil }
	}
	if limit < 0 {
		return s.text, 0, nil
	}
	out, last, n := "", 0, 0
	var built []byte
	err := s.each(func(m []int) (bool, error) {
		built = append(built, string(s.runes[last:m[0]])...)
		piece, err := expand(m)
		built = append(built, piece...)
		last = m[1]
		n++
		if err == nil {
			err = sized(len(built), maxText)
		}
		return n != limit, err
	})
	out = string(append(built, string(s.runes[last:])...))
	return out, n, err
}
