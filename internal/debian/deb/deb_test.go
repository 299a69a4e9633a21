package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

var epoch = time.Unix(1700000000, 0)

const control = "Package: demo\nVersion: 1:2.0-1\nArchitecture: all\nDescription: demo\n"

func file(name, content string, mode int64) Entry {
	return Entry{
		Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(content)), Uid: 1000, Gid: 1000, Uname: "u", ModTime: epoch.Add(-time.Hour)},
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
}

func demo() Contents {
	return Contents{
		ModTime: epoch, MD5Sums: true,
		Control: []ControlFile{
			{Name: "postinst", Mode: 0o755, Data: []byte("#!/bin/sh\n")}, {Name: "control", Data: []byte(control)},
			{Name: "conffiles", Data: []byte("/etc/demo.conf\n")},
		},
		Data: []Entry{
			file("usr/bin/demo", "#!/bin/sh\necho demo\n", 0o4755),
			file("./etc/demo.conf", "a=b\n", 0o640),
			{Header: tar.Header{Name: "/usr/bin/alias", Typeflag: tar.TypeSymlink, Linkname: "demo", ModTime: epoch.Add(time.Hour)}},
			{Header: tar.Header{Name: "usr/bin/hard", Typeflag: tar.TypeLink, Linkname: "usr/bin/demo"}},
			{Header: tar.Header{Name: "var/spool/demo/", Typeflag: tar.TypeDir, Mode: 0o2775, ModTime: epoch}},
			file("usr/share/"+strings.Repeat("long/", 40)+"name", "x", 0o644),
		},
	}
}

func mustWrite(t testing.TB, c Contents) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func mustOpen(t testing.TB, data []byte) *Deb {
	t.Helper()
	d, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// listing is data.tar the way dpkg-deb --contents shows it.
func listing(t *testing.T, d *Deb) []string {
	t.Helper()
	r, err := d.Data()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%c %04o %s/%s %d %d %s %s", h.Typeflag, h.Mode, h.Uname, h.Gname, h.Size, h.ModTime.Unix()-epoch.Unix(), h.Name, h.Linkname))
	}
}

func TestWriteRead(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		c := demo()
		c.Uncompressed = plain
		d := mustOpen(t, mustWrite(t, c))
		p, err := d.Package()
		if err != nil || p.ID() != "demo:all=1:2.0-1" {
			t.Fatalf("package %v, %v", p, err)
		}
		files, err := d.Control()
		if err != nil {
			t.Fatal(err)
		}
		// printf '#!/bin/sh\necho demo\n' | md5sum; printf x | md5sum
		sums := "69cff8abe16347526661f4994d400ffd  usr/bin/demo\n9dd4e461268c8034f5c8564e155c67a6  usr/share/" + strings.Repeat("long/", 40) + "name\n"
		if got := string(files["md5sums"].Data); got != sums {
			t.Errorf("md5sums = %q, want %q", got, sums)
		}
		if f := files["postinst"]; f.Mode != 0o755 || string(f.Data) != "#!/bin/sh\n" {
			t.Errorf("postinst = %+v", f)
		}
		got := listing(t, d)
		got = slices.DeleteFunc(got, func(l string) bool { return strings.Contains(l, "long/") })
		want := []string{
			"5 0755 root/root 0 0 ./ ",
			"5 0755 root/root 0 0 ./etc/ ",
			"0 0640 root/root 4 -3600 ./etc/demo.conf ",
			"5 0755 root/root 0 0 ./usr/ ",
			"5 0755 root/root 0 0 ./usr/bin/ ",
			"0 4755 root/root 20 -3600 ./usr/bin/demo ",
			"1 0000 root/root 0 -1700000000 ./usr/bin/hard ./usr/bin/demo",
			"5 0755 root/root 0 0 ./usr/share/ ",
			"5 0755 root/root 0 0 ./var/ ",
			"5 0755 root/root 0 0 ./var/spool/ ",
			"5 2775 root/root 0 0 ./var/spool/demo/ ",
			"2 0777 root/root 0 0 ./usr/bin/alias demo",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func TestWriteIsReproducible(t *testing.T) {
	t.Parallel()
	a, b := demo(), demo()
	slices.Reverse(b.Data)
	slices.Reverse(b.Control)
	if !bytes.Equal(mustWrite(t, a), mustWrite(t, b)) {
		t.Error("the order of the entries shows in the package")
	}
	b = demo()
	b.Data[0].Uid, b.Data[0].Uname, b.Data[2].ModTime = 0, "other", epoch.Add(9*time.Hour)
	if !bytes.Equal(mustWrite(t, a), mustWrite(t, b)) {
		t.Error("owners or late times show in the package")
	}
	b.KeepOwner = true
	if bytes.Equal(mustWrite(t, a), mustWrite(t, b)) {
		t.Error("KeepOwner has no effect")
	}
}

func TestWriteErrors(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Contents){
		"no control file":               func(c *Contents) { c.Control = c.Control[:1] },
		"used twice":                    func(c *Contents) { c.Control = append(c.Control, c.Control[0]) },
		"occurs twice":                  func(c *Contents) { c.Data = append(c.Data, file("./usr/bin/demo", "", 0)) },
		"leaves the package":            func(c *Contents) { c.Data = append(c.Data, file("a/../../b", "", 0)) },
		"not an earlier file":           func(c *Contents) { c.Data[3].Linkname = "usr/bin/none" },
		"changed its size":              func(c *Contents) { c.Data[0].Size++ },
		"extended attributes":           func(c *Contents) { c.Data[0].PAXRecords = map[string]string{"SCHILY.xattr.a": "b"} },
		`tar type '3' cannot be packag`: func(c *Contents) { c.Data[0].Typeflag = tar.TypeChar },
	} {
		c := demo()
		change(&c)
		if err := Write(io.Discard, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestInstalledSize(t *testing.T) {
	t.Parallel()
	if got := InstalledSize(demo().Data); got != 1+1+1+0+1+1 {
		t.Errorf("InstalledSize = %d", got)
	}
}

// ar joins members into an archive.
func ar(t testing.TB, members ...string) []byte {
	b := bytes.NewBufferString(arMagic)
	for i := 0; i < len(members); i += 2 {
		if err := writeMember(b, members[i], epoch, []byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func tarball(t testing.TB, headers ...tar.Header) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := h.PAXRecords["content"]
		delete(h.PAXRecords, "content")
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func zst(s string) string {
	w, _ := zstd.NewWriter(nil)
	return string(w.EncodeAll([]byte(s), nil))
}

func controlTar(t testing.TB) string {
	return tarball(t, tar.Header{Name: "./control", Typeflag: tar.TypeReg, Mode: 0o644, PAXRecords: map[string]string{"content": control}})
}

func TestOpenForms(t *testing.T) {
	t.Parallel()
	ctl, data := controlTar(t), tarball(t, tar.Header{Name: "./x", Typeflag: tar.TypeDir, Mode: 0o755})
	for name, pkg := range map[string][]byte{
		"gz":    ar(t, "debian-binary", "2.0\n", "control.tar.gz", gz(ctl), "data.tar.gz", gz(data)),
		"zst":   ar(t, "debian-binary", "2.1\nmore\n", "control.tar.zst", zst(ctl), "data.tar.zst", zst(data)),
		"plain": ar(t, "debian-binary/", "2.0\n", "control.tar/", ctl, "data.tar/", data),
		"extra": ar(t, "debian-binary", "2.0\n", "_future", "x", "control.tar", ctl, "_sig", "", "data.tar", data, "later", "y"),
	} {
		d := mustOpen(t, pkg)
		if p, err := d.Package(); err != nil || p.Name != "demo" {
			t.Errorf("%s: %v, %v", name, p, err)
		}
		if l := listing(t, d); len(l) != 1 {
			t.Errorf("%s: %q", name, l)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	ctl := controlTar(t)
	whole := ar(t, "debian-binary", "2.0\n", "control.tar", ctl, "data.tar", tarball(t))
	for want, pkg := range map[string][]byte{
		"it is not a Debian package":            []byte("<html>"),
		"has no debian-binary member":           []byte(arMagic),
		"has no control.tar member":             ar(t, "debian-binary", "2.0\n"),
		"has no data.tar member":                ar(t, "debian-binary", "2.0\n", "control.tar", ctl),
		`unexpected member "data.tar"`:          ar(t, "debian-binary", "2.0\n", "data.tar", ""),
		`unexpected member "control.tar.br"`:    ar(t, "debian-binary", "2.0\n", "control.tar.br", ""),
		`unexpected member "hello"`:             ar(t, "hello", "2.0\n"),
		`format version "3.0" is not supported`: ar(t, "debian-binary", "3.0\n"),
		`"data.tar" is cut off`:                 whole[:len(whole)-10],
		"header at byte 8 is damaged":           []byte(arMagic + strings.Repeat("x", 60)),
		"header at byte 8 is cut off":           []byte(arMagic + "x"),
		`"x" has the size "-1        "`:         fmt.Appendf(nil, "%s%-16s%-12d%-6d%-6d%-8s%-10d`\n", arMagic, "x", 0, 0, 0, "0", -1),
	} {
		if _, err := Open(bytes.NewReader(pkg), int64(len(pkg))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	lzma := mustOpen(t, ar(t, "debian-binary", "2.0\n", "control.tar", ctl, "data.tar.lzma", ""))
	if _, err := lzma.Data(); err == nil || !strings.Contains(err.Error(), `compression ".lzma" is not supported`) {
		t.Errorf("lzma: %v", err)
	}
	cut := mustOpen(t, ar(t, "debian-binary", "2.0\n", "control.tar.gz", gz(ctl)[:40], "data.tar", ""))
	if _, err := cut.Control(); err == nil {
		t.Error("a control.tar that is cut off is read")
	}
	bomb := mustOpen(t, ar(t, "debian-binary", "2.0\n", "control.tar.gz", gz(strings.Repeat("\x00", 512)+ctl), "data.tar", ""))
	if _, err := bomb.Package(); err == nil {
		t.Error("a package without control file is read")
	}
}

// A sparse file would unpack to far more than the package holds.
// printf x > s; truncate -s 1G s; tar --posix -S -cf sparse.tar s; gzip -9n sparse.tar
func TestSparse(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/sparse.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	d := mustOpen(t, ar(t, "debian-binary", "2.0\n", "control.tar.gz", string(data), "data.tar.gz", string(data)))
	if _, err := d.Control(); err == nil || !strings.Contains(err.Error(), "sparse") {
		t.Errorf("Control: %v", err)
	}
	if err := d.Unpack(t.Context(), t.TempDir(), UnpackOptions{}); err == nil || !strings.Contains(err.Error(), "sparse") {
		t.Errorf("Unpack: %v", err)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	r := &limited{r: strings.NewReader("12345"), left: 4, what: "x"}
	if _, err := io.ReadAll(r); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("one byte too many: %v", err)
	}
	r = &limited{r: strings.NewReader("12345"), left: 5}
	if b, err := io.ReadAll(r); err != nil || len(b) != 5 {
		t.Errorf("exactly: %q, %v", b, err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(ar(f, "debian-binary", "2.0\n", "control.tar.gz", gz(controlTar(f)), "data.tar.zst", zst(controlTar(f))))
	f.Add(ar(f, "debian-binary", "2.0\n", "control.tar", controlTar(f), "data.tar", controlTar(f)))
	f.Fuzz(func(t *testing.T, pkg []byte) {
		d, err := Open(bytes.NewReader(pkg), int64(len(pkg)))
		if err != nil {
			return
		}
		d.Package()
		if r, err := d.Data(); err == nil {
			io.Copy(io.Discard, io.LimitReader(r, 1<<20))
			r.Close()
		}
	})
}

// The blocks of a multi-block stream come out in order and checked. The file: seq 1 40000 | xz -T2 --block-size=32KiB.
func TestXZBlocks(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/blocks.xz")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range 40000 {
		fmt.Fprintln(&want, i+1)
	}
	x, ok := newXZBlocks(bytes.NewReader(data), int64(len(data)))
	if !ok || len(x.blocks) != 7 {
		t.Fatalf("blocks are not found: %v", ok)
	}
	got, err := io.ReadAll(x)
	if err != nil || string(got) != want.String() {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for _, at := range []int{100, len(data) / 2, len(data) - 40} {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		r, err := DecompressFile("x.xz", bytes.NewReader(bad), int64(len(bad)))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil {
			t.Errorf("a flipped bit at byte %d goes unnoticed", at)
		}
	}
	joined := append(bytes.Clone(data), data...) // two streams: read front to back
	r, err := DecompressFile("x.xz", bytes.NewReader(joined), int64(len(joined)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != want.String()+want.String() {
		t.Errorf("two streams: %d bytes, %v", len(got), err)
	}
}

// dpkg-deb 1.21.22 made testdata/real.deb: dpkg-deb --root-owner-group -Zxz -b of etc/x (0640), usr/bin/y -> x.
func TestReadDpkgDeb(t *testing.T) {
	t.Parallel()
	d, err := OpenFile("testdata/real.deb")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p, err := d.Package()
	if err != nil || p.ID() != "real:amd64=1.0-1" || p.Depends.String() != "libc6 (>= 2.36)" {
		t.Errorf("%v, %v", p, err)
	}
	var names []string
	for _, l := range listing(t, d) {
		words := strings.Fields(l)
		names = append(names, words[1]+" "+words[2]+" "+words[5])
	}
	want := []string{"0755 root/root ./", "0755 root/root ./etc/", "0640 root/root ./etc/x", "0755 root/root ./usr/", "0755 root/root ./usr/bin/", "0777 root/root ./usr/bin/y"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := OpenFile(filepath.Join(t.TempDir(), "none.deb")); !os.IsNotExist(err) {
		t.Errorf("missing file: %v", err)
	}
}
