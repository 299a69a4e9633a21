package fetch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/diag"
)

// TestFormats unpacks archives that dpkg-deb, rpmbuild and lzip made; what comes out is what BitBake 2.8 made of the same
// files (bb.fetch2.Fetch([uri], d).unpack), but for extract= with subdir=, at which that fails.
func TestFormats(t *testing.T) {
	t.Parallel()
	const tarball = "d/\nd/f 644 one @\nd/h 644 one @\nd/l -> f"
	for uri, want := range map[string]string{
		"small.deb":                   "usr/\nusr/bin/\nusr/bin/x 755 #!/bin/sh setuid @\nusr/bin/y -> x",
		"small.deb;subdir=q":          "q/\nq/usr/\nq/usr/bin/\nq/usr/bin/x 755 #!/bin/sh setuid @\nq/usr/bin/y -> x",
		"small.rpm":                   "usr/\nusr/share/\nusr/share/small/\nusr/share/small/a 644 one\nusr/share/small/b 644 one\nusr/share/small/l -> a",
		"a.tar.lz":                    tarball,
		"bb.txt.lz":                   "bb.txt 644 two\ntwo",
		"s.srpm;extract=inner.tar.lz": tarball + "\ninner.tar.lz 644 LZIP",
	} {
		name, _, _ := strings.Cut(uri, ";")
		data, err := os.ReadFile("testdata/archives/" + name)
		if err != nil {
			t.Fatal(err)
		}
		work, err := unpackFile(t, Options{}, name, data, "file://"+uri)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		got := list(t, work)
		if i := strings.Index(got, "LZIP"); i >= 0 {
			got = got[:i+4]
		}
		if name == "bb.txt.lz" {
			got = strings.TrimSuffix(got, " @")
		}
		if got != want {
			t.Errorf("%s gives\n%s\nwant\n%s", uri, got, want)
		}
		// Cut anywhere, an archive is an error or nothing is missing; it never hangs or panics.
		for _, n := range []int{0, 1, len(data) / 3, len(data)/2 + 3, len(data) - 30, len(data) - 1} {
			if _, err := unpackFile(t, Options{}, name, data[:n], "file://"+uri); err == nil && n < len(data)-30 {
				t.Errorf("%s cut at %d of %d bytes is taken for whole", uri, n, len(data))
			}
		}
	}
	data, err := os.ReadFile("testdata/archives/s.srpm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unpackFile(t, Options{}, "s.srpm", data, "file://s.srpm;extract=none.tar"); err == nil || !strings.Contains(err.Error(), `holds no "none.tar"`) {
		t.Errorf("got %v", err)
	}
}

// TestBombs: what is far larger than its archive is refused with what to do about it, and where a limit is set, that counts.
func TestBombs(t *testing.T) {
	t.Parallel()
	f := &Fetcher{}
	for size, want := range map[int64]int64{0: 1 << 30, 1 << 20: 1 << 30, 100 << 20: 20000 << 20, 1 << 40: 64 << 30, 1 << 62: 64 << 30} {
		if got := f.limit(size); got != want {
			t.Errorf("an archive of %d bytes may hold %d, want %d", size, got, want)
		}
	}
	bomb := packed(t, make([]byte, 8<<20), gz)
	work, err := unpackFile(t, Options{MaxUnpacked: 4 << 20}, "x.gz", bomb, "file://x.gz")
	var e *diag.Error
	if !errors.As(err, &e) || !strings.Contains(e.Error(), "r.bb:7: unpack file://x.gz: unpack \"x\": the archive holds more than 4 MiB") || !strings.Contains(e.Hint, `N3X_UNPACK_LIMIT = "1G"`) {
		t.Errorf("got %v", err)
	}
	if st, err := os.Stat(filepath.Join(work, "x")); err == nil && st.Size() > 5<<20 {
		t.Errorf("%d bytes were written", st.Size())
	}
	if _, err := unpackFile(t, Options{MaxUnpacked: 9 << 20}, "x.gz", bomb, "file://x.gz"); err != nil {
		t.Error(err)
	}
}
