// SPDX-License-Identifier: MIT

package disk_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/disk"
)

func TestSources(t *testing.T) {
	o := fakeOptions(t, `
part --source rawcopy --sourceparams file=blob,skip=5 --fstype none --no-table --offset 1M
part --source rawcopy --sourceparams "file=blob.gz,unpack" --fstype none --offset 2M
part --source rawcopy --sourceparams "file=/imager/u-boot.bin" --fstype none --offset 3M
part swap --fstype swap --label sw --size 1M --offset 4M --fsuuid 11111111-2222-3333-4444-555555555555
part --source empty --sourceparams size=8K --size 1M --offset 6M
bootloader --ptable gpt
`)
	gz := "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcbH\xcd\xc9\xc9\x07\x00\x86\xa6\x106\x05\x00\x00\x00" // "hello"
	if err := os.WriteFile(filepath.Join(o.DeployDir, "blob.gz"), []byte(gz), 0o644); err != nil {
		t.Fatal(err)
	}
	o.Resolve = func(string) string { return filepath.Join(o.DeployDir, "blob") }
	if _, err := disk.Build(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[int]string{
		1 << 20: "are\x00", 2 << 20: "hello\x00", 3 << 20: "firmware\x00",
		4<<20 + 1024: "\x01\x00\x00\x00\xff\x00\x00\x00\x00\x00\x00\x00\x11\x11\x11\x11\x22\x22\x33\x33\x44\x44\x55\x55\x55\x55\x55\x55sw\x00",
		4<<20 + 4086: "SWAPSPACE2\x00",
	} {
		if got := string(image[at : at+len(want)]); got != want {
			t.Errorf("at %d there is %q, want %q", at, got, want)
		}
	}
	// The zeros of the empty source must be written to a medium: blocks 1536 and 1537, and the second table behind them.
	if m, _ := os.ReadFile(o.Output + ".bmap"); !strings.Contains(string(m), "> 1536-1542 <") {
		t.Errorf("the block map lacks the zeros:\n%s", m)
	}
}
