package fetch

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"n3x/internal/diag"
)

// Mirror is one pair of PREMIRRORS or MIRRORS: addresses that Find matches are also looked for at Replace.
type Mirror struct {
	Find    string // address whose parts are regular expressions, e.g. "https?://.*/.*"
	Replace string // e.g. "https://mirror.example.com/sources/" or "file:///srv/mirror/PATH"

	find    mirrorURL
	replace mirrorURL
	res     [5]*regexp.Regexp // of the parts of Find; each matches at the start
	once    [5]*regexp.Regexp // the same, anywhere
}

// mirrorURL is an address split as BitBake splits the sides of a mirror pair (decodemirrorurl): no part is checked,
// since each may be a regular expression.
type mirrorURL struct {
	part   [5]string // scheme, host, path, user, password
	params map[string]string
}

const (
	partScheme = iota
	partHost
	partPath
	partUser
	partPassword
)

var mirrorForm = regexp.MustCompile(`^([^:]*)://(?:([^/;]+)@)?([^;]+)(?:;(.*))?`)

// ParseMirrors reads the value of PREMIRRORS or MIRRORS: pairs of words. pos is where it is set.
func ParseMirrors(value string, pos diag.Pos) ([]Mirror, error) {
	words := strings.Fields(strings.ReplaceAll(value, `\n`, " "))
	if len(words)%2 != 0 {
		return nil, diag.Userf(pos, "mirrors come in pairs, but %q is left over", words[len(words)-1])
	}
	var out []Mirror
	for i := 0; i < len(words); i += 2 {
		m := Mirror{Find: words[i], Replace: words[i+1]}
		var ok, ok2 bool
		m.find, ok = splitMirror(m.Find)
		m.replace, ok2 = splitMirror(m.Replace)
		if !ok || !ok2 {
			return nil, diag.Userf(pos, "mirror %q %q is no pair of addresses", m.Find, m.Replace)
		}
		for part := range m.res {
			expr := m.find.part[part]
			if part == partScheme && expr != "" && !strings.HasSuffix(expr, "$") {
				expr += "$"
			}
			var err error
			if m.once[part], err = regexp.Compile(expr); err != nil {
				return nil, diag.Userf(pos, "mirror %q: regular expression %q is not supported: %v", m.Find, expr, err).
					WithHint("look-around and back-references are not available; the rest of Python's syntax is")
			}
			m.res[part] = regexp.MustCompile(`^(?:` + expr + `)`)
		}
		out = append(out, m)
	}
	return out, nil
}

func splitMirror(s string) (mirrorURL, bool) {
	g := mirrorForm.FindStringSubmatch(s)
	if g == nil {
		return mirrorURL{}, false
	}
	u := mirrorURL{params: map[string]string{}}
	u.part[partScheme] = g[1]
	user, location := g[2], g[3]
	i := strings.Index(location, "/")
	switch {
	case strings.EqualFold(g[1], "file"):
		u.part[partPath] = location
		if user != "" {
			u.part[partPath] = user + "@" + location
		}
		user = ""
	case i >= 0:
		u.part[partHost], u.part[partPath] = location[:i], location[i:]
	default:
		u.part[partHost], u.part[partPath] = location, "/"
	}
	if p, err := url.PathUnescape(u.part[partPath]); err == nil {
		u.part[partPath] = p
	}
	u.part[partUser], u.part[partPassword], _ = strings.Cut(user, ":")
	for _, p := range strings.Split(g[4], ";") {
		if p == "" {
			continue
		}
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return mirrorURL{}, false
		}
		u.params[name] = value
	}
	return u, true
}

// mirrorURLs are the addresses at which mirrors may have s, of which address is what the pairs match, in the order in which they are tried. Mirrors of mirrors
// are followed, without the pair that led to them.
func mirrorURLs(s *Source, address string, mirrors []Mirror) []string {
	var out []string
	words := map[string]string{
		"TYPE": s.Scheme, "HOST": s.Host, "PATH": s.Path, "BASENAME": path.Base(s.Path),
		"MIRRORNAME": strings.ReplaceAll(s.Host, ":", ".") + strings.NewReplacer("/", ".", "*", ".").Replace(s.Path),
	}
	if strings.HasSuffix(s.Path, "/") {
		words["BASENAME"] = ""
	}
	var add func(address string, mirrors []Mirror)
	add = func(address string, mirrors []Mirror) {
		for i, m := range mirrors {
			for _, tarball := range s.tarballs() {
				u := m.apply(address, s, words, tarball)
				if u == "" || u == address || slices.Contains(out, u) {
					continue
				}
				out = append(out, u)
				add(u, slices.Concat(mirrors[:i], mirrors[i+1:]))
			}
		}
	}
	add(address, mirrors)
	return out
}

// apply is what the pair makes of address, or "" when it does not match. words are the names that a replacement may
// hold, with their values for the original source s; tarball is the name of its file, when it is git's.
func (m *Mirror) apply(address string, s *Source, words map[string]string, tarball string) string {
	from, ok := splitMirror(address)
	if !ok {
		return ""
	}
	for name, want := range m.find.params {
		if from.params[name] != want {
			return ""
		}
	}
	to := mirrorURL{params: map[string]string{}}
	for i := range m.res {
		if i >= partUser && m.replace.part[i] != "" {
			to.part[i] = m.replace.part[i]
			continue
		}
		if !m.res[i].MatchString(from.part[i]) {
			return ""
		}
		if m.replace.part[i] != "" {
			to.part[i] = subOnce(m.once[i], from.part[i], expandWords(m.replace.part[i], words))
		}
	}
	dropParams := false
	to.part[partPath], dropParams = m.fileName(to.part[partPath], from, s, tarball)
	if !dropParams {
		for name, v := range from.params {
			to.params[name] = v
		}
	}
	for name, v := range m.replace.params {
		to.params[name] = expandWords(v, words)
	}
	if u := to.join(from, s); u != address {
		return u
	}
	return ""
}

// fileName makes the path end in the name under which the source is stored: of git sources that a mirror of another
// kind has, the tarball's name, for which the git parameters mean nothing.
func (m *Mirror) fileName(p string, from mirrorURL, s *Source, tarball string) (result string, dropParams bool) {
	base := ""
	switch {
	case s.isGit() && from.part[partScheme] != m.replace.part[partScheme]:
		base, dropParams = tarball, true
	case s.isGit() && from.part[partScheme] != "git" && from.part[partScheme] != "gitsm":
		base = tarball
	case !s.isGit():
		base = path.Base(s.storedName())
	}
	if base == "" {
		return p, false
	}
	own := from.part[partPath][strings.LastIndex(from.part[partPath], "/")+1:]
	full := "/" + p
	switch {
	case own != "" && own != base && strings.HasSuffix(full, "/"+own):
		p = strings.TrimSuffix(full[1:], own) + base
	case !strings.HasSuffix(full, "/"+base):
		if p != "" && !strings.HasSuffix(p, "/") {
			p += "/"
		}
		p += base
	}
	return p, dropParams
}

// storedName is the name that a file of s has in DL_DIR or in FILESPATH.
func (s *Source) storedName() string {
	if s.Scheme == "file" {
		return s.Path
	}
	return s.LocalName()
}

// subOnce replaces the first match of re in s by a Python replacement.
func subOnce(re *regexp.Regexp, s, repl string) string {
	loc := re.FindStringSubmatchIndex(s)
	if loc == nil {
		return s
	}
	template := pyGroup.ReplaceAllString(strings.ReplaceAll(repl, "$", "$$"), "$${$1$2}")
	return s[:loc[0]] + string(re.ExpandString(nil, template, s, loc)) + s[loc[1]:]
}

// pyGroup is a group reference of a Python replacement: \1, \g<1> or \g<name>.
var pyGroup = regexp.MustCompile(`\\(?:(\d{1,2})|g<(\w+)>)`)

func expandWords(s string, words map[string]string) string {
	for _, name := range []string{"TYPE", "HOST", "PATH", "BASENAME", "MIRRORNAME"} {
		s = strings.ReplaceAll(s, name, words[name])
	}
	return s
}

// join is the address as text. Parameters keep the order of the original; new ones follow.
func (u mirrorURL) join(from mirrorURL, s *Source) string {
	var b strings.Builder
	b.WriteString(u.part[partScheme] + "://")
	if u.part[partScheme] != "file" {
		if u.part[partUser] != "" {
			b.WriteString(u.part[partUser])
			if u.part[partPassword] != "" {
				b.WriteString(":" + u.part[partPassword])
			}
			b.WriteString("@")
		}
		b.WriteString(u.part[partHost])
	}
	p := u.part[partPath]
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	if u.part[partScheme] != "file" && !strings.HasPrefix(p, "/") {
		b.WriteString("/")
	}
	b.WriteString(quotePath(p))
	for _, name := range paramOrder(u.params, s.URL) {
		b.WriteString(";" + name + "=" + u.params[name])
	}
	return b.String()
}

// paramOrder lists params in the order in which they stand in address; the others follow by name.
func paramOrder(params map[string]string, address string) []string {
	var names []string
	for _, p := range strings.Split(address, ";")[1:] {
		if name, _, _ := strings.Cut(p, "="); params[name] != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var rest []string
	for name := range params {
		if !slices.Contains(names, name) {
			rest = append(rest, name)
		}
	}
	sort.Strings(rest)
	return append(names, rest...)
}

// quotePath escapes a path as Python's urllib.parse.quote does.
func quotePath(p string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(p) {
		c := p[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_.-~/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
	}
	return b.String()
}
