package apt

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"n3x/internal/arch"
	"n3x/internal/debian"
)

// now is the time of all tests.
var now = time.Date(2025, 11, 15, 12, 0, 0, 0, time.UTC)

// signer makes a key; life is how long it is valid from an hour before now, 0 = for ever.
func signer(t testing.TB, name string, life time.Duration) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", name+"@example.org", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: uint32(life / time.Second),
		Time: func() time.Time { return now.Add(-time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func publicKey(t testing.TB, e *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func armored(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// archive is a repository that is served by HTTP, with faults.
type archive struct {
	t      testing.TB
	server *httptest.Server
	key    *openpgp.Entity
	header string // of the Release file
	byHash bool
	config *packet.Config // of the signature; nil = made now

	sources []byte // main/source/Sources

	mu    sync.Mutex
	files map[string][]byte // by path
	log   []string          // "path range status"
	busy  sync.WaitGroup    // requests under way: a client may be content before its request is in the log
	fault func(w http.ResponseWriter, r *http.Request) bool
}

const releaseHeader = `Origin: Test
Label: Test
Suite: stable
Codename: trixie
Version: 13.1
Date: Sat, 15 Nov 2025 09:00:00 UTC
Valid-Until: Sat, 22 Nov 2025 09:00:00 UTC
Architectures: all amd64 arm64
Components: main contrib
No-Support-for-Architecture-all: Packages
Acquire-By-Hash: yes
`

func newArchive(t testing.TB) *archive {
	a := &archive{t: t, key: signer(t, "archive", 0), header: releaseHeader, byHash: true, files: map[string][]byte{}}
	a.server = httptest.NewServer(a)
	t.Cleanup(a.server.Close)
	a.publish(pkg("hello", "2.10-5"), pkg("libc6", "2.41-12"))
	return a
}

func testPackages(version string) []debian.Package {
	return []debian.Package{pkg("hello", version), pkg("libc6", version)}
}

// pkg is a package and the content of its file.
func pkg(name, version string) debian.Package {
	content := debContent(name, version)
	sum := sha256.Sum256(content)
	return debian.Package{
		Name: name, Version: debian.Version(version), Architecture: "amd64", Size: int64(len(content)),
		SHA256: hex.EncodeToString(sum[:]), Filename: "pool/" + name + "_" + version + ".deb",
	}
}

func debContent(name, version string) []byte {
	return bytes.Repeat([]byte(name+" "+version+"\n"), 20000)
}

func packagesFile(packages []debian.Package) []byte {
	var b bytes.Buffer
	for _, p := range packages {
		fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: %s\nFilename: %s\nSize: %d\nSHA256: %s\n\n",
			p.Name, p.Version, p.Architecture, p.Filename, p.Size, p.SHA256)
	}
	return b.Bytes()
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// publish makes a new state of the archive; files of old states stay below by-hash and pool.
func (a *archive) publish(packages ...debian.Package) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range packages {
		a.files["/debian/"+p.Filename] = debContent(p.Name, string(p.Version))
	}
	release := a.header + "SHA256:\n"
	for name, data := range map[string][]byte{
		"main/binary-amd64/Packages":    packagesFile(packages),
		"main/binary-arm64/Packages":    nil,
		"contrib/binary-amd64/Packages": nil,
		"main/source/Sources":           a.sources,
	} {
		for ext, data := range map[string][]byte{"": data, ".gz": gzipped(data)} {
			sum := sha256.Sum256(data)
			release += fmt.Sprintf(" %x %d %s\n", sum, len(data), name+ext)
			if ext == "" {
				continue // listed but not there, as in Debian
			}
			a.files["/debian/dists/trixie/"+name+ext] = data
			a.files[fmt.Sprintf("/debian/dists/trixie/%s/by-hash/SHA256/%x", filepath.Dir(name), sum)] = data
		}
	}
	a.files["/debian/dists/trixie/InRelease"] = a.clearsigned(release)
}

func (a *archive) signConfig() *packet.Config {
	if a.config != nil {
		return a.config
	}
	return &packet.Config{Time: func() time.Time { return now.Add(-time.Minute) }}
}

func (a *archive) clearsigned(text string) []byte {
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, a.key.PrivateKey, a.signConfig())
	if err != nil {
		a.t.Fatal(err)
	}
	io.WriteString(w, text)
	if err := w.Close(); err != nil {
		a.t.Fatal(err)
	}
	return b.Bytes()
}

// detach replaces InRelease by Release and Release.gpg.
func (a *archive) detach(armoredSig bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	const dir = "/debian/dists/trixie/"
	block, _ := clearsign.Decode(a.files[dir+"InRelease"])
	delete(a.files, dir+"InRelease")
	var b bytes.Buffer
	sign := openpgp.DetachSign
	if armoredSig {
		sign = openpgp.ArmoredDetachSign
	}
	if err := sign(&b, a.key, bytes.NewReader(block.Plaintext), a.signConfig()); err != nil {
		a.t.Fatal(err)
	}
	a.files[dir+"Release"], a.files[dir+"Release.gpg"] = block.Plaintext, b.Bytes()
}

func (a *archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.busy.Add(1)
	defer a.busy.Done()
	rec := &recorder{ResponseWriter: w, status: 200}
	defer func() {
		a.mu.Lock()
		a.log = append(a.log, strings.Join(strings.Fields(fmt.Sprint(r.URL.Path, " ", r.Header.Get("Range"), " ", rec.status)), " "))
		a.mu.Unlock()
	}()
	a.mu.Lock()
	data, ok := a.files[r.URL.Path]
	fault := a.fault
	a.mu.Unlock()
	if fault != nil && fault(rec, r) {
		return
	}
	if !ok {
		http.NotFound(rec, r)
		return
	}
	sum := sha256.Sum256(data)
	rec.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:8]))
	http.ServeContent(rec, r, "x.deb", now, bytes.NewReader(data))
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// requests gives and clears the log, sorted.
func (a *archive) requests() []string {
	a.busy.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	log := a.log
	a.log = nil
	for i := range log {
		log[i] = strings.TrimPrefix(log[i], "/debian/")
	}
	slices.Sort(log)
	return log
}

func (a *archive) setFault(f func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = f
}

func (a *archive) uri() string { return a.server.URL + "/debian" }

// options are those for the archive: fast retries, the tests' clock.
func (a *archive) options() Options {
	return Options{
		Sources:  mustSources(a.t, "deb "+a.uri()+" trixie main"),
		Keyrings: [][]byte{publicKey(a.t, a.key)}, Arches: []arch.Arch{"amd64"}, DownloadDir: a.t.TempDir(),
		RetryDelay: time.Millisecond, StallTimeout: 2 * time.Second, Now: func() time.Time { return now },
	}
}

func mustSources(t testing.TB, text string) []Source {
	t.Helper()
	s, err := ParseSources("test.list", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustOpen(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustUpdate(t testing.TB, c *Client) *State {
	t.Helper()
	s, err := c.Update(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// versions is the state as "name=version" words.
func versions(s *State) string {
	var all []string
	for _, p := range s.Packages {
		all = append(all, p.Name+"="+string(p.Version))
	}
	return strings.Join(all, " ")
}

// wantError checks an error's whole rendering for all parts of want, which "; " separates.
func wantError(t testing.TB, what string, err error, want string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %s", what, want)
		return
	}
	text := rendered(err)
	for part := range strings.SplitSeq(want, "; ") {
		if !strings.Contains(text, part) {
			t.Errorf("%s: error lacks %q:\n%s", what, part, text)
		}
	}
}

// leftovers are unfinished files in the download folder.
func leftovers(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() && (strings.Contains(path, "partial") || strings.Contains(path, ".tmp-") || strings.HasSuffix(path, ".part")) {
			all = append(all, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

func sha(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func itoa(n int) string { return fmt.Sprint(n) }

// sealed puts magic and checksum around the body of a cache file.
func sealed(body []byte) []byte {
	data := append([]byte(cacheMagic), body...)
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}
