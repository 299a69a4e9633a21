package build

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"n3x/internal/debian"
	"n3x/internal/debian/apt"
	"n3x/internal/diag"
	"n3x/internal/isar"
	"n3x/internal/taskgraph"
)

// LockedSource is one Debian source package of a lock file.
type LockedSource struct {
	Request   string       `yaml:"request"` // what follows apt://, e.g. "hello/bookworm"
	Name      string       `yaml:"name"`
	Version   string       `yaml:"version"`
	Directory string       `yaml:"directory"` // below the source's URI
	Index     string       `yaml:"index"`     // e.g. "http://deb.debian.org/debian trixie main"
	Files     []LockedFile `yaml:"files"`     // the .dsc is the first
}

// LockedFile is one file of a source package.
type LockedFile struct {
	Name   string `yaml:"name"`
	Size   int64  `yaml:"size"`
	SHA256 string `yaml:"sha256"`
}

// line is the source package as it stands in a lock file.
func (s LockedSource) line() string {
	var files []string
	for _, f := range s.Files {
		files = append(files, fmt.Sprintf("{name: %q, size: %d, sha256: %q}", f.Name, f.Size, f.SHA256))
	}
	return fmt.Sprintf("{request: %q, name: %q, version: %q, directory: %q, index: %q, files: [%s]}", s.Request, s.Name, s.Version, s.Directory, s.Index, strings.Join(files, ", "))
}

// addSources adds the source packages that a task has fetched.
func (l *Lock) addSources(ctx context.Context, a *isar.Archives, t *taskgraph.Task) error {
	if t.Name != "do_fetch" {
		return nil
	}
	uri, err := t.Recipe.Data.Value("SRC_URI")
	if err != nil {
		return err
	}
	for _, request := range isar.AptRequests(uri) {
		_, p, err := a.Source(ctx, t.Recipe.Data, request, nil)
		if err != nil {
			return err
		}
		key, err := a.Key(t.Recipe.Data)
		if err != nil {
			return err
		}
		l.addSource(key, request, p)
	}
	return nil
}

func (l *Lock) addSource(key, request string, p *apt.SourcePackage) {
	s := LockedSource{Request: request, Name: p.Name, Version: string(p.Version), Directory: p.Directory, Index: indexText(p.Index)}
	for _, f := range p.Files {
		s.Files = append(s.Files, LockedFile{f.Name, f.Size, f.SHA256})
	}
	if l.Sources == nil {
		l.Sources = map[string][]LockedSource{}
	}
	list := append(l.Sources[key], s)
	slices.SortFunc(list, func(a, b LockedSource) int { return strings.Compare(a.Request, b.Request) })
	l.Sources[key] = slices.CompactFunc(list, func(a, b LockedSource) bool { return a.Request == b.Request })
}

// source is the locked source package of a request.
func (l *Lock) source(key string, r apt.SourceRequest) (*apt.SourcePackage, error) {
	const renew = "write the lock file anew: n3x lock --update FILES"
	i := slices.IndexFunc(l.Sources[key], func(s LockedSource) bool { return s.Request == r.String() })
	if i < 0 {
		return nil, diag.Userf(diag.Pos{}, "n3x.lock has no source package apt://%s of %s", r, key).WithHint("%s", "the recipe has changed since it was written; "+renew)
	}
	s := l.Sources[key][i]
	p := &apt.SourcePackage{Name: s.Name, Version: debian.Version(s.Version), Directory: s.Directory, Index: parseIndexText(s.Index)}
	for _, f := range s.Files {
		p.Files = append(p.Files, apt.SourceFile{Name: f.Name, Size: f.Size, SHA256: f.SHA256})
	}
	if err := p.Validate(); err != nil {
		return nil, diag.Userf(diag.Pos{}, "n3x.lock, source package apt://%s of %s: %w", r, key, err).WithHint("restore it from version control, or " + renew)
	}
	if p.Name != r.Name || r.Version != "" && p.Version.Compare(r.Version) != 0 {
		return nil, diag.Userf(diag.Pos{}, "n3x.lock says that apt://%s of %s is %s", r, key, p.ID()).WithHint("restore it from version control, or " + renew)
	}
	return p, nil
}

// indexText names an index in a lock file.
func indexText(i *debian.Index) string {
	return strings.TrimSpace(i.URI + " " + i.Suite + " " + i.Component)
}

func parseIndexText(s string) *debian.Index {
	words := append(strings.Fields(s), "", "", "")
	return &debian.Index{URI: words[0], Suite: words[1], Component: words[2]}
}
