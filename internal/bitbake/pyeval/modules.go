// SPDX-License-Identifier: MIT

package pyeval

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.starlark.net/starlark"
)

// makeModules lists what can be imported.
func makeModules(opts Options) map[string]starlark.Value {
	out := map[string]starlark.Value{}
	for _, m := range []*module{
		makeOS(), makeBB(), makeOE(), makeRe(), makeJSON(), makeHashlib(), makeTime(), makeGlob(),
		makeItertools(), makeCollections(), makePwd(), makeUUID(),
		ns("sys", nil, map[string]starlark.Value{"platform": text("linux"), "byteorder": text("little"), "maxsize": starlark.MakeInt64(1<<63 - 1)}),
		ns("errno", nil, map[string]starlark.Value{"ENOENT": number(2), "EACCES": number(13), "EEXIST": number(17), "ENOTDIR": number(20), "EISDIR": number(21), "EINVAL": number(22), "EPERM": number(1)}),
		ns("string", nil, map[string]starlark.Value{
			"ascii_lowercase": text(lowercase), "ascii_uppercase": text(strings.ToUpper(lowercase)), "digits": text("0123456789"),
			"ascii_letters": text(lowercase + strings.ToUpper(lowercase)), "hexdigits": text("0123456789abcdefABCDEF"), "whitespace": text(" \t\n\r\v\f"),
		}),
		ns("shlex", map[string]impl{"quote": shlexQuote}, nil),
		ns("fnmatch", map[string]impl{"fnmatch": fnMatch, "fnmatchcase": fnMatch, "filter": fnFilter}, nil),
		ns("platform", map[string]impl{"machine": platformMachine}, nil),
	} {
		out[m.name] = m
	}
	for name := range opts.Funcs { // modules that only the embedding program has
		top, _, _ := strings.Cut(name, ".")
		if out[top] == nil && top != name {
			out[top] = ns(top, nil, nil)
		}
	}
	return out
}

const lowercase = "abcdefghijklmnopqrstuvwxyz"

// importModule gives the module that "import name" binds: bind is name itself or its first part.
func (r *run) importModule(name, bind string) (starlark.Value, error) {
	parts := strings.Split(name, ".")
	v := r.in.modules[parts[0]]
	if v == nil {
		return nil, unsupported("the module %s", name)
	}
	full := v
	for _, part := range parts[1:] {
		m, ok := full.(*module)
		if !ok {
			return nil, unsupported("the module %s", name)
		}
		if full = m.attrs[part]; full == nil {
			return nil, unsupported("the module %s", name)
		}
	}
	if bind == name {
		return full, nil
	}
	return v, nil
}

func (r *run) importFrom(name, item string) (starlark.Value, error) {
	m, err := r.importModule(name, name)
	if err != nil {
		return nil, err
	}
	return r.attr(m, item)
}

// makeOE makes the helpers of lib/oe that metadata calls while it is parsed.
func makeOE() *module {
	utils := ns("oe.utils", map[string]impl{
		"conditional": oeConditional, "ifelse": oeIfelse, "set_intersect": oeSetIntersect, "cpu_count": oeCPUCount, "vartrue": oeVartrue,
		"less_or_equal": oeLessOrEqual, "version_less_or_equal": oeVersionLessOrEqual, "both_contain": oeBothContain,
		"build_depends_string": oeBuildDepends, "trim_version": oeTrimVersion, "inherits": oeInherits,
		"all_distro_features": oeFeatures(false), "any_distro_features": oeFeatures(true),
	}, nil)
	types := ns("oe.types", map[string]impl{"boolean": oeBoolean}, nil)
	return ns("oe", nil, map[string]starlark.Value{"utils": utils, "types": types})
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

func hexText(s string) string { return hex.EncodeToString([]byte(s)) }

func makeHashlib() *module {
	funcs := map[string]impl{}
	for name, make := range map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New} {
		funcs[name] = func(_ *run, a args) (starlark.Value, error) {
			v, err := a.bind("data?", "/", "*", "usedforsecurity?")
			if err != nil {
				return nil, err
			}
			h := make()
			if v[0] != nil {
				if err := feed(h, v[0]); err != nil {
					return nil, err
				}
			}
			return hashObject(name, h), nil
		}
	}
	return ns("hashlib", funcs, nil)
}

func feed(h hash.Hash, v starlark.Value) error {
	b, ok := v.(starlark.Bytes)
	if !ok {
		if _, isStr := v.(starlark.String); isStr {
			return raise(typeError, "Strings must be encoded before hashing")
		}
		return raise(typeError, "object supporting the buffer API required")
	}
	h.Write([]byte(b))
	return nil
}

func hashObject(name string, h hash.Hash) starlark.Value {
	return &namespace{kind: "_hashlib.HASH", attrs: map[string]starlark.Value{
		"name": text(name),
		"update": builtin("update", func(_ *run, a args) (starlark.Value, error) {
			if err := a.exactly(1); err != nil {
				return nil, err
			}
			return starlark.None, feed(h, a.pos[0])
		}),
		"hexdigest": builtin("hexdigest", func(_ *run, a args) (starlark.Value, error) {
			return text(hex.EncodeToString(h.Sum(nil))), a.exactly(0)
		}),
		"digest": builtin("digest", func(_ *run, a args) (starlark.Value, error) { return starlark.Bytes(h.Sum(nil)), a.exactly(0) }),
	}}
}

func makeTime() *module {
	return ns("time", map[string]impl{"time": timeTime, "gmtime": timeGmtime, "strftime": timeStrftime}, nil)
}

func (r *run) now() (time.Time, error) {
	if r.in.opts.Now == nil {
		return time.Time{}, unsupported("the time of day")
	}
	return r.in.opts.Now(), nil
}

func timeTime(r *run, a args) (starlark.Value, error) {
	t, err := r.now()
	return starlark.Float(float64(t.UnixMicro()) / 1e6), err
}

// structTime is the result of time.gmtime; only strftime looks inside.
type structTime struct {
	opaque
	t time.Time
}

func (*structTime) String() string { return "<struct_time>" }
func (*structTime) Type() string   { return "time.struct_time" }

func timeGmtime(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("seconds?", "/")
	if err != nil {
		return nil, err
	}
	if isNone(v[0]) {
		t, err := r.now()
		return &structTime{t: t.UTC()}, err
	}
	if !isNumber(v[0]) {
		return nil, raise(typeError, "'%s' object cannot be interpreted as an integer", typeName(v[0]))
	}
	f, err := toFloat(v[0])
	if err != nil || f < -1e11 || f > 1e11 {
		return nil, unsupported("a time this far away")
	}
	seconds, _ := truncate(f).Int64()
	if f < 0 && float64(seconds) != f {
		return nil, unsupported("a fraction of a second ahead of 1970")
	}
	return &structTime{t: time.Unix(seconds, 0).UTC()}, nil
}

var strftimeCodes = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'j': "002", 'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'p': "PM", 'I': "03",
	'F': "2006-01-02", 'T': "15:04:05",
}

func timeStrftime(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("format", "t?", "/")
	if err != nil {
		return nil, err
	}
	format, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	t, ok := v[1].(*structTime)
	if !ok || t.t.Year() < 1000 {
		return nil, unsupported("time.strftime() of this time (only of time.gmtime())")
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i == len(format) {
			return nil, unsupported("a lone %% in time.strftime()")
		}
		switch layout := strftimeCodes[format[i]]; {
		case layout != "":
			b.WriteString(t.t.Format(layout))
		case format[i] == '%':
			b.WriteByte('%')
		default:
			return nil, unsupported("%%%c in time.strftime()", format[i])
		}
	}
	return text(b.String()), nil
}

func shlexQuote(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	s, err := a.wantStr(a.pos[0])
	if err != nil {
		return nil, err
	}
	safe := func(c rune) bool { return c < 128 && (isAlphaNumeric(c) || strings.ContainsRune("_@%+=:,./-", c)) }
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !safe(c) }) < 0 {
		return text(s), nil
	}
	return text("'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"), nil
}

func platformMachine(r *run, a args) (starlark.Value, error) {
	v, err := osUname(r, a)
	if err != nil {
		return nil, err
	}
	return r.attr(v, "machine")
}

// globRegexp translates a shell pattern; inside of a path component "*" does not cross "/".
func globRegexp(pattern, any string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			b.WriteString(any + "*")
		case '?':
			b.WriteString(any)
		case '[':
			return nil, unsupported("the pattern %q", pattern)
		default:
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	return regexp.Compile(b.String() + `\z`)
}

func fnMatch(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("name", "pat")
	if err != nil {
		return nil, err
	}
	name, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	pat, err := a.wantStr(v[1])
	if err != nil {
		return nil, err
	}
	re, err := globRegexp(pat, ".")
	if err != nil {
		return nil, err
	}
	return boolean(re.MatchString(name)), nil
}

func fnFilter(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("names", "pat")
	if err != nil {
		return nil, err
	}
	names, err := r.collect(v[0])
	if err != nil {
		return nil, err
	}
	var out []starlark.Value
	for _, name := range names {
		ok, err := fnMatch(r, args{a.fn, starlark.Tuple{name, v[1]}, nil})
		if err != nil {
			return nil, err
		}
		if ok.Truth() {
			out = append(out, name)
		}
	}
	return list(out), nil
}

func makeGlob() *module { return ns("glob", map[string]impl{"glob": globGlob}, nil) }

// globGlob lists the matches sorted; CPython's order is that of the directory, which nobody may depend on.
func globGlob(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("pathname", "*", "recursive?")
	if err != nil {
		return nil, err
	}
	name, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	if !path.IsAbs(name) || strings.Contains(name, "**") || strings.HasSuffix(name, "/") || strings.Contains(name, "//") {
		return nil, unsupported("glob.glob(%q)", name)
	}
	found := []string{"/"}
	for _, part := range strings.Split(name[1:], "/") {
		if found, err = r.globPart(found, part); err != nil {
			return nil, err
		}
	}
	slices.Sort(found)
	return texts(found), nil
}

// globPart extends each directory by the names that match one component.
func (r *run) globPart(dirs []string, part string) ([]string, error) {
	var out []string
	files := r.in.opts.Files
	re, err := globRegexp(part, "[^/]")
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		if !strings.ContainsAny(part, "*?") {
			if _, err := files.Lstat(path.Join(dir, part)); err == nil {
				out = append(out, strings.TrimSuffix(dir, "/")+"/"+part)
			}
			continue
		}
		entries, err := files.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if n := e.Name(); re.MatchString(n) && (!strings.HasPrefix(n, ".") || strings.HasPrefix(part, ".")) {
				out = append(out, strings.TrimSuffix(dir, "/")+"/"+n)
			}
		}
	}
	return out, r.tick(uint64(len(dirs)) + 1)
}
