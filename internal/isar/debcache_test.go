package isar

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"n3x/internal/debian/deb"
	"n3x/internal/diag"
)

// TestCacheOfSourcesAndSymbols: for each package of DL_DIR its source package comes there too, of the same version, as far
// as the distribution offers it, and the packages with its debug symbols.
func TestCacheOfSourcesAndSymbols(t *testing.T) {
	t.Parallel()
	d := offlineBuild(t, map[string]string{"ISAR_USE_CACHED_BASE_REPO": "", "BB_NO_NETWORK": ""}) // DL_DIR has foo 1.0 and 2.0
	dl, err := d.Value("DL_DIR")
	if err != nil {
		t.Fatal(err)
	}
	repo := filepath.Join(filepath.Dir(dl), "repo")
	files := map[string]string{"foosrc_2.0-1.dsc": "the source\n", "foosrc_1.0-1.dsc": "the old source\n"}
	var packages, sources strings.Builder
	for _, p := range []string{"foo 2.0 amd64", "foo-dbg 2.0 amd64", "foo-dbgsym 1.9 amd64", "bar 1 amd64", "bar-dbg 1 amd64"} {
		w := strings.Fields(p)
		control := "Package: " + w[0] + "\nSource: foosrc (1:" + w[1] + "-1)\nVersion: " + w[1] + "\nArchitecture: " + w[2] + "\nMaintainer: m\nDescription: d\n"
		var b bytes.Buffer
		if err := deb.Write(&b, deb.Contents{Control: []deb.ControlFile{{Name: "control", Data: []byte(control)}}}); err != nil {
			t.Fatal(err)
		}
		files[w[0]+".deb"] = b.String()
		fmt.Fprintf(&packages, "%sFilename: %s.deb\nSize: %d\nSHA256: %x\n\n", control, w[0], b.Len(), sha256.Sum256(b.Bytes()))
	}
	dsc := files["foosrc_2.0-1.dsc"]
	fmt.Fprintf(&sources, "Package: foosrc\nVersion: 1:2.0-1\nDirectory: .\nChecksums-Sha256:\n %x %d foosrc_2.0-1.dsc\n\n", sha256.Sum256([]byte(dsc)), len(dsc))
	files["dists/trixie/main/binary-amd64/Packages"], files["dists/trixie/main/source/Sources"] = packages.String(), sources.String()
	writeFiles(t, repo, files)
	list := "deb [trusted=yes] file:" + repo + " trixie main\ndeb-src [trusted=yes] file:" + repo + " trixie main\n"
	writeFiles(t, filepath.Dir(dl), map[string]string{"debian.list": list})
	a := &Archives{ReadFile: os.ReadFile, Now: time.Now}
	log := new(bytes.Buffer)
	c := &Call{Engine: &Engine{}, Task: Task{Recipe: "image", Name: "do_cache_deb_src", Data: d, Pos: diag.Pos{File: "image.bb"}}, Log: log}
	if err := a.cacheSources(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dl, "deb-src/debian-trixie/foosrc/foosrc_2.0-1.dsc"))
	if err != nil || string(got) != dsc {
		t.Errorf("the source is %q, %v", got, err)
	}
	// The foo 1.0 of DL_DIR, whose control file names no source, was made from a source foo 1.0, which nobody offers.
	if !strings.Contains(log.String(), "1 source packages fetched, 1 not to be had") {
		t.Errorf("the log says %q", log)
	}
	if err := os.Remove(filepath.Join(repo, "foosrc_2.0-1.dsc")); err != nil {
		t.Fatal(err)
	}
	log.Reset()
	if err := a.cacheSources(t.Context(), c); err != nil || !strings.Contains(log.String(), "0 source packages fetched, 1 not to be had") {
		t.Errorf("a source that is there is fetched again: %v, %q", err, log)
	}
	p, err := a.openPool(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if found := p.symbols(); len(found) != 1 || found[0].Name != "foo-dbg" {
		t.Errorf("symbols %v", found)
	}
}
