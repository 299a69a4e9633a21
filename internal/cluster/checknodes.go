package cluster

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

var (
	// Labels and taints as Kubernetes takes them (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/).
	labelKey   = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)
	taintForm  = regexp.MustCompile(`^([^=:]+)(=[^:]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$`)
)

func (r *reader) checkNodes(p *Profile) {
	var networks []string
	for _, n := range p.Networks {
		networks = append(networks, n.Name)
	}
	for _, n := range p.Nodes {
		for _, at := range n.Places {
			if p.Network(at.Network) == nil {
				r.errs = append(r.errs, unknown(at.Pos, "network", at.Network, "the profile", networks))
			} else if at.VLAN != 0 && p.Network(at.Network).VLAN == 0 {
				r.fail(at.Pos, "node %s has a VLAN id in network %s, which is untagged", n.Name, at.Network)
			}
		}
		if n.place(p.K3s.Network) == nil && p.Network(p.K3s.Network) != nil {
			r.fail(n.Pos, "node %s has no address in network %s, by which the cluster's nodes talk", n.Name, p.K3s.Network)
		}
		for _, l := range n.Labels {
			key, value, _ := strings.Cut(l, "=")
			if !labelKey.MatchString(key) || !labelValue.MatchString(value) {
				r.fail(n.Pos, "%q is no label that Kubernetes takes", l)
			}
		}
		for _, t := range n.Taints {
			m := taintForm.FindStringSubmatch(t)
			if m == nil || !labelKey.MatchString(m[1]) || !labelValue.MatchString(strings.TrimPrefix(m[2], "=")) {
				r.fail(n.Pos, "%q is no taint that Kubernetes takes", t).WithHint("write key=value:Effect; the effects are NoSchedule, PreferNoSchedule, NoExecute")
			}
		}
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
			n := p.Network(at.Network)
			if n == nil {
				continue
			}
			if len(at.Addresses) != len(n.Subnets) {
				r.fail(at.Pos, "node %s has %d addresses in network %s, which has %d prefixes", node.Name, len(at.Addresses), n.Name, len(n.Subnets)).WithHint("one address for each of %s", list(n.Subnets))
			}
			families := map[bool]bool{}
			for _, a := range at.Addresses {
				switch {
				case !n.contains(a):
					r.fail(at.Pos, "the address %s of node %s is not in network %s (%s)", a, node.Name, n.Name, list(n.Subnets))
				case families[a.Is4()]:
					r.fail(at.Pos, "node %s has two addresses of one family in network %s", node.Name, n.Name)
				case owner[a] != "":
					r.fail(at.Pos, "the address %s of node %s is that of %s", a, node.Name, owner[a])
				default:
					owner[a] = "node " + node.Name
				}
				families[a.Is4()] = true
			}
		}
	}
}

// checkHardware looks at the nodes' network cards.
func (r *reader) checkHardware(p *Profile) {
	cards := p.cards()
	owner := map[string]string{}
	for _, n := range p.Networks {
		if n.DHCP != nil && n.DHCP.MAC != "" {
			owner[n.DHCP.MAC] = "the DHCP server"
		}
	}
	for _, n := range p.Nodes {
		own := map[string]string{}
		for _, name := range sorted(n.Interfaces) {
			if !slices.Contains(cards, name) {
				r.errs = append(r.errs, unknown(n.Pos, "network card", name, "the profile", cards))
			}
		}
		for _, name := range cards {
			if other := own[n.card(name)]; other != "" {
				r.fail(n.Pos, "%s and %s of node %s are both %s", other, name, n.Name, n.card(name))
			}
			own[n.card(name)] = name
		}
		for _, name := range sorted(n.MACs) {
			mac := n.MACs[name]
			if !slices.Contains(cards, name) && p.Bond(name) == nil {
				r.errs = append(r.errs, unknown(n.Pos, "network card", name, "the profile", cards))
			}
			if strings.ContainsRune("13579bdf", rune(mac[1])) || mac == "00:00:00:00:00:00" {
				r.fail(n.Pos, "%s is no hardware address of a network card: it is a group's", mac)
			}
			if owner[mac] != "" {
				r.fail(n.Pos, "the hardware address %s of node %s is that of %s", mac, n.Name, owner[mac])
			}
			owner[mac] = "node " + n.Name
		}
		for _, at := range n.Places {
			if net := p.Network(at.Network); net != nil && net.DHCP != nil && n.MACs[net.Interface] == "" {
				r.fail(n.Pos, "node %s has a reservation in network %s but no hardware address of %s", n.Name, net.Name, net.Interface).
					WithHint("add mac: {%s: 52:54:00:...}", net.Interface)
			}
		}
	}
}
