package apt

import (
	"net/url"
	"slices"
	"strings"

	"n3x/internal/debian"
)

// pin sets the priority of every package, by the rules of apt's policy: the first preference that names the package and
// fits the version wins; else the highest priority of the indices that hold this version counts; the priority of an
// index is that of the first general preference that fits it, else 500, or 1 and 100 for archives that say NotAutomatic.
func (c *Client) pin(s *State, also copiesByName) {
	base := make(map[*debian.Index]int, len(s.Indices))
	for _, i := range s.Indices {
		base[i] = c.basePriority(i)
	}
	specific := newSpecific(c)
	for _, p := range s.Packages {
		p.Pin = base[p.Index]
		indices := also.of(p)
		for _, i := range indices {
			p.Pin = max(p.Pin, base[i])
		}
		if p.Pin != NeverPin && !specific.empty() {
			if indices == nil {
				indices = []*debian.Index{p.Index}
			}
			p.Pin = specific.priority(p, indices, p.Pin)
		}
	}
}

func (c *Client) basePriority(i *debian.Index) int {
	priority, fixed := 500, false
	switch {
	case i.ButAutomaticUpgrades:
		priority = 100
	case i.NotAutomatic:
		priority = 1
	}
	for _, pref := range c.opt.Preferences {
		if pref.Packages == nil && (!fixed || pref.Priority == NeverPin) && priority != NeverPin && c.newFileMatch(pref)(i) {
			priority, fixed = pref.Priority, true
		}
	}
	return priority
}

// newFileMatch compiles a release or origin pin.
func (c *Client) newFileMatch(p Preference) func(*debian.Index) bool {
	if p.Type == "origin" {
		site := newMatcher(p.Data)
		if len(p.Data) >= 2 && p.Data[0] == '"' && p.Data[len(p.Data)-1] == '"' {
			site = newMatcher(p.Data[1 : len(p.Data)-1])
		}
		// A mirror table moves a repository without the pins' knowing; both names of the host count.
		return func(i *debian.Index) bool { return site(host(i.URI)) || site(host(c.locate(i.URI).uri)) }
	}
	if p.Data == "*" {
		return func(*debian.Index) bool { return true }
	}
	if !strings.Contains(p.Data, "=") {
		return plainRelease(p.Data)
	}
	var tests []func(*debian.Index) bool
	test := func(field func(*debian.Index) string, m matcher) {
		tests = append(tests, func(i *debian.Index) bool { return m(field(i)) })
	}
	for _, fragment := range strings.Split(p.Data, ",") {
		fragment = strings.TrimSpace(fragment)
		if len(fragment) < 3 || fragment[1] != '=' {
			continue
		}
		m := newMatcher(fragment[2:])
		switch fragment[0] | 0x20 {
		case 'a':
			test(func(i *debian.Index) string { return i.Archive }, m)
		case 'n':
			test(func(i *debian.Index) string { return i.Codename }, m)
		case 'o':
			test(func(i *debian.Index) string { return i.Origin }, m)
		case 'l':
			test(func(i *debian.Index) string { return i.Label }, m)
		case 'c':
			test(func(i *debian.Index) string { return i.Component }, m)
		case 'b':
			test(func(i *debian.Index) string { return i.Arch }, m)
		case 'v':
			test(func(i *debian.Index) string { return i.ReleaseVersion }, versionMatch(fragment[2:]))
		}
	}
	return func(i *debian.Index) bool {
		for _, t := range tests {
			if !t(i) {
				return false
			}
		}
		return len(tests) > 0
	}
}

// plainRelease is "Pin: release trixie" and "Pin: release 13*".
func plainRelease(data string) func(*debian.Index) bool {
	if data == "" {
		return func(*debian.Index) bool { return false }
	}
	if '0' <= data[0] && data[0] <= '9' {
		m := versionMatch(data)
		return func(i *debian.Index) bool { return m(i.ReleaseVersion) }
	}
	m := newMatcher(data)
	return func(i *debian.Index) bool { return m(i.Archive) || m(i.Codename) }
}

// versionMatch takes a version literally, as a prefix when "*" ends it, as a glob or as a /regex/.
func versionMatch(data string) matcher {
	prefix, isPrefix := strings.CutSuffix(data, "*")
	expr := newMatcher(prefix)
	return func(s string) bool {
		if isPrefix && len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
			return true
		}
		return strings.EqualFold(s, prefix) || expr(s)
	}
}

func host(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// specific are the preferences that name packages.
type specific struct {
	native   string
	byName   map[string][]*named
	bySource map[string][]*named
	patterns []*named
	matched  map[string][]*named // patterns that fit a name, remembered
}

// named is one word of a Package field.
type named struct {
	order    int // of words, over all preferences
	source   bool
	arch     string // "" = native
	name     matcher
	fits     func(*debian.Package, []*debian.Index) bool
	priority int
}

func newSpecific(c *Client) *specific {
	s := &specific{
		native: string(c.opt.Arches[0]), byName: map[string][]*named{}, bySource: map[string][]*named{}, matched: map[string][]*named{},
	}
	order := 0
	for _, pref := range c.opt.Preferences {
		if pref.Packages == nil {
			continue
		}
		fits := c.newPackageMatch(pref)
		for _, word := range pref.Packages {
			order++
			n := &named{order: order, fits: fits, priority: pref.Priority}
			word, n.source = strings.CutPrefix(word, "src:")
			if i := strings.LastIndexByte(word, ':'); i >= 0 {
				word, n.arch = word[:i], word[i+1:]
			}
			switch {
			case isRegexp(word) || strings.ContainsAny(word, "*[?"):
				n.name = newMatcher(word)
				s.patterns = append(s.patterns, n)
			case n.source:
				s.bySource[word] = append(s.bySource[word], n)
			default:
				s.byName[word] = append(s.byName[word], n)
			}
		}
	}
	return s
}

func (c *Client) newPackageMatch(p Preference) func(*debian.Package, []*debian.Index) bool {
	switch p.Type {
	case "version":
		m := versionMatch(p.Data)
		return func(p *debian.Package, _ []*debian.Index) bool { return m(string(p.Version)) }
	case "source-version":
		m := versionMatch(p.Data)
		return func(p *debian.Package, _ []*debian.Index) bool { return m(string(p.SourceVersion)) }
	}
	m := c.newFileMatch(p)
	return func(_ *debian.Package, indices []*debian.Index) bool { return slices.ContainsFunc(indices, m) }
}

func (s *specific) empty() bool { return len(s.byName)+len(s.bySource)+len(s.patterns) == 0 }

// priority is that of the first preference for p, or the one given.
func (s *specific) priority(p *debian.Package, indices []*debian.Index, priority int) int {
	order := -1
	for _, list := range [][]*named{s.byName[p.Name], s.bySource[p.Source], s.matching(p.Name, p.Source)} {
		for _, n := range list {
			if (order < 0 || n.order < order) && s.archFits(n.arch, p.Architecture) && n.fits(p, indices) {
				order, priority = n.order, n.priority
			}
		}
	}
	return priority
}

func (s *specific) matching(name, source string) []*named {
	if len(s.patterns) == 0 {
		return nil
	}
	k := name + " " + source
	list, ok := s.matched[k]
	if !ok {
		for _, n := range s.patterns {
			if n.source && n.name(source) || !n.source && n.name(name) {
				list = append(list, n)
			}
		}
		s.matched[k] = list
	}
	return list
}

// archFits: a name without architecture means the native one, to which packages for "all" belong.
func (s *specific) archFits(want, have string) bool {
	if have == "all" {
		have = s.native
	}
	switch want {
	case "", "native":
		return have == s.native
	case "any":
		return true
	}
	return want == have
}

func cutArch(name string) (pkg, arch string, ok bool) { return strings.Cut(name, ":") }
