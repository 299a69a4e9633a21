package debhelper

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"n3x/internal/debian"
)

// changelog is what debian/changelog says: the source and version of its first entry, and that entry's date.
type changelog struct {
	text            string
	source, version string
	date            time.Time
	nobody          bool // the maintainer has no address
}

var (
	entryHeader  = regexp.MustCompile(`(?i)^(\w[-+0-9a-z.]*) \(([^() \t]+)\)((?:\s+[-+0-9a-z.]+)+);(.*?)\s*$`)
	entryTrailer = regexp.MustCompile(`^ -- (.*) <(.*)>  ?(\S.*?)\s*$`)
	looseTrailer = regexp.MustCompile(`^ -- (\S.*?)( ) (\S.*?)\s*$`)
	trimTrailer  = regexp.MustCompile(`^\s*--\s+.*?\s+<[^>]*>\s+(.*)$`)
	weekDay      = regexp.MustCompile(`^[A-Za-z]+, +`)
)

const changelogDate = "_2 Jan 2006 15:04:05 -0700"

func parseChangelog(text string) (*changelog, error) {
	c := &changelog{text: text}
	for line := range strings.SplitSeq(text, "\n") {
		if c.source == "" {
			if strings.TrimSpace(line) == "" {
				continue
			}
			m := entryHeader.FindStringSubmatch(line)
			if m == nil {
				return nil, fmt.Errorf("debian/changelog does not begin with `package (version) distribution; urgency=low` but with %q", line)
			}
			if strings.Contains(m[4], "binary-only") {
				return nil, beyond("debian/changelog begins with a binary-only entry")
			}
			c.source, c.version = m[1], m[2]
			continue
		}
		if strings.HasPrefix(line, " --") {
			m := entryTrailer.FindStringSubmatch(line)
			if m == nil {
				m = looseTrailer.FindStringSubmatch(line)
				c.nobody = m != nil
			}
			if m == nil {
				return nil, fmt.Errorf("debian/changelog: %q is no ` -- Name <address>  date`; set MAINTAINER to such a name and address", line)
			}
			date, err := time.Parse(changelogDate, weekDay.ReplaceAllString(m[3], ""))
			if err != nil {
				return nil, fmt.Errorf("debian/changelog: %q is no date like `Mon, 02 Jan 2006 15:04:05 +0000`", m[3])
			}
			c.date = date
			break
		}
	}
	if c.source == "" || c.date.IsZero() {
		return nil, fmt.Errorf("debian/changelog has no whole entry")
	}
	if err := debian.Version(c.version).Validate(); err != nil {
		return nil, fmt.Errorf("debian/changelog: %w; CHANGELOG_V or PV gives it", err)
	}
	return c, nil
}

// native tells whether the version has no revision.
func (c *changelog) native() bool { return !strings.Contains(c.version, "-") }

// trimmed leaves out entries before the date, but never the newest four (dh_installchangelogs(1)). debhelper
// leaves nothing of an entry without an address, and dpkg takes the time of day for its date; here it stays.
func (c *changelog) trimmed(name string, before time.Time) string {
	if c.nobody {
		return c.text
	}
	var out, entry strings.Builder
	count := 0
	lines := strings.SplitAfter(c.text, "\n")
	for i, line := range lines {
		entry.WriteString(line)
		m := trimTrailer.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		date, err := time.Parse(changelogDate, weekDay.ReplaceAllString(m[1], ""))
		if err != nil {
			return c.text
		}
		if date.Before(before) && count >= 4 {
			if i+1 < len(lines) && strings.Join(lines[i+1:], "") != "" {
				out.WriteString("\n# Older entries have been removed from this changelog.\n# To read the complete changelog use `apt changelog " + name + "`.\n")
			}
			return out.String()
		}
		out.WriteString(entry.String())
		entry.Reset()
		count++
	}
	return out.String()
}

// installDocs is dh_installdocs(1): the folder for documents and the copyright.
func (b *builder) installDocs() error {
	dir := "usr/share/doc/" + b.name
	if n := b.tree.nodes[dir]; n != nil && n.kind == symlink {
		return beyond("%s is a symbolic link", dir)
	}
	text, found, err := b.optional("copyright")
	if err != nil || !found {
		return err
	}
	return b.add(dir+"/copyright", 0o644, text)
}

// installChangelogs is dh_installchangelogs(1): debian/changelog, and the upstream one if the package has it.
func (b *builder) installChangelogs() error {
	dir := "usr/share/doc/" + b.name + "/"
	upstream := b.upstreamChangelog(dir)
	name := "changelog"
	if !b.log.native() {
		name = "changelog.Debian"
		if upstream == "" {
			if err := b.noUpstreamChangelog(); err != nil {
				return err
			}
		}
	}
	if n := b.tree.nodes[dir+name]; n != nil && n.kind == regular {
		b.tree.put(dir+name, nil)
		delete(b.tree.nodes, dir+name)
	}
	if err := b.add(dir+name, 0o644, []byte(b.log.trimmed(b.name, b.like.cutoff))); err != nil {
		return err
	}
	if upstream == "" {
		return nil
	}
	if upstream != "changelog" {
		b.tree.put(dir+"changelog", b.tree.nodes[dir+upstream])
		delete(b.tree.nodes, dir+upstream)
	}
	b.tree.nodes[dir+"changelog"].mode = 0o644
	return nil
}

// upstreamNames are the names of upstream's changelog in any case, the best first.
func (b *builder) upstreamNames() []string {
	var out []string
	for _, suffix := range b.like.changelogSuffixes {
		for _, name := range []string{"changelog", "changes", "history"} {
			out = append(out, name+suffix)
		}
	}
	return out
}

func (b *builder) upstreamChangelog(dir string) string {
	for _, want := range b.upstreamNames() {
		for _, name := range b.tree.files(strings.TrimSuffix(dir, "/")) {
			n := b.tree.nodes[name]
			if path.Dir(name)+"/" == dir && n.size > 0 && strings.EqualFold(path.Base(name), want) {
				return path.Base(name)
			}
		}
	}
	return ""
}

// noUpstreamChangelog refuses trees with a changelog of upstream beside debian/.
func (b *builder) noUpstreamChangelog() error {
	for _, dir := range []string{".", "doc", "docs"} {
		names, err := namesIn(b.Dir, dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if slices.Contains(b.upstreamNames(), strings.ToLower(name)) {
				return beyond("%s is a changelog of upstream", path.Join(dir, name))
			}
		}
	}
	return nil
}
