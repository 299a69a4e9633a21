package apt

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/arch"
	"n3x/internal/debian"
)

// writeTree writes files below dir.
func writeTree(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func localOptions(t *testing.T, list string) Options {
	return Options{Sources: mustSources(t, list), Arches: []arch.Arch{"amd64"}, DownloadDir: t.TempDir()}
}

// A repository of our own: not signed, changing, and without any Release file.
func TestLocalUnsigned(t *testing.T) {
	t.Parallel()
	for _, compressed := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "isar apt%20") // names that a URL cannot hold as they are
		index := "dists/isar/main/binary-amd64/Packages"
		write := func(version string) {
			p := pkg("own", version)
			files := map[string][]byte{p.Filename: debContent("own", version), index: packagesFile([]debian.Package{p})}
			if compressed {
				files[index+".gz"] = gzipped(files[index])
				delete(files, index)
			}
			writeTree(t, dir, files)
		}
		write("1")
		o := localOptions(t, "deb [trusted=yes] file://"+strings.NewReplacer(" ", "%20", "%", "%25").Replace(dir)+" isar main")
		c := mustOpen(t, o)
		s := mustUpdate(t, c)
		if versions(s) != "own=1" || !s.Indices[0].Trusted {
			t.Fatalf("packages: %s", versions(s))
		}
		paths, err := c.Fetch(context.Background(), s.Packages, nil)
		if err != nil || paths[0] != filepath.Join(dir, "pool/own_1.deb") {
			t.Errorf("Fetch = %q, %v", paths, err)
		}
		write("2")
		if s := mustUpdate(t, c); versions(s) != "own=2" {
			t.Errorf("after a change: %s", versions(s))
		}
		if s, err := c.Load(context.Background()); err != nil || versions(s) != "own=2" {
			t.Errorf("Load: %v", err)
		}
		writeTree(t, dir, map[string][]byte{"pool/own_2.deb": []byte("other")})
		s = mustUpdate(t, c)
		_, err = c.Fetch(context.Background(), s.Packages, nil)
		wantError(t, "changed package", err, "read package own:amd64=2; wrong content: it has 5 bytes; make the index again")
		if err := os.Remove(filepath.Join(dir, "pool/own_2.deb")); err != nil {
			t.Fatal(err)
		}
		_, err = c.Fetch(context.Background(), s.Packages, nil)
		wantError(t, "missing package", err, "no such file")
	}
}

// A flat repository, its index beside the packages or in a folder; Filename counts from the URI.
func TestFlat(t *testing.T) {
	t.Parallel()
	p := pkg("own", "1")
	p.Filename = "./own.deb"
	index := packagesFile([]debian.Package{p})
	dir := t.TempDir()
	writeTree(t, dir, map[string][]byte{"Packages": index, "sub/dir/Packages": index, "own.deb": debContent("own", "1")})
	for _, suite := range []string{"./", "/", "sub/dir/"} {
		o := localOptions(t, "deb [trusted=yes] file:"+dir+" "+suite)
		c := mustOpen(t, o)
		s := mustUpdate(t, c)
		if len(s.Packages) != 1 || s.Indices[0].Component != "" {
			t.Fatalf("%s: %s", suite, versions(s))
		}
		paths, err := c.Fetch(context.Background(), s.Packages, nil)
		if err != nil || paths[0] != filepath.Join(dir, "own.deb") {
			t.Errorf("%s: Fetch = %q, %v", suite, paths, err)
		}
	}
	_, err := mustOpen(t, localOptions(t, "deb file:"+dir+" ./")).Update(context.Background(), nil)
	wantError(t, "not trusted", err, "download Release of file://"+dir+" ./; no such file")
	_, err = mustOpen(t, localOptions(t, "deb [trusted=yes] file:"+dir+"/none ./")).Update(context.Background(), nil)
	wantError(t, "no such folder", err, "test.list:1; holds no package index")
}

// Two sources that hold the same version: both offers stay, with the higher pin; and a source listed twice is read once.
func TestSeveralSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release := func(codename string) []byte {
		p := packagesFile(testPackages("1"))
		return []byte("Codename: " + codename + "\nSuite: " + codename + "\nNotAutomatic: yes\nSHA256:\n " + sha(p) + " " + itoa(len(p)) + " main/binary-amd64/Packages\n")
	}
	for _, name := range []string{"a", "b"} {
		writeTree(t, filepath.Join(dir, name), map[string][]byte{
			"dists/s/Release": release(name), "dists/s/main/binary-amd64/Packages": packagesFile(testPackages("1")),
		})
	}
	line := func(name string) string { return "deb [trusted=yes] file://" + dir + "/" + name + " s main\n" }
	prefs, err := ParsePreferences("p", []byte("Package: *\nPin: release n=b\nPin-Priority: 700\n"))
	if err != nil {
		t.Fatal(err)
	}
	o := localOptions(t, line("a")+line("b")+line("a"))
	o.Preferences = prefs
	s := mustUpdate(t, mustOpen(t, o))
	if len(s.Indices) != 2 || len(s.Packages) != 4 {
		t.Fatalf("%d indices, %d packages", len(s.Indices), len(s.Packages))
	}
	for _, p := range s.Packages {
		if p.Pin != 700 {
			t.Errorf("%s from %s: pin %d", p.ID(), p.Index.URI, p.Pin)
		}
	}
	o.Sources = mustSources(t, line("a")+"deb [signed-by=/x] file://"+dir+"/a s contrib\n")
	_, err = mustOpen(t, o).Update(context.Background(), nil)
	wantError(t, "conflicting options", err, "test.list:2; has other signed-by or trusted options than at test.list:1")
}

// A stanza that cannot be used is left out with a warning; it does not spoil the rest.
func TestBadStanza(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := packagesFile(testPackages("1"))
	bad := []byte("Package: evil\nVersion: 1\nArchitecture: amd64\nFilename: ../../etc/passwd\nSize: 1\nSHA256: " + sha(nil) + "\n\n" +
		"Package: nosum\nVersion: 1\nArchitecture: amd64\nFilename: x.deb\nSize: 1\n\n" +
		"Package: oops\nVersion: 1 2\nArchitecture: amd64\n\n")
	writeTree(t, dir, map[string][]byte{"Packages": append(bad, good...)})
	o := localOptions(t, "deb [trusted=yes] file:"+dir+" ./")
	for range 2 { // parsed, and from the cache
		s := mustUpdate(t, mustOpen(t, o))
		if versions(s) != "hello=1 libc6=1" || len(s.Warnings) != 3 || !strings.Contains(s.Warnings[0], "leaves the repository") {
			t.Errorf("%s, warnings %q", versions(s), s.Warnings)
		}
	}
	writeTree(t, dir, map[string][]byte{"Packages": []byte("<html>\n")})
	_, err := mustOpen(t, o).Update(context.Background(), nil)
	wantError(t, "no index", err, `Packages:1: expected "Field: value"`)
}

func TestUnlistedByHTTP(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	a.files = map[string][]byte{"/debian/Packages.gz": gzipped(packagesFile(testPackages("1")))}
	o := a.options()
	o.Sources = mustSources(t, "deb [trusted=yes] "+a.uri()+" ./")
	if got := versions(mustUpdate(t, mustOpen(t, o))); got != "hello=1 libc6=1" {
		t.Errorf("packages: %s", got)
	}
	a.files["/debian/Packages.gz"] = gzipped(packagesFile(testPackages("2")))
	if got := versions(mustUpdate(t, mustOpen(t, o))); got != "hello=2 libc6=2" {
		t.Errorf("after a change: %s", got)
	}
	a.server.Close()
	if s, err := mustOpen(t, o).Load(context.Background()); err != nil || versions(s) != "hello=2 libc6=2" {
		t.Errorf("Load: %v", err)
	}
}

// FuzzLoadPackages holds a cache file that is damaged in a way that its checksum does not show.
func FuzzLoadPackages(f *testing.F) {
	var text bytes.Buffer
	text.Write(packagesFile(testPackages("1")))
	text.WriteString("Package: x\nVersion: 1\nArchitecture: all\nDepends: a (>= 1) | b, c\nFilename: x\nSize: 1\nSHA256: " + sha(nil) + "\n\nnot: one\n")
	data, err := parsePackages("f", &text, func() string { return "sum" })
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[len(cacheMagic) : len(data)-4])
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := loadPackages(string(sealed(body)))
		if err == nil && len(p.packages) > len(body) {
			t.Errorf("%d packages of %d bytes", len(p.packages), len(body))
		}
	})
}
