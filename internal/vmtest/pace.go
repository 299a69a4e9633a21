package vmtest

import (
	"sync"
	"time"

	"n3x/internal/vm/qemu"
)

// nominalBoot is how long a machine takes from power-on to its agent with KVM on a processor of today.
const nominalBoot = 5 * time.Second

// Pace says how much slower than meant machines are, and so how much longer they are waited for. Emulated machines begin with
// [qemu.Accel]'s factor; each boot then shows how fast they really are here and now, which on a shared host changes by the hour.
type Pace struct {
	scale float64

	mu     sync.Mutex
	factor float64
}

// begin notes with what machines run.
func (p *Pace) begin(a qemu.Accel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.factor = max(p.factor, float64(a.Scale(1)))
}

// booted notes how long a boot took. A fast one does not shorten limits: it can be luck.
func (p *Pace) booted(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.factor = max(p.factor, float64(took)/float64(nominalBoot))
}

// Factor is what limits are multiplied by.
func (p *Pace) Factor() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.factor, 1) * p.scale
}

// Limit is a time limit for these machines, when d suits one with KVM.
func (p *Pace) Limit(d time.Duration) time.Duration { return time.Duration(float64(d) * p.Factor()) }
