package vswitch

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestShaper(t *testing.T) {
	t.Parallel()
	t0 := time.Unix(1000, 0)
	shaper := func(c Condition) *shaper { return newShaper(c, 1, "test") }
	s := shaper(Condition{Rate: 8000, Delay: time.Second}) // a byte a millisecond
	for i, c := range []struct {
		at   time.Duration
		size int
		want time.Duration
	}{
		{0, 100, 1100 * time.Millisecond},
		{0, 200, 1300 * time.Millisecond},                     // behind the first
		{250 * time.Millisecond, 50, 1350 * time.Millisecond}, // behind the second, which ends at 300 ms
		{900 * time.Millisecond, 10, 1910 * time.Millisecond}, // the link was idle
	} {
		if due, n := s.pass(t0.Add(c.at), c.size); n != 1 || due.Sub(t0) != c.want {
			t.Errorf("%d: %d copies after %s, want %s", i, n, due.Sub(t0), c.want)
		}
	}
	jitter := shaper(Condition{Delay: 50 * time.Millisecond, Jitter: 10 * time.Millisecond})
	low, high, sum := time.Hour, time.Duration(0), time.Duration(0)
	for range 10000 {
		due, _ := jitter.pass(t0, 1)
		low, high, sum = min(low, due.Sub(t0)), max(high, due.Sub(t0)), sum+due.Sub(t0)
	}
	if mean := sum / 10000; low < 40*time.Millisecond || low > 41*time.Millisecond || high > 60*time.Millisecond || high < 59*time.Millisecond || mean < 49500*time.Microsecond || mean > 50500*time.Microsecond {
		t.Errorf("a delay of 50±10 ms was %s to %s, %s on average", low, high, mean)
	}
	lossy := shaper(Condition{Loss: 0.05, Duplicate: 0.1})
	var count [3]int
	for range 100000 {
		_, n := lossy.pass(t0, 1)
		count[n]++
	}
	if count[0] < 4700 || count[0] > 5300 || count[2] < 9000 || count[2] > 10000 { // 5 % and 9.5 %
		t.Errorf("lost %d, doubled %d of 100000", count[0], count[2])
	}
}

func impair(t *testing.T, h *host, c Condition) {
	t.Helper()
	if err := h.Impair(c); err != nil {
		t.Fatal(err)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	s, h := plug(t, access(0), access(0))
	a, b := h[0], h[1]
	impair(t, b, Condition{Delay: 50 * time.Millisecond})
	start := time.Now()
	for i := range 10 {
		a.send(ether(2, 1, -1, fmt.Sprint(i)))
	}
	for i := range 10 {
		b.want(ether(2, 1, -1, fmt.Sprint(i))) // in order
	}
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("delayed frames arrived after %s", took)
	}
	impair(t, b, Condition{Loss: 1})
	a.send(ether(2, 1, -1, "lost"))
	b.dropped(Lost, 1)
	impair(t, b, Condition{Duplicate: 1})
	a.send(ether(2, 1, -1, "twice"))
	b.want(ether(2, 1, -1, "twice"))
	b.want(ether(2, 1, -1, "twice"))
	impair(t, b, Condition{})
	// A link has a direction.
	if err := s.Link(a.Port, b.Port, Condition{Loss: 1}); err != nil {
		t.Fatal(err)
	}
	a.send(ether(2, 1, -1, "lost"))
	b.dropped(Lost, 2)
	b.send(ether(1, 2, -1, "back"))
	a.want(ether(1, 2, -1, "back"))
	if err := s.Link(a.Port, b.Port, Condition{}); err != nil {
		t.Fatal(err)
	}
	a.send(ether(2, 1, -1, "well again"))
	b.want(ether(2, 1, -1, "well again"))
	b.silent()
}

// 20 frames of 1000 bytes at 1.6 Mbit/s take 100 ms.
func TestRate(t *testing.T) {
	t.Parallel()
	_, h := plug(t, access(0), access(0))
	impair(t, h[1], Condition{Rate: 1_600_000})
	start := time.Now()
	for range 20 {
		h[0].send(ether(2, 1, -1, string(make([]byte, 986))))
	}
	for range 20 {
		h[1].receive()
	}
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("20 kB at 1.6 Mbit/s took %s", took)
	}
}

// What a machine does not take waits, up to the queue's length; the rest is dropped, and no frame is unaccounted for.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	_, h := plug(t, access(0), PortConfig{Queue: 10})
	const n = 5000
	for range n {
		h[0].send(ether(2, 1, -1, string(make([]byte, 1000))))
	}
	eventually(t, func() bool { return h[0].Counters().Received == n }, func() string { return h[0].Counters().String() })
	h[1].SetUp(true)
	c := h[1].Counters()
	if c.Dropped[QueueFull] == 0 || c.Sent+c.Dropped[QueueFull]+10 < n {
		t.Errorf("a machine that reads nothing: %s", c)
	}
	got := uint64(0)
	for range c.Sent {
		h[1].receive()
		got++
	}
	eventually(t, func() bool { c := h[1].Counters(); return c.Sent+c.Dropped[QueueFull] == n }, func() string { return h[1].Counters().String() })
}

func TestCapture(t *testing.T) {
	t.Parallel()
	_, h := plug(t, access(5), trunk(5))
	name := filepath.Join(t.TempDir(), "trunk.pcap")
	if err := h[1].Capture(name); err != nil {
		t.Fatal(err)
	}
	h[0].send(ether(2, 1, -1, "there"))
	h[1].want(ether(2, 1, 5, "there"))
	h[1].send(ether(1, 2, 5, "back"))
	h[0].want(ether(1, 2, -1, "back"))
	if err := h[1].Unplug(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) < 24 || binary.LittleEndian.Uint32(data) != 0xa1b23c4d || binary.LittleEndian.Uint32(data[20:]) != 1 {
		t.Fatalf("no pcap file: %x", data)
	}
	var got []string
	for rest := data[24:]; len(rest) > 0; {
		n := binary.LittleEndian.Uint32(rest[8:])
		if at := time.Unix(int64(binary.LittleEndian.Uint32(rest)), 0); time.Since(at) > time.Hour || time.Since(at) < -time.Hour {
			t.Errorf("a frame of %s", at)
		}
		got = append(got, string(rest[16:16+n]))
		rest = rest[16+n:]
	}
	if len(got) != 2 || got[0] != string(ether(2, 1, 5, "there")) || got[1] != string(ether(1, 2, 5, "back")) {
		t.Errorf("captured %q", got)
	}
}

func TestCaptureOnFullDisk(t *testing.T) {
	t.Parallel()
	_, h := plug(t, access(0), access(0))
	if err := h[1].Capture("/dev/full"); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		h[0].send(ether(2, 1, -1, string(make([]byte, 1000))))
		h[1].receive()
	}
	if err := h[1].StopCapture(); err == nil {
		t.Error("a capture that could not be written is whole")
	}
	if err := h[0].Capture(filepath.Join(t.TempDir(), "none/x")); err == nil {
		t.Error("a capture into nowhere began")
	}
}

// What a port admits leaves a port with the same VLANs as it came, but for a native VLAN's tag.
func FuzzAdmit(f *testing.F) {
	f.Add(ether(2, 1, -1, "x"), 5, 100, 9)
	f.Add(ether(2, 1, 100, "x"), 5, 100, 9)
	f.Add(ether(2, 1, 9, ""), 5, 100, 9)
	f.Add([]byte{}, 0, 0, 0)
	f.Fuzz(func(t *testing.T, data []byte, access, trunk, native int) {
		for _, c := range []PortConfig{{Access: access}, {Trunk: []int{trunk}, Native: native}} {
			if c.check() != nil {
				continue
			}
			v := newVLANs(c)
			fr, why := v.admit(data)
			if why != passed {
				continue
			}
			if fr.vlan == 0 || fr.vlan > 4094 || !v.member(fr.vlan) {
				t.Fatalf("admitted to VLAN %d", fr.vlan)
			}
			out := v.emit(&fr)
			got := out.copy()[0]
			again, why := v.admit(got)
			if why != passed || again.vlan != fr.vlan {
				t.Fatalf("%x left as %x: %s, VLAN %d", data, got, why, again.vlan)
			}
		}
	})
}
