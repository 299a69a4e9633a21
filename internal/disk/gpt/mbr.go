// SPDX-License-Identifier: MIT

package gpt

import (
	"encoding/binary"
	"fmt"
	"sort"
)

const (
	mbrSignature = 0x1b8
	mbrTable     = 0x1be
	mbrMagic     = 0x1fe
	heads        = 255 // the geometry that every BIOS reports for a large disk, and that sfdisk assumes
	perTrack     = 63

	// EBRGap is the number of sectors between an extended boot record and its logical partition, as wic reserves it.
	EBRGap = 2
)

// bootSector is an empty MBR with the disk's signature.
func (t *Table) bootSector() []byte {
	s := make([]byte, SectorSize)
	binary.LittleEndian.PutUint32(s[mbrSignature:], t.Signature)
	s[mbrMagic], s[mbrMagic+1] = 0x55, 0xaa
	return s
}

// mbrEntry is one 16-byte entry; start is relative to what the entry's place demands.
func mbrEntry(active bool, kind byte, start, sectors uint64) []byte {
	e := make([]byte, 16)
	if active {
		e[0] = 0x80
	}
	e[4] = kind
	copy(e[1:], chs(start))
	copy(e[5:], chs(start+sectors-1))
	binary.LittleEndian.PutUint32(e[8:], uint32(start))
	binary.LittleEndian.PutUint32(e[12:], uint32(sectors))
	return e
}

// chs is the cylinder, head and sector of a sector number; what lies behind cylinder 1023 is marked as such.
func chs(sector uint64) []byte {
	c, h, s := sector/(heads*perTrack), sector/perTrack%heads, sector%perTrack+1
	if c > 1023 {
		return []byte{0xfe, 0xff, 0xff}
	}
	return []byte{byte(h), byte(s) | byte(c>>2)&0xc0, byte(c)}
}

// writeMBR writes the boot sector and one extended boot record for each logical partition.
func (t *Table) writeMBR(d *writer) {
	s := t.bootSector()
	logical := t.logical()
	for i := range t.Partitions {
		if p := &t.Partitions[i]; !p.Logical {
			copy(s[mbrTable+16*(p.Number-1):], mbrEntry(p.Active, p.MBRType, p.Start, p.Sectors))
		}
	}
	if len(logical) == 0 {
		d.put(0, s)
		return
	}
	start, end := t.extended()
	copy(s[mbrTable+16*(t.ExtendedNumber-1):], mbrEntry(false, typeExtendedL, start, end-start))
	d.put(0, s)
	for i := range logical {
		p := &logical[i]
		ebr := make([]byte, SectorSize)
		copy(ebr[mbrTable:], mbrEntry(p.Active, p.MBRType, EBRGap, p.Sectors))
		copy(ebr[mbrTable+1:], chs(p.Start))
		copy(ebr[mbrTable+5:], chs(p.end()-1))
		if i+1 < len(logical) {
			// The link counts from the start of the extended partition, the entry above from its own record.
			q := &logical[i+1]
			at, size := q.Start-EBRGap, q.Sectors+EBRGap
			copy(ebr[mbrTable+16:], mbrEntry(false, typeExtended, at-start, size))
			copy(ebr[mbrTable+17:], chs(at))
			copy(ebr[mbrTable+21:], chs(at+size-1))
		}
		ebr[mbrMagic], ebr[mbrMagic+1] = 0x55, 0xaa
		d.put(p.Start-EBRGap, ebr)
	}
}

// logical gives the logical partitions in the order of their numbers.
func (t *Table) logical() []Partition {
	var l []Partition
	for _, p := range t.Partitions {
		if p.Logical {
			l = append(l, p)
		}
	}
	sort.Slice(l, func(i, j int) bool { return l[i].Number < l[j].Number })
	return l
}

// extended is the extent of the extended partition: from the first record to the end of the last logical partition.
func (t *Table) extended() (start, end uint64) {
	l := t.logical()
	return l[0].Start - EBRGap, l[len(l)-1].end()
}

func (t *Table) checkMBR() error {
	slots := map[int]bool{}
	logical := t.logical()
	for i, p := range logical {
		switch {
		case p.Number != 5+i:
			return fmt.Errorf("logical partitions must be numbered from 5 on without gaps, not %d", p.Number)
		case p.Start < 1+EBRGap:
			return fmt.Errorf("logical partition %d leaves no place for its boot record", p.Number)
		case i > 0 && logical[i-1].end()+EBRGap > p.Start:
			return fmt.Errorf("logical partition %d leaves no place for its boot record", p.Number)
		}
	}
	if len(logical) > 0 {
		if t.ExtendedNumber < 1 || t.ExtendedNumber > 4 {
			return fmt.Errorf("the extended partition has no place among the four primary ones")
		}
		slots[t.ExtendedNumber] = true
	}
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if p.end() > 1<<32 {
			return fmt.Errorf("partition %d ends behind the 2 TiB that an MBR can name", p.Number)
		}
		if p.Logical {
			continue
		}
		if p.Number < 1 || p.Number > 4 {
			return fmt.Errorf("an MBR has four primary partitions, there is no number %d", p.Number)
		}
		if slots[p.Number] {
			return fmt.Errorf("primary partition number %d is used twice", p.Number)
		}
		slots[p.Number] = true
		if len(logical) > 0 {
			if start, end := t.extended(); p.Start < end && p.end() > start {
				return fmt.Errorf("primary partition %d lies inside the extended partition", p.Number)
			}
		}
	}
	return nil
}
