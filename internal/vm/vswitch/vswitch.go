// Package vswitch is an Ethernet switch in user space, for the network cards of virtual machines and for tests.
//
// Each port is one end of a datagram socket pair, the other end of which belongs to a machine (QEMU's netdev dgram) or to a
// test: one datagram is one frame. Ports are access or trunk ports and VLANs are enforced as IEEE 802.1Q says: a frame
// whose VLAN a port is not in does not pass, in either direction. Addresses are learned for each VLAN by itself. Links can be taken
// down, slowed, made lossy, and cut between groups of ports, while frames flow. Queues are bounded: a frame that does not
// fit is dropped, and every dropped frame is counted with its reason ([Counters]).
//
// Like a bridge without its own protocols (IEEE 802.1D 7.12.6), it passes no frame to the addresses 01:80:c2:00:00:00 to 0f, so neither
// spanning tree nor LACP; two links between two switches make a loop.
package vswitch

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxPorts bounds a switch: machines of a test are tens, and each port has buffers.
const maxPorts = 256

// Switch forwards frames between its ports. All methods can be called at any time, from anywhere.
type Switch struct {
	name string

	mu     sync.RWMutex // forwarding holds it for reading
	ports  []*Port
	table  map[station]*entry
	links  map[pair]*shaper
	groups map[*Port]int // nil without a partition
	closed bool

	seed uint64
}

// New makes a switch without ports. The seed decides which frames are lost, late or doubled where that is asked for: the same one
// does the same to the same frames of a direction.
func New(name string, seed uint64) *Switch {
	return &Switch{name: name, table: map[station]*entry{}, links: map[pair]*shaper{}, seed: seed}
}

// pair is a direction between two ports.
type pair struct{ from, to *Port }

// shaper begins a direction into, out of or between ports.
func (s *Switch) shaper(c Condition, from, to *Port) *shaper {
	place := s.name
	for _, p := range []*Port{from, to} {
		place += "\x00"
		if p != nil {
			place += p.name
		}
	}
	return newShaper(c, s.seed, place)
}

// PortConfig describes a port. The zero value is an access port of VLAN 1.
type PortConfig struct {
	Name string

	// Access is the VLAN of an access port: frames come and go untagged. 0 is 1 when Trunk is empty.
	Access int
	// Trunk are the VLANs whose frames a trunk port carries tagged.
	Trunk []int
	// Native is the VLAN of a trunk port's untagged frames; 0 drops them.
	Native int

	// Queue is how many frames wait for the port before further ones are dropped; 0 is 1000, as in Linux' netem.
	Queue int
}

func (c *PortConfig) check() error {
	ids := append([]int{c.Access, c.Native}, c.Trunk...)
	for i, id := range ids {
		if id < 0 || id > 4094 || id == 0 && i >= 2 {
			return fmt.Errorf("port %s: VLAN %d is not in 1 to 4094", c.Name, id)
		}
	}
	if c.Access != 0 && (len(c.Trunk) > 0 || c.Native != 0) {
		return fmt.Errorf("port %s is both an access port of VLAN %d and a trunk", c.Name, c.Access)
	}
	if c.Queue < 0 {
		return fmt.Errorf("port %s: a queue of %d frames is impossible", c.Name, c.Queue)
	}
	return nil
}

// Plug adds a port and gives the other end of its cable: a machine's network card, or a test that writes and reads one
// frame at a time. When the other end is closed, which a datagram socket does not tell, frames for it are counted as [Unplugged].
func (s *Switch) Plug(c PortConfig) (*Port, *os.File, error) {
	ours, theirs, err := Cable()
	if err != nil {
		return nil, nil, err
	}
	p, err := s.Attach(c, ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return p, theirs, nil
}

// Cable makes a socket pair that carries frames. To join two switches, attach one end to each.
func Cable() (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a cable: %w", err)
	}
	for _, fd := range fds {
		// A full window of TCP must fit, or frames wait in queues of ours all the time. The system may give less.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20)
	}
	return os.NewFile(uintptr(fds[0]), "cable"), os.NewFile(uintptr(fds[1]), "cable"), nil
}

// Attach adds a port at this end of a cable, which it takes over, also when it fails.
func (s *Switch) Attach(c PortConfig, end *os.File) (*Port, error) {
	p, err := s.attach(c, end)
	if err != nil {
		end.Close()
		return nil, fmt.Errorf("switch %s: %w", s.name, err)
	}
	return p, nil
}

func (s *Switch) attach(c PortConfig, end *os.File) (*Port, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	raw, err := end.SyscallConn()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errors.New("it is closed")
	case len(s.ports) == maxPorts:
		return nil, fmt.Errorf("it has %d ports already", maxPorts)
	case slices.ContainsFunc(s.ports, func(p *Port) bool { return p.name == c.Name }):
		return nil, fmt.Errorf("it has a port %q already", c.Name)
	}
	p := newPort(s, c, end, raw)
	s.ports = append(s.ports, p)
	p.done.Add(2)
	go p.receive()
	go p.drain()
	return p, nil
}

// Ports are the switch's ports in the order in which they were added.
func (s *Switch) Ports() []*Port {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.ports)
}

// Link sets what happens to frames that come in at one port and leave by the other one, in this direction; what the ports themselves do
// comes on top. The zero Condition ends it.
func (s *Switch) Link(from, to *Port, c Condition) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("switch %s: link from %s to %s: %w", s.name, from.name, to.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c == (Condition{}) {
		delete(s.links, pair{from, to})
	} else {
		s.links[pair{from, to}] = s.shaper(c, from, to)
	}
	return nil
}

// Partition cuts the switch: frames pass within a group only. Ports in no group form one together.
func (s *Switch) Partition(groups ...[]*Port) error {
	of := map[*Port]int{}
	for i, g := range groups {
		for _, p := range g {
			if _, twice := of[p]; twice {
				return fmt.Errorf("switch %s: port %s is in two groups", s.name, p.name)
			}
			of[p] = i + 1
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups = of
	return nil
}

// Heal ends a partition.
func (s *Switch) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups = nil
}

// Close unplugs all ports and gives the first error of a capture. When it returns, nothing of the switch runs.
func (s *Switch) Close() error {
	s.mu.Lock()
	s.closed = true
	ports := slices.Clone(s.ports)
	s.mu.Unlock()
	var errs []error
	for _, p := range ports {
		errs = append(errs, p.Unplug())
	}
	return errors.Join(errs...)
}

// station is an address in a VLAN.
type station struct {
	vlan uint16
	mac  [6]byte
}

// Learned addresses are forgotten after ageing, and a switch learns no more than maxStations (IEEE 802.1Q 8.8.3: 300 s).
const (
	ageing      = 300 * time.Second
	maxStations = 8192
	freshness   = time.Second // an entry that is younger needs no refreshing
)
