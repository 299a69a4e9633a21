package apt

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/debian"
)

// sourceContent is what a file of a test's source package holds.
func sourceContent(name string) []byte { return bytes.Repeat([]byte(name+"\n"), 3000) }

// sourceStanza is a source package as a Sources index has it, with a .dsc and a tarball.
func sourceStanza(name, version string) string {
	base := name + "_" + version[strings.Index(version, ":")+1:]
	text := fmt.Sprintf("Package: %s\nBinary: %[1]s, %[1]sbin\nVersion: %s\nDirectory: pool/%[1]s\nChecksums-Sha256:\n", name, version)
	for _, f := range []string{base + ".tar.xz", base + ".dsc"} {
		text += fmt.Sprintf(" %s %d %s\n", sha(sourceContent(f)), len(sourceContent(f)), f)
	}
	return text + "\n"
}

// twoReleases is a repository with the suites a (codea, suitea) and b (codeb, suiteb).
func twoReleases(t *testing.T) string {
	dir := t.TempDir()
	for name, index := range map[string]string{
		"a": sourceStanza("hello", "2.10-3") + sourceStanza("zlast", "1") + sourceStanza("hello", "2.10-2") + sourceStanza("lib", "1:1.0") +
			sourceStanza("old", "1.0-1") + sourceStanza("tilde", "1.0~rc1"),
		"b": sourceStanza("hello", "2.12-1") + sourceStanza("lib", "1:0.9") + sourceStanza("tilde", "1.0~rc2"),
	} {
		release := fmt.Sprintf("Suite: suite%s\nCodename: code%[1]s\nSHA256:\n %s %d main/source/Sources\n", name, sha([]byte(index)), len(index))
		writeTree(t, filepath.Join(dir, "dists", name), map[string][]byte{"Release": []byte(release), "main/source/Sources": []byte(index)})
	}
	return dir
}

// TestFindSource: the same answers as apt 2.6.2 gave for these two repositories:
// apt-get -qq --print-uris --only-source source REQUEST
func TestFindSource(t *testing.T) {
	t.Parallel()
	dir := twoReleases(t)
	c := mustOpen(t, localOptions(t, "deb-src [trusted=yes] file:"+dir+" a main\ndeb-src [trusted=yes] file:"+dir+" b main\n"))
	for request, want := range map[string]string{
		"hello": "2.12-1", "hello=2.10-3": "2.10-3", "hello=2.10-2": "2.10-2", "hello=2.10": "", "hello/a": "", "hello/codea": "2.10-3",
		"hello/suitea": "2.10-3", "hello/codeb": "2.12-1", "hello/nosuch": "", "lib": "1:1.0", "lib=1:1.0": "1:1.0", "lib=1.0": "",
		"lib=1:0.9": "1:0.9", "libbin": "", "old": "1.0-1", "old/b": "", "old/codeb": "", "tilde": "1.0~rc2", "tilde/a": "",
		"tilde=1.0~rc1": "1.0~rc1", "nosuch": "", "hello=9": "", "zlast": "1", "zz": "", "a": "",
	} {
		r, err := ParseSourceRequest(request)
		if err != nil || r.String() != request {
			t.Errorf("%s: parsed as %s, %v", request, r, err)
		}
		p, err := c.FindSource(context.Background(), r, nil)
		if want == "" {
			wantError(t, request, err, "source package "+request+" is not on offer")
			continue
		}
		if err != nil || p.Version != debian.Version(want) || p.Name != r.Name || len(p.Files) != 2 || filepath.Ext(p.DSC().Name) != ".dsc" {
			t.Errorf("%s: %+v, %v; want version %s", request, p, err, want)
		}
	}
	_, err := c.FindSource(context.Background(), SourceRequest{Name: "old", Release: "codeb"}, nil)
	wantError(t, "other release", err, "there is 1.0-1 in a")
}

func TestSourceRequestsRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "/", "hello/", "=1", "hello=1/sid", "hello=", "hello=1_2", "..", "-o", "a b"} {
		if r, err := ParseSourceRequest(s); err == nil {
			t.Errorf("%q is read as %+v", s, r)
		}
	}
	c := mustOpen(t, localOptions(t, "deb [trusted=yes] file:/nowhere a main"))
	_, err := c.FindSource(context.Background(), SourceRequest{Name: "hello"}, nil)
	wantError(t, "no deb-src", err, "no repository offers sources; add a line deb-src")
}

// TestSourcesAreVerified: nothing of a source package is taken that the signed index does not vouch for.
func TestSourcesAreVerified(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	a.sources = []byte(sourceStanza("hello", "1-1") + "Package: ../evil\nVersion: 1\nChecksums-Sha256:\n " + sha(nil) + " 0 x.dsc\n\n" +
		"Package: weak\nVersion: 1\nFiles:\n d41d8cd98f00b204e9800998ecf8427e 0 weak.dsc\n\n" +
		"Package: evil\nVersion: 1\nChecksums-Sha256:\n " + sha(nil) + " 0 ../x.dsc\n\n")
	a.publish()
	for _, name := range []string{"hello_1-1.dsc", "hello_1-1.tar.xz"} {
		a.files["/debian/pool/hello/"+name] = sourceContent(name)
	}
	o := a.options()
	o.Sources = mustSources(t, "deb "+a.uri()+" trixie main\ndeb-src "+a.uri()+" trixie main")
	c := mustOpen(t, o)
	ctx := context.Background()
	p, err := c.FindSource(ctx, SourceRequest{Name: "hello"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"weak", "evil", "../evil"} {
		_, err := c.FindSource(ctx, SourceRequest{Name: name}, nil)
		wantError(t, name, err, "is not on offer")
	}
	dir := filepath.Join(o.DownloadDir, "deb-src/x/hello")
	paths, err := c.FetchSource(ctx, p, dir, nil)
	if err != nil || len(paths) != 2 || paths[0] != filepath.Join(dir, "hello_1-1.dsc") {
		t.Fatalf("%q, %v", paths, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
	a.requests()
	if _, err := c.FetchSource(ctx, p, dir, nil); err != nil || len(a.requests()) != 0 {
		t.Errorf("fetched again: %v", err)
	}
	a.setFault(func(w http.ResponseWriter, r *http.Request) bool {
		if filepath.Base(r.URL.Path) == "hello_1-1.tar.xz" {
			w.Write(bytes.Repeat([]byte("x"), len(sourceContent("hello_1-1.tar.xz"))))
			return true
		}
		return false
	})
	if err := os.WriteFile(paths[1], []byte("damaged"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = c.FetchSource(ctx, p, dir, nil)
	wantError(t, "other content", err, "hello_1-1.tar.xz of source package hello=1-1; wrong content; its signed index")
	o.Offline = true
	if p, err := mustOpen(t, o).FindSource(ctx, SourceRequest{Name: "hello"}, nil); err != nil || p.Version != "1-1" {
		t.Errorf("offline: %v, %v", p, err)
	}
	a.files["/debian/dists/trixie/main/source/Sources.gz"] = gzipped([]byte("Package: hello\n"))
	o = a.options()
	o.Sources = mustSources(t, "deb-src [by-hash=no] "+a.uri()+" trixie main")
	_, err = mustOpen(t, o).FindSource(ctx, SourceRequest{Name: "hello"}, nil)
	wantError(t, "index not as signed", err, "main/source/Sources.gz; wrong content")
}

// TestSourceFromThisMachine: a package of a file: repository is copied, and checked on the way.
func TestSourceFromThisMachine(t *testing.T) {
	t.Parallel()
	repo := twoReleases(t)
	writeTree(t, repo, map[string][]byte{"pool/old/old_1.0-1.dsc": sourceContent("old_1.0-1.dsc"), "pool/old/old_1.0-1.tar.xz": []byte("other")})
	c := mustOpen(t, localOptions(t, "deb-src [trusted=yes] file:"+repo+" a main"))
	p, err := c.FindSource(context.Background(), SourceRequest{Name: "old"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, err = c.FetchSource(context.Background(), p, dir, nil)
	wantError(t, "changed file", err, "old_1.0-1.tar.xz; wrong content; it has 5 bytes")
	if _, err := os.Stat(filepath.Join(dir, "old_1.0-1.tar.xz")); err == nil {
		t.Error("the wrong file was copied")
	}
	writeTree(t, repo, map[string][]byte{"pool/old/old_1.0-1.tar.xz": sourceContent("old_1.0-1.tar.xz")})
	if _, err = c.FetchSource(context.Background(), p, dir, nil); err != nil {
		t.Error(err)
	}
}

// TestDamagedSourceCache: a cached form that is cut or changed is not believed.
func TestDamagedSourceCache(t *testing.T) {
	t.Parallel()
	data, err := parseSourceIndex("Sources", strings.NewReader(sourceStanza("hello", "1")), func() string { return "sum" })
	if err != nil {
		t.Fatal(err)
	}
	if p, err := loadSourceIndex(string(data)); err != nil || p.sha256 != "sum" {
		t.Fatalf("%v, %v", p, err)
	}
	for i := range data {
		changed := bytes.Clone(data)
		changed[i] ^= 1
		if _, err := loadSourceIndex(string(changed)); err == nil {
			t.Fatalf("a change of byte %d is not noticed", i)
		}
		if _, err := loadSourceIndex(string(data[:i])); err == nil {
			t.Fatalf("the first %d bytes are taken for the whole", i)
		}
	}
}

// The folder of unfinished files may go at any moment: another process has finished, and removes it.
func TestPartialFolderGoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				os.Remove(filepath.Join(dir, partial))
			}
		}
	}()
	for i := range 3000 {
		d := download{dest: filepath.Join(dir, "x"), part: filepath.Join(dir, partial, "x.part"), size: 1}
		p, err := openPart(t.Context(), d, func(int64) {})
		if err != nil {
			t.Errorf("the %dth time: %v", i, err)
			break
		}
		p.f.Close()
		os.Remove(d.part)
	}
	close(stop)
	<-done
}
