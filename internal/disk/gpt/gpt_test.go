// SPDX-License-Identifier: MIT

package gpt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
)

// memory is a disk in memory.
type memory []byte

func (m memory) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || int(off)+len(p) > len(m) {
		return 0, fmt.Errorf("write of %d bytes at %d of %d", len(p), off, len(m))
	}
	return copy(m[off:], p), nil
}

func two() []Partition {
	return []Partition{
		{Number: 1, Start: 2048, Sectors: 1000, Type: ESP, ID: GUID{1}, Name: "efi", MBRType: 0xef},
		{Number: 2, Start: 4096, Sectors: 1000, Type: LinuxData, ID: GUID{2}, Name: "ünï", MBRType: 0x83, Active: true, Attrs: LegacyBoot},
	}
}

func TestGPT(t *testing.T) {
	const sectors = 8192
	m := make(memory, sectors*SectorSize)
	table := &Table{Kind: GPT, Sectors: sectors, DiskID: mustGUID("01020304-0506-0708-090a-0b0c0d0e0f10"), Signature: 0x11223344, Partitions: two()}
	ranges, err := table.Write(m)
	if err != nil {
		t.Fatal(err)
	}
	covered := int64(0)
	for _, r := range ranges {
		covered += r.Length
	}
	if covered != (1+2*33)*SectorSize {
		t.Errorf("%d bytes were reported as written", covered)
	}
	le := binary.LittleEndian
	for _, at := range []uint64{1, sectors - 1} {
		h := m[at*SectorSize:][:92]
		sum := le.Uint32(h[16:])
		le.PutUint32(h[16:], 0)
		if got := crc32.ChecksumIEEE(h); got != sum {
			t.Errorf("header at %d: checksum %x, want %x", at, sum, got)
		}
		if self, other := le.Uint64(h[24:]), le.Uint64(h[32:]); self != at || other != sectors-at {
			t.Errorf("header at %d says %d and %d", at, self, other)
		}
		array := m[le.Uint64(h[72:])*SectorSize:][:128*128]
		if got := crc32.ChecksumIEEE(array); got != le.Uint32(h[88:]) {
			t.Errorf("header at %d: array checksum %x", at, got)
		}
		if fmt.Sprintf("% x", h[56:72]) != "04 03 02 01 06 05 08 07 09 0a 0b 0c 0d 0e 0f 10" {
			t.Errorf("disk GUID % x", h[56:72])
		}
		e := array[128:256]
		if le.Uint64(e[32:]) != 4096 || le.Uint64(e[40:]) != 5095 || le.Uint64(e[48:]) != 4 || le.Uint16(e[56:]) != 'ü' {
			t.Errorf("entry 2 is % x", e)
		}
	}
	if got := fmt.Sprintf("% x", m[0x1b8:0x1ce]); got != "44 33 22 11 00 00 00 00 02 00 ee ff ff ff 01 00 00 00 ff 1f 00 00" {
		t.Errorf("protective MBR: %s", got)
	}
}

func TestHybrid(t *testing.T) {
	m := make(memory, 8192*SectorSize)
	ps := two()
	ps[1].InMBR = true
	table := &Table{Kind: Hybrid, Sectors: 8192, Partitions: ps}
	if _, err := table.Write(m); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("% x", m[0x1be:0x1de]); got != "80 41 02 00 83 50 38 00 00 10 00 00 e8 03 00 00 00 00 02 00 ee 00 23 00 01 00 00 00 22 00 00 00" {
		t.Errorf("hybrid MBR: %s", got)
	}
}

func TestLogical(t *testing.T) {
	m := make(memory, 9000*SectorSize)
	table := &Table{Kind: MBR, Sectors: 9000, ExtendedNumber: 2, Partitions: []Partition{
		{Number: 1, Start: 1, Sectors: 99, MBRType: 0x0c, Active: true},
		{Number: 5, Start: 2048, Sectors: 1000, MBRType: 0x83, Logical: true},
		{Number: 6, Start: 4096, Sectors: 1000, MBRType: 0x82, Logical: true},
	}}
	ranges, err := table.Write(m)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(ranges) != fmt.Sprint([]Range{{0, 512}, {2046 * 512, 512}, {4094 * 512, 512}}) {
		t.Errorf("ranges %v", ranges)
	}
	le := binary.LittleEndian
	entry := func(at, slot int) string {
		e := m[at*512+0x1be+16*slot:]
		return fmt.Sprintf("%02x %d+%d", e[4], le.Uint32(e[8:]), le.Uint32(e[12:]))
	}
	for _, tt := range []struct {
		at, slot int
		want     string
	}{
		{0, 0, "0c 1+99"}, {0, 1, "0f 2046+3050"}, {0, 2, "00 0+0"},
		{2046, 0, "83 2+1000"}, {2046, 1, "05 2048+1002"}, {4094, 0, "82 2+1000"}, {4094, 1, "00 0+0"},
	} {
		if got := entry(tt.at, tt.slot); got != tt.want {
			t.Errorf("sector %d entry %d: %s, want %s", tt.at, tt.slot, got, tt.want)
		}
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		want   string
		change func(*Table)
	}{
		{"overlap at sector 3000", func(t *Table) { t.Partitions[1].Start = 3000 }},
		{"has no sectors", func(t *Table) { t.Partitions[0].Sectors = 0 }},
		{"leaves the usable part", func(t *Table) { t.Partitions[0].Start = 33 }},
		{"leaves the usable part", func(t *Table) { t.Partitions[1].Start = 8192 - 1000 - 32 }},
		{"leaves the usable part", func(t *Table) { t.Partitions[1].Sectors = 1<<64 - 1 }},
		{"used twice", func(t *Table) { t.Partitions[1].Number = 1 }},
		{"outside of 1 to 128", func(t *Table) { t.Partitions[1].Number = 129 }},
		{"the same GUID", func(t *Table) { t.Partitions[1].ID = GUID{1} }},
		{"longer than the 36 characters", func(t *Table) { t.Partitions[1].Name = strings.Repeat("x", 37) }},
		{"too small for a GPT", func(t *Table) { t.Sectors = 60 }},
		{"used twice", func(t *Table) { t.Kind = MBR; t.Partitions[1].Number = 1 }},
		{"there is no number 5", func(t *Table) { t.Kind = MBR; t.Partitions[1].Number = 5 }},
		{"no place among the four", func(t *Table) { t.Kind = MBR; t.Partitions[1].Number = 5; t.Partitions[1].Logical = true }},
		{"from 5 on", func(t *Table) {
			t.Kind = MBR
			t.Partitions[1].Number = 6
			t.Partitions[1].Logical = true
			t.ExtendedNumber = 2
		}},
		{"2 TiB", func(t *Table) { t.Kind = MBR; t.Sectors = 1 << 40; t.Partitions[1].Start = 1 << 32 }},
		{"lies inside the extended", func(t *Table) {
			t.Kind, t.ExtendedNumber = MBR, 3
			t.Partitions = []Partition{
				{Number: 5, Start: 100, Sectors: 10, Logical: true},
				{Number: 1, Start: 200, Sectors: 10}, {Number: 6, Start: 300, Sectors: 10, Logical: true},
			}
		}},
		{"no place for its boot record", func(t *Table) {
			t.Kind, t.ExtendedNumber = MBR, 3
			t.Partitions = []Partition{{Number: 5, Start: 100, Sectors: 10, Logical: true}, {Number: 6, Start: 111, Sectors: 10, Logical: true}}
		}},
		{"more than 3 partitions", func(t *Table) {
			t.Kind = Hybrid
			t.Partitions = nil
			for i := range 4 {
				t.Partitions = append(t.Partitions, Partition{Number: i + 1, Start: uint64(100 + 10*i), Sectors: 10, ID: GUID{byte(i)}, InMBR: true})
			}
		}},
	}
	for _, tt := range tests {
		table := &Table{Kind: GPT, Sectors: 8192, Partitions: two()}
		tt.change(table)
		if _, err := table.Write(make(memory, 0)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// TestTypeOf holds some types against what sgdisk 1.0.10 sets for the same word.
func TestTypeOf(t *testing.T) {
	for code, want := range map[string]string{
		"EF00": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0x8301": "8da63339-0007-60c0-c436-083ac8230908",
		"8300": "0fc63daf-8483-4772-8e79-3d69d8477de4", "ef02": "21686148-6449-6e6f-744e-656564454649",
		"2E54B353-1271-4842-806F-E436D6AF6985": "2e54b353-1271-4842-806f-e436d6af6985",
	} {
		if g, err := TypeOf(code); err != nil || g.String() != want {
			t.Errorf("%s: %s, %v, want %s", code, g, err, want)
		}
	}
	for _, code := range []string{"", "EF0", "xyz", "EF0000", "{2E54B353-1271-4842-806F-E436D6AF6985}"} {
		if g, err := TypeOf(code); err == nil {
			t.Errorf("%q was taken as %s", code, g)
		}
	}
	seen := map[string]bool{}
	for _, row := range typeCodes {
		if g, err := TypeOf(row.code); err != nil || g.String() != row.guid || seen[row.code] {
			t.Errorf("%s: %s, %v", row.code, g, err)
		}
		seen[row.code] = true
	}
	if len(seen) < 340 {
		t.Errorf("only %d codes", len(seen))
	}
}
