package vmtest

import (
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"n3x/internal/cluster"
	"n3x/internal/diag"
	"n3x/internal/vm/netserve"
	"n3x/internal/vm/vswitch"
)

// serve starts the servers of a suite on the switch that its machines share.
func (s *Suite) serve(l *Lab, p *cluster.Profile, nodes map[string]string) error {
	all, err := s.services(p)
	if err != nil {
		return err
	}
	for _, def := range all {
		if err := def.settle(l, s, p, nodes); err != nil {
			return err
		}
		n := p.Network(def.Network)
		vlan := n.VLAN
		if vlan == 0 {
			vlan = privateVLANs(p)[n.Name]
		}
		if err := l.Serve(def, profileSwitch, vswitch.PortConfig{Access: vlan}); err != nil {
			return err
		}
	}
	return nil
}

// services are the suite's own servers and those that follow from the profile: a network whose nodes have their addresses by DHCP has its
// server, called dhcp-NETWORK. A service of that name in the suite takes its place, or, when it says nothing about a network, changes how it begins.
func (s *Suite) services(p *cluster.Profile) ([]*Service, error) {
	var out []*Service
	var errs []error
	replaced := map[string]*Service{}
	for _, def := range s.Services {
		copied := *def
		replaced[def.Name] = &copied
	}
	if p != nil {
		for _, n := range p.Networks {
			if n.DHCP == nil {
				continue
			}
			def := profileService(p, n)
			if own := replaced[def.Name]; own != nil && own.Network == "" {
				def.Off = own.Off
				delete(replaced, def.Name)
			} else if own != nil {
				continue
			}
			out = append(out, def)
		}
	}
	for _, def := range s.Services {
		own := replaced[def.Name]
		switch {
		case own == nil:
			continue
		case p == nil:
			errs = append(errs, diag.Userf(own.Pos, "service %s has no network: the suite has no profile", own.Name))
			continue
		case own.Network == "":
			errs = append(errs, diag.Userf(own.Pos, "service %s lacks its network; profile %s has: %s", own.Name, p.Name, strings.Join(networkNames(p), ", ")))
			continue
		}
		n := p.Network(own.Network)
		if n == nil {
			errs = append(errs, diag.Userf(own.pos("network"), "profile %s has no network %q; it has: %s", p.Name, own.Network, strings.Join(networkNames(p), ", ")))
			continue
		}
		if !slices.Contains(n.Subnets, own.Config.Address.Masked()) {
			errs = append(errs, diag.Userf(own.pos("address"), "%s is in none of the subnets of network %s", own.Config.Address, n.Name))
		}
		for _, node := range p.Nodes {
			if node.Address(n.Name) == own.Config.Address.Addr().String() {
				errs = append(errs, diag.Userf(own.pos("address"), "%s is the address of %s", own.Config.Address.Addr(), node.Name))
			}
		}
		out = append(out, own)
	}
	return out, errors.Join(errs...)
}

func networkNames(p *cluster.Profile) []string {
	var out []string
	for _, n := range p.Networks {
		out = append(out, n.Name)
	}
	return out
}

// profileService is the server of a network whose nodes have reservations, with what dnsmasq would be told (cluster.Profile.Dnsmasq).
func profileService(p *cluster.Profile, n *cluster.Network) *Service {
	d := n.DHCP
	s := &Service{Pos: d.Pos, Name: "dhcp-" + n.Name, Network: n.Name, Config: netserve.Config{
		Name: "dhcp-" + n.Name, MAC: d.MAC, Address: netip.PrefixFrom(d.Server, n.Subnets[0].Bits()),
		DHCP: &netserve.DHCP{First: d.First, Last: d.Last, Lease: leaseTime(d.Lease), Resolvers: fours(n.DNS), Search: n.Domains, MTU: n.MTU},
	}}
	if s.Config.MAC == "" {
		s.Config.MAC = macOf(s.Name, 0)
	}
	if gateways := fours(n.Gateways); len(gateways) > 0 {
		s.Config.DHCP.Router = gateways[0]
	}
	for _, text := range n.NTP { // dnsmasq takes addresses and names; DHCP's option has addresses
		if a, err := netip.ParseAddr(text); err == nil && a.Is4() {
			s.Config.DHCP.NTP = append(s.Config.DHCP.NTP, a)
		}
	}
	for _, node := range p.Nodes {
		if a, err := netip.ParseAddr(node.Address(n.Name)); err == nil && node.MACs[n.Interface] != "" {
			s.Config.DHCP.Reservations = append(s.Config.DHCP.Reservations, netserve.Reservation{MAC: node.MACs[n.Interface], Address: a, Name: node.Name})
		}
	}
	return s
}

func fours(list []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return !a.Is4() })
}

// leaseTime reads a lease's time as dnsmasq writes it: seconds, or a number with m, h, d or w, or infinite; 0 is dnsmasq's own.
func leaseTime(text string) time.Duration {
	if text == "infinite" {
		return (1<<32 - 1) * time.Second
	}
	unit := time.Second
	for suffix, u := range map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = number, u
		}
	}
	n, _ := strconv.Atoi(strings.TrimSuffix(text, "s")) // the profile has been checked
	return time.Duration(n) * unit
}

var hardware = regexp.MustCompile(`^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$`)

// settle gives a service what only the lab knows: hardware addresses of machines, their names, a name server of the host.
func (d *Service) settle(l *Lab, s *Suite, p *cluster.Profile, nodes map[string]string) error {
	if d.node == nil {
		return nil
	}
	if d.Config.DHCP != nil {
		dhcp := *d.Config.DHCP
		dhcp.Reservations = slices.Clone(dhcp.Reservations)
		for i, r := range dhcp.Reservations {
			mac, err := l.macIn(p, d.Network, r.MAC)
			if err != nil {
				return diag.Userf(d.pos("dhcp", "reservations", r.MAC), "%w", err)
			}
			dhcp.Reservations[i].MAC, dhcp.Reservations[i].Name = mac, nodes[r.MAC]
		}
		d.Config.DHCP = &dhcp
	}
	if d.Config.DNS != nil {
		dns := *d.Config.DNS
		dns.Names = map[string]netip.Addr{}
		for _, m := range s.Machines {
			if node, err := p.Node(nodes[m.Name]); err == nil {
				if a, err := netip.ParseAddr(node.Address(p.K3s.Network)); err == nil {
					dns.Names[node.Name] = a
				}
			}
		}
		for name, a := range d.Config.DNS.Names {
			dns.Names[name] = a
		}
		d.Config.DNS = &dns
	}
	for _, err := range d.Config.Check() {
		return d.problem(err, nil)
	}
	return nil
}

// macIn is the hardware address of a machine's card in a network, or of the text itself.
func (l *Lab) macIn(p *cluster.Profile, network, who string) (string, error) {
	if hardware.MatchString(who) {
		return strings.ToLower(who), nil
	}
	m, err := l.Machine(who)
	if err != nil {
		return "", err
	}
	n := p.Network(network)
	for _, c := range m.spec.Cards {
		carries := slices.Contains(c.Port.Trunk, n.VLAN)
		if n.VLAN == 0 {
			id := privateVLANs(p)[network]
			carries = c.Port.Access == id || c.Port.Native == id
		}
		if !carries {
			continue
		}
		if c.MAC != "" {
			return c.MAC, nil
		}
		i, err := position(c.Name)
		return macOf(who, i), err
	}
	return "", diag.Userf(diag.Pos{}, "machine %s is not in network %s", who, network)
}

// pos is where a service says something, or where it begins.
func (d *Service) pos(keys ...string) diag.Pos {
	if d.node == nil {
		return d.Pos
	}
	n, at := d.node, d.Pos
	for _, k := range keys {
		if n = n.Lookup(k); n == nil {
			break
		}
		at = n.Pos
	}
	return at
}

// problem tells what [netserve.Config.Check] does not like at its place, with the names of machines that stand has for hardware addresses.
func (d *Service) problem(err error, stand map[string]string) error {
	p := new(netserve.Problem)
	if !errors.As(err, &p) {
		return diag.Userf(d.Pos, "%w", err)
	}
	keys, text := slices.Clone(p.Key), p.Text
	for mac, name := range stand {
		text = strings.ReplaceAll(text, mac, name)
		for i := range keys {
			if keys[i] == mac {
				keys[i] = name
			}
		}
	}
	return diag.Userf(d.pos(keys...), "%s", text)
}
