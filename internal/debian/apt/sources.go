package apt

import (
	"bytes"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"n3x/internal/debian/deb"
	"n3x/internal/diag"
)

// Source is one repository as sources.list(5) names it: one type, URI and suite. An entry with several of them
// becomes several Sources.
type Source struct {
	Pos        diag.Pos
	Type       string   // "deb" or "deb-src"
	URI        string   // without a trailing slash, e.g. "http://deb.debian.org/debian"
	Suite      string   // e.g. "trixie-security"; ends in "/" for a flat repository
	Components []string // empty for a flat repository

	Arches, ArchesAdd, ArchesRemove []string // arch=, arch+=, arch-=; all nil = every architecture of the Client
	SignedBy                        string   // a path of a keyring, fingerprints, or an armored key; "" = Options.Keyrings
	Trusted                         Tri      // Yes: unsigned by intent
	AllowInsecure                   Tri      // Yes: as Trusted when there is no signature; a bad one is still refused
	CheckValidUntil, CheckDate      Tri
	ValidUntilMin, ValidUntilMax    time.Duration // bounds for the life of a Release file; 0 = none
	DateMaxFuture                   time.Duration // how far its Date may lie ahead; 0 = apt's 10 s
	ByHash                          string        // "", "yes", "no" or "force"
}

// Tri is an option that can be left unset.
type Tri int8

const (
	Unset Tri = iota
	Yes
	No
)

// Flat reports whether the repository has no dists/ hierarchy ("deb URI ./").
func (s Source) Flat() bool { return strings.HasSuffix(s.Suite, "/") }

// String is the repository as it stands on a one-line entry, e.g. "http://deb.debian.org/debian trixie main".
func (s Source) String() string {
	return strings.Join(append([]string{s.URI, s.Suite}, s.Components...), " ")
}

// ParseSources reads sources.list(5): the deb822 style when file ends in ".sources", else one line an entry.
func ParseSources(file string, data []byte) ([]Source, error) {
	if path.Ext(file) == ".sources" {
		return parseStanzas(file, data)
	}
	return parseLines(file, data)
}

// deb822Options maps the fields of a .sources entry to the options of a one-line entry.
var deb822Options = map[string]string{
	"architectures": "arch", "architectures-add": "arch+", "architectures-remove": "arch-",
	"languages": "lang", "languages-add": "lang+", "languages-remove": "lang-",
	"targets": "target", "targets-add": "target+", "targets-remove": "target-",
	"pdiffs": "pdiffs", "by-hash": "by-hash", "signed-by": "signed-by", "trusted": "trusted",
	"allow-insecure": "allow-insecure", "allow-weak": "allow-weak", "allow-downgrade-to-insecure": "allow-downgrade-to-insecure",
	"check-valid-until": "check-valid-until", "valid-until-min": "valid-until-min", "valid-until-max": "valid-until-max",
	"check-date": "check-date", "date-max-future": "date-max-future",
}

func parseStanzas(file string, data []byte) ([]Source, error) {
	stanzas, err := deb.ReadStanzas(file, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var all []Source
	for _, st := range stanzas {
		if on, err := parseBool(st.Field("Enabled"), true); err != nil {
			return nil, diag.Userf(st.Pos("Enabled"), "Enabled: %v", err)
		} else if !on {
			continue
		}
		base, err := stanzaOptions(st)
		if err != nil {
			return nil, err
		}
		for _, need := range []string{"Types", "URIs", "Suites"} {
			if st.Field(need) == "" {
				return nil, diag.Userf(st.Pos(need), "repository entry has no %s field", need)
			}
		}
		for _, typ := range strings.Fields(st.Field("Types")) {
			for _, uri := range strings.Fields(st.Field("URIs")) {
				for _, suite := range strings.Fields(st.Field("Suites")) {
					s := base
					s.Pos = st.Pos("")
					s.Type, s.URI, s.Suite, s.Components = typ, uri, suite, strings.Fields(st.Field("Components"))
					if err := s.check(); err != nil {
						return nil, err
					}
					all = append(all, s)
				}
			}
		}
	}
	return all, nil
}

func stanzaOptions(st deb.Stanza) (Source, error) {
	var s Source
	for _, f := range st.Fields {
		name := strings.ToLower(f.Name)
		switch name {
		case "types", "uris", "suites", "components", "enabled", "description", "x-repolib-name", "x-repolib-id", "x-repolib-default-mirror":
			continue
		}
		option, ok := deb822Options[name]
		if !ok {
			return s, unknownOption(st.Pos(f.Name), f.Name)
		}
		value := f.Value
		if option != "signed-by" {
			value = strings.Join(strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == ',' }), ",")
		}
		if err := s.setOption(st.Pos(f.Name), option, value); err != nil {
			return s, err
		}
	}
	return s, nil
}

func parseLines(file string, data []byte) ([]Source, error) {
	var all []Source
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(withoutComment(line))
		if line == "" {
			continue
		}
		s, err := parseLine(line, diag.Pos{File: file, Line: i + 1})
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// withoutComment cuts at the first "#" that does not stand inside [options].
func withoutComment(line string) string {
	depth := 0
	for i, c := range line {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == '#' && depth <= 0:
			return line[:i]
		}
	}
	return line
}

func parseLine(line string, pos diag.Pos) (Source, error) {
	s := Source{Pos: pos}
	typ, rest := cutWord(line)
	if strings.HasPrefix(rest, "[") {
		options, after, ok := strings.Cut(rest[1:], "]")
		if !ok {
			return s, diag.Userf(pos, "the options of the repository line have no closing \"]\"")
		}
		rest = after
		for _, option := range strings.Fields(options) {
			name, value, ok := strings.Cut(option, "=")
			if !ok || name == "" || value == "" {
				return s, diag.Userf(pos, "option %q of the repository line is not name=value", option)
			}
			if err := s.setOption(pos, name, unquote(value)); err != nil {
				return s, err
			}
		}
	}
	words := strings.Fields(rest)
	if len(words) < 2 {
		return s, diag.Userf(pos, "repository line %q lacks a URI and a suite", line).
			WithHint("write it as: deb http://deb.debian.org/debian trixie main")
	}
	s.Type, s.URI, s.Suite, s.Components = typ, unquote(words[0]), unquote(words[1]), words[2:]
	return s, s.check()
}

// check validates the four words of an entry and puts the URI into its normal form.
func (s *Source) check() error {
	if s.Type != "deb" && s.Type != "deb-src" {
		return diag.Userf(s.Pos, "unknown repository type %q", s.Type).WithHint("the types are deb and deb-src")
	}
	u, err := url.Parse(s.URI)
	if err != nil {
		return diag.Userf(s.Pos, "repository URI %q: %v", s.URI, err)
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return diag.Userf(s.Pos, "repository URI %q names no host", s.URI)
		}
	case "file", "copy":
		if !strings.HasPrefix(u.Path, "/") || (u.Host != "" && u.Host != "localhost") {
			return diag.Userf(s.Pos, "repository URI %q must hold an absolute path", s.URI).WithHint("write file:///path")
		}
		s.URI = (&url.URL{Scheme: "file", Path: path.Clean(u.Path)}).String()
	case "":
		return diag.Userf(s.Pos, "repository URI %q has no scheme", s.URI).WithHint("begin it with http://, https:// or file://")
	default:
		return diag.Userf(s.Pos, "repository URI %q: transport %q is not supported", s.URI, u.Scheme).
			WithHint("http, https, file and copy are")
	}
	s.URI = strings.TrimRight(s.URI, "/")
	for part := range strings.SplitSeq(s.Suite+"/"+strings.Join(s.Components, "/"), "/") {
		if part == ".." {
			return diag.Userf(s.Pos, "suite and components of %q must not hold \"..\"", s.String())
		}
	}
	switch {
	case s.Flat() && len(s.Components) > 0:
		return diag.Userf(s.Pos, "the flat repository %s %s takes no components", s.URI, s.Suite).
			WithHint("remove %q, or the slash at the end of the suite", strings.Join(s.Components, " "))
	case !s.Flat() && len(s.Components) == 0:
		return diag.Userf(s.Pos, "repository %s %s names no component", s.URI, s.Suite).
			WithHint("add one, e.g. main; or end the suite with \"/\" when the repository has no dists folder")
	}
	return nil
}

func (s *Source) setOption(pos diag.Pos, name, value string) (err error) {
	list := func() []string { return strings.FieldsFunc(value, func(r rune) bool { return r == ',' }) }
	switch name {
	case "arch":
		s.Arches = list()
	case "arch+":
		s.ArchesAdd = list()
	case "arch-":
		s.ArchesRemove = list()
	case "signed-by":
		s.SignedBy = value
	case "trusted":
		s.Trusted, err = parseTri(value)
	case "allow-insecure", "allow-downgrade-to-insecure":
		s.AllowInsecure, err = parseTri(value)
	case "check-valid-until":
		s.CheckValidUntil, err = parseTri(value)
	case "check-date":
		s.CheckDate, err = parseTri(value)
	case "valid-until-min":
		s.ValidUntilMin, err = parseSeconds(value)
	case "valid-until-max":
		s.ValidUntilMax, err = parseSeconds(value)
	case "date-max-future":
		s.DateMaxFuture, err = parseSeconds(value)
	case "by-hash":
		s.ByHash = value
		if on, e := parseBool(value, false); value != "force" && e != nil {
			err = e
		} else if value != "force" {
			s.ByHash = map[bool]string{true: "yes", false: "no"}[on]
		}
	case "allow-weak":
		if on, e := parseBool(value, false); e != nil || on {
			return diag.Userf(pos, "option allow-weak=%s: repositories without SHA-256 hashes are not supported", value)
		}
	case "lang", "lang+", "lang-", "target", "target+", "target-", "pdiffs":
		// They choose among files that n3x never downloads (translations, contents, differences).
	default:
		return unknownOption(pos, name)
	}
	if err != nil {
		return diag.Userf(pos, "option %s: %v", name, err)
	}
	return nil
}

func unknownOption(pos diag.Pos, name string) error {
	e := diag.Userf(pos, "repository option %q is not supported", name)
	var known []string
	for field, option := range deb822Options {
		known = append(known, field, option)
	}
	if n := diag.Nearest(name, known); n != "" {
		return e.WithHint("did you mean %s?", n)
	}
	return e.WithHint("the options are those of sources.list(5) without include, exclude, snapshot and inrelease-path")
}

func parseTri(value string) (Tri, error) {
	on, err := parseBool(value, false)
	if err != nil {
		return Unset, err
	}
	if on {
		return Yes, nil
	}
	return No, nil
}

// parseBool reads the words that apt takes for a switch.
func parseBool(value string, unset bool) (bool, error) {
	switch strings.ToLower(value) {
	case "":
		return unset, nil
	case "1", "yes", "true", "with", "on", "enable":
		return true, nil
	case "0", "no", "false", "without", "off", "disable":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", value)
}

func parseSeconds(value string) (time.Duration, error) {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of seconds", value)
	}
	return time.Duration(n) * time.Second, nil
}

func cutWord(s string) (word, rest string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " \t")
	}
	return s, ""
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
