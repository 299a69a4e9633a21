package netserve

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"n3x/internal/vm/vswitch"
)

// lab is the configuration of most tests: two reservations and a range of two addresses.
func lab() Config {
	return Config{
		Name: "dhcp", MAC: "52:54:00:01:01:00", Address: netip.MustParsePrefix("192.168.1.254/24"),
		DHCP: &DHCP{
			First: netip.MustParseAddr("192.168.1.100"), Last: netip.MustParseAddr("192.168.1.101"), Lease: 12 * time.Hour,
			Reservations: []Reservation{
				{MAC: "52:54:00:01:01:01", Address: netip.MustParseAddr("192.168.1.1"), Name: "server-1"},
				{MAC: "52:54:00:01:01:02", Address: netip.MustParseAddr("192.168.1.2")},
			},
		},
	}
}

// client is a machine's DHCP client, packet by packet.
type client struct {
	t   *testing.T
	end *os.File
	mac net.HardwareAddr
}

func serve(t *testing.T, c Config) (*Server, *os.File) {
	t.Helper()
	ours, theirs, err := vswitch.Cable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	s, err := Start(c, ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, theirs
}

func machine(t *testing.T, end *os.File, mac string) *client {
	t.Helper()
	m, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, end, m}
}

// send broadcasts a message, as a machine without an address does.
func (c *client) send(m *dhcpv4.DHCPv4, err error) *dhcpv4.DHCPv4 {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	// The frame is made by a server that is the client: the same headers, other addresses and ports.
	from := &Server{mac: hardware(c.mac), config: Config{Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{}), 24)}}
	if _, err := c.end.Write(from.datagram(hardware{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, netip.MustParseAddr("255.255.255.255"), 68, 67, m.ToBytes())); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// answer is what the server says to a message.
func (c *client) answer(to *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	c.t.Helper()
	buf := make([]byte, 65536)
	for {
		_ = c.end.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := c.end.Read(buf)
		if err != nil {
			c.t.Fatalf("no answer to %s: %v", to.MessageType(), err)
		}
		data := udpFor(buf[:n], 68)
		if data == nil {
			continue
		}
		m, err := dhcpv4.FromBytes(data)
		if err != nil {
			c.t.Fatal(err)
		}
		if m.TransactionID == to.TransactionID {
			return m
		}
	}
}

// silent fails when the server has answered: what is sent behind the message is answered first.
func (c *client) silent(m *dhcpv4.DHCPv4) {
	c.t.Helper()
	inform := c.send(dhcpv4.NewInform(c.mac, net.IP{192, 168, 1, 77}))
	buf := make([]byte, 65536)
	for {
		_ = c.end.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := c.end.Read(buf)
		if err != nil {
			c.t.Fatal(err)
		}
		got, err := dhcpv4.FromBytes(udpFor(buf[:n], 68))
		if err != nil {
			continue
		}
		switch got.TransactionID {
		case m.TransactionID:
			c.t.Errorf("%s was answered by %s", m.MessageType(), got.Summary())
			return
		case inform.TransactionID:
			return
		}
	}
}

// lease goes the whole way to an address.
func (c *client) lease() *dhcpv4.DHCPv4 {
	c.t.Helper()
	offer := c.answer(c.send(dhcpv4.NewDiscovery(c.mac)))
	if offer.MessageType() != dhcpv4.MessageTypeOffer {
		c.t.Fatalf("got %s", offer.Summary())
	}
	return c.answer(c.send(dhcpv4.NewRequestFromOffer(offer)))
}

func TestReservation(t *testing.T) {
	t.Parallel()
	s, end := serve(t, lab())
	ack := machine(t, end, "52:54:00:01:01:01").lease()
	if ack.MessageType() != dhcpv4.MessageTypeAck || !ack.YourIPAddr.Equal(net.IP{192, 168, 1, 1}) {
		t.Fatal(ack.Summary())
	}
	if ack.IPAddressLeaseTime(0) != 12*time.Hour || ack.IPAddressRenewalTime(0) != 6*time.Hour || ack.IPAddressRebindingTime(0) != 10*time.Hour+30*time.Minute {
		t.Errorf("times: %s", ack.Summary())
	}
	if ones, _ := ack.SubnetMask().Size(); ones != 24 || !ack.BroadcastAddress().Equal(net.IP{192, 168, 1, 255}) || ack.HostName() != "server-1" {
		t.Errorf("options: %s", ack.Summary())
	}
	if ack.Router() != nil || ack.DNS() != nil { // not even empty ones, which dnsmasq would need to be told
		t.Errorf("a router or a name server: %s", ack.Summary())
	}
	if !ack.ServerIdentifier().Equal(net.IP{192, 168, 1, 254}) {
		t.Error(ack.ServerIdentifier())
	}
	if l := s.Leases(); len(l) != 1 || l[0].Address.String() != "192.168.1.1" || !l[0].Reserved || l[0].Name != "server-1" || l[0].MAC != "52:54:00:01:01:01" {
		t.Errorf("%+v", l)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	c := lab()
	c.DHCP.Router, c.DHCP.Domain, c.DHCP.MTU = netip.MustParseAddr("192.168.1.253"), "lab.test", 1400
	c.DHCP.Search = []string{"a.test", "b.test"}
	c.DHCP.Resolvers = []netip.Addr{netip.MustParseAddr("192.168.1.254"), netip.MustParseAddr("10.0.0.1")}
	c.DHCP.NTP = []netip.Addr{netip.MustParseAddr("10.0.0.2")}
	_, end := serve(t, c)
	ack := machine(t, end, "52:54:00:01:01:02").lease()
	if mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, ack.Options); err != nil || mtu != 1400 {
		t.Error(mtu, err)
	}
	if search := ack.DomainSearch(); search == nil || !slices.Equal(search.Labels, []string{"a.test", "b.test"}) {
		t.Error(search)
	}
	if len(ack.Router()) != 1 || len(ack.DNS()) != 2 || ack.DomainName() != "lab.test" || len(ack.NTPServers()) != 1 || ack.HostName() != "" {
		t.Error(ack.Summary())
	}
}

// The range has two addresses: a third machine gets none, until one is given back.
func TestRange(t *testing.T) {
	t.Parallel()
	_, end := serve(t, lab())
	a, b, c := machine(t, end, "52:54:00:00:00:0a"), machine(t, end, "52:54:00:00:00:0b"), machine(t, end, "52:54:00:00:00:0c")
	first, second := a.lease(), b.lease()
	if got := []string{first.YourIPAddr.String(), second.YourIPAddr.String()}; !slices.Equal(got, []string{"192.168.1.100", "192.168.1.101"}) {
		t.Fatal(got)
	}
	if again := a.lease(); !again.YourIPAddr.Equal(first.YourIPAddr) {
		t.Errorf("a machine got %s and then %s", first.YourIPAddr, again.YourIPAddr)
	}
	c.silent(c.send(dhcpv4.NewDiscovery(c.mac)))
	b.send(dhcpv4.NewReleaseFromACK(second))
	if third := c.lease(); !third.YourIPAddr.Equal(second.YourIPAddr) {
		t.Error(third.Summary())
	}
	// The second machine remembers what it had, which is another one's now.
	m, err := dhcpv4.NewDiscovery(b.mac, dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(second.YourIPAddr)))
	if got := b.answer(b.send(m, err)); got.MessageType() != dhcpv4.MessageTypeNak || !got.YourIPAddr.IsUnspecified() {
		t.Error(got.Summary())
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	_, end := serve(t, lab())
	c := machine(t, end, "52:54:00:01:01:01")
	want := func(ip net.IP) (*dhcpv4.DHCPv4, error) {
		return dhcpv4.NewDiscovery(c.mac, dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ip)))
	}
	for _, ip := range []net.IP{{192, 168, 1, 2}, {192, 168, 1, 100}, {10, 0, 0, 1}, {192, 168, 1, 254}} { // another's, the range's, foreign, the server's
		if got := c.answer(c.send(want(ip))); got.MessageType() != dhcpv4.MessageTypeNak {
			t.Errorf("%s: %s", ip, got.Summary())
		}
	}
	if got := c.answer(c.send(want(net.IP{192, 168, 1, 1}))); got.MessageType() != dhcpv4.MessageTypeAck {
		t.Error(got.Summary())
	}
	other, err := want(net.IP{192, 168, 1, 1})
	other.UpdateOption(dhcpv4.OptServerIdentifier(net.IP{192, 168, 1, 253}))
	c.silent(c.send(other, err))
}

// A machine whose address somebody else has says so; it is not offered again.
func TestDecline(t *testing.T) {
	t.Parallel()
	_, end := serve(t, lab())
	c := machine(t, end, "52:54:00:00:00:0a")
	ack := c.lease()
	m, err := dhcpv4.NewDiscovery(c.mac, dhcpv4.WithMessageType(dhcpv4.MessageTypeDecline), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ack.YourIPAddr)))
	c.send(m, err)
	if again := c.lease(); again.YourIPAddr.Equal(ack.YourIPAddr) {
		t.Error("it got the same one")
	}
}

func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	c := lab()
	c.DHCP.Last = c.DHCP.First
	start := time.Now()
	c.Now = func() time.Time { return start.Add(time.Duration(later.Load())) }
	_, end := serve(t, c)
	a, b := machine(t, end, "52:54:00:00:00:0a"), machine(t, end, "52:54:00:00:00:0b")
	had := a.lease()
	later.Store(int64(11 * time.Hour))
	b.silent(b.send(dhcpv4.NewDiscovery(b.mac)))
	renew := a.answer(a.send(dhcpv4.NewRenewFromAck(had)))
	if renew.MessageType() != dhcpv4.MessageTypeAck {
		t.Fatal(renew.Summary())
	}
	later.Store(int64(22 * time.Hour)) // 11 after the renewal
	b.silent(b.send(dhcpv4.NewDiscovery(b.mac)))
	later.Store(int64(24 * time.Hour))
	if got := b.lease(); !got.YourIPAddr.Equal(had.YourIPAddr) {
		t.Error(got.Summary())
	}
}

func TestUpDownAndReserve(t *testing.T) {
	t.Parallel()
	s, end := serve(t, lab())
	c := machine(t, end, "52:54:00:01:01:01")
	before := s.State()
	s.SetUp(false)
	lost := c.send(dhcpv4.NewDiscovery(c.mac))
	time.Sleep(20 * time.Millisecond) // the frame is read while the server is off, or else it is answered below
	s.SetUp(true)
	c.silent(lost)
	if err := s.Reserve("52:54:00:01:01:01", netip.MustParseAddr("192.168.1.9")); err != nil {
		t.Fatal(err)
	}
	if got := c.lease(); !got.YourIPAddr.Equal(net.IP{192, 168, 1, 9}) || got.HostName() != "server-1" {
		t.Error(got.Summary())
	}
	for mac, a := range map[string]string{"52:54:00:01:01:01": "192.168.2.1", "52:54:00:01:01:03": "192.168.1.2", "52:54:00:01:01:04": "192.168.1.254", "x": "192.168.1.3"} {
		if err := s.Reserve(mac, netip.MustParseAddr(a)); err == nil {
			t.Errorf("%s got %s", mac, a)
		}
	}
	s.SetUp(false)
	s.PutBack(before)
	if len(s.Leases()) != 0 {
		t.Error(s.Leases())
	}
	if got := c.lease(); !got.YourIPAddr.Equal(net.IP{192, 168, 1, 1}) {
		t.Error(got.Summary())
	}
	after := s.State()
	if err := s.Reserve("52:54:00:01:01:01", netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	if got := c.lease(); !got.YourIPAddr.Equal(net.IP{192, 168, 1, 100}) {
		t.Error(got.Summary())
	}
	s.PutBack(after)
	if l := s.Leases(); len(l) != 1 || l[0].Address.String() != "192.168.1.1" {
		t.Error(l)
	}
}

// A message with a damaged checksum is none.
func TestDamagedMessage(t *testing.T) {
	t.Parallel()
	from := &Server{mac: hardware{2, 0, 0, 0, 0, 1}, config: Config{Address: netip.MustParsePrefix("0.0.0.0/24")}}
	m, err := dhcpv4.NewDiscovery(net.HardwareAddr{2, 0, 0, 0, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	frame := from.datagram(hardware{0xff}, netip.MustParseAddr("255.255.255.255"), 68, 67, m.ToBytes())
	if udpFor(frame, 67) == nil {
		t.Fatal("a whole message is none")
	}
	for _, at := range []int{13, 14, 20, 24, 30, 37, 39, 41, 100, len(frame) - 1} {
		bad := slices.Clone(frame)
		bad[at] ^= 0x21
		if udpFor(bad, 67) != nil {
			t.Errorf("byte %d may be anything", at)
		}
	}
	for n := range frame {
		if n >= 14 && udpFor(frame[:n], 67) != nil {
			t.Errorf("%d of %d bytes are enough", n, len(frame))
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"range outside":    {func(c *Config) { c.DHCP.Last = netip.MustParseAddr("192.168.2.1") }, "dhcp.range: the range 192.168.1.100 to 192.168.2.1 is outside the network 192.168.1.0/24"},
		"range backwards":  {func(c *Config) { c.DHCP.Last = netip.MustParseAddr("192.168.1.99") }, "dhcp.range: the range ends at 192.168.1.99, before"},
		"half a range":     {func(c *Config) { c.DHCP.First = netip.Addr{} }, "dhcp.range: "},
		"twice":            {func(c *Config) { c.DHCP.Reservations[1].MAC = "52:54:00:01:01:01" }, "dhcp.reservations.52:54:00:01:01:01: 52:54:00:01:01:01 has two reservations"},
		"one address":      {func(c *Config) { c.DHCP.Reservations[1].Address = c.DHCP.Reservations[0].Address }, "192.168.1.1 is reserved for 52:54:00:01:01:01 already"},
		"foreign":          {func(c *Config) { c.DHCP.Reservations[1].Address = netip.MustParseAddr("10.0.0.1") }, "10.0.0.1 is no address of a machine in 192.168.1.0/24"},
		"broadcast":        {func(c *Config) { c.DHCP.Reservations[1].Address = netip.MustParseAddr("192.168.1.255") }, "192.168.1.255 is no address of a machine"},
		"own":              {func(c *Config) { c.DHCP.Reservations[1].Address = netip.MustParseAddr("192.168.1.254") }, "is the server's own address"},
		"group":            {func(c *Config) { c.DHCP.Reservations[1].MAC = "01:00:5e:00:00:01" }, "is no hardware address of one machine"},
		"no MAC":           {func(c *Config) { c.MAC = "x" }, `mac: "x" is no hardware address`},
		"lease":            {func(c *Config) { c.DHCP.Lease = time.Second }, "dhcp.lease: a lease of 1s"},
		"router":           {func(c *Config) { c.DHCP.Router = netip.MustParseAddr("10.0.0.1") }, "dhcp.router: the router 10.0.0.1 is outside"},
		"nothing":          {func(c *Config) { c.DHCP = &DHCP{} }, "dhcp: a DHCP server without a range"},
		"server's address": {func(c *Config) { c.Address = netip.MustParsePrefix("192.168.1.0/24") }, "address: 192.168.1.0 is no address of a machine"},
		"IPv6":             {func(c *Config) { c.Address = netip.MustParsePrefix("fd00::1/64") }, "address: the server's address is an IPv4 address"},
		"name":             {func(c *Config) { c.DNS = &DNS{Names: map[string]netip.Addr{"A b": netip.MustParseAddr("1.2.3.4")}} }, `dns.names.A b: "A b" is no name`},
		"port":             {func(c *Config) { c.NAT = &NAT{Host: []int{80, 80}} }, "nat.host: port 80 is there twice"},
		"port 53":          {func(c *Config) { c.NAT = &NAT{Host: []int{53}} }, "nat.host: port 53"},
	} {
		cfg := lab()
		c.change(&cfg)
		errs := cfg.Check()
		var all []string
		for _, err := range errs {
			p := new(Problem)
			if !errors.As(err, &p) {
				t.Fatalf("%s: %T", name, err)
			}
			all = append(all, strings.Join(p.Key, ".")+": "+p.Text)
		}
		if len(all) != 1 || !strings.Contains(all[0], c.want) {
			t.Errorf("%s: %q, want %q", name, all, c.want)
		}
		ours, theirs, err := vswitch.Cable()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Start(cfg, ours); err == nil {
			t.Errorf("%s: the server started", name)
		}
		theirs.Close()
	}
	good := lab()
	if errs := good.Check(); errs != nil {
		t.Error(errs)
	}
}

// After Close nothing runs and no descriptor is open.
func TestCloseLeavesNothing(t *testing.T) {
	// Not parallel: it counts.
	count := func() (int, int) {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return runtime.NumGoroutine(), len(list)
	}
	warm := func() {
		ours, theirs, err := vswitch.Cable()
		if err != nil {
			t.Fatal(err)
		}
		c := lab()
		c.DNS, c.NAT = &DNS{Names: map[string]netip.Addr{"x": netip.MustParseAddr("192.168.1.1")}}, &NAT{}
		s, err := Start(c, ours)
		if err != nil {
			t.Fatal(err)
		}
		machine(t, theirs, "52:54:00:01:01:01").lease()
		s.Close()
		s.Close()
		theirs.Close()
	}
	warm()
	routines, files := count()
	for range 5 {
		warm()
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r, f := count()
		if r <= routines && f <= files {
			break
		}
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before %d; %d files, before %d\n%s", r, routines, f, files, buf[:runtime.Stack(buf, true)])
		}
	}
}

// Whatever machines send, the server goes on.
func FuzzHear(f *testing.F) {
	from := &Server{mac: hardware{2, 0, 0, 0, 0, 1}, config: Config{Address: netip.MustParsePrefix("0.0.0.0/24")}}
	m, err := dhcpv4.NewDiscovery(net.HardwareAddr{2, 0, 0, 0, 0, 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(from.datagram(hardware{0xff}, netip.MustParseAddr("255.255.255.255"), 68, 67, m.ToBytes()))
	f.Add([]byte("\x52\x54\x00\x01\x01\x00\x02\x00\x00\x00\x00\x01\x08\x00\x45\x00\x00\x1c\x00\x00\x00\x00\x40\x01\x00\x00\xc0\xa8\x01\x01\x08\x08\x08\x08\x08\x00\x00\x00\x00\x00\x00\x00"))
	ours, theirs, err := vswitch.Cable()
	if err != nil {
		f.Fatal(err)
	}
	c := lab()
	c.NAT, c.DNS = &NAT{Closed: true}, &DNS{}
	s, err := Start(c, ours)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close(); theirs.Close() })
	f.Fuzz(func(_ *testing.T, frame []byte) {
		s.hear(frame)
		if len(frame) > 42 {
			if m, err := dhcpv4.FromBytes(frame[42:]); err == nil && len(m.ClientHWAddr) == 6 {
				s.answer(m)
			}
		}
		s.resolve(frame, "udp")
	})
}
