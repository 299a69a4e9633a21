package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"n3x/internal/diag"
)

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// server answers each path with the handler's own rules and counts requests.
type server struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

func serve(t *testing.T, h http.HandlerFunc) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
		s.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.seen, "\n")
}

// fetchAll parses and fetches in a fresh DL_DIR, unless o names one, and returns it.
func fetchAll(t *testing.T, o Options, uri string) (string, error) {
	t.Helper()
	if o.DownloadDir == "" {
		o.DownloadDir = filepath.Join(t.TempDir(), "dl")
	}
	if o.Wait == 0 {
		o.Wait = time.Millisecond
	}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := ParseSources(Request{SrcURI: uri, Pos: diag.Pos{File: "r.bb", Line: 7}})
	if err != nil {
		return o.DownloadDir, err
	}
	return o.DownloadDir, f.Fetch(t.Context(), sources)
}

const content = "the quick brown fox jumps over the lazy dog\n"

func content200(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, content) }

func TestDownload(t *testing.T) {
	t.Parallel()
	srv := serve(t, content200)
	uri := srv.URL + "/a/b.txt?x=1;downloadfilename=b.txt;sha256sum=" + sum(content)
	dl, err := fetchAll(t, Options{}, uri)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, dl+"/b.txt"); got != content {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(dl + "/b.txt.done"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if _, err := fetchAll(t, Options{DownloadDir: dl, NoNetwork: true}, uri); err != nil {
			t.Error(err)
		}
	}
	if srv.requests() != "/a/b.txt" {
		t.Errorf("requests:\n%s", srv.requests())
	}
}

// TestWrongContent: what does not have the checksum never gets its name, and is kept aside.
func TestWrongContent(t *testing.T) {
	t.Parallel()
	srv := serve(t, content200)
	dl, err := fetchAll(t, Options{}, srv.URL+"/b.txt;name=x;x.sha256sum="+sum("other"))
	if err == nil || !strings.Contains(err.Error(), "r.bb:7: fetch ") || diag.Status(err) != 1 {
		t.Fatalf("got %v", err)
	}
	var de *diag.Error
	if !errors.As(err, &de) || !strings.Contains(de.Notes[0], "sha256 is "+sum(content)+", not "+sum("other")) || !strings.Contains(de.Hint, ";sha256sum="+sum(content)) {
		t.Errorf("got %+v", de)
	}
	if _, err := os.Stat(dl + "/b.txt"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the wrong file is in place")
	}
	if got := read(t, dl+"/b.txt_bad-checksum_"+sum(content)); got != content {
		t.Errorf("set aside: %q", got)
	}
}

// TestStaleFile: a file in DL_DIR that does not fit the recipe's checksum is replaced.
func TestStaleFile(t *testing.T) {
	t.Parallel()
	srv := serve(t, content200)
	dl := t.TempDir()
	write(t, dl+"/b.txt", "old version")
	var warned string
	_, err := fetchAll(t, Options{DownloadDir: dl, Warn: func(s string) { warned += s }}, srv.URL+"/b.txt;sha256sum="+sum(content))
	if err != nil || read(t, dl+"/b.txt") != content || !strings.Contains(warned, "fetched again") {
		t.Errorf("%v, %q", err, warned)
	}
	if got := read(t, dl+"/b.txt_bad-checksum_"+sum("old version")); got != "old version" {
		t.Errorf("the replaced file is kept as %q", got)
	}
	// A recipe with a wrong checksum does not take the file from those with the right one.
	if _, err := fetchAll(t, Options{DownloadDir: dl}, srv.URL+"/b.txt;sha256sum="+sum("never")); err == nil || read(t, dl+"/b.txt") != content {
		t.Errorf("%v", err)
	}
}

func TestNoChecksum(t *testing.T) {
	t.Parallel()
	srv := serve(t, content200)
	var warned string
	if _, err := fetchAll(t, Options{Warn: func(s string) { warned += s }}, srv.URL+"/b.txt"); err != nil {
		t.Fatal(err)
	}
	if want := `SRC_URI[sha256sum] = "` + sum(content) + `"`; !strings.Contains(warned, want) {
		t.Errorf("warned %q, want %q", warned, want)
	}
	if _, err := fetchAll(t, Options{Checksums: StrictFail}, srv.URL+"/b.txt"); err == nil || !strings.Contains(err.Error(), "has no checksum") {
		t.Errorf("got %v", err)
	}
}

// TestBrokenTransfer: a transfer that breaks off is continued, with Range, and only when the content is the same.
func TestBrokenTransfer(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if n.Add(1) == 1 {
			w.Header().Set("Content-Length", strconv.Itoa(len(content)))
			fmt.Fprint(w, content[:10])
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	dl, err := fetchAll(t, Options{}, srv.URL+"/b.txt;sha256sum="+sum(content))
	if err != nil || read(t, dl+"/b.txt") != content {
		t.Fatal(err)
	}
	if got, want := srv.requests(), "/b.txt\n/b.txt bytes=10-"; got != want {
		t.Errorf("requests %q, want %q", got, want)
	}
}

// TestResume: what an earlier run left is continued; when it was something else, the file is fetched anew.
func TestResume(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	for left, want := range map[string]string{
		content[:20]:    "/b.txt bytes=20-",
		content:         fmt.Sprintf("/b.txt bytes=%d-", len(content)),
		"something":     "/b.txt bytes=9-\n/b.txt",
		content + "and": fmt.Sprintf("/b.txt bytes=%d-\n/b.txt", len(content)+3),
	} {
		srv.seen = nil
		dl := t.TempDir()
		write(t, dl+"/b.txt.tmp", left)
		if _, err := fetchAll(t, Options{DownloadDir: dl}, srv.URL+"/b.txt;sha256sum="+sum(content)); err != nil {
			t.Error(err)
		} else if read(t, dl+"/b.txt") != content {
			t.Errorf("left %q: got %q", left, read(t, dl+"/b.txt"))
		}
		if srv.requests() != want {
			t.Errorf("left %q: requests %q, want %q", left, srv.requests(), want)
		}
	}
	srv.seen = nil
	dl := t.TempDir()
	write(t, dl+"/b.txt.tmp", "something")
	if _, err := fetchAll(t, Options{DownloadDir: dl, Checksums: StrictIgnore}, srv.URL+"/b.txt"); err != nil || srv.requests() != "/b.txt" {
		t.Errorf("without checksum nothing can be continued: %v, %s", err, srv.requests())
	}
}

func TestServerFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		h        http.HandlerFunc
		want     string
		requests int
	}{
		{"404", http.NotFound, "404 Not Found", 1},
		{"403", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusForbidden) }, "403 Forbidden", 1},
		{"503", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusServiceUnavailable) }, "503 Service Unavailable", 3},
		{"half a file", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "half")
		}, "broke off after 4 bytes", 3},
		{"empty", func(http.ResponseWriter, *http.Request) {}, "empty file", 1},
		{"loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "more than 10 redirects", 30},
		{"stall", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "no data for 50ms", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, tt.h)
			o := Options{}
			if tt.name == "stall" { // elsewhere a busy machine would count as a stalled server
				o.Stall = 50 * time.Millisecond
			}
			_, err := fetchAll(t, o, srv.URL+"/b.txt;sha256sum="+sum(content))
			var de *diag.Error
			if !errors.As(err, &de) || !strings.Contains(strings.Join(de.Notes, "\n"), tt.want) || de.Hint == "" {
				t.Fatalf("got %v %+v", err, de)
			}
			if n := len(strings.Split(srv.requests(), "\n")); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

func TestRedirectAndAuth(t *testing.T) {
	t.Parallel()
	var auth string
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		auth += "[" + r.Header.Get("Authorization") + "]"
		fmt.Fprint(w, content)
	})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		auth += "[" + r.Header.Get("Authorization") + "]"
		http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"/real", http.StatusFound)
	})
	uri := strings.Replace(srv.URL, "http://", "http://me:secret@", 1) + "/b.txt;sha256sum=" + sum(content)
	dl, err := fetchAll(t, Options{}, uri)
	if err != nil || read(t, dl+"/b.txt") != content {
		t.Fatal(err)
	}
	if want := "[Basic bWU6c2VjcmV0][]"; auth != want {
		t.Errorf("authorization %s, want %s: the password must not go to the other host", auth, want)
	}
	srv.Close()
	_, err = fetchAll(t, Options{Retries: -1}, uri)
	var de *diag.Error
	if !errors.As(err, &de) || strings.Contains(fmt.Sprint(de, de.Notes), "secret") {
		t.Errorf("the password is shown: %v %v", de, de.Notes)
	}
}

func mirrors(t *testing.T, value string) []Mirror {
	t.Helper()
	m, err := ParseMirrors(value, diag.Pos{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMirrorOrder(t *testing.T) {
	t.Parallel()
	local := t.TempDir()
	write(t, local+"/b.txt", content)
	bad := t.TempDir()
	write(t, bad+"/b.txt", "wrong")
	srv := serve(t, content200)
	uri := "http://nowhere.invalid/b.txt;sha256sum=" + sum(content)

	dl, err := fetchAll(t, Options{NoNetwork: true, Premirrors: mirrors(t, "http://.*/.* file://"+bad+"/ http://.*/.* file://"+local+"/")}, uri)
	if err != nil {
		t.Fatal(err)
	}
	if target, _ := os.Readlink(dl + "/b.txt"); target != local+"/b.txt" {
		t.Errorf("link to %q", target)
	}
	if _, err := fetchAll(t, Options{Retries: -1, Mirrors: mirrors(t, "http://nowhere.*/.* "+srv.URL+"/m")}, uri); err != nil || srv.requests() != "/m/b.txt" {
		t.Errorf("%v, %s", err, srv.requests())
	}
	srv.seen = nil
	_, err = fetchAll(t, Options{PremirrorOnly: true, Mirrors: mirrors(t, "http://.*/.* "+srv.URL+"/m")}, srv.URL+"/x/b.txt;sha256sum="+sum(content))
	if err == nil || srv.requests() != "" {
		t.Errorf("%v, %s", err, srv.requests())
	}
	_, err = fetchAll(t, Options{NoNetwork: true}, uri)
	var de *diag.Error
	if !errors.As(err, &de) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"unset BB_NO_NETWORK", sum(content), "/b.txt", `PREMIRRORS = "http://nowhere.invalid/ file:///srv/mirror/"`} {
		if !strings.Contains(de.Hint, want) {
			t.Errorf("the hint lacks %s: %s", want, de.Hint)
		}
	}
	_, err = fetchAll(t, Options{AllowedNetworks: []string{"*.example.org"}}, srv.URL+"/b.txt")
	if !errors.As(err, &de) || !strings.Contains(de.Notes[0], "127.0.0.1 is not in BB_ALLOWED_NETWORKS") {
		t.Errorf("got %+v", de)
	}
}

// TestParallel: several fetchers that want the same file at once make one download of it.
func TestParallel(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		fmt.Fprint(w, content)
	})
	dl := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := fetchAll(t, Options{DownloadDir: dl}, srv.URL+"/b.txt;sha256sum="+sum(content)); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if srv.requests() != "/b.txt" {
		t.Errorf("requests:\n%s", srv.requests())
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	f, err := New(Options{DownloadDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := ParseSources(Request{SrcURI: srv.URL + "/x"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Fetch(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestRefusedSources(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"npm://registry/x":                                                "has no package= parameter",
		"npm://registry;package=x":                                        "has no version= parameter",
		"npm://registry;package=x;version=1.x":                            "version=1.x is neither",
		"npm://registry;package=x;version=1.0.0;downloadfilename=../../x": "leads out of DL_DIR",
		"npmsw:///nonexistent/npm-shrinkwrap.json":                        "no such file",
		"crate://glob/1.0":                                                "is not crate://HOST/NAME/VERSION",
		"gomod://golang.org/x/net":                                        "has no version= parameter",
		"gomod://h/../../x;version=1":                                     "is no module",
		"s3://bucket":                                                     "is not s3://BUCKET/PATH",
		"https://h/%2e%2e":                                                "leads out of DL_DIR",
		"https://h/.":                                                     "leads out of DL_DIR",
		"ftp://h/x":                                                       `scheme "ftp" is not supported yet`,
		"foo://x":                                                         `scheme "foo" is not known`,
		"apt://hello":                                                     `scheme "apt" is only fetched for`,
		"nonsense":                                                        `"nonsense" is no address`,
		"https://h/x;unpack":                                              `parameter "unpack" has no value`,
		"git://h/x;name=a,b;branch=m;rev=x":                               "it has 2 names, but 1 branches",
		"git://h/x;branch=m;rev=x;tag=y":                                  "exclude each other",
		"https://h/x;downloadfilename=../../etc/x":                        "leads out of DL_DIR",
		"https://h/x;downloadfilename=/etc/x":                             "leads out of DL_DIR",
		"https://h/x;sha256sum=abc":                                       "is not a sha256 checksum",
		"https://h/x.git;protocol=git":                                    "is written git://",
		"https://a/x https://b/x":                                         "are both stored as x",
		"git://h/x;branch=main":                                           "no revision is set",
		"git://h/x;branch=-x;rev=a":                                       "begins with a dash",
		"git://h/x;branch=main;rev=--upload-pack=x":                       "begins with a dash",
		"git://h/x;branch=main;protocol=ext;rev=a":                        `protocol "ext" is not known`,
		"git://h/x;branch=main;usehead=1;rev=" + sum("x")[:40]:            "usehead=1 is for local",
		"file://a/*.patch":                                                "patterns in file://",
		"file://nope.patch":                                               "is not found in any folder of FILESPATH",
		"file:///nope.patch":                                              "no such file",
	} {
		_, err := fetchAll(t, Options{}, uri)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "r.bb:7: ") || diag.Status(err) != 2 {
			t.Errorf("%s: got %v, want %q", uri, err, want)
		}
	}
}

func TestRevision(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ uri, srcrev, want, err string }{
		{"git://h/x;branch=m", "abc", "abc", ""},
		{"git://h/x;branch=m;rev=abc", "", "abc", ""},
		{"git://h/x;branch=m;rev=abc", "INVALID", "abc", ""},
		{"git://h/x;branch=m;rev=abc", "abc", "abc", ""},
		{"git://h/x;branch=m;rev=abc", "def", "", "contradicts SRCREV"},
		{"git://h/x;branch=m;tag=v1", "", "v1", ""},
		{"git://h/x;branch=m;tag=v1", "abc", "abc", ""},
		{"git://h/x;branch=m", "AUTOINC", "", ""},
	} {
		s, err := ParseSources(Request{SrcURI: tt.uri, Revision: func(string) string { return tt.srcrev }})
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%+v: got %v", tt, err)
			}
			continue
		}
		if err != nil || s[0].Revision != tt.want {
			t.Errorf("%+v: got %v, %v", tt, s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("https://u:p@h:1/a%20b?q;x=y;z=1")
	f.Add("git://git@h/x.git;branch=main;protocol=ssh")
	f.Fuzz(func(t *testing.T, s string) {
		src, err := Parse(s)
		if err != nil {
			return
		}
		_ = src.supported()
		if n := src.LocalName(); src.Scheme == "https" && src.supported() == nil && !filepath.IsLocal(n) {
			t.Errorf("%q is stored at %q", s, n)
		}
		m, err := ParseMirrors("https://.*/.* http://m/ git://.*/.* https://m/MIRRORNAME", diag.Pos{})
		if err != nil {
			t.Fatal(err)
		}
		mirrorURLs(src, src.URL, m)
	})
}

// TestWrongFlag: the error stands at the checksum's own line and says what to write there.
func TestWrongFlag(t *testing.T) {
	t.Parallel()
	srv := serve(t, content200)
	f, err := New(Options{DownloadDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSources(Request{SrcURI: srv.URL + "/b.txt;name=x", Flags: map[string]string{"x.md5sum": strings.Repeat("0", 32)}, Pos: diag.Pos{File: "r.bb", Line: 7},
		FlagPos: func(flag string) diag.Pos { return diag.Pos{File: flag, Line: 9} }})
	if err != nil {
		t.Fatal(err)
	}
	var e *diag.Error
	if err := f.Fetch(t.Context(), s); !errors.As(err, &e) || e.Pos.String() != "x.md5sum:9" || e.Hint != `if the new content is right, write: SRC_URI[x.md5sum] = "1e280e1713df124d35709cf6138d9f91"` {
		t.Errorf("got %v, %v", err, e)
	}
}
