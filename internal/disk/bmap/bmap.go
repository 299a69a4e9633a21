// SPDX-License-Identifier: MIT

// Package bmap writes block maps: which blocks of a raw image must be copied to a medium, with their checksums.
//
// Input is the image and a [Map] of the ranges that mean something; output is an XML file of format version 2.0 as
// bmaptool (bmap-tools, BmapCreate.py) writes and reads it. Blocks are 4096 bytes.
package bmap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

const blockSize = 4096

// Map says which blocks of an image mean something.
type Map struct {
	size   int64
	blocks []uint64 // one bit a block
}

// NewMap is the map of an image of size bytes of which no block means anything.
func NewMap(size int64) *Map {
	return &Map{size: size, blocks: make([]uint64, (size+blockSize*64-1)/(blockSize*64))}
}

// Add marks the blocks that the range touches.
func (m *Map) Add(offset, length int64) {
	if length <= 0 {
		return
	}
	for b := offset / blockSize; b <= (offset+length-1)/blockSize; b++ {
		m.blocks[b/64] |= 1 << (b % 64)
	}
}

func (m *Map) has(b int64) bool { return m.blocks[b/64]&(1<<(b%64)) != 0 }

// runs lists the marked runs of blocks, each with its first and last block.
func (m *Map) runs() (list [][2]int64, count int64) {
	total := (m.size + blockSize - 1) / blockSize
	for b := int64(0); b < total; b++ {
		if !m.has(b) {
			continue
		}
		first := b
		for b+1 < total && m.has(b+1) {
			b++
		}
		list = append(list, [2]int64{first, b})
		count += b - first + 1
	}
	return list, count
}

// Write writes the block map of img, whose marked blocks it reads for their checksums.
func Write(ctx context.Context, w io.Writer, img io.ReaderAt, m *Map) error {
	runs, count := m.runs()
	var b bytes.Buffer
	unset := strings.Repeat("0", 2*sha256.Size)
	fmt.Fprintf(&b, "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">\n")
	fmt.Fprintf(&b, "    <ImageSize> %d </ImageSize>\n", m.size)
	fmt.Fprintf(&b, "    <BlockSize> %d </BlockSize>\n", blockSize)
	fmt.Fprintf(&b, "    <BlocksCount> %d </BlocksCount>\n", (m.size+blockSize-1)/blockSize)
	fmt.Fprintf(&b, "    <MappedBlocksCount> %d </MappedBlocksCount>\n", count)
	fmt.Fprintf(&b, "    <ChecksumType> sha256 </ChecksumType>\n")
	fmt.Fprintf(&b, "    <!-- SHA-256 of this file with this sum's digits all zero -->\n")
	fmt.Fprintf(&b, "    <BmapFileChecksum> %s </BmapFileChecksum>\n", unset)
	fmt.Fprintf(&b, "    <BlockMap>\n")
	for _, r := range runs {
		if err := ctx.Err(); err != nil {
			return err
		}
		sum, err := checksum(img, r[0]*blockSize, min((r[1]+1)*blockSize, m.size))
		if err != nil {
			return err
		}
		span := fmt.Sprint(r[0])
		if r[1] > r[0] {
			span = fmt.Sprintf("%d-%d", r[0], r[1])
		}
		fmt.Fprintf(&b, "        <Range chksum=\"%s\"> %s </Range>\n", sum, span)
	}
	fmt.Fprintf(&b, "    </BlockMap>\n</bmap>\n")
	own := sha256.Sum256(b.Bytes())
	_, err := w.Write(bytes.Replace(b.Bytes(), []byte(unset), []byte(hex.EncodeToString(own[:])), 1))
	return err
}

func checksum(img io.ReaderAt, start, end int64) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(img, start, end-start)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
