package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"n3x/internal/progress"
)

var errNoNetwork = errors.New("not tried: BB_NO_NETWORK is set")

// download brings address to local, with retries and resuming, and checks it before it takes its place.
func (f *Fetcher) download(ctx context.Context, s *Source, address, local string) error {
	if err := f.allowed(address); err != nil {
		return err
	}
	return f.downloadAs(ctx, s, address, local, S3{})
}

// downloadAs is download for a server that may want requests signed.
func (f *Fetcher) downloadAs(ctx context.Context, s *Source, address, local string, keys S3) error {
	if err := os.MkdirAll(filepath.Dir(local), 0o777); err != nil {
		return err
	}
	p := &partial{path: local + ".tmp", resume: len(s.Sums) > 0, keys: keys}
	var err error
	for try := 0; ; try++ {
		if err = f.transfer(ctx, s, address, p); err == nil {
			err = checkSums(p.path, s.Sums)
		}
		if errors.Is(err, errChecksum) && p.resumed {
			// What an earlier run left was not the beginning of this file.
			p.resumed, p.resume = false, false
			os.Remove(p.path)
			continue
		}
		var passing *passingError
		if err == nil || ctx.Err() != nil || !errors.As(err, &passing) || try >= f.o.Retries {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(passing.after, f.o.Wait<<try)):
		}
	}
	if err != nil {
		if errors.Is(err, errChecksum) {
			f.setAside(p.path, local)
		}
		return err
	}
	if len(s.Sums) > 0 && checkSums(local, s.Sums) != nil && exists(local) {
		f.setAside(local, local)
	}
	return os.Rename(p.path, local)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// allowed refuses an address when the network, or its host, may not be used.
func (f *Fetcher) allowed(address string) error {
	if f.o.NoNetwork {
		return errNoNetwork
	}
	if len(f.o.AllowedNetworks) == 0 {
		return nil
	}
	s, err := Parse(address)
	if err != nil {
		return err
	}
	host, _, _ := strings.Cut(strings.ToLower(s.Host), ":")
	for _, a := range f.o.AllowedNetworks {
		a = strings.ToLower(a)
		if a == host || strings.HasPrefix(a, "*.") && strings.HasSuffix("."+host, a[1:]) {
			return nil
		}
	}
	return fmt.Errorf("not tried: host %s is not in BB_ALLOWED_NETWORKS", host)
}

// partial is the unfinished file of a download.
type partial struct {
	path      string
	resume    bool // what lies at path may be continued
	resumed   bool // it was
	keys      S3
	validator string // ETag or Last-Modified of the transfer that began the file in this process
}

// passingError is a failure that may be gone after a while.
type passingError struct {
	err   error
	after time.Duration
}

func (e *passingError) Error() string { return e.err.Error() }
func (e *passingError) Unwrap() error { return e.err }

// transfer makes one request and appends what comes to the partial file.
func (f *Fetcher) transfer(ctx context.Context, s *Source, address string, p *partial) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "n3x")
	// The file is stored as the server has it; Go would otherwise ask for gzip and unpack.
	req.Header.Set("Accept-Encoding", "identity")
	have := p.size()
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		if p.validator != "" {
			req.Header.Set("If-Range", p.validator)
		}
	}
	f.logIn(req, s)
	p.keys.sign(req, time.Now())
	stalled := fmt.Errorf("no data for %v", f.o.Stall)
	watch := time.AfterFunc(f.o.Stall, func() { cancel(stalled) })
	defer watch.Stop()
	resp, err := f.o.Client.Do(req)
	if err != nil {
		return f.requestError(ctx, err)
	}
	defer resp.Body.Close()
	keep, err := p.accept(resp, have)
	if err != nil || keep < 0 {
		return err
	}
	return p.receive(ctx, resp, keep, f.bytes.add, func() { watch.Reset(f.o.Stall) })
}

// requestError decides whether a request that got no answer may be repeated.
func (f *Fetcher) requestError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if errors.Is(err, errDowngrade) || errors.Is(err, context.Canceled) {
		return err
	}
	return &passingError{err: err}
}

// size is how much of the file is there to be continued.
func (p *partial) size() int64 {
	st, err := os.Stat(p.path)
	if err != nil || !p.resume && p.validator == "" {
		return 0
	}
	return st.Size()
}

// accept looks at the answer: keep is how many bytes of the partial file stay, -1 when the file is complete already.
func (p *partial) accept(resp *http.Response, have int64) (keep int64, err error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return 0, nil
	case http.StatusPartialContent:
		var from int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &from); err != nil || from != have {
			return 0, p.restart(fmt.Errorf("server sends the range %q instead of %d-", resp.Header.Get("Content-Range"), have))
		}
		p.resumed = true
		return have, nil
	case http.StatusRequestedRangeNotSatisfiable:
		var total int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes */%d", &total); err == nil && total == have {
			p.resumed = true
			return -1, nil
		}
		return 0, p.restart(errors.New("server does not continue the download"))
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		var seconds int
		fmt.Sscanf(resp.Header.Get("Retry-After"), "%d", &seconds)
		return 0, &passingError{errors.New("server answers " + resp.Status), min(time.Duration(seconds)*time.Second, 30*time.Second)}
	}
	if region := resp.Header.Get("X-Amz-Bucket-Region"); region != "" {
		return 0, &otherRegionError{"server answers " + resp.Status, region}
	}
	return 0, errors.New("server answers " + resp.Status)
}

// otherRegionError is the answer of S3 to who asks in the wrong region.
type otherRegionError struct{ text, region string }

func (e *otherRegionError) Error() string { return e.text }

func asOtherRegion(err error, to **otherRegionError) bool { return errors.As(err, to) }

// readAll reads what has at most limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("more than %d MiB", limit>>20)
	}
	return data, err
}

// restart throws the partial file away and asks for another attempt.
func (p *partial) restart(err error) error {
	p.resume, p.validator = false, ""
	os.Remove(p.path)
	return &passingError{err: err}
}

// receive writes the body behind the first keep bytes of the partial file.
func (p *partial) receive(ctx context.Context, resp *http.Response, keep int64, count func(int64, int64), alive func()) error {
	if keep == 0 {
		p.resumed, p.validator = false, strongValidator(resp)
	}
	flags := os.O_CREATE | os.O_WRONLY
	file, err := os.OpenFile(p.path, flags, 0o666)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(keep); err != nil {
		return err
	}
	if _, err := file.Seek(keep, io.SeekStart); err != nil {
		return err
	}
	count(keep, max(resp.ContentLength, 0)+keep)
	n, err := io.Copy(file, io.TeeReader(resp.Body, tick(func(n int) { count(int64(n), 0); alive() })))
	if err != nil {
		count(-n-keep, -max(resp.ContentLength, 0)-keep)
		var pe *fs.PathError
		if errors.As(err, &pe) { // a write, e.g. to a full disk
			return err
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return &passingError{err: fmt.Errorf("transfer broke off after %d bytes: %w", keep+n, err)}
	}
	if keep+n == 0 {
		return errors.New("server sends an empty file")
	}
	return file.Close()
}

// strongValidator identifies exactly these bytes of the resource, for If-Range; "" when the server gives nothing such.
func strongValidator(resp *http.Response) string {
	if e := resp.Header.Get("ETag"); e != "" && !strings.HasPrefix(e, "W/") {
		return e
	}
	return resp.Header.Get("Last-Modified")
}

// tick is a writer that only reports how much is written.
type tick func(int)

func (t tick) Write(b []byte) (int, error) { t(len(b)); return len(b), nil }

// counter adds the progress of parallel downloads up.
type counter struct {
	task        *progress.Task
	done, total atomic.Int64
}

func (c *counter) add(done, total int64) {
	d, t := c.done.Add(done), c.total.Add(total)
	c.task.Advance(d, t, "bytes")
}

var (
	errDowngrade     = errors.New("server redirects from https to http")
	errManyRedirects = errors.New("more than 10 redirects")
)

// defaultClient follows up to ten redirects, but none that gives up encryption.
func defaultClient(insecure bool) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	if insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	t.ResponseHeaderTimeout = 100 * time.Second
	return &http.Client{Transport: t, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errManyRedirects
		}
		if req.URL.Scheme == "http" && via[0].URL.Scheme == "https" {
			return errDowngrade
		}
		return nil
	}}
}
