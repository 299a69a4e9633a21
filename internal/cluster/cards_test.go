package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCards(t *testing.T) {
	t.Parallel()
	const text = `
networks:
  cluster: {interface: bond0, vlan: 200, subnet: 10.0.0.0/24}
  storage: {interface: bond0, vlan: 100, subnet: 10.0.1.0/24}
  admin: {interface: eth3, subnet: 10.0.2.0/24}
bonds:
  bond0: {members: [eth1, eth2], mode: active-backup}
k3s: {network: cluster}
nodes:
  one: {role: server, networks: {cluster: {address: 10.0.0.1, vlan: 201}, storage: 10.0.1.1, admin: 10.0.2.1}, mac: {eth1: "52:54:00:00:00:01"}}
  two: {role: agent, networks: {cluster: 10.0.0.2}}
`
	p, err := Read("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]Card{
		"one": {{Name: "eth1", MAC: "52:54:00:00:00:01", Tagged: []int{100, 200}}, {Name: "eth2", Tagged: []int{100, 200}}, {Name: "eth3", Untagged: "admin"}},
		"two": {{Name: "eth1", Tagged: []int{200}}, {Name: "eth2", Tagged: []int{200}}},
	} {
		node, err := p.Node(name)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, p.Cards(node)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	one, _ := p.Node("one")
	if one.Address("storage") != "10.0.1.1" || one.Address("nowhere") != "" {
		t.Error("wrong addresses")
	}
}
