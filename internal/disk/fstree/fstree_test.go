// SPDX-License-Identifier: MIT

package fstree

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const epoch = 1700000000

// folder makes a folder from lines "path", "path/", "path -> target", "path = other" (a hard link).
func folder(t testing.TB, lines ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, l := range lines {
		name, target, isLink := strings.Cut(l, " -> ")
		other, first, isHard := strings.Cut(l, " = ")
		if isHard {
			name = other
		}
		err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755)
		switch {
		case err != nil:
		case isLink:
			err = os.Symlink(target, filepath.Join(dir, name))
		case isHard:
			err = os.Link(filepath.Join(dir, first), filepath.Join(dir, other))
		case strings.HasSuffix(l, "/"):
			err = os.MkdirAll(filepath.Join(dir, l), 0o755)
		default:
			err = os.WriteFile(filepath.Join(dir, l), []byte(l), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func scan(t testing.TB, dir string) *Tree {
	t.Helper()
	tr, err := Scan(context.Background(), dir, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// list shows a tree in one line.
func list(t *Tree) string {
	var out []string
	for _, e := range t.Entries() {
		s := e.Path
		switch {
		case e.LinkTo != "":
			s += "=" + e.LinkTo
		case e.IsDir():
			s += "/"
		case e.Target != "":
			s += ">" + e.Target
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestEntries(t *testing.T) {
	tr := scan(t, folder(t, "b/x", "b.c/y", "b-a", "a/z", "a/l -> ../b", "hard = b/x", "b/again = b/x", "empty/"))
	want := "./ a/ a/l>../b a/z b/ b/again b/x=b/again b-a b.c/ b.c/y empty/ hard=b/again"
	if got := list(tr); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNormalised(t *testing.T) {
	dir := folder(t, "old", "new", "s -> new")
	for name, sec := range map[string]int64{"old": 1000, "new": epoch + 5} {
		at := time.Unix(sec, 999)
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l)
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := unix.Bind(l, &unix.SockaddrUnix{Name: "socket"}); err != nil {
		t.Fatal(err)
	}
	tr := scan(t, dir)
	if _, ok := tr.Lookup("socket"); ok {
		t.Error("the socket is in the tree")
	}
	for name, want := range map[string]int64{"old": 1000, "new": epoch, "s": epoch, ".": epoch} {
		if n, _ := tr.Lookup(name); n.MTime != want {
			t.Errorf("%s has the time %d, want %d", name, n.MTime, want)
		}
	}
}

func TestXattrs(t *testing.T) {
	dir := folder(t, "f")
	name := filepath.Join(dir, "f")
	if err := unix.Lsetxattr(name, "user.key", []byte("a\x00b"), 0); err != nil {
		t.Skipf("no extended attributes here: %v", err)
	}
	unix.Lsetxattr(name, "user.overlay.origin", []byte("x"), 0)
	unix.Lsetxattr(name, "user.big", bytes.Repeat([]byte("y"), 2000), 0)
	n, _ := scan(t, dir).Lookup("f")
	var got []string
	for _, x := range n.Xattrs {
		got = append(got, fmt.Sprintf("%s:%d", x.Name, len(x.Value)))
	}
	if strings.Join(got, " ") != "user.big:2000 user.key:3" {
		t.Errorf("got %v", got)
	}
}

func TestCapability(t *testing.T) {
	v2 := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	v3 := append(append([]byte(nil), v2...), 0xa0, 0x86, 1, 0)
	v3[3] = 3
	for _, in := range [][]byte{v2, v3} {
		if got := capabilityV2(in); !bytes.Equal(got, v2) {
			t.Errorf("% x became % x, want % x", in, got, v2)
		}
	}
	if got := capabilityV2([]byte{1}); len(got) != 1 {
		t.Errorf("a broken value became % x", got)
	}
}

func TestEdits(t *testing.T) {
	lines := []string{"boot/vmlinuz", "boot/grub/cfg", "etc/fstab", "usr/lib/a", "lib -> usr/lib", "run/x", "var/run -> /run", "up -> ../../etc"}
	tests := []struct {
		name string
		edit func(*Tree) error
		want string
	}{
		{"content only", func(t *Tree) error { t.Remove("boot/"); return nil },
			"./ boot/ etc/ etc/fstab lib>usr/lib run/ run/x up>../../etc usr/ usr/lib/ usr/lib/a var/ var/run>/run"},
		{"folder", func(t *Tree) error { t.Remove("boot"); t.Remove("/run"); t.Remove("nothing"); return nil },
			"./ etc/ etc/fstab lib>usr/lib up>../../etc usr/ usr/lib/ usr/lib/a var/ var/run>/run"},
		{"through a link", func(t *Tree) error { t.Remove("lib/a"); t.Remove("var/run/x"); t.Remove("boot"); return nil },
			"./ etc/ etc/fstab lib>usr/lib run/ up>../../etc usr/ usr/lib/ var/ var/run>/run"},
		{"the link itself", func(t *Tree) error { t.Remove("lib"); t.Remove("boot"); t.Remove("usr"); return nil },
			"./ etc/ etc/fstab run/ run/x up>../../etc var/ var/run>/run"},
		{"everything", func(t *Tree) error { t.Remove("."); return nil }, "./"},
		{"put", func(t *Tree) error {
			t.Remove("/")
			if err := t.Put("a/b/c", NewFile(nil, 0o600, 1)); err != nil {
				return err
			}
			return t.Put("a", NewFile(nil, 0o600, 1))
		}, "./ a"},
		{"merge", func(t *Tree) error {
			o := New(1)
			if err := o.Put("a/new", NewFile(nil, 0o600, 1)); err != nil {
				return err
			}
			t.Remove("boot")
			t.Remove("run")
			t.Remove("etc/")
			if err := t.Merge(o, "lib", true); err != nil { // replaces usr/lib/a by a folder
				return err
			}
			return t.Merge(o, "deep/er", true)
		}, "./ deep/ deep/er/ deep/er/a/ deep/er/a/new etc/ lib>usr/lib up>../../etc usr/ usr/lib/ usr/lib/a/ usr/lib/a/new var/ var/run>/run"},
	}
	for _, tt := range tests {
		whole := scan(t, folder(t, lines...))
		before, tr := list(whole), whole.Clone()
		if err := tt.edit(tr); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := list(tr); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
		if list(whole) != before {
			t.Errorf("%s changed the original", tt.name)
		}
	}
}

func TestEditErrors(t *testing.T) {
	tr := scan(t, folder(t, "file", "dir/x"))
	if err := tr.Put("file/below", NewFile(nil, 0o600, 1)); err == nil || !strings.Contains(err.Error(), "/file is not a directory") {
		t.Errorf("got %v", err)
	}
	if err := tr.Put(".", NewFile(nil, 0o600, 1)); err == nil {
		t.Error("the root became a file")
	}
	for _, dir := range []string{"none", "file"} {
		if _, err := tr.Sub(dir); err == nil {
			t.Errorf("there is a tree below %s", dir)
		}
	}
	if sub, err := tr.Sub("/dir/"); err != nil || list(sub) != "./ x" {
		t.Errorf("got %s, %v", list(sub), err)
	}
	if _, err := Scan(context.Background(), filepath.Join(t.TempDir(), "none"), epoch); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}

func TestResolve(t *testing.T) {
	tr := scan(t, folder(t, "boot/vmlinuz-6", "vmlinuz -> boot/vmlinuz-6", "abs -> /vmlinuz", "loop -> loop", "up -> ../../boot", "gone -> no/where", "d/rel -> ../up/vmlinuz-6"))
	for p, want := range map[string]string{
		"vmlinuz": "boot/vmlinuz-6", "/abs": "boot/vmlinuz-6", "up/vmlinuz-6": "boot/vmlinuz-6", "d/rel": "boot/vmlinuz-6",
		"loop": "", "gone": "", "../../boot": "boot", ".": ".", "vmlinuz/x": "",
	} {
		if got, ok := tr.Resolve(p); ok != (want != "") || ok && got != want {
			t.Errorf("%s leads to %s, %v, want %s", p, got, ok, want)
		}
	}
}

func TestSizes(t *testing.T) {
	dir := folder(t, "d/small", "hard = d/small", "short -> x", "to-dir -> d", "long -> "+strings.Repeat("x", 80))
	if err := os.WriteFile(filepath.Join(dir, "sparse"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "sparse"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("x"), 1<<20)
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	tr := scan(t, dir)
	// Two folders, one small file, one long link and one block of the sparse file: du -ks.
	if got := tr.UsageKiB(); got != 4*5 {
		t.Errorf("usage %d KiB", got)
	}
	if got, want := tr.ApparentKiB(), int64((7+1+1+80+(1<<20)+1+1023)/1024); got != want {
		t.Errorf("apparent size %d KiB, want %d", got, want)
	}
	// Two folders, the small file, two links (the one to a folder does not count), 257 blocks.
	if got := tr.DirectoryKiB(); got != 4*(2+1+2+257) {
		t.Errorf("directory size %d KiB", got)
	}
	many := New(0)
	for i := range 200 {
		if err := many.Put(fmt.Sprintf("a file with a long name %d", i), NewFile(nil, 0o644, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if got := many.UsageKiB(); got != 8 {
		t.Errorf("a folder of 200 names takes %d KiB, want 8", got)
	}
}

func TestTar(t *testing.T) {
	tr := scan(t, folder(t, "a/f", "b = a/f", "s -> a/f", strings.Repeat("long/", 30)+"x"))
	n := NewFile([]byte("data"), 0o4755, 5)
	n.UID, n.GID = 1000, 3_000_000
	n.Xattrs = []Xattr{{"security.capability", []byte{1, 0, 0, 2}}}
	dev := &Node{Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 3}
	for p, n := range map[string]*Node{"z": n, "dev/null": dev} {
		if err := tr.Put(p, n); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	if err := tr.WriteTar(context.Background(), &buf); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(&buf); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(h.Name, "long/") && !strings.HasSuffix(h.Name, "x") {
			continue
		}
		content, _ := io.ReadAll(r)
		got = append(got, fmt.Sprintf("%c %s %o %d:%d %d %s%s %d,%d", h.Typeflag, filepath.Base(h.Name), h.Mode, h.Uid, h.Gid, h.Size, h.Linkname, content, h.Devmajor, h.Devminor))
		if filepath.Base(h.Name) == "z" && h.PAXRecords["SCHILY.xattr.security.capability"] != "\x01\x00\x00\x02" {
			t.Errorf("records %q", h.PAXRecords)
		}
	}
	uid := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	want := []string{
		"5 . 755 U 0  0,0", "5 a 755 U 0  0,0", "0 f 644 U 3 a/f 0,0", "1 b 644 U 0 ./a/f 0,0", "5 dev 755 0:0 0  0,0", "3 null 666 0:0 0  1,3",
		"0 x 644 U 151 " + strings.Repeat("long/", 30) + "x 0,0", "2 s 777 U 0 a/f 0,0", "0 z 4755 1000:3000000 4 data 0,0",
	}
	for i := range want {
		want[i] = strings.Replace(want[i], "U", uid, 1)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCPIO reads the fields of every header back.
func TestCPIO(t *testing.T) {
	tr := New(5)
	for _, p := range []string{"a/f", "b"} {
		if err := tr.Put(p, NewFile([]byte("abc"), 0o644, 5)); err != nil {
			t.Fatal(err)
		}
	}
	shared, _ := tr.Lookup("b")
	for p, n := range map[string]*Node{"c": shared, "s": {Mode: unix.S_IFLNK | 0o777, Target: "a/f", MTime: 5}, "null": {Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 3}} {
		if err := tr.Put(p, n); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	if err := tr.WriteCPIO(context.Background(), &buf); err != nil {
		t.Fatal(err)
	}
	if buf.Len()%512 != 0 {
		t.Errorf("%d bytes", buf.Len())
	}
	var got []string
	for data := buf.Bytes(); ; {
		var f [13]uint32
		for i := range f {
			fmt.Sscanf(string(data[6+8*i:14+8*i]), "%08X", &f[i])
		}
		name := string(data[110 : 110+f[11]-1])
		data = data[(110+f[11]+3)/4*4:]
		got = append(got, fmt.Sprintf("%s ino%d %o n%d t%d %q %d,%d", name, f[0], f[1], f[4], f[5], data[:f[6]], f[9], f[10]))
		data = data[(f[6]+3)/4*4:]
		if name == "TRAILER!!!" {
			break
		}
	}
	want := []string{
		`. ino1 40755 n2 t5 "" 0,0`, `a ino2 40755 n2 t5 "" 0,0`, `a/f ino3 100644 n1 t5 "abc" 0,0`, `b ino4 100644 n2 t5 "" 0,0`,
		`c ino4 100644 n2 t5 "abc" 0,0`, `null ino6 20666 n1 t0 "" 1,3`, `s ino7 120777 n1 t5 "a/f" 0,0`, `TRAILER!!! ino0 0 n1 t0 "" 0,0`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	early := New(-1)
	if err := early.WriteCPIO(context.Background(), io.Discard); err == nil {
		t.Error("a time before 1970 was taken")
	}
}

func TestShrinking(t *testing.T) {
	dir := folder(t, "file")
	tr := scan(t, dir)
	if err := os.Truncate(filepath.Join(dir, "file"), 1); err != nil {
		t.Fatal(err)
	}
	if err := tr.WriteTar(context.Background(), io.Discard); err == nil || !strings.Contains(err.Error(), "shrank") {
		t.Errorf("got %v", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	tr := scan(t, folder(t, "file"))
	cancel()
	if _, err := Scan(ctx, folder(t, "d/e"), epoch); err == nil {
		t.Error("the scan went on")
	}
	if err := tr.WriteTar(ctx, io.Discard); err == nil {
		t.Error("the archive was written")
	}
}
