package apt

import (
	"hash"
	"io"
)

// aheadReader decompresses in the background while the parser works.
type aheadReader struct {
	chunks chan aheadChunk
	free   chan []byte
	quit   chan struct{}
	cur    []byte
	whole  []byte
	err    error
}

type aheadChunk struct {
	data []byte
	err  error
}

func readAhead(r io.Reader, h hash.Hash) *aheadReader {
	const depth = 4
	a := &aheadReader{chunks: make(chan aheadChunk, depth), free: make(chan []byte, depth), quit: make(chan struct{})}
	for range depth {
		a.free <- make([]byte, 256<<10)
	}
	go func() {
		defer close(a.chunks)
		for {
			var buf []byte
			select {
			case buf = <-a.free:
			case <-a.quit:
				return
			}
			n, err := io.ReadFull(r, buf)
			if err == io.ErrUnexpectedEOF {
				err = io.EOF
			}
			h.Write(buf[:n])
			a.chunks <- aheadChunk{buf[:n], err}
			if err != nil {
				return
			}
		}
	}()
	return a
}

// stop ends the background work and waits for it.
func (a *aheadReader) stop() {
	close(a.quit)
	for range a.chunks {
	}
}

func (a *aheadReader) Read(p []byte) (int, error) {
	for len(a.cur) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		if a.whole != nil {
			a.free <- a.whole[:cap(a.whole)]
		}
		c := <-a.chunks
		a.cur, a.whole, a.err = c.data, c.data, c.err
	}
	n := copy(p, a.cur)
	a.cur = a.cur[n:]
	return n, nil
}
