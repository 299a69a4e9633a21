package isar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"n3x/internal/debian"
	"n3x/internal/debian/apt"
	"n3x/internal/debian/deb"
)

// pool is the download folder of one distribution's packages, and what is in it.
type pool struct {
	archive  *Archive
	sources  string            // where its sources go
	packages []*debian.Package // on offer whose files are there
	others   []*debian.Package // whose files are there, of other architectures or no longer on offer
	state    *apt.State
}

// openPool reads the folder that a recipe's packages are downloaded to: those of this and of earlier builds, of root file
// systems, build roots and tools.
func (a *Archives) openPool(ctx context.Context, c *Call) (*pool, error) {
	ar, err := a.Open(ctx, c.Data, c.Progress)
	if err != nil {
		return nil, err
	}
	r, err := rootOf(c.Data)
	if err != nil {
		return nil, err
	}
	v, err := c.Values("DL_DIR", "BASE_DISTRO_CODENAME")
	if err != nil {
		return nil, err
	}
	p := &pool{archive: ar, sources: filepath.Join(v[0], "deb-src", r.base+"-"+v[1])}
	if p.state, err = ar.State(ctx); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(v[0], "deb", r.base+"-"+v[1]))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Name()] = true
	}
	for _, q := range p.state.Packages {
		if there[apt.PoolName(q)] {
			p.packages = append(p.packages, q)
			delete(there, apt.PoolName(q))
		}
	}
	for name := range there {
		if filepath.Ext(name) != ".deb" {
			continue
		}
		d, err := deb.OpenFile(filepath.Join(v[0], "deb", r.base+"-"+v[1], name))
		if err != nil {
			c.Progress.Line("WARNING: " + err.Error())
			continue
		}
		q, err := d.Package()
		if err = errors.Join(err, d.Close()); err != nil {
			c.Progress.Line("WARNING: " + err.Error())
			continue
		}
		p.others = append(p.others, q)
	}
	return p, nil
}

// cacheSources is do_cache_deb_src: the sources of all packages that were downloaded are in DL_DIR too, from where base-apt
// takes them. What the distribution does not offer any more is warned of, as with ISAR.
func (a *Archives) cacheSources(ctx context.Context, c *Call) error {
	p, err := a.openPool(ctx, c)
	if err != nil {
		return err
	}
	wanted := map[string]apt.SourceRequest{}
	for _, q := range slices.Concat(p.packages, p.others) {
		r := apt.SourceRequest{Name: q.Source, Version: q.SourceVersion}
		if _, err := os.Stat(filepath.Join(p.sources, r.Name, dscName(r))); err != nil {
			wanted[r.String()] = r
		}
	}
	var lock sync.Mutex
	var missing []string
	fetched := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, r := range wanted {
		g.Go(func() error {
			c.Progress.Step("fetching source package " + r.String())
			dir := filepath.Join(p.sources, r.Name)
			found, err := p.archive.Client.FindSource(ctx, r, nil)
			if err == nil {
				_, err = p.archive.Client.FetchSource(ctx, found, dir, nil)
			}
			if err != nil {
				os.Remove(dir) // when it is empty
			}
			if err != nil && ctx.Err() != nil {
				return ctx.Err()
			}
			lock.Lock()
			defer lock.Unlock()
			if fetched++; err != nil {
				missing = append(missing, fmt.Sprintf("could not find or download sources for %s %s: %v", r.Name, r.Version, err))
			}
			c.Progress.Advance(int64(fetched), int64(len(wanted)), "source packages")
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.Sort(missing)
	for _, m := range missing {
		c.Progress.Line("WARNING: " + m)
	}
	fmt.Fprintf(c.Log, "%d source packages fetched, %d not to be had; they are in %s\n", len(wanted)-len(missing), len(missing), p.sources)
	return nil
}

// dscName is the file that describes a source package.
func dscName(r apt.SourceRequest) string {
	return r.Name + "_" + r.Version.WithoutEpoch() + ".dsc"
}

// cacheDebug is cache_dbg_pkgs: the packages with the debug symbols (NAME-dbg, NAME-dbgsym) of what was downloaded for the
// image's architecture are in DL_DIR too, as far as the distribution's sources offer them.
func (a *Archives) cacheDebug(ctx context.Context, c *Call) error {
	p, err := a.openPool(ctx, c)
	if err != nil {
		return err
	}
	list := p.symbols()
	if len(list) == 0 {
		c.Progress.Line("WARNING: no package with debug symbols is on offer for what was downloaded; those of Debian (-dbgsym) are in an archive of their own, debian-debug, which DISTRO_APT_SOURCES may name")
		return nil
	}
	c.Progress.Step(fmt.Sprintf("fetching %d packages with debug symbols", len(list)))
	_, err = p.archive.Client.Fetch(ctx, list, c.Progress)
	return err
}

// symbols are the packages on offer with the debug symbols of those that are there.
func (p *pool) symbols() []*debian.Package {
	native := string(p.archive.Arches[0])
	found := map[string]*debian.Package{}
	for _, q := range p.packages {
		if q.Architecture != native && q.Architecture != "all" {
			continue
		}
		for _, suffix := range []string{"-dbg", "-dbgsym"} {
			for _, dbg := range p.state.Named(q.Name+suffix, p.archive.Arches[0]) {
				if dbg.Version == q.Version {
					found[apt.PoolName(dbg)] = dbg
				}
			}
		}
	}
	var list []*debian.Package
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[name])
	}
	return list
}
