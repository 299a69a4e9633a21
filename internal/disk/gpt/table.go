// SPDX-License-Identifier: MIT

package gpt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sort"
)

const (
	headerSize  = 92
	entrySize   = 128
	arraySize   = MaxPartitions * entrySize
	arrayBlocks = arraySize / SectorSize
)

// writeGPT writes the MBR sector, both headers and both arrays (UEFI 2.10, 5.3). The array always has 128 entries.
func (t *Table) writeGPT(d *writer) {
	array := make([]byte, arraySize)
	for i := range t.Partitions {
		p := &t.Partitions[i]
		e := array[(p.Number-1)*entrySize:][:entrySize]
		copy(e, p.Type.disk())
		copy(e[16:], p.ID.disk())
		binary.LittleEndian.PutUint64(e[32:], p.Start)
		binary.LittleEndian.PutUint64(e[40:], p.end()-1)
		binary.LittleEndian.PutUint64(e[48:], p.Attrs)
		for j, u := range utf16Name(p.Name) {
			binary.LittleEndian.PutUint16(e[56+2*j:], u)
		}
	}
	last := t.Sectors - 1
	d.put(0, t.gptBootSector())
	d.put(1, t.header(1, last, 2, array))
	d.put(2, array)
	d.put(last-arrayBlocks, array)
	d.put(last, t.header(last, 1, last-arrayBlocks, array))
}

// header is the GPT header that lies at sector self (UEFI 2.10, table 5-5).
func (t *Table) header(self, other, arrayAt uint64, array []byte) []byte {
	le := binary.LittleEndian
	h := make([]byte, SectorSize)
	copy(h, "EFI PART")
	le.PutUint32(h[8:], 0x00010000)
	le.PutUint32(h[12:], headerSize)
	le.PutUint64(h[24:], self)
	le.PutUint64(h[32:], other)
	le.PutUint64(h[40:], Overhead)           // first usable sector
	le.PutUint64(h[48:], t.Sectors-Overhead) // last usable sector
	copy(h[56:], t.DiskID.disk())
	le.PutUint64(h[72:], arrayAt)
	le.PutUint32(h[80:], MaxPartitions)
	le.PutUint32(h[84:], entrySize)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(array))
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:headerSize]))
	return h
}

// gptBootSector is the protective MBR (UEFI 2.10, 5.2.3) or, for a hybrid, an MBR with the chosen partitions and,
// behind them, a protective entry that covers just the table, as wic writes it.
func (t *Table) gptBootSector() []byte {
	s := t.bootSector()
	if t.Kind == GPT {
		size := min(t.Sectors-1, 0xffffffff)
		e := mbrEntry(false, typeProtective, 1, size)
		copy(e[1:], []byte{0x00, 0x02, 0x00}) // the specification fixes these CHS values
		copy(e[5:], []byte{0xff, 0xff, 0xff})
		copy(s[mbrTable:], e)
		return s
	}
	slot := 0
	for _, p := range t.byNumber() {
		if p.InMBR {
			copy(s[mbrTable+16*slot:], mbrEntry(p.Active, p.MBRType, p.Start, p.Sectors))
			slot++
		}
	}
	copy(s[mbrTable+16*slot:], mbrEntry(false, typeProtective, 1, Overhead))
	return s
}

func (t *Table) byNumber() []Partition {
	ps := append([]Partition(nil), t.Partitions...)
	sort.Slice(ps, func(i, j int) bool { return ps[i].Number < ps[j].Number })
	return ps
}

func (t *Table) checkHybrid() error {
	n := 0
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if !p.InMBR {
			continue
		}
		if n++; n > 3 {
			return fmt.Errorf("more than 3 partitions are listed in the hybrid MBR, whose fourth entry protects the GPT")
		}
		if p.end() > 1<<32 {
			return fmt.Errorf("partition %d ends behind the 2 TiB that the hybrid MBR can name", p.Number)
		}
	}
	return nil
}
