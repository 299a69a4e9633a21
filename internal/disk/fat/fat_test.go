// SPDX-License-Identifier: MIT

package fat

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"n3x/internal/disk/fstree"
)

// The images in testdata were made by mkfs.vfat of dosfstools 4.2, each packed by zstd -19:
//
//	SOURCE_DATE_EPOCH=1700000000 mkfs.vfat -n LABEL -i 12345678 -C fat12.img 1024
//	                             mkfs.vfat -n LABEL -i 12345678 -C fat16.img 16384
//	                             mkfs.vfat -n label -i 12345678 -F 32 -s 1 -C fat32.img 34816
//	                             mkfs.vfat -i 12345678 -S 4096 -C fat16-4k.img 65536
var images = []string{"fat12", "fat16", "fat32", "fat16-4k"}

const epoch = 1700000000

// formatted unpacks an image into a file.
func formatted(t testing.TB, name string) *os.File {
	t.Helper()
	packed, err := os.Open("testdata/" + name + ".img.zst")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	z, err := zstd.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := io.Copy(f, z); err != nil {
		t.Fatal(err)
	}
	return f
}

func tree(t testing.TB, files map[string]string) *fstree.Tree {
	t.Helper()
	tr := fstree.New(epoch)
	for name, content := range files {
		n := fstree.NewFile([]byte(content), 0o644, epoch)
		if content == "DIR" {
			n = fstree.NewDir(0o755, epoch)
		}
		if err := tr.Put(name, n); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

// reader reads an image back: path -> content, folders end in a slash.
type reader struct {
	v     *volume
	table []uint32
	files map[string]string
}

func read(t testing.TB, img Image) map[string]string {
	t.Helper()
	v, err := open(img)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{v: v, files: map[string]string{}}
	raw := make([]byte, v.fatSize)
	if _, err := img.ReadAt(raw, v.fatStart+v.fatSize); err != nil { // the second copy
		t.Fatal(err)
	}
	for i := uint32(0); i < v.clusters+2; i++ {
		switch v.bits {
		case 12:
			e := uint32(binary.LittleEndian.Uint16(raw[i*3/2:]))
			r.table = append(r.table, e>>(4*(i%2))&0xfff)
		case 16:
			r.table = append(r.table, uint32(binary.LittleEndian.Uint16(raw[2*i:])))
		case 32:
			r.table = append(r.table, binary.LittleEndian.Uint32(raw[4*i:]))
		}
	}
	root := make([]byte, v.rootEntries*entrySize)
	if v.bits == 32 {
		root = r.chain(t, v.rootCluster)
	} else if _, err := img.ReadAt(root, v.rootStart); err != nil {
		t.Fatal(err)
	}
	r.dir(t, "", root)
	return r.files
}

func (r *reader) chain(t testing.TB, c uint32) []byte {
	var out []byte
	for end := uint32(1)<<r.v.bits - 8; c >= 2 && c < end&0x0fffffff; c = r.table[c] {
		b := make([]byte, r.v.clusterSize)
		if _, err := r.v.img.ReadAt(b, r.v.offset(c)); err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

func (r *reader) dir(t testing.TB, prefix string, data []byte) {
	var long []uint16
	for ; len(data) >= entrySize && data[0] != 0; data = data[entrySize:] {
		e := data[:entrySize]
		if e[11] == attrLongName {
			var part []uint16
			for _, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
				if u := binary.LittleEndian.Uint16(e[at:]); u != 0 && u != 0xffff {
					part = append(part, u)
				}
			}
			long = append(part, long...)
			continue
		}
		base, ext := strings.TrimRight(string(e[:8]), " "), strings.TrimRight(string(e[8:11]), " ")
		if e[12]&lowerBase != 0 {
			base = strings.ToLower(base)
		}
		if e[12]&lowerExt != 0 {
			ext = strings.ToLower(ext)
		}
		name := strings.TrimSuffix(base+"."+ext, ".")
		if long != nil {
			name = string(utf16.Decode(long))
		}
		long = nil
		if e[11]&8 != 0 || base == "." || base == ".." {
			continue
		}
		cluster := uint32(binary.LittleEndian.Uint16(e[20:]))<<16 | uint32(binary.LittleEndian.Uint16(e[26:]))
		content := r.chain(t, cluster)
		if e[11]&attrDirectory != 0 {
			r.files[prefix+name+"/"] = ""
			r.dir(t, prefix+name+"/", content)
			continue
		}
		r.files[prefix+name] = string(content[:binary.LittleEndian.Uint32(e[28:])])
	}
}

func TestFill(t *testing.T) {
	files := map[string]string{
		"EFI/BOOT/bootx64.efi": strings.Repeat("loader", 9000), "vmlinuz-6.1.0-1-amd64": strings.Repeat("k", 5000),
		"vmlinuz-6.1.0-2-amd64": "second", "empty": "", "loader/entries/boot.conf": "title boot\n", "UPPER.TXT": "u",
		"Mixed.Txt": "m", "two.dots.here": "d", ".hidden": "h", "spaces in it": "s", "exactly8.abc": "e", "vmlin~1": "t",
		"ünïcödé-nämé-that-is-long": "ü", "folder": "DIR", "a+b": "plus", "thirteenchars": "13", strings.Repeat("n", 255): "long",
	}
	for i := range 100 {
		files[fmt.Sprintf("many/file number %d", i)] = fmt.Sprint(i)
		if i < 60 {
			files[fmt.Sprintf("root file %d", i)] = fmt.Sprint(i) // more than a cluster of FAT32's root
		}
	}
	want := map[string]string{"EFI/": "", "EFI/BOOT/": "", "loader/": "", "loader/entries/": "", "many/": ""}
	for name, content := range files {
		if content == "DIR" {
			name, content = name+"/", ""
		}
		want[name] = content
	}
	for _, name := range images {
		t.Run(name, func(t *testing.T) {
			var last []byte
			for range 2 {
				f := formatted(t, name)
				used, err := Fill(context.Background(), f, tree(t, files))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, read(t, f)); diff != "" {
					t.Errorf("read back (-want +got):\n%s", diff)
				}
				all, err := os.ReadFile(f.Name())
				if err != nil {
					t.Fatal(err)
				}
				if rest := bytes.Trim(all[used:], "\x00"); len(rest) != 0 {
					t.Errorf("%d bytes lie behind what is used", len(rest))
				}
				if last != nil && !bytes.Equal(last, all) {
					t.Error("the same tree gave other bits")
				}
				last = all
			}
		})
	}
}

func TestShortNames(t *testing.T) {
	f := formatted(t, "fat16")
	files := map[string]string{"vmlinuz-6.1.0-1-amd64": "", "vmlinuz-6.1.0-2-amd64": "", "vmlinu~1.0-1": "", "BOOT.CFG": "", "boot.CSV": ""}
	if _, err := Fill(context.Background(), f, tree(t, files)); err != nil {
		t.Fatal(err)
	}
	v, err := open(f)
	if err != nil {
		t.Fatal(err)
	}
	root := make([]byte, 32*entrySize)
	if _, err := f.ReadAt(root, v.rootStart); err != nil {
		t.Fatal(err)
	}
	var got []string
	for ; root[0] != 0; root = root[entrySize:] {
		if root[11] != attrLongName {
			got = append(got, fmt.Sprintf("%s %02x", root[:11], root[12]))
		}
	}
	want := []string{"LABEL       00", "BOOT    CFG 00", "BOOT    CSV 08", "VMLINU~10-1 00", "VMLINU~10-2 00", "VMLINU~20-1 00"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRefused(t *testing.T) {
	link := func(target string) *fstree.Tree {
		dir := t.TempDir()
		if err := os.Symlink(target, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
			t.Fatal(err)
		}
		tr, err := fstree.Scan(context.Background(), dir, epoch)
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	for want, tr := range map[string]*fstree.Tree{
		"case does not count":           tree(t, map[string]string{"boot/File": "", "boot/file": ""}),
		"one of the characters":         tree(t, map[string]string{"a:b": ""}),
		"a dot or space at the end":     tree(t, map[string]string{"a.": ""}),
		"more than 255 characters":      tree(t, map[string]string{strings.Repeat("x", 256): ""}),
		"no UTF-8":                      tree(t, map[string]string{"a\xff": ""}),
		"which is not there":            link("nowhere"),
		"a symbolic link to the folder": link("folder"),
		"the content needs 16386 KiB":   tree(t, map[string]string{"big": strings.Repeat("x", 16<<20+1)}),
	} {
		_, err := Fill(context.Background(), formatted(t, "fat16"), tr)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	var many = map[string]string{}
	for i := range 300 {
		many[fmt.Sprintf("a long name %d", i)] = ""
	}
	if _, err := Fill(context.Background(), formatted(t, "fat16"), tree(t, many)); err == nil || !strings.Contains(err.Error(), "root directory has place for 512 entries, not for") {
		t.Errorf("got %v", err)
	}
	if _, err := Fill(context.Background(), bytesImage(make([]byte, 4096)), tree(t, nil)); err == nil {
		t.Error("an image without a file system was filled")
	}
	var full *Full
	_, err := Fill(context.Background(), formatted(t, "fat12"), tree(t, map[string]string{"x": strings.Repeat("x", 1<<20)}))
	if !errors.As(err, &full) || full.Need <= full.Have {
		t.Errorf("got %v", err)
	}
}

// bytesImage is an image in memory.
type bytesImage []byte

func (b bytesImage) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(b).ReadAt(p, off)
}

func (b bytesImage) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(b)) {
		return 0, io.ErrShortWrite
	}
	return copy(b[off:], p), nil
}

func TestDosTime(t *testing.T) {
	for sec, want := range map[int64]string{
		0: "0021 0000", 1700000000: "576e b1aa", 1 << 40: "ff9f bf7d", -5: "0021 0000",
	} {
		date, clock := dosTime(sec)
		if got := fmt.Sprintf("%04x %04x", date, clock); got != want {
			t.Errorf("%d: %s, want %s", sec, got, want)
		}
	}
}

// FuzzOpen feeds broken boot sectors.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{11: 0, 12: 2, 13: 4, 510: 0x55, 511: 0xaa})
	f.Fuzz(func(t *testing.T, boot []byte) {
		img := append(append([]byte(nil), boot...), make([]byte, 1<<16)...)
		Fill(context.Background(), bytesImage(img), fstree.New(0))
	})
}
