package vmtest

import (
	"slices"
	"strings"

	"n3x/internal/vm/vswitch"
	"n3x/internal/yaml"
)

// profileSwitch is the switch that the cards of a profile's nodes are on, and where a suite's own cards are when it does not say.
const profileSwitch = "lan"

// cardsOf reads the network cards that a suite gives a machine.
func cardsOf(n *yaml.Node) []Card {
	var out []Card
	for _, e := range n.Map().Entries() {
		c := Card{Name: e.Key, MAC: strings.ToLower(word(e.Node.Lookup("mac"))), Switch: word(e.Node.Lookup("switch"))}
		if c.Switch == "" {
			c.Switch = profileSwitch
		}
		untagged := int(whole(e.Node.Lookup("untagged")))
		for _, id := range e.Node.Lookup("tagged").List() {
			c.Port.Trunk = append(c.Port.Trunk, int(whole(id)))
		}
		if c.Port.Trunk == nil {
			c.Port = vswitch.PortConfig{Access: untagged}
		} else {
			c.Port.Native = untagged
		}
		out = append(out, c)
	}
	return out
}

// withCards puts a suite's cards in the place of those of the same names, or beside the others.
func withCards(cards, own []Card) []Card {
	out := slices.Clone(cards)
	for _, c := range own {
		if i := slices.IndexFunc(out, func(o Card) bool { return o.Name == c.Name }); i < 0 {
			out = append(out, c)
		} else if out[i] = c; c.MAC == "" {
			out[i].MAC = cards[i].MAC
		}
	}
	return out
}
