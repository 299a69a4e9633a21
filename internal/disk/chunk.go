// SPDX-License-Identifier: MIT

package disk

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/flate"
)

// Bounds of a chunk: about 1 MiB on average.
const (
	minChunk  = 256 << 10
	maxChunk  = 4 << 20
	chunkMask = 1<<20 - 1
)

// chunker cuts a stream at places that depend on the 32 bytes before them only, so that after an insertion the same
// cuts come again.
type chunker struct {
	r    io.Reader
	buf  []byte // what was read and not given out yet
	end  bool
	gear [256]uint32
}

func newChunker(r io.Reader) *chunker {
	c := &chunker{r: r}
	x := uint32(2463534242)
	for i := range c.gear {
		x ^= x << 13 // xorshift32: any fixed table of mixed bits will do
		x ^= x >> 17
		x ^= x << 5
		c.gear[i] = x
	}
	return c
}

func (c *chunker) next() ([]byte, error) {
	if !c.end && len(c.buf) < maxChunk {
		more, err := readFull(c.r, make([]byte, 2*maxChunk-len(c.buf)))
		if err != nil && err != io.EOF {
			return nil, err
		}
		c.end = len(more) < 2*maxChunk-len(c.buf)
		c.buf = append(c.buf[:len(c.buf):len(c.buf)], more...)
	}
	if len(c.buf) == 0 {
		return nil, io.EOF
	}
	cut := c.cut()
	block := c.buf[:cut:cut]
	c.buf = c.buf[cut:]
	return block, nil
}

func (c *chunker) cut() int {
	limit := min(len(c.buf), maxChunk)
	if limit <= minChunk {
		return limit
	}
	hash := uint32(0)
	for i := minChunk - 32; i < limit; i++ {
		hash = hash<<1 + c.gear[c.buf[i]]
		// The high bits depend on all of the last 32 bytes.
		if i >= minChunk && hash>>12&chunkMask == 0 {
			return i + 1
		}
	}
	return limit
}

// deflate compresses a block on its own and ends it at a byte boundary; the last block ends the stream.
func deflate(block []byte, level int, last bool) ([]byte, error) {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(block); err != nil {
		return nil, err
	}
	if last {
		err = w.Close()
	} else {
		err = w.Flush()
	}
	return out.Bytes(), err
}
