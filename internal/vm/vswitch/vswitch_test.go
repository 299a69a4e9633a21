package vswitch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// host is a machine of a test: the other end of a port's cable.
type host struct {
	t *testing.T
	*Port
	end *os.File
	mac byte
}

// plug adds hosts with the addresses 02:00:00:00:00:01 and so on.
func plug(t *testing.T, configs ...PortConfig) (*Switch, []*host) {
	t.Helper()
	s := New("test", 1)
	t.Cleanup(func() { s.Close() })
	var hosts []*host
	for i, c := range configs {
		if c.Name == "" {
			c.Name = fmt.Sprintf("p%d", i+1)
		}
		p, end, err := s.Plug(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { end.Close() })
		hosts = append(hosts, &host{t, p, end, byte(i + 1)})
	}
	return s, hosts
}

func access(vlan int) PortConfig    { return PortConfig{Access: vlan} }
func trunk(vlans ...int) PortConfig { return PortConfig{Trunk: vlans} }

// ether is a frame; vlan -1 is untagged.
func ether(to, from byte, vlan int, payload string) []byte {
	f := []byte{2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from}
	if to == 0xff {
		copy(f, bytes.Repeat([]byte{0xff}, 6))
	}
	if vlan >= 0 {
		f = binary.BigEndian.AppendUint16(f, tpid)
		f = binary.BigEndian.AppendUint16(f, uint16(vlan))
	}
	return append(append(f, 0x08, 0x00), payload...)
}

func (h *host) send(frame []byte) {
	h.t.Helper()
	if _, err := h.end.Write(frame); err != nil {
		h.t.Fatal(err)
	}
}

// receive gives the next frame; a test that gets none fails.
func (h *host) receive() []byte {
	h.t.Helper()
	_ = h.end.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 65536)
	n, err := h.end.Read(buf)
	if err != nil {
		h.t.Fatalf("%s got no frame: %v; %s", h.name, err, h.Counters())
	}
	return buf[:n]
}

func (h *host) want(frame []byte) {
	h.t.Helper()
	if got := h.receive(); !bytes.Equal(got, frame) {
		h.t.Errorf("%s got %x, want %x", h.name, got, frame)
	}
}

// silent fails when a frame is there. Callers make sure first that the switch has handled what they sent.
func (h *host) silent() {
	h.t.Helper()
	_ = h.end.SetReadDeadline(time.Now().Add(time.Millisecond))
	buf := make([]byte, 65536)
	if n, err := h.end.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		h.t.Errorf("%s got %x, %v", h.name, buf[:n], err)
	}
}

// dropped waits until the port has dropped n frames for a reason.
func (h *host) dropped(r Reason, n uint64) {
	h.t.Helper()
	eventually(h.t, func() bool { return h.Counters().Dropped[r] >= n }, func() string { return h.name + ": " + h.Counters().String() })
	if got := h.Counters().Dropped[r]; got != n {
		h.t.Errorf("%s dropped %d frames (%s), want %d", h.name, got, r, n)
	}
}

func eventually(t *testing.T, done func() bool, state func() string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(state())
		}
	}
}

func TestLearning(t *testing.T) {
	t.Parallel()
	_, h := plug(t, access(0), access(0), access(0))
	a, b, c := h[0], h[1], h[2]
	a.send(ether(2, 1, -1, "unknown"))
	b.want(ether(2, 1, -1, "unknown"))
	c.want(ether(2, 1, -1, "unknown"))
	b.send(ether(1, 2, -1, "answer"))
	a.want(ether(1, 2, -1, "answer"))
	a.send(ether(2, 1, -1, "known"))
	b.want(ether(2, 1, -1, "known"))
	c.silent()
	a.send(ether(0xff, 1, -1, "broadcast"))
	b.want(ether(0xff, 1, -1, "broadcast"))
	c.want(ether(0xff, 1, -1, "broadcast"))

	// Host 2 moves to c's port, as a bond does, and says so.
	c.send(ether(0xff, 2, -1, "here"))
	a.want(ether(0xff, 2, -1, "here"))
	b.want(ether(0xff, 2, -1, "here"))
	a.send(ether(2, 1, -1, "moved"))
	c.want(ether(2, 1, -1, "moved"))
	b.silent()
	// It speaks to another address on its own port.
	a.send(ether(1, 7, -1, "to myself"))
	a.dropped(SamePort, 1)
}

func TestVLANs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		from, to PortConfig
		send     []byte
		want     []byte
		why      Reason // of the sender's port, without want
	}{
		{"access", access(5), access(5), ether(2, 1, -1, "x"), ether(2, 1, -1, "x"), 0},
		{"other access", access(5), access(6), ether(2, 1, -1, "x"), nil, NoReceiver},
		{"tagged on access", access(5), access(5), ether(2, 1, 5, "x"), nil, TaggedOnAccess},
		{"tagged with another one on access", access(5), access(6), ether(2, 1, 6, "x"), nil, TaggedOnAccess},
		{"priority on access", access(5), access(5), ether(2, 1, 3<<13, "x"), ether(2, 1, -1, "x"), 0},
		{"access to trunk", access(5), trunk(4, 5), ether(2, 1, -1, "x"), ether(2, 1, 5, "x"), 0},
		{"trunk to access", trunk(5, 4), access(5), ether(2, 1, 5, "x"), ether(2, 1, -1, "x"), 0},
		{"trunk to trunk", trunk(100, 200), trunk(200), ether(2, 1, 200|7<<13, "x"), ether(2, 1, 200|7<<13, "x"), 0},
		{"not on the other trunk", trunk(100, 200), trunk(200), ether(2, 1, 100, "x"), nil, NoReceiver},
		{"not on the trunk", trunk(100), trunk(100, 200), ether(2, 1, 200, "x"), nil, WrongVLAN},
		{"untagged on a trunk", trunk(100), trunk(100), ether(2, 1, -1, "x"), nil, Untagged},
		{"priority on a trunk", trunk(100), trunk(100), ether(2, 1, 1<<13, "x"), nil, Untagged},
		{"native", PortConfig{Trunk: []int{100}, Native: 9}, access(9), ether(2, 1, -1, "x"), ether(2, 1, -1, "x"), 0},
		{"native that comes tagged", PortConfig{Trunk: []int{100}, Native: 9}, access(9), ether(2, 1, 9, "x"), ether(2, 1, -1, "x"), 0},
		{"to native", access(9), PortConfig{Trunk: []int{100, 9}, Native: 9}, ether(2, 1, -1, "x"), ether(2, 1, -1, "x"), 0},
		{"native to trunk, priority", PortConfig{Native: 9}, trunk(9), ether(2, 1, 5<<13, "x"), ether(2, 1, 9|5<<13, "x"), 0},
		{"highest id", trunk(4094), trunk(4094), ether(2, 1, 4094, "x"), ether(2, 1, 4094, "x"), 0},
		{"reserved id", trunk(4094), trunk(4094), ether(2, 1, 4095, "x"), nil, WrongVLAN},
		{"too short", access(1), access(1), ether(2, 1, -1, "x")[:13], nil, TooShort},
		{"too short for a tag", trunk(1), trunk(1), ether(2, 1, 1, "")[:17], nil, TooShort},
		{"jumbo", access(1), access(1), ether(2, 1, -1, string(make([]byte, 9216))), ether(2, 1, -1, string(make([]byte, 9216))), 0},
		{"too long", access(1), access(1), ether(2, 1, -1, string(make([]byte, 9300))), nil, TooLong},
		{"LACP", access(1), access(1), append([]byte{1, 0x80, 0xc2, 0, 0, 2}, ether(2, 1, -1, "x")[6:]...), nil, Reserved},
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

// A station of one VLAN says nothing about the same address in another one.
func TestVLANsLearnApart(t *testing.T) {
	t.Parallel()
	_, h := plug(t, trunk(1, 2), access(1), access(2))
	h[1].send(ether(0xff, 9, -1, "in 1"))
	h[0].want(ether(0xff, 9, 1, "in 1"))
	h[0].send(ether(9, 1, 2, "to 2"))
	h[2].want(ether(9, 1, -1, "to 2"))
	h[1].silent()
}

func TestSetVLANs(t *testing.T) {
	t.Parallel()
	_, h := plug(t, trunk(100, 200), trunk(100, 200))
	h[0].send(ether(2, 1, 200, "before"))
	h[1].want(ether(2, 1, 200, "before"))
	h[1].send(ether(1, 2, 200, "learned"))
	h[0].want(ether(1, 2, 200, "learned"))
	if err := h[1].SetVLANs(PortConfig{Trunk: []int{100, 201}}); err != nil {
		t.Fatal(err)
	}
	h[0].send(ether(2, 1, 200, "lost"))
	h[1].send(ether(1, 2, 200, "lost, too"))
	h[0].send(ether(2, 1, 100, "still"))
	h[1].want(ether(2, 1, 100, "still"))
	if got := h[1].Counters().Dropped[WrongVLAN]; got != 1 {
		t.Errorf("%d frames were dropped for their VLAN", got)
	}
	if err := h[1].SetVLANs(access(200)); err != nil {
		t.Fatal(err)
	}
	h[0].send(ether(2, 1, 200, "untagged now"))
	h[1].want(ether(2, 1, -1, "untagged now"))
	if err := h[1].SetVLANs(trunk(4095)); err == nil {
		t.Error("VLAN 4095 was taken")
	}
}

func TestPortDown(t *testing.T) {
	t.Parallel()
	_, h := plug(t, access(0), access(0))
	h[1].send(ether(0xff, 2, -1, "hello"))
	h[0].want(ether(0xff, 2, -1, "hello"))
	h[1].SetUp(false)
	h[0].send(ether(2, 1, -1, "lost"))
	h[1].dropped(PortDown, 1)
	h[1].send(ether(1, 2, -1, "lost, too"))
	h[1].dropped(PortDown, 2)
	h[1].SetUp(true)
	h[0].send(ether(2, 1, -1, "again"))
	h[1].want(ether(2, 1, -1, "again"))
	h[0].silent()
}

func TestPartition(t *testing.T) {
	t.Parallel()
	s, h := plug(t, access(0), access(0), access(0))
	if err := s.Partition([]*Port{h[0].Port, h[1].Port}, []*Port{h[2].Port}); err != nil {
		t.Fatal(err)
	}
	h[0].send(ether(0xff, 1, -1, "cut"))
	h[1].want(ether(0xff, 1, -1, "cut"))
	h[2].dropped(Partitioned, 1)
	h[2].silent()
	s.Heal()
	h[2].send(ether(1, 3, -1, "healed"))
	h[0].want(ether(1, 3, -1, "healed"))
	h[1].silent()
	if err := s.Partition([]*Port{h[0].Port}, []*Port{h[0].Port}); err == nil {
		t.Error("a port in two groups was taken")
	}
}

func TestTwoSwitches(t *testing.T) {
	t.Parallel()
	s1, h1 := plug(t, access(100), access(200))
	s2, h2 := plug(t, access(100), access(200))
	a, b, err := Cable()
	if err != nil {
		t.Fatal(err)
	}
	up := PortConfig{Name: "uplink", Trunk: []int{100, 200}}
	if _, err := s1.Attach(up, a); err != nil {
		t.Fatal(err)
	}
	if _, err := s2.Attach(up, b); err != nil {
		t.Fatal(err)
	}
	h1[0].send(ether(0xff, 1, -1, "100"))
	h2[0].want(ether(0xff, 1, -1, "100"))
	h2[1].send(ether(0xff, 2, -1, "200"))
	h1[1].want(ether(0xff, 2, -1, "200"))
	h2[1].silent()
	h1[0].silent()
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	s, h := plug(t, PortConfig{Name: "a"})
	for _, c := range []PortConfig{
		{Name: "a"}, {Name: "b", Access: 4095}, {Name: "b", Access: -1}, {Name: "b", Trunk: []int{0}}, {Name: "b", Trunk: []int{5000}},
		{Name: "b", Access: 1, Trunk: []int{2}}, {Name: "b", Access: 1, Native: 2}, {Name: "b", Queue: -1},
	} {
		if _, _, err := s.Plug(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	for _, c := range []Condition{{Loss: 1.5}, {Loss: -1}, {Duplicate: 2}, {Delay: -1}, {Jitter: 2, Delay: 1}, {Rate: -1}} {
		if err := h[0].Impair(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
		if err := s.Link(h[0].Port, h[0].Port, c); err == nil {
			t.Errorf("%+v was taken by a link", c)
		}
	}
	for range maxPorts - 1 {
		if _, end, err := s.Plug(PortConfig{Name: fmt.Sprint(len(s.Ports()))}); err != nil {
			t.Fatal(err)
		} else {
			end.Close()
		}
	}
	if _, _, err := s.Plug(PortConfig{Name: "one too many"}); err == nil {
		t.Error("there is no limit")
	}
	s.Close()
	if _, _, err := s.Plug(PortConfig{Name: "late"}); err == nil {
		t.Error("a closed switch took a port")
	}
}

// After Close nothing runs and no descriptor is open, also when frames flow.
func TestCloseLeavesNothing(t *testing.T) {
	// Not parallel: it counts.
	before, files := runtime.NumGoroutine(), descriptors(t)
	s := New("test", 1)
	stop := make(chan struct{})
	var ends []*os.File
	for i := range 8 {
		p, end, err := s.Plug(PortConfig{Name: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Impair(Condition{Delay: time.Hour}); err != nil { // frames wait when it closes
			t.Fatal(err)
		}
		ends = append(ends, end)
		go func() {
			for {
				select {
				case <-stop:
					end.Close()
					return
				default:
					_ = end.SetWriteDeadline(time.Now().Add(time.Millisecond))
					_, _ = end.Write(ether(0xff, byte(i), -1, "x"))
				}
			}
		}()
	}
	time.Sleep(20 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	close(stop)
	eventually(t, func() bool { return runtime.NumGoroutine() <= before && descriptors(t) <= files }, func() string {
		return fmt.Sprintf("%d goroutines, before %d; %d files, before %d", runtime.NumGoroutine(), before, descriptors(t), files)
	})
	runtime.KeepAlive(ends)
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestUnpluggedMachine(t *testing.T) {
	t.Parallel()
	_, h := plug(t, access(0), access(0))
	h[1].end.Close()
	h[0].send(ether(2, 1, -1, "x"))
	h[1].dropped(Unplugged, 1)
	if err := h[1].Unplug(); err != nil {
		t.Error(err)
	}
	h[0].send(ether(2, 1, -1, "x"))
	h[0].dropped(NoReceiver, 1)
}

func TestReasonsHaveNames(t *testing.T) {
	t.Parallel()
	var seen []string
	for r := range reasons {
		if r.String() == "" || slices.Contains(seen, r.String()) {
			t.Errorf("reason %d is called %q", int(r), r)
		}
		seen = append(seen, r.String())
	}
	if Reason(99).String() != "reason 99" {
		t.Error(Reason(99))
	}
}
