package fetch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/diag"
)

// tgzOf is a gzipped tar archive of files, given as name, content pairs.
func tgzOf(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(files[i+1]))
	}
	w.Close()
	z.Close()
	return b.Bytes()
}

// registry serves files by path over TLS and gives the options with which it is trusted; its host is in uris as HOST.
func registry(t *testing.T, files map[string][]byte) (o Options, host string, seen *[]string) {
	seen = new([]string)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*seen = append(*seen, r.URL.Path)
		data, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	t.Cleanup(srv.Close)
	return Options{Client: srv.Client(), DownloadDir: t.TempDir()}, strings.TrimPrefix(srv.URL, "https://"), seen
}

// unpackEntry fetches and unpacks one entry into a fresh folder.
func unpackEntry(t *testing.T, o Options, entry string, flags map[string]string) (string, error) {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSources(Request{SrcURI: entry, Flags: flags, Pos: diag.Pos{File: "r.bb", Line: 7}})
	if err != nil {
		return "", err
	}
	work := t.TempDir()
	if err := f.Fetch(t.Context(), s); err != nil {
		return work, err
	}
	return work, f.Unpack(t.Context(), s[0], work)
}

func TestCrate(t *testing.T) {
	t.Parallel()
	crate := tgzOf(t, "glob-0.2.11/src/lib.rs", "pub fn glob() {}")
	o, host, _ := registry(t, map[string][]byte{"/api/glob/0.2.11/download": crate})
	entry := "crate://" + host + "/api/glob/0.2.11"
	sums := map[string]string{"glob-0.2.11.sha256sum": sum(string(crate))}
	work, err := unpackEntry(t, o, entry, sums)
	if err != nil {
		t.Fatal(err)
	}
	dir := work + "/cargo_home/bitbake/glob-0.2.11/"
	if read(t, dir+"src/lib.rs") != "pub fn glob() {}" || read(t, dir+".cargo-checksum.json") != `{"files":{},"package":"`+sum(string(crate))+`"}` {
		t.Errorf("checksum file: %s", read(t, dir+".cargo-checksum.json"))
	}
	o.BasePackage = "glob-0.2.11"
	if work, err = unpackEntry(t, o, entry, sums); err != nil || read(t, work+"/glob-0.2.11/src/lib.rs") == "" {
		t.Error(err)
	}
	o.DownloadDir = t.TempDir()
	if _, err = unpackEntry(t, o, entry, map[string]string{"glob-0.2.11.sha256sum": sum("other")}); !strings.Contains(notes(err), "checksum mismatch") {
		t.Errorf("wrong checksum: %v", err)
	}
}

func TestGoModule(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.Create("example.com/Up/mod@v1.2.0/go.mod")
	w.Write([]byte("module example.com/Up/mod\n\ngo 1.21\n"))
	z.Close()
	o, host, seen := registry(t, map[string][]byte{"/example.com/!up/mod/@v/v1.2.0.zip": b.Bytes(), "/example.com/!up/mod/@v/v1.1.0.mod": []byte("module x\n")})
	o.GoProxy = host
	sums := map[string]string{"example.com/Up/mod@v1.2.0.sha256sum": sum(b.String())}
	work, err := unpackEntry(t, o, "gomod://example.com/Up/mod;version=v1.2.0", sums)
	if err != nil {
		t.Fatalf("%v %v (asked for %q)", err, notes(err), *seen)
	}
	at := work + "/pkg/mod/cache/download/example.com/!up/mod/@v/v1.2.0"
	if read(t, at+".zip") != b.String() || read(t, at+".mod") != "module example.com/Up/mod\n\ngo 1.21\n" {
		t.Errorf("go.mod: %q", read(t, at+".mod"))
	}
	if _, err := os.Stat(o.DownloadDir + "/example.com.Up.mod@v1.2.0.zip"); err != nil {
		t.Error(err)
	}
	if work, err = unpackEntry(t, o, "gomod://example.com/Up/mod;version=v1.1.0;mod=1;sha256sum="+sum("module x\n"), nil); err != nil ||
		read(t, work+"/pkg/mod/cache/download/example.com/!up/mod/@v/v1.1.0.mod") != "module x\n" {
		t.Error(err, notes(err))
	}
}

func TestGoModuleFromGit(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	write(t, u.dir+"/lib/go.mod", "module example.com/m/lib\n")
	write(t, u.dir+"/lib/a.go", "package lib\n")
	rev := u.commit("module")
	o := Options{Git: u.git, DownloadDir: t.TempDir()}
	work, err := unpackEntry(t, o, "gomodgit://example.com/m/lib;version=v0.1.0;repo="+u.dir+";protocol=file;subdir=lib;srcrev="+rev, nil)
	if err != nil {
		t.Fatal(err, notes(err))
	}
	at := work + "/pkg/mod/cache/download/example.com/m/lib/@v/v0.1.0"
	if got := read(t, at+".mod"); got != "module example.com/m/lib\n" {
		t.Errorf("go.mod: %q", got)
	}
	zr, err := zip.OpenReader(at + ".zip")
	if err != nil {
		t.Fatal(err)
	}
	defer zr.Close()
	var names []string
	for _, e := range zr.File {
		names = append(names, e.Name)
	}
	if got := strings.Join(names, " "); got != "example.com/m/lib@v0.1.0/a.go example.com/m/lib@v0.1.0/go.mod" {
		t.Errorf("zip holds %s", got)
	}
	info, err := filepath.Glob(work + "/pkg/mod/cache/vcs/*.info")
	if err != nil || len(info) != 1 || read(t, info[0]) != "git3:file://"+u.dir {
		t.Errorf("%v: %v", info, err)
	}
}

func TestNpm(t *testing.T) {
	t.Parallel()
	tgz := tgzOf(t, "package/package.json", "{}", "package/lib/a.js", "a")
	sha := sha512.Sum512(tgz)
	files := map[string][]byte{"/files/x.tgz": tgz}
	o, host, seen := registry(t, files)
	describe := func(dist string) []byte {
		return []byte(fmt.Sprintf(`{"dist-tags":{"latest":"1.2.3"},"versions":{"1.2.3":{"version":"1.2.3","dist":{"tarball":"https://%s/files/x.tgz",%s}}}}`, host, dist))
	}
	files["/@scope/x"] = describe(`"integrity":"sha512-` + base64.StdEncoding.EncodeToString(sha[:]) + `"`)
	entry := "npm://" + host + ";package=@scope/x;version=1.2.3"
	work, err := unpackEntry(t, o, entry, nil)
	if err != nil {
		t.Fatalf("%v %v %q", err, notes(err), *seen)
	}
	if read(t, work+"/npm/lib/a.js") != "a" {
		t.Error("not unpacked")
	}
	want := "https://" + host + "/files/x.tgz;downloadfilename=npm2/scope-x-1.2.3.tgz;sha512sum=" + hex.EncodeToString(sha[:])
	if got := read(t, o.DownloadDir+"/npm2/scope-x-1.2.3.tgz.resolved"); got != want {
		t.Errorf("resolved: %s\nwant %s", got, want)
	}
	o.NoNetwork = true
	if _, err := unpackEntry(t, o, entry+";destsuffix=d", nil); err != nil {
		t.Errorf("offline: %v", err)
	}
	if _, err := unpackEntry(t, o, entry+";destsuffix=../d", nil); err == nil || !strings.Contains(err.Error(), "destsuffix=../d leads out") {
		t.Errorf("got %v", err)
	}
	o.NoNetwork, o.DownloadDir = false, t.TempDir()
	if _, err := unpackEntry(t, o, strings.Replace(entry, "1.2.3", "1.2.4", 1), nil); err == nil || !strings.Contains(err.Error(), `has no version "1.2.4" of @scope/x`) {
		t.Errorf("got %v", err)
	}
	files["/@scope/x"] = describe(fmt.Sprintf(`"shasum":"%x"`, sha1.Sum([]byte("other"))))
	if _, err := unpackEntry(t, o, entry, nil); err == nil || !strings.Contains(notes(err), "checksum mismatch") {
		t.Errorf("wrong checksum: %v", err)
	}
}

func TestShrinkwrap(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	tgz := tgzOf(t, "package/index.js", "a")
	sha := sha512.Sum512(tgz)
	o, host, _ := registry(t, map[string][]byte{"/a-1.0.0.tgz": tgz})
	o.Git, o.SourceDir = u.git, "src"
	dep := `"version":"1.0.0","resolved":"https://` + host + `/a-1.0.0.tgz","integrity":"sha512-` + base64.StdEncoding.EncodeToString(sha[:]) + `"`
	file := t.TempDir() + "/npm-shrinkwrap.json"
	for name, text := range map[string]string{
		"packages": `{"lockfileVersion":2,"packages":{"":{"name":"top"},"node_modules/a":{` + dep + `},"node_modules/d":{"dev":true,"version":"1.0.0"},
			"node_modules/g":{"version":"git+file://` + u.dir + `#` + u.other + `"}}}`,
		"dependencies": `{"dependencies":{"a":{` + dep + `,"dependencies":{"g":{"version":"git+file://` + u.dir + `#` + u.other + `"}}},"b":{"bundled":true,"version":"x"}}}`,
	} {
		write(t, file, text)
		work, err := unpackEntry(t, o, "npmsw://"+file, nil)
		if err != nil {
			t.Errorf("%s: %v %s", name, err, notes(err))
			continue
		}
		g := map[string]string{"packages": "/src/node_modules/g", "dependencies": "/src/node_modules/a/node_modules/g"}[name]
		if read(t, work+"/src/node_modules/a/index.js") != "a" || read(t, work+"/src/npm-shrinkwrap.json") != text || u.head(work+g) != u.other {
			t.Errorf("%s: not unpacked", name)
		}
	}
	for text, want := range map[string]string{
		`{"packages":{"node_modules/../../x":{` + dep + `}}}`:                                               "leads out of the work folder",
		`{"packages":{"node_modules/x":{"version":"file:../../etc"}}}`:                                      "leads out of the sources",
		`{"packages":{"node_modules/x":{"version":"1.0.0"}}}`:                                               "neither a version with integrity",
		`{"packages":{"node_modules/x":{"version":"1.0.0","integrity":"sha3-x","resolved":"https://h/x"}}}`: "is not a checksum of a known kind",
		`[`: "is no shrinkwrap file",
	} {
		write(t, file, text)
		if _, err := unpackEntry(t, o, "npmsw://"+file, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
