// Package cluster holds what a cluster is: network profiles with their nodes, read from YAML and checked as a whole, and
// everything that is rendered from them (systemd-networkd units, K3s configuration, kas overlays, a NixOS module,
// dnsmasq reservations, /etc/hosts), so that every backend has one source.
//
// A profile is a network preset: networks, bonds, K3s settings and the nodes with their addresses. Reading and rendering
// are pure; only [Tree.Write] touches the disk. An address that does not fit, a name twice or an unknown word is an error at
// its place in the file, and all errors of a file are told at once.
package cluster

import (
	"net/netip"
	"slices"

	"n3x/internal/diag"
)

// Role is what a node does in the cluster.
type Role string

const (
	Server Role = "server" // runs the control plane and etcd
	Agent  Role = "agent"  // runs workloads only
)

// Profile is one file of profiles/.
type Profile struct {
	Name        string // the file's name without .yaml, e.g. "bonding-vlans"
	File        string // as it is shown in messages
	Description string
	Negative    bool // meant to fail: rendered on demand only, and refused for images that are no tests

	Networks []*Network // in the file's order
	Bonds    []*Bond
	K3s      K3s
	Nodes    []*Node
}

// Network is a layer 2 network with the addresses that nodes have in it.
type Network struct {
	Pos  diag.Pos
	Name string // e.g. "cluster"

	Interface string         // network card or bond that carries it, e.g. "eth1"
	VLAN      int            // 802.1Q id, 1 to 4094; 0 is untagged
	Device    string         // name of the VLAN's interface; "" is Interface.VLAN
	Subnets   []netip.Prefix // one for each address family
	Gateways  []netip.Addr   // at most one for each address family
	DNS       []netip.Addr
	Domains   []string
	NTP       []string
	Routes    []Route
	MTU       int   // bytes; 0 is Ethernet's 1500
	Optional  bool  // the machine counts as online without it
	DHCP      *DHCP // nil: static addresses
}

// Route is a static route.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// DHCP describes the server that gives nodes their addresses, which are reservations by hardware address.
type DHCP struct {
	Pos         diag.Pos
	Server      netip.Addr
	MAC         string     // of the server; may be ""
	First, Last netip.Addr // the dynamic range; zero when there is none
	Lease       string     // e.g. "12h", as dnsmasq writes it
}

// Bond joins network cards (https://docs.kernel.org/networking/bonding.html).
type Bond struct {
	Pos     diag.Pos
	Name    string
	Members []string
	Mode    string // e.g. "active-backup"

	Primary  string // preferred member; "" is none
	Reselect string // when the primary takes over again: always, better, failure; "" is the kernel's choice
	MIIMon   int    // link check interval in milliseconds, never 0
	UpDelay  int    // milliseconds
	Down     int    // milliseconds
	LACPRate string // slow or fast; mode 802.3ad only
	Hash     string // transmit hash policy, e.g. "layer3+4"
}

// K3s are the cluster's settings.
type K3s struct {
	Pos         diag.Pos
	Network     string // the network whose addresses nodes talk by
	ClusterCIDR []netip.Prefix
	ServiceCIDR []netip.Prefix
	ClusterDNS  []netip.Addr
	TLSSANs     []string // more names and addresses for the API server's certificate
}

// Node is a machine of the cluster.
type Node struct {
	Pos    diag.Pos
	Name   string // hostname and Kubernetes node name
	Role   Role
	Places []Place
	MACs   map[string]string // hardware address by interface, as profiles name interfaces
	// Interfaces are this machine's own names for the profile's network cards, e.g. eth1 -> enp3s0.
	Interfaces map[string]string
	Labels     []string // key=value
	Taints     []string // key=value:Effect
}

// Place is a node's presence in a network.
type Place struct {
	Pos       diag.Pos
	Network   string
	Addresses []netip.Addr
	VLAN      int // instead of the network's; 0 is the network's
}

// Find finds a profile by its name. An unknown one is an error that names those that folder has.
func Find(folder string, profiles []*Profile, name string) (*Profile, error) {
	var names []string
	for _, p := range profiles {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return nil, diag.Unknown(diag.Pos{}, folder, "profile", name, names)
}

// Network finds a network.
func (p *Profile) Network(name string) *Network {
	for _, n := range p.Networks {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Bond finds a bond.
func (p *Profile) Bond(name string) *Bond {
	for _, b := range p.Bonds {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// Node finds a node. An unknown one is an error that names those there are.
func (p *Profile) Node(name string) (*Node, error) {
	var names []string
	for _, n := range p.Nodes {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return nil, diag.Unknown(diag.Pos{File: p.File}, "profile "+p.Name, "node", name, names)
}

// First is the first node of a role in the file's order; nil when there is none.
func (p *Profile) First(role Role) *Node {
	i := slices.IndexFunc(p.Nodes, func(n *Node) bool { return n.Role == role })
	if i < 0 {
		return nil
	}
	return p.Nodes[i]
}

// HasGateway reports whether a node gets a default route by this profile. K3s does not start without one.
func (p *Profile) HasGateway(n *Node) bool {
	return slices.ContainsFunc(p.Networks, func(net *Network) bool { return len(net.Gateways) > 0 && n.place(net.Name) != nil })
}

// place is where n is in the network; nil when it is not in it.
func (n *Node) place(network string) *Place {
	for i := range n.Places {
		if n.Places[i].Network == network {
			return &n.Places[i]
		}
	}
	return nil
}

// card is the node's own name for an interface of the profile.
func (n *Node) card(name string) string {
	if own := n.Interfaces[name]; own != "" {
		return own
	}
	return name
}

// vlan is the 802.1Q id by which n is in the network; 0 is untagged.
func (n *Node) vlan(net *Network) int {
	if p := n.place(net.Name); p != nil && p.VLAN != 0 {
		return p.VLAN
	}
	return net.VLAN
}
