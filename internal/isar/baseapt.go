package isar

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"n3x/internal/arch"
	"n3x/internal/bitbake/datastore"
	"n3x/internal/debian"
	"n3x/internal/debian/apt"
	"n3x/internal/debian/repo"
	"n3x/internal/diag"
)

// baseApt is the repository of everything that earlier builds have downloaded of a distribution, ISAR's base-apt.
type baseApt struct {
	repo *repo.Repository
	dirs []string // below DL_DIR: what goes into it
	keys repo.Keyring
}

// baseAptOf is the base-apt that a datastore's root file systems are to be made from; nil unless ISAR_USE_CACHED_BASE_REPO
// is set.
func baseAptOf(d *datastore.Data, r root) (*baseApt, error) {
	var err error
	value := func(name string) string {
		v, e := d.Value(name)
		err = errors.Join(err, e)
		return v
	}
	if !truth(value("ISAR_USE_CACHED_BASE_REPO")) {
		return nil, err
	}
	codename, epoch := value("BASE_DISTRO_CODENAME"), value("SOURCE_DATE_EPOCH")
	b := &baseApt{dirs: []string{
		filepath.Join(value("DL_DIR"), "deb", r.base+"-"+codename),
		filepath.Join(value("DL_DIR"), "deb-src", r.base+"-"+codename),
	}}
	o := repo.Options{Dir: filepath.Join(value("REPO_BASE_DIR"), r.base), DB: filepath.Join(value("REPO_BASE_DB_DIR"), r.base), Codename: codename, Date: repo.Epoch(epoch)}
	keys := strings.Fields(value("BASE_REPO_KEY"))
	if err != nil {
		return nil, err
	}
	if b.keys, err = baseRepoKeys(d, keys); err != nil {
		return nil, Blame(d, "BASE_REPO_KEY", err)
	}
	if b.keys != nil {
		o.Keys, o.Fields = b.keys, []repo.Field{{Name: "SignWith", Value: strings.Join(b.keys.Identities(), " ")}}
	}
	b.repo, err = repo.New(o)
	return b, Blame(d, "BASE_DISTRO_CODENAME", err)
}

// baseRepoKeys are the keys of BASE_REPO_KEY, with their private parts.
func baseRepoKeys(d *datastore.Data, uris []string) (repo.Keyring, error) {
	var out repo.Keyring
	home, err := GnuPGHome(d)
	if err != nil {
		return nil, err
	}
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "file" || !filepath.IsAbs(u.Path) {
			return nil, diag.Userf(diag.Pos{}, "BASE_REPO_KEY names %s, which is no file of this machine", uri).WithHint("write BASE_REPO_KEY = \"file:///path/of/the/public.key\"")
		}
		path, _, _ := strings.Cut(u.Path, ";")
		keys, err := repo.FileKeys(path, home)
		if err != nil {
			return nil, err
		}
		out = append(out, keys...)
	}
	return out, nil
}

// update takes over what DL_DIR has by now. The distribution's indices, where DL_DIR has them too, say of which priority
// and section packages are there; packages themselves may say otherwise, and priorities decide over the minimal system.
func (b *baseApt) update(ctx context.Context, d *datastore.Data, distribution apt.Options, warn func(string)) error {
	var once sync.Once
	var index *apt.State
	override := func(p *debian.Package) {
		once.Do(func() {
			distribution.Offline = true
			client, err := apt.Open(distribution)
			if err == nil {
				index, err = client.Load(ctx)
			}
			if err != nil {
				warn("the indices of the distribution are not in DL_DIR; priorities of packages are those that they have themselves")
			}
		})
		if index == nil {
			return
		}
		offers := index.Named(p.Name, arch.Arch(p.Architecture))
		if len(offers) == 0 { // of an architecture whose index is not read here; priorities are the same
			offers = index.Named(p.Name, distribution.Arches[0])
		}
		for _, q := range offers {
			p.Priority, p.Section = q.Priority, q.Section
			if q.Version == p.Version {
				return
			}
		}
	}
	if err := b.repo.Import(ctx, repo.ImportOptions{Dirs: b.dirs, Warn: warn, Override: override}); err != nil {
		return err
	}
	pool, err := os.ReadDir(filepath.Join(b.repo.Dir(), "pool"))
	if err != nil && !errors.Is(err, os.ErrNotExist) || len(pool) > 0 {
		return err
	}
	return diag.Userf(d.LastSet("ISAR_USE_CACHED_BASE_REPO"), "ISAR_USE_CACHED_BASE_REPO is set, but %s has no packages to build from", b.dirs[0]).
		WithHint("build once without it, with the network; what is downloaded is kept in DL_DIR")
}

// use makes the repository the only one that options name.
func (b *baseApt) use(o *apt.Options, codename string) error {
	s := apt.Source{Type: "deb", URI: (&url.URL{Scheme: "file", Path: b.repo.Dir()}).String(), Suite: codename, Components: []string{repo.Component}}
	if b.keys == nil {
		s.Trusted = apt.Yes
	} else {
		public, err := b.keys.Public()
		if err != nil {
			return err
		}
		o.Keyrings = append(o.Keyrings, public)
	}
	src := s
	src.Type = "deb-src"
	o.Sources, o.Rewrites = []apt.Source{s, src}, nil
	return nil
}

// cacheBaseApt is the task do_cache of base-apt.
func (a *Archives) cacheBaseApt(ctx context.Context, c *Call) error {
	o, _, err := a.options(c.Data)
	if err != nil {
		return err
	}
	r, err := rootOf(c.Data)
	if err != nil {
		return err
	}
	b, err := baseAptOf(c.Data, r)
	if err != nil || b == nil {
		return err
	}
	if err := b.update(ctx, c.Data, o, func(text string) { c.Progress.Line("WARNING: " + text) }); err != nil {
		return err
	}
	features, err := c.Words("BASE_REPO_FEATURES")
	if err != nil || !slices.Contains(features, "cache-deb-src") {
		return err
	}
	return b.complete(c)
}

// complete refuses a repository that lacks sources, as ISAR's repo_sanity_test.
func (b *baseApt) complete(c *Call) error {
	var missing []string
	err := b.repo.Change(func(t *repo.Change) error {
		missing = t.MissingSources()
		return nil
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	e := diag.Userf(c.Data.LastSet("BASE_REPO_FEATURES"), "base-apt is to have all sources (BASE_REPO_FEATURES has cache-deb-src), but lacks %d", len(missing))
	for _, m := range missing[:min(len(missing), 20)] {
		e.WithNote("%s", m)
	}
	return e.WithHint("build once with the network and without ISAR_USE_CACHED_BASE_REPO, so that they come to DL_DIR; packages there that are no longer on offer have none: remove these, or take cache-deb-src away")
}

// Truth is BitBake's bb.utils.to_boolean of a variable: set, and not one of the words for no.
func Truth(s string) bool { return truth(s) }
