package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/debian"
	"n3x/internal/debian/apt"
)

const sum = "a08bd8ef3d3c84471ae5fdd0383edf5ab1e8721762cb55a456408ec1d2de2cd4"

// TestLockedSource: what is locked comes back from the file, and only for its own request and configuration.
func TestLockedSource(t *testing.T) {
	t.Parallel()
	p := &apt.SourcePackage{Name: "cowsay", Version: "3.03-8", Directory: "pool/main/c/cowsay", Index: &debian.Index{URI: "http://deb", Suite: "trixie", Component: "main"},
		Files: []apt.SourceFile{{Name: "cowsay_3.03-8.dsc", Size: 7, SHA256: sum}, {Name: "cowsay_3.03.tar.gz", Size: 9, SHA256: strings.Repeat("0", 64)}}}
	l := &Lock{Version: lockVersion, Archives: map[string][]LockedPackage{}}
	for range 2 { // two recipes with the same entry
		l.addSource("debian-trixie-amd64", "cowsay=3.03-8", p)
	}
	path := filepath.Join(t.TempDir(), "n3x.lock")
	if err := l.Write(path); err != nil {
		t.Fatal(err)
	}
	l, err := ReadLock(path)
	if err != nil || len(l.Sources["debian-trixie-amd64"]) != 1 {
		t.Fatalf("ReadLock: %+v, %v", l, err)
	}
	r, _ := apt.ParseSourceRequest("cowsay=3.03-8")
	got, err := l.source("debian-trixie-amd64", r)
	if err != nil || got.ID() != p.ID() || got.Directory != p.Directory || *got.Index != *p.Index || len(got.Files) != 2 || got.Files[1] != p.Files[1] {
		t.Errorf("source: %+v, %v", got, err)
	}
	if d := l.Difference(nil); len(d) != 1 || d[0] != "+ debian-trixie-amd64 apt://cowsay=3.03-8 3.03-8" {
		t.Errorf("Difference: %q", d)
	}
	for key, request := range map[string]string{"debian-trixie-arm64": "cowsay=3.03-8", "debian-trixie-amd64": "cowsay"} {
		r, _ := apt.ParseSourceRequest(request)
		if _, err := l.source(key, r); err == nil || !strings.Contains(err.Error(), "n3x.lock has no source package apt://"+request+" of "+key) {
			t.Errorf("%s of %s: %v", request, key, err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for old, fresh := range map[string]string{sum: sum[1:], `"cowsay_3.03.tar.gz"`: `"../cowsay.tar.gz"`, `version: "3.03-8"`: `version: "3.04"`, `name: "cowsay",`: `name: "other",`,
		`"pool/main`: `"../main`, `.dsc"`: `.txt"`} {
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, fresh, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := ReadLock(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.source("debian-trixie-amd64", r); err == nil || !strings.Contains(err.Error(), "n3x.lock") {
			t.Errorf("with %s: %v", fresh, err)
		}
	}
}
