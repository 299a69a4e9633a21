package apt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// transport sends requests as Options say: proxies, logins, parallelism, rate limit, stalled connections.
type transport struct {
	http    *http.Client
	logins  map[string]Login
	stall   time.Duration
	limiter *limiter
	offline bool
}

// errStalled ends a connection on which nothing arrives.
var errStalled = errors.New("no data arrived for too long")

// errOffline refuses the network.
var errOffline = errors.New("the network is not to be used")

func newTransport(o Options) (*transport, error) {
	proxy, err := proxyFunc(o.Proxies)
	if err != nil {
		return nil, err
	}
	t := &transport{logins: o.Credentials, stall: o.StallTimeout, offline: o.Offline}
	if o.RateLimit > 0 {
		t.limiter = &limiter{perSecond: o.RateLimit}
	}
	dialer := &net.Dialer{Timeout: o.StallTimeout}
	t.http = &http.Client{
		// HTTP/2 is left off: it would send all downloads through one connection.
		Transport: &http.Transport{
			Proxy: proxy, DialContext: dialer.DialContext, TLSHandshakeTimeout: o.StallTimeout,
			MaxIdleConnsPerHost: o.Parallel, IdleConnTimeout: 30 * time.Second,
			DisableCompression: true, ReadBufferSize: 64 << 10,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) >= 10 {
				return errors.New("more than 10 redirects")
			}
			if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
				return fmt.Errorf("redirect from https to %s refused", req.URL.Redacted())
			}
			t.login(req)
			return nil
		},
	}
	return t, nil
}

// login adds the credentials of the request's host; those in the URL win.
func (t *transport) login(req *http.Request) {
	if req.URL.User != nil {
		return
	}
	l, ok := t.logins[req.URL.Host]
	if !ok {
		l, ok = t.logins[req.URL.Hostname()]
	}
	if ok {
		req.SetBasicAuth(l.User, l.Password)
	}
}

// statusError is an answer other than the wanted one.
type statusError struct {
	code       int
	retryAfter time.Duration
	kind       string // content type
}

// ErrMissing is wrapped by errors about a file that the server says it does not have.
var ErrMissing = errors.New("no such file on the server")

// Is makes the statuses that mean it an [ErrMissing]; some servers answer 403.
func (e *statusError) Is(target error) bool {
	return target == ErrMissing && (e.code == http.StatusNotFound || e.code == http.StatusGone || e.code == http.StatusForbidden)
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.code, http.StatusText(e.code))
}

// get starts a request; header may be nil. The body must be closed, and ends with [errStalled] when nothing arrives.
// Statuses other than 200, 206 and 304 are errors.
func (t *transport) get(ctx context.Context, rawurl string, header http.Header) (*http.Response, error) {
	if t.offline {
		return nil, errOffline
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(t.stall, func() { cancel(errStalled) })
	fail := func(err error) (*http.Response, error) {
		watch.Stop()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, plainError(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawurl, nil)
	if err != nil {
		return fail(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", "n3x")
	t.login(req)
	resp, err := t.http.Do(req)
	if err != nil {
		return fail(err)
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusNotModified:
		resp.Body = &watchedBody{ctx: ctx, cancel: cancel, body: resp.Body, watch: watch, t: t}
		return resp, nil
	}
	resp.Body.Close()
	return fail(&statusError{resp.StatusCode, retryAfter(resp), resp.Header.Get("Content-Type")})
}

// plainError takes away what net/http puts around an error: the method and the URL, which the caller names anyway.
func plainError(err error) error {
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// watchedBody is a response body with a rate limit and a watch over stalled connections.
type watchedBody struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	watch  *time.Timer
	t      *transport
}

func (b *watchedBody) Read(p []byte) (int, error) {
	if b.t.limiter != nil && len(p) > 16<<10 {
		p = p[:16<<10]
	}
	b.watch.Reset(b.t.stall)
	n, err := b.body.Read(p)
	b.watch.Stop()
	if err != nil && err != io.EOF {
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
	}
	if b.t.limiter != nil && n > 0 {
		if werr := b.t.limiter.wait(b.ctx, n); werr != nil {
			return n, werr
		}
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.watch.Stop()
	b.cancel(nil)
	return b.body.Close()
}

// limiter spreads bytes over time for all connections together.
type limiter struct {
	perSecond int64
	mu        sync.Mutex
	free      time.Time // when the line is free again
}

func (l *limiter) wait(ctx context.Context, n int) error {
	l.mu.Lock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) / float64(l.perSecond) * float64(time.Second)))
	pause := l.free.Sub(now)
	l.mu.Unlock()
	return sleep(ctx, pause)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// proxyFunc reads the proxy variables; names in capitals count too, with the lower-case ones first.
func proxyFunc(vars map[string]string) (func(*http.Request) (*url.URL, error), error) {
	value := func(name string) string {
		if v := vars[name]; v != "" {
			return v
		}
		return vars[strings.ToUpper(name)]
	}
	proxies := make(map[string]*url.URL)
	for _, scheme := range []string{"http", "https"} {
		v := value(scheme + "_proxy")
		if v == "" {
			v = value("all_proxy")
		}
		if v == "" {
			continue
		}
		if !strings.Contains(v, "://") {
			v = "http://" + v
		}
		u, err := url.Parse(v)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("%s_proxy: %q is not a URL", scheme, v)
		}
		switch u.Scheme {
		case "http", "https", "socks5", "socks5h":
		default:
			return nil, fmt.Errorf("%s_proxy: proxies of type %q are not supported", scheme, u.Scheme)
		}
		proxies[scheme] = u
	}
	direct := strings.FieldsFunc(value("no_proxy"), func(r rune) bool { return r == ',' || r == ' ' })
	return func(req *http.Request) (*url.URL, error) {
		if bypasses(direct, req.URL) {
			return nil, nil
		}
		return proxies[req.URL.Scheme], nil
	}, nil
}

// bypasses reports whether no_proxy names the host: "*", a domain with or without leading dot, an address, a network,
// each optionally with a port.
func bypasses(direct []string, u *url.URL) bool {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	addr, addrErr := netip.ParseAddr(host)
	for _, entry := range direct {
		entry = strings.ToLower(entry)
		if entry == "*" {
			return true
		}
		if h, p, err := net.SplitHostPort(entry); err == nil {
			if p != port {
				continue
			}
			entry = h
		}
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			if addrErr == nil && prefix.Contains(addr.Unmap()) {
				return true
			}
			continue
		}
		entry = strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
		if entry != "" && (host == entry || strings.HasSuffix(host, "."+entry)) {
			return true
		}
	}
	return false
}
