// SPDX-License-Identifier: MIT

package fat

import (
	"encoding/binary"
	"fmt"
	"math"
)

// volume is the geometry of a file system and its allocation table.
type volume struct {
	img Image

	bits        int   // of a table entry: 12, 16 or 32
	sectorSize  int64 //
	clusterSize int64 // bytes
	clusters    uint32
	fats        int
	fatStart    int64 // byte offset of the first table
	fatSize     int64 // bytes of one table
	rootStart   int64 // byte offset of the fixed root directory
	rootEntries int   // of the fixed root directory
	rootCluster uint32
	infoSectors []int64 // byte offsets of FAT32's FSInfo and its copy
	dataStart   int64
	label       []byte // the entries that mkfs has put into the root

	table []uint32 // the entries up to next; MaxUint32 is the end of a chain
	next  uint32   // the first free cluster
}

const entrySize = 32

// open reads the boot sector (fatgen103, "Boot Sector and BPB Structure") and what mkfs has allocated.
func open(img Image) (*volume, error) {
	b := make([]byte, 512)
	if _, err := img.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("read the boot sector: %w", err)
	}
	le := binary.LittleEndian
	v := &volume{img: img, sectorSize: int64(le.Uint16(b[11:])), fats: int(b[16]), rootEntries: int(le.Uint16(b[17:]))}
	reserved, perFAT, total := int64(le.Uint16(b[14:])), int64(le.Uint16(b[22:])), int64(le.Uint16(b[19:]))
	if total == 0 {
		total = int64(le.Uint32(b[32:]))
	}
	if perFAT == 0 {
		v.bits, perFAT = 32, int64(le.Uint32(b[36:]))
		v.rootCluster = le.Uint32(b[44:])
	}
	v.clusterSize = v.sectorSize * int64(b[13])
	if b[510] != 0x55 || b[511] != 0xaa || v.sectorSize < 512 || v.clusterSize == 0 || v.fats == 0 || perFAT == 0 {
		return nil, fmt.Errorf("not a FAT file system")
	}
	rootSize := ceil(int64(v.rootEntries)*entrySize, v.sectorSize) * v.sectorSize
	v.fatStart, v.fatSize = reserved*v.sectorSize, perFAT*v.sectorSize
	v.rootStart = v.fatStart + int64(v.fats)*v.fatSize
	v.dataStart = v.rootStart + rootSize
	count := (total*v.sectorSize - v.dataStart) / v.clusterSize
	if count < 1 || count > math.MaxUint32/16 {
		return nil, fmt.Errorf("a FAT file system of %d sectors has no place for files", total)
	}
	v.clusters = uint32(count)
	switch {
	case v.bits == 32:
		v.readInfoPlaces(b)
	case count < 4085:
		v.bits = 12
	default:
		v.bits = 16
	}
	return v, v.readAllocated()
}

// readInfoPlaces finds FSInfo and its copy behind the backup boot sector.
func (v *volume) readInfoPlaces(boot []byte) {
	info, backup := binary.LittleEndian.Uint16(boot[48:]), binary.LittleEndian.Uint16(boot[50:])
	if info == 0 || info == 0xffff {
		return
	}
	v.infoSectors = []int64{int64(info) * v.sectorSize}
	if backup != 0 && backup != 0xffff {
		v.infoSectors = append(v.infoSectors, int64(backup+info)*v.sectorSize)
	}
}

// readAllocated takes over the first table entries and the root's entries that mkfs has made.
func (v *volume) readAllocated() error {
	v.next = 2
	rootAt, rootSize := v.rootStart, int64(v.rootEntries)*entrySize
	head := make([]byte, 12)
	if _, err := v.img.ReadAt(head, v.fatStart); err != nil {
		return err
	}
	switch v.bits {
	case 32:
		if v.rootCluster != 2 {
			return fmt.Errorf("the root directory is at cluster %d, not at 2", v.rootCluster)
		}
		v.table = []uint32{binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[4:]), math.MaxUint32}
		v.next, rootAt, rootSize = 3, v.offset(2), v.clusterSize
	case 16:
		v.table = []uint32{uint32(binary.LittleEndian.Uint16(head)), uint32(binary.LittleEndian.Uint16(head[2:]))}
	case 12:
		v.table = []uint32{uint32(head[0]) | uint32(head[1]&0xf)<<8, uint32(head[1])>>4 | uint32(head[2])<<4}
	}
	root := make([]byte, rootSize)
	if _, err := v.img.ReadAt(root, rootAt); err != nil {
		return err
	}
	for len(v.label) < len(root) && root[len(v.label)] != 0 {
		v.label = root[:len(v.label)+entrySize]
	}
	return nil
}

// offset is where a cluster lies in the image.
func (v *volume) offset(cluster uint32) int64 { return v.dataStart + int64(cluster-2)*v.clusterSize }

// writeTables writes the used part of every copy of the table, and FAT32's counters.
func (v *volume) writeTables() error {
	data := v.encodeTable()
	if int64(len(data)) > v.fatSize {
		return fmt.Errorf("BUG: table of %d bytes, place for %d", len(data), v.fatSize)
	}
	for i := range v.fats {
		if _, err := v.img.WriteAt(data, v.fatStart+int64(i)*v.fatSize); err != nil {
			return err
		}
	}
	counts := make([]byte, 8)
	binary.LittleEndian.PutUint32(counts, v.clusters+2-v.next)
	binary.LittleEndian.PutUint32(counts[4:], min(v.next, v.clusters+1))
	for _, at := range v.infoSectors {
		if _, err := v.img.WriteAt(counts, at+488); err != nil {
			return err
		}
	}
	return nil
}

func (v *volume) encodeTable() []byte {
	switch v.bits {
	case 32:
		out := make([]byte, 4*len(v.table))
		for i, e := range v.table {
			binary.LittleEndian.PutUint32(out[4*i:], e&0x0fffffff)
		}
		return out
	case 16:
		out := make([]byte, 2*len(v.table))
		for i, e := range v.table {
			binary.LittleEndian.PutUint16(out[2*i:], uint16(e))
		}
		return out
	}
	out := make([]byte, (3*len(v.table)+1)/2)
	for i, e := range v.table {
		e &= 0xfff
		at := i * 3 / 2
		if i%2 == 0 {
			out[at] = byte(e)
			out[at+1] |= byte(e >> 8)
		} else {
			out[at] |= byte(e << 4)
			out[at+1] = byte(e >> 4)
		}
	}
	return out
}
