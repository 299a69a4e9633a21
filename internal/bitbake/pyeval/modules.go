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
		makeOS(), makeBB(opts.BitBake), makeOE(), makeRe(), makeJSON(), makeHashlib(), makeTime(), makeGlob(),
		makeItertools(), makeCollections(), makePwd(), makeUUID(), makeSubprocess(), makeTextwrap(),
		makeSys(opts.Python),
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
	for _, m := range append(classModules(), makePathlib(), makeURLLib()) {
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

func makeSys(python string) *module {
	m := ns("sys", nil, map[string]starlark.Value{"platform": text("linux"), "byteorder": text("little"), "maxsize": starlark.MakeInt64(1<<63 - 1)})
	if python != "" {
		m.attrs["executable"] = text(python)
	}
	return m
}

const lowercase = "abcdefghijklmnopqrstuvwxyz"

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
	files := r.files()
	re, err := globRegexp(part, "[^/]")
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		if !strings.ContainsAny(part, "*?") {
			if _, err := r.types().Lstat(path.Join(dir, part)); err == nil {
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
