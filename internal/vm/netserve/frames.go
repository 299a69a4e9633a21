package netserve

import (
	"context"
	"errors"
	"fmt"
	"os"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	mtu    = 1500
	card   = tcpip.NICID(1)
	queued = 512 // frames of the server that wait for the cable
)

// join gives the server its place in the network: an address that answers ARP and pings, and its sockets.
func (s *Server) join() error {
	s.link = channel.New(queued, mtu+header.EthernetMinimumSize, tcpip.LinkAddress(s.mac[:]))
	s.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	fail := func(what string, err tcpip.Error) error {
		s.stack.Close()
		return fmt.Errorf("%s: %s", what, err)
	}
	if err := s.stack.CreateNIC(card, ethernet.New(s.link)); err != nil {
		return fail("make its network card", err)
	}
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(s.config.Address.Addr().As4()), PrefixLen: s.config.Address.Bits()}}
	if err := s.stack.AddProtocolAddress(card, own, stack.AddressProperties{}); err != nil {
		return fail("take its address", err)
	}
	s.stack.SetRouteTable([]tcpip.Route{{Destination: own.AddressWithPrefix.Subnet(), NIC: card}})
	sack := tcpip.TCPSACKEnabled(true)
	if err := s.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack); err != nil {
		return fail("set up TCP", err)
	}
	if s.config.NAT != nil {
		if err := s.openNAT(); err != nil {
			s.stack.Close()
			return err
		}
	}
	if s.config.DNS != nil {
		if err := s.openDNS(); err != nil {
			s.stack.Close()
			return err
		}
	}
	return nil
}

// receive takes frames from the cable until it is cut.
func (s *Server) receive() {
	defer s.done.Done()
	buf := make([]byte, 1<<16)
	for {
		n, err := s.end.Read(buf)
		if err != nil {
			return
		}
		if !s.down.Load() {
			s.hear(buf[:n])
		}
	}
}

// hear handles a frame. The stack gets a copy of it.
func (s *Server) hear(frame []byte) {
	if len(frame) < header.EthernetMinimumSize || !s.isForUs(frame) {
		return
	}
	if s.leases != nil && s.hearDHCP(frame) {
		return
	}
	if s.nat != nil && s.nat.refuse(frame) {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(append([]byte(nil), frame...))})
	s.link.InjectInbound(0, pkt)
	pkt.DecRef()
}

// isForUs does what a network card does: it takes frames for itself and for groups.
func (s *Server) isForUs(frame []byte) bool { return frame[0]&1 != 0 || hardware(frame[:6]) == s.mac }

// transmit sends what the stack has for the network until the server ends.
func (s *Server) transmit() {
	defer s.done.Done()
	for {
		pkt := s.link.ReadContext(context.Background())
		if pkt == nil {
			return
		}
		v := pkt.ToView()
		s.say(v.AsSlice())
		v.Release()
		pkt.DecRef()
	}
}

// say puts a frame on the cable. A switch that takes it waits for nobody, so that this does not last.
func (s *Server) say(frame []byte) {
	if s.down.Load() {
		return
	}
	if _, err := s.end.Write(frame); err != nil && !errors.Is(err, os.ErrClosed) {
		s.log("loses a frame: %v", err)
	}
}
