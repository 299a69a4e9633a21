package vswitch

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// entry is where a station was seen last.
type entry struct {
	port *Port
	seen atomic.Int64 // in nanoseconds
}

// Port is a place where a cable is plugged in.
type Port struct {
	sw   *Switch
	name string
	end  *os.File
	raw  syscall.RawConn
	vlan atomic.Pointer[vlans]

	down    atomic.Bool
	shape   atomic.Pointer[shaper]
	inShape atomic.Pointer[shaper]
	capture atomic.Pointer[capture]
	count   counters
	out     outbox

	done sync.WaitGroup
	once sync.Once
	err  error
}

func newPort(s *Switch, c PortConfig, end *os.File, raw syscall.RawConn) *Port {
	p := &Port{sw: s, name: c.Name, end: end, raw: raw}
	p.vlan.Store(newVLANs(c))
	p.out.limit = c.Queue
	if c.Queue == 0 {
		p.out.limit = 1000
	}
	p.out.wake = make(chan struct{}, 1)
	return p
}

// Name is the port's name.
func (p *Port) Name() string { return p.name }

// SetUp takes the port down or up. A port that is down carries nothing, and what was learned there is forgotten; the machine at the other
// end does not see it, for which it has its own link ([n3x/internal/vm/qemu]).
func (p *Port) SetUp(up bool) {
	p.down.Store(!up)
	if !up {
		p.forget()
	}
}

// SetVLANs moves the port to the VLANs of c, of which nothing else counts; frames that are on their way keep the form that they have.
func (p *Port) SetVLANs(c PortConfig) error {
	c.Name = p.name
	if err := c.check(); err != nil {
		return fmt.Errorf("switch %s: %w", p.sw.name, err)
	}
	p.vlan.Store(newVLANs(c))
	p.forget()
	return nil
}

// forget drops the addresses that were learned at the port.
func (p *Port) forget() {
	p.sw.mu.Lock()
	defer p.sw.mu.Unlock()
	for st, e := range p.sw.table {
		if e.port == p {
			delete(p.sw.table, st)
		}
	}
}

// Impair sets what happens to all frames that leave by the port. The zero Condition ends it.
func (p *Port) Impair(c Condition) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("switch %s: port %s: %w", p.sw.name, p.name, err)
	}
	if c == (Condition{}) {
		p.shape.Store(nil)
	} else {
		p.shape.Store(p.sw.shaper(c, nil, p))
	}
	return nil
}

// ImpairIn sets what happens to all frames that come in at the port, wherever they leave. The zero Condition ends it.
func (p *Port) ImpairIn(c Condition) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("switch %s: port %s: %w", p.sw.name, p.name, err)
	}
	if c == (Condition{}) {
		p.inShape.Store(nil)
	} else {
		p.inShape.Store(p.sw.shaper(c, p, nil))
	}
	return nil
}

// Unplug removes the port; frames that wait for it are lost. It gives the error of the port's capture.
func (p *Port) Unplug() error {
	p.once.Do(func() {
		p.sw.mu.Lock()
		p.sw.ports = slices.DeleteFunc(p.sw.ports, func(q *Port) bool { return q == p })
		for l := range p.sw.links {
			if l.from == p || l.to == p {
				delete(p.sw.links, l)
			}
		}
		delete(p.sw.groups, p)
		p.sw.mu.Unlock()
		p.forget()
		p.end.Close()
		p.out.close()
		p.done.Wait()
		p.err = p.StopCapture()
	})
	return p.err
}

// receive takes frames from the cable until it is cut.
func (p *Port) receive() {
	defer p.done.Done()
	in := newInbox()
	for {
		n, err := in.read(p.raw)
		if err != nil {
			return // unplugged
		}
		p.forward(in, n)
	}
}

// forward carries the first n frames of the inbox to where they belong.
func (p *Port) forward(in *inbox, n int) {
	now := time.Now()
	b := batch{from: p, now: now}
	for i := range n {
		frame, whole := in.frame(i)
		p.count.received(len(frame))
		if c := p.capture.Load(); c != nil {
			c.write(now, wire{frame})
		}
		switch f, why := p.vlan.Load().admit(frame); {
		case !whole:
			p.count.drop(TooLong)
		case p.down.Load():
			p.count.drop(PortDown)
		case why != passed:
			p.count.drop(why)
		default:
			p.sw.learn(p, &f, now)
			p.sw.route(&b, &f)
		}
	}
	b.flush()
}

// learn notes where a frame's sender is.
func (s *Switch) learn(p *Port, f *frame, now time.Time) {
	st := station{f.vlan, [6]byte(f.data[6:12])}
	if st.mac[0]&1 != 0 {
		return // no station has a group's address
	}
	s.mu.RLock()
	e := s.table[st]
	known := e != nil && e.port == p
	if known && now.UnixNano()-e.seen.Load() > int64(freshness) {
		e.seen.Store(now.UnixNano())
	}
	s.mu.RUnlock()
	if known {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e == nil && len(s.table) >= maxStations {
		s.expire(now)
	}
	if _, moved := s.table[st]; moved || len(s.table) < maxStations {
		e := &entry{port: p}
		e.seen.Store(now.UnixNano())
		s.table[st] = e
	}
}

// expire forgets stations that have been silent.
func (s *Switch) expire(now time.Time) {
	for st, e := range s.table {
		if now.UnixNano()-e.seen.Load() > int64(ageing) {
			delete(s.table, st)
		}
	}
}

// route finds where a frame leaves, and hands it over.
func (s *Switch) route(b *batch, f *frame) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	to := station{f.vlan, [6]byte(f.data[:6])}
	if to.mac[0]&1 == 0 {
		if e := s.table[to]; e != nil && b.now.UnixNano()-e.seen.Load() <= int64(ageing) {
			if e.port != b.from {
				s.send(b, e.port, f)
			} else {
				b.from.count.drop(SamePort)
			}
			return
		}
	}
	alone := true
	for _, p := range s.ports {
		if p != b.from && p.vlan.Load().member(f.vlan) {
			alone = false
			s.send(b, p, f)
		}
	}
	if alone {
		b.from.count.drop(NoReceiver)
	}
}

// send gives a frame to a port, unless something on the way loses it.
func (s *Switch) send(b *batch, p *Port, f *frame) {
	vlan := p.vlan.Load()
	switch {
	case s.groups != nil && s.groups[p] != s.groups[b.from]:
		p.count.drop(Partitioned)
		return
	case p.down.Load():
		p.count.drop(PortDown)
		return
	case !vlan.member(f.vlan): // the table has a port that has moved to other VLANs
		p.count.drop(WrongVLAN)
		return
	}
	w := vlan.emit(f)
	in, link, own := b.from.inShape.Load(), s.links[pair{b.from, p}], p.shape.Load()
	if in == nil && link == nil && own == nil {
		b.add(p, w)
		return
	}
	b.flush() // frames before this one stay before it
	if p.out.full() {
		p.count.drop(QueueFull)
		return
	}
	due, copies := b.now, 1
	if in != nil {
		if due, copies = b.from.enter(f, in, b.now); copies == 0 {
			return
		}
	}
	for _, sh := range []*shaper{link, own} {
		if sh == nil {
			continue
		}
		var n int
		due, n = sh.pass(due, w.len())
		copies *= n
	}
	if copies == 0 {
		p.count.drop(Lost)
		return
	}
	for range copies {
		p.out.put(p, due, w)
	}
}

// enter decides what the cable does to a frame on its way in.
func (p *Port) enter(f *frame, in *shaper, now time.Time) (due time.Time, copies int) {
	if !f.entered {
		f.entered = true
		if f.due, f.copies = in.pass(now, len(f.data)); f.copies == 0 {
			p.count.drop(Lost)
		}
	}
	return f.due, f.copies
}

// batch collects neighbouring frames for one port, to send them with one system call.
type batch struct {
	from   *Port
	now    time.Time
	to     *Port
	frames []wire
	room   [batchSize]wire
}

func (b *batch) add(to *Port, w wire) {
	if b.to != to || len(b.frames) == len(b.room) {
		b.flush()
	}
	if b.frames == nil {
		b.to, b.frames = to, b.room[:0]
	}
	b.frames = append(b.frames, w)
}

func (b *batch) flush() {
	if b.frames != nil {
		b.to.out.transmit(b.to, b.now, b.frames)
		b.to, b.frames = nil, nil
	}
}
