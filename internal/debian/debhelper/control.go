package debhelper

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/debian"
)

// stanza is one paragraph of a control file; a value has its further lines without their first space.
type stanza struct {
	names  []string
	values map[string]string // by lower-case name
}

func (s *stanza) get(name string) string { return strings.TrimSpace(s.values[strings.ToLower(name)]) }

// control is debian/control of a source with one binary package.
type control struct{ source, binary *stanza }

var fieldLine = regexp.MustCompile(`^([^\s:#-][^\s:]*)\s*:\s*(.*)$`)

// parseControl reads debian/control as dpkg does (deb822(5)): comments are left out, lines that begin with white space
// belong to the field above.
func parseControl(text string) (*control, error) {
	var stanzas []*stanza
	var current *stanza
	var field string
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " \t\r\f\v")
		switch {
		case line == "":
			current, field = nil, ""
			continue
		case line[0] == '#':
			continue
		case line[0] == ' ' || line[0] == '\t':
			if field == "" {
				return nil, fmt.Errorf("line %d continues no field: %q", i+1, line)
			}
			line = line[1:]
			if strings.Trim(line, ".") == "" {
				line = line[1:]
			}
			current.values[field] += "\n" + line
			continue
		}
		m := fieldLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d is no `Field: value`, and does not begin with a space as further lines of a field do: %q", i+1, line)
		}
		if current == nil {
			current = &stanza{values: map[string]string{}}
			stanzas = append(stanzas, current)
		}
		field = strings.ToLower(m[1])
		if _, twice := current.values[field]; twice {
			return nil, fmt.Errorf("line %d has the field %s for the second time", i+1, m[1])
		}
		current.names = append(current.names, m[1])
		current.values[field] = m[2]
	}
	switch {
	case len(stanzas) < 2:
		return nil, fmt.Errorf("there is no paragraph of a binary package")
	case len(stanzas) > 2:
		return nil, beyond("debian/control has %d binary packages", len(stanzas)-1)
	}
	return &control{stanzas[0], stanzas[1]}, nil
}

var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

// identity checks the fields that name the package.
func (c *control) identity(host string) (name, arch string, err error) {
	for _, s := range []struct{ field, value string }{{"Source", c.source.get("Source")}, {"Package", c.binary.get("Package")}} {
		if !packageName.MatchString(s.value) {
			return "", "", fmt.Errorf("%s %q is not a package name: it has lower-case letters, digits and + - . only, at least two, and begins with a letter or digit", s.field, s.value)
		}
	}
	name = c.binary.get("Package")
	switch arch = c.binary.get("Architecture"); arch {
	case "all":
	case "any", host:
		arch = host
	case "":
		return "", "", fmt.Errorf("the package has no architecture")
	default:
		words := strings.Fields(arch)
		if !slices.ContainsFunc(words, func(p string) bool { return debian.MatchArch(p, host) }) || slices.Contains(words, "all") {
			return "", "", fmt.Errorf("%s is for the architecture %q, and cannot be built for %s", name, arch, host)
		}
		arch = host
	}
	multi := c.binary.get("Multi-Arch")
	switch {
	case !slices.Contains([]string{"", "no", "same", "foreign", "allowed"}, multi):
		return "", "", fmt.Errorf("Multi-Arch is %q; it can be no, same, foreign or allowed", multi)
	case multi == "same" && arch == "all":
		return "", "", fmt.Errorf("Multi-Arch: same is for packages of one architecture; %s is for all", name)
	}
	return name, arch, nil
}

var (
	inherited = []string{"section", "priority", "maintainer", "homepage", "origin", "bugs"} // of the source paragraph
	ignored   = []string{"source", "standards-version", "build-depends", "build-depends-indep", "build-depends-arch", "rules-requires-root",
		"vcs-browser", "vcs-git", "uploaders"}
	// outOrder are the fields of a binary package as dpkg-gencontrol(1) orders them.
	outOrder = []string{"Package", "Source", "Version", "Architecture", "Essential", "Protected", "Origin", "Bugs", "Maintainer", "Installed-Size",
		"Pre-Depends", "Depends", "Recommends", "Suggests", "Enhances", "Conflicts", "Breaks", "Replaces", "Provides", "Built-Using",
		"Section", "Priority", "Multi-Arch", "Homepage", "Description"}
	compatRelation = regexp.MustCompile(`^debhelper-compat\s*\(\s*=\s*(\d+)\s*\)$`)
)

// checkBuildDepends accepts what asks for no more than debhelper itself.
func (c *control) checkBuildDepends() error {
	compat := ""
	for _, field := range []string{"build-depends", "build-depends-indep", "build-depends-arch"} {
		for item := range strings.SplitSeq(c.source.values[field], ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			m := compatRelation.FindStringSubmatch(item)
			if m == nil {
				return beyond("the build depends on %s", item)
			}
			compat = m[1]
		}
	}
	if compat != "13" {
		return beyond("DEBIAN_COMPAT is %q; n3x knows 13", compat)
	}
	return nil
}

// gencontrol is dpkg-gencontrol(1): the control file of the binary package.
func (b *builder) gencontrol(installedSize int64) ([]byte, error) {
	c := b.control
	if err := c.checkBuildDepends(); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range c.source.names {
		key := strings.ToLower(name)
		switch {
		case slices.Contains(inherited, key):
			out[key] = c.source.values[key]
		case !slices.Contains(ignored, key):
			return nil, beyond("debian/control has the field %s", name)
		}
	}
	for _, name := range c.binary.names {
		key := strings.ToLower(name)
		if !slices.ContainsFunc(outOrder, func(f string) bool { return strings.EqualFold(f, name) }) {
			return nil, beyond("debian/control has the field %s", name)
		}
		out[key] = c.binary.values[key]
	}
	for key, value := range out {
		if strings.Contains(value, "${") {
			return nil, beyond("the field %s has the substitution variable %s", key, value)
		}
	}
	if err := b.relations(out); err != nil {
		return nil, err
	}
	out["version"], out["architecture"] = b.log.version, b.arch
	out["installed-size"] = strconv.FormatInt(installedSize, 10)
	if source := c.source.get("Source"); source != b.name {
		out["source"] = source
	}
	if out["multi-arch"] == "no" {
		delete(out, "multi-arch")
	}
	if strings.TrimSpace(out["section"]) == "" || strings.TrimSpace(out["maintainer"]) == "" || strings.TrimSpace(out["description"]) == "" {
		return nil, fmt.Errorf("debian/control lacks a Section, Maintainer or Description")
	}
	if out["priority"] == "" {
		delete(out, "priority")
		if b.like.priority {
			out["priority"] = "optional"
		}
	}
	return []byte(format(out)), nil
}

// format writes the fields in their order, lines that are empty as " .".
func format(fields map[string]string) string {
	var out strings.Builder
	for _, name := range outOrder {
		value := fields[strings.ToLower(name)]
		if strings.TrimSpace(value) == "" {
			continue
		}
		first, rest, more := strings.Cut(value, "\n")
		out.WriteString(name + ":")
		if first != "" {
			out.WriteString(" " + first)
		}
		out.WriteByte('\n')
		if !more {
			continue
		}
		for line := range strings.SplitSeq(rest, "\n") {
			if strings.Trim(line, ".") == "" {
				line = "." + line
			}
			out.WriteString(" " + line + "\n")
		}
	}
	return out.String()
}

var relation = regexp.MustCompile(`^([a-zA-Z0-9][a-zA-Z0-9+.-]*)(?::([a-zA-Z0-9][a-zA-Z0-9-]*))?(?:\s*\(\s*(<<|<=|=|>=|>>|[<>])\s*([^)\s]+)\s*\))?$`)

// relations normalises the fields that name other packages. dpkg-gencontrol also drops what follows from other
// relations; whether there is such a thing is seen from names that occur twice.
func (b *builder) relations(fields map[string]string) error {
	own := map[string]bool{b.name: true}
	seen := map[string]string{}
	for _, field := range []string{"Provides", "Pre-Depends", "Depends", "Recommends", "Suggests", "Enhances", "Conflicts", "Breaks", "Replaces", "Built-Using"} {
		key := strings.ToLower(field)
		value, ok := fields[key]
		if !ok {
			continue
		}
		union := !slices.Contains([]string{"pre-depends", "depends", "recommends", "suggests"}, key)
		if union {
			seen = map[string]string{}
		}
		list, err := b.relationList(field, value, own, seen, union)
		if err != nil {
			return err
		}
		if union {
			slices.SortFunc(list, func(x, y string) int { return strings.Compare(firstWord(x), firstWord(y)) })
		}
		if key == "provides" {
			for _, item := range list {
				own[firstWord(item)] = true
			}
			seen = map[string]string{}
		}
		fields[key] = strings.Join(list, ", ")
	}
	return nil
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	word, _, _ = strings.Cut(word, ":")
	return word
}

func (b *builder) relationList(field, value string, own map[string]bool, seen map[string]string, union bool) ([]string, error) {
	var out []string
	for item := range strings.SplitSeq(value, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		var alternatives []string
		for alt := range strings.SplitSeq(item, "|") {
			one, err := b.relation(field, strings.TrimSpace(alt))
			if err != nil {
				return nil, err
			}
			alternatives = append(alternatives, one)
		}
		text := strings.Join(alternatives, " | ")
		if union && len(alternatives) > 1 {
			return nil, fmt.Errorf("%s: %q has alternatives, which only the fields Depends, Recommends, Suggests and Pre-Depends can have", field, text)
		}
		if slices.Contains(out, text) {
			continue
		}
		for _, alt := range alternatives {
			name := firstWord(alt)
			if old, twice := seen[name]; twice && old != text || !union && own[name] {
				return nil, beyond("%s names %s, as the package or another relation does", field, name)
			}
			seen[name] = text
		}
		out = append(out, text)
	}
	return out, nil
}

func (b *builder) relation(field, text string) (string, error) {
	if strings.ContainsAny(text, "[]") || strings.Contains(text, "> ") || strings.HasSuffix(text, ">") {
		return "", beyond("%s has the restriction %q", field, text)
	}
	m := relation.FindStringSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s: %q is no relation to a package; write `name` or `name (>= 1.0)`, separated by commas", field, text)
	}
	out := m[1]
	if m[2] != "" {
		out += ":" + m[2]
	}
	switch m[3] {
	case "":
		return out, nil
	case "<", ">":
		return "", beyond("%s has the obsolete operator %s", field, m[3])
	}
	if _, err := debian.ParseVersion(m[4]); err != nil {
		return "", fmt.Errorf("%s: %q: %w", field, text, err)
	}
	return out + " (" + m[3] + " " + m[4] + ")", nil
}
