package apt

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"

	"n3x/internal/arch"
	"n3x/internal/diag"
)

func rendered(err error) string {
	var b bytes.Buffer
	diag.Render(&b, "n3x", err)
	return b.String()
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	o := a.options()
	first := mustUpdate(t, mustOpen(t, o))
	if got := versions(first); got != "hello=2.10-5 libc6=2.41-12" {
		t.Errorf("packages: %s", got)
	}
	i := first.Packages[0].Index
	if i.URI != a.uri() || i.Suite != "trixie" || i.Component != "main" || i.Arch != "amd64" || i.Archive != "stable" ||
		i.Codename != "trixie" || i.Origin != "Test" || i.ReleaseVersion != "13.1" || first.Packages[0].Pin != 500 {
		t.Errorf("index: %+v", i)
	}
	if log := a.requests(); len(log) != 2 || log[0] != "dists/trixie/InRelease 200" || !strings.Contains(log[1], "main/binary-amd64/by-hash/SHA256/") {
		t.Errorf("requests: %q", log)
	}

	second := mustUpdate(t, mustOpen(t, o))
	if diff := cmp.Diff([]string{"dists/trixie/InRelease 304"}, a.requests()); diff != "" {
		t.Errorf("unchanged: (-want +got)\n%s", diff)
	}
	if second.Digest != first.Digest || versions(second) != versions(first) {
		t.Errorf("unchanged: %s %s", second.Digest, versions(second))
	}

	a.publish(pkg("hello", "2.10-6"), pkg("libc6", "2.41-12"), pkg("new", "1"))
	third := mustUpdate(t, mustOpen(t, o))
	if third.Digest == first.Digest || versions(third) != "hello=2.10-6 libc6=2.41-12 new=1" {
		t.Errorf("changed: %s", versions(third))
	}
	names := []string{"hello", "libc6", "new", "none"}
	changes := Changes(first.Candidates(names, "amd64"), third.Candidates(names, "amd64"))
	if got := fmt.Sprint(changes); got != "[hello 2.10-5 -> 2.10-6 new (none) -> 1]" {
		t.Errorf("changes: %s", got)
	}

	a.server.Close()
	loaded, err := mustOpen(t, o).Load(context.Background())
	if err != nil || loaded.Digest != third.Digest {
		t.Errorf("Load: %v, %v", loaded, err)
	}
	o.Offline = true
	if s, err := mustOpen(t, o).Update(context.Background(), nil); err != nil || s.Digest != third.Digest {
		t.Errorf("offline Update: %v", err)
	}
	o.DownloadDir = t.TempDir()
	_, err = mustOpen(t, o).Update(context.Background(), nil)
	wantError(t, "offline, nothing there", err, "have never been downloaded; test.list:1; run once with the network")
}

// Every way in which a Release file can be wrong, and what is said about it.
func TestReleaseFaults(t *testing.T) {
	t.Parallel()
	const inRelease = "/debian/dists/trixie/InRelease"
	for name, c := range map[string]struct {
		change func(t *testing.T, a *archive, o *Options)
		want   string // "" = it works
	}{
		"good": {func(*testing.T, *archive, *Options) {}, ""},
		"changed after signing": {func(_ *testing.T, a *archive, _ *Options) {
			a.files[inRelease] = bytes.Replace(a.files[inRelease], []byte("Origin: Test"), []byte("Origin: Evil"), 1)
		}, "test.list:1; no valid signature by a trusted key; bad signature; from http://"},
		"other key": {func(t *testing.T, _ *archive, o *Options) {
			o.Keyrings = [][]byte{publicKey(t, signer(t, "other", 0))}
		}, "the key is not in the keyring; DISTRO_APT_KEYRINGS"},
		"no key":      {func(_ *testing.T, _ *archive, o *Options) { o.Keyrings = nil }, "the key is not in the keyring"},
		"garbage key": {func(_ *testing.T, _ *archive, o *Options) { o.Keyrings = [][]byte{[]byte("hello")} }, "read the archive's keyring"},
		"expired key": {func(t *testing.T, a *archive, o *Options) {
			a.key = signer(t, "brief", 90*time.Minute)
			a.publish()
			o.Keyrings = [][]byte{publicKey(t, a.key)}
			o.Now = func() time.Time { return now.Add(time.Hour) }
		}, "the key has expired"},
		"expired signature": {func(_ *testing.T, a *archive, o *Options) {
			a.config = &packet.Config{SigLifetimeSecs: 60, Time: func() time.Time { return now.Add(-time.Hour) }}
			a.publish()
		}, "the signature has expired"},
		"expired": {func(_ *testing.T, _ *archive, o *Options) {
			o.Now = func() time.Time { return now.Add(30 * 24 * time.Hour) }
		}, "test.list:1; the Release file has expired: it was valid until 2025-11-22 09:00:00 UTC; the clock of this machine says 2025-12-15; check-valid-until=no"},
		"expired, not checked": {func(t *testing.T, a *archive, o *Options) {
			o.Sources = mustSources(t, "deb [check-valid-until=no] "+a.uri()+" trixie main")
			o.Now = func() time.Time { return now.Add(30 * 24 * time.Hour) }
		}, ""},
		"expired by valid-until-max": {func(t *testing.T, a *archive, o *Options) {
			o.Sources = mustSources(t, "deb [valid-until-max=3600] "+a.uri()+" trixie main")
		}, "it was valid until 2025-11-15 10:00:00 UTC"},
		"saved by valid-until-min": {func(t *testing.T, a *archive, o *Options) {
			o.Sources = mustSources(t, "deb [valid-until-min=9999999] "+a.uri()+" trixie main")
			o.Now = func() time.Time { return now.Add(30 * 24 * time.Hour) }
		}, ""},
		"expired snapshot": {func(_ *testing.T, a *archive, o *Options) {
			o.Sources[0].URI = "http://deb.example.org/debian"
			o.Rewrites = []Rewrite{{Match: regexp.MustCompile(`http://deb\.example\.org/(\w+)`), Replace: a.server.URL + "/${1}", Snapshot: true}}
			o.Now = func() time.Time { return now.Add(30 * 24 * time.Hour) }
		}, ""},
		"expired mirror": {func(_ *testing.T, a *archive, o *Options) {
			o.Sources[0].URI = "http://deb.example.org/debian"
			o.Rewrites = []Rewrite{{Match: regexp.MustCompile(`deb\.example\.org`), Replace: strings.TrimPrefix(a.server.URL, "http://")}}
			o.Now = func() time.Time { return now.Add(30 * 24 * time.Hour) }
		}, "has expired"},
		"from the future": {func(_ *testing.T, _ *archive, o *Options) {
			o.Now = func() time.Time { return time.Date(2025, 11, 15, 8, 59, 0, 0, time.UTC) }
		}, "no valid signature"}, // the signature is from the future, too
		"dated ahead": {func(_ *testing.T, a *archive, o *Options) {
			a.header = strings.Replace(a.header, "09:00:00", "13:00:00", 1)
			a.publish()
		}, "is from the future: its date is 2025-11-15 13:00:00 UTC; check-date=no"},
		"dated ahead, allowed": {func(t *testing.T, a *archive, o *Options) {
			a.header = strings.Replace(a.header, "09:00:00", "13:00:00", 1)
			a.publish()
			o.Sources = mustSources(t, "deb [date-max-future=7200] "+a.uri()+" trixie main")
		}, ""},
		"text before the signed part": {func(_ *testing.T, a *archive, _ *Options) {
			a.files[inRelease] = append([]byte("Origin: Evil\n"), a.files[inRelease]...)
		}, "it is not a signed Release file"},
		"text after the signed part": {func(_ *testing.T, a *archive, _ *Options) {
			a.files[inRelease] = append(a.files[inRelease], "Origin: Evil\n"...)
		}, "its clear-text signature is damaged"},
		"login page": {func(_ *testing.T, a *archive, _ *Options) {
			a.files[inRelease] = []byte("<!DOCTYPE html><title>Please log in</title>")
		}, "an HTML page; a login page of the network"},
		"no SHA256": {func(_ *testing.T, a *archive, _ *Options) {
			a.files[inRelease] = a.clearsigned("Origin: x\nDate: Sat, 15 Nov 2025 09:00:00 UTC\nMD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 main/binary-amd64/Packages\n")
		}, "has no SHA256 hashes; only offer MD5 or SHA-1"},
		"bad date": {func(_ *testing.T, a *archive, _ *Options) {
			a.files[inRelease] = a.clearsigned("Date: yesterday\nSHA256:\n")
		}, `field Date: cannot read the date "yesterday"`},
		"bad hash line": {func(_ *testing.T, a *archive, _ *Options) {
			a.files[inRelease] = a.clearsigned("SHA256:\n abc 1 x\n")
		}, `trixie/InRelease:2: field SHA256: expected "hash size name"`},
		"Release and Release.gpg":         {func(_ *testing.T, a *archive, _ *Options) { a.detach(false) }, ""},
		"Release and armored Release.gpg": {func(_ *testing.T, a *archive, _ *Options) { a.detach(true) }, ""},
		"Release, but bad Release.gpg": {func(_ *testing.T, a *archive, _ *Options) {
			a.detach(false)
			a.files["/debian/dists/trixie/Release"] = append(a.files["/debian/dists/trixie/Release"], ' ')
		}, "bad signature"},
		"Release alone": {func(_ *testing.T, a *archive, _ *Options) {
			a.detach(false)
			delete(a.files, "/debian/dists/trixie/Release.gpg")
		}, "the repository is not signed; [trusted=yes]"},
		"Release alone, trusted": {func(t *testing.T, a *archive, o *Options) {
			a.detach(false)
			delete(a.files, "/debian/dists/trixie/Release.gpg")
			o.Sources = mustSources(t, "deb [trusted=yes] "+a.uri()+" trixie main")
		}, ""},
		"Release alone, allow-insecure": {func(t *testing.T, a *archive, o *Options) {
			a.detach(false)
			delete(a.files, "/debian/dists/trixie/Release.gpg")
			o.Sources = mustSources(t, "deb [allow-insecure=yes] "+a.uri()+" trixie main")
		}, ""},
		"nothing there": {func(_ *testing.T, a *archive, _ *Options) { delete(a.files, inRelease) }, "download Release of; 404 Not Found; the repository line is wrong"},
		"wrong component": {func(t *testing.T, a *archive, o *Options) {
			o.Sources = mustSources(t, "deb "+a.uri()+" trixie main contirb")
		}, `test.list:1; has no component "contirb"; did you mean contrib?`},
		"wrong architecture": {func(_ *testing.T, a *archive, o *Options) { o.Arches = []arch.Arch{"amd64", "riscv64"} }, ""},
		"architecture without index": {func(_ *testing.T, a *archive, o *Options) {
			o.Arches = []arch.Arch{"arm64"}
			o.Sources[0].Components = []string{"contrib"}
		}, "its Release file lists no contrib/binary-arm64/Packages"},
		"signed-by armored": {func(t *testing.T, a *archive, o *Options) {
			o.Sources[0].SignedBy, o.Keyrings = string(armored(t, publicKey(t, a.key))), nil
		}, ""},
		"signed-by file": {func(t *testing.T, a *archive, o *Options) {
			key := publicKey(t, a.key)
			o.Sources[0].SignedBy, o.Keyrings = "/usr/share/keyrings/mine.gpg", nil
			o.KeyFile = func(path string) ([]byte, error) {
				if path != "/usr/share/keyrings/mine.gpg" {
					return nil, os.ErrNotExist
				}
				return key, nil
			}
		}, ""},
		"signed-by Debian's": {func(_ *testing.T, _ *archive, o *Options) {
			o.Sources[0].SignedBy = "/usr/share/keyrings/debian-archive-keyring.gpg"
		}, "the key is not in the keyring"},
		"signed-by unknown file": {func(_ *testing.T, _ *archive, o *Options) { o.Sources[0].SignedBy = "/etc/none.gpg" },
			"test.list:1; read the keyring /etc/none.gpg that signed-by names"},
		"signed-by fingerprint": {func(_ *testing.T, a *archive, o *Options) {
			o.Sources[0].SignedBy = fmt.Sprintf("%X!", a.key.PrimaryKey.Fingerprint)
		}, ""},
		"signed-by other fingerprint": {func(_ *testing.T, _ *archive, o *Options) {
			o.Sources[0].SignedBy = strings.Repeat("AB", 20)
		}, "signed-by does not name this key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newArchive(t)
			o := a.options()
			o.Retries = -1
			c.change(t, a, &o)
			state, err := mustOpen(t, o).Update(context.Background(), nil)
			if c.want != "" {
				wantError(t, "Update", err, c.want)
				if _, err := mustOpen(t, o).Load(context.Background()); err == nil && name != "expired" {
					t.Error("a refused Release file was stored")
				}
				return
			}
			if err != nil {
				t.Fatal(rendered(err))
			}
			if len(state.Indices) != 1 {
				t.Errorf("%d indices", len(state.Indices))
			}
			if name == "wrong architecture" && (len(state.Warnings) != 1 || !strings.Contains(state.Warnings[0], "no architecture riscv64")) {
				t.Errorf("warnings: %q", state.Warnings)
			}
		})
	}
}

// Every way in which the download of an index can go wrong.
func TestIndexFaults(t *testing.T) {
	t.Parallel()
	const plain = "/debian/dists/trixie/main/binary-amd64/Packages.gz"
	isIndex := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "binary-amd64") }
	for name, c := range map[string]struct {
		fault func() func(w http.ResponseWriter, r *http.Request) bool
		want  string
	}{
		"by-hash is missing": {func() func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "by-hash") {
					http.NotFound(w, r)
					return true
				}
				return false
			}
		}, ""},
		"all are missing": {func() func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isIndex(r) {
					http.NotFound(w, r)
				}
				return isIndex(r)
			}
		}, "main/binary-amd64/Packages; 404 Not Found; expected "},
		"503 twice": {func() func(http.ResponseWriter, *http.Request) bool {
			var n atomic.Int32
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isIndex(r) && n.Add(1) <= 2 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return true
				}
				return false
			}
		}, ""},
		"503 for ever": {func() func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isIndex(r) {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return isIndex(r)
			}
		}, "503 Service Unavailable; the mirror has a fault"},
		"garbage": {func() func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isIndex(r) {
					w.Write(bytes.Repeat([]byte("x"), int(indexSize)))
				}
				return isIndex(r)
			}
		}, "wrong content: its SHA-256 is; expected; with SHA-256; use another mirror"},
		"garbage once": {func() func(http.ResponseWriter, *http.Request) bool {
			var n atomic.Int32
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isIndex(r) && n.Add(1) == 1 {
					w.Write(bytes.Repeat([]byte("x"), int(indexSize)))
					return true
				}
				return false
			}
		}, ""},
		"login page": {func() func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isIndex(r) {
					w.Header().Set("Content-Type", "text/html; charset=utf-8")
					w.Write([]byte("<html>"))
				}
				return isIndex(r)
			}
		}, "the server offers 6 bytes, expected; an HTML page; a login page"},
		"too long": {func() func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isIndex(r) {
					w.(*recorder).ResponseWriter.(http.Flusher).Flush() // no Content-Length
					w.Write(bytes.Repeat([]byte("x"), 100000))
				}
				return isIndex(r)
			}
		}, "wrong content: longer than the expected"},
		"redirect": {func() func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "by-hash") {
					http.Redirect(w, r, plain, http.StatusFound)
					return true
				}
				return false
			}
		}, ""},
		"redirect for ever": {func() func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isIndex(r) {
					http.Redirect(w, r, r.URL.Path, http.StatusFound)
				}
				return isIndex(r)
			}
		}, "more than 10 redirects"},
		"connection cut": {func() func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isIndex(r) {
					panic(http.ErrAbortHandler)
				}
				return false
			}
		}, "download main/binary-amd64/Packages.gz"},
		"stalled": {func() func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if isIndex(r) {
					<-r.Context().Done()
				}
				return isIndex(r)
			}
		}, "no data arrived for too long; try again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newArchive(t)
			o := a.options()
			o.StallTimeout = 300 * time.Millisecond
			before := mustUpdate(t, mustOpen(t, o))
			a.publish(pkg("hello", "3"), pkg("libc6", "3"))
			a.setFault(c.fault())
			after, err := mustOpen(t, o).Update(context.Background(), nil)
			if c.want == "" {
				if err != nil {
					t.Fatal(rendered(err))
				}
				if versions(after) != "hello=3 libc6=3" {
					t.Errorf("packages: %s", versions(after))
				}
			} else {
				wantError(t, "Update", err, c.want)
				kept, err := mustOpen(t, o).Load(context.Background())
				if err != nil || kept.Digest != before.Digest {
					t.Errorf("the old state is lost: %v", err)
				}
			}
			if left := leftovers(t, o.DownloadDir); len(left) > 0 {
				t.Errorf("left over: %q", left)
			}
		})
	}
}

// indexSize is the length of the index that TestIndexFaults publishes.
var indexSize = len(gzipped(packagesFile(testPackages("3"))))

// The mirror is updated between the Release file and the index, and does not keep old indices.
func TestUpdateRace(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	o := a.options()
	var once atomic.Bool
	a.setFault(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "binary-amd64") && once.CompareAndSwap(false, true) {
			for path := range a.files {
				if strings.Contains(path, "by-hash") {
					delete(a.files, path)
				}
			}
			a.publish(pkg("hello", "9"))
			http.NotFound(w, r)
			return true
		}
		return false
	})
	if got := versions(mustUpdate(t, mustOpen(t, o))); got != "hello=9" {
		t.Errorf("packages: %s", got)
	}
}

// A mirror that is behind does not take packages back.
func TestUpdateKeepsNewer(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	o := a.options()
	old := a.files["/debian/dists/trixie/InRelease"]
	a.header = strings.Replace(a.header, "09:00:00", "10:00:00", 1)
	a.publish(pkg("hello", "9"))
	want := mustUpdate(t, mustOpen(t, o))
	a.files["/debian/dists/trixie/InRelease"] = old
	if got := mustUpdate(t, mustOpen(t, o)); got.Digest != want.Digest {
		t.Errorf("went back to %s", versions(got))
	}
}

func TestDamagedCache(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	o := a.options()
	want := mustUpdate(t, mustOpen(t, o))
	damage := func(pattern string) {
		files, _ := filepath.Glob(filepath.Join(o.DownloadDir, "apt/lists", pattern))
		if len(files) == 0 {
			t.Fatalf("no %s", pattern)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 0xff
			if err := os.WriteFile(f, data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.requests()
	damage("parsed/*")
	if got := mustUpdate(t, mustOpen(t, o)); got.Digest != want.Digest || versions(got) != versions(want) {
		t.Error("parsed form damaged: other packages")
	}
	if log := a.requests(); len(log) != 1 {
		t.Errorf("parsed form damaged: %q", log)
	}
	damage("parsed/*")
	damage("by-hash/*")
	if got := mustUpdate(t, mustOpen(t, o)); got.Digest != want.Digest || versions(got) != versions(want) {
		t.Error("index damaged: other packages")
	}
	damage("*_InRelease")
	if got := mustUpdate(t, mustOpen(t, o)); got.Digest != want.Digest {
		t.Error("Release file damaged: other packages")
	}
}

// The digest alone equals that of an update, before and after a change, and costs no reading of packages that are at hand.
func TestDigest(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	o := a.options()
	c := mustOpen(t, o)
	digest := func() string {
		t.Helper()
		d, err := c.Digest(context.Background(), nil)
		if err != nil {
			t.Fatal(rendered(err))
		}
		return d
	}
	first := digest()
	if s := mustUpdate(t, c); s.Digest != first || len(s.Packages) == 0 {
		t.Errorf("update: digest %s with %d packages, want %s", s.Digest, len(s.Packages), first)
	}
	if again := digest(); again != first {
		t.Errorf("nothing changed, but the digest: %s, %s", first, again)
	}
	a.publish(testPackages("99")...)
	second := digest()
	if second == first {
		t.Error("the archive changed, the digest did not")
	}
	s, err := c.Load(context.Background()) // what was asked for only is complete on disk
	if err != nil {
		t.Fatal(rendered(err))
	}
	if s.Digest != second || !strings.Contains(versions(s), "99") {
		t.Errorf("load: %s with %s, want %s", s.Digest, versions(s), second)
	}
	files, err := filepath.Glob(filepath.Join(o.DownloadDir, "apt", "lists", "parsed", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d parsed indices, %v", len(files), err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte("damaged"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if again := digest(); again != second {
		t.Errorf("digest %s from the indices' names, want %s", again, second)
	}
	if s := mustUpdate(t, c); s.Digest != second {
		t.Errorf("digest %s after damage, want %s", s.Digest, second)
	}
}
