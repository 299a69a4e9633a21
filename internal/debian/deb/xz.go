package deb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"

	fastxz "github.com/therootcompany/xz"
)

// Large packages and indices are xz streams of several independent blocks (xz -T). [xzBlocks] decodes them side by
// side: with two cores a kernel package takes half the time.
//
// The layout is that of the .xz file format specification 1.2: 12 bytes of header, blocks, index, 12 bytes of footer.

const (
	xzEnds     = 12
	maxXZBlock = 64 << 20 // of one block in memory; dpkg and xz -T make blocks of 24 MiB
	maxXZIndex = 1 << 20
)

// xzBlock is one block and what the index says of it.
type xzBlock struct {
	offset, unpadded, plain int64
}

func (b xzBlock) padded() int64 { return (b.unpadded + 3) &^ 3 }

// xzBlocks reads the blocks of one stream in order while the next ones are decoded.
type xzBlocks struct {
	r       io.ReaderAt
	header  [xzEnds]byte
	blocks  []xzBlock // not yet started
	pending []chan xzResult
	current []byte // decoded, not yet read
	whole   []byte // the buffer of current
	free    [][]byte
	err     error
}

type xzResult struct {
	data []byte
	err  error
}

// newXZBlocks looks at the index; ok is false when the stream is better decoded front to back.
func newXZBlocks(r io.ReaderAt, size int64) (x *xzBlocks, ok bool) {
	x = &xzBlocks{r: r}
	if _, err := r.ReadAt(x.header[:], 0); err != nil {
		return nil, false
	}
	blocks, err := xzIndex(r, size)
	if err != nil || len(blocks) < 2 {
		return nil, false
	}
	for _, b := range blocks {
		if b.plain > maxXZBlock {
			return nil, false
		}
	}
	x.blocks = blocks
	return x, true
}

var errXZIndex = errors.New("unusable xz index")

// xzIndex lists the blocks of a file that holds exactly one stream.
func xzIndex(r io.ReaderAt, size int64) ([]xzBlock, error) {
	var footer [xzEnds]byte
	if size < 3*xzEnds {
		return nil, errXZIndex
	}
	if _, err := r.ReadAt(footer[:], size-xzEnds); err != nil {
		return nil, err
	}
	length := (int64(binary.LittleEndian.Uint32(footer[4:])) + 1) * 4
	if string(footer[10:]) != "YZ" || length > maxXZIndex || length > size-2*xzEnds {
		return nil, errXZIndex
	}
	index := make([]byte, length)
	if _, err := r.ReadAt(index, size-xzEnds-length); err != nil {
		return nil, err
	}
	in := bytes.NewReader(index)
	if zero, _ := in.ReadByte(); zero != 0 {
		return nil, errXZIndex
	}
	count, err := binary.ReadUvarint(in)
	if err != nil || count > uint64(length) {
		return nil, errXZIndex
	}
	blocks := make([]xzBlock, count)
	at := int64(xzEnds)
	for i := range blocks {
		unpadded, err1 := binary.ReadUvarint(in)
		plain, err2 := binary.ReadUvarint(in)
		if err1 != nil || err2 != nil || unpadded > uint64(size) || plain > 1<<62 {
			return nil, errXZIndex
		}
		blocks[i] = xzBlock{at, int64(unpadded), int64(plain)}
		at += blocks[i].padded()
	}
	if at+length+xzEnds != size {
		return nil, errXZIndex
	}
	return blocks, nil
}

// Read implements io.Reader.
func (x *xzBlocks) Read(p []byte) (int, error) {
	for len(x.current) == 0 {
		if x.err != nil {
			return 0, x.err
		}
		x.err = x.next()
	}
	n := copy(p, x.current)
	x.current = x.current[n:]
	return n, nil
}

// next starts as many decoders as there is room for, and waits for the first of them.
func (x *xzBlocks) next() error {
	if x.whole != nil {
		x.free, x.whole = append(x.free, x.whole), nil
	}
	for len(x.blocks) > 0 && len(x.pending) < min(4, runtime.GOMAXPROCS(0)) {
		b := x.blocks[0]
		x.blocks = x.blocks[1:]
		var buf []byte
		if n := len(x.free); n > 0 && int64(cap(x.free[n-1])) >= b.plain {
			buf, x.free = x.free[n-1][:b.plain], x.free[:n-1]
		} else {
			buf = make([]byte, b.plain)
		}
		done := make(chan xzResult, 1)
		x.pending = append(x.pending, done)
		go func() { done <- xzResult{buf, x.decode(b, buf)} }()
	}
	if len(x.pending) == 0 {
		return io.EOF
	}
	result := <-x.pending[0]
	x.pending = x.pending[1:]
	if result.err != nil {
		return result.err
	}
	x.current, x.whole = result.data, result.data
	return nil
}

// decode reads one block as the only one of a stream, for which it makes up an index and a footer.
func (x *xzBlocks) decode(b xzBlock, into []byte) error {
	index := []byte{0, 1}
	index = binary.AppendUvarint(index, uint64(b.unpadded))
	index = binary.AppendUvarint(index, uint64(b.plain))
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))
	flags := x.header[6:8]
	footer := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	footer = append(footer, flags...)
	footer = append(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(footer)), footer...)
	footer = append(footer, 'Y', 'Z')

	stream := io.MultiReader(bytes.NewReader(x.header[:]), io.NewSectionReader(x.r, b.offset, b.padded()),
		bytes.NewReader(index), bytes.NewReader(footer))
	z, err := fastxz.NewReader(stream, maxDictionary)
	if err != nil {
		return fmt.Errorf("xz block at byte %d: %w", b.offset, err)
	}
	if _, err := io.ReadFull(z, into); err != nil {
		return fmt.Errorf("xz block at byte %d: %w", b.offset, err)
	}
	if n, err := z.Read(make([]byte, 1)); n != 0 || err != io.EOF { // reading to the end verifies the checksum
		return fmt.Errorf("xz block at byte %d is longer than its index says, or damaged: %w", b.offset, err)
	}
	return nil
}
