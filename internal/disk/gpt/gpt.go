// SPDX-License-Identifier: MIT

// Package gpt writes partition tables: GPT, MBR (with logical partitions) and the hybrid of both.
//
// Input is a [Table] with absolute sectors of 512 bytes; output are the few sectors that describe it, and the list of
// the byte ranges that were written. Nothing is random: every identifier is the caller's. A table that overlaps, leaves
// the disk or does not fit its format is refused.
//
// Formats: UEFI specification 2.10, chapter 5 (GPT, protective MBR); the MBR as Linux's block/partitions/msdos.c reads it.
// The type codes are those of sgdisk(8).
package gpt

import (
	"fmt"
	"io"
	"sort"

	"n3x/internal/diag"
)

// SectorSize is the only logical sector size that wic images use.
const SectorSize = 512

// Overhead is the number of sectors that a GPT takes at the start of a disk and, as wic reserves it, again at its end.
const Overhead = 34

// MaxPartitions is the size of the partition array that every GPT here has.
const MaxPartitions = 128

// Kind says which table a disk carries.
type Kind int

const (
	MBR    Kind = iota // wic's "msdos"
	GPT                // with a protective MBR
	Hybrid             // a GPT whose MBR also lists some of the partitions, wic's "gpt-hybrid"
)

// Attribute bits of a GPT entry (UEFI 2.10, table 5-8).
const (
	Required   uint64 = 1 << 0 // platform required: wic's --hidden
	LegacyBoot uint64 = 1 << 2 // legacy BIOS bootable: wic's --active
)

// MBR partition types that are written by themselves.
const (
	typeExtended   = 0x05
	typeExtendedL  = 0x0f
	typeProtective = 0xee
)

// Partition is one entry of a table.
type Partition struct {
	Number  int    // 1-based; from 5 on for logical partitions
	Start   uint64 // first sector
	Sectors uint64
	Active  bool // the MBR's boot flag

	Type  GUID   // GPT type
	ID    GUID   // GPT unique partition GUID
	Name  string // at most 36 UTF-16 units
	Attrs uint64

	MBRType byte // e.g. 0x83
	InMBR   bool // listed in the MBR of a hybrid table too
	Logical bool // inside the MBR's extended partition
}

// Table is a whole partition table.
type Table struct {
	Kind       Kind
	Sectors    uint64 // of the whole disk
	DiskID     GUID   // GPT disk GUID
	Signature  uint32 // MBR disk signature, also written into a protective MBR
	Partitions []Partition

	// ExtendedNumber is the primary slot, 1 to 4, of the extended partition when there are logical ones.
	ExtendedNumber int
}

// Range is a run of bytes on the disk.
type Range struct{ Offset, Length int64 }

// Write puts the table onto a disk of t.Sectors sectors and returns the ranges that it wrote, in order.
func (t *Table) Write(w io.WriterAt) ([]Range, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	d := &writer{w: w}
	switch t.Kind {
	case MBR:
		t.writeMBR(d)
	default:
		t.writeGPT(d)
	}
	return d.ranges, d.err
}

// writer collects what is written and keeps the first error.
type writer struct {
	w      io.WriterAt
	ranges []Range
	err    error
}

func (d *writer) put(sector uint64, data []byte) {
	if d.err != nil {
		return
	}
	at := int64(sector) * SectorSize
	_, d.err = d.w.WriteAt(data, at)
	d.ranges = append(d.ranges, Range{at, int64(len(data))})
}

// end is the first sector behind p.
func (p *Partition) end() uint64 { return p.Start + p.Sectors }

// check refuses what no firmware or kernel would read back as it was meant.
func (t *Table) check() error {
	first, last := uint64(1), t.Sectors
	if t.Kind != MBR {
		if t.Sectors < 2*Overhead {
			return fmt.Errorf("a disk of %d sectors is too small for a GPT", t.Sectors)
		}
		first, last = Overhead, t.Sectors-Overhead+1
	}
	sorted := append([]Partition(nil), t.Partitions...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Start < sorted[j].Start })
	for i := range sorted {
		p := &sorted[i]
		switch {
		case p.Sectors == 0:
			return fmt.Errorf("partition %d has no sectors", p.Number)
		case p.Start < first || p.end() > last || p.end() < p.Start:
			return fmt.Errorf("partition %d (sectors %d to %d) leaves the usable part of the disk (%d to %d)",
				p.Number, p.Start, p.end()-1, first, last-1)
		case i > 0 && sorted[i-1].end() > p.Start:
			return fmt.Errorf("partitions %d and %d overlap at sector %d", sorted[i-1].Number, p.Number, p.Start)
		}
	}
	if t.Kind == MBR {
		return t.checkMBR()
	}
	if err := t.checkGPT(); err != nil || t.Kind == GPT {
		return err
	}
	return t.checkHybrid()
}

func (t *Table) checkGPT() error {
	numbers, ids := map[int]bool{}, map[GUID]int{}
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if p.Number < 1 || p.Number > MaxPartitions {
			return fmt.Errorf("partition number %d is outside of 1 to %d", p.Number, MaxPartitions)
		}
		if numbers[p.Number] {
			return fmt.Errorf("partition number %d is used twice", p.Number)
		}
		if other, dup := ids[p.ID]; dup {
			return fmt.Errorf("partitions %d and %d have the same GUID %s", other, p.Number, p.ID)
		}
		numbers[p.Number], ids[p.ID] = true, p.Number
		if n := len(utf16Name(p.Name)); n > nameUnits {
			return fmt.Errorf("the name %q of partition %d is longer than the %d characters of a GPT entry", p.Name, p.Number, nameUnits)
		}
	}
	return nil
}

// TypeOf is the type GUID that sgdisk's --typecode understands by code: four hex digits with or without 0x
// (e.g. "EF00", "0x8301"), or a GUID.
func TypeOf(code string) (GUID, error) {
	if g, err := ParseGUID(code); err == nil {
		return g, nil
	}
	key := normalCode(code)
	for _, row := range typeCodes {
		if row.code == key {
			return ParseGUID(row.guid)
		}
	}
	e := diag.Userf(diag.Pos{}, "unknown partition type %q", code)
	if near := nearestCode(key); near != "" {
		return GUID{}, e.WithHint("did you mean %s?", near)
	}
	return GUID{}, e.WithHint("use a code that sgdisk -L lists, e.g. EF00, or a type GUID")
}
