package gpt

import (
	"encoding/binary"
	"fmt"
	"io"
)

// maxEntries bounds the partition table that [Read] believes in.
const maxEntries = 1024

// Read gives where the partitions of a GPT lie, in the table's order, as ranges in bytes. It trusts sector 1: checksums and the second
// table are not looked at.
func Read(r io.ReaderAt) ([]Range, error) {
	head := make([]byte, SectorSize)
	if _, err := r.ReadAt(head, SectorSize); err != nil || string(head[:8]) != "EFI PART" {
		return nil, fmt.Errorf("the disk has no GPT")
	}
	le := binary.LittleEndian
	at, count, size := le.Uint64(head[72:]), le.Uint32(head[80:]), le.Uint32(head[84:])
	if count > maxEntries || size < 128 || size > 4096 || at > 1<<40 {
		return nil, fmt.Errorf("the GPT is damaged")
	}
	var out []Range
	entry := make([]byte, size)
	for i := range count {
		if _, err := r.ReadAt(entry, int64(at)*SectorSize+int64(i)*int64(size)); err != nil {
			return nil, fmt.Errorf("read the GPT: %w", err)
		}
		first, last := le.Uint64(entry[32:]), le.Uint64(entry[40:])
		if [16]byte(entry[:16]) == [16]byte{} {
			continue
		}
		if last < first || last > 1<<40 {
			return nil, fmt.Errorf("the GPT is damaged")
		}
		out = append(out, Range{int64(first) * SectorSize, int64(last-first+1) * SectorSize})
	}
	return out, nil
}
