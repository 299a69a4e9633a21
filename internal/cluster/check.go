package cluster

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/diag"
)

var (
	domainName = regexp.MustCompile(`^[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?)*\.?$`)
	onlyDigits = regexp.MustCompile(`^[0-9.]*$`) // a wrong IPv4 address rather than a name
)

// isHost reports whether s is an address or a name of a machine.
func isHost(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == ""
	}
	return len(s) <= 253 && domainName.MatchString(s) && !onlyDigits.MatchString(s)
}

// check looks at a profile as a whole: whether its parts fit each other.
func (r *reader) check(p *Profile) {
	r.checkBonds(p)
	r.checkLinks(p)
	r.checkNetworks(p)
	r.checkPrefixes(p)
	r.checkK3s(p)
	r.checkNodes(p)
	r.checkAddresses(p)
	r.checkHardware(p)
	r.checkHostNames(p)
}

// unusable are addresses that no network of machines can have.
var unusable = map[string]netip.Prefix{
	"loopback": netip.MustParsePrefix("127.0.0.0/8"), "this network": netip.MustParsePrefix("0.0.0.0/8"), "multicast": netip.MustParsePrefix("224.0.0.0/4"),
	"reserved": netip.MustParsePrefix("240.0.0.0/4"), "IPv6 loopback": netip.MustParsePrefix("::/127"), "IPv6 link-local": netip.MustParsePrefix("fe80::/10"),
	"IPv6 multicast": netip.MustParsePrefix("ff00::/8"),
}

func (r *reader) checkNetworks(p *Profile) {
	gateways := map[bool]*Network{}
	for _, n := range p.Networks {
		r.checkSubnets(n)
		for _, g := range n.Gateways {
			pos := r.item(g.String(), "networks", n.Name, "gateway")
			if !n.contains(g) && !n.isLocalRouter(g) {
				r.Userf(pos, "the gateway %s is not in network %s (%s)", g, n.Name, list(n.Subnets))
			}
			if other := gateways[g.Is4()]; other == n {
				r.Userf(pos, "network %s has two gateways of one address family", n.Name)
			} else if other != nil {
				r.Userf(pos, "networks %s and %s both have a gateway, but a machine has one default route", other.Name, n.Name).WithHint("use routes in one of them")
			}
			gateways[g.Is4()] = n
		}
		for _, route := range n.Routes {
			r.checkRoute(n, route)
		}
		r.checkNames(n)
		if n.DHCP != nil {
			r.checkDHCP(n)
		}
	}
}

func (r *reader) checkSubnets(n *Network) {
	families := map[bool]bool{}
	for _, s := range n.Subnets {
		pos := r.item(s.String(), "networks", n.Name, "subnet")
		if families[s.Addr().Is4()] {
			r.Userf(pos, "network %s has two prefixes of one address family", n.Name).WithHint("make them two networks")
		}
		families[s.Addr().Is4()] = true
		if s.Bits() == 0 || s.IsSingleIP() {
			r.Userf(pos, "%s of network %s leaves no room for nodes", s, n.Name)
			continue
		}
		for what, u := range unusable {
			if u.Overlaps(s) {
				r.Userf(pos, "%s of network %s is no network of machines: %s is %s", s, n.Name, u, what)
			}
		}
	}
	if len(n.Subnets) == 0 {
		r.Userf(r.at("networks", n.Name, "subnet"), "network %s has no prefix", n.Name)
	}
}

func (r *reader) checkRoute(n *Network, route Route) {
	pos := r.at("networks", n.Name, "routes")
	for _, e := range r.root.Lookup("networks", n.Name, "routes").Map().Entries() {
		if e.Key == route.To.String() {
			pos = e.Node.Pos
		}
	}
	switch {
	case route.To.Bits() == 0:
		r.Userf(pos, "the route to %s is the default route", route.To).WithHint("write gateway: %s", route.Via)
	case route.To.Addr().Is4() != route.Via.Is4():
		r.Userf(pos, "the route to %s goes by %s, which is of the other address family", route.To, route.Via)
	case !n.contains(route.Via) && !n.isLocalRouter(route.Via):
		r.Userf(pos, "the route to %s goes by %s, which is not in network %s (%s)", route.To, route.Via, n.Name, list(n.Subnets))
	}
}

// checkNames looks at what is passed on as text: systemd-networkd would drop what is no name.
func (r *reader) checkNames(n *Network) {
	for _, d := range n.Domains {
		if !domainName.MatchString(strings.TrimPrefix(d, "~")) {
			r.Userf(r.item(d, "networks", n.Name, "domains"), "%q is no domain", d)
		}
	}
	for _, s := range n.NTP {
		if !isHost(s) {
			r.Userf(r.item(s, "networks", n.Name, "ntp"), "%q is neither an address nor a name of a time server", s)
		}
	}
}

func (r *reader) checkDHCP(n *Network) {
	d := n.DHCP
	at := func(key string) diag.Pos { return r.at("networks", n.Name, "dhcp", key) }
	if slices.ContainsFunc(n.Subnets, isIPv6) {
		r.Userf(d.Pos, "network %s has IPv6 addresses, which its DHCP server cannot give", n.Name).WithHint("use two networks, one of them static")
	}
	for _, a := range []netip.Addr{d.Server, d.First, d.Last} {
		if a.IsValid() && !n.contains(a) {
			r.Userf(d.Pos, "%s is not in network %s (%s)", a, n.Name, list(n.Subnets))
		}
	}
	if d.First.IsValid() && d.Last.Less(d.First) {
		r.Userf(at("range"), "the DHCP range ends at %s, before its beginning %s", d.Last, d.First)
	}
	if d.inRange(d.Server) {
		r.Userf(at("server"), "the DHCP server's address %s is in the range that it gives away", d.Server)
	}
	for _, g := range n.Gateways {
		if d.inRange(g) {
			r.Userf(r.item(g.String(), "networks", n.Name, "gateway"), "the gateway %s is in the range that the DHCP server gives away", g)
		}
	}
	for _, a := range n.DNS {
		if !a.Is4() {
			r.Userf(r.item(a.String(), "networks", n.Name, "dns"), "DHCP cannot tell nodes of the name server %s, which has an IPv6 address", a)
		}
	}
	for _, s := range n.Domains {
		if strings.HasPrefix(s, "~") {
			r.Userf(r.item(s, "networks", n.Name, "domains"), "DHCP cannot tell nodes of %s, only of domains to search", s)
		}
	}
	for _, s := range n.NTP {
		if a, err := netip.ParseAddr(s); err != nil || !a.Is4() {
			r.Userf(r.item(s, "networks", n.Name, "ntp"), "DHCP cannot tell nodes of the time server %s, only of IPv4 addresses", s)
		}
	}
}

func (d *DHCP) inRange(a netip.Addr) bool {
	return d.First.IsValid() && !a.Less(d.First) && !d.Last.Less(a)
}

// isLocalRouter reports whether a is an IPv6 router's link-local address, which routers announce themselves by.
func (n *Network) isLocalRouter(a netip.Addr) bool {
	return a.Is6() && a.IsLinkLocalUnicast() && slices.ContainsFunc(n.Subnets, isIPv6)
}

func isIPv6(p netip.Prefix) bool { return p.Addr().Is6() }

// contains reports whether a is an address for a machine of the network.
func (n *Network) contains(a netip.Addr) bool {
	for _, s := range n.Subnets {
		if s.Contains(a) {
			return s.Bits() >= a.BitLen()-1 || a != s.Addr() && (a.Is6() || a != last(s))
		}
	}
	return false
}

// last is the highest address of a prefix; with IPv4 the broadcast address.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// checkPrefixes refuses networks that overlap each other, or the cluster's own.
func (r *reader) checkPrefixes(p *Profile) {
	type owned struct {
		prefix netip.Prefix
		of     string
	}
	var seen []owned
	add := func(of string, prefixes []netip.Prefix, keys ...string) {
		for _, x := range prefixes {
			for _, o := range seen {
				if o.prefix.Overlaps(x) {
					r.Userf(r.item(x.String(), keys...), "%s of %s overlaps %s of %s", x, of, o.prefix, o.of)
				}
			}
			seen = append(seen, owned{x, of})
		}
	}
	for _, n := range p.Nodes {
		if !p.HasGateway(n) {
			add("nodes without a gateway", []netip.Prefix{routePrefix})
			break
		}
	}
	add("the pods (k3s.cluster-cidr)", p.clusterCIDR(), "k3s", "cluster-cidr")
	add("the services (k3s.service-cidr)", p.serviceCIDR(), "k3s", "service-cidr")
	for _, n := range p.Networks {
		add("network "+n.Name, n.Subnets, "networks", n.Name, "subnet")
	}
}

func list[T fmt.Stringer](of []T) string {
	var out []string
	for _, x := range of {
		out = append(out, x.String())
	}
	return strings.Join(out, ", ")
}
