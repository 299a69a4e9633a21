package apt

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"path/filepath"

	"n3x/internal/diag"
)

// downloadError says what was fetched from where, and what to do about it.
func (c *Client) downloadError(d download, err error) error {
	what := d.what
	if what == "" {
		what = "file"
	}
	e := diag.Failedf(d.pos, "download %s: %w", what, err).WithNote("from %s", redact(d.url))
	if d.sha256 != "" {
		e.WithNote("expected %d bytes with SHA-256 %s", d.size, d.sha256)
	}
	if hint := c.hint(d, err); hint != "" {
		e.Hint = hint
	}
	return e
}

func (c *Client) hint(d download, err error) string {
	var status *statusError
	switch {
	case full(err):
		return "free some space on the file system of " + filepath.Dir(d.dest) + ", or point DL_DIR elsewhere; nothing was left behind"
	case errors.Is(err, errOffline):
		return "run once with the network allowed, so that the file is in the download folder"
	case errors.Is(err, errForeign):
		return "something between here and the mirror answers in its place; open the URL in a browser (a login page of the network?), or set http_proxy"
	case errors.Is(err, errMismatch):
		return "the mirror holds something else than its signed index says; it is being updated, broken or tampered with: try again later or use another mirror"
	case errors.Is(err, errStalled):
		return "the line or the mirror is too slow; try again (what has arrived is kept) or use another mirror"
	case errors.As(err, &status):
		return statusHint(status.code)
	case errors.As(err, new(*net.DNSError)):
		return "check the host's name and this machine's network; behind a proxy, set http_proxy and https_proxy"
	case errors.As(err, new(*net.OpError)):
		return "check this machine's network; behind a proxy, set http_proxy and https_proxy"
	}
	return ""
}

func statusHint(code int) string {
	switch code {
	case http.StatusNotFound, http.StatusGone:
		return "the mirror does not have it: the indices may be older than the mirror (refresh them), or the repository line is wrong"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "the server wants a login, or refuses this one; give it through ISAR_APT_CREDS"
	case http.StatusProxyAuthRequired:
		return "the proxy wants a login: http_proxy=http://user:password@host:port"
	case http.StatusTooManyRequests:
		return "the server limits how much it serves; wait, or raise ISAR_APT_RETRIES and ISAR_APT_DELAY_MAX"
	}
	if code >= 500 {
		return "the mirror has a fault; try again later or use another mirror"
	}
	return ""
}

// redact takes the password out of a URL.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return u.Redacted()
}
