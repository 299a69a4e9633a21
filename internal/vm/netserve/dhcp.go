package netserve

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// DHCP gives machines their addresses.
type DHCP struct {
	First, Last  netip.Addr // for machines without a reservation; without them such machines get no answer
	Lease        time.Duration
	Reservations []Reservation

	Router    netip.Addr   // invalid: none is told
	Resolvers []netip.Addr // name servers
	Domain    string       // in which machines look for names
	Search    []string     // further ones
	NTP       []netip.Addr
	MTU       int // bytes; 0 is not told
}

// Reservation is the address that belongs to a hardware address.
type Reservation struct {
	MAC     string
	Address netip.Addr
	Name    string // host name that the machine is told; may be ""
}

// usualLease is how long a lease lasts when nothing else is said, as dnsmasq's.
const usualLease = time.Hour

// shortestLease is dnsmasq's, too: machines renew a lease after half its time.
const shortestLease = 2 * time.Minute

func (d *DHCP) lease() time.Duration {
	if d.Lease == 0 {
		return usualLease
	}
	return d.Lease
}

func (d *DHCP) check(k *checker, server netip.Prefix) {
	network := server.Masked()
	if d.Lease != 0 && (d.Lease < shortestLease || d.Lease >= 1<<32*time.Second) {
		k.fail(fmt.Sprintf("a lease of %s is not in 2 minutes to 136 years", d.Lease), "dhcp", "lease")
	}
	if d.First.IsValid() || d.Last.IsValid() {
		switch {
		case !inside(network, d.First) || !inside(network, d.Last):
			k.fail(fmt.Sprintf("the range %s to %s is outside the network %s", d.First, d.Last, network), "dhcp", "range")
		case d.Last.Less(d.First):
			k.fail(fmt.Sprintf("the range ends at %s, before its beginning %s", d.Last, d.First), "dhcp", "range")
		}
	} else if len(d.Reservations) == 0 {
		k.fail("a DHCP server without a range and without reservations gives no addresses", "dhcp")
	}
	macs, addresses := map[hardware]bool{}, map[netip.Addr]string{}
	for _, r := range d.Reservations {
		mac, err := station(r.MAC)
		switch why := reservable(server, r.Address); {
		case err != nil:
			k.fail(err.Error(), "dhcp", "reservations", r.MAC)
		case macs[mac]:
			k.fail(fmt.Sprintf("%s has two reservations", mac), "dhcp", "reservations", r.MAC)
		case why != "":
			k.fail(why, "dhcp", "reservations", r.MAC)
		case addresses[r.Address] != "":
			k.fail(fmt.Sprintf("%s is reserved for %s already", r.Address, addresses[r.Address]), "dhcp", "reservations", r.MAC)
		default:
			macs[mac], addresses[r.Address] = true, r.MAC
		}
	}
	if d.Router.IsValid() && !inside(network, d.Router) {
		k.fail(fmt.Sprintf("the router %s is outside the network %s", d.Router, network), "dhcp", "router")
	}
	for _, a := range append(d.Resolvers[:len(d.Resolvers):len(d.Resolvers)], d.NTP...) {
		if !a.Is4() {
			k.fail(fmt.Sprintf("%s is no IPv4 address", a), "dhcp")
		}
	}
	for _, name := range append([]string{d.Domain}, d.Search...) {
		if name != "" && !domainName.MatchString(name) {
			k.fail(fmt.Sprintf("%q is no domain", name), "dhcp", "domain")
		}
	}
	if d.MTU != 0 && (d.MTU < 68 || d.MTU > 9216) {
		k.fail(fmt.Sprintf("an MTU of %d is not in 68 to 9216", d.MTU), "dhcp", "mtu")
	}
}

// reservable is why a machine cannot have an address; "" when it can.
func reservable(server netip.Prefix, a netip.Addr) string {
	switch {
	case !inside(server.Masked(), a):
		return fmt.Sprintf("%s is no address of a machine in %s", a, server.Masked())
	case a == server.Addr():
		return fmt.Sprintf("%s is the server's own address", a)
	}
	return ""
}

// hearDHCP handles a frame if it is a DHCP client's. Such frames come from machines without an address, which the stack would not answer.
func (s *Server) hearDHCP(frame []byte) bool {
	data := udpFor(frame, dhcpv4.ServerPort)
	if data == nil {
		return false
	}
	m, err := dhcpv4.FromBytes(data)
	if err != nil {
		s.log("gets what is no DHCP message from %s: %v", hardware(frame[6:12]), err)
		return true
	}
	if m.OpCode != dhcpv4.OpcodeBootRequest || len(m.ClientHWAddr) != 6 {
		return true
	}
	if reply := s.answer(m); reply != nil {
		s.send(m, reply)
	}
	return true
}

// udpFor is what a frame carries for a UDP port; nil when it is something else, or damaged.
func udpFor(frame []byte, port uint16) []byte {
	if header.Ethernet(frame).Type() != header.IPv4ProtocolNumber {
		return nil
	}
	ip := header.IPv4(frame[header.EthernetMinimumSize:])
	if !ip.IsValid(len(ip)) || ip.TransportProtocol() != header.UDPProtocolNumber || ip.More() || ip.FragmentOffset() != 0 || !ip.IsChecksumValid() {
		return nil
	}
	u := header.UDP(ip.Payload())
	if len(u) < header.UDPMinimumSize || int(u.Length()) < header.UDPMinimumSize || int(u.Length()) > len(u) || u.DestinationPort() != port {
		return nil
	}
	u = u[:u.Length()]
	if u.Checksum() != 0 && !u.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), checksum.Checksum(u.Payload(), 0)) {
		return nil
	}
	return u.Payload()
}

// answer is what a client gets; nil is nothing (RFC 2131 4.3).
func (s *Server) answer(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	mac := hardware(m.ClientHWAddr)
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		a := s.leases.choose(mac, address(m.RequestedIPAddress()))
		if !a.IsValid() {
			s.log("has no address for %s", mac)
			return nil
		}
		return s.reply(m, dhcpv4.MessageTypeOffer, a)
	case dhcpv4.MessageTypeRequest:
		return s.request(m, mac)
	case dhcpv4.MessageTypeDecline:
		a := address(m.RequestedIPAddress())
		s.leases.decline(mac, a)
		s.log("hears from %s that somebody else has %s", mac, a)
	case dhcpv4.MessageTypeRelease:
		if a := address(m.ClientIPAddr); s.leases.release(mac, a) {
			s.log("gets %s back from %s", a, mac)
		}
	case dhcpv4.MessageTypeInform:
		return s.reply(m, dhcpv4.MessageTypeAck, netip.Addr{})
	}
	return nil
}

// request answers a client that wants an address: the one that it was offered, or one that it had, which it names in a field of its own.
func (s *Server) request(m *dhcpv4.DHCPv4, mac hardware) *dhcpv4.DHCPv4 {
	if id := m.ServerIdentifier(); id != nil && address(id) != s.config.Address.Addr() {
		return nil // it has chosen another server
	}
	want := address(m.RequestedIPAddress())
	if !want.IsValid() {
		want = address(m.ClientIPAddr)
	}
	if !want.IsValid() {
		return nil
	}
	if !s.leases.grant(mac, want, hostName(m)) {
		s.log("refuses %s to %s", want, mac)
		return s.reply(m, dhcpv4.MessageTypeNak, netip.Addr{})
	}
	s.log("gives %s to %s for %s", want, mac, s.config.DHCP.lease())
	return s.reply(m, dhcpv4.MessageTypeAck, want)
}

// hostName is what a client calls itself, without what has no place in a report.
func hostName(m *dhcpv4.DHCPv4) string {
	name := strings.TrimRight(m.HostName(), "\x00")
	if len(name) > 63 || !domainName.MatchString(name) {
		return ""
	}
	return name
}

func (s *Server) reply(m *dhcpv4.DHCPv4, t dhcpv4.MessageType, a netip.Addr) *dhcpv4.DHCPv4 {
	own := net.IP(s.config.Address.Addr().AsSlice())
	with := []dhcpv4.Modifier{dhcpv4.WithMessageType(t), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(own))}
	if id := m.GetOneOption(dhcpv4.OptionClientIdentifier); id != nil {
		with = append(with, dhcpv4.WithGeneric(dhcpv4.OptionClientIdentifier, id)) // RFC 6842
	}
	if t != dhcpv4.MessageTypeNak {
		with = append(with, s.options(m)...)
	}
	if a.IsValid() {
		time := s.config.DHCP.lease()
		with = append(with, dhcpv4.WithYourIP(a.AsSlice()), dhcpv4.WithOption(dhcpv4.OptIPAddressLeaseTime(time)),
			dhcpv4.WithOption(dhcpv4.OptRenewTimeValue(time/2)), dhcpv4.WithOption(dhcpv4.OptRebindingTimeValue(time/8*7)))
	}
	r, err := dhcpv4.NewReplyFromRequest(m, with...)
	if err != nil {
		s.log("cannot answer %s: %v", hardware(m.ClientHWAddr), err)
		return nil
	}
	if t == dhcpv4.MessageTypeAck {
		r.ClientIPAddr = m.ClientIPAddr
	}
	return r
}

// options are what a machine is told about the network.
func (s *Server) options(m *dhcpv4.DHCPv4) []dhcpv4.Modifier {
	d := s.config.DHCP
	out := []dhcpv4.Modifier{
		dhcpv4.WithNetmask(net.CIDRMask(s.config.Address.Bits(), 32)),
		dhcpv4.WithOption(dhcpv4.OptBroadcastAddress(broadcast(s.config.Address).AsSlice())),
	}
	if d.Router.IsValid() {
		out = append(out, dhcpv4.WithRouter(d.Router.AsSlice()))
	}
	if len(d.Resolvers) > 0 {
		out = append(out, dhcpv4.WithDNS(slicesOf(d.Resolvers)...))
	}
	if len(d.NTP) > 0 {
		out = append(out, dhcpv4.WithOption(dhcpv4.OptNTPServers(slicesOf(d.NTP)...)))
	}
	if d.Domain != "" {
		out = append(out, dhcpv4.WithOption(dhcpv4.OptDomainName(d.Domain)))
	}
	if len(d.Search) > 0 {
		out = append(out, dhcpv4.WithDomainSearchList(d.Search...))
	}
	if d.MTU > 0 {
		out = append(out, dhcpv4.WithGeneric(dhcpv4.OptionInterfaceMTU, []byte{byte(d.MTU >> 8), byte(d.MTU)}))
	}
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	if r := s.leases.reserved[hardware(m.ClientHWAddr)]; r.Name != "" {
		out = append(out, dhcpv4.WithOption(dhcpv4.OptHostName(r.Name)))
	}
	return out
}

func slicesOf(list []netip.Addr) []net.IP {
	var out []net.IP
	for _, a := range list {
		out = append(out, a.AsSlice())
	}
	return out
}

// address is an IPv4 address of a message; 0.0.0.0 is none.
func address(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip.To4())
	if !ok || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// send sends a reply to where RFC 2131 4.1 wants it: to the client's address if it has one, else to the new one, which nobody answers ARP for
// yet, or to all.
func (s *Server) send(m, reply *dhcpv4.DHCPv4) {
	all, to := hardware{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, netip.AddrFrom4([4]byte{255, 255, 255, 255})
	mac := all
	switch nak := reply.MessageType() == dhcpv4.MessageTypeNak; {
	case nak || !address(m.ClientIPAddr).IsValid() && m.IsBroadcast():
	case address(m.ClientIPAddr).IsValid():
		mac, to = hardware(m.ClientHWAddr), address(m.ClientIPAddr)
	default:
		mac, to = hardware(m.ClientHWAddr), address(reply.YourIPAddr)
	}
	if !to.IsValid() {
		return
	}
	s.say(s.datagram(mac, to, dhcpv4.ServerPort, dhcpv4.ClientPort, reply.ToBytes()))
}

// datagram is a frame with a UDP datagram from the server.
func (s *Server) datagram(mac hardware, to netip.Addr, from, port uint16, data []byte) []byte {
	const ipAt, udpAt, dataAt = header.EthernetMinimumSize, header.EthernetMinimumSize + header.IPv4MinimumSize, header.EthernetMinimumSize + header.IPv4MinimumSize + header.UDPMinimumSize
	frame := make([]byte, dataAt+len(data))
	copy(frame[dataAt:], data)
	header.Ethernet(frame).Encode(&header.EthernetFields{SrcAddr: tcpip.LinkAddress(s.mac[:]), DstAddr: tcpip.LinkAddress(mac[:]), Type: header.IPv4ProtocolNumber})
	src, dst := tcpip.AddrFrom4(s.config.Address.Addr().As4()), tcpip.AddrFrom4(to.As4())
	ip := header.IPv4(frame[ipAt:])
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(frame) - ipAt), TTL: 64, Protocol: uint8(header.UDPProtocolNumber), SrcAddr: src, DstAddr: dst})
	ip.SetChecksum(^ip.CalculateChecksum())
	u := header.UDP(frame[udpAt:])
	length := uint16(len(frame) - udpAt)
	u.Encode(&header.UDPFields{SrcPort: from, DstPort: port, Length: length})
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, src, dst, length)
	u.SetChecksum(^u.CalculateChecksum(checksum.Checksum(data, sum)))
	return frame
}
