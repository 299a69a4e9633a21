package apt

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"n3x/internal/debian"
)

func TestProxyFunc(t *testing.T) {
	t.Parallel()
	vars := map[string]string{
		"http_proxy": "proxy:3128", "HTTPS_PROXY": "http://user:pw@secure:8443", "https_proxy": "",
		"no_proxy": "localhost, .corp.example,10.0.0.0/8,192.168.1.1,special:8080,*.wild.example",
	}
	proxy, err := proxyFunc(vars)
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		"http://deb.debian.org/x":  "http://proxy:3128",
		"https://deb.debian.org/x": "http://user:pw@secure:8443",
		"http://localhost:99/":     "",
		"http://a.corp.example/":   "",
		"http://corp.example/":     "",
		"http://notcorp.example/":  "http://proxy:3128",
		"http://10.1.2.3/":         "",
		"http://11.1.2.3/":         "http://proxy:3128",
		"http://192.168.1.1:80/":   "",
		"http://special:8080/":     "",
		"http://special/":          "http://proxy:3128",
		"http://x.wild.example/":   "",
	} {
		u, _ := url.Parse(raw)
		got, err := proxy(&http.Request{URL: u})
		text := ""
		if got != nil {
			text = got.String()
		}
		if err != nil || text != want {
			t.Errorf("%s: proxy %q, %v; want %q", raw, text, err, want)
		}
	}
	all, err := proxyFunc(map[string]string{"all_proxy": "socks5://s:1", "no_proxy": "*"})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse("http://h/")
	if got, _ := all(&http.Request{URL: u}); got != nil {
		t.Errorf("no_proxy=*: %v", got)
	}
	for _, bad := range []string{"ftp://x", "http://", "http://%zz"} {
		if _, err := proxyFunc(map[string]string{"http_proxy": bad}); err == nil {
			t.Errorf("proxy %q is taken", bad)
		}
	}
}

func TestProxyIsUsed(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	o := a.options()
	o.Sources = mustSources(t, "deb http://archive.invalid/debian trixie main")
	o.Proxies = map[string]string{"http_proxy": a.server.URL}
	if got := versions(mustUpdate(t, mustOpen(t, o))); got == "" {
		t.Error("nothing came through the proxy")
	}
}

// Logins go to the host that they are for, also after a redirect, and to no other.
func TestCredentials(t *testing.T) {
	t.Parallel()
	a, o, hello := fetchable(t)
	var mu sync.Mutex
	seen := map[string]string{}
	note := func(r *http.Request) bool {
		user, password, ok := r.BasicAuth()
		mu.Lock()
		defer mu.Unlock()
		seen[strings.Split(r.Host, ":")[0]] = user + ":" + password
		return ok
	}
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(r)
		w.Write(debContent("hello", "2.10-5"))
	}))
	defer cdn.Close()
	a.setFault(func(w http.ResponseWriter, r *http.Request) bool {
		if !note(r) {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		http.Redirect(w, r, strings.Replace(cdn.URL, "127.0.0.1", "localhost", 1)+"/x", http.StatusFound)
		return true
	})
	wantError(t, "without login", fetchOne(t, o, hello), "401")
	o.Credentials = map[string]Login{"127.0.0.1": {"me", "secret"}}
	if err := fetchOne(t, o, hello); err != nil {
		t.Fatal(rendered(err))
	}
	if seen["127.0.0.1"] != "me:secret" || seen["localhost"] != ":" {
		t.Errorf("logins: %q", seen)
	}
	// A password in the URL is not shown.
	other := *hello
	index := *hello.Index
	other.Index, other.SHA256 = &index, strings.Repeat("0", 64)
	index.URI = strings.Replace(a.uri(), "http://", "http://me:topsecret@", 1)
	_, err := mustOpen(t, o).Fetch(context.Background(), []*debian.Package{&other}, nil)
	if err == nil || strings.Contains(rendered(err), "topsecret") {
		t.Errorf("error: %v", rendered(err))
	}
}
