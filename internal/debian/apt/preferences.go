package apt

import (
	"bytes"
	"math"
	"regexp"
	"strconv"
	"strings"

	"n3x/internal/debian/deb"
	"n3x/internal/diag"
)

// Preference is one stanza of a preferences file (apt_preferences(5)).
type Preference struct {
	Pos      diag.Pos
	Packages []string // names, name:arch, src:name, globs, /regexes/; nil for "*"
	Type     string   // "version", "source-version", "release" or "origin"
	Data     string   // what to match, e.g. "a=stable, c=main"
	Priority int      // NeverPin for the word "never"
}

// NeverPin is the priority of "Pin-Priority: never": no version from there is ever taken.
const NeverPin = math.MinInt16

// ParsePreferences reads apt_preferences(5). What apt only warns of (an unknown pin type, a bad expression) is refused.
func ParsePreferences(file string, data []byte) ([]Preference, error) {
	stanzas, err := deb.ReadStanzas(file, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var all []Preference
	for _, st := range stanzas {
		if st.Field("Package") == "" {
			return nil, diag.Userf(st.Pos("Package"), "preference has no Package field")
		}
		if st.Field("Pin") == "" { // apt passes over these
			continue
		}
		p, err := parsePreference(st)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func parsePreference(st deb.Stanza) (Preference, error) {
	p := Preference{Pos: st.Pos("Package")}
	if name := st.Field("Package"); name != "*" {
		p.Packages = strings.Fields(name)
	}
	typ, data, _ := strings.Cut(strings.ReplaceAll(st.Field("Pin"), "\t", " "), " ")
	p.Type, p.Data = strings.ToLower(typ), strings.TrimSpace(data)
	switch p.Type {
	case "release", "origin":
	case "version", "source-version":
		if p.Packages == nil {
			return p, diag.Userf(st.Pos("Pin"), "a %s pin needs a package name, not \"*\"", p.Type)
		}
	default:
		return p, diag.Userf(st.Pos("Pin"), "unknown pin type %q", typ).WithHint("the types are version, source-version, release and origin")
	}
	if err := p.parsePriority(st); err != nil {
		return p, err
	}
	for _, expr := range append(strings.Split(p.Data, ","), p.Packages...) {
		expr = strings.TrimSpace(expr)
		if _, value, ok := strings.Cut(expr, "="); ok && p.Type == "release" {
			expr = value
		}
		if err := checkExpression(expr); err != nil {
			return p, diag.Userf(st.Pos("Pin"), "expression %s: %w", expr, err)
		}
	}
	return p, nil
}

func (p *Preference) parsePriority(st deb.Stanza) error {
	value := st.Field("Pin-Priority")
	if value == "never" {
		if p.Packages != nil {
			return diag.Userf(st.Pos("Pin-Priority"), "the priority \"never\" is only for Package: *")
		}
		p.Priority = NeverPin
		return nil
	}
	n, err := strconv.Atoi(value)
	switch {
	case err != nil || n < math.MinInt16 || n > math.MaxInt16:
		return diag.Userf(st.Pos("Pin-Priority"), "priority %q is not a number from %d to %d", value, math.MinInt16, math.MaxInt16)
	case n == 0:
		return diag.Userf(st.Pos("Pin-Priority"), "priority 0 is not defined").WithHint("use a negative one to forbid a version")
	}
	p.Priority = max(n, NeverPin+1)
	return nil
}

func isRegexp(expr string) bool {
	return len(expr) >= 2 && expr[0] == '/' && expr[len(expr)-1] == '/'
}

func checkExpression(expr string) error {
	if !isRegexp(expr) {
		return nil
	}
	_, err := regexp.Compile(expr[1 : len(expr)-1])
	return err
}

// matcher is one expression: /regex/, or a glob; case does not matter.
type matcher func(string) bool

func newMatcher(expr string) matcher {
	if isRegexp(expr) {
		re, err := regexp.Compile("(?is)" + expr[1:len(expr)-1])
		if err != nil { // a Preference that was not made by ParsePreferences
			return func(string) bool { return false }
		}
		return re.MatchString
	}
	if !strings.ContainsAny(expr, `*?[\`) {
		return func(s string) bool { return strings.EqualFold(s, expr) }
	}
	re, err := regexp.Compile(globRegexp(expr))
	if err != nil {
		return func(string) bool { return false }
	}
	return re.MatchString
}

// globRegexp translates fnmatch(3) without flags: "*" also matches slashes and leading dots.
func globRegexp(glob string) string {
	var b strings.Builder
	b.WriteString(`(?is)\A`)
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '[':
			end := i + 1
			if end < len(glob) && (glob[end] == '!' || glob[end] == '^') {
				end++
			}
			if end < len(glob) && glob[end] == ']' {
				end++
			}
			for end < len(glob) && glob[end] != ']' {
				end++
			}
			if end >= len(glob) {
				b.WriteString(`\[`)
				continue
			}
			set := strings.ReplaceAll(glob[i+1:end], `\`, `\\`)
			if set[0] == '!' {
				set = "^" + set[1:]
			}
			b.WriteString("[" + set + "]")
			i = end
		case '\\':
			if i+1 < len(glob) {
				i++
			}
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return b.String() + `\z`
}
