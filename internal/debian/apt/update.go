package apt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"n3x/internal/debian"
	"n3x/internal/diag"
	"n3x/internal/progress"
)

// opened is one repository with everything that is wanted from it loaded.
type opened struct {
	meta     *metadata
	indices  []loaded
	warnings []string
}

// loaded is one index with its packages.
type loaded struct {
	index *debian.Index
	*parsed
}

// Update asks every repository for changes, downloads and verifies what changed, and gives the packages now on offer.
// When anything fails, the state on disk stays what it was. With Options.Offline it is [Client.Load].
func (c *Client) Update(ctx context.Context, task *progress.Task) (*State, error) {
	if c.opt.Offline {
		return c.Load(ctx)
	}
	meter := &meter{task: task}
	return c.state(ctx, func(ctx context.Context, r *repository) (*opened, error) { return c.refresh(ctx, r, meter) })
}

// Digest is [Client.Update] for those who only ask whether anything has changed: it gives the [State]'s digest, without
// the packages, which take most of the time when their indices are at hand already.
func (c *Client) Digest(ctx context.Context, task *progress.Task) (string, error) {
	return digestOf(c.light().Update(ctx, task))
}

// StoredDigest is [Client.Load] for the same.
func (c *Client) StoredDigest(ctx context.Context) (string, error) {
	return digestOf(c.light().Load(ctx))
}

func (c *Client) light() *Client {
	return &Client{opt: c.opt, net: c.net, lim: c.lim, namesOnly: true}
}

func digestOf(s *State, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return s.Digest, nil
}

// Load gives the packages of the last successful update, verified again, without using the network.
func (c *Client) Load(ctx context.Context) (*State, error) { return c.state(ctx, c.stored) }

// stored loads one repository as the last successful update left it.
func (c *Client) stored(ctx context.Context, r *repository) (*opened, error) {
	offline := &Client{opt: c.opt, net: &transport{offline: true}, lim: c.lim, namesOnly: c.namesOnly}
	m := c.storedMetadata(r)
	if m == nil {
		if _, local := localPath(r.uri); local || r.trusted() {
			m = new(metadata)
		} else {
			return nil, diag.Failedf(r.source.Pos, "the indices of %s have never been downloaded", r.source).
				WithHint("run once with the network allowed")
		}
	}
	if _, local := localPath(r.uri); local {
		return c.refresh(ctx, r, &meter{})
	}
	return offline.complete(ctx, r, m, &meter{})
}

// state works on all repositories of binary packages and joins what they give.
func (c *Client) state(ctx context.Context, work func(context.Context, *repository) (*opened, error)) (*State, error) {
	repos, err := c.repositories("deb")
	if err != nil {
		return nil, err
	}
	results, err := c.each(ctx, repos, work)
	if err != nil {
		return nil, err
	}
	return c.assemble(results), nil
}

// each works on repositories side by side. When all are well, what was fetched becomes the state on disk.
func (c *Client) each(ctx context.Context, repos []*repository, work func(context.Context, *repository) (*opened, error)) ([]*opened, error) {
	results := make([]*opened, len(repos))
	failures := make([]error, len(repos))
	var g errgroup.Group // without its context: all faults are reported, not only the first
	for i, r := range repos {
		g.Go(func() error {
			results[i], failures[i] = work(ctx, r)
			return nil
		})
	}
	g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	changed := false
	for i, r := range repos {
		if results[i].meta.fresh {
			changed = true
			if err := c.store(r, results[i].meta); err != nil {
				return nil, err
			}
		}
	}
	if changed {
		c.prune()
	}
	return results, nil
}

// raceTries is how often a repository is read anew that changed while it was read.
const raceTries = 3

// refresh brings one repository up to date.
func (c *Client) refresh(ctx context.Context, r *repository, m *meter) (*opened, error) {
	old := c.storedMetadata(r)
	if old != nil {
		if _, err := c.open(r, old); err != nil { // damaged, expired, or signed by keys of other options: ask for all of it
			old = nil
		}
	}
	meta, err := c.fetchMetadata(ctx, r, old, false)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		if meta, err = c.newest(r, old, meta); err != nil {
			return nil, err
		}
		o, err := c.complete(ctx, r, meta, m)
		if err == nil || try == raceTries || ctx.Err() != nil || !errors.Is(err, errMismatch) && !missing(err) {
			return o, err
		}
		// The mirror may have been updated between the two requests: look again.
		next, ferr := c.fetchMetadata(ctx, r, meta, true)
		if ferr != nil || !next.fresh {
			return nil, err
		}
		meta = next
	}
}

// newest keeps the stored Release file when the mirror offers an older one: mirrors behind one name are not equally
// fresh, and going back would let an attacker withhold updates.
func (c *Client) newest(r *repository, old, got *metadata) (*metadata, error) {
	rel, err := c.open(r, got)
	if err != nil || rel == nil || old == nil || !got.fresh || r.trusted() {
		return got, err
	}
	if before, err := c.open(r, old); err == nil && before != nil && before.Date.After(rel.Date) {
		return old, nil
	}
	return got, nil
}

// complete verifies m and loads all indices that it lists and that are wanted.
func (c *Client) complete(ctx context.Context, r *repository, m *metadata, meter *meter) (*opened, error) {
	rel, err := c.open(r, m)
	if err != nil {
		return nil, err
	}
	o := &opened{meta: m}
	if rel != nil && rel.Suite != "" && !r.source.Flat() && !names(rel, r.source.Suite) {
		o.warnings = append(o.warnings, fmt.Sprintf("repository %s: its Release file is of suite %s (%s)", r.source, rel.Suite, rel.Codename))
	}
	var wants []wanted
	for _, w := range r.wanted {
		warning, skip, err := c.check(rel, r, w)
		if err != nil {
			return nil, err
		}
		if warning != "" {
			o.warnings = append(o.warnings, warning)
		}
		if !skip {
			wants = append(wants, w)
		}
	}
	read := reading{c, r, rel, meter}
	o.indices = make([]loaded, len(wants))
	g, ctx := errgroup.WithContext(ctx)
	for i, w := range wants {
		g.Go(func() error {
			p, err := read.index(ctx, w)
			if err == nil {
				o.indices[i] = loaded{describe(r, rel, w, p), p}
			}
			return err
		})
	}
	return o, g.Wait()
}

// names reports whether a Release file is the one of the suite that was asked for. Security archives of old releases
// are asked for as "buster/updates".
func names(rel *release, suite string) bool {
	suite = strings.TrimPrefix(suite, "./")
	return suite == rel.Suite || suite == rel.Codename || strings.HasPrefix(suite, rel.Codename+"/") || strings.HasPrefix(suite, rel.Suite+"/")
}

// check decides whether a Release file has what a source wants from it.
func (c *Client) check(rel *release, r *repository, w wanted) (warning string, skip bool, err error) {
	if rel == nil {
		return "", w.implicit, nil
	}
	switch {
	case w.component != "" && !rel.hasComponent(w.component):
		e := diag.Userf(w.source.Pos, "repository %s %s has no component %q", r.source.URI, r.source.Suite, w.component)
		if n := diag.Nearest(w.component, rel.Components); n != "" {
			return "", true, e.WithHint("did you mean %s?", n)
		}
		return "", true, e.WithHint("its components are: %s", strings.Join(rel.Components, " "))
	case w.implicit && (!rel.hasArch("all") || contains(rel.NoSupportForAll, "Packages") || len(rel.variants(w.path(), false)) == 0):
		return "", true, nil
	case w.arch != "" && !rel.hasArch(w.arch):
		return fmt.Sprintf("repository %s %s has no architecture %s", r.source.URI, r.source.Suite, w.arch), true, nil
	case len(rel.variants(w.path(), false)) == 0:
		return "", true, diag.Failedf(w.source.Pos, "repository %s %s: its Release file lists no %s", r.source.URI, r.source.Suite, w.path())
	}
	return "", false, nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func describe(r *repository, rel *release, w wanted, p *parsed) *debian.Index {
	i := &debian.Index{
		URI: r.source.URI, Suite: r.source.Suite, Component: w.component, Arch: w.arch,
		Trusted: r.trusted(), SHA256: p.sha256,
	}
	if rel != nil {
		i.Origin, i.Label, i.Codename, i.Archive, i.ReleaseVersion = rel.Origin, rel.Label, rel.Codename, rel.Suite, rel.Version
		i.NotAutomatic, i.ButAutomaticUpgrades = rel.NotAutomatic, rel.ButAutomaticUpgrades
	}
	return i
}

// meter adds up what all transfers of one call have done.
type meter struct {
	task        *progress.Task
	mu          sync.Mutex
	done, total int64
	shown       time.Time
}

func (m *meter) expect(n int64) {
	m.mu.Lock()
	m.total += n
	m.mu.Unlock()
}

func (m *meter) tick(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	if now := time.Now(); m.task != nil && (now.Sub(m.shown) > 100*time.Millisecond || m.done == m.total) {
		m.shown = now
		m.task.Advance(m.done, m.total, "bytes")
	}
}
