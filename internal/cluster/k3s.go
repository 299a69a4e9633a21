package cluster

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Port is where K3s' API server and supervisor listen.
const Port = 6443

// Option is a flag of K3s without its dashes, and its value: a string, a bool or a []string.
type Option struct {
	Name  string
	Value any
}

// Options are the flags of K3s on a node, as its configuration file takes them
// (https://docs.k3s.io/installation/configuration#configuration-file). The token is not among them.
func (p *Profile) Options(n *Node) []Option {
	network := p.Network(p.K3s.Network)
	ips := n.place(network.Name).Addresses
	first := p.First(Server)
	out := []Option{
		{"node-name", n.Name},
		{"node-ip", joined(ips)},
		{"flannel-iface", p.link(n, network)},
	}
	if n.Role == Server {
		out = append(out,
			Option{"advertise-address", ips[0].String()},
			Option{"tls-san", append([]string{first.place(network.Name).Addresses[0].String()}, p.K3s.TLSSANs...)})
		out = append(out, p.clusterOptions()...)
		if n == first {
			out = append(out, Option{"cluster-init", true})
		}
	}
	if n != first {
		out = append(out, Option{"server", "https://" + netip.AddrPortFrom(first.place(network.Name).Addresses[0], Port).String()})
	}
	if n.Labels != nil {
		out = append(out, Option{"node-label", n.Labels})
	}
	if n.Taints != nil {
		out = append(out, Option{"node-taint", n.Taints})
	}
	return out
}

// clusterOptions are the cluster's own networks, where the profile names them.
func (p *Profile) clusterOptions() []Option {
	var out []Option
	add := func(name, value string) {
		if value != "" {
			out = append(out, Option{name, value})
		}
	}
	add("cluster-cidr", joined(p.K3s.ClusterCIDR))
	add("service-cidr", joined(p.K3s.ServiceCIDR))
	add("cluster-dns", joined(p.K3s.ClusterDNS))
	return out
}

func joined[T fmt.Stringer](of []T) string { return strings.ReplaceAll(list(of), ", ", ",") }

// Config is a node's /etc/rancher/k3s/config.yaml behind the lines of head.
func (p *Profile) Config(n *Node, head string) string {
	var b strings.Builder
	b.WriteString(head)
	for _, o := range p.Options(n) {
		switch v := o.Value.(type) {
		case []string:
			fmt.Fprintf(&b, "%s:\n", o.Name)
			for _, item := range v {
				fmt.Fprintf(&b, "- %s\n", quote(item))
			}
		case bool:
			fmt.Fprintf(&b, "%s: %t\n", o.Name, v)
		case string:
			fmt.Fprintf(&b, "%s: %s\n", o.Name, quote(v))
		}
	}
	return b.String()
}

// quote writes a text so that every reader of YAML takes it as text.
func quote(s string) string {
	data, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error()) // texts always encode
	}
	return string(data)
}

// Hosts is /etc/hosts of the profile's machines behind the lines of head: their names by the addresses that the cluster uses.
func (p *Profile) Hosts(head string) string {
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n")
	var last *Network
	p.eachName(func(n *Network, address, name string) {
		if n != last {
			b.WriteByte('\n')
			last = n
		}
		fmt.Fprintf(&b, "%s %s\n", address, name)
	})
	return b.String()
}

// eachName gives each address of each node with its name.
func (p *Profile) eachName(f func(n *Network, address, name string)) {
	for _, net := range p.Networks {
		for _, n := range p.Nodes {
			if at := n.place(net.Name); at != nil {
				for _, a := range at.Addresses {
					f(net, a.String(), p.hostName(n, net))
				}
			}
		}
	}
}

// hostName is a node's name in a network: its own in the one that the cluster talks by, else with the network's behind it.
func (p *Profile) hostName(n *Node, net *Network) string {
	if net.Name == p.K3s.Network {
		return n.Name
	}
	return n.Name + "-" + net.Name
}

// Dnsmasq is the configuration of a DHCP server for the profile's networks behind the lines of head (dnsmasq(8)); "" when
// none of them has one.
func (p *Profile) Dnsmasq(head string) string {
	var b strings.Builder
	b.WriteString(head)
	found := false
	for _, n := range p.Networks {
		if n.DHCP == nil {
			continue
		}
		found = true
		d := n.DHCP
		tag := "set:" + n.Name
		fmt.Fprintf(&b, "\n# Network %s\n", n.Name)
		lease := d.Lease
		if lease == "" {
			lease = "1h" // dnsmasq's own
		}
		if d.First.IsValid() {
			fmt.Fprintf(&b, "dhcp-range=%s,%s,%s,%s,%s\n", tag, d.First, d.Last, mask(n.Subnets[0]), lease)
		} else {
			fmt.Fprintf(&b, "dhcp-range=%s,%s,static,%s,%s\n", tag, n.Subnets[0].Addr(), mask(n.Subnets[0]), lease)
		}
		option := func(code, what string) {
			if what == "" {
				fmt.Fprintf(&b, "dhcp-option=tag:%s,option:%s\n", n.Name, code)
			} else {
				fmt.Fprintf(&b, "dhcp-option=tag:%s,option:%s,%s\n", n.Name, code, what)
			}
		}
		option("router", joined(n.Gateways)) // empty: dnsmasq would send its own address else
		option("dns-server", joined(n.DNS))
		if n.Domains != nil {
			option("domain-search", strings.Join(n.Domains, ","))
		}
		if n.NTP != nil {
			option("ntp-server", strings.Join(n.NTP, ","))
		}
		if n.MTU > 0 {
			option("mtu", fmt.Sprint(n.MTU))
		}
		for _, node := range p.Nodes {
			if at := node.place(n.Name); at != nil {
				fmt.Fprintf(&b, "dhcp-host=%s,%s,%s\n", node.MACs[n.Interface], at.Addresses[0], node.Name)
			}
		}
	}
	if !found {
		return ""
	}
	return b.String()
}

// mask is an IPv4 prefix's length as dotted numbers.
func mask(p netip.Prefix) string {
	all := ^uint32(0) << (32 - p.Bits())
	return netip.AddrFrom4([4]byte{byte(all >> 24), byte(all >> 16), byte(all >> 8), byte(all)}).String()
}
