package qemu

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckImage(t *testing.T) {
	t.Parallel()
	disk := func(size int, change func([]byte)) []byte {
		b := make([]byte, size)
		b[510], b[511] = 0x55, 0xaa
		change(b)
		return b
	}
	gpt := func(last uint64) func([]byte) {
		return func(b []byte) {
			copy(b[512:], "EFI PART")
			binary.LittleEndian.PutUint64(b[512+32:], last)
		}
	}
	mbr := func(b []byte) {
		b[446+4] = 0x83
		binary.LittleEndian.PutUint32(b[446+8:], 2)
		binary.LittleEndian.PutUint32(b[446+12:], 6)
	}
	dir := t.TempDir()
	for _, tt := range []struct {
		data []byte
		want string
	}{
		{disk(4096, gpt(7)), ""},
		{disk(4096, mbr), ""},
		{disk(4096, func([]byte) {}), ""},
		{nil, "is empty"},
		{make([]byte, 4096), "is no disk image: it has no partition table"},
		{[]byte("<html>404"), "is no disk image: it has no partition table"},
		{disk(4096, gpt(8)), "is cut off: it has 4096 bytes, and its partition table speaks of 4608"},
		{disk(4096, gpt(1<<60)), "is cut off"},
		{disk(2048, mbr), "is cut off: it has 2048 bytes, and its partition table speaks of 4096"},
		{disk(4095, func([]byte) {}), "which are not whole sectors"},
		{[]byte("\x28\xb5\x2f\xfd...."), "is compressed by zstd, not a disk image"},
		{[]byte("QFI\xfb...."), "is a qcow2 image, not a disk image"},
		{[]byte("version https://git-lfs.github.com/spec/v1\n"), "is a pointer of Git LFS"},
	} {
		name := filepath.Join(dir, "x.wic")
		if err := os.WriteFile(name, tt.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckImage(name); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%.20q: %v, want %q", tt.data, err, tt.want)
		}
	}
	for name, want := range map[string]string{filepath.Join(dir, "none"): "no such file", dir: "a folder or a device"} {
		if err := CheckImage(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckDirect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	image := filepath.Join(dir, "x.wic")
	if err := CheckDirect(image); err == nil || !strings.Contains(err.Error(), "x-vmlinuz and ") {
		t.Error(err)
	}
	for _, name := range []string{"x-vmlinuz", "x-initrd.img"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := CheckDirect(image); err == nil || !strings.Contains(err.Error(), "x-vmlinuz is empty") {
		t.Error(err)
	}
}
