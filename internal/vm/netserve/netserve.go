// Package netserve is a machine that serves a network: DHCP, DNS and a way to the outside, on a port of a virtual switch.
//
// It takes the end of a cable ([n3x/internal/vm/vswitch]) that carries untagged frames, and answers there by IPv4. It has an address and answers
// pings like any machine. Nothing of this host can be reached through it but what [NAT] names, and no socket of this host listens.
//
// DHCP is RFC 2131 as dnsmasq serves it where it is the only server: addresses go to hardware addresses, whatever else a client says it
// is; a client that asks for an address that it may not have is told so at once. DNS (RFC 1035) knows the names that it is given. NAT
// carries TCP and UDP; a ping of the outside is answered as administratively prohibited.
package netserve

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Config is what a server is and does. Parts that are nil are not served.
type Config struct {
	Name    string
	MAC     string       // of the server, as 52:54:00:01:02:03
	Address netip.Prefix // of the server, with the length of its network
	DHCP    *DHCP
	DNS     *DNS
	NAT     *NAT

	// Log hears what happens, e.g. "gives 192.168.1.1 to 52:54:00:01:01:01"; nil is silent. It can be called from anywhere.
	Log func(string)
	// Now is the clock for leases; nil is time.Now.
	Now func() time.Time
}

// Problem is something in a Config that cannot be.
type Problem struct {
	Key  []string // where, e.g. dhcp, range, or dhcp, reservations, 52:54:00:01:01:01
	Text string
}

// Error is the problem as a sentence.
func (p *Problem) Error() string { return p.Text }

// Check gives all that is wrong with a configuration; each error is a [*Problem].
func (c *Config) Check() []error {
	k := &checker{}
	network := c.Address.Masked()
	switch {
	case !c.Address.IsValid() || !c.Address.Addr().Is4() || c.Address.Bits() < 8 || c.Address.Bits() > 30:
		k.fail("the server's address is an IPv4 address with the length of its network, 8 to 30", "address")
		return k.errs // nothing else can be compared with it
	case !inside(network, c.Address.Addr()):
		k.fail(fmt.Sprintf("%s is no address of a machine in %s", c.Address.Addr(), network), "address")
	}
	if _, err := station(c.MAC); err != nil {
		k.fail(err.Error(), "mac")
	}
	if c.DHCP != nil {
		c.DHCP.check(k, c.Address)
	}
	if c.DNS != nil {
		c.DNS.check(k)
	}
	if c.NAT != nil {
		c.NAT.check(k)
	}
	return k.errs
}

// checker collects problems.
type checker struct{ errs []error }

func (k *checker) fail(text string, key ...string) {
	k.errs = append(k.errs, &Problem{key, text})
}

// inside reports whether a machine of the network can have the address.
func inside(network netip.Prefix, a netip.Addr) bool {
	return network.Contains(a) && a != network.Addr() && a != broadcast(network)
}

// broadcast is the last address of a network.
func broadcast(network netip.Prefix) netip.Addr {
	b := network.Masked().Addr().As4()
	for i := network.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// station reads the hardware address of one machine.
func station(text string) (hardware, error) {
	m, err := net.ParseMAC(text)
	if err != nil || len(m) != 6 {
		return hardware{}, fmt.Errorf("%q is no hardware address such as 52:54:00:01:02:03", text)
	}
	h := hardware(m)
	if h[0]&1 != 0 || h == (hardware{}) {
		return hardware{}, fmt.Errorf("%s is no hardware address of one machine", text)
	}
	return h, nil
}

// hardware is a hardware address.
type hardware [6]byte

// String is its usual form.
func (h hardware) String() string { return net.HardwareAddr(h[:]).String() }

// Server is a machine that serves a network. Its methods can be called from anywhere.
type Server struct {
	config Config
	mac    hardware
	end    *os.File
	link   *channel.Endpoint
	stack  *stack.Stack
	leases *leases // nil without DHCP
	nat    *nat    // nil without NAT

	down atomic.Bool
	done sync.WaitGroup
	once sync.Once
}

// Start begins to serve at this end of a cable, which it takes over, also when it fails. The server is up.
func Start(c Config, end *os.File) (*Server, error) {
	s, err := start(c, end)
	if err != nil {
		end.Close()
		return nil, fmt.Errorf("server %s: %w", c.Name, err)
	}
	return s, nil
}

func start(c Config, end *os.File) (*Server, error) {
	if err := errors.Join(c.Check()...); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	mac, _ := station(c.MAC)
	s := &Server{config: c, mac: mac, end: end}
	if c.DHCP != nil {
		s.leases = newLeases(&s.config)
	}
	if err := s.join(); err != nil {
		return nil, err
	}
	s.done.Add(2)
	go s.receive()
	go s.transmit()
	return s, nil
}

func (s *Server) log(format string, args ...any) {
	if s.config.Log != nil {
		s.config.Log(fmt.Sprintf(format, args...))
	}
}

// Name is the server's name.
func (s *Server) Name() string { return s.config.Name }

// SetUp switches the server off, or on again with all that it knew. One that is off hears and says nothing.
func (s *Server) SetUp(up bool) { s.down.Store(!up) }

// Up reports whether the server is on.
func (s *Server) Up() bool { return !s.down.Load() }

// Close ends the server and all connections through it. When it returns, nothing of it runs.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.down.Store(true)
		s.end.Close()
		s.link.Close()
		if s.nat != nil {
			s.nat.close()
		}
		s.stack.Close()
		s.done.Wait()
		s.stack.Wait()
	})
	return nil
}
