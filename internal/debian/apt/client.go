package apt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"n3x/internal/diag"
)

// Client talks to the archives of one set of [Options]. It may be used by several goroutines.
type Client struct {
	opt Options
	net *transport
	lim chan struct{} // holds one item for each transfer under way

	namesOnly bool // leave the packages of indices that are at hand alone; see Digest

	keysOnce sync.Once
	keys     openpgp.EntityList // of Options.Keyrings
	keysErr  error

	sourcesLock sync.Mutex
	sources     []loaded // indices of source packages; nil = not loaded
}

// Open checks the options. It touches neither the network nor the disk.
func Open(o Options) (*Client, error) {
	if len(o.Arches) == 0 {
		return nil, fmt.Errorf("BUG: apt.Options without architectures")
	}
	if o.DownloadDir == "" {
		return nil, fmt.Errorf("BUG: apt.Options without a download folder")
	}
	if len(o.Sources) == 0 {
		return nil, diag.Userf(diag.Pos{}, "no package repository is configured").WithHint("set DISTRO_APT_SOURCES")
	}
	o.setDefaults()
	t, err := newTransport(o)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "%w", err)
	}
	return &Client{opt: o, net: t, lim: make(chan struct{}, o.Parallel)}, nil
}

// slot waits until one more transfer may start; release ends it.
func (c *Client) slot(ctx context.Context) (release func(), err error) {
	select {
	case c.lim <- struct{}{}:
		return func() { <-c.lim }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (o *Options) setDefaults() {
	orInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	orTime := func(p *time.Duration, v time.Duration) {
		if *p <= 0 {
			*p = v
		}
	}
	orInt(&o.Parallel, 8)
	orInt(&o.Retries, 3)
	orTime(&o.RetryDelay, time.Second)
	orTime(&o.MaxDelay, 30*time.Second)
	orTime(&o.StallTimeout, 30*time.Second)
	if o.Pool == "" {
		o.Pool = "debian"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.KeyFile == nil {
		o.KeyFile = func(string) ([]byte, error) { return nil, os.ErrNotExist }
	}
}

// target is where a repository really is.
type target struct {
	uri      string
	snapshot bool
}

// ID identifies what the client reads, without having read it: its repositories after rewriting, its architectures and
// its preferences. Credentials, keys and limits do not count.
func (c *Client) ID() string {
	h := sha256.New()
	for _, s := range c.opt.Sources {
		fmt.Fprintf(h, "%s %s %q %q %q %q %q\n", s.Type, c.locate(s.URI).uri, s.Suite, s.Components, s.Arches, s.ArchesAdd, s.ArchesRemove)
	}
	fmt.Fprintf(h, "%q\n", c.opt.Arches)
	for _, p := range c.opt.Preferences {
		fmt.Fprintf(h, "%q %q %q %d\n", p.Packages, p.Type, p.Data, p.Priority)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// locate applies the rewrites: the first whose expression is found in the URI replaces the first match.
func (c *Client) locate(uri string) target {
	for _, rw := range c.opt.Rewrites {
		if m := rw.Match.FindStringSubmatchIndex(uri); m != nil {
			var b []byte
			b = append(b, uri[:m[0]]...)
			b = rw.Match.ExpandString(b, rw.Replace, uri, m)
			b = append(b, uri[m[1]:]...)
			return target{strings.TrimRight(string(b), "/"), rw.Snapshot}
		}
	}
	return target{uri: uri}
}

// join puts a path below a base URI, with the bytes escaped that a URL cannot hold.
func join(base, path string) string {
	return strings.TrimRight(base, "/") + "/" + strings.TrimPrefix((&url.URL{Path: "/" + strings.TrimLeft(path, "/")}).EscapedPath(), "/")
}

// localPath is the path that a file: or copy: URL names.
func localPath(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "file" && u.Scheme != "copy" {
		return "", false
	}
	return filepath.Clean(u.Path), true
}

// ring is the set of keys that may sign s.
func (c *Client) ring(s Source) (keyring, error) {
	c.keysOnce.Do(func() {
		for _, data := range c.opt.Keyrings {
			el, err := parseKeyring(data)
			if err != nil {
				c.keysErr = diag.Userf(diag.Pos{}, "read the archive's keyring: %w", err)
				return
			}
			c.keys = append(c.keys, el...)
		}
	})
	if s.SignedBy == "" {
		return keyring{entities: c.keys}, c.keysErr
	}
	if fps, ok := parseFingerprints(s.SignedBy); ok {
		return keyring{entities: c.keys, fingerprints: fps}, c.keysErr
	}
	if strings.Contains(s.SignedBy, "-----BEGIN PGP") {
		el, err := parseKeyring([]byte(unfold(s.SignedBy)))
		if err != nil {
			return keyring{}, diag.Userf(s.Pos, "read the key in signed-by: %w", err)
		}
		return keyring{entities: el}, nil
	}
	var all openpgp.EntityList
	for _, path := range strings.FieldsFunc(s.SignedBy, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		data, err := c.opt.KeyFile(path)
		if own, ok := DebianKeyring(path); err != nil && ok {
			data, err = own, nil
		}
		if err != nil {
			return keyring{}, diag.Userf(s.Pos, "read the keyring %s that signed-by names: %w", path, err).
				WithHint("n3x brings Debian's own keyrings along; name others in DISTRO_APT_KEYRINGS")
		}
		el, err := parseKeyring(data)
		if err != nil {
			return keyring{}, diag.Userf(s.Pos, "read the keyring %s that signed-by names: %w", path, err)
		}
		all = append(all, el...)
	}
	return keyring{entities: all}, nil
}

// unfold undoes what deb822 does to an embedded key: "." stands for an empty line.
func unfold(key string) string {
	lines := strings.Split(strings.TrimSpace(key), "\n")
	for i, l := range lines {
		if l = strings.TrimSpace(l); l == "." {
			l = ""
		}
		lines[i] = l
	}
	return strings.Join(lines, "\n") + "\n"
}
