package buildroot

import (
	"io"
	"sync/atomic"
	"time"
)

// pulse passes output on and knows when the last came.
type pulse struct {
	out  io.Writer
	last atomic.Int64 // nanoseconds since began
	from time.Time
}

func newPulse(out io.Writer) *pulse {
	if out == nil {
		out = io.Discard
	}
	return &pulse{out: out, from: time.Now()}
}

func (p *pulse) Write(b []byte) (int, error) {
	p.last.Store(int64(time.Since(p.from)))
	return p.out.Write(b)
}

// watch calls stalled once when nothing was written for so long, until stop is called.
func (p *pulse) watch(long time.Duration, stalled func()) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			rest := time.Duration(p.last.Load()) + long - time.Since(p.from)
			if rest <= 0 {
				stalled()
				return
			}
			select {
			case <-done:
				return
			case <-time.After(rest):
			}
		}
	}()
	return func() { close(done) }
}
