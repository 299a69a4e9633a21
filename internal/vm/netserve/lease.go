package netserve

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Lease is an address that a machine has, or had.
type Lease struct {
	MAC      string
	Address  netip.Addr
	Name     string // of the reservation, or what the machine calls itself; "" when neither is known
	Reserved bool
	Given    time.Time // for the last time
	Expires  time.Time
}

// declinedFor is how long an address that another machine turned out to have is not given.
const declinedFor = 10 * time.Minute

// offerFor is how long an offered address waits for its machine (RFC 2131 3.1, "should not be reused").
const offerFor = time.Minute

// leases is the table of a DHCP server.
type leases struct {
	config   *Config
	mu       sync.Mutex
	reserved map[hardware]Reservation
	given    map[hardware]*Lease
	offered  map[hardware]offer
	declined map[netip.Addr]time.Time // until then
}

type offer struct {
	address netip.Addr
	until   time.Time
}

func newLeases(c *Config) *leases {
	l := &leases{config: c, reserved: map[hardware]Reservation{}, given: map[hardware]*Lease{}, offered: map[hardware]offer{}, declined: map[netip.Addr]time.Time{}}
	for _, r := range c.DHCP.Reservations {
		mac, _ := station(r.MAC) // checked
		l.reserved[mac] = r
	}
	return l
}

// choose gives the address that a machine should have; wish is the one that it asks for. It is invalid when there is none.
func (l *leases) choose(mac hardware, wish netip.Addr) netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.pick(mac, wish)
	if a.IsValid() {
		l.offered[mac] = offer{a, l.config.Now().Add(offerFor)}
	}
	return a
}

func (l *leases) pick(mac hardware, wish netip.Addr) netip.Addr {
	if r, ok := l.reserved[mac]; ok {
		return r.Address
	}
	if old := l.given[mac]; old != nil && l.free(mac, old.Address) {
		return old.Address
	}
	if o, ok := l.offered[mac]; ok && l.free(mac, o.address) {
		return o.address
	}
	if wish.IsValid() && l.free(mac, wish) {
		return wish
	}
	d := l.config.DHCP
	if !d.First.IsValid() {
		return netip.Addr{}
	}
	taken := l.taken(mac)
	for a := d.First; a.Compare(d.Last) <= 0; a = a.Next() {
		if !taken[a] {
			return a
		}
	}
	return netip.Addr{}
}

// free reports whether a machine without a reservation may have an address.
func (l *leases) free(mac hardware, a netip.Addr) bool {
	d := l.config.DHCP
	return d.First.IsValid() && a.Compare(d.First) >= 0 && a.Compare(d.Last) <= 0 && !l.taken(mac)[a]
}

// taken are the addresses that a machine cannot have.
func (l *leases) taken(mac hardware) map[netip.Addr]bool {
	now := l.config.Now()
	out := map[netip.Addr]bool{l.config.Address.Addr(): true}
	for _, r := range l.reserved {
		out[r.Address] = true
	}
	for m, g := range l.given {
		if m != mac && g.Expires.After(now) {
			out[g.Address] = true
		}
	}
	for m, o := range l.offered {
		if m != mac && o.until.After(now) {
			out[o.address] = true
		}
	}
	for a, until := range l.declined {
		if until.After(now) {
			out[a] = true
		}
	}
	return out
}

// grant gives a machine an address if it may have this one.
func (l *leases) grant(mac hardware, a netip.Addr, name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, reserved := l.reserved[mac]
	if reserved && r.Address != a || !reserved && !l.free(mac, a) {
		return false
	}
	if reserved && r.Name != "" {
		name = r.Name
	}
	now := l.config.Now()
	l.given[mac] = &Lease{MAC: mac.String(), Address: a, Name: name, Reserved: reserved, Given: now, Expires: now.Add(l.config.DHCP.lease())}
	delete(l.offered, mac)
	return true
}

// release takes a machine's address back; false when it had another one.
func (l *leases) release(mac hardware, a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.given[mac]
	if g == nil || g.Address != a {
		return false
	}
	g.Expires = l.config.Now()
	return true
}

// decline notes that an address is in use by somebody else.
func (l *leases) decline(mac hardware, a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.given[mac]; g != nil && g.Address == a {
		delete(l.given, mac)
	}
	delete(l.offered, mac)
	if d := l.config.DHCP; d.First.IsValid() && a.Compare(d.First) >= 0 && a.Compare(d.Last) <= 0 {
		l.declined[a] = l.config.Now().Add(declinedFor)
	}
}

// Leases are all addresses that were given, in their order; those whose time is over, too.
func (s *Server) Leases() []Lease {
	if s.leases == nil {
		return nil
	}
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	var out []Lease
	for _, g := range s.leases.given {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b Lease) int {
		if c := a.Address.Compare(b.Address); c != 0 {
			return c
		}
		return bytes.Compare([]byte(a.MAC), []byte(b.MAC))
	})
	return out
}

// Reserve sets the address that a machine gets when it asks the next time; an invalid address ends a reservation. An address outside the
// network, the server's own, or one that is another machine's is refused.
func (s *Server) Reserve(mac string, a netip.Addr) error {
	if s.leases == nil {
		return &Problem{Text: "server " + s.config.Name + " serves no DHCP"}
	}
	m, err := station(mac)
	if err != nil {
		return err
	}
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	if !a.IsValid() {
		delete(s.leases.reserved, m)
		return nil
	}
	if why := reservable(s.config.Address, a); why != "" {
		return &Problem{Text: why}
	}
	for other, r := range s.leases.reserved {
		if r.Address == a && other != m {
			return &Problem{Text: a.String() + " is reserved for " + other.String()}
		}
	}
	r := s.leases.reserved[m]
	r.MAC, r.Address = m.String(), a
	s.leases.reserved[m] = r
	return nil
}

// State is what a server knows and is at a moment.
type State struct {
	down     bool
	reserved map[hardware]Reservation
	given    map[hardware]Lease
	offered  map[hardware]offer
	declined map[netip.Addr]time.Time
}

// State is the server's state, for PutBack. Connections to the outside are not part of it.
func (s *Server) State() State {
	st := State{down: s.down.Load()}
	if l := s.leases; l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		st.reserved, st.offered, st.declined, st.given = maps.Clone(l.reserved), maps.Clone(l.offered), maps.Clone(l.declined), map[hardware]Lease{}
		for mac, g := range l.given {
			st.given[mac] = *g
		}
	}
	return st
}

// PutBack makes the server what it was when State was called.
func (s *Server) PutBack(st State) {
	if l := s.leases; l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.reserved, l.offered, l.declined, l.given = maps.Clone(st.reserved), maps.Clone(st.offered), maps.Clone(st.declined), map[hardware]*Lease{}
		for mac, g := range st.given {
			l.given[mac] = &g
		}
	}
	s.down.Store(st.down)
}
