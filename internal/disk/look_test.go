package disk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// smallExt4 writes, by the documentation of the format, a file system of 64 blocks of 1 KiB with the one file /a/b.
func smallExt4(content string) []byte {
	le := binary.LittleEndian
	d := make([]byte, 64<<10)
	put16 := func(at int, v int) { le.PutUint16(d[at:], uint16(v)) }
	put32 := func(at int, v int) { le.PutUint32(d[at:], uint32(v)) }
	put32(1024, 32)      // inodes
	put32(1024+0x14, 1)  // first data block
	put32(1024+0x28, 32) // inodes in a group
	put16(1024+0x38, 0xef53)
	put32(1024+0x4c, 1)
	put16(1024+0x58, 128)
	put32(2048+8, 5) // inode table
	inode := func(n, mode, size, block int) {
		at := 5*1024 + (n-1)*128
		put16(at, mode)
		put32(at+4, size)
		put32(at+0x20, 0x80000)
		put16(at+0x28, 0xf30a)
		put16(at+0x2a, 1)
		put16(at+0x28+12+4, 1)
		put32(at+0x28+12+8, block)
	}
	entry := func(block, n int, name string) {
		at := block * 1024
		put32(at, n)
		put16(at+4, 1024)
		d[at+6] = byte(len(name))
		copy(d[at+8:], name)
	}
	inode(2, 0x41ed, 1024, 20)
	inode(12, 0x41ed, 1024, 21)
	inode(13, 0x81a4, len(content), 22)
	entry(20, 12, "a")
	entry(21, 13, "b")
	copy(d[22*1024:], content)
	return d
}

// onDisk puts a file system behind an empty partition of a GPT.
func onDisk(system []byte) []byte {
	le := binary.LittleEndian
	d := make([]byte, 100*512+len(system))
	copy(d[512:], "EFI PART")
	le.PutUint64(d[512+72:], 2)
	le.PutUint32(d[512+80:], 4)
	le.PutUint32(d[512+84:], 128)
	for i, at := range []uint64{50, 100} {
		e := d[1024+128*(i+1):]
		e[0] = 1
		le.PutUint64(e[32:], at)
		le.PutUint64(e[40:], at+uint64(len(system))/512-1)
	}
	copy(d[100*512:], system)
	return d
}

func TestReadFileOfImages(t *testing.T) {
	t.Parallel()
	system := smallExt4("content")
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	w := tar.NewWriter(z)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "./a/b", Typeflag: tar.TypeReg, Size: 7, Mode: 0o644})); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("content")); err != nil || w.Close() != nil || z.Close() != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, image := range []string{file("x.ext4", system), file("x.wic", onDisk(system)), file("x.tar.gz", archive.Bytes())} {
		if data, err := ReadFile(image, "a/b"); err != nil || string(data) != "content" {
			t.Errorf("%s: %q, %v", image, data, err)
		}
		for _, missing := range []string{"a/c", "b", "a/b/c"} {
			if _, err := ReadFile(image, missing); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s: %v", image, missing, err)
			}
		}
	}
	for name, want := range map[string]string{"zero.wic": "no GPT", "zero.ext4": "no ext4 file system", "zero.wic.zst": "decompress it first", "zero.tar.gz": "read"} {
		if _, err := ReadFile(file(name, make([]byte, 4096)), "a/b"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	// Whatever is damaged, it is an error or another content, and never a panic.
	for at := range system {
		if at%3 != 0 {
			continue
		}
		spoilt := bytes.Clone(system)
		spoilt[at] ^= 0xff
		if spoilt[at] == 0xff && at > 23*1024 {
			break // unused from here on
		}
		readSystem(bytes.NewReader(spoilt), "a/b")      //nolint:errcheck // only a panic counts
		readSystem(bytes.NewReader(spoilt[:at]), "a/b") //nolint:errcheck // likewise
	}
}
