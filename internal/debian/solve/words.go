package solve

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"n3x/internal/debian"
)

// selection is what the words of a request mean.
type selection struct {
	install, remove []int32    // versions, in the order of the words
	releases        []released // versions chosen by name/suite
}

type released struct {
	version int32
	release string
}

// chooser reads the words of a request (apt-pkg/cacheset.cc, apt-private/private-cacheset.cc).
type chooser struct {
	*state
	sel    selection
	errors []*Reason
}

func (s *state) choose(words []string) (selection, []*Reason) {
	c := &chooser{state: s}
	for _, w := range words {
		c.word(w)
	}
	return c.sel, c.errors
}

func (c *chooser) fail(format string, args ...any) {
	c.errors = append(c.errors, &Reason{Text: fmt.Sprintf(format, args...)})
}

// word enters one word; a final "-" asks for removal, a final "+" for installation, unless it belongs to a name.
func (c *chooser) word(word string) {
	if reason := unsupported(word); reason != "" {
		c.fail("%q: %s", word, reason)
		return
	}
	name, suffix := word, byte(0)
	if n := len(word) - 1; n > 0 && (word[n] == '+' || word[n] == '-') {
		name, suffix = word[:n], word[n]
	}
	if suffix != 0 {
		full, _, _ := cutVersion(word)
		if p := c.lookup(full); p != 0 {
			name, suffix = word, 0
		}
	}
	name, sep, wanted := cutVersion(name)
	p := c.lookup(name)
	if p == 0 {
		c.unknown(name)
		return
	}
	if suffix == '-' {
		c.removeWord(p, sep, wanted)
		return
	}
	if v := c.pick(p, sep, wanted); v != 0 && !slices.Contains(c.sel.install, v) {
		c.sel.install = append(c.sel.install, v)
	}
}

// unsupported names what apt-get would understand but this solver does not.
func unsupported(word string) string {
	switch {
	case word == "":
		return "an empty package name"
	case strings.HasSuffix(word, "^"):
		return "tasks are not supported: name the packages"
	case word[0] == '?' || word[0] == '~':
		return "search patterns are not supported: name the packages"
	case word[0] == '/' || word[0] == '.':
		return "package files are not supported here: name a package of an index"
	}
	name, _, _ := cutVersion(word)
	if strings.ContainsAny(name, "*?[]|^$!") {
		return "wildcards and regular expressions are not supported: name the packages"
	}
	return ""
}

// cutVersion splits name=version and name/suite.
func cutVersion(word string) (name string, sep byte, wanted string) {
	if i := strings.LastIndexAny(word, "/="); i >= 0 {
		return word[:i], word[i], word[i+1:]
	}
	return word, 0, ""
}

// lookup finds the package that name or name:arch means, 0 if there is none.
func (c *chooser) lookup(name string) int32 {
	i := strings.LastIndexByte(name, ':')
	if i < 0 {
		return c.preferred(c.byName[name], true)
	}
	g := c.byName[name[:i]]
	if name[i+1:] == "any" {
		return c.find(g, c.any())
	}
	if a := c.archNumber(name[i+1:]); a >= 0 {
		return c.find(g, a)
	}
	return 0
}

func (c *chooser) unknown(name string) {
	if base, arch, ok := strings.Cut(name, ":"); ok && c.archNumber(arch) < 0 {
		c.fail("unknown architecture %q of package %q: known are %s", arch, base, strings.Join(c.arches[:c.configured], ", "))
		return
	}
	c.fail("unknown package %q%s", name, didYouMean(c.nearNames(name)))
}

// pick is the version of p that a word asks for.
func (c *chooser) pick(p int32, sep byte, wanted string) int32 {
	if sep == 0 || wanted == "candidate" {
		if v := c.pkg[p].candidate; v != 0 {
			return v
		}
		if v := c.onlyProvider(p, func(r *prvNode) bool { return c.pkg[c.vers[r.owner].pkg].candidate == r.owner }); v != 0 {
			return v
		}
		c.noCandidate(p)
		return 0
	}
	v := int32(0)
	switch {
	case wanted == "installed":
		v = c.pkgs[p].current
	case wanted == "newest":
		v = c.pkgs[p].versions
	case sep == '=':
		v = c.pickVersion(p, wanted)
	default:
		v = c.pickRelease(p, wanted)
	}
	if v == 0 {
		c.noVersion(p, sep, wanted)
	}
	return v
}

func (c *chooser) pickVersion(p int32, wanted string) int32 {
	prefix, glob := strings.CutSuffix(wanted, "*")
	matches := func(v string) bool {
		if glob {
			return len(v) >= len(prefix) && strings.EqualFold(v[:len(prefix)], prefix)
		}
		return strings.EqualFold(v, wanted)
	}
	for v := c.pkgs[p].versions; v != 0; v = c.vers[v].next {
		if matches(string(c.version(v))) {
			if glob {
				c.sel.releases = append(c.sel.releases, released{v, wanted})
			}
			return v
		}
	}
	for r := c.pkgs[p].provides; r != 0; r = c.prvs[r].next {
		if prv := &c.prvs[r]; c.vers[prv.owner].pkg == p && prv.version != "" && matches(string(prv.version)) {
			return prv.owner
		}
	}
	return c.switchTo(p, func(r *prvNode) bool { return r.version != "" && string(r.version) == wanted })
}

func (c *chooser) pickRelease(p int32, wanted string) int32 {
	v := c.pkgs[p].versions
	for v != 0 && !c.inRelease(v, wanted) {
		v = c.vers[v].next
	}
	if v == 0 {
		return c.switchTo(p, func(r *prvNode) bool { return c.inRelease(r.owner, wanted) })
	}
	c.sel.releases = append(c.sel.releases, released{v, wanted})
	return v
}

// switchTo is the only provider that matches; matching versions become candidates.
func (c *chooser) switchTo(p int32, match func(*prvNode) bool) int32 {
	owners := map[int32][]int32{}
	for r := c.pkgs[p].provides; r != 0; r = c.prvs[r].next {
		if match(&c.prvs[r]) {
			q := c.vers[c.prvs[r].owner].pkg
			owners[q] = append(owners[q], c.prvs[r].owner)
		}
	}
	for _, list := range owners {
		if len(list) == 1 {
			c.setCandidate(list[0])
		}
	}
	return c.onlyProvider(p, match)
}

// inRelease reports whether v comes from an index of the release: its archive, codename or version number.
func (c *cache) inRelease(v int32, wanted string) bool {
	n := &c.vers[v]
	if n.installed != nil && wanted == "now" {
		return true
	}
	for _, p := range append([]*debian.Package{n.p}, n.also...) {
		if p.Index == nil {
			continue
		}
		names := []string{p.Index.Archive, p.Index.Codename}
		if isDigit(wanted) {
			names = []string{p.Index.ReleaseVersion}
		}
		for _, name := range names {
			if ok, err := path.Match(strings.ToLower(wanted), strings.ToLower(name)); err == nil && ok && name != "" {
				return true
			}
		}
	}
	return false
}

func isDigit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

// onlyProvider is what a virtual name means when just one package provides it.
func (c *chooser) onlyProvider(p int32, match func(*prvNode) bool) int32 {
	best := int32(0)
	for r := c.pkgs[p].provides; r != 0; r = c.prvs[r].next {
		if !match(&c.prvs[r]) {
			continue
		}
		v := c.prvs[r].owner
		if best == 0 {
			best = v
			continue
		}
		a, b := &c.pkgs[c.vers[best].pkg], &c.pkgs[c.vers[v].pkg]
		if a.group != b.group {
			return 0
		}
		if a.arch != c.pkgs[p].arch && b.arch < a.arch {
			best = v
		}
	}
	return best
}

func (c *chooser) removeWord(p int32, sep byte, wanted string) {
	v := c.pkgs[p].versions
	if sep != 0 {
		v = c.pick(p, sep, wanted)
	} else if v == 0 {
		v = c.onlyProvider(p, func(r *prvNode) bool { return c.pkg[c.vers[r.owner].pkg].candidate == r.owner })
	}
	if v != 0 && !slices.Contains(c.sel.remove, v) {
		c.sel.remove = append(c.sel.remove, v)
	}
}

func (c *chooser) noCandidate(p int32) {
	n := &c.pkgs[p]
	switch {
	case n.versions != 0:
		c.fail("package %s has no candidate: %s", c.pretty(p), c.versionList(p))
	case n.provides != 0:
		var names []string
		for r := n.provides; r != 0; r = c.prvs[r].next {
			if v := c.prvs[r].owner; c.pkg[c.vers[v].pkg].candidate == v {
				names = append(names, c.pretty(c.vers[v].pkg)+" "+string(c.version(v)))
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
		if len(names) == 0 {
			c.fail("package %s is virtual and nothing installable provides it", c.pretty(p))
			return
		}
		c.fail("package %s is virtual: choose one of %s", c.pretty(p), strings.Join(names, ", "))
	default:
		c.unknown(c.pretty(p))
	}
}

func (c *chooser) noVersion(p int32, sep byte, wanted string) {
	what := "version"
	if sep == '/' {
		what = "release"
	}
	if c.pkgs[p].versions == 0 {
		c.noCandidate(p)
		return
	}
	c.fail("package %s has no %s %q: %s", c.pretty(p), what, wanted, c.versionList(p))
}

// versionList describes the versions of p for an error.
func (c *cache) versionList(p int32) string {
	var list []string
	for v := c.pkgs[p].versions; v != 0; v = c.vers[v].next {
		list = append(list, c.describeVersion(v))
	}
	if len(list) == 0 {
		return "there is no version"
	}
	return "there is " + strings.Join(list, ", ")
}

func (c *cache) describeVersion(v int32) string {
	n := &c.vers[v]
	var from []string
	for _, p := range append([]*debian.Package{n.p}, n.also...) {
		if p.Index == nil {
			continue
		}
		suite := p.Index.Suite
		if pin := originPin(p); pin != defaultPin {
			suite += fmt.Sprintf(", pin %d", pin)
		}
		from = append(from, suite)
	}
	if n.installed != nil {
		from = append(from, "installed")
	}
	if len(from) == 0 {
		return string(c.version(v))
	}
	return string(c.version(v)) + " (" + strings.Join(from, "; ") + ")"
}
