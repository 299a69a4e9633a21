package apt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/diag"
)

// partial is the folder of unfinished files.
const partial = "partial"

// download is one file to fetch and verify.
type download struct {
	url    string
	dest   string // where the verified file goes
	part   string // where the unfinished file waits, also for the next run; one name per content
	size   int64  // expected; -1 = unknown
	sha256 string // expected, hex; "" = unknown
	what   string // for messages, e.g. "libc6 2.41-12 (amd64)"
	pos    diag.Pos
}

// errMismatch is content that is not what the index promised.
var errMismatch = errors.New("wrong content")

// fetch downloads d to its place, resuming and repeating as the options say. tick is told of each chunk's size, and of
// negative ones when a part is thrown away.
func (c *Client) fetch(ctx context.Context, d download, tick func(int64)) error {
	p, err := openPart(ctx, d, tick)
	if err != nil {
		return c.downloadError(d, err)
	}
	defer p.f.Close()
	if d.sha256 != "" {
		if st, err := os.Stat(d.dest); err == nil && st.Size() == d.size {
			if sum, _, err := hashFile(d.dest); err == nil && sum == d.sha256 { // another process was faster
				p.tick(d.size - p.size)
				return os.Remove(d.part)
			}
		}
	}
	for attempt := 0; ; attempt++ {
		err := c.attempt(ctx, d, p, attempt > 0)
		if err == nil {
			return nil
		}
		if errors.Is(err, errMismatch) || full(err) {
			err = errors.Join(err, p.restart())
		}
		last := attempt >= c.opt.Retries || !passing(err) || ctx.Err() != nil
		if last && p.size == 0 {
			os.Remove(d.part)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case last:
			return c.downloadError(d, err)
		}
		if err := sleep(ctx, c.backoff(attempt, err)); err != nil {
			return err
		}
	}
}

// openPart opens the unfinished file, waiting for another process that writes it, and takes over what it holds.
func openPart(ctx context.Context, d download, tick func(int64)) (*partFile, error) {
	if err := os.MkdirAll(filepath.Dir(d.dest), 0o777); err != nil {
		return nil, err
	}
	for {
		if err := os.MkdirAll(filepath.Dir(d.part), 0o777); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(d.part, os.O_RDWR|os.O_CREATE, 0o666)
		if errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
			continue // another process is done with the folder, and has removed it
		}
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && sameFile(f, d.part) { // else it was finished and renamed meanwhile
			p := &partFile{f: f, h: sha256.New(), tick: tick}
			if err := p.load(d); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			return p, nil
		}
		f.Close()
		switch err {
		case nil, unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
			err = sleep(ctx, 100*time.Millisecond)
		}
		if err != nil {
			return nil, err
		}
	}
}

func sameFile(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// backoff doubles from RetryDelay to MaxDelay; a server may ask for more.
func (c *Client) backoff(attempt int, err error) time.Duration {
	d := c.opt.RetryDelay << min(attempt, 20)
	if d > c.opt.MaxDelay || d <= 0 {
		d = c.opt.MaxDelay
	}
	if se := (*statusError)(nil); errors.As(err, &se) && se.retryAfter > d {
		d = se.retryAfter
	}
	return d
}

// passing reports whether another attempt may succeed.
func passing(err error) bool {
	if se := (*statusError)(nil); errors.As(err, &se) {
		switch se.code {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusRequestedRangeNotSatisfiable:
			return true
		}
		return se.code >= 500
	}
	return !full(err) && !errors.Is(err, os.ErrPermission) && !errors.Is(err, errOffline) && !errors.Is(err, errForeign)
}

func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// errForeign is a page that is no package data at all, e.g. the login page of a captive portal.
var errForeign = errors.New("an HTML page")

func (c *Client) attempt(ctx context.Context, d download, p *partFile, again bool) error {
	if d.size < 0 || p.size < d.size {
		if err := c.receive(ctx, d, p, again); err != nil {
			return err
		}
	}
	if sum := hex.EncodeToString(p.h.Sum(nil)); d.sha256 != "" && sum != d.sha256 {
		return fmt.Errorf("%w: its SHA-256 is %s", errMismatch, sum)
	}
	return os.Rename(d.part, d.dest)
}

// partFile is the unfinished file with the hash of what it holds so far.
type partFile struct {
	f    *os.File
	h    hash.Hash
	size int64
	tick func(int64)
}

// load takes over what an earlier attempt left, when it can be continued.
func (p *partFile) load(d download) error {
	st, err := p.f.Stat()
	if err != nil || st.Size() == 0 {
		return err
	}
	if d.sha256 == "" || d.size < 0 || st.Size() > d.size { // without a hash nothing would notice that the file changed meanwhile
		return p.restart()
	}
	n, err := io.Copy(p.h, p.f)
	p.size = n
	p.tick(n)
	return err
}

func (p *partFile) restart() error {
	p.tick(-p.size)
	p.size = 0
	p.h.Reset()
	if err := p.f.Truncate(0); err != nil {
		return err
	}
	_, err := p.f.Seek(0, io.SeekStart)
	return err
}

func (p *partFile) Write(b []byte) (int, error) {
	n, err := p.f.Write(b)
	p.h.Write(b[:n])
	p.size += int64(n)
	p.tick(int64(n))
	return n, err
}

// receive asks for what is missing and appends it.
func (c *Client) receive(ctx context.Context, d download, p *partFile, again bool) error {
	header := http.Header{}
	if p.size > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", p.size))
	}
	if again { // what came before was wrong or broken; a cache on the way may be the reason
		header.Set("Cache-Control", "no-cache")
	}
	resp, err := c.net.get(ctx, d.url, header)
	if se := (*statusError)(nil); errors.As(err, &se) && se.code == http.StatusRequestedRangeNotSatisfiable {
		return errors.Join(err, p.restart())
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusPartialContent {
		if want := fmt.Sprintf("bytes %d-", p.size); p.size == 0 || !strings.HasPrefix(resp.Header.Get("Content-Range"), want) {
			return errors.Join(fmt.Errorf("the server sent the range %q, expected %q", resp.Header.Get("Content-Range"), want), p.restart())
		}
	} else if p.size > 0 { // the server does not do ranges
		if err := p.restart(); err != nil {
			return err
		}
	}
	if err := checkLength(d, p.size, resp); err != nil {
		return err
	}
	limit := int64(maxUnknown)
	if d.size >= 0 {
		limit = d.size - p.size + 1
	}
	if _, err := io.Copy(p, io.LimitReader(resp.Body, limit)); err != nil {
		return err
	}
	switch {
	case d.size < 0 && p.size >= maxUnknown:
		return fmt.Errorf("%w: more than %d MiB", errMismatch, maxUnknown>>20)
	case d.size >= 0 && p.size > d.size:
		return fmt.Errorf("%w: longer than the expected %d bytes", errMismatch, d.size)
	case d.size >= 0 && p.size < d.size:
		return fmt.Errorf("the connection ended after %d of %d bytes: %w", p.size, d.size, io.ErrUnexpectedEOF)
	}
	return nil
}

// maxUnknown bounds a file whose size no index says.
const maxUnknown = 1 << 30

// checkLength refuses an answer that cannot be right before its body is read.
func checkLength(d download, have int64, resp *http.Response) error {
	if d.size < 0 || resp.ContentLength < 0 || resp.ContentLength+have == d.size {
		return nil
	}
	err := fmt.Errorf("%w: the server offers %d bytes, expected %d", errMismatch, resp.ContentLength+have, d.size)
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return fmt.Errorf("%w: %w", err, errForeign)
	}
	return err
}

// hashFile is the SHA-256 and the size of a file.
func hashFile(path string) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), n, err
}
