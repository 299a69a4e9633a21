package fetch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestClean: after cleaning, only lock files are left in DL_DIR, and the source can be fetched again.
func TestClean(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	srv := serve(t, content200)
	o := Options{Git: u.git, DownloadDir: t.TempDir()}
	write(t, o.DownloadDir+"/other", "of another recipe")
	for _, entry := range []string{srv.URL + "/b.txt;sha256sum=" + sum(content), "git://" + u.dir + ";branch=main;rev=" + u.first} {
		f, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseSources(Request{SrcURI: entry})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := f.Fetch(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			write(t, o.DownloadDir+"/b.txt.tmp", "unfinished")
			if err := f.Clean(t.Context(), s[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
	os.Remove(o.DownloadDir + "/b.txt.tmp")
	err := filepath.WalkDir(o.DownloadDir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".lock") && filepath.Base(path) != "other" {
			t.Errorf("left: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestMirrorTarball: a clone is also kept as a tarball, from which it can be made again where upstream is gone.
func TestMirrorTarball(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	o := Options{DownloadDir: t.TempDir(), MirrorTarballs: true}
	if _, err := u.unpack(o, "UP;branch=main", u.first); err != nil {
		t.Fatal(err)
	}
	third := u.commit("third")
	if _, err := u.unpack(o, "UP;branch=main", third); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(u.dir, u.dir+".gone"); err != nil {
		t.Fatal(err)
	}
	tarballs, err := filepath.Glob(o.DownloadDir + "/git2_*.up.git.tar.gz")
	if err != nil || len(tarballs) != 1 {
		t.Fatalf("%v, %v", tarballs, err)
	}
	if err := os.RemoveAll(o.DownloadDir + "/git2"); err != nil {
		t.Fatal(err)
	}
	for _, rev := range []string{third, u.first} {
		work, err := u.unpack(Options{DownloadDir: o.DownloadDir}, "UP;branch=main", rev)
		if err != nil || u.head(work+"/git") != rev {
			t.Errorf("%s: %v %s", rev, err, notes(err))
		}
	}
}
