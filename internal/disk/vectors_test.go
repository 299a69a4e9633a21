// SPDX-License-Identifier: MIT

package disk_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/txtar"

	"n3x/internal/disk"
)

// TestVectors compares tables and fstab with what real wic makes of the same layouts.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/vectors/*.txtar")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d vectors, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string]string{}
			for _, f := range a.Files {
				part[f.Name] = string(f.Data)
			}
			o := fakeOptions(t, part["layout.wks"])
			r, err := disk.Build(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(part["table"], dump(t, o.Output)); diff != "" {
				t.Errorf("the table differs (-wic +n3x):\n%s", diff)
			}
			fstab := "# /etc/fstab\n" + regexp.MustCompile(`PARTUUID=\S+`).ReplaceAllString(r.Fstab, "PARTUUID=*")
			if diff := cmp.Diff(part["fstab"], fstab); diff != "" {
				t.Errorf("fstab differs (-wic +n3x):\n%s", diff)
			}
		})
	}
}

// dump writes an image's partition table as the vectors have it.
func dump(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 34*512)
	if _, err := f.ReadAt(head, 0); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if string(head[512:520]) == "EFI PART" {
		b.WriteString("label: gpt\n")
		dumpGPT(&b, head[1024:])
	} else {
		b.WriteString("label: dos\n")
		dumpMBR(t, &b, f, head[:512])
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "bytes %d\n", st.Size())
	return b.String()
}

func dumpGPT(b *strings.Builder, array []byte) {
	le := binary.LittleEndian
	for i := range 128 {
		e := array[128*i : 128*i+128]
		start, end := le.Uint64(e[32:]), le.Uint64(e[40:])
		if end == 0 {
			continue
		}
		g := uuid.UUID{e[3], e[2], e[1], e[0], e[5], e[4], e[7], e[6]}
		copy(g[8:], e[8:16])
		var name []uint16
		for j := 56; j < 128 && le.Uint16(e[j:]) != 0; j += 2 {
			name = append(name, le.Uint16(e[j:]))
		}
		fmt.Fprintf(b, "%d : start=%d, size=%d, type=%s, name=%q", i+1, start, end-start+1, strings.ToUpper(g.String()), string(utf16.Decode(name)))
		switch le.Uint64(e[48:]) {
		case 1:
			b.WriteString(`, attrs="RequiredPartition"`)
		case 4:
			b.WriteString(`, attrs="LegacyBIOSBootable"`)
		case 5:
			b.WriteString(`, attrs="RequiredPartition LegacyBIOSBootable"`)
		}
		b.WriteString("\n")
	}
}

func dumpMBR(t testing.TB, b *strings.Builder, f *os.File, sector []byte) {
	le := binary.LittleEndian
	entry := func(s []byte, slot int) (kind byte, boot bool, start, size uint32) {
		e := s[0x1be+16*slot:]
		return e[4], e[0] == 0x80, le.Uint32(e[8:]), le.Uint32(e[12:])
	}
	line := func(n int, kind byte, boot bool, start, size uint32) {
		fmt.Fprintf(b, "%d : start=%d, size=%d, type=%x", n, start, size, kind)
		if boot {
			b.WriteString(", bootable")
		}
		b.WriteString("\n")
	}
	extended := uint32(0)
	for slot := range 4 {
		if kind, boot, start, size := entry(sector, slot); size != 0 {
			line(slot+1, kind, boot, start, size)
			if kind == 0xf {
				extended = start
			}
		}
	}
	for n, at := 5, extended; at != 0; n++ {
		s := make([]byte, 512)
		if _, err := f.ReadAt(s, int64(at)*512); err != nil {
			t.Fatal(err)
		}
		kind, boot, start, size := entry(s, 0)
		line(n, kind, boot, at+start, size)
		_, _, next, more := entry(s, 1)
		if at = 0; more != 0 {
			at = extended + next
		}
	}
}
