package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"n3x/internal/diag"
)

// K3s' own networks, where a profile names none (https://docs.k3s.io/networking/basic-network-options).
var (
	defaultClusterCIDR = []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}
	defaultServiceCIDR = []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")}
)

// maxName is the longest name of a network interface in Linux (IFNAMSIZ less the final zero).
const maxName = 15

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
}

func (r *reader) checkBonds(p *Profile) {
	owner := map[string]string{}
	for _, b := range p.Bonds {
		for _, m := range b.Members {
			if other := owner[m]; other != "" {
				r.fail(b.Pos, "%s is a member of %s and of %s", m, other, b.Name)
			}
			owner[m] = b.Name
			if !interfaceName.MatchString(m) {
				r.fail(b.Pos, "%q, a member of %s, is no name of a network card", m, b.Name).WithHint("allowed: %s", interfaceForm)
			}
			if p.Bond(m) != nil {
				r.fail(b.Pos, "%s is a bond, so it cannot be a member of %s", m, b.Name)
			}
		}
		if len(b.Members) == 0 {
			r.fail(b.Pos, "bond %s has no members", b.Name)
		}
		r.checkMode(b)
		if !slices.ContainsFunc(p.Networks, func(n *Network) bool { return n.Interface == b.Name }) {
			r.fail(b.Pos, "no network uses bond %s", b.Name)
		}
	}
	for _, n := range p.Networks {
		if b := owner[n.Interface]; b != "" {
			r.fail(n.Pos, "network %s is on %s, which is a member of bond %s", n.Name, n.Interface, b).WithHint("write interface: %s", b)
		}
	}
}

// checkMode refuses settings that the kernel ignores or rejects in the bond's mode.
func (r *reader) checkMode(b *Bond) {
	only := func(set bool, what string, modes ...string) {
		if set && !slices.Contains(modes, b.Mode) {
			r.fail(b.Pos, "bond %s has %s, which mode %s does not know", b.Name, what, b.Mode).WithHint("it belongs to %s", strings.Join(modes, ", "))
		}
	}
	only(b.Primary != "", "a primary", "active-backup", "balance-tlb", "balance-alb")
	only(b.Reselect != "", "reselect", "active-backup", "balance-tlb", "balance-alb")
	only(b.LACPRate != "", "lacp-rate", "802.3ad")
	only(b.Hash != "", "transmit-hash", "balance-xor", "802.3ad", "balance-tlb", "balance-alb")
	if b.Primary != "" && !slices.Contains(b.Members, b.Primary) {
		r.fail(b.Pos, "the primary %s of bond %s is none of its members", b.Primary, b.Name).WithHint("its members: %s", strings.Join(b.Members, ", "))
	}
	if b.MIIMon == 0 && (b.UpDelay > 0 || b.Down > 0) {
		r.fail(b.Pos, "bond %s has delays but no miimon, so the kernel ignores them", b.Name).WithHint("add miimon: 100")
	}
	if b.MIIMon > 0 && (b.UpDelay%b.MIIMon != 0 || b.Down%b.MIIMon != 0) {
		r.fail(b.Pos, "the delays of bond %s are no multiples of miimon (%d), so the kernel rounds them down", b.Name, b.MIIMon)
	}
}

// checkLinks looks at what carries networks: names, 802.1Q ids and sizes of packets, for each node.
func (r *reader) checkLinks(p *Profile) {
	nodes := p.Nodes
	if len(nodes) == 0 {
		nodes = []*Node{{}}
	}
	said := map[string]bool{}
	for _, node := range nodes {
		taken := map[string]*Network{}
		for _, n := range p.Networks {
			if len(p.Nodes) > 0 && node.place(n.Name) == nil {
				continue
			}
			link := p.link(node, n)
			key := fmt.Sprint(n.Name, link)
			if other := taken[link]; other != nil && !said[key] {
				said[key] = true
				r.sameLink(node, n, other, link)
			}
			taken[link] = n
			if len(link) > maxName && !said[key] {
				said[key] = true
				r.fail(n.Pos, "the interface %s of network %s is longer than %d characters", link, n.Name, maxName).WithHint("add a shorter name, e.g. device: vlan%d", node.vlan(n))
			}
			if node.card(n.Interface) == link && node.vlan(n) != 0 {
				r.fail(n.Pos, "network %s has the device %s, which carries it", n.Name, link)
			}
		}
	}
	for _, n := range p.Networks {
		if n.Device != "" && n.VLAN == 0 {
			r.fail(n.Pos, "network %s has a device but no VLAN id", n.Name).WithHint("add vlan: ID, or use interface alone")
		}
		if carrier := p.carrierMTU(n); n.VLAN == 0 && n.MTU > 0 && carrier > n.MTU {
			r.fail(n.Pos, "the MTU %d of network %s is smaller than the %d of a VLAN on the same interface", n.MTU, n.Name, carrier)
		}
	}
}

func (r *reader) sameLink(node *Node, n, other *Network, link string) {
	if node.vlan(n) == 0 {
		r.fail(n.Pos, "networks %s and %s are both untagged on %s", other.Name, n.Name, link).WithHint("add the missing VLAN id of one: vlan: ID")
		return
	}
	r.fail(n.Pos, "networks %s and %s of node %s both have the VLAN id %d on %s", other.Name, n.Name, node.Name, node.vlan(n), node.card(n.Interface))
}

// carrierMTU is the largest MTU of the VLANs that share n's interface.
func (p *Profile) carrierMTU(n *Network) int {
	size := 0
	for _, o := range p.Networks {
		if o.Interface == n.Interface && o.VLAN != 0 {
			size = max(size, o.MTU)
		}
	}
	return size
}

func (r *reader) checkNetworks(p *Profile) {
	gateways := map[bool]*Network{}
	for _, n := range p.Networks {
		families := map[bool]bool{}
		for _, s := range n.Subnets {
			if families[s.Addr().Is4()] {
				r.fail(n.Pos, "network %s has two prefixes of one address family", n.Name).WithHint("make them two networks")
			}
			families[s.Addr().Is4()] = true
			if s.Bits() == 0 || s.IsSingleIP() {
				r.fail(n.Pos, "%s of network %s leaves no room for nodes", s, n.Name)
			}
		}
		for _, g := range n.Gateways {
			if !n.contains(g) {
				r.fail(n.Pos, "the gateway %s is not in network %s (%s)", g, n.Name, list(n.Subnets))
			}
			if other := gateways[g.Is4()]; other != nil {
				r.fail(n.Pos, "networks %s and %s both have a gateway, but a machine has one default route", other.Name, n.Name).WithHint("use routes in one of them")
			}
			gateways[g.Is4()] = n
		}
		for _, route := range n.Routes {
			if !n.contains(route.Via) {
				r.fail(n.Pos, "the route to %s goes by %s, which is not in network %s (%s)", route.To, route.Via, n.Name, list(n.Subnets))
			}
		}
		if n.DHCP != nil {
			r.checkDHCP(n)
		}
	}
}

func (r *reader) checkDHCP(n *Network) {
	d := n.DHCP
	if slices.ContainsFunc(n.Subnets, func(s netip.Prefix) bool { return s.Addr().Is6() }) {
		r.fail(d.Pos, "network %s has IPv6 addresses, which its DHCP server cannot give", n.Name).WithHint("use two networks, one of them static")
	}
	for _, a := range []netip.Addr{d.Server, d.First, d.Last} {
		if a.IsValid() && !n.contains(a) {
			r.fail(d.Pos, "%s is not in network %s (%s)", a, n.Name, list(n.Subnets))
		}
	}
	if d.First.IsValid() && d.Last.Less(d.First) {
		r.fail(d.Pos, "the DHCP range ends at %s, before its beginning %s", d.Last, d.First)
	}
	if d.inRange(d.Server) {
		r.fail(d.Pos, "the DHCP server's address %s is in the range that it gives away", d.Server)
	}
}

func (d *DHCP) inRange(a netip.Addr) bool {
	return d.First.IsValid() && !a.Less(d.First) && !d.Last.Less(a)
}

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
	add := func(pos diag.Pos, of string, prefixes []netip.Prefix) {
		for _, x := range prefixes {
			for _, o := range seen {
				if o.prefix.Overlaps(x) {
					r.fail(pos, "%s of %s overlaps %s of %s", x, of, o.prefix, o.of)
				}
			}
		}
		for _, x := range prefixes {
			seen = append(seen, owned{x, of})
		}
	}
	add(p.K3s.Pos, "the pods (k3s.cluster-cidr)", p.clusterCIDR())
	add(p.K3s.Pos, "the services (k3s.service-cidr)", p.serviceCIDR())
	for _, n := range p.Networks {
		add(n.Pos, "network "+n.Name, n.Subnets)
	}
}

func (p *Profile) clusterCIDR() []netip.Prefix {
	if p.K3s.ClusterCIDR == nil {
		return defaultClusterCIDR
	}
	return p.K3s.ClusterCIDR
}

func (p *Profile) serviceCIDR() []netip.Prefix {
	if p.K3s.ServiceCIDR == nil {
		return defaultServiceCIDR
	}
	return p.K3s.ServiceCIDR
}

func (r *reader) checkK3s(p *Profile) {
	var names []string
	for _, n := range p.Networks {
		names = append(names, n.Name)
	}
	if p.Network(p.K3s.Network) == nil {
		r.errs = append(r.errs, unknown(p.K3s.Pos, "network", p.K3s.Network, "the profile", names))
	}
	for _, a := range p.K3s.ClusterDNS {
		if !slices.ContainsFunc(p.serviceCIDR(), func(s netip.Prefix) bool { return s.Contains(a) }) {
			r.fail(p.K3s.Pos, "the cluster's name server %s is not among its services (%s)", a, list(p.serviceCIDR()))
		}
	}
	if p.First(Server) == nil {
		r.fail(diag.Pos{File: p.File, Line: 1}, "the profile has no server").WithHint("one node needs role: server")
	}
}

// cards are the network cards that a profile names: those of networks, and members of bonds.
func (p *Profile) cards() []string {
	var out []string
	for _, b := range p.Bonds {
		out = append(out, b.Members...)
	}
	for _, n := range p.Networks {
		if p.Bond(n.Interface) == nil {
			out = append(out, n.Interface)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// link is the interface that has n's addresses on a node.
func (p *Profile) link(node *Node, n *Network) string {
	switch id := node.vlan(n); {
	case id == 0:
		return node.card(n.Interface)
	case n.Device != "":
		return n.Device
	default:
		return fmt.Sprintf("%s.%d", node.card(n.Interface), id)
	}
}

func list[T fmt.Stringer](of []T) string {
	var out []string
	for _, x := range of {
		out = append(out, x.String())
	}
	return strings.Join(out, ", ")
}

func sorted(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
