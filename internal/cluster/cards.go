package cluster

import "slices"

// Card is a network card of a node with what the switch port at its cable carries.
type Card struct {
	Name     string // as the profile calls it, e.g. "eth1"
	MAC      string // "" when the profile has none
	Tagged   []int  // VLANs that come tagged
	Untagged string // the network that comes untagged; "" is none
}

// Cards are a node's network cards in the order of their names. A switch is cabled by the networks' VLANs: a node that has
// one of its own ([Place]) is not heard there, which is what negative profiles are for.
func (p *Profile) Cards(node *Node) []Card {
	cards := map[string]*Card{}
	for _, n := range p.Networks {
		if node.place(n.Name) == nil {
			continue
		}
		on := []string{n.Interface}
		if b := p.Bond(n.Interface); b != nil {
			on = b.Members
		}
		for _, name := range on {
			c := cards[name]
			if c == nil {
				c = &Card{Name: name, MAC: node.MACs[name]}
				cards[name] = c
			}
			if n.VLAN == 0 {
				c.Untagged = n.Name
			} else {
				c.Tagged = append(c.Tagged, n.VLAN)
			}
		}
	}
	var out []Card
	for _, name := range p.cards() {
		if c := cards[name]; c != nil {
			slices.Sort(c.Tagged)
			out = append(out, *c)
		}
	}
	return out
}

// Address is the first address of a node in a network, as text; "" when it has none.
func (n *Node) Address(network string) string {
	if p := n.place(network); p != nil && len(p.Addresses) > 0 {
		return p.Addresses[0].String()
	}
	return ""
}
