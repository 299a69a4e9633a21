package solve

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"n3x/internal/debian"
)

// readPackages reads an index or a status file as far as the solver needs it.
func readPackages(t testing.TB, r io.Reader, index *debian.Index) []*debian.Package {
	t.Helper()
	var list []*debian.Package
	p := &debian.Package{}
	flush := func() {
		if p.Name == "" {
			return
		}
		if p.Source == "" {
			p.Source = p.Name
		}
		if p.SourceVersion == "" {
			p.SourceVersion = p.Version
		}
		p.Index = index
		if index != nil {
			p.Pin = 500
		}
		list = append(list, p)
		p = &debian.Package{}
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			flush()
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || line[0] == ' ' {
			continue
		}
		if err := setField(p, key, strings.TrimSpace(value)); err != nil {
			t.Fatalf("package %s: %s: %v", p.Name, key, err)
		}
	}
	flush()
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

func setField(p *debian.Package, key, value string) (err error) {
	relation := func(d *debian.Dependency) { *d, err = debian.ParseDependency(value) }
	switch key {
	case "Package":
		p.Name = value
	case "Version":
		p.Version, err = debian.ParseVersion(value)
	case "Architecture":
		p.Architecture = value
	case "Multi-Arch":
		p.MultiArch = value
	case "Source":
		name, version, _ := strings.Cut(value, " (")
		p.Source, p.SourceVersion = name, debian.Version(strings.TrimSuffix(version, ")"))
	case "Essential":
		p.Essential = value == "yes"
	case "Protected", "Important":
		p.Protected = p.Protected || value == "yes"
	case "Priority":
		p.Priority = value
	case "Section":
		p.Section = value
	case "Size":
		p.Size, err = strconv.ParseInt(value, 10, 64)
	case "Installed-Size":
		p.InstalledSize, err = strconv.ParseInt(value, 10, 64)
	case "SHA256":
		p.SHA256 = value
	case "Pre-Depends":
		relation(&p.PreDepends)
	case "Depends":
		relation(&p.Depends)
	case "Recommends":
		relation(&p.Recommends)
	case "Suggests":
		relation(&p.Suggests)
	case "Conflicts":
		relation(&p.Conflicts)
	case "Breaks":
		relation(&p.Breaks)
	case "Replaces":
		relation(&p.Replaces)
	case "Enhances":
		relation(&p.Enhances)
	case "Provides":
		relation(&p.Provides)
	}
	return err
}

// writePackages writes what readPackages reads, and what apt insists on.
func writePackages(w io.Writer, list []*debian.Package, status bool) {
	for _, p := range list {
		field := func(key, value string) {
			if value != "" {
				fmt.Fprintf(w, "%s: %s\n", key, value)
			}
		}
		field("Package", p.Name)
		if status {
			field("Status", "install ok installed")
		}
		if p.Source != p.Name || p.SourceVersion != p.Version {
			field("Source", fmt.Sprintf("%s (%s)", p.Source, p.SourceVersion))
		}
		field("Version", string(p.Version))
		field("Architecture", p.Architecture)
		field("Multi-Arch", p.MultiArch)
		field("Priority", p.Priority)
		field("Section", p.Section)
		for key, value := range map[string]bool{"Essential": p.Essential, "Protected": p.Protected} {
			if value {
				field(key, "yes")
			}
		}
		field("Installed-Size", strconv.FormatInt(p.InstalledSize, 10))
		for _, f := range []struct {
			key string
			dep debian.Dependency
		}{
			{"Pre-Depends", p.PreDepends}, {"Depends", p.Depends}, {"Recommends", p.Recommends}, {"Suggests", p.Suggests},
			{"Conflicts", p.Conflicts}, {"Breaks", p.Breaks}, {"Replaces", p.Replaces}, {"Enhances", p.Enhances},
			{"Provides", p.Provides},
		} {
			field(f.key, f.dep.String())
		}
		if !status {
			field("Size", strconv.FormatInt(p.Size, 10))
			field("Filename", fmt.Sprintf("./%s_%s_%s.deb", p.Name, p.Version, p.Architecture))
		}
		fmt.Fprintln(w)
	}
}

// describe is a plan as the tests compare it.
func describe(plan *Plan, err error) string {
	if err != nil {
		return "refused"
	}
	var b strings.Builder
	for _, l := range []struct {
		verb string
		list []*debian.Package
	}{{"install", plan.Install}, {"upgrade", plan.Upgrade}, {"remove", plan.Remove}} {
		for _, p := range l.list {
			if l.verb == "remove" { // apt-get -s does not say the architecture of "all"
				fmt.Fprintf(&b, "%s %s=%s\n", l.verb, p.Name, p.Version)
				continue
			}
			fmt.Fprintf(&b, "%s %s\n", l.verb, p.ID())
		}
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}
