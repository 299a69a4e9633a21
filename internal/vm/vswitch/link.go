package vswitch

import (
	"container/heap"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// Condition is what a link does to frames, in the terms of Linux' netem and tbf.
type Condition struct {
	Delay     time.Duration // of each frame
	Jitter    time.Duration // the delay is evenly distributed over Delay - Jitter to Delay + Jitter; frames can overtake each other
	Loss      float64       // probability that a frame is lost, 0 to 1
	Duplicate float64       // probability that a frame arrives twice, 0 to 1
	Rate      int64         // bits a second, of whole frames; 0 is no limit
}

func (c *Condition) check() error {
	switch {
	case c.Delay < 0 || c.Jitter < 0 || c.Rate < 0:
		return errors.New("delay, jitter and rate are not negative")
	case c.Jitter > c.Delay:
		return fmt.Errorf("a jitter of %s is more than the delay of %s", c.Jitter, c.Delay)
	case !(c.Loss >= 0 && c.Loss <= 1) || !(c.Duplicate >= 0 && c.Duplicate <= 1):
		return errors.New("loss and duplication are probabilities from 0 to 1")
	}
	return nil
}

// shaper applies a condition to the frames of one direction.
type shaper struct {
	Condition
	mu   sync.Mutex
	dice *rand.Rand // of this direction alone: what other machines send changes nothing
	free time.Time  // when the link has sent what it was given
}

// newShaper begins a direction. The same seed and place, which names the direction, make the same sequence of accidents.
func newShaper(c Condition, seed uint64, place string) *shaper {
	h := fnv.New64a()
	h.Write([]byte(place))
	return &shaper{Condition: c, dice: rand.New(rand.NewPCG(seed, h.Sum64()))}
}

// pass says when a frame of this size that enters the link at now leaves it, and how many times.
func (s *shaper) pass(now time.Time, size int) (due time.Time, copies int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Loss > 0 && s.dice.Float64() < s.Loss {
		return now, 0
	}
	copies = 1
	if s.Duplicate > 0 && s.dice.Float64() < s.Duplicate {
		copies = 2
	}
	due = now
	if s.Rate > 0 {
		if s.free.After(due) {
			due = s.free
		}
		due = due.Add(time.Duration(float64(size) * 8 / float64(s.Rate) * float64(time.Second)))
		s.free = due
	}
	delay := s.Delay
	if s.Jitter > 0 {
		delay += time.Duration((2*s.dice.Float64() - 1) * float64(s.Jitter))
	}
	return due.Add(delay), copies
}

// outbox holds frames that wait for their time or for the machine to take them.
type outbox struct {
	mu      sync.Mutex
	limit   int
	waiting waiting
	busy    int // frames that drain has taken and not sent yet
	seq     uint64
	closed  bool
	buf     sender
	wake    chan struct{} // has room for one
}

type pending struct {
	due  time.Time
	seq  uint64
	wire wire
}

// waiting is a heap of frames, the next one first.
type waiting []pending

func (w waiting) Len() int { return len(w) }
func (w waiting) Less(i, j int) bool {
	return w[i].due.Before(w[j].due) || w[i].due.Equal(w[j].due) && w[i].seq < w[j].seq
}
func (w waiting) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *waiting) Push(x any)   { *w = append(*w, x.(pending)) }
func (w *waiting) Pop() any {
	old := *w
	last := old[len(old)-1]
	old[len(old)-1] = pending{}
	*w = old[:len(old)-1]
	return last
}

// transmit sends frames now, or after those that wait already.
func (o *outbox) transmit(p *Port, now time.Time, frames []wire) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 && o.busy == 0 {
		n := o.buf.send(p.raw, frames)
		p.sent(now, frames[:n])
		frames = frames[n:]
	}
	for i := range frames {
		o.enqueue(p, now, &frames[i])
	}
}

// full reports whether a further frame would be dropped. What is dropped must not take time of a slow link before.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting)+o.busy >= o.limit
}

// put lets a frame wait.
func (o *outbox) put(p *Port, due time.Time, w wire) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.enqueue(p, due, &w)
}

func (o *outbox) enqueue(p *Port, due time.Time, w *wire) {
	switch {
	case o.closed:
		p.count.drop(Unplugged)
		return
	case len(o.waiting)+o.busy >= o.limit:
		p.count.drop(QueueFull)
		return
	}
	o.seq++
	heap.Push(&o.waiting, pending{due, o.seq, w.copy()})
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.waiting = nil
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take removes up to a batch of frames that are due, or says how long the next one has.
func (o *outbox) take(now time.Time) (frames []wire, next time.Duration, open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next = time.Hour
	for len(o.waiting) > 0 && len(frames) < batchSize {
		if wait := o.waiting[0].due.Sub(now); wait > 0 {
			next = wait
			break
		}
		frames = append(frames, heap.Pop(&o.waiting).(pending).wire)
	}
	o.busy = len(frames)
	return frames, next, !o.closed
}

// drain sends what waits, until the port is unplugged.
func (p *Port) drain() {
	defer p.done.Done()
	var s sender
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		frames, next, open := p.out.take(now)
		if !open {
			return
		}
		if len(frames) == 0 {
			timer.Reset(next)
			select {
			case <-p.out.wake:
			case <-timer.C:
			}
			continue
		}
		for len(frames) > 0 {
			n, err := s.wait(p.raw, frames)
			p.sent(now, frames[:n])
			if frames = frames[n:]; err != nil {
				p.count.dropAll(Unplugged, len(frames))
				break
			}
		}
		p.out.mu.Lock()
		p.out.busy = 0
		p.out.mu.Unlock()
	}
}

// sent notes frames that have left.
func (p *Port) sent(now time.Time, frames []wire) {
	c := p.capture.Load()
	for i := range frames {
		p.count.sent(frames[i].len())
		if c != nil {
			c.write(now, frames[i])
		}
	}
}
