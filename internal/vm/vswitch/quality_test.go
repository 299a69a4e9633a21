package vswitch

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tagged is a frame with several tags, the outer one first.
func tagged(to, from byte, payload string, tags ...uint32) []byte {
	f := ether(to, from, -1, payload)
	var in []byte
	for _, t := range tags {
		in = binary.BigEndian.AppendUint32(in, t)
	}
	return slices.Insert(f, 12, in...)
}

// Only the outer tag is the switch's; what is behind it belongs to the machines, whatever it looks like.
func TestTagsInTags(t *testing.T) {
	t.Parallel()
	const c, s = 0x8100 << 16, 0x88a8 << 16
	for _, tt := range []struct {
		name     string
		from, to PortConfig
		send     []byte
		want     []byte // nil: it is dropped
		why      Reason
	}{
		{"double on trunks", trunk(5), trunk(5), tagged(2, 1, "x", c|5, c|6), tagged(2, 1, "x", c|5, c|6), 0},
		{"double to access", trunk(5), access(5), tagged(2, 1, "x", c|5, c|6), tagged(2, 1, "x", c|6), 0},
		{"double to another VLAN's access", trunk(5, 6), access(6), tagged(2, 1, "x", c|5, c|6), nil, NoReceiver},
		{"double on access", access(5), trunk(5), tagged(2, 1, "x", c|5, c|6), nil, TaggedOnAccess},
		{"priority, then a tag, stays in its VLAN", access(5), trunk(5, 6), tagged(2, 1, "x", c|3<<13, c|6), tagged(2, 1, "x", c|3<<13|5, c|6), 0},
		{"priority, then a tag, is in no other VLAN", access(5), access(6), tagged(2, 1, "x", c|3<<13, c|6), nil, NoReceiver},
		{"service tag on access is a type like others", access(5), access(5), tagged(2, 1, "x", s|6), tagged(2, 1, "x", s|6), 0},
		{"service tag gets a tag on a trunk", access(5), trunk(5), tagged(2, 1, "x", s|6), tagged(2, 1, "x", c|5, s|6), 0},
		{"native VLAN's own tag, then a tag", PortConfig{Trunk: []int{6}, Native: 5}, access(5), tagged(2, 1, "x", c|5, c|6), tagged(2, 1, "x", c|6), 0},
		{"drop eligibility stays", trunk(5), trunk(5), tagged(2, 1, "x", c|1<<12|5), tagged(2, 1, "x", c|1<<12|5), 0},
		{"drop eligibility of a priority tag", access(5), trunk(5), tagged(2, 1, "x", c|1<<12), tagged(2, 1, "x", c|1<<12|5), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, h := plug(t, tt.from, tt.to)
			h[0].send(tt.send)
			if tt.want != nil {
				h[1].want(tt.want)
				return
			}
			h[0].dropped(tt.why, 1)
			h[1].silent()
		})
	}
}

// Groups are flooded like broadcasts: to all of the VLAN, and to nobody else.
func TestGroupsStayInTheirVLAN(t *testing.T) {
	t.Parallel()
	for name, group := range map[string][]byte{"IPv4": {1, 0, 0x5e, 0, 0, 1}, "IPv6": {0x33, 0x33, 0, 0, 0, 1}, "all": {255, 255, 255, 255, 255, 255}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, h := plug(t, access(5), access(5), access(6), trunk(5, 6), trunk(6))
			frame := append(slices.Clone(group), ether(0, 1, -1, "to all")[6:]...)
			h[0].send(frame)
			h[1].want(frame)
			h[3].want(slices.Insert(slices.Clone(frame), 12, 0x81, 0, 0, 5))
			h[2].silent()
			h[4].silent()
			// A group's address is no station: it is not learned, even when a frame claims to come from it.
			liar := append(append(ether(9, 0, -1, "")[:6], group...), 8, 0, 'x')
			h[1].send(liar)
			h[0].want(liar)
			h[3].receive()
			h[0].send(frame)
			h[1].want(frame)
		})
	}
}

// A station that moves is found at its new port at once, in its VLAN only.
func TestMoves(t *testing.T) {
	t.Parallel()
	_, h := plug(t, access(5), access(5), access(5), trunk(6), trunk(6))
	for i := range 20 {
		at, other := h[1+i%2], h[2-i%2]
		at.send(ether(0xff, 9, -1, "I am here"))
		h[0].receive()
		other.receive()
		h[0].send(ether(9, 1, -1, fmt.Sprint(i)))
		at.want(ether(9, 1, -1, fmt.Sprint(i)))
		other.silent()
	}
	h[3].send(ether(0xff, 9, 6, "in another VLAN"))
	h[4].receive()
	h[0].send(ether(9, 1, -1, "still there"))
	h[2].want(ether(9, 1, -1, "still there"))
}

// With jitter frames overtake each other, without it never.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []Condition{{Delay: 5 * time.Millisecond, Jitter: 5 * time.Millisecond}, {Delay: 5 * time.Millisecond}, {Rate: 100e6}} {
		_, h := plug(t, access(0), access(0))
		impair(t, h[1], c)
		const n = 300
		for i := range n {
			h[0].send(ether(2, 1, -1, string(rune('a'+i))))
		}
		seen, overtaken, last := map[string]bool{}, false, rune(0)
		for range n {
			text := string(h[1].receive()[14:])
			overtaken = overtaken || []rune(text)[0] < last
			last = []rune(text)[0]
			seen[text] = true
		}
		if len(seen) != n || overtaken != (c.Jitter > 0) {
			t.Errorf("%+v: %d of %d frames, overtaken: %v", c, len(seen), n, overtaken)
		}
	}
}

// Losses and doubles are as frequent as asked for, within five standard deviations: one seed is tried, so that this holds always or never.
func TestFrequencies(t *testing.T) {
	t.Parallel()
	const n = 200_000
	for _, p := range []float64{0.001, 0.01, 0.02, 0.03, 0.05, 0.5} {
		lossy, double := newShaper(Condition{Loss: p}, 1, "a"), newShaper(Condition{Duplicate: p}, 1, "b")
		lost, doubled, runs, before := 0, 0, 0, 1
		for range n {
			_, copies := lossy.pass(time.Time{}, 100)
			if copies == 0 {
				lost++
				if before == 0 {
					runs++
				}
			}
			before = copies
			if _, copies = double.pass(time.Time{}, 100); copies == 2 {
				doubled++
			}
		}
		within := func(what string, got int, p float64) {
			if d := math.Abs(float64(got) - n*p); d > 5*math.Sqrt(n*p*(1-p)) {
				t.Errorf("%s %g: %d of %d", what, p, got, n)
			}
		}
		within("loss", lost, p)
		within("duplication", doubled, p)
		within("two losses in a row of", runs, p*p) // each frame has its own chance
	}
}

// What happens in a direction depends on the seed and on its own frames, not on what others send meanwhile.
func TestSeed(t *testing.T) {
	t.Parallel()
	pattern := func(seed uint64) string {
		s := New("test", seed)
		defer s.Close()
		var h []*host
		for i := range 2 {
			p, end, err := s.Plug(PortConfig{Name: fmt.Sprint(i)})
			if err != nil {
				t.Fatal(err)
			}
			defer end.Close()
			h = append(h, &host{t, p, end, byte(i)})
		}
		impair(t, h[1], Condition{Loss: 0.3, Duplicate: 0.2})
		const n = 200
		for i := range n {
			h[0].send(ether(2, 1, -1, string(rune('0'+i%64))))
		}
		done := func() bool {
			c := h[1].Counters()
			return h[0].Counters().Received == n && c.Dropped[QueueFull] == 0 && c.Sent >= n-c.Dropped[Lost]
		}
		eventually(t, done, func() string { return h[1].Counters().String() })
		var got strings.Builder
		buf := make([]byte, 100)
		for {
			_ = h[1].end.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			k, err := h[1].end.Read(buf)
			if err != nil {
				return got.String()
			}
			got.WriteByte(buf[k-1])
		}
	}
	first := pattern(7)
	if again := pattern(7); again != first || first == "" {
		t.Errorf("seed 7 gave\n%s\nand then\n%s", first, again)
	}
	if other := pattern(8); other == first {
		t.Error("another seed changes nothing")
	}
	// The draws of a direction: others do not take from them.
	a, b := newShaper(Condition{Loss: 0.5}, 1, "a"), newShaper(Condition{Loss: 0.5}, 1, "a")
	other := newShaper(Condition{Loss: 0.5}, 1, "b")
	same := 0
	for range 1000 {
		_, x := a.pass(time.Time{}, 1)
		_, z := other.pass(time.Time{}, 1)
		_, _ = other.pass(time.Time{}, 1)
		if _, y := b.pass(time.Time{}, 1); x != y {
			t.Fatal("the same direction, other accidents")
		}
		if x == z {
			same++
		}
	}
	if same < 400 || same > 600 {
		t.Errorf("two directions agree %d times of 1000", same)
	}
}

// roundTrip is the shortest of several answers.
func roundTrip(h []*host) time.Duration {
	best := time.Hour
	for i := range 5 {
		start := time.Now()
		h[0].send(ether(2, 1, -1, fmt.Sprint(i)))
		h[1].receive()
		h[1].send(ether(1, 2, -1, fmt.Sprint(i)))
		h[0].receive()
		best = min(best, time.Since(start))
	}
	return best
}

// 50±10 ms make a round trip more than 30 ms longer, and when they end it is as before, to 5 ms.
func TestDelayComesAndGoes(t *testing.T) {
	t.Parallel()
	_, h := plug(t, access(0), access(0))
	before := roundTrip(h)
	impair(t, h[1], Condition{Delay: 50 * time.Millisecond, Jitter: 10 * time.Millisecond})
	if during := roundTrip(h); during < before+30*time.Millisecond || during < 40*time.Millisecond {
		t.Errorf("%s with 50±10 ms, %s without", during, before)
	}
	if err := h[0].ImpairIn(Condition{Delay: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if during := roundTrip(h); during < 90*time.Millisecond {
		t.Errorf("%s with 50±10 and 50 ms", during)
	}
	impair(t, h[1], Condition{})
	if err := h[0].ImpairIn(Condition{}); err != nil {
		t.Fatal(err)
	}
	if after := roundTrip(h); after > before+5*time.Millisecond {
		t.Errorf("%s afterwards, %s before", after, before)
	}
}

// The way in is one way: its rate is shared by all receivers, and a frame to all takes its time once.
func TestImpairIn(t *testing.T) {
	t.Parallel()
	_, h := plug(t, access(0), access(0), access(0))
	if err := h[0].ImpairIn(Condition{Rate: 1_600_000}); err != nil {
		t.Fatal(err)
	}
	for _, to := range []byte{2, 3} { // both are known
		h[to-1].send(ether(0xff, to, -1, "here"))
		h[0].receive()
		h[4-to].receive()
	}
	start := time.Now()
	payload := string(make([]byte, 986))
	for range 10 { // 20 frames of 1000 bytes: 100 ms
		h[0].send(ether(2, 1, -1, payload))
		h[0].send(ether(3, 1, -1, payload))
	}
	for range 10 {
		h[1].receive()
		h[2].receive()
	}
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("20 kB at 1.6 Mbit/s took %s", took)
	}
	if err := h[0].ImpairIn(Condition{Loss: 1}); err != nil {
		t.Fatal(err)
	}
	h[0].send(ether(0xff, 1, -1, "lost for all"))
	h[0].dropped(Lost, 1)
	h[1].silent()
	h[2].silent()
	if err := h[0].ImpairIn(Condition{Loss: 2}); err == nil {
		t.Error("a loss of 200 % was taken")
	}
}

// A slow link that is flooded drops what it cannot carry. When the flood ends, it is not busy for longer than its queue is long.
func TestFloodOnSlowLink(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func([]*host) error{
		"out": func(h []*host) error { return h[1].Impair(Condition{Rate: 8_000_000}) },
		"in":  func(h []*host) error { return h[0].ImpairIn(Condition{Rate: 8_000_000}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, h := plug(t, access(0), PortConfig{Queue: 50})
			if err := slow(h); err != nil {
				t.Fatal(err)
			}
			const n = 3000 // 3 s at a byte a microsecond; the queue has 50 ms
			for range n {
				h[0].send(ether(2, 1, -1, string(make([]byte, 986))))
			}
			eventually(t, func() bool { return h[0].Counters().Received == n }, func() string { return h[0].Counters().String() })
			start := time.Now()
			eventually(t, func() bool { c := h[1].Counters(); return c.Sent+c.Dropped[QueueFull] == n }, func() string { return h[1].Counters().String() })
			h[0].send(ether(2, 1, -1, "after the flood"))
			c := h[1].Counters()
			if c.Dropped[QueueFull] < n/2 {
				t.Error(c)
			}
			for range c.Sent {
				h[1].receive()
			}
			h[1].want(ether(2, 1, -1, "after the flood"))
			if took := time.Since(start); took > time.Second {
				t.Errorf("the flood was over, the link was busy for another %s", took)
			}
		})
	}
}

// A flood to a machine that reads slowly takes no more memory than queues have, and each frame is either delivered or counted.
func TestFlood(t *testing.T) {
	// Not parallel: it measures memory.
	_, h := plug(t, access(0), access(0), access(0), PortConfig{Queue: 100})
	for _, x := range h { // ports make their buffers
		x.send(ether(0xff, x.mac, -1, "here"))
		for _, y := range h {
			if x != y {
				y.receive()
			}
		}
	}
	here := h[3].Counters().Sent
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const each = 5000
	var all sync.WaitGroup
	for _, from := range h[:3] {
		all.Add(1)
		go func() {
			defer all.Done()
			frame := ether(4, from.mac, -1, string(make([]byte, 1486)))
			for range each {
				if _, err := from.end.Write(frame); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	all.Wait()
	received := func() uint64 {
		return h[0].Counters().Received + h[1].Counters().Received + h[2].Counters().Received - 3
	}
	eventually(t, func() bool { return received() == 3*each }, func() string { return fmt.Sprint(received()) })
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 { // 100 frames are 0.15 MB
		t.Errorf("%d bytes more are in use after a flood", grown)
	}
	got := uint64(0)
	for {
		c := h[3].Counters()
		sent := c.Sent - here
		if sent+c.Dropped[QueueFull] == 3*each && got == sent {
			if c.Dropped[QueueFull] == 0 {
				t.Errorf("nothing was dropped: %s", c)
			}
			break
		}
		h[3].receive()
		got++
	}
	h[3].silent()
}

// 50 machines speak at once, each to the next one and to all: everything arrives, once.
func TestFiftyPorts(t *testing.T) {
	t.Parallel()
	const n, rounds = 50, 10
	configs := make([]PortConfig, n)
	for i := range configs {
		configs[i].Queue = 10 * n * rounds
	}
	_, h := plug(t, configs...)
	var all sync.WaitGroup
	got := make([]map[string]int, n)
	for i, x := range h {
		got[i] = map[string]int{}
		all.Add(2)
		go func() {
			defer all.Done()
			for r := range rounds {
				for _, f := range [][]byte{ether(byte((i+1)%n+1), x.mac, -1, fmt.Sprintf("to one, %d", r)), ether(0xff, x.mac, -1, fmt.Sprintf("to all, %d", r))} {
					if _, err := x.end.Write(f); err != nil {
						t.Error(err)
					}
				}
			}
		}()
		go func() {
			defer all.Done()
			buf := make([]byte, 2000)
			for want := rounds * n; want > 0; { // the broadcasts of 49, and the frames of one
				_ = x.end.SetReadDeadline(time.Now().Add(20 * time.Second))
				k, err := x.end.Read(buf)
				if err != nil {
					t.Errorf("%s lacks %d frames: %v", x.name, want, err)
					return
				}
				text := fmt.Sprintf("%d %s", buf[11], buf[14:k])
				if strings.Contains(text, "one") && buf[5] != x.mac { // flooded while the receiver was unknown
					continue
				}
				got[i][text]++
				want--
			}
		}()
	}
	all.Wait()
	for i, seen := range got {
		for text, times := range seen {
			if times != 1 {
				t.Errorf("%s got %q %d times", h[i].name, text, times)
			}
		}
		if len(seen) != rounds*n {
			t.Errorf("%s got %d frames", h[i].name, len(seen))
		}
		if c := h[i].Counters(); c.Dropped[QueueFull] != 0 {
			t.Error(c)
		}
	}
}
