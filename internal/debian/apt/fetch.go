package apt

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"n3x/internal/debian"
	"n3x/internal/diag"
	"n3x/internal/progress"
)

// Fetch makes the .deb files of packages available and gives their paths, in the same order. Files come from the
// download folder when they are there (also those that ISAR put there), else from the archive; a package of a file:
// repository stays where it is. Each is checked against its SHA-256.
func (c *Client) Fetch(ctx context.Context, packages []*debian.Package, task *progress.Task) ([]string, error) {
	paths := make([]string, len(packages))
	err := c.FetchEach(ctx, packages, task, func(i int, path string) error {
		paths[i] = path
		return nil
	})
	return paths, err
}

// FetchEach is [Client.Fetch] that hands out each file as soon as it is there: ready is called with the number of the
// package and the path, from several goroutines at a time. An error of ready ends the work.
func (c *Client) FetchEach(ctx context.Context, packages []*debian.Package, task *progress.Task, ready func(i int, path string) error) error {
	v, err := c.openVerified()
	if err != nil {
		return err
	}
	m := &meter{task: task}
	var g *errgroup.Group
	g, ctx = errgroup.WithContext(ctx)
	for dest, numbers := range c.byDestination(packages) {
		p := packages[numbers[0]]
		if other := slices.IndexFunc(numbers, func(n int) bool { return packages[n].SHA256 != p.SHA256 }); other >= 0 && p.SHA256 != "" {
			return fmt.Errorf("BUG: %s is asked for with two contents", p.ID())
		}
		m.expect(p.Size)
		g.Go(func() error {
			path, err := c.provide(ctx, p, dest, v, m)
			if err != nil {
				return err
			}
			for _, n := range numbers {
				if err := ready(n, path); err != nil {
					return err
				}
			}
			return nil
		})
	}
	defer v.close()
	return g.Wait()
}

// byDestination groups equal packages, the largest first: what takes longest should not start last.
func (c *Client) byDestination(packages []*debian.Package) func(yield func(string, []int) bool) {
	numbers := make(map[string][]int)
	var order []string
	for i, p := range packages {
		dest := c.destination(p)
		if numbers[dest] == nil {
			order = append(order, dest)
		}
		numbers[dest] = append(numbers[dest], i)
	}
	slices.SortStableFunc(order, func(a, b string) int {
		return cmp.Compare(packages[numbers[b][0]].Size, packages[numbers[a][0]].Size)
	})
	return func(yield func(string, []int) bool) {
		for _, dest := range order {
			if !yield(dest, numbers[dest]) {
				return
			}
		}
	}
}

// url is where a package is downloaded from; for a package without index its Filename is a path.
func (c *Client) url(p *debian.Package) string {
	if p.Index == nil {
		return (&url.URL{Scheme: "file", Path: p.Filename}).String()
	}
	return join(c.locate(p.Index.URI).uri, p.Filename)
}

// destination is the file that will hold p. Names in the pool are those of apt's archives folder, which is how ISAR's
// download folder looks too: "foo_1%3a2.0_amd64.deb".
func (c *Client) destination(p *debian.Package) string {
	if path, ok := localPath(c.url(p)); ok {
		return path
	}
	return filepath.Join(c.opt.DownloadDir, "deb", c.opt.Pool, PoolName(p))
}

// PoolName is the file name of a package in a download folder, e.g. "libc6_2.41-12_amd64.deb".
func PoolName(p *debian.Package) string {
	return p.Name + "_" + escapeVersion(string(p.Version)) + "_" + p.Architecture + ".deb"
}

func escapeVersion(v string) string {
	var b []byte
	for i := range len(v) {
		switch c := v[i]; c {
		case ':', '/', '_', '%':
			b = fmt.Appendf(b, "%%%02x", c)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func (c *Client) provide(ctx context.Context, p *debian.Package, dest string, v *verified, m *meter) (string, error) {
	release, err := c.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	pos := diag.Pos{}
	_, local := localPath(c.url(p))
	switch err := v.check(dest, p); {
	case err == nil:
		m.tick(p.Size)
		return dest, nil
	case local:
		return "", diag.Failedf(pos, "read package %s: %w", p.ID(), err).WithNote("from %s", dest).
			WithHint("the repository's index and its files do not fit; make the index again")
	}
	if p.SHA256 == "" || p.Size <= 0 {
		return "", fmt.Errorf("BUG: package %s to be downloaded has no SHA-256 or size", p.ID())
	}
	err = c.fetch(ctx, download{
		url: c.url(p), dest: dest, part: filepath.Join(filepath.Dir(dest), "partial", p.SHA256+".part"),
		size: p.Size, sha256: p.SHA256, what: "package " + p.ID(), pos: pos,
	}, m.tick)
	if err != nil {
		return "", err
	}
	return dest, v.add(dest, p.SHA256)
}
