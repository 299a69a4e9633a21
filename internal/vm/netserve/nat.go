package netserve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// NAT carries the machines' TCP connections and UDP datagrams to where this host can connect to. Its own addresses, loopback, link-local
// and group addresses are refused.
type NAT struct {
	// Closed refuses the outside, so that only Host is left.
	Closed bool
	// Host are ports of this host's 127.0.0.1 that machines find at the server's address.
	Host []int
}

func (n *NAT) check(k *checker) {
	for i, port := range n.Host {
		switch {
		case port < 1 || port > 65535:
			k.fail(fmt.Sprintf("%d is no port", port), "nat", "host")
		case port == dnsPort:
			k.fail("port 53 is that of the server's own DNS", "nat", "host")
		case slices.Contains(n.Host[:i], port):
			k.fail(fmt.Sprintf("port %d is there twice", port), "nat", "host")
		}
	}
}

const (
	natConnections = 1024             // at once; further ones are refused
	natDial        = 20 * time.Second // how long the other end may take to answer
	natIdle        = 60 * time.Second // after which a UDP exchange is over
	natWindow      = 1 << 20
)

// nat are the connections through a server.
type nat struct {
	s     *Server
	ctx   context.Context
	stop  context.CancelFunc
	slots chan struct{}

	mu    sync.Mutex
	conns map[io.Closer]bool // nil: closed
	done  sync.WaitGroup
}

// openNAT makes the server take packets for all addresses.
func (s *Server) openNAT() error {
	ctx, stop := context.WithCancel(context.Background())
	n := &nat{s: s, ctx: ctx, stop: stop, slots: make(chan struct{}, natConnections), conns: map[io.Closer]bool{}}
	if err := errors.Join(asError(s.stack.SetPromiscuousMode(card, true)), asError(s.stack.SetSpoofing(card, true))); err != nil {
		stop()
		return fmt.Errorf("take packets for the outside: %w", err)
	}
	s.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s.stack, natWindow, natConnections, n.tcp).HandlePacket)
	s.stack.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(s.stack, n.udp).HandlePacket)
	s.nat = n
	return nil
}

func asError(err tcpip.Error) error {
	if err == nil {
		return nil
	}
	return errors.New(err.String())
}

// close ends all connections.
func (n *nat) close() {
	n.stop()
	n.mu.Lock()
	conns := n.conns
	n.conns = nil
	n.mu.Unlock()
	for c := range conns {
		c.Close()
	}
	n.done.Wait()
}

// run does f beside the caller, unless there are too many or the server ends.
func (n *nat) run(f func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		return false
	}
	select {
	case n.slots <- struct{}{}:
	default:
		n.s.log("has %d connections to the outside already", natConnections)
		return false
	}
	n.done.Add(1)
	go func() {
		defer func() { <-n.slots; n.done.Done() }()
		f()
	}()
	return true
}

// keep closes c with the server; the function that it gives does it earlier.
func (n *nat) keep(c io.Closer) func() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		c.Close()
		return func() {}
	}
	n.conns[c] = true
	return func() {
		n.mu.Lock()
		delete(n.conns, c)
		n.mu.Unlock()
		c.Close()
	}
}

// target is where a packet for an address goes, or why it goes nowhere.
func (n *nat) target(id stack.TransportEndpointID) (string, error) {
	a, port := netip.AddrFrom4(id.LocalAddress.As4()), id.LocalPort
	c := &n.s.config
	if a == c.Address.Addr() {
		if slices.Contains(c.NAT.Host, int(port)) {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))), nil
		}
		return "", fmt.Errorf("port %d of this host is not shared", port)
	}
	if why := n.forbidden(a); why != "" {
		return "", errors.New(why)
	}
	return netip.AddrPortFrom(a, port).String(), nil
}

// forbidden is why machines do not reach an address; "" when they do.
func (n *nat) forbidden(a netip.Addr) string {
	switch {
	case n.s.config.NAT.Closed:
		return "the outside is closed"
	case a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Sprintf("%s is no address of the outside", a)
	case n.s.config.Address.Contains(a):
		return fmt.Sprintf("%s is inside", a)
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Sprintf("this host's addresses are unknown: %v", err)
	}
	for _, o := range own {
		if ip, ok := o.(*net.IPNet); ok && address(ip.IP) == a {
			return fmt.Sprintf("%s is this host", a)
		}
	}
	return ""
}

// tcp carries a connection.
func (n *nat) tcp(r *tcp.ForwarderRequest) {
	id := r.ID()
	to, err := n.target(id)
	if err != nil {
		n.s.log("refuses a connection of %s to %s:%d: %v", id.RemoteAddress, id.LocalAddress, id.LocalPort, err)
		r.Complete(true)
		return
	}
	ok := n.run(func() {
		d := net.Dialer{Timeout: natDial}
		out, err := d.DialContext(n.ctx, "tcp4", to)
		if err != nil {
			n.s.log("cannot connect %s: %v", id.RemoteAddress, err)
			r.Complete(true)
			return
		}
		defer n.keep(out)()
		var wq waiter.Queue
		ep, terr := r.CreateEndpoint(&wq)
		r.Complete(terr != nil)
		if terr != nil {
			return
		}
		in := gonet.NewTCPConn(&wq, ep)
		defer n.keep(in)()
		both(in, out.(*net.TCPConn))
	})
	if !ok {
		r.Complete(true)
	}
}

// stream is a connection that can end in one direction.
type stream interface {
	net.Conn
	CloseWrite() error
}

// both carries bytes in both directions until both have ended.
func both(a, b stream) {
	var all sync.WaitGroup
	for _, p := range [][2]stream{{a, b}, {b, a}} {
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := io.Copy(p[0], p[1]); err != nil {
				a.Close() // broken, not ended
				b.Close()
				return
			}
			_ = p[0].CloseWrite()
		}()
	}
	all.Wait()
}

// udp carries an exchange of datagrams.
func (n *nat) udp(r *udp.ForwarderRequest) {
	id := r.ID()
	to, err := n.target(id)
	if err != nil {
		n.s.log("refuses a datagram of %s to %s:%d: %v", id.RemoteAddress, id.LocalAddress, id.LocalPort, err)
		return
	}
	var wq waiter.Queue
	ep, terr := r.CreateEndpoint(&wq)
	if terr != nil {
		return
	}
	in := gonet.NewUDPConn(&wq, ep)
	ok := n.run(func() {
		defer n.keep(in)()
		d := net.Dialer{Timeout: natDial}
		out, err := d.DialContext(n.ctx, "udp4", to)
		if err != nil {
			n.s.log("cannot send for %s: %v", id.RemoteAddress, err)
			return
		}
		defer n.keep(out)()
		exchange(in, out)
	})
	if !ok {
		in.Close()
	}
}

// exchange carries datagrams in both directions until none has come for a while.
func exchange(a, b net.Conn) {
	var all sync.WaitGroup
	for _, p := range [][2]net.Conn{{a, b}, {b, a}} {
		all.Add(1)
		go func() {
			defer all.Done()
			defer a.Close()
			defer b.Close()
			buf := make([]byte, 1<<16)
			for {
				until := time.Now().Add(natIdle)
				_ = a.SetReadDeadline(until)
				_ = b.SetReadDeadline(until)
				count, err := p[1].Read(buf)
				if err != nil {
					return
				}
				if _, err := p[0].Write(buf[:count]); err != nil {
					return
				}
			}
		}()
	}
	all.Wait()
}

// refuse answers what is neither TCP nor UDP for the outside, which the stack would take for itself: a ping of the outside would always
// succeed.
func (n *nat) refuse(frame []byte) bool {
	if header.Ethernet(frame).Type() != header.IPv4ProtocolNumber {
		return false
	}
	ip := header.IPv4(frame[header.EthernetMinimumSize:])
	if !ip.IsValid(len(ip)) {
		return true
	}
	to := netip.AddrFrom4(ip.DestinationAddress().As4())
	if p := ip.TransportProtocol(); to == n.s.config.Address.Addr() || p == header.TCPProtocolNumber || p == header.UDPProtocolNumber {
		return hardware(frame[:6]) != n.s.mac // groups and broadcasts are nobody's connection
	}
	if hardware(frame[:6]) == n.s.mac && ip.TransportProtocol() == header.ICMPv4ProtocolNumber && len(ip.Payload()) > 0 && header.ICMPv4(ip.Payload()).Type() == header.ICMPv4Echo {
		n.s.say(n.s.prohibited(frame))
	}
	return true
}

// prohibited is the answer to a packet that does not pass (RFC 1812 5.2.7.1: code 13).
func (s *Server) prohibited(frame []byte) []byte {
	const ipAt, icmpAt = header.EthernetMinimumSize, header.EthernetMinimumSize + header.IPv4MinimumSize
	from := header.IPv4(frame[ipAt:])
	cause := from[:min(len(from), int(from.HeaderLength())+8)]
	out := make([]byte, icmpAt+header.ICMPv4MinimumSize+len(cause))
	copy(out[icmpAt+header.ICMPv4MinimumSize:], cause)
	header.Ethernet(out).Encode(&header.EthernetFields{SrcAddr: tcpip.LinkAddress(s.mac[:]), DstAddr: tcpip.LinkAddress(frame[6:12]), Type: header.IPv4ProtocolNumber})
	ip := header.IPv4(out[ipAt:])
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(out) - ipAt), TTL: 64, Protocol: uint8(header.ICMPv4ProtocolNumber),
		SrcAddr: tcpip.AddrFrom4(s.config.Address.Addr().As4()), DstAddr: from.SourceAddress()})
	ip.SetChecksum(^ip.CalculateChecksum())
	icmp := header.ICMPv4(out[icmpAt:])
	icmp.SetType(header.ICMPv4DstUnreachable)
	icmp.SetCode(13)
	icmp.SetChecksum(^checksum.Checksum(icmp, 0))
	return out
}
