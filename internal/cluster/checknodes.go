package cluster

import (
	"n3x/internal/diag"
	"net/netip"
	"regexp"
)

var (
	// Labels and taints as Kubernetes takes them (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/).
	qualifiedName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	labelDomain   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	labelValue    = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)
	taintForm     = regexp.MustCompile(`^([^=:]+)(=[^:]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$`)
)

func (r *reader) checkNodes(p *Profile) {
	var networks []string
	for _, n := range p.Networks {
		networks = append(networks, n.Name)
	}
	for _, n := range p.Nodes {
		for _, at := range n.Places {
			if p.Network(at.Network) == nil {
				r.Add(diag.Unknown(at.Pos, "the profile", "network", at.Network, networks))
			} else if at.VLAN != 0 && p.Network(at.Network).VLAN == 0 {
				r.Userf(r.at("nodes", n.Name, "networks", at.Network, "vlan"), "node %s has a VLAN id in network %s, which is untagged", n.Name, at.Network)
			}
		}
		if n.place(p.K3s.Network) == nil && p.Network(p.K3s.Network) != nil {
			r.Userf(r.at("nodes", n.Name, "networks"), "node %s has no address in network %s, by which the cluster's nodes talk", n.Name, p.K3s.Network)
		}
		r.checkLabels(n)
		r.checkTaints(n)
	}
}

func (r *reader) checkAddresses(p *Profile) {
	owner := map[netip.Addr]string{}
	for _, n := range p.Networks {
		for _, g := range n.Gateways {
			owner[g] = "the gateway of network " + n.Name
		}
		if n.DHCP != nil {
			owner[n.DHCP.Server] = "the DHCP server of network " + n.Name
		}
	}
	for _, node := range p.Nodes {
		for _, at := range node.Places {
			if n := p.Network(at.Network); n != nil {
				r.checkPlace(node, at, n, owner)
			}
		}
	}
}

// checkPlace looks at a node's addresses in a network; owner says whose addresses are taken.
func (r *reader) checkPlace(node *Node, at Place, n *Network, owner map[netip.Addr]string) {
	keys := []string{"nodes", node.Name, "networks", n.Name}
	if r.root.Lookup(keys...).Map() != nil {
		keys = append(keys, "address")
	}
	if len(at.Addresses) != len(n.Subnets) {
		r.Userf(r.at(keys...), "node %s has %d addresses in network %s, which has %d prefixes", node.Name, len(at.Addresses), n.Name, len(n.Subnets)).WithHint("one address for each of %s", list(n.Subnets))
	}
	families := map[bool]bool{}
	for _, a := range at.Addresses {
		pos := r.item(a.String(), keys...)
		switch {
		case !n.contains(a):
			r.Userf(pos, "the address %s of node %s is not in network %s (%s)", a, node.Name, n.Name, list(n.Subnets))
		case families[a.Is4()]:
			r.Userf(pos, "node %s has two addresses of one family in network %s", node.Name, n.Name)
		case owner[a] != "":
			r.Userf(pos, "the address %s of node %s is that of %s", a, node.Name, owner[a])
		default:
			owner[a] = "node " + node.Name
		}
		families[a.Is4()] = true
	}
}
