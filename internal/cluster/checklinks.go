package cluster

import (
	"fmt"
	"slices"
	"strings"

	"n3x/internal/diag"
)

// maxName is the longest name of a network interface in Linux (IFNAMSIZ less the final zero).
const maxName = 15

// reserved are names of interfaces that the kernel, K3s or an image has for itself.
var reserved = map[string]string{
	"lo": "the loopback interface", "all": "a word of the kernel", "default": "a word of the kernel", "bonding_masters": "a word of the kernel",
	"cni0": "K3s' bridge", "flannel.1": "K3s' tunnel", "flannel-v6.1": "K3s' tunnel", "flannel-wg": "K3s' tunnel", "kube-ipvs0": "kube-proxy's",
	routeDevice: "the interface of nodes without a gateway",
}

func (r *reader) checkBonds(p *Profile) {
	owner := map[string]string{}
	for _, b := range p.Bonds {
		for _, m := range b.Members {
			pos := r.item(m, "bonds", b.Name, "members")
			switch other := owner[m]; {
			case other == b.Name:
				r.Userf(pos, "%s is a member of %s twice", m, b.Name)
			case other != "":
				r.Userf(pos, "%s is a member of %s and of %s", m, other, b.Name)
			}
			owner[m] = b.Name
			if !interfaceName.MatchString(m) {
				r.Userf(pos, "%q, a member of %s, is no name of a network card", m, b.Name).WithHint("allowed: %s", interfaceForm)
			}
			if p.Bond(m) != nil {
				r.Userf(pos, "%s is a bond, so it cannot be a member of %s", m, b.Name)
			}
		}
		if len(b.Members) == 0 {
			r.Userf(b.Pos, "bond %s has no members", b.Name)
		}
		r.checkMode(b)
		if !slices.ContainsFunc(p.Networks, func(n *Network) bool { return n.Interface == b.Name }) {
			r.Userf(b.Pos, "no network uses bond %s", b.Name)
		}
	}
	for _, n := range p.Networks {
		if b := owner[n.Interface]; b != "" {
			r.Userf(r.at("networks", n.Name, "interface"), "network %s is on %s, which is a member of bond %s", n.Name, n.Interface, b).WithHint("write interface: %s", b)
		}
	}
}

// checkMode refuses settings that the kernel ignores or rejects in the bond's mode.
func (r *reader) checkMode(b *Bond) {
	at := func(key string) diag.Pos { return r.at("bonds", b.Name, key) }
	only := func(set bool, key, what string, modes ...string) {
		if set && !slices.Contains(modes, b.Mode) {
			r.Userf(at(key), "bond %s has %s, which mode %s does not know", b.Name, what, b.Mode).WithHint("it belongs to %s", strings.Join(modes, ", "))
		}
	}
	only(b.Primary != "", "primary", "a primary", "active-backup", "balance-tlb", "balance-alb")
	only(b.Reselect != "", "reselect", "reselect", "active-backup", "balance-tlb", "balance-alb")
	only(b.LACPRate != "", "lacp-rate", "lacp-rate", "802.3ad")
	only(b.Hash != "", "transmit-hash", "transmit-hash", "balance-xor", "802.3ad", "balance-tlb", "balance-alb")
	if b.Primary != "" && !slices.Contains(b.Members, b.Primary) {
		r.Userf(at("primary"), "the primary %s of bond %s is none of its members", b.Primary, b.Name).WithHint("its members: %s", strings.Join(b.Members, ", "))
	}
	for key, delay := range map[string]int{"updelay": b.UpDelay, "downdelay": b.Down} {
		if delay%b.MIIMon != 0 {
			r.Userf(at(key), "%s %d of bond %s is no multiple of miimon (%d), so the kernel rounds it down", key, delay, b.Name, b.MIIMon)
		}
	}
}

// checkLinks looks at what carries networks: names, 802.1Q ids and sizes of packets, for each node.
func (r *reader) checkLinks(p *Profile) {
	nodes := p.Nodes
	if len(nodes) == 0 {
		nodes = []*Node{{}}
	}
	said := map[string]bool{} // what is wrong with all nodes is told once
	for _, node := range nodes {
		r.checkNodeLinks(p, node, said)
	}
	for i, n := range p.Networks {
		for _, o := range p.Networks[:i] {
			if n.VLAN != 0 && n.VLAN == o.VLAN && n.Interface == o.Interface && !said[n.Name+" same"] {
				r.Userf(r.at("networks", n.Name, "vlan"), "networks %s and %s both have the VLAN id %d on %s", o.Name, n.Name, n.VLAN, n.Interface)
			}
		}
		if n.Device != "" && n.VLAN == 0 {
			r.Userf(r.at("networks", n.Name, "device"), "network %s has a device but no VLAN id", n.Name).WithHint("add vlan: ID, or use interface alone")
		}
		r.checkMTU(p, n)
	}
}

func (r *reader) checkNodeLinks(p *Profile, node *Node, said map[string]bool) {
	fail := func(n *Network, kind string, pos diag.Pos, format string, args ...any) *diag.Error {
		if said[n.Name+kind] {
			return &diag.Error{}
		}
		said[n.Name+kind] = true
		return r.Userf(pos, format, args...)
	}
	taken := map[string]*Network{}
	for _, n := range p.Networks {
		if len(p.Nodes) > 0 && node.place(n.Name) == nil {
			continue
		}
		link, id := p.link(node, n), node.vlan(n)
		pos := r.at("networks", n.Name, "interface")
		if id != 0 {
			pos = r.at("networks", n.Name, "vlan")
		}
		switch other := taken[link]; {
		case other == nil:
		case id == 0:
			fail(n, " same", pos, "networks %s and %s are both untagged on %s", other.Name, n.Name, link).WithHint("add the missing VLAN id of one: vlan: ID")
		case n.Device != "" && n.Device == other.Device:
			fail(n, " same", pos, "networks %s and %s both have the device %s", other.Name, n.Name, link)
		default:
			fail(n, " same", pos, "networks %s and %s of node %s both have the VLAN id %d on %s", other.Name, n.Name, node.Name, id, node.card(n.Interface))
		}
		taken[link] = n
		if len(link) > maxName {
			fail(n, " long", pos, "the interface %s of network %s is longer than %d characters", link, n.Name, maxName).WithHint("add a shorter name, e.g. device: vlan%d", id)
		}
		for _, name := range []string{link, node.card(n.Interface)} {
			if what := reserved[name]; what != "" {
				fail(n, " reserved", pos, "network %s is on %s, which is %s", n.Name, name, what)
			}
		}
		if id != 0 && slices.Contains(p.devices(node), link) {
			fail(n, " carries", pos, "network %s has the device %s, which is a card or bond of node %s", n.Name, link, node.Name)
		}
		if rest, ok := strings.CutPrefix(node.card(n.Interface), "vlan-"); ok && p.Network(rest) != nil {
			fail(n, " file", pos, "%s and the VLAN of network %s would have files of one name", node.card(n.Interface), rest).WithHint("give network %s another name", rest)
		}
	}
}

// devices are the node's own names of cards, and its bonds.
func (p *Profile) devices(node *Node) []string {
	var out []string
	for _, c := range p.cards() {
		out = append(out, node.card(c))
	}
	for _, b := range p.Bonds {
		out = append(out, b.Name)
	}
	return out
}

// checkMTU refuses VLANs whose packets do not fit into what carries them, and sizes below what IPv6 needs (RFC 8200, 5).
func (r *reader) checkMTU(p *Profile, n *Network) {
	size := n.MTU
	if size == 0 {
		size = ethernetMTU
	}
	pos := r.at("networks", n.Name, "mtu")
	if n.VLAN == 0 {
		for _, o := range p.Networks {
			if o.Interface == n.Interface && o.VLAN != 0 && o.MTU > size {
				e := r.Userf(pos, "the MTU %d of network %s is smaller than the %d of the VLAN of network %s on the same interface", size, n.Name, o.MTU, o.Name)
				e.WithHint("write mtu: %d for network %s, too", o.MTU, n.Name)
			}
		}
	}
	if size < 1280 && slices.ContainsFunc(n.Subnets, isIPv6) {
		r.Userf(pos, "the MTU %d of network %s is too small for IPv6, which needs 1280", size, n.Name)
	}
}

// checkHardware looks at the nodes' network cards.
func (r *reader) checkHardware(p *Profile) {
	cards := p.cards()
	owner := map[string]string{}
	for _, n := range p.Networks {
		if n.DHCP != nil && n.DHCP.MAC != "" {
			r.checkMAC(r.at("networks", n.Name, "dhcp", "mac"), n.DHCP.MAC)
			owner[n.DHCP.MAC] = "the DHCP server"
		}
	}
	for _, n := range p.Nodes {
		own := map[string]string{}
		for _, name := range sorted(n.Interfaces) {
			pos := r.at("nodes", n.Name, "interfaces", name)
			if !slices.Contains(cards, name) {
				r.Add(diag.Unknown(pos, "the profile", "network card", name, cards))
			}
			if to := n.Interfaces[name]; p.Bond(to) != nil {
				r.Userf(pos, "%s of node %s is %s, which is a bond", name, n.Name, to)
			} else if what := reserved[to]; what != "" {
				r.Userf(pos, "%s of node %s is %s, which is %s", name, n.Name, to, what)
			}
		}
		for _, name := range cards {
			if other := own[n.card(name)]; other != "" {
				r.Userf(r.at("nodes", n.Name, "interfaces", name), "%s and %s of node %s are both %s", other, name, n.Name, n.card(name))
			}
			own[n.card(name)] = name
		}
		r.checkMACs(p, n, cards, owner)
	}
}

func (r *reader) checkMACs(p *Profile, n *Node, cards []string, owner map[string]string) {
	for _, name := range sorted(n.MACs) {
		mac := n.MACs[name]
		pos := r.at("nodes", n.Name, "mac", name)
		if !slices.Contains(cards, name) && p.Bond(name) == nil {
			r.Add(diag.Unknown(pos, "the profile", "network card", name, cards))
		}
		r.checkMAC(pos, mac)
		// A bond often has the address of one of its members.
		if other := owner[mac]; other != "" && (other != "node "+n.Name || p.Bond(name) == nil && !p.isMember(name)) {
			r.Userf(pos, "the hardware address %s of node %s is that of %s", mac, n.Name, other)
		}
		owner[mac] = "node " + n.Name
	}
	for _, at := range n.Places {
		if net := p.Network(at.Network); net != nil && net.DHCP != nil && n.MACs[net.Interface] == "" {
			r.Userf(at.Pos, "node %s has a reservation in network %s but no hardware address of %s", n.Name, net.Name, net.Interface).
				WithHint("add mac: {%s: 52:54:00:...}", net.Interface)
		}
	}
}

func (p *Profile) isMember(card string) bool {
	return slices.ContainsFunc(p.Bonds, func(b *Bond) bool { return slices.Contains(b.Members, card) })
}

func (r *reader) checkMAC(pos diag.Pos, mac string) {
	if strings.ContainsRune("13579bdf", rune(mac[1])) || mac == "00:00:00:00:00:00" {
		r.Userf(pos, "%s is no hardware address of a network card: it is a group's, or none", mac)
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

func sorted(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
