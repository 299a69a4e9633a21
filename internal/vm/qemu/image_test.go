package qemu

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"n3x/internal/arch"
)

// diskWith writes a disk whose EFI system partition, at 1 MiB and 2 MiB long, has directory entries of these names.
func diskWith(t *testing.T, gpt bool, names ...string) string {
	t.Helper()
	le := binary.LittleEndian
	disk := make([]byte, 4<<20)
	disk[510], disk[511] = 0x55, 0xaa
	if gpt {
		copy(disk[512:], "EFI PART")
		le.PutUint64(disk[512+72:], 2)
		le.PutUint32(disk[512+80:], 128)
		le.PutUint32(disk[512+84:], 128)
		entry := disk[1024+128:] // the second one
		copy(entry, espType)
		le.PutUint64(entry[32:], 2048)
		le.PutUint64(entry[40:], 2048+4095)
	} else {
		entry := disk[446+16:]
		entry[4] = 0xef
		le.PutUint32(entry[8:], 2048)
		le.PutUint32(entry[12:], 4096)
	}
	for i, n := range names {
		at := 3<<20 - 32*(i+1) // the last entries of the partition
		copy(disk[at:], n)
		disk[at+11] = 0x20
	}
	copy(disk[3<<20:], "BOOTX64 EFI ") // behind the partition
	file := filepath.Join(t.TempDir(), "disk.wic")
	if err := os.WriteFile(file, disk, 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestImageArch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		gpt   bool
		names []string
		want  arch.Arch
	}{
		{true, []string{"BOOTAA64EFI"}, "arm64"},
		{true, []string{"BOOTX64 EFI", "BOOT    CON"}, "amd64"},
		{false, []string{"BOOTAA64EFI"}, "arm64"},
		{true, []string{"BOOTARM EFI", "BOOTARM EFI"}, "armhf"},
		{true, []string{"BOOTARM EFI", "BOOTX64 EFI"}, ""},
		{true, nil, ""},
	} {
		if got, err := ImageArch(diskWith(t, tt.gpt, tt.names...)); got != tt.want || err != nil {
			t.Errorf("%v %q: %q, %v; want %q", tt.gpt, tt.names, got, err, tt.want)
		}
	}
	for _, content := range []string{"", "short", string(make([]byte, 2048))} {
		file := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		if got, err := ImageArch(file); got != "" || err != nil {
			t.Errorf("%.5q: %q, %v", content, got, err)
		}
	}
	damaged := make([]byte, 2048)
	copy(damaged[512:], "EFI PART\xff\xff\xff\xff")
	for i := 512 + 72; i < 600; i++ {
		damaged[i] = 0xff
	}
	file := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(file, damaged, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ImageArch(file); err == nil {
		t.Error("a damaged table")
	}
}
