// SPDX-License-Identifier: MIT

package pyeval

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// versionPart is one run of digits, letters or other characters of a version.
type versionPart struct {
	rank int // -1 for "~", 0 digits, 1 letters, 2 others
	num  starlark.Int
	text string
}

// explode splits a version the way BitBake compares it.
func explode(s string) []versionPart {
	var out []versionPart
	for s != "" {
		n := 1
		run := func(in func(byte) bool) {
			for n < len(s) && in(s[n]) {
				n++
			}
		}
		switch {
		case isDigit(s[0]):
			run(isDigit)
			num, _ := parseInt(s[:n], 10)
			i, _ := asInt(num)
			out = append(out, versionPart{rank: 0, num: i})
		case isLetter(s[0]):
			run(isLetter)
			out = append(out, versionPart{rank: 1, text: s[:n]})
		case s[0] == '~':
			out = append(out, versionPart{rank: -1, text: "~"})
		default:
			out = append(out, versionPart{rank: 2, text: s[:1]})
		}
		s = s[n:]
	}
	return out
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// compareParts is -1, 0 or 1; a missing part ranks like digits, and below any of them.
func compareParts(a, b string) int {
	x, y := explode(a), explode(b)
	for i := 0; ; i++ {
		if i >= len(x) && i >= len(y) {
			return 0
		}
		var p, q versionPart
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		switch {
		case p.rank != q.rank:
			return sign(p.rank - q.rank)
		case i >= len(x):
			return -1
		case i >= len(y):
			return 1
		case p.rank == 0:
			if c := p.num.BigInt().Cmp(q.num.BigInt()); c != 0 {
				return c
			}
		case p.text != q.text:
			return strings.Compare(p.text, q.text)
		}
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// splitVersion splits "pe:pv-pr".
func splitVersion(s string) (e starlark.Value, v, r string, err error) {
	s = strings.Trim(s, " <>=")
	e = number(0)
	if strings.Contains(s, ":") {
		parts := strings.Split(s, ":")
		if e, err = parseInt(parts[0], 10); err != nil {
			return nil, "", "", err
		}
		s = parts[1]
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		s, r = s[:i], s[i+1:]
	}
	return e, s, r, nil
}

func bbSplitVersion(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	s, err := a.wantStr(a.pos[0])
	if err != nil {
		return nil, err
	}
	e, v, r, err := splitVersion(s)
	return starlark.Tuple{e, text(v), text(r)}, err
}

func vercmp(a, b string) (starlark.Value, error) {
	if !ascii(a) || !ascii(b) || len(a)+len(b) > 4000 {
		return nil, unsupported("bb.utils.vercmp_string() of these versions")
	}
	ea, va, ra, err := splitVersion(a)
	if err != nil {
		return nil, err
	}
	eb, vb, rb, err := splitVersion(b)
	if err != nil {
		return nil, err
	}
	return vercmpTriple(ea, eb, va, vb, ra, rb)
}

func vercmpTriple(ea, eb starlark.Value, va, vb, ra, rb string) (starlark.Value, error) {
	x, _ := asInt(ea)
	y, _ := asInt(eb)
	if d := x.Sub(y); d.Sign() != 0 {
		return d, nil
	}
	if c := compareParts(va, vb); c != 0 {
		return number(c), nil
	}
	return number(compareParts(ra, rb)), nil
}

func bbVercmpString(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("a", "b")
	if err != nil {
		return nil, err
	}
	x, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	y, err := a.wantStr(v[1])
	if err != nil {
		return nil, err
	}
	return vercmp(x, y)
}

func bbVercmpStringOp(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("a", "b", "op")
	if err != nil {
		return nil, err
	}
	res, err := bbVercmpString(r, args{a.fn, v[:2], nil})
	if err != nil {
		return nil, err
	}
	i, _ := asInt(res)
	switch v[2] {
	case text("="), text("=="):
		return boolean(i.Sign() == 0), nil
	case text("<="):
		return boolean(i.Sign() <= 0), nil
	case text(">="):
		return boolean(i.Sign() >= 0), nil
	case text(">"), text(">>"):
		return boolean(i.Sign() > 0), nil
	case text("<"), text("<<"):
		return boolean(i.Sign() < 0), nil
	case text("!="):
		return boolean(i.Sign() != 0), nil
	}
	return nil, raise(versionException, "Unsupported comparison operator \"%s\"", plain(v[2]))
}

// bbVercmp compares two (pe, pv, pr) triples.
func bbVercmp(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	var e [2]starlark.Value
	var v, rel [2]string
	for i, x := range a.pos {
		t, err := r.unpack(x, 3, -1)
		if err != nil {
			return nil, err
		}
		for k, part := range t {
			if s, ok := part.(starlark.String); k > 0 && (!ok || !ascii(string(s)) || len(s) > 2000) {
				return nil, unsupported("bb.utils.vercmp() of these values")
			}
		}
		v[i], rel[i] = word(t[1]), word(t[2])
		if e[i] = t[0]; !t[0].Truth() {
			e[i] = number(0)
		}
		if s, ok := e[i].(starlark.String); ok {
			if e[i], err = parseInt(string(s), 10); err != nil {
				return nil, err
			}
		}
	}
	return vercmpTriple(e[0], e[1], v[0], v[1], rel[0], rel[1])
}

// bbExplodeDeps lists the names of "a (>= 1) b".
func bbExplodeDeps(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	s, err := a.wantStr(a.pos[0])
	if err != nil {
		return nil, err
	}
	var out []string
	inVersion := false
	for _, w := range strings.FieldsFunc(s, isSpace) {
		inVersion = inVersion || w[0] == '('
		if !inVersion {
			out = append(out, w)
		}
		if inVersion && strings.HasSuffix(w, ")") {
			inVersion = false
		}
	}
	return texts(out), nil
}

// bbExplodeDepVersions2 makes "a (>= 1) b" a dict of names to lists of constraints.
func bbExplodeDepVersions2(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("s", "*", "sort?")
	if err != nil {
		return nil, err
	}
	s, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	deps, names, err := explodeVersions(s)
	if err != nil {
		return nil, err
	}
	if truthy(v[1], true) {
		slices.Sort(names)
	}
	out := starlark.NewDict(len(names))
	for _, name := range names {
		if err := out.SetKey(text(name), texts(deps[name])); err != nil {
			return nil, err
		}
	}
	return out, nil
}

var versionOperators = []string{"<=", "=<", "<<", "==", "!=", ">=", "=>", ">>", "<", ">", "="}

// explodeVersions reads the constraints as BitBake does, including what it makes of odd input.
func explodeVersions(s string) (map[string][]string, []string, error) {
	deps := map[string][]string{}
	var names []string
	last, op, version := "", "", ""
	expectOp, inVersion := false, false
	for _, w := range strings.FieldsFunc(strings.ReplaceAll(s, ",", ""), isSpace) {
		if w[0] == '(' {
			expectOp = true
			if w = strings.TrimFunc(w[1:], isSpace); w == "" {
				continue
			}
		}
		if expectOp {
			expectOp, inVersion = false, true
			i := slices.IndexFunc(versionOperators, func(o string) bool { return strings.HasPrefix(w, o) })
			if i < 0 {
				return nil, nil, raise(versionException, "Invalid version specification in \"(%s\" - invalid or missing operator", w)
			}
			op, w = versionOperators[i], strings.TrimPrefix(w, versionOperators[i])
			if w == "" {
				continue
			}
		}
		if inVersion {
			if strings.HasSuffix(w, ")") {
				inVersion = false
				if w = w[:len(w)-1]; version != "" && w != "" {
					version += " "
				}
			}
			if w != "" {
				version += w
				if _, known := deps[last]; !known {
					names = append(names, last)
				}
				deps[last] = append(deps[last], op+" "+version)
			}
			continue
		}
		last, version, op = w, "", ""
		if _, known := deps[w]; !known {
			names = append(names, w)
			deps[w] = nil
		}
	}
	return deps, names, nil
}

func bbJoinDeps(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("deps", "commasep?")
	if err != nil {
		return nil, err
	}
	d, ok := v[0].(*starlark.Dict)
	if like, isLike := v[0].(*dictLike); isLike {
		d, ok = like.dict, true
	}
	if !ok {
		return nil, unsupported("bb.utils.join_deps() of a %s", typeName(v[0]))
	}
	var out []string
	for _, item := range d.Items() {
		name, err := a.wantStr(item[0])
		if err != nil {
			return nil, err
		}
		versions := []starlark.Value{item[1]}
		if l, ok := item[1].(*starlark.List); ok {
			versions = elems(l)
		}
		if !item[1].Truth() {
			out = append(out, name)
			continue
		}
		for _, version := range versions {
			s, err := a.wantStr(version)
			if err != nil {
				return nil, err
			}
			out = append(out, name+" ("+s+")")
		}
	}
	sep := " "
	if truthy(v[1], true) {
		sep = ", "
	}
	return text(strings.Join(out, sep)), nil
}
