package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"n3x/internal/atomicfile"
	"n3x/internal/debian"
)

// ImportOptions say what [Repository.Import] takes over.
type ImportOptions struct {
	Dirs []string     // .deb files and, by their .dsc, source packages anywhere below; folders named "partial" are left out
	Warn func(string) // told of files that are left out because they are no packages

	// Override changes priority and section, which an archive may see otherwise than the package itself; nil = as it says.
	Override func(p *debian.Package)
}

// Import adds the packages below folders. Of several versions the newest stays; files that were looked at before are not
// read again, and the pool has hard links to them where that is possible.
func (r *Repository) Import(ctx context.Context, o ImportOptions) error {
	return r.Change(func(c *Change) error {
		c.link = true
		known, err := readImported(r.importedFile())
		if err != nil {
			return err
		}
		found, err := packageFiles(o.Dirs)
		if err != nil {
			return err
		}
		var fresh []string
		for path, stamp := range found {
			if known[path] != stamp {
				fresh = append(fresh, path)
			}
		}
		slices.Sort(fresh)
		faults, err := c.importFiles(ctx, fresh, o.Override)
		if err != nil {
			return err
		}
		for _, path := range fresh {
			if fault := faults[path]; fault != nil {
				o.Warn(fmt.Sprintf("%s is left out of the repository: %v", path, fault))
			}
		}
		if len(fresh) == 0 && len(found) == len(known) {
			return nil
		}
		c.after = func() error { return writeImported(r.importedFile(), found) }
		c.dirty = true
		return nil
	})
}

func (r *Repository) importedFile() string { return filepath.Join(r.o.DB, "imported") }

// packageFiles finds .deb and .dsc files; what it gives tells when one has changed.
func packageFiles(dirs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "partial":
				return fs.SkipDir
			case filepath.Ext(path) != ".deb" && filepath.Ext(path) != ".dsc" || strings.HasPrefix(d.Name(), "."):
				return nil
			}
			st, err := os.Stat(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // another process tidies up
			}
			if err == nil && st.Mode().IsRegular() {
				out[path] = fmt.Sprintf("%d %d", st.Size(), st.ModTime().UnixNano())
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return out, nil
}

// importFiles adds the newest versions; faults are the files that are no packages.
func (c *Change) importFiles(ctx context.Context, files []string, override func(*debian.Package)) (faults map[string]error, err error) {
	debs, sources := make([]*Deb, len(files)), make([]*Source, len(files))
	faults = map[string]error{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, path := range files {
		g.Go(func() error {
			var err error
			if filepath.Ext(path) == ".deb" {
				debs[i], err = ReadDeb(path)
			} else {
				sources[i], err = ReadSource(path)
			}
			if err != nil {
				mu.Lock()
				faults[path] = err
				mu.Unlock()
			}
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	held := map[string]string{}
	for _, e := range c.entries {
		held[e.name+" "+e.arch] = e.version
	}
	newer := func(key string, v debian.Version) bool {
		old, ok := held[key]
		if ok && debian.Version(old).Compare(v) > 0 {
			return false
		}
		held[key] = string(v)
		return true
	}
	for i, path := range files {
		switch {
		case faults[path] != nil:
		case debs[i] != nil && newer(debs[i].Name+" "+debs[i].Architecture, debs[i].Version):
			if override != nil {
				override(debs[i].Package)
			}
			err = c.Add(debs[i], "")
		case sources[i] != nil && newer(sources[i].Name+" source", sources[i].Version):
			err = c.AddSource(sources[i], "")
		}
		if err != nil {
			faults[path], err = err, nil // of an architecture that no machine here has, say
		}
	}
	return faults, nil
}

func readImported(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) != 3 {
			continue
		}
		if name, err := url.PathUnescape(words[0]); err == nil {
			out[name] = words[1] + " " + words[2]
		}
	}
	return out, nil
}

func writeImported(path string, files map[string]string) error {
	var lines []string
	for name, stamp := range files {
		lines = append(lines, url.PathEscape(name)+" "+stamp+"\n")
	}
	slices.Sort(lines)
	return atomicfile.Write(path, []byte(strings.Join(lines, "")), 0o644)
}
