package fetch

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
)

// shrinkwrap is an npm-shrinkwrap.json or package-lock.json file: "packages" since npm 7, before it "dependencies".
type shrinkwrap struct {
	Packages     map[string]npmDependency `json:"packages"`
	Dependencies map[string]npmDependency `json:"dependencies"`
}

type npmDependency struct {
	Version      string                   `json:"version"`
	Resolved     string                   `json:"resolved"`
	Integrity    string                   `json:"integrity"`
	Dev          bool                     `json:"dev"`
	Bundled      bool                     `json:"bundled"`
	InBundle     bool                     `json:"inBundle"`
	Link         bool                     `json:"link"`
	Dependencies map[string]npmDependency `json:"dependencies"`
}

// npmPart is one package that a shrinkwrap file asks for.
type npmPart struct {
	name, dest string  // dest is where it goes, e.g. "node_modules/a/node_modules/b"
	source     *Source // nil of a file beside the recipe's sources
	local      string  // its path below the destination
}

// shrinkwrapFile is the path that npmsw:// names.
func (s *Source) shrinkwrapFile() string {
	_, p, _ := strings.Cut(s.address(), "://")
	return p
}

// npmParts reads a shrinkwrap file; the parts are sorted by where they go.
func (f *Fetcher) npmParts(s *Source) ([]npmPart, error) {
	data, err := os.ReadFile(s.shrinkwrapFile())
	if err != nil {
		return nil, diag.Userf(s.Pos, "%s: %w", s.URL, err)
	}
	var w shrinkwrap
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, diag.Userf(s.Pos, "%s is no shrinkwrap file: %w", s.shrinkwrapFile(), err)
	}
	dev, err := s.boolean("dev", false)
	if err != nil {
		return nil, err
	}
	var parts []npmPart
	add := func(name, dest string, d npmDependency) error {
		if d.Dev && !dev || d.Bundled || d.InBundle || d.Link {
			return nil
		}
		if !localPath(dest) {
			return diag.Userf(s.Pos, "%s: dependency %q leads out of the work folder", s.shrinkwrapFile(), dest)
		}
		p, err := s.npmPart(name, dest, d)
		if err != nil {
			return diag.Userf(s.Pos, "%s: dependency %s: %w", s.shrinkwrapFile(), name, err)
		}
		if p != nil {
			parts = append(parts, *p)
		}
		return nil
	}
	if w.Packages != nil {
		for dest, d := range w.Packages {
			if dest == "" {
				continue
			}
			parts := strings.Split(dest, "node_modules/")
			if err := add(parts[len(parts)-1], dest, d); err != nil {
				return nil, err
			}
		}
	} else if err := walkDependencies(w.Dependencies, "", add); err != nil {
		return nil, err
	}
	slices.SortFunc(parts, func(a, b npmPart) int { return strings.Compare(a.dest, b.dest) })
	return parts, nil
}

func walkDependencies(deps map[string]npmDependency, above string, add func(name, dest string, d npmDependency) error) error {
	for name, d := range deps {
		dest := path.Join(above, "node_modules", name)
		if err := walkDependencies(d.Dependencies, dest, add); err != nil {
			return err
		}
		if err := add(name, dest, d); err != nil {
			return err
		}
	}
	return nil
}

var npmGit = regexp.MustCompile(`^git\+([a-z]+)://([^#]+)#([0-9a-f]+)$`)

// npmPart finds out where a dependency comes from; nil means from the same place as another one.
func (s *Source) npmPart(name, dest string, d npmDependency) (*npmPart, error) {
	p := &npmPart{name: name, dest: dest}
	version := d.Version
	var entry string
	switch {
	case semver.MatchString(version) && d.Integrity != "":
		if d.Resolved == "" {
			return nil, nil
		}
		sum, err := npmIntegrity(d.Integrity)
		if err != nil {
			return nil, err
		}
		entry = d.Resolved + ";downloadfilename=" + npmFile(name, version) + ";" + sum
	case strings.HasPrefix(version, "http") && d.Integrity != "":
		sum, err := npmIntegrity(d.Integrity)
		if err != nil {
			return nil, err
		}
		entry = version + ";downloadfilename=npm2/" + path.Base(version) + ";" + sum
	case strings.HasPrefix(version, "file:"):
		p.local = version[len("file:"):]
		if !localPath(p.local) {
			return nil, fmt.Errorf("%s leads out of the sources", version)
		}
		return p, nil
	default:
		git := npmGit.FindStringSubmatch(gitVersion(version))
		if git == nil {
			return nil, fmt.Errorf("version %q is neither a version with integrity, a tarball nor a git address with a commit", version)
		}
		entry = "git://" + git[2] + ";protocol=" + git[1] + ";rev=" + git[3] + ";nobranch=1;destsuffix=" + dest
	}
	var err error
	p.source, err = s.derived(entry)
	return p, err
}

// gitVersion writes npm's short forms of git addresses out.
func gitVersion(v string) string {
	for short, host := range map[string]string{"github:": "github.com", "gist:": "gist.github.com", "bitbucket:": "bitbucket.org", "gitlab:": "gitlab.com"} {
		if rest, ok := strings.CutPrefix(v, short); ok {
			return "git+https://" + host + "/" + rest
		}
	}
	if strings.HasPrefix(v, "git+") || strings.HasPrefix(v, "git:") || strings.HasPrefix(v, ".") || strings.HasPrefix(v, "@") || strings.HasPrefix(v, "/") || !strings.Contains(v, "/") {
		return v
	}
	return "git+https://github.com/" + v
}

// fetchShrinkwrap fetches all dependencies that a shrinkwrap file names.
func (f *Fetcher) fetchShrinkwrap(ctx context.Context, s *Source) error {
	parts, err := f.npmParts(s)
	if err != nil {
		return err
	}
	var list []*Source
	seen := map[string]bool{}
	for _, p := range parts {
		if p.source == nil || seen[p.source.URL] {
			continue
		}
		seen[p.source.URL] = true
		if !p.source.isGit() {
			resolved := filepath.Join(f.o.DownloadDir, p.source.LocalName()+".resolved")
			if err := os.MkdirAll(filepath.Dir(resolved), 0o777); err != nil {
				return err
			}
			if err := atomicfile.Write(resolved, []byte(p.source.URL), 0o666); err != nil {
				return err
			}
		}
		list = append(list, p.source)
	}
	if err := f.one(list); err != nil {
		return err
	}
	return f.fetchAllOf(ctx, list)
}

// unpackShrinkwrap puts the dependencies below the recipe's sources, with the file as npm-shrinkwrap.json.
func (f *Fetcher) unpackShrinkwrap(ctx context.Context, s *Source, dir string) error {
	parts, err := f.npmParts(s)
	if err != nil {
		return err
	}
	to := s.Params["destsuffix"]
	if to == "" {
		to = f.o.SourceDir
	}
	dest, err := s.below(dir, "destsuffix", to)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(s.shrinkwrapFile())
	if err != nil {
		return s.wrap(err)
	}
	if err := f.put(dest, "npm-shrinkwrap.json", string(data)); err != nil {
		return s.wrap(err)
	}
	for _, p := range parts {
		if err := f.unpackNpmPart(ctx, p, dest); err != nil {
			return s.wrap(err)
		}
	}
	return nil
}

func (f *Fetcher) unpackNpmPart(ctx context.Context, p npmPart, dest string) error {
	at, err := securejoin.SecureJoin(dest, p.dest)
	if err != nil {
		return err
	}
	local, err := securejoin.SecureJoin(dest, p.local)
	if err != nil {
		return err
	}
	switch {
	case p.source == nil && strings.HasSuffix(p.local, ".tgz"):
		return f.extractNpm(ctx, local, at)
	case p.source == nil:
		return copyFolder(local, at)
	case p.source.isGit():
		if err := f.resolve(ctx, p.source); err != nil {
			return err
		}
		return f.unpackGit(ctx, p.source, dest)
	}
	return f.extractNpm(ctx, filepath.Join(f.o.DownloadDir, p.source.LocalName()), at)
}
