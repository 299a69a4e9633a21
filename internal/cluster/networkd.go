package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Unit is a file of systemd-networkd (systemd.network(5), systemd.netdev(5)).
type Unit struct {
	Name     string // e.g. "20-eth1.network"
	Sections []Section
}

// Section is a section of a unit; a key may occur more than once.
type Section struct {
	Name string
	Keys []Setting
}

// Setting is a line of a unit.
type Setting struct{ Key, Value string }

// Text is the unit's content behind the lines of head.
func (u Unit) Text(head string) string {
	var b strings.Builder
	b.WriteString(head)
	for _, s := range u.Sections {
		fmt.Fprintf(&b, "\n[%s]\n", s.Name)
		for _, k := range s.Keys {
			fmt.Fprintf(&b, "%s=%s\n", k.Key, k.Value)
		}
	}
	return b.String()
}

// Units are the files by which systemd-networkd sets up a node's networks, in the order of their names.
//
// Numbers of names: 10 is what a bond is made of, 15 what carries VLANs, 20 what has a network's addresses.
func (p *Profile) Units(node *Node) []Unit {
	var out []Unit
	carried := map[string][]*Network{} // networks of this node by what carries them
	var carriers []string
	for _, n := range p.Networks {
		if node.place(n.Name) == nil {
			continue
		}
		if carried[n.Interface] == nil {
			carriers = append(carriers, n.Interface)
		}
		carried[n.Interface] = append(carried[n.Interface], n)
	}
	for _, c := range carriers {
		if b := p.Bond(c); b != nil {
			out = append(out, bondUnits(b, node, mtu(carried[c]))...)
		}
		out = append(out, p.carrierUnits(c, carried[c], node)...)
	}
	slices.SortFunc(out, func(a, b Unit) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// ethernetMTU is what network cards carry that are told nothing else.
const ethernetMTU = 1500

// mtu is what an interface must carry for the networks on it; 0 is the driver's.
func mtu(networks []*Network) int {
	size := 0
	for _, n := range networks {
		size = max(size, n.MTU)
	}
	return size
}

func bondUnits(b *Bond, node *Node, size int) []Unit {
	keys := []Setting{}
	add := func(set bool, key, value string) {
		if set {
			keys = append(keys, Setting{key, value})
		}
	}
	milliseconds := func(n int) string { return strconv.Itoa(n) + "ms" }
	add(b.Down > 0, "DownDelaySec", milliseconds(b.Down))
	add(b.LACPRate != "", "LACPTransmitRate", b.LACPRate)
	add(true, "MIIMonitorSec", milliseconds(b.MIIMon))
	add(true, "Mode", b.Mode)
	add(b.Reselect != "", "PrimaryReselectPolicy", b.Reselect)
	add(b.Hash != "", "TransmitHashPolicy", b.Hash)
	add(b.UpDelay > 0, "UpDelaySec", milliseconds(b.UpDelay))
	device := netdev(b.Name, "bond", node.MACs[b.Name], size)
	out := []Unit{{"10-" + b.Name + ".netdev", []Section{device, {"Bond", keys}}}}
	for _, m := range b.Members {
		network := Section{"Network", []Setting{{"Bond", b.Name}}}
		if m == b.Primary {
			network.Keys = append(network.Keys, Setting{"PrimarySlave", "yes"})
		}
		name := node.card(m)
		out = append(out, Unit{"10-" + name + ".network", []Section{match(name), network, {"Link", []Setting{{"RequiredForOnline", "no"}}}}})
	}
	return out
}

func netdev(name, kind, mac string, size int) Section {
	s := Section{"NetDev", []Setting{{"Kind", kind}, {"Name", name}}}
	if mac != "" {
		s.Keys = append(s.Keys, Setting{"MACAddress", mac})
	}
	if size > 0 {
		s.Keys = append(s.Keys, Setting{"MTUBytes", strconv.Itoa(size)})
	}
	return s
}

func match(name string) Section { return Section{"Match", []Setting{{"Name", name}}} }

// carrierUnits are the files of one network card or bond and of the networks on it.
func (p *Profile) carrierUnits(carrier string, networks []*Network, node *Node) []Unit {
	var untagged *Network
	var out []Unit
	var vlans []Setting
	size := mtu(networks)
	for _, n := range networks {
		id := node.vlan(n)
		if id == 0 {
			untagged = n
			continue
		}
		name := p.link(node, n)
		vlans = append(vlans, Setting{"VLAN", name})
		file := "20-vlan-" + n.Name
		own := n.MTU
		if own == 0 && size > ethernetMTU {
			own = ethernetMTU // the kernel would take that of the carrier, which is another network's
		}
		out = append(out,
			Unit{file + ".netdev", []Section{netdev(name, "vlan", "", own), {"VLAN", []Setting{{"Id", strconv.Itoa(id)}}}}},
			Unit{file + ".network", p.network(n, node, name, nil, 0)})
	}
	number := "15-"
	if vlans == nil {
		number = "20-"
	}
	name := node.card(carrier)
	if p.Bond(carrier) != nil {
		size = 0 // the bond's own file has it
	}
	return append(out, Unit{number + name + ".network", p.network(untagged, node, name, vlans, size)})
}

// network are the sections of an interface; n is nil for one that only carries VLANs.
func (p *Profile) network(n *Network, node *Node, name string, vlans []Setting, size int) []Section {
	settings := []Setting{{"DHCP", "no"}, {"IPv6AcceptRA", "no"}, {"LinkLocalAddressing", "no"}}
	var addresses []Setting
	out := []Section{match(name)}
	if n != nil {
		if n.DHCP != nil {
			settings[0].Value = "yes"
		}
		for _, a := range node.place(n.Name).Addresses {
			if n.DHCP == nil {
				addresses = append(addresses, Setting{"Address", fmt.Sprintf("%s/%d", a, n.prefix(a.Is4()))})
			}
			if a.Is6() {
				settings[2].Value = "ipv6" // IPv6 needs link-local addresses to find its neighbours
			}
		}
		if n.DHCP == nil {
			settings = append(settings, n.names()...)
		}
	}
	slices.SortStableFunc(settings, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
	out = append(out, Section{"Network", slices.Concat(settings, addresses, vlans)})
	link := Section{Name: "Link"}
	if size > 0 {
		link.Keys = append(link.Keys, Setting{"MTUBytes", strconv.Itoa(size)})
	}
	if n != nil && n.Optional {
		link.Keys = append(link.Keys, Setting{"RequiredForOnline", "no"})
	}
	if link.Keys != nil {
		out = append(out, link)
	}
	if n != nil {
		for _, r := range n.Routes {
			out = append(out, Section{"Route", []Setting{{"Destination", r.To.String()}, {"Gateway", r.Via.String()}}})
		}
	}
	return out
}

// prefix is the length of the network's prefix of an address family.
func (n *Network) prefix(v4 bool) int {
	for _, s := range n.Subnets {
		if s.Addr().Is4() == v4 {
			return s.Bits()
		}
	}
	return 0
}

// names are the settings that a DHCP server would give instead.
func (n *Network) names() []Setting {
	var out []Setting
	for _, g := range n.Gateways {
		out = append(out, Setting{"Gateway", g.String()})
	}
	for _, d := range n.DNS {
		out = append(out, Setting{"DNS", d.String()})
	}
	if n.Domains != nil {
		out = append(out, Setting{"Domains", strings.Join(n.Domains, " ")})
	}
	if n.NTP != nil {
		out = append(out, Setting{"NTP", strings.Join(n.NTP, " ")})
	}
	return out
}

// routeDevice is the interface of the default route that leads nowhere, for nodes that have no other (https://docs.k3s.io/installation/airgap).
const routeDevice = "k3s-route"

// routePrefix are the addresses on it: of those for documentation (RFC 5737), so nobody's.
var routePrefix = netip.MustParsePrefix("203.0.113.254/31")

// routeUnits are the files of that interface. Debian images have them from the package k3s-system-config.
func routeUnits() []Unit {
	return []Unit{
		{"90-k3s-route.netdev", []Section{{"NetDev", []Setting{{"Kind", "dummy"}, {"Name", routeDevice}}}}},
		{"90-k3s-route.network", []Section{
			match(routeDevice),
			{"Network", []Setting{{"Address", routePrefix.String()}, {"LinkLocalAddressing", "no"}, {"IPv6AcceptRA", "no"}}},
			{"Route", []Setting{{"Gateway", routePrefix.Addr().Next().String()}, {"Metric", "65535"}}},
			{"Link", []Setting{{"RequiredForOnline", "no"}}},
		}},
	}
}
