package vmtest

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"n3x/internal/arch"
	"n3x/internal/cluster"
	"n3x/internal/vm/netserve"
	"n3x/internal/vm/qemu"
	"n3x/internal/vm/vswitch"
)

const leased = `
networks:
  cluster:
    interface: eth1
    subnet: 10.0.0.0/24
    dhcp: {server: 10.0.0.254, mac: "52:54:00:00:00:fe", range: [10.0.0.100, 10.0.0.101], lease: 12h}
  fixed: {interface: eth2, vlan: 7, subnet: 10.0.7.0/24, dns: 10.0.7.9}
k3s: {network: cluster}
nodes:
  one: {role: server, networks: {cluster: 10.0.0.1, fixed: 10.0.7.1}, mac: {eth1: "52:54:00:00:00:01"}}
  two: {role: agent, networks: {cluster: 10.0.0.2, fixed: 10.0.7.2}, mac: {eth1: "52:54:00:00:00:02"}}
`

// leasedLab has the suite's machines, off, and its servers.
func leasedLab(t *testing.T, text string) (*Lab, *Run, error) {
	t.Helper()
	p, err := cluster.Read("profiles/leased.yaml", []byte(leased))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	image := filepath.Join(dir, "x.wic")
	if err := os.WriteFile(image, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Read("x.yaml", []byte("profile: leased\nmachines: {one: {image: "+image+"}, two: {image: "+image+"}}\n"+text))
	if err != nil {
		return nil, nil, err
	}
	r := &Runner{Profiles: []*cluster.Profile{p}, Tools: func(arch.Arch) (qemu.Tools, qemu.Accel, error) {
		return qemu.Tools{}, qemu.TCG, errors.New("no machine runs in this test")
	}}
	l, run, err := r.Open(t.Context(), s, Config{Dir: filepath.Join(dir, "out"), Log: NewTimeline(nil)}, nil)
	if err == nil {
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return l, run, err
}

// ask sends a DHCP message from a machine's network card and gives the answer; nil is none.
func ask(t *testing.T, l *Lab, who string, m *dhcpv4.DHCPv4, err error) *dhcpv4.DHCPv4 {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	mac, err := l.Machine(who)
	if err != nil {
		t.Fatal(err)
	}
	end := mac.cables["eth1"]
	if _, err := end.Write(broadcast(m)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65536)
	for {
		_ = end.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		n, err := end.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if n > 42 && buf[23] == unix.IPPROTO_UDP && buf[37] == 68 {
			if got, err := dhcpv4.FromBytes(buf[42:n]); err == nil && got.TransactionID == m.TransactionID {
				return got
			}
		}
	}
}

// broadcast is a frame to all from a machine without an address. The checksum of UDP may be left out.
func broadcast(m *dhcpv4.DHCPv4) []byte {
	data := m.ToBytes()
	ip := []byte{0x45, 0, byte((len(data) + 28) >> 8), byte(len(data) + 28), 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}
	sum := 0
	for i := 0; i < len(ip); i += 2 {
		sum += int(ip[i])<<8 | int(ip[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	ip[10], ip[11] = ^byte(sum>>8), ^byte(sum)
	udp := []byte{0, 68, 0, 67, byte((len(data) + 8) >> 8), byte(len(data) + 8), 0, 0}
	f := append([]byte{255, 255, 255, 255, 255, 255}, m.ClientHWAddr...)
	return append(append(append(append(f, 8, 0), ip...), udp...), data...)
}

func lease(t *testing.T, l *Lab, who, mac string) string {
	t.Helper()
	hw, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	discover, err := dhcpv4.NewDiscovery(hw)
	offer := ask(t, l, who, discover, err)
	if offer == nil {
		return "nothing"
	}
	request, err := dhcpv4.NewRequestFromOffer(offer)
	ack := ask(t, l, who, request, err)
	if ack == nil || ack.IPAddressLeaseTime(0) != 12*time.Hour || ack.Router() != nil {
		t.Fatalf("%v", ack)
	}
	return ack.YourIPAddr.String()
}

// A profile whose nodes have their addresses by DHCP brings the server with all that dnsmasq would be told.
func TestProfileService(t *testing.T) {
	t.Parallel()
	l, run, err := leasedLab(t, "steps: [{service: {name: dhcp-cluster, up: false}}, {service: {name: dhcp-cluster, up: true, reserve: {one: 10.0.0.9}}}, {service: {name: dhcp-cluster, reserve: {two: 10.0.0.9}}}]\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := lease(t, l, "one", "52:54:00:00:00:01"); got != "10.0.0.1" {
		t.Error(got)
	}
	if got := lease(t, l, "two", "52:54:00:00:00:02"); got != "10.0.0.2" {
		t.Error(got)
	}
	if got := lease(t, l, "two", "52:54:00:00:00:77"); got != "10.0.0.100" { // a stranger
		t.Error(got)
	}
	notes, err := l.leases()
	want := []string{"dhcp-cluster gave 10.0.0.1 to 52:54:00:00:00:01 (one), reserved", "dhcp-cluster gave 10.0.0.2 to 52:54:00:00:00:02 (two), reserved", "dhcp-cluster gave 10.0.0.100 to 52:54:00:00:00:77, from the range"}
	if d := cmp.Diff(want, notes); d != "" || err != nil {
		t.Error(d, err)
	}
	if data, err := os.ReadFile(l.file("dhcp-cluster.leases")); err != nil || strings.Count(string(data), "\n") != 3 {
		t.Errorf("%s %v", data, err)
	}
	off, on := false, true
	if err := (&Serve{Name: "dhcp-cluster", Up: &off}).Act(t.Context(), run, nil); err != nil {
		t.Fatal(err)
	}
	if got := lease(t, l, "one", "52:54:00:00:00:01"); got != "nothing" {
		t.Errorf("a server that is off gave %s", got)
	}
	if err := (&Serve{Name: "dhcp-cluster", Up: &on, Reserve: map[string]netip.Addr{"one": netip.MustParseAddr("10.0.0.9")}}).Act(t.Context(), run, nil); err != nil {
		t.Fatal(err)
	}
	if got := lease(t, l, "one", "52:54:00:00:00:01"); got != "10.0.0.9" {
		t.Error(got)
	}
	if err := (&Serve{Name: "dhcp-cluster", Reserve: map[string]netip.Addr{"two": netip.MustParseAddr("10.0.0.9")}}).Act(t.Context(), run, nil); err == nil || !strings.Contains(err.Error(), "10.0.0.9 is reserved for 52:54:00:00:00:01") {
		t.Error(err)
	}
	// A server is in groups like a machine.
	if err := (&Partition{Groups: [][]string{{"one"}, {"two", "dhcp-cluster"}}}).Act(t.Context(), run, nil); err != nil {
		t.Fatal(err)
	}
	if got := lease(t, l, "one", "52:54:00:00:00:01"); got != "nothing" {
		t.Errorf("through a partition came %s", got)
	}
	found := false
	for _, e := range l.config.Log.Events() {
		found = found || e.Kind == "service" && e.Text == "dhcp-cluster gives 10.0.0.2 to 52:54:00:00:00:02 for 12h0m0s"
	}
	if !found {
		t.Errorf("%+v", l.config.Log.Events())
	}
}

func TestOwnServices(t *testing.T) {
	t.Parallel()
	l, _, err := leasedLab(t, `services:
  dhcp-cluster: {start: false}
  names: {network: fixed, address: 10.0.7.254/24, dns: {domain: lab.test, names: {extra: 10.0.7.77}}, dhcp: {reservations: {two: 10.0.7.50}}}
steps: [{service: {name: names, up: true}}]
`)
	if err != nil {
		t.Fatal(err)
	}
	if got := lease(t, l, "one", "52:54:00:00:00:01"); got != "nothing" {
		t.Error(got)
	}
	s, err := l.server("names")
	if err != nil {
		t.Fatal(err)
	}
	if c := s.port.Counters(); c.Received != 0 {
		t.Error(c)
	}
	if _, err := l.Service("dhcp"); err == nil || !strings.Contains(err.Error(), "there are: dhcp-cluster, names") {
		t.Error(err)
	}
	two, _ := l.Machine("two")
	want := map[string]netip.Addr{"one": netip.MustParseAddr("10.0.0.1"), "two": netip.MustParseAddr("10.0.0.2"), "extra": netip.MustParseAddr("10.0.7.77")}
	if d := cmp.Diff(want, s.def.Config.DNS.Names, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if r := s.def.Config.DHCP.Reservations; len(r) != 1 || r[0].MAC != macOf("two", 2) || r[0].Name != "two" || two.ports["eth2"] == nil {
		t.Errorf("%+v", r)
	}
}

func TestBadServices(t *testing.T) {
	t.Parallel()
	const steps = "steps: [{machine: one, run: x}]\n"
	for text, want := range map[string]string{
		"services:\n  a: {network: fixed, dns: {}}\n" + steps:                                                                                 "x.yaml:4:3: service a lacks its address",
		"services:\n  a: {network: fixed, address: 10.0.7.254/24}\n" + steps:                                                                  "x.yaml:4:3: service a does nothing",
		"services:\n  a: {network: fixed, address: 10.0.7.254/24, dhcp: {}}\n" + steps:                                                        "x.yaml:4:53: a DHCP server without a range",
		"services:\n  a:\n    network: fixed\n    address: 10.0.7.254/24\n    dhcp:\n      range: [10.0.7.5, 10.0.8.9]\n" + steps:             "x.yaml:8:14: the range 10.0.7.5 to 10.0.8.9 is outside the network 10.0.7.0/24",
		"services:\n  a:\n    network: fixed\n    address: 10.0.7.254/24\n    dhcp:\n      range: [10.0.7.5]\n" + steps:                       "x.yaml:8:14: a range has a first and a last address",
		"services:\n  a:\n    network: fixed\n    address: 10.0.7.254/24\n    dhcp: {reservations: {one: 10.0.7.3, two: 10.0.7.3}}\n" + steps: "x.yaml:7:47: 10.0.7.3 is reserved for one already",
		"services:\n  a:\n    network: fixed\n    address: 10.0.7.254/24\n    dhcp: {reservations: {one: 10.0.7.3, one: 10.0.7.4}}\n" + steps: "x.yaml:7:42",
		"services:\n  a: {network: fixed, address: 10.0.7.300/24, dns: {}}\n" + steps:                                                         `"10.0.7.300/24" is no address`,
		"services:\n  a: {network: fixed, address: 10.0.9.254/24, dns: {}}\n" + steps:                                                         "x.yaml:4:32: 10.0.9.254/24 is in none of the subnets of network fixed",
		"services:\n  a: {network: fixed, address: 10.0.7.2/24, dns: {}}\n" + steps:                                                           "x.yaml:4:32: 10.0.7.2 is the address of two",
		"services:\n  a: {network: none, address: 10.0.7.254/24, dns: {}}\n" + steps:                                                          `x.yaml:4:16: profile leased has no network "none"; it has: cluster, fixed`,
		"services:\n  a: {dns: {}}\n" + steps:                                                                                                 "service a lacks the network",
		"services:\n  a: {start: false}\n" + steps:                                                                                            "service a lacks its network",
		"services:\n  one: {network: fixed, address: 10.0.7.254/24, dns: {}}\n" + steps:                                                       "one is a machine already",
		"services:\n  a: {network: fixed, address: 10.0.7.254/24, nat: {host: [80, 80]}}\n" + steps:                                           "port 80 is there twice",
		"services:\n  a: {network: fixed, address: 10.0.7.254/24, dhcp: {reservations: {nobody: 10.0.7.3}}}\n" + steps:                        `there is no machine "nobody"`,
		"services:\n  a: {network: fixed, address: 10.0.7.254/24, dhcp: {lease: 5ms, range: [10.0.7.3, 10.0.7.4]}}\n" + steps:                 "a lease of 5ms",
		"services:\n  a: {network: fixed, address: 10.0.7.254/24, dhcp: {routr: x}}\n" + steps:                                                `no key "routr"`,
		"steps: [{service: {name: b, up: true}}]\n":                                                                                           `the suite has no service "b"`,
		"steps: [{service: {name: dhcp-cluster}}]\n":                                                                                          "service does nothing",
		"steps: [{service: {name: dhcp-cluster, reserve: {x: 10.0.0.7}}}]\n":                                                                  `the suite has no machine "x"`,
		"steps: [{machine: one, service: {name: dhcp-cluster, up: true}}]\n":                                                                  "service is for the network as a whole",
		"steps: [{machine: one, network: {card: eth1, profile: bad}}]\n":                                                                      "lossy-4",
		"steps: [{machine: one, network: {card: eth1, profile: lossy-1, loss: 1%}}]\n":                                                        "either a profile or a condition",
	} {
		if _, _, err := leasedLab(t, text); err == nil || !strings.Contains(explain(err), want) {
			t.Errorf("%s\n%v, want %s", text, err, want)
		}
	}
}

func TestLeaseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"": 0, "12h": 12 * time.Hour, "45m": 45 * time.Minute, "2d": 48 * time.Hour, "1w": 168 * time.Hour, "300": 5 * time.Minute, "300s": 5 * time.Minute, "infinite": (1<<32 - 1) * time.Second} {
		if got := leaseTime(text); got != want {
			t.Errorf("%s is %s", text, got)
		}
		c := netserve.Config{MAC: "52:54:00:00:00:01", Address: netip.MustParsePrefix("10.0.0.254/24"),
			DHCP: &netserve.DHCP{First: netip.MustParseAddr("10.0.0.1"), Last: netip.MustParseAddr("10.0.0.2"), Lease: want}}
		if errs := c.Check(); errs != nil {
			t.Errorf("%s: %v", text, errs)
		}
	}
}

// The conditions that have names are those of the reference's emulator.
func TestNamedConditions(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	for name, want := range map[string]vswitch.Condition{
		"clear":         {},
		"constrained-1": {Rate: 100_000_000, Delay: 5 * ms},
		"constrained-2": {Rate: 100_000_000, Delay: 10 * ms},
		"constrained-3": {Rate: 50_000_000, Delay: 20 * ms},
		"constrained-4": {Rate: 10_000_000, Delay: 50 * ms},
		"lossy-1":       {Loss: 0.001, Delay: 5 * ms, Jitter: 2 * ms},
		"lossy-2":       {Loss: 0.01, Delay: 20 * ms, Jitter: 10 * ms},
		"lossy-3":       {Loss: 0.02, Delay: 50 * ms, Jitter: 20 * ms},
		"lossy-4":       {Loss: 0.03, Delay: 100 * ms, Jitter: 50 * ms},
	} {
		s, err := Read("x.yaml", []byte("machines: {a: {}}\nsteps: [{machine: a, network: {card: eth1, profile: "+name+"}}]\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Steps[0].Do.(*Impair).Condition; got != want {
			t.Errorf("%s is %+v", name, got)
		}
	}
	if len(conditionNames()) != 9 {
		t.Error(conditionNames())
	}
}
