package apt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"n3x/internal/atomicfile"
	"n3x/internal/debian"
	"n3x/internal/diag"
	"n3x/internal/progress"
)

// SourceRequest is what follows "apt-get source": a source package, and perhaps which of its versions.
type SourceRequest struct {
	Name    string
	Version debian.Version // "hello=2.10-5": this one
	Release string         // "hello/bookworm": the newest of this suite or codename
}

// ParseSourceRequest reads NAME, NAME=VERSION or NAME/RELEASE.
func ParseSourceRequest(s string) (SourceRequest, error) {
	var r SourceRequest
	name, release, hasRelease := strings.Cut(s, "/")
	name, version, hasVersion := strings.Cut(name, "=")
	r = SourceRequest{Name: name, Version: debian.Version(version), Release: release}
	switch {
	case !plainName(name) || strings.HasPrefix(name, "-"):
		return r, fmt.Errorf("%q is no name of a source package", name)
	case hasVersion && hasRelease, hasRelease && release == "":
		return r, fmt.Errorf("%q is neither NAME, NAME=VERSION nor NAME/RELEASE", s)
	case hasVersion:
		if err := r.Version.Validate(); err != nil {
			return r, err
		}
	}
	return r, nil
}

// String is the request as it was written.
func (r SourceRequest) String() string {
	switch {
	case r.Version != "":
		return r.Name + "=" + string(r.Version)
	case r.Release != "":
		return r.Name + "/" + r.Release
	}
	return r.Name
}

// FindSource looks a source package up as `apt-get source --only-source` does: the newest version that the archive's
// deb-src entries offer, or the one that is asked for. Preferences do not count. The indices are refreshed and verified
// once for each client, as those of binary packages are.
func (c *Client) FindSource(ctx context.Context, r SourceRequest, task *progress.Task) (*SourcePackage, error) {
	repos, indices, err := c.sourceIndices(ctx, task)
	if err != nil {
		return nil, err
	}
	if len(repos) == 0 {
		return nil, diag.Userf(diag.Pos{}, "source package %s: no repository offers sources", r).
			WithHint("add a line deb-src to the file that DISTRO_APT_SOURCES names, beside its line deb")
	}
	var best *SourcePackage
	var others []string
	for _, l := range indices {
		list, err := l.named(r.Name)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			if r.Version != "" && p.Version.Compare(r.Version) != 0 || r.Release != "" && !released(p.Index, r.Release) {
				others = append(others, string(p.Version)+" in "+p.Index.Suite)
				continue
			}
			if best == nil || p.Version.Compare(best.Version) > 0 {
				best = p
			}
		}
	}
	switch {
	case best != nil:
		return best, nil
	case len(others) > 0:
		return nil, diag.Userf(diag.Pos{}, "source package %s is not on offer", r).WithNote("there is %s", strings.Join(others, ", ")).
			WithHint("ask for a version that is there, or add a deb-src line of the archive that has this one")
	}
	e := diag.Userf(diag.Pos{}, "source package %s is not on offer", r)
	for _, repo := range repos {
		e.WithNote("searched %s", repo.source)
	}
	return nil, e.WithHint("apt:// takes names of source packages, which may differ from those of their binary packages")
}

// released reports whether an index is of a release, by what its Release file says; how sources.list names it does not
// count, unless there is no Release file.
func released(i *debian.Index, release string) bool {
	if i.Codename == "" && i.Archive == "" {
		return release == i.Suite
	}
	return release == i.Codename || release == i.Archive
}

// sourceIndices loads the indices of the deb-src entries; after a failure the next call tries again.
func (c *Client) sourceIndices(ctx context.Context, task *progress.Task) ([]*repository, []loaded, error) {
	c.sourcesLock.Lock()
	defer c.sourcesLock.Unlock()
	repos, err := c.repositories("deb-src")
	if err != nil || c.sources != nil {
		return repos, c.sources, err
	}
	meter := &meter{task: task}
	work := func(ctx context.Context, r *repository) (*opened, error) { return c.refresh(ctx, r, meter) }
	if c.opt.Offline {
		work = c.stored
	}
	results, err := c.each(ctx, repos, work)
	if err != nil {
		return nil, nil, err
	}
	c.sources = []loaded{}
	for _, o := range results {
		c.sources = append(c.sources, o.indices...)
	}
	return repos, c.sources, nil
}

// FetchSource puts the files of a source package into dir, each checked against the SHA-256 that the signed index, or the
// .dsc that it names, gives. Files that are there and right stay. Paths are given in the order of p.Files.
func (c *Client) FetchSource(ctx context.Context, p *SourcePackage, dir string, task *progress.Task) ([]string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	m := &meter{task: task}
	paths := make([]string, len(p.Files))
	g, ctx := errgroup.WithContext(ctx)
	for i, f := range p.Files {
		paths[i] = filepath.Join(dir, f.Name)
		m.expect(f.Size)
		g.Go(func() error { return c.fetchSourceFile(ctx, p, f, paths[i], m) })
	}
	err := g.Wait()
	os.Remove(filepath.Join(dir, partial)) // when it is empty: apt-get would not leave it in a folder of sources
	return paths, err
}

func (c *Client) fetchSourceFile(ctx context.Context, p *SourcePackage, f SourceFile, dest string, m *meter) error {
	if sum, size, err := hashFile(dest); err == nil && size == f.Size && sum == f.SHA256 {
		m.tick(f.Size)
		return nil
	}
	d := download{
		url: join(c.locate(p.Index.URI).uri, p.Directory+"/"+f.Name), dest: dest, size: f.Size, sha256: f.SHA256,
		part: filepath.Join(filepath.Dir(dest), partial, f.SHA256+".part"), what: f.Name + " of source package " + p.ID(),
	}
	if local, ok := localPath(d.url); ok {
		return c.copySource(d, local)
	}
	return c.transfer(ctx, d, m)
}

// copySource brings a file from a repository on this machine.
func (c *Client) copySource(d download, from string) error {
	err := CopySource(from, d.dest, SourceFile{Size: d.size, SHA256: d.sha256})
	if err != nil {
		return c.downloadError(d, err)
	}
	return nil
}

// CopySource copies a file of a source package to the path to, and checks it on the way: to appears when it is right.
func CopySource(from, to string, f SourceFile) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return atomicfile.WriteFrom(to, 0o644, func(w io.Writer) error {
		h := sha256.New()
		size, err := io.Copy(io.MultiWriter(w, h), in)
		if err != nil {
			return err
		}
		if sum := hex.EncodeToString(h.Sum(nil)); sum != f.SHA256 || size != f.Size {
			return fmt.Errorf("%s: %w: it has %d bytes with SHA-256 %s, expected %d with %s", from, errMismatch, size, sum, f.Size, f.SHA256)
		}
		return nil
	})
}
