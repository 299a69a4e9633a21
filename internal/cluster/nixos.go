package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// unitOptions are NixOS' names of the sections of networkd's units
// (https://search.nixos.org/options?query=systemd.network).
var unitOptions = map[string]string{
	"Match": "matchConfig", "Network": "networkConfig", "Link": "linkConfig", "NetDev": "netdevConfig", "Bond": "bondConfig", "VLAN": "vlanConfig",
}

// NixOS is a JSON document whose nodes.NAME is the configuration of that node for a NixOS module, and
// common what all nodes have.
func (p *Profile) NixOS() []byte {
	nodes := map[string]any{}
	for _, n := range p.Nodes {
		netdevs, networks := map[string]any{}, map[string]any{}
		units := p.Units(n)
		if !p.HasGateway(n) {
			units = append(units, routeUnits()...)
		}
		for _, u := range units {
			if name, ok := strings.CutSuffix(u.Name, ".netdev"); ok {
				netdevs[name] = u.nixOS()
			} else {
				networks[strings.TrimSuffix(u.Name, ".network")] = u.nixOS()
			}
		}
		nodes[n.Name] = map[string]any{
			"networking": map[string]any{"hostName": n.Name, "useNetworkd": true, "useDHCP": false},
			"systemd":    map[string]any{"network": map[string]any{"enable": true, "netdevs": netdevs, "networks": networks}},
			"services":   map[string]any{"k3s": p.nixK3s(n)},
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(map[string]any{
		"_generatedBy": Marker, "profile": p.Name, "nodes": nodes,
		"common": map[string]any{"networking": map[string]any{"hosts": p.hosts()}},
	})
	if err != nil {
		panic("BUG: " + err.Error()) // maps, texts and numbers always encode
	}
	return b.Bytes()
}

// nixOS are a unit's sections as options. What occurs more than once has an option of its own there.
func (u Unit) nixOS() map[string]any {
	out := map[string]any{}
	for _, s := range u.Sections {
		if s.Name == "Route" {
			routes, _ := out["routes"].([]any)
			out["routes"] = append(routes, pairs(s.Keys))
			continue
		}
		var single []Setting
		many := map[string][]string{}
		for _, k := range s.Keys {
			switch k.Key {
			case "Address", "VLAN", "DNS", "Gateway":
				many[strings.ToLower(k.Key)] = append(many[strings.ToLower(k.Key)], k.Value)
			default:
				single = append(single, k)
			}
		}
		for option, values := range many {
			out[option] = values
		}
		if single != nil {
			out[unitOptions[s.Name]] = pairs(single)
		}
	}
	return out
}

func pairs(keys []Setting) map[string]any {
	out := map[string]any{}
	for _, k := range keys {
		out[k.Key] = k.Value
		// NixOS takes VLAN ids and metrics as numbers only.
		if n, err := strconv.Atoi(k.Value); err == nil {
			out[k.Key] = n
		}
	}
	return out
}

// hosts are names by address.
func (p *Profile) hosts() map[string][]string {
	out := map[string][]string{}
	p.eachName(func(_ *Network, address, name string) { out[address] = append(out[address], name) })
	return out
}

// nixK3s are the options of NixOS' module for K3s; what it has no option for are flags.
func (p *Profile) nixK3s(n *Node) map[string]any {
	flags := []string{}
	out := map[string]any{"enable": true, "role": string(n.Role)}
	for _, o := range p.Options(n) {
		switch {
		case o.Name == "server":
			out["serverAddr"] = o.Value
		case o.Name == "cluster-init":
			out["clusterInit"] = o.Value
		default:
			if many, ok := o.Value.([]string); ok {
				for _, v := range many {
					flags = append(flags, fmt.Sprintf("--%s=%s", o.Name, v))
				}
			} else {
				flags = append(flags, fmt.Sprintf("--%s=%v", o.Name, o.Value))
			}
		}
	}
	out["extraFlags"] = flags
	return out
}
