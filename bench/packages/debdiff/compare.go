// SPDX-License-Identifier: MIT

package debdiff

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func compareFiles(key, a, b string) (d []Difference, same bool, err error) {
	l, err := open(a)
	if err != nil {
		return nil, false, err
	}
	r, err := open(b)
	if err != nil {
		return nil, false, err
	}
	if l.sum == r.sum {
		return nil, true, nil
	}
	c := comparison{key: key, a: l, b: r}
	c.form()
	c.fields()
	c.controlFiles()
	c.data()
	if len(c.out) == 0 {
		c.differ(Form, "bytes", "sha256 "+l.sum[:12], "sha256 "+r.sum[:12])
	}
	return c.out, false, nil
}

// comparison is the work on one pair of packages.
type comparison struct {
	key  string
	a, b *pkg
	out  []Difference
}

func (c *comparison) differ(class Class, what, a, b string) {
	if a != b {
		c.out = append(c.out, Difference{Package: c.key, Class: class, What: what, A: a, B: b})
	}
}

func (c *comparison) form() {
	c.differ(Form, "members", strings.Join(c.a.members, " "), strings.Join(c.b.members, " "))
}

func (c *comparison) fields() {
	index := func(p *pkg) (map[string]string, []string) {
		m := map[string]string{}
		var order []string
		for _, f := range p.fields {
			m[f.Name] = f.Value
			order = append(order, f.Name)
		}
		return m, order
	}
	a, orderA := index(c.a)
	b, orderB := index(c.b)
	for _, name := range keys(a, b) {
		class := Field
		if name == "Installed-Size" {
			class = Size
		}
		c.differ(class, name, quote(a, name), quote(b, name))
	}
	// Fields that one of them lacks were told above.
	both := func(names []string) string {
		return strings.Join(slices.DeleteFunc(names, func(n string) bool {
			_, inA := a[n]
			_, inB := b[n]
			return !inA || !inB
		}), " ")
	}
	c.differ(Form, "order of fields", both(orderA), both(orderB))
}

func quote(m map[string]string, name string) string {
	v, ok := m[name]
	if !ok {
		return ""
	}
	return strconv.Quote(v)
}

var scripts = []string{"preinst", "postinst", "prerm", "postrm", "config"}

func (c *comparison) controlFiles() {
	for _, name := range keys(c.a.control, c.b.control) {
		a, inA := c.a.control[name]
		b, inB := c.b.control[name]
		if inA && inB {
			c.differ(Form, "mode of "+name, fmt.Sprintf("%04o", a.Mode&0o7777), fmt.Sprintf("%04o", b.Mode&0o7777))
		}
		textA, textB := string(a.Data), string(b.Data)
		class := Control
		switch {
		case name == "control":
			continue
		case slices.Contains(scripts, name):
			class, textA, textB = Script, NormalScript(textA), NormalScript(textB)
		case name == "conffiles":
			class = Conffiles
		case name == "md5sums" && inA && inB:
			// Other contents were told as such: here count the files that are listed, and their order.
			textA, textB = md5names(textA), md5names(textB)
		}
		if inA != inB {
			present := map[bool]string{true: "there"}
			c.differ(class, name, present[inA], present[inB])
			continue
		}
		va, vb := firstDifference(textA, textB)
		c.differ(class, name, va, vb)
	}
}

func md5names(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		_, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		out = append(out, name)
	}
	return strings.Join(out, "\n")
}

// debhelperMark is how debhelper marks what it adds, with its version.
var debhelperMark = regexp.MustCompile(`^# (Automatically added by \S+?)(/\S*)?$`)

// NormalScript gives a maintainer script without what may be said in other words: comments, blank lines, indentation and the
// version in debhelper's marks.
func NormalScript(text string) string {
	var out []string
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		mark := debhelperMark.FindStringSubmatch(line)
		switch {
		case mark != nil:
			line = "# " + mark[1]
		case line == "# End automatically added section" || i == 0 && strings.HasPrefix(line, "#!"):
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n") + "\n"
}

// firstDifference gives the first line in which two texts differ, with its number.
func firstDifference(a, b string) (string, string) {
	if a == b {
		return "", ""
	}
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	i := 0
	for i < len(la) && i < len(lb) && la[i] == lb[i] {
		i++
	}
	show := func(lines []string) string {
		if i >= len(lines) {
			return fmt.Sprintf("ends after line %d", len(lines))
		}
		return fmt.Sprintf("line %d %q", i+1, lines[i])
	}
	return show(la), show(lb)
}

func (c *comparison) data() {
	var orderA, orderB []string
	for _, name := range keys(c.a.entries, c.b.entries) {
		a, inA := c.a.entries[name]
		b, inB := c.b.entries[name]
		switch {
		case !inB:
			c.differ(Files, "/"+name, a.kind, "")
		case !inA:
			c.differ(Files, "/"+name, "", b.kind)
		default:
			c.entry(name, a, b)
		}
	}
	for _, n := range c.a.order {
		if _, both := c.b.entries[n]; both {
			orderA = append(orderA, n)
		}
	}
	for _, n := range c.b.order {
		if _, both := c.a.entries[n]; both {
			orderB = append(orderB, n)
		}
	}
	a, b := firstDifference(strings.Join(orderA, "\n"), strings.Join(orderB, "\n"))
	c.differ(Order, "data.tar", a, b)
}

func (c *comparison) entry(name string, a, b entry) {
	what := "/" + name
	if a.kind != b.kind {
		c.differ(Type, what, a.kind, b.kind)
		return
	}
	c.differ(Mode, what, fmt.Sprintf("%04o", a.mode), fmt.Sprintf("%04o", b.mode))
	c.differ(Owner, what, a.owner, b.owner)
	c.differ(Link, what, a.link, b.link)
	c.differ(Time, what, a.time.UTC().Format("2006-01-02T15:04:05Z"), b.time.UTC().Format("2006-01-02T15:04:05Z"))
	switch {
	case a.sum == b.sum:
	case a.plain == b.plain:
		c.differ(Compressed, what, fmt.Sprintf("%d bytes, %.12s", a.size, a.sum), fmt.Sprintf("%d bytes, %.12s", b.size, b.sum))
	case changelogName.MatchString(name):
		va, vb := firstDifference(a.text, b.text)
		c.differ(Changelog, what, va, vb)
	default:
		c.differ(Content, what, fmt.Sprintf("%d bytes, %.12s", a.size, a.plain), fmt.Sprintf("%d bytes, %.12s", b.size, b.plain))
	}
}
