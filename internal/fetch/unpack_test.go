package fetch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"n3x/internal/diag"
)

var then = time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)

// entry is one member of a test archive: "dir/" is a folder, link -> a symbolic, hard => a hard link.
func tarOf(t *testing.T, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e, Mode: 0o6755, ModTime: then, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		body := "content of " + e
		if name, target, ok := strings.Cut(e, " -> "); ok {
			h.Name, h.Linkname, h.Typeflag, body = name, target, tar.TypeSymlink, ""
		} else if name, target, ok := strings.Cut(e, " => "); ok {
			h.Name, h.Linkname, h.Typeflag, body = name, target, tar.TypeLink, ""
		} else if strings.HasSuffix(e, "/") {
			h.Typeflag, body = tar.TypeDir, ""
		} else if strings.HasPrefix(e, "dev") {
			h.Typeflag, body = tar.TypeChar, ""
		}
		h.Size = int64(len(body))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, body)
	}
	w.Close()
	return b.Bytes()
}

func zipOf(t *testing.T, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e, Modified: then, Method: zip.Deflate}
		h.SetMode(0o755)
		body := "content of " + e
		if name, target, ok := strings.Cut(e, " -> "); ok {
			h.Name, body = name, target
			h.SetMode(0o777 | fs.ModeSymlink)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, body)
	}
	w.Close()
	return b.Bytes()
}

func packed(t *testing.T, data []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func gz(w io.Writer) (io.WriteCloser, error)  { return gzip.NewWriter(w), nil }
func xzw(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }
func zst(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }

// list shows a tree, one entry a line.
func list(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		if p == dir {
			return nil
		}
		st, _ := d.Info()
		line := strings.TrimPrefix(p, dir+"/")
		switch {
		case d.IsDir():
			line += "/"
		case st.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			line += " -> " + target
		default:
			line += fmt.Sprintf(" %o %s", st.Mode().Perm(), strings.TrimSpace(read(t, p)))
			if st.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
				line += " setuid"
			}
			if st.ModTime().Equal(then) {
				line += " @"
			}
		}
		lines = append(lines, line)
		return nil
	})
	return strings.Join(lines, "\n")
}

// unpackFile stores data under name in FILESPATH and unpacks uri, which names it.
func unpackFile(t *testing.T, o Options, name string, data []byte, uri string) (string, error) {
	t.Helper()
	files, work := t.TempDir(), filepath.Join(t.TempDir(), "work")
	if data != nil {
		write(t, filepath.Join(files, name), string(data))
		os.Chtimes(filepath.Join(files, name), then, then)
	}
	o.FilesPath = []string{files}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSources(Request{SrcURI: uri, Pos: diag.Pos{File: "r.bb", Line: 7}})
	if err != nil {
		t.Fatal(err)
	}
	return work, f.Unpack(t.Context(), s[0], work)
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	plain := tarOf(t, "./", "./d/", "./d/f", "d/l -> ../nowhere", "d/h => ./d/f")
	want := "d/\nd/f 755 content of ./d/f @\nd/h 755 content of ./d/f @\nd/l -> ../nowhere"
	bz, err := base64.StdEncoding.DecodeString("QlpoOTFBWSZTWatrofEAAALZgAAQQAAQABJkwBAgADEA000EAB6j705RogeLuSKcKEhVtdD4gA==")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		data []byte
		uri  string
		want string
	}{
		{"a.tar", plain, "file://a.tar", want},
		{"a.tgz", packed(t, plain, gz), "file://a.tgz", want},
		{"a.tar.xz", packed(t, plain, xzw), "file://a.tar.xz", want},
		{"a.tar.zst", packed(t, plain, zst), "file://a.tar.zst;subdir=x/y", "x/\nx/y/\nx/y/" + strings.ReplaceAll(want, "\n", "\nx/y/")},
		{"a.tar", tarOf(t, "top/a/b", "top/c", "e"), "file://a.tar;striplevel=1", "a/\na/b 755 content of top/a/b @\nc 755 content of top/c @"},
		{"a.tar", plain, "file://a.tar;unpack=0", "a.tar 644 " + strings.TrimSpace(string(plain)) + " @"},
		{"s/p/a.txt", []byte("x"), "file://s/p/a.txt", "s/\ns/p/\ns/p/a.txt 644 x @"},
		{"s/p/a.txt", []byte("x"), "file://s/p/a.txt;subdir=t", "t/\nt/s/\nt/s/p/\nt/s/p/a.txt 644 x @"},
		{"s/p/a.txt", []byte("x"), "file://s", "s/\ns/p/\ns/p/a.txt 644 x @"},
		{"s/p/a.txt", []byte("x"), "file://s/p/", "s/\ns/p/\ns/p/a.txt 644 x @"},
		{"a.txt.gz", packed(t, []byte("x"), gz), "file://a.txt.gz;subdir=t", "a.txt 644 x @\nt/"},
		{"a.txt.xz", packed(t, []byte("x"), xzw), "file://a.txt.xz", "a.txt 644 x @"},
		{"a.txt.zst", packed(t, []byte("x"), zst), "file://a.txt.zst", "a.txt 644 x @"},
		{"a.txt.bz2", bz, "file://a.txt.bz2", "a.txt 644 hello bzip2 @"},
		{"a.zip", zipOf(t, "d/f", "l -> d"), "file://a.zip", "d/\nd/f 755 content of d/f @\nl -> d"},
		// What a link made earlier leads to below the folder is fine, as with tar.
		{"a.tar", tarOf(t, "d/", "l -> d", "l/f"), "file://a.tar", "d/\nd/f 755 content of l/f @\nl -> d"},
		{"a.tar", tarOf(t, "d/", "l -> d", "l/"), "file://a.tar", "d/\nl -> d"},
		{"a.tar", tarOf(t, "f -> /etc/passwd", "f"), "file://a.tar", "f 755 content of f @"},
		{"a.tar", tarOf(t, "/abs/f"), "file://a.tar", "abs/\nabs/f 755 content of /abs/f @"},
	} {
		t.Run(tt.uri, func(t *testing.T) {
			t.Parallel()
			work, err := unpackFile(t, Options{}, tt.name, tt.data, tt.uri)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, list(t, work)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestHostileArchives: nothing is written outside of the folder, whatever the archive holds.
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	bomb := packed(t, make([]byte, 4<<20), gz)
	for _, tt := range []struct {
		name string
		file string
		data []byte
		want string
	}{
		{"dotdot", "a.tar", tarOf(t, "../evil"), `"../evil" leads out of`},
		{"inner dotdot", "a.tar", tarOf(t, "d/", "d/../../evil"), "leads out of"},
		{"absolute link", "a.tar", tarOf(t, "l -> /tmp", "l/evil"), "through a symbolic link"},
		{"relative link", "a.tar", tarOf(t, "l -> ../out", "l/evil"), "through a symbolic link"},
		{"link chain", "a.tar", tarOf(t, "a -> b", "b -> ..", "a/out/evil"), "through a symbolic link"},
		{"link in the middle", "a.tar", tarOf(t, "d/l -> ../../out", "d/l/x/evil"), "through a symbolic link"},
		{"hard link out", "a.tar", tarOf(t, "h => ../out/victim", "h"), "leads out of"},
		{"hard link through link", "a.tar", tarOf(t, "l -> ../out", "h => l/victim"), "through a symbolic link"},
		{"folder over link", "a.tar", tarOf(t, "l -> ../out", "l/"), "file exists"},
		{"device", "a.tar", tarOf(t, "dev"), "device or pipe"},
		{"zip dotdot", "a.zip", zipOf(t, "../evil"), "leads out of"},
		{"zip absolute", "a.zip", zipOf(t, "/evil"), "leads out of"},
		{"zip link", "a.zip", zipOf(t, "l -> ../out", "l/evil"), "through a symbolic link"},
		{"bomb", "a.gz", bomb, "more than it may"},
		{"truncated", "a.tar.gz", packed(t, tarOf(t, "f"), gz)[:60], "unpack file://a.tar.gz"},
		{"no tar", "a.tar", []byte("hello"), "unpack file://a.tar"},
		{"no gzip", "a.gz", []byte("hello"), "unpack file://a.gz"},
		{"deb", "a.deb", []byte("x"), "it is not a Debian package"},
		{"7z", "a.7z", []byte("x"), "7z is not supported yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			work, err := unpackFile(t, Options{MaxUnpacked: 1 << 20}, tt.file, tt.data, "file://"+tt.file)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "r.bb:7: ") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if got := list(t, filepath.Dir(work)); strings.Contains(got, "\nevil") || strings.Contains(got, "\nout") {
				t.Errorf("something was written outside:\n%s", got)
			}
		})
	}
}

// TestHostileWithVictim repeats the link tricks with something to damage beside the folder.
func TestHostileWithVictim(t *testing.T) {
	t.Parallel()
	for _, entries := range [][]string{
		{"l -> ../out", "l/victim"}, {"v -> ../out/victim", "v"}, {"h => ../out/victim", "h"},
		{"l -> ../out", "l/"}, {"l -> ../out", "h => l/victim", "h"},
	} {
		top := t.TempDir()
		write(t, top+"/out/victim", "safe")
		os.Chmod(top+"/out", 0o750)
		tree, err := openTree(func() string { os.Mkdir(top+"/work", 0o755); return top + "/work" }(), 0)
		if err != nil {
			t.Fatal(err)
		}
		err = untar(bytes.NewReader(tarOf(t, entries...)), tree, 0)
		tree.finish(nil)
		tree.close()
		if got := read(t, top+"/out/victim"); got != "safe" {
			t.Errorf("%v: victim is %q (%v)", entries, got, err)
		}
		if st, _ := os.Stat(top + "/out"); st.Mode().Perm() != 0o750 {
			t.Errorf("%v: mode is %v", entries, st.Mode())
		}
	}
}

func TestUnpackRefused(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"file://a.txt;subdir=../x":  "subdir=../x leads out of the work folder",
		"file://a.txt;subdir=/etc":  "subdir=/etc leads out of",
		"file://a.txt;unpack=maybe": "unpack=maybe is neither 1 nor 0",
		"file://a.tar;striplevel=x": "striplevel=x is no number",
		"file://../a.txt":           "leads out of the work folder",
	} {
		name := "a.txt"
		if strings.Contains(uri, ".tar") {
			name = "a.tar"
		}
		if strings.Contains(uri, "/../") {
			name = "../a.txt"
		}
		_, err := unpackFile(t, Options{}, name, []byte("x"), uri)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", uri, err, want)
		}
	}
}

func FuzzUntar(f *testing.F) {
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		top := t.TempDir()
		os.Mkdir(top+"/w", 0o755)
		tree, err := openTree(top+"/w", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer tree.close()
		_ = untar(bytes.NewReader(data), tree, 0)
		if e, _ := os.ReadDir(top); len(e) != 1 {
			t.Errorf("outside: %v", e)
		}
	})
}
