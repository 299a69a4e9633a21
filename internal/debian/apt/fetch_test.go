package apt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/debian"
)

const poolFile = "deb/debian/hello_2.10-5_amd64.deb"

// fetchable is an archive after an update, with its package hello.
func fetchable(t *testing.T) (*archive, Options, *debian.Package) {
	t.Helper()
	a := newArchive(t)
	o := a.options()
	s := mustUpdate(t, mustOpen(t, o))
	a.requests()
	return a, o, s.Candidate("hello", "amd64")
}

func fetchOne(t *testing.T, o Options, p *debian.Package) error {
	t.Helper()
	paths, err := mustOpen(t, o).Fetch(context.Background(), []*debian.Package{p}, nil)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		return err
	}
	if !bytes.Equal(data, debContent(p.Name, string(p.Version))) {
		t.Errorf("%s holds something else", paths[0])
	}
	return nil
}

func TestFetch(t *testing.T) {
	t.Parallel()
	a, o, hello := fetchable(t)
	s, err := mustOpen(t, o).Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all := append(s.Packages, hello) // one of them twice
	paths, err := mustOpen(t, o).Fetch(context.Background(), all, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range all {
		if want := filepath.Join(o.DownloadDir, "deb/debian", PoolName(p)); paths[i] != want {
			t.Errorf("path %s, want %s", paths[i], want)
		}
	}
	if diff := cmp.Diff([]string{"pool/hello_2.10-5.deb 200", "pool/libc6_2.41-12.deb 200"}, a.requests()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	a.server.Close()
	o.Offline = true
	if err := fetchOne(t, o, hello); err != nil {
		t.Errorf("from the download folder: %v", err)
	}
	if left := leftovers(t, o.DownloadDir); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// What is in the download folder already is used when it is right, and replaced when it is not.
func TestFetchExisting(t *testing.T) {
	t.Parallel()
	right := debContent("hello", "2.10-5")
	wrong := bytes.Clone(right)
	wrong[100] ^= 1
	for name, c := range map[string]struct {
		content  []byte
		requests int
	}{
		"right": {right, 0}, "other bytes": {wrong, 1}, "too short": {right[:100], 1}, "too long": {append(bytes.Clone(right), 'x'), 1}, "empty": {nil, 1},
	} {
		a, o, hello := fetchable(t)
		file := filepath.Join(o.DownloadDir, poolFile)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, c.content, 0o666); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := fetchOne(t, o, hello); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(a.requests()); n != c.requests {
			t.Errorf("%s: %d requests, want %d", name, n, c.requests)
		}
	}
}

// A file that was verified once is not read again, unless it has changed since.
func TestVerifiedRecord(t *testing.T) {
	t.Parallel()
	_, o, hello := fetchable(t)
	if err := fetchOne(t, o, hello); err != nil {
		t.Fatal(err)
	}
	v, err := mustOpen(t, o).openVerified()
	if err != nil || len(v.known) != 1 {
		t.Fatalf("record: %v, %v", v.known, err)
	}
	file := filepath.Join(o.DownloadDir, poolFile)
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(file)
	data[7] ^= 1
	if err := os.WriteFile(file, data, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, st.ModTime(), st.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := v.check(file, hello); err != nil {
		t.Errorf("same size and time: %v", err) // the price of not reading it
	}
	later := st.ModTime().Add(-time.Hour)
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	if err := v.check(file, hello); !errors.Is(err, errMismatch) {
		t.Errorf("other time: %v", err)
	}
	if err := fetchOne(t, o, hello); err != nil {
		t.Errorf("a changed file is not replaced: %v", err)
	}
}

func TestFetchFaults(t *testing.T) {
	t.Parallel()
	half := len(debContent("hello", "2.10-5")) / 2
	// first runs fault for the first n requests.
	first := func(n int32, fault http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		var count atomic.Int32
		return func(w http.ResponseWriter, r *http.Request) bool {
			if count.Add(1) > n {
				return false
			}
			fault(w, r)
			return true
		}
	}
	truncated := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(2*half))
		w.Write(debContent("hello", "2.10-5")[:half])
		w.(*recorder).ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, c := range map[string]struct {
		fault    func(http.ResponseWriter, *http.Request) bool
		want     string // error; "" = it works
		requests []string
	}{
		"truncated, resumed": {first(1, truncated), "", []string{"pool/hello_2.10-5.deb 200", fmt.Sprintf("pool/hello_2.10-5.deb bytes=%d- 206", half)}},
		"truncated for ever, progress each time": {
			func(w http.ResponseWriter, r *http.Request) bool { truncated(w, r); return true },
			"package hello:amd64=2.10-5; unexpected EOF; expected", nil,
		},
		"truncated, then no ranges": {func() func(w http.ResponseWriter, r *http.Request) bool {
			cut := first(1, truncated)
			return func(w http.ResponseWriter, r *http.Request) bool {
				r.Header.Del("Range")
				return cut(w, r)
			}
		}(), "", nil},
		"truncated, then another range": {func() func(w http.ResponseWriter, r *http.Request) bool {
			cut := first(1, truncated)
			other := first(1, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Range", "bytes 5-10/1000")
				w.WriteHeader(http.StatusPartialContent)
			})
			return func(w http.ResponseWriter, r *http.Request) bool { return cut(w, r) || other(w, r) }
		}(), "", nil},
		"416": {first(2, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) }), "", nil},
		"404": {func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true },
			"download package hello:amd64=2.10-5; 404 Not Found; indices may be older than the mirror", []string{"pool/hello_2.10-5.deb 404"}},
		"401": {func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(401); return true }, "401 Unauthorized; ISAR_APT_CREDS", nil},
		"429 with a delay": {first(1, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		}), "", nil},
		"other content": {func(w http.ResponseWriter, r *http.Request) bool {
			w.Write(bytes.Repeat([]byte("y"), 2*half))
			return true
		}, "wrong content: its SHA-256 is; from http://127.0.0.1", nil},
		"other length": {func(w http.ResponseWriter, r *http.Request) bool { w.Write([]byte("short")); return true },
			fmt.Sprintf("the server offers 5 bytes, expected %d", 2*half), nil},
		"slow but steady": {func(w http.ResponseWriter, r *http.Request) bool {
			content := debContent("hello", "2.10-5")
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			for i := range 8 {
				w.Write(content[i*len(content)/8 : (i+1)*len(content)/8])
				w.(*recorder).ResponseWriter.(http.Flusher).Flush()
				time.Sleep(100 * time.Millisecond) // together longer than the limit for no data at all
			}
			return true
		}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, o, hello := fetchable(t)
			o.StallTimeout = 500 * time.Millisecond
			a.setFault(c.fault)
			err := fetchOne(t, o, hello)
			if c.want == "" && err != nil {
				t.Fatal(rendered(err))
			}
			if c.want != "" {
				wantError(t, "Fetch", err, c.want)
				if _, err := os.Stat(filepath.Join(o.DownloadDir, poolFile)); err == nil {
					t.Error("a file that is not verified stands in the pool")
				}
			}
			if c.requests != nil {
				if diff := cmp.Diff(c.requests, a.requests()); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
			left := leftovers(t, o.DownloadDir)
			if keeps := strings.HasPrefix(name, "truncated for ever"); keeps != (len(left) == 1) {
				t.Errorf("left over: %q", left)
			}
		})
	}
}

// A part that an earlier process left is continued; one that is of something else is not trusted.
func TestFetchResumes(t *testing.T) {
	t.Parallel()
	content := debContent("hello", "2.10-5")
	for name, c := range map[string]struct {
		part     []byte
		requests []string
	}{
		"good":     {content[:1000], []string{"pool/hello_2.10-5.deb bytes=1000- 206"}},
		"complete": {content, nil},
		"garbage":  {[]byte("garbage"), []string{"pool/hello_2.10-5.deb 200", "pool/hello_2.10-5.deb bytes=7- 206"}},
		"too long": {append(bytes.Clone(content), "x"...), []string{"pool/hello_2.10-5.deb 200"}},
	} {
		a, o, hello := fetchable(t)
		part := filepath.Join(o.DownloadDir, "deb/debian/partial", hello.SHA256+".part")
		if err := os.MkdirAll(filepath.Dir(part), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(part, c.part, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := fetchOne(t, o, hello); err != nil {
			t.Errorf("%s: %v", name, rendered(err))
		}
		if diff := cmp.Diff(c.requests, a.requests()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// Two builds that want the same file at the same time download it once.
func TestFetchTogether(t *testing.T) {
	t.Parallel()
	a, o, hello := fetchable(t)
	a.setFault(func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(50 * time.Millisecond)
		return false
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := fetchOne(t, o, hello); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if log := a.requests(); len(log) != 1 {
		t.Errorf("requests: %q", log)
	}
	if left := leftovers(t, o.DownloadDir); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

func TestFetchCancelled(t *testing.T) {
	t.Parallel()
	a, o, hello := fetchable(t)
	ctx, cancel := context.WithCancel(context.Background())
	a.setFault(func(_ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	})
	if _, err := mustOpen(t, o).Fetch(ctx, []*debian.Package{hello}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch = %v", err)
	}
}

// /dev/full is a disk without space.
func TestFetchFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	_, o, hello := fetchable(t)
	part := filepath.Join(o.DownloadDir, "deb/debian/partial", hello.SHA256+".part")
	if err := os.MkdirAll(filepath.Dir(part), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", part); err != nil {
		t.Fatal(err)
	}
	wantError(t, "Fetch", fetchOne(t, o, hello), "no space left on device; free some space on the file system of "+filepath.Join(o.DownloadDir, "deb/debian"))
	if left := leftovers(t, o.DownloadDir); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

func TestFetchEachStops(t *testing.T) {
	t.Parallel()
	_, o, hello := fetchable(t)
	stop := errors.New("stop")
	err := mustOpen(t, o).FetchEach(context.Background(), []*debian.Package{hello}, nil, func(int, string) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("FetchEach = %v", err)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	_, o, hello := fetchable(t)
	o.RateLimit = hello.Size * 5 // a fifth of a second
	start := time.Now()
	if err := fetchOne(t, o, hello); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("took only %v", took)
	}
}

func TestPoolName(t *testing.T) {
	t.Parallel()
	p := &debian.Package{Name: "a", Version: "1:2.0~rc1+b_1-1", Architecture: "all"}
	if got := PoolName(p); got != "a_1%3a2.0~rc1+b%5f1-1_all.deb" {
		t.Errorf("PoolName = %s", got)
	}
}
