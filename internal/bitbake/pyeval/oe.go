// SPDX-License-Identifier: MIT

package pyeval

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// makeOE makes the helpers of lib/oe that metadata calls while it is parsed.
func makeOE() *module {
	utils := ns("oe.utils", map[string]impl{
		"conditional": oeConditional, "ifelse": oeIfelse, "set_intersect": oeSetIntersect, "cpu_count": oeCPUCount, "vartrue": oeVartrue,
		"less_or_equal": oeLessOrEqual, "version_less_or_equal": oeVersionLessOrEqual, "both_contain": oeBothContain,
		"build_depends_string": oeBuildDepends, "trim_version": oeTrimVersion, "inherits": oeInherits,
		"all_distro_features": oeFeatures(false), "any_distro_features": oeFeatures(true),
	}, nil)
	types := ns("oe.types", map[string]impl{"boolean": oeBoolean}, nil)
	data := ns("oe.data", map[string]impl{"typed_value": oeTypedValue}, nil)
	reproducible := ns("oe.reproducible", map[string]impl{"epochfile_read": oeEpochfileRead}, nil)
	return ns("oe", nil, map[string]starlark.Value{"utils": utils, "types": types, "data": data, "reproducible": reproducible})
}

// oeEpochfileRead is the number in a recipe's epoch file, or the fallback while there is none.
func oeEpochfileRead(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("epochfile", "d")
	if err != nil {
		return nil, err
	}
	fallback, set, err := r.varOf(text("SOURCE_DATE_EPOCH_FALLBACK"), v[1])
	if err != nil {
		return nil, err
	}
	if !set {
		return nil, raise(typeError, "int() argument must be a string, a bytes-like object or a real number, not 'NoneType'")
	}
	epoch, err := parseInt(fallback, 10)
	if err != nil {
		return nil, err
	}
	file, err := biOpen(r, args{"open", starlark.Tuple{v[0]}, nil})
	switch x := asException(err); {
	case err == nil:
		content := file.(*openFile).rest
		if n, err := parseInt(content, 10); err == nil {
			epoch = n
		} else {
			r.log("warn", "SOURCE_DATE_EPOCH value '"+content+"' is invalid. Reverting to SOURCE_DATE_EPOCH_FALLBACK")
		}
	case x == nil || x.class != fileNotFoundError:
		return nil, err
	}
	return text(epoch.String()), nil
}

func oeConditional(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("variable", "checkvalue", "truevalue", "falsevalue", "d")
	if err != nil {
		return nil, err
	}
	value, set, err := r.varOf(v[0], v[4])
	if err != nil {
		return nil, err
	}
	have := starlark.Value(starlark.None)
	if set {
		have = text(value)
	}
	eq, err := equal(have, v[1], 0)
	if eq {
		return v[2], err
	}
	return v[3], err
}

func oeIfelse(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("condition", "iftrue?", "iffalse?")
	if err != nil {
		return nil, err
	}
	for i, def := range []bool{true, false} {
		if v[i+1] == nil {
			v[i+1] = boolean(def)
		}
	}
	if v[0].Truth() {
		return v[1], nil
	}
	return v[2], nil
}

// words splits a variable; one that is not set is an AttributeError, as None has no split.
func (r *run) words(name, d starlark.Value) ([]string, error) {
	value, set, err := r.varOf(name, d)
	if err != nil {
		return nil, err
	}
	if !set {
		return nil, raise(attributeError, "'NoneType' object has no attribute 'split'")
	}
	return strings.FieldsFunc(value, isSpace), nil
}

// oeSetIntersect joins the common words; their order is random in CPython, here it is that of the first variable.
func oeSetIntersect(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("variable1", "variable2", "d")
	if err != nil {
		return nil, err
	}
	first, err := r.words(v[0], v[2])
	if err != nil {
		return nil, err
	}
	second, err := r.words(v[1], v[2])
	if err != nil {
		return nil, err
	}
	var out []string
	for _, w := range first {
		if slices.Contains(second, w) && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return text(strings.Join(out, " ")), nil
}

func oeCPUCount(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("at_least?", "at_most?")
	if err != nil {
		return nil, err
	}
	low, err := a.wantInt(v[0], 1)
	if err != nil {
		return nil, err
	}
	high, err := a.wantInt(v[1], 64)
	return number(max(min(r.cpus(), high), low)), err
}

// oeBoolean is oe.types.boolean: stricter than bb.utils.to_boolean.
func oeBoolean(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("value")
	if err != nil {
		return nil, err
	}
	b, err := booleanOf(v[0])
	return boolean(b), err
}

func booleanOf(v starlark.Value) (bool, error) {
	if v == starlark.None {
		return false, nil
	}
	s, ok := v.(starlark.String)
	if !ok {
		return false, raise(typeError, "boolean accepts a string, not '%s'", typeName(v))
	}
	switch strings.ToLower(string(s)) {
	case "yes", "y", "true", "t", "1":
		return true, nil
	case "no", "n", "false", "f", "0":
		return false, nil
	}
	return false, raise(valueError, "Invalid boolean value '%s'", strings.ToLower(string(s)))
}

func oeVartrue(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("var", "iftrue", "iffalse", "d")
	if err != nil {
		return nil, err
	}
	value, set, err := r.varOf(v[0], v[3])
	if err != nil || !set {
		return v[2], err
	}
	ok, err := booleanOf(text(value))
	if ok {
		return v[1], err
	}
	return v[2], err
}

func oeLessOrEqual(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("variable", "checkvalue", "truevalue", "falsevalue", "d")
	if err != nil {
		return nil, err
	}
	value, set, err := r.varOf(v[0], v[4])
	if err != nil {
		return nil, err
	}
	if !set {
		return nil, raise(typeError, "float() argument must be a string or a real number, not 'NoneType'")
	}
	x, err := parseFloat(value)
	if err != nil {
		return nil, err
	}
	y, err := newFloat(r, args{"float", starlark.Tuple{v[1]}, nil})
	if err != nil {
		return nil, err
	}
	le, err := r.order("<=", x, y, 0)
	if le {
		return v[2], err
	}
	return v[3], err
}

func oeVersionLessOrEqual(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("variable", "checkvalue", "truevalue", "falsevalue", "d")
	if err != nil {
		return nil, err
	}
	value, set, err := r.varOf(v[0], v[4])
	if err != nil {
		return nil, err
	}
	if !set {
		return nil, raise(attributeError, "'NoneType' object has no attribute 'strip'")
	}
	check, err := a.wantStr(v[1])
	if err != nil {
		return nil, err
	}
	c, err := vercmp(value, check)
	if err != nil {
		return nil, err
	}
	if i, _ := asInt(c); i.Sign() <= 0 {
		return v[2], nil
	}
	return v[3], nil
}

// oeBothContain gives the wanted words if both variables have them all.
func oeBothContain(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("variable1", "variable2", "checkvalue", "d")
	if err != nil {
		return nil, err
	}
	wanted, err := r.itemSet(v[2])
	if err != nil {
		return nil, err
	}
	for _, name := range v[:2] {
		have, err := r.words(name, v[3])
		if err != nil {
			return nil, err
		}
		for _, w := range setElems(wanted) {
			if s, ok := w.(starlark.String); !ok || !slices.Contains(have, string(s)) {
				return text(""), nil
			}
		}
	}
	var out []string
	for _, w := range setElems(wanted) {
		out = append(out, plain(w))
	}
	return text(strings.Join(out, " ")), nil
}

func oeBuildDepends(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("depends", "task")
	if err != nil {
		return nil, err
	}
	deps, err := wordsOf(a, v[0])
	if err != nil {
		return nil, err
	}
	task, err := a.wantStr(v[1])
	if err != nil {
		return nil, err
	}
	for i := range deps {
		deps[i] += ":" + task
	}
	return text(strings.Join(deps, " ")), nil
}

func oeTrimVersion(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("version", "num_parts?")
	if err != nil {
		return nil, err
	}
	s, ok := v[0].(starlark.String)
	if !ok {
		return nil, raise(typeError, "Version should be a string")
	}
	n, err := a.wantInt(v[1], 2)
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, raise(valueError, "Cannot split to parts < 1")
	}
	parts := strings.Split(string(s), ".")
	return text(strings.Join(parts[:min(n, len(parts))], ".")), nil
}

func oeInherits(r *run, a args) (starlark.Value, error) {
	if len(a.pos) == 0 {
		return nil, raise(typeError, "inherits() missing 1 required positional argument: 'd'")
	}
	for _, class := range a.pos[1:] {
		v, err := bbInheritsClass(r, args{a.fn, starlark.Tuple{class, a.pos[0]}, nil})
		if err != nil || bool(v.Truth()) {
			return v, err
		}
	}
	return boolean(false), nil
}

func oeFeatures(any bool) impl {
	return func(r *run, a args) (starlark.Value, error) {
		v, err := a.bind("d", "features", "truevalue?", "falsevalue?")
		if err != nil {
			return nil, err
		}
		for i, def := range []string{"1", ""} {
			if v[i+2] == nil {
				v[i+2] = text(def)
			}
		}
		return bbContains(any)(r, args{a.fn, starlark.Tuple{text("DISTRO_FEATURES"), v[1], v[2], v[3], v[0]}, nil})
	}
}
