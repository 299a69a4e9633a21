package vmtest

import (
	"net/netip"
	"os"
	"regexp"
	"strings"

	"n3x/internal/vm/netserve"
	"n3x/internal/yaml"
	"n3x/internal/yaml/schema"
)

var (
	ipv4     = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,3}){3}$`)
	ipv4Net  = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$`)
	stations = regexp.MustCompile(`^(([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$`)
	hostname = regexp.MustCompile(`^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$`)
)

func addresses(doc string) *schema.Rule {
	return schema.Matching(doc, ipv4, "an IPv4 address")
}

func reservations(doc string) *schema.Rule {
	return &schema.Rule{Shape: schema.Named, Doc: doc, Pattern: stations, Form: "a machine or a hardware address", Value: addresses("its address")}
}

var serviceRule = schema.Keys("a server in a network", nil,
	"network", schema.A(schema.Text, "the profile's network in which it is"),
	"address", schema.Matching("its own", ipv4Net, "an IPv4 address with the length of its network, such as 192.168.1.254/24"),
	"mac", schema.Matching("its hardware address", hardware, "six bytes such as 52:54:00:01:02:03"),
	"start", schema.A(schema.Truth, "whether it is on before all steps; false leaves that to a step"),
	"dhcp", schema.Keys("gives addresses", nil,
		"range", schema.ListOf("first and last address for machines without a reservation", addresses("an address")),
		"reservations", reservations("addresses of machines"),
		"lease", schema.Matching("how long an address is given", duration, "a number with s, m or h"),
		"router", addresses("the default route; none is told without it"),
		"dns", schema.A(schema.Several, "name servers"),
		"domain", schema.A(schema.Text, "in which machines look for names"),
		"mtu", schema.Numbers("bytes", 68, 9216)),
	"dns", schema.Keys("answers for the names of the machines", nil,
		"domain", schema.A(schema.Text, "behind the names"),
		"names", &schema.Rule{Shape: schema.Named, Doc: "further names", Pattern: hostname, Form: "a host's name", Value: addresses("its address")},
		"forward", schema.A(schema.Truth, "asks the name servers of this host for other names")),
	"nat", schema.Keys("carries TCP and UDP to the outside", nil,
		"outside", schema.A(schema.Truth, "false: only the ports of host"),
		"host", schema.ListOf("ports of this host's 127.0.0.1 that are found at the service's address", schema.Numbers("a port", 1, 65535))),
)

var servicesRule = &schema.Rule{Shape: schema.Named, Doc: "servers in the network by name; a profile's DHCP server is dhcp-NETWORK", Pattern: machine, Form: "lower-case letters, digits and inner hyphens", Value: serviceRule}

var serveRule = schema.Keys("switches a service on or off, or changes what it reserves", []string{"name"},
	"name", schema.A(schema.Text, "the service"), "up", schema.A(schema.Truth, "whether it is on"), "reserve", reservations("other addresses of machines, from their next question on"))

// services reads the suite's servers.
func (r *suiteReader) services(root *yaml.Node) []*Service {
	var out []*Service
	for _, e := range root.Lookup("services").Map().Entries() {
		n := e.Node
		d := &Service{Pos: e.KeyPos, Name: e.Key, Network: word(n.Lookup("network")), Off: n.Lookup("start") != nil && !truth(n.Lookup("start")), node: n}
		out = append(out, d)
		d.Config.Name = d.Name
		if d.Network == "" { // it changes how one of the profile begins
			for _, key := range []string{"address", "mac", "dhcp", "dns", "nat"} {
				if v := n.Lookup(key); v != nil {
					r.fail(v.Pos, "service %s lacks the network in which it is", d.Name)
					break
				}
			}
			continue
		}
		r.service(d, n)
	}
	return out
}

func (r *suiteReader) service(d *Service, n *yaml.Node) {
	c := &d.Config
	if a := n.Lookup("address"); a == nil {
		r.fail(d.Pos, "service %s lacks its address, such as 192.168.1.254/24", d.Name)
		return
	} else if c.Address, _ = netip.ParsePrefix(word(a)); !c.Address.IsValid() {
		r.fail(a.Pos, "%q is no address with the length of its network", word(a))
		return
	}
	if c.MAC = word(n.Lookup("mac")); c.MAC == "" {
		c.MAC = macOf(d.Name, 0)
	}
	if v := n.Lookup("dhcp"); v != nil {
		c.DHCP = r.dhcp(v)
	}
	if v := n.Lookup("dns"); v != nil {
		c.DNS = &netserve.DNS{Domain: word(v.Lookup("domain")), Names: r.addresses(v.Lookup("names"))}
		if truth(v.Lookup("forward")) {
			if c.DNS.Upstream = nameServers("/etc/resolv.conf"); c.DNS.Upstream == nil {
				r.fail(v.Lookup("forward").Pos, "this host has no name server in /etc/resolv.conf")
			}
		}
	}
	if v := n.Lookup("nat"); v != nil {
		c.NAT = &netserve.NAT{Closed: v.Lookup("outside") != nil && !truth(v.Lookup("outside"))}
		for _, port := range v.Lookup("host").List() {
			c.NAT.Host = append(c.NAT.Host, int(whole(port)))
		}
	}
	if c.DHCP == nil && c.DNS == nil && c.NAT == nil {
		r.fail(d.Pos, "service %s does nothing: it lacks dhcp, dns or nat", d.Name)
		return
	}
	readable, stand := d.readable()
	for _, err := range readable.Check() {
		r.errs = append(r.errs, d.problem(err, stand))
	}
}

// readable is the configuration with stand-ins for the hardware addresses of machines, which only a lab knows, and whose they are.
func (d *Service) readable() (*netserve.Config, map[string]string) {
	c, stand := d.Config, map[string]string{}
	if c.DHCP != nil {
		dhcp := *c.DHCP
		dhcp.Reservations = nil
		for _, r := range c.DHCP.Reservations {
			if !hardware.MatchString(r.MAC) {
				mac := macOf(r.MAC, 0)
				r.MAC, stand[mac] = mac, r.MAC
			}
			dhcp.Reservations = append(dhcp.Reservations, r)
		}
		c.DHCP = &dhcp
	}
	return &c, stand
}

func (r *suiteReader) dhcp(n *yaml.Node) *netserve.DHCP {
	d := &netserve.DHCP{Lease: span(n.Lookup("lease")), Router: r.address(n.Lookup("router")), Domain: word(n.Lookup("domain")), MTU: int(whole(n.Lookup("mtu")))}
	if v := n.Lookup("range"); v != nil {
		if ends := v.List(); len(ends) == 2 {
			d.First, d.Last = r.address(ends[0]), r.address(ends[1])
		} else {
			r.fail(v.Pos, "a range has a first and a last address")
		}
	}
	for _, text := range n.Lookup("dns").List() {
		d.Resolvers = append(d.Resolvers, r.address(text))
	}
	for _, e := range n.Lookup("reservations").Map().Entries() {
		d.Reservations = append(d.Reservations, netserve.Reservation{MAC: e.Key, Address: r.address(e.Node)})
	}
	return d
}

// address reads an IPv4 address; one that is none is told.
func (r *suiteReader) address(n *yaml.Node) netip.Addr {
	if n == nil {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(word(n))
	if err != nil || !a.Is4() {
		r.fail(n.Pos, "%q is no IPv4 address", word(n))
		return netip.Addr{}
	}
	return a
}

func (r *suiteReader) addresses(n *yaml.Node) map[string]netip.Addr {
	out := map[string]netip.Addr{}
	if n == nil {
		return out
	}
	for _, e := range n.Map().Entries() {
		out[e.Key] = r.address(e.Node)
	}
	return out
}

// serve reads a step's service.
func (r *suiteReader) serve(n *yaml.Node) *Serve {
	s := &Serve{Name: word(n.Lookup("name")), Reserve: r.addresses(n.Lookup("reserve"))}
	if up := n.Lookup("up"); up != nil {
		is := truth(up)
		s.Up = &is
	} else if len(s.Reserve) == 0 {
		r.fail(n.Pos, "service does nothing: it lacks up or reserve")
	}
	return s
}

// nameServers are those of this host.
func nameServers(file string) []netip.AddrPort {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var out []netip.AddrPort
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			if a, err := netip.ParseAddr(f[1]); err == nil {
				out = append(out, netip.AddrPortFrom(a, 53))
			}
		}
	}
	return out
}
