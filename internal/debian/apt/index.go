package apt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"n3x/internal/atomicfile"
	"n3x/internal/debian/deb"
	"n3x/internal/diag"
)

// Compressed indices stay below lists/by-hash as they came, their parsed forms below lists/parsed; both are named by
// the SHA-256 of the compressed file, so a name never means two things and several builds can share them.

// keepUnused is how long an index stays that no update has used.
const keepUnused = 30 * 24 * time.Hour

// reading is one repository whose indices are being loaded.
type reading struct {
	c     *Client
	r     *repository
	rel   *release // nil for a trusted repository without Release file
	meter *meter
}

// index loads one index: parsed form, else compressed file, else download.
func (g reading) index(ctx context.Context, w wanted) (*parsed, error) {
	c, r, rel := g.c, g.r, g.rel
	if rel == nil {
		return g.unlisted(ctx, w)
	}
	variants := rel.variants(w.path(), c.opt.RateLimit > 0)
	plain := rel.files[w.path()].sha256
	for _, v := range variants {
		if c.namesOnly && plain != "" && c.use(v.sha256) {
			return &parsed{sha256: plain}, nil
		}
		if p := c.cached(v.sha256, w.sources); p != nil {
			return p, nil
		}
	}
	if local, ok := localPath(r.base()); ok {
		return g.localIndex(w, filepath.Join(local, variants[0].path), variants[0], plain)
	}
	for _, v := range variants {
		file := c.listFile("by-hash", v.sha256+path.Ext(v.path))
		if sum, size, err := hashFile(file); err == nil && sum == v.sha256 && size == v.size {
			return c.parse(r, w, file, v.sha256, plain)
		}
	}
	var err error
	for _, v := range variants { // a listed file may be absent; the next form then
		var p *parsed
		if p, err = g.download(ctx, w, v); err == nil || !missing(err) {
			return p, err
		}
	}
	return nil, err
}

// cached is the parsed form of the index with that hash, or nil.
func (c *Client) cached(sha256 string, sources bool) *parsed {
	file := c.listFile("parsed", sha256)
	data, err := readString(file)
	if err != nil {
		return nil
	}
	p, err := loadIndex(data, sources)
	if err != nil {
		return nil
	}
	c.use(sha256)
	return p
}

// use reports whether there is a parsed form of the index with that hash, and keeps it from being pruned.
func (c *Client) use(sha256 string) bool {
	file := c.listFile("parsed", sha256)
	st, err := os.Stat(file)
	if err == nil && time.Since(st.ModTime()) > 24*time.Hour {
		now := time.Now()
		os.Chtimes(file, now, now)
	}
	return err == nil
}

func (g reading) download(ctx context.Context, w wanted, v variant) (*parsed, error) {
	c, r, rel := g.c, g.r, g.rel
	file := c.listFile("by-hash", v.sha256+path.Ext(v.path))
	byHash := join(r.base(), path.Dir(v.path)+"/by-hash/SHA256/"+v.sha256)
	urls := []string{join(r.base(), v.path)}
	switch use := w.source.ByHash; {
	case use == "force":
		urls = []string{byHash}
	case rel.ByHash && use != "no" || use == "yes":
		urls = []string{byHash, urls[0]}
	}
	g.meter.expect(v.size)
	var err error
	for _, u := range urls {
		err = c.transfer(ctx, download{
			url: u, dest: file, part: c.listFile("partial", v.sha256), size: v.size, sha256: v.sha256,
			what: v.path + " of " + r.source.String(), pos: r.source.Pos,
		}, g.meter)
		if err == nil {
			return c.parse(r, w, file, v.sha256, rel.files[w.path()].sha256)
		}
		if !missing(err) {
			break
		}
	}
	return nil, err
}

// transfer is fetch when there is a free connection.
func (c *Client) transfer(ctx context.Context, d download, m *meter) error {
	release, err := c.slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	return c.fetch(ctx, d, m.tick)
}

// localIndex reads an index of a file: repository where it lies.
func (g reading) localIndex(w wanted, file string, v variant, plain string) (*parsed, error) {
	c, r := g.c, g.r
	sum, size, err := hashFile(file)
	if err != nil {
		return nil, diag.Failedf(r.source.Pos, "read index of %s: %w", r.source, err)
	}
	if sum != v.sha256 || size != v.size {
		return nil, diag.Failedf(r.source.Pos, "read index %s: %w: it has %d bytes with SHA-256 %s", file, errMismatch, size, sum).
			WithNote("its Release file expects %d bytes with SHA-256 %s", v.size, v.sha256)
	}
	return c.parse(r, w, file, v.sha256, plain)
}

// unlisted finds the index of a trusted repository that has no Release file.
func (g reading) unlisted(ctx context.Context, w wanted) (*parsed, error) {
	c, r := g.c, g.r
	var first error
	for _, ext := range []string{"", ".gz", ".xz", ".zst", ".bz2"} {
		d := download{
			url: join(r.base(), w.path()+ext), size: -1, what: w.path() + ext + " of " + r.source.String(), pos: r.source.Pos,
			dest: c.listFile("unlisted", strings.Join([]string{r.listName(), w.component, w.arch, path.Base(w.path()) + ext}, "_")),
		}
		d.part = d.dest + ".part"
		file, local := localPath(d.url)
		var err error
		if local {
			_, err = os.Stat(file)
		} else {
			file = d.dest
			err = c.transfer(ctx, d, g.meter)
			if errors.Is(err, errOffline) {
				_, err = os.Stat(file)
			}
		}
		if err == nil {
			sum, _, err := hashFile(file)
			if err != nil {
				return nil, diag.Failedf(r.source.Pos, "read index of %s: %w", r.source, err)
			}
			if p := c.cached(sum, w.sources); p != nil {
				return p, nil
			}
			return c.parse(r, w, file, sum, "")
		}
		if first == nil {
			first = err
		}
		if !missing(err) {
			return nil, err
		}
	}
	return nil, diag.Failedf(r.source.Pos, "repository %s holds no package index: %w", r.source, first)
}

// parse reads a verified index, keeps its parsed form under the name key and gives it. plain is the SHA-256 that the
// uncompressed data must have, when that is known.
func (c *Client) parse(r *repository, w wanted, file, key, plain string) (*parsed, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, diag.Failedf(r.source.Pos, "read index of %s: %w", r.source, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	z, err := deb.DecompressFile(file, f, st.Size())
	if err != nil {
		return nil, diag.Failedf(r.source.Pos, "read index of %s: %w", r.source, err)
	}
	defer z.Close()
	h := sha256.New()
	ahead := readAhead(z, h)
	defer ahead.stop()
	read := parsePackages
	if w.sources {
		read = parseSourceIndex
	}
	data, err := read(filepath.Base(r.source.Suite)+"/"+path.Base(w.path()), ahead, func() string { return hex.EncodeToString(h.Sum(nil)) })
	if err != nil {
		return nil, diag.Failedf(r.source.Pos, "read index of %s: %w", r.source, err)
	}
	p, err := loadIndex(string(data), w.sources)
	if err != nil {
		return nil, fmt.Errorf("BUG: the cache that was just made of %s cannot be read", file)
	}
	if plain != "" && p.sha256 != plain {
		return nil, diag.Failedf(r.source.Pos, "read index of %s: %w: uncompressed, its SHA-256 is %s", r.source, errMismatch, p.sha256).
			WithNote("its Release file expects %s", plain)
	}
	if err := atomicfile.Write(c.listFile("parsed", key), data, 0o666); err != nil {
		return nil, c.storeError(err)
	}
	return p, nil
}

// loadIndex reads the parsed form of an index back.
func loadIndex(data string, sources bool) (*parsed, error) {
	if sources {
		return loadSourceIndex(data)
	}
	return loadPackages(data)
}

// prune removes indices that nothing has used for long. What it cannot remove stays.
func (c *Client) prune() {
	for _, dir := range []string{"by-hash", "parsed", "partial"} {
		entries, _ := os.ReadDir(c.listFile(dir))
		for _, e := range entries {
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > keepUnused {
				os.Remove(c.listFile(dir, e.Name()))
			}
		}
	}
}

// readString reads a file into memory that strings can share, without a copy.
func readString(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.Grow(int(st.Size()))
	_, err = io.CopyBuffer(struct{ io.Writer }{&b}, struct{ io.Reader }{f}, make([]byte, 256<<10))
	return b.String(), err
}
