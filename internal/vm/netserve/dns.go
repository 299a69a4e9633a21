package netserve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
)

// DNS answers for names.
type DNS struct {
	Domain string                // behind each name, besides the bare name; may be ""
	Names  map[string]netip.Addr // by name, in lower case
	// Upstream are name servers, with their ports, that are asked for all other names; without them such questions are refused.
	Upstream []netip.AddrPort
}

var domainName = regexp.MustCompile(`^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)*$`)

func (d *DNS) check(k *checker) {
	if d.Domain != "" && !domainName.MatchString(d.Domain) {
		k.fail(fmt.Sprintf("%q is no domain", d.Domain), "dns", "domain")
	}
	for name, a := range d.Names {
		switch {
		case !domainName.MatchString(name) || name != strings.ToLower(name) || len(name)+len(d.Domain) > 250:
			k.fail(fmt.Sprintf("%q is no name of a machine", name), "dns", "names", name)
		case !a.IsValid():
			k.fail(fmt.Sprintf("%s has no address", name), "dns", "names", name)
		}
	}
}

const (
	dnsPort = 53
	dnsTTL  = 10 // seconds: tests change what is true
	// dnsWait is how long another name server may take.
	dnsWait = 5 * time.Second
	// dnsAtOnce is how many questions are handled at a time; further ones are lost, as on a server that has too much to do.
	dnsAtOnce = 64
)

// openDNS begins to answer by UDP and TCP.
func (s *Server) openDNS() error {
	at := tcpip.FullAddress{NIC: card, Addr: tcpip.AddrFrom4(s.config.Address.Addr().As4()), Port: dnsPort}
	u, err := gonet.DialUDP(s.stack, &at, nil, ipv4.ProtocolNumber)
	if err != nil {
		return fmt.Errorf("answer for names: %w", err)
	}
	t, err := gonet.ListenTCP(s.stack, at, ipv4.ProtocolNumber)
	if err != nil {
		u.Close()
		return fmt.Errorf("answer for names by TCP: %w", err)
	}
	slots := make(chan struct{}, dnsAtOnce)
	s.done.Add(2)
	go s.dnsUDP(u, slots)
	go s.dnsTCP(t, slots)
	return nil
}

// busy runs f beside the caller, if a slot is free.
func (s *Server) busy(slots chan struct{}, f func()) bool {
	select {
	case slots <- struct{}{}:
	default:
		return false
	}
	s.done.Add(1)
	go func() {
		defer func() { <-slots; s.done.Done() }()
		f()
	}()
	return true
}

func (s *Server) dnsUDP(u *gonet.UDPConn, slots chan struct{}) {
	defer s.done.Done()
	defer u.Close()
	buf := make([]byte, 1<<16)
	for {
		n, from, err := u.ReadFrom(buf)
		if err != nil {
			return
		}
		question := append([]byte(nil), buf[:n]...)
		s.busy(slots, func() {
			if out := s.resolve(question, "udp"); out != nil {
				_, _ = u.WriteTo(out, from) // the client asks again when it gets nothing
			}
		})
	}
}

func (s *Server) dnsTCP(t *gonet.TCPListener, slots chan struct{}) {
	defer s.done.Done()
	defer t.Close()
	for {
		c, err := t.Accept()
		if err != nil {
			return
		}
		if !s.busy(slots, func() { s.dnsStream(c) }) {
			c.Close()
		}
	}
}

// dnsStream answers the questions of a connection.
func (s *Server) dnsStream(c net.Conn) {
	defer c.Close()
	for {
		_ = c.SetDeadline(time.Now().Add(2 * dnsWait))
		question, err := readMessage(c)
		if err != nil {
			return
		}
		out := s.resolve(question, "tcp")
		if out == nil || writeMessage(c, out) != nil {
			return
		}
	}
}

// readMessage reads a message behind its length (RFC 1035 4.2.2).
func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	data := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, data)
	return data, err
}

func writeMessage(w io.Writer, data []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...))
	return err
}

// resolve is the answer to a question, or nil when it is none.
func (s *Server) resolve(data []byte, network string) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(data)
	if err != nil || head.Response {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return pack(head, nil, dnsmessage.RCodeFormatError)
	}
	if head.OpCode != 0 {
		return pack(head, &q, dnsmessage.RCodeNotImplemented)
	}
	answers, code := s.config.DNS.lookup(q)
	if code != dnsmessage.RCodeRefused || len(s.config.DNS.Upstream) == 0 {
		return pack(head, &q, code, answers...)
	}
	out, err := ask(s.config.DNS.Upstream, network, data)
	if err != nil {
		s.log("gets no answer about %s: %v", q.Name, err)
		return pack(head, &q, dnsmessage.RCodeServerFailure)
	}
	return out
}

// pack makes an answer.
func pack(head dnsmessage.Header, q *dnsmessage.Question, code dnsmessage.RCode, answers ...dnsmessage.Resource) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: head.ID, Response: true, OpCode: head.OpCode, RecursionDesired: head.RecursionDesired, RecursionAvailable: true,
		Authoritative: code != dnsmessage.RCodeRefused && code != dnsmessage.RCodeServerFailure, RCode: code}, Answers: answers}
	if q != nil {
		m.Questions = []dnsmessage.Question{*q}
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}

// lookup answers from the server's own names. Names that may be somebody else's are refused.
func (d *DNS) lookup(q dnsmessage.Question) ([]dnsmessage.Resource, dnsmessage.RCode) {
	full := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	head := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: dnsTTL}
	if host, reverse := strings.CutSuffix(full, ".in-addr.arpa"); reverse {
		return d.reverse(q, head, host)
	}
	name, own := full, !strings.Contains(full, ".")
	if short, ok := strings.CutSuffix(full, "."+strings.ToLower(d.Domain)); ok && d.Domain != "" {
		name, own = short, true
	}
	a, known := d.Names[name]
	switch {
	case !known && own:
		return nil, dnsmessage.RCodeNameError
	case !known:
		return nil, dnsmessage.RCodeRefused
	case a.Is4() && (q.Type == dnsmessage.TypeA || q.Type == dnsmessage.TypeALL):
		head.Type = dnsmessage.TypeA
		return []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: a.As4()}}}, dnsmessage.RCodeSuccess
	case a.Is6() && (q.Type == dnsmessage.TypeAAAA || q.Type == dnsmessage.TypeALL):
		head.Type = dnsmessage.TypeAAAA
		return []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}}, dnsmessage.RCodeSuccess
	}
	return nil, dnsmessage.RCodeSuccess // the name is there, but not this kind of record
}

// reverse finds the name of an address.
func (d *DNS) reverse(q dnsmessage.Question, head dnsmessage.ResourceHeader, host string) ([]dnsmessage.Resource, dnsmessage.RCode) {
	parts := strings.Split(host, ".")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	a, err := netip.ParseAddr(strings.Join(parts, "."))
	if err != nil {
		return nil, dnsmessage.RCodeRefused
	}
	best := ""
	for name, of := range d.Names {
		if of == a && (best == "" || name < best) {
			best = name
		}
	}
	if best == "" {
		return nil, dnsmessage.RCodeRefused
	}
	if d.Domain != "" {
		best += "." + d.Domain
	}
	name, err := dnsmessage.NewName(best + ".")
	if err != nil {
		return nil, dnsmessage.RCodeServerFailure
	}
	if q.Type != dnsmessage.TypePTR && q.Type != dnsmessage.TypeALL {
		return nil, dnsmessage.RCodeSuccess
	}
	head.Type = dnsmessage.TypePTR
	return []dnsmessage.Resource{{Header: head, Body: &dnsmessage.PTRResource{PTR: name}}}, dnsmessage.RCodeSuccess
}

// ask passes a question on to the first name server that answers.
func ask(servers []netip.AddrPort, network string, question []byte) ([]byte, error) {
	var errs []error
	for _, server := range servers {
		out, err := askOne(server, network, question)
		if err == nil {
			return out, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func askOne(server netip.AddrPort, network string, question []byte) ([]byte, error) {
	c, err := net.DialTimeout(network, server.String(), dnsWait)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(dnsWait))
	if network == "tcp" {
		if err := writeMessage(c, question); err != nil {
			return nil, err
		}
		return readMessage(c)
	}
	if _, err := c.Write(question); err != nil {
		return nil, err
	}
	buf := make([]byte, 1<<16)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		if n >= 12 && buf[0] == question[0] && buf[1] == question[1] {
			return buf[:n], nil
		}
	}
}
