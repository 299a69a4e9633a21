package apt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
)

// maxRelease bounds a Release file; Debian's are 150 KB.
const maxRelease = 32 << 20

// metadata is the signed description of a repository as it came, or lies in the download folder.
type metadata struct {
	InRelease  []byte `json:"-"`
	Release    []byte `json:"-"`
	ReleaseGPG []byte `json:"-"`
	// For the next conditional request of whichever of InRelease and Release there is.
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`

	fresh bool // differs from what lies in the download folder
}

func (m *metadata) empty() bool { return m.InRelease == nil && m.Release == nil }

// storedMetadata reads what an earlier update left; nil when there is nothing.
func (c *Client) storedMetadata(r *repository) *metadata {
	m := new(metadata)
	read := func(suffix string) []byte {
		data, err := os.ReadFile(c.listFile(r.listName() + suffix))
		if err != nil {
			return nil
		}
		return data
	}
	m.InRelease = read("_InRelease")
	if m.InRelease == nil {
		m.Release, m.ReleaseGPG = read("_Release"), read("_Release.gpg")
	}
	if m.empty() {
		return nil
	}
	if json.Unmarshal(read("_validators"), m) != nil {
		m.ETag, m.LastModified = "", ""
	}
	return m
}

// store makes m the state that the next update starts from.
func (c *Client) store(r *repository, m *metadata) error {
	validators, err := json.Marshal(m)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		suffix string
		data   []byte
	}{{"_InRelease", m.InRelease}, {"_Release", m.Release}, {"_Release.gpg", m.ReleaseGPG}, {"_validators", validators}} {
		path := c.listFile(r.listName() + f.suffix)
		if f.data == nil {
			err = os.Remove(path)
			if errors.Is(err, os.ErrNotExist) {
				err = nil
			}
		} else {
			err = atomicfile.WriteIfChanged(path, f.data, 0o666)
		}
		if err != nil {
			return c.storeError(err)
		}
	}
	return nil
}

func (c *Client) storeError(err error) error {
	e := diag.Failedf(diag.Pos{}, "store package indices: %w", err)
	if full(err) {
		return e.WithHint("free some space on the file system of %s, or point DL_DIR elsewhere", c.opt.DownloadDir)
	}
	return e
}

// fetchMetadata asks for InRelease, then for Release with Release.gpg. again keeps caches on the way out of it.
// A repository without any of them gives an empty metadata.
func (c *Client) fetchMetadata(ctx context.Context, r *repository, old *metadata, again bool) (*metadata, error) {
	if old == nil {
		old = new(metadata)
	}
	since := old
	if again || old.InRelease == nil {
		since = nil
	}
	data, m, err := c.fetchSmall(ctx, r, "InRelease", since)
	switch {
	case err == errUnchanged:
		return old, nil
	case err == nil:
		m.InRelease = data
		m.fresh = !bytes.Equal(data, old.InRelease)
		return m, nil
	case !missing(err):
		return nil, err
	}
	if since = old; again || old.Release == nil {
		since = nil
	}
	data, m, err = c.fetchSmall(ctx, r, "Release", since)
	switch {
	case err == errUnchanged:
		return old, nil
	case missing(err) && r.trusted():
		return new(metadata), nil
	case err != nil:
		return nil, err
	}
	m.Release = data
	m.fresh = !bytes.Equal(data, old.Release)
	if r.trusted() {
		return m, nil
	}
	sig, _, err := c.fetchSmall(ctx, r, "Release.gpg", nil)
	if err != nil && !missing(err) {
		return nil, err
	}
	m.ReleaseGPG = sig
	m.fresh = m.fresh || !bytes.Equal(sig, old.ReleaseGPG)
	return m, nil
}

// errUnchanged is the answer to a conditional request.
var errUnchanged = errors.New("not modified")

// missing reports whether a server (some answer 403 for it) or a folder does not have the file.
func missing(err error) bool {
	return errors.Is(err, ErrMissing) || errors.Is(err, os.ErrNotExist)
}

// fetchSmall reads one file beside the Release file into memory, and gives its validators in a new metadata. With since,
// the answer may be [errUnchanged]; without, no cache on the way is to answer with what is being replaced.
func (c *Client) fetchSmall(ctx context.Context, r *repository, name string, since *metadata) ([]byte, *metadata, error) {
	d := download{url: join(r.base(), name), what: name + " of " + r.source.String(), pos: r.source.Pos, size: -1}
	if path, ok := localPath(d.url); ok {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, c.downloadError(d, err)
		}
		return data, new(metadata), nil
	}
	header := http.Header{}
	if since == nil {
		header.Set("Cache-Control", "max-age=0")
	} else {
		if since.ETag != "" {
			header.Set("If-None-Match", since.ETag)
		}
		if since.LastModified != "" {
			header.Set("If-Modified-Since", since.LastModified)
		}
	}
	for attempt := 0; ; attempt++ {
		data, m, err := c.once(ctx, d, header)
		if err == nil || err == errUnchanged {
			return data, m, err
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if attempt >= c.opt.Retries || !passing(err) {
			return nil, nil, c.downloadError(d, err)
		}
		if err := sleep(ctx, c.backoff(attempt, err)); err != nil {
			return nil, nil, err
		}
	}
}

func (c *Client) once(ctx context.Context, d download, header http.Header) ([]byte, *metadata, error) {
	release, err := c.slot(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	resp, err := c.net.get(ctx, d.url, header)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		return nil, nil, errUnchanged
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxRelease+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > maxRelease {
		return nil, nil, fmt.Errorf("%w: more than %d MiB", errMismatch, maxRelease>>20)
	}
	if looksLikeHTML(resp.Header.Get("Content-Type"), data) {
		return nil, nil, errForeign
	}
	return data, &metadata{ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified")}, nil
}

func looksLikeHTML(contentType string, data []byte) bool {
	head := strings.ToLower(string(bytes.TrimSpace(data[:min(len(data), 256)])))
	return strings.HasPrefix(head, "<!doctype html") || strings.HasPrefix(head, "<html") ||
		strings.HasPrefix(contentType, "text/html") && strings.HasPrefix(head, "<")
}

// open verifies m and reads its Release file. An empty m of a trusted repository gives nil.
func (c *Client) open(r *repository, m *metadata) (*release, error) {
	name := filepath.Base(r.source.Suite) + "/InRelease"
	text, err := c.verified(r, m)
	if err != nil {
		return nil, err
	}
	if text == nil {
		return nil, nil
	}
	if m.InRelease == nil {
		name = filepath.Base(r.source.Suite) + "/Release"
	}
	rel, err := parseRelease(name, text)
	if err != nil {
		return nil, diag.Failedf(r.source.Pos, "read the Release file of %s: %w", r.source, err).WithNote("from %s", redact(r.base()))
	}
	checked := r.source
	if r.snapshot {
		checked.CheckValidUntil = No
	}
	if err := rel.checkDates(checked, c.opt.Now()); err != nil {
		return nil, diag.Failedf(diag.Pos{}, "verify %s: %w", r.source, err)
	}
	return rel, nil
}

// verified is the text that a trusted key has signed, or any text when the repository is trusted by name.
func (c *Client) verified(r *repository, m *metadata) ([]byte, error) {
	fail := func(err error) error {
		e := diag.Failedf(r.source.Pos, "verify %s: %w", r.source, err).WithNote("from %s", redact(r.base()))
		return e.WithHint("if the archive has new keys, add their keyring to DISTRO_APT_KEYRINGS; otherwise do not use this mirror")
	}
	if m.InRelease != nil {
		text, block, err := openInRelease(m.InRelease)
		if r.trusted() {
			if err == errNotSigned {
				return m.InRelease, nil
			}
			return text, err
		}
		if err != nil {
			return nil, fail(err)
		}
		ring, err := c.ring(r.source)
		if err != nil {
			return nil, err
		}
		if err := ring.verify(block.Bytes, block.ArmoredSignature.Body, c.opt.Now()); err != nil {
			return nil, fail(err)
		}
		return text, nil
	}
	if r.trusted() || (m.ReleaseGPG == nil && m.Release != nil && r.source.AllowInsecure == Yes) {
		return m.Release, nil
	}
	if m.ReleaseGPG == nil {
		return nil, diag.Failedf(r.source.Pos, "verify %s: the repository is not signed (it has neither InRelease nor Release.gpg)", r.source).
			WithNote("from %s", redact(r.base())).
			WithHint("a repository of your own can be marked [trusted=yes]")
	}
	ring, err := c.ring(r.source)
	if err != nil {
		return nil, err
	}
	sigs, err := detached(m.ReleaseGPG)
	if err == nil {
		err = ring.verify(m.Release, sigs, c.opt.Now())
	}
	if err != nil {
		return nil, fail(err)
	}
	return m.Release, nil
}
