package control

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// keyboard reads a terminal, for whoever wants its keys at the moment.
type keyboard struct {
	in chan []byte // closed when there are no more

	mu   sync.Mutex
	rest []byte // read, and not taken
}

func newKeyboard(in io.Reader) *keyboard {
	k := &keyboard{in: make(chan []byte)}
	go func() {
		defer close(k.in)
		for {
			buf := make([]byte, 1024)
			n, err := in.Read(buf)
			if n > 0 {
				k.in <- buf[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	return k
}

// during gives the keys until ctx ends; then there are no more, and those that come are somebody else's.
func (k *keyboard) during(ctx context.Context) io.Reader { return &keys{k, ctx} }

type keys struct {
	from *keyboard
	ctx  context.Context
}

func (r *keys) Read(b []byte) (int, error) {
	k := r.from
	k.mu.Lock()
	if len(k.rest) == 0 {
		k.mu.Unlock()
		select {
		case data, ok := <-k.in:
			if !ok {
				return 0, io.EOF
			}
			k.mu.Lock()
			k.rest = append(k.rest, data...)
		case <-r.ctx.Done():
			return 0, io.EOF
		}
	}
	defer k.mu.Unlock()
	n := copy(b, k.rest)
	k.rest = k.rest[n:]
	return n, nil
}

// waitFor calls found when a key comes, until ctx ends. Other keys are kept for who reads next.
func (k *keyboard) waitFor(ctx context.Context, key byte, found func()) {
	for {
		select {
		case data, ok := <-k.in:
			if !ok {
				return
			}
			if bytes.IndexByte(data, key) >= 0 {
				found()
				continue
			}
			k.mu.Lock()
			k.rest = append(k.rest, data...)
			k.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// lineKeys are the keys for a line editor, which takes Ctrl-C for the end: here it only empties the line.
type lineKeys struct {
	in io.Reader
}

// Read gives Ctrl-U and nothing else for Ctrl-C.
func (l *lineKeys) Read(b []byte) (int, error) {
	n, err := l.in.Read(b)
	for i, c := range b[:n] {
		if c == 0x03 {
			b[i] = 0x15
		}
	}
	return n, err
}
