package debhelper

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// epochDSC is what dpkg-source 1.21 writes for the sample "epoch", up to the sums.
const epochDSC = `Format: 1.0
Source: epoch
Binary: epoch
Architecture: all
Version: 1:2.0~rc1+git20260101-1
Maintainer: Sample Maintainer <sample@samples.org>
Standards-Version: 4.7.0
Build-Depends: debhelper-compat (= 13)
Package-List:
 epoch deb misc optional arch=all
Checksums-Sha1:
`

func TestSourcePackage(t *testing.T) {
	t.Parallel()
	dir, out := filepath.Join(t.TempDir(), "epoch"), t.TempDir()
	readSample(t, "testdata/corpus/epoch.txtar").write(t, dir)
	if err := os.Link(filepath.Join(dir, "image/opt/x"), filepath.Join(dir, "image/opt/y")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "image/opt/z")); err != nil {
		t.Fatal(err)
	}
	s, err := ReadSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := s.Write(out)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(out, "epoch_2.0~rc1+git20260101-1.dsc"); len(files) != 2 || files[1] != want {
		t.Fatalf("wrote %q, want %s", files, want)
	}
	text, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), epochDSC) {
		t.Errorf("the .dsc is\n%s\nwant\n%s", text, epochDSC)
	}
	got := listArchive(t, files[0])
	for _, want := range []string{"5 0100 epoch/ ", "1 0100 epoch/image/opt/y epoch/image/opt/x",
		"2 0100 epoch/image/opt/z /etc/passwd", "0 0100 epoch/debian/rules "} {
		if !slices.Contains(got, want) {
			t.Errorf("the archive lacks %q: %q", want, got)
		}
	}
}

func listArchive(t *testing.T, path string) (out []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(h.Typeflag)+" "+h.ModTime.UTC().Format("1504")+" "+h.Name+" "+h.Linkname)
	}
}

func TestSourcePackageBeyond(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "epoch")
	readSample(t, "testdata/corpus/epoch.txtar").write(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "../epoch_2.0~rc1+git20260101.orig.tar.gz"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var b *Beyond
	if _, err := ReadSource(dir); !errors.As(err, &b) {
		t.Errorf("an archive of upstream: %v", err)
	}
}
