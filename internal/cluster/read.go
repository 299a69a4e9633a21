package cluster

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// Read reads and checks a profile. file is its name in messages, and names the profile. All errors are told, in the file's order.
func Read(file string, data []byte) (*Profile, error) {
	r := &reader{file: file}
	root, err := yaml.Parse(file, data, func(pos diag.Pos, message string) { r.Userf(pos, "%s", message) })
	if err != nil {
		return nil, err
	}
	r.root = root
	p := &Profile{File: file, Name: strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".yaml"), ".yml")}
	if !labelName.MatchString(p.Name) {
		return nil, diag.Userf(diag.Pos{File: file}, "%q is not the name of a profile", p.Name).WithHint("name the file with %s", labelForm)
	}
	r.value(root, profileRule, "the profile")
	if err := r.Err(); err != nil {
		return nil, err // what follows relies on the shapes
	}
	r.profile(p, root)
	if err := r.Err(); err != nil {
		return nil, err
	}
	r.check(p)
	if err := r.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// reader collects what is wrong with a file.
type reader struct {
	file string
	root *yaml.Node
	diag.List
}

// at is where the value below keys is written; of a mapping or list, where its key is. What is missing is where it should be.
func (r *reader) at(keys ...string) diag.Pos {
	n, pos := r.root, diag.Pos{File: r.file, Line: 1}
	for _, k := range keys {
		m := n.Map()
		if n = m.Lookup(k); n == nil {
			break
		}
		pos = m.KeyPos(k)
		if n.Map() == nil && n.List() == nil {
			pos = n.Pos
		}
	}
	return pos
}

// item is where a text stands in the list below keys.
func (r *reader) item(text string, keys ...string) diag.Pos {
	for _, n := range all(r.root.Lookup(keys...)) {
		if s, _ := textOf(n); s == text {
			return n.Pos
		}
	}
	return r.at(keys...)
}

// value checks a node's shape; where names it in messages.
func (r *reader) value(n *yaml.Node, rule *rule, where string) {
	switch rule.shape {
	case text:
		r.text(n, rule, where)
	case number:
		// YAML would take 0200 for 128, and 1:30 for 90.
		if v, ok := n.Value.(int64); !ok || v < int64(rule.min) || v > int64(rule.max) || strconv.FormatInt(v, 10) != n.Plain {
			r.Userf(n.Pos, "%s is %s, which is no number from %d to %d", where, show(n), rule.min, rule.max)
		}
	case truth:
		if _, ok := n.Value.(bool); !ok {
			r.Userf(n.Pos, "%s is %s, which is neither true nor false", where, show(n))
		}
	case several:
		if n.List() == nil {
			r.Userf(n.Pos, "%s is %s, but a list is expected", where, show(n)).WithHint("write [a, b], or one item on each line after a hyphen")
		}
		r.items(n, where)
	case texts:
		if n.List() == nil {
			r.text(n, rule, where)
		}
		r.items(n, where)
	case mapping:
		r.mapping(n, rule, where)
	case named:
		r.named(n, rule, where)
	case place:
		if n.Map() != nil {
			r.mapping(n, rule, where)
		} else if n.List() == nil {
			r.text(n, rule, where)
		}
		r.items(n, where)
	}
}

func (r *reader) items(n *yaml.Node, where string) {
	for _, item := range n.List() {
		r.text(item, &rule{}, "an item of "+where)
	}
}

func (r *reader) text(n *yaml.Node, rule *rule, where string) {
	s, ok := textOf(n)
	switch {
	case n.Value == nil:
		r.Userf(n.Pos, "%s has no value", where)
	case !ok:
		r.Userf(n.Pos, "%s is %s, but one value is expected", where, show(n))
	case rule.words != nil && !slices.Contains(rule.words, s):
		r.Userf(n.Pos, "%s is %q", where, s).WithHint("one of %s", strings.Join(rule.words, ", "))
	case rule.pattern != nil && !rule.pattern.MatchString(s):
		r.Userf(n.Pos, "%s is %q", where, s).WithHint("allowed: %s", rule.form)
	case strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }):
		r.Userf(n.Pos, "%s holds control characters", where)
	}
}

func (r *reader) mapping(n *yaml.Node, rule *rule, where string) {
	m := n.Map()
	if m == nil {
		r.Userf(n.Pos, "%s is %s, but a mapping is expected", where, show(n)).WithHint("its keys: %s", strings.Join(rule.order, ", "))
		return
	}
	for _, e := range m.Entries() {
		k := rule.keys[e.Key]
		if k == nil {
			r.Add(diag.Unknown(e.KeyPos, where, "key", e.Key, rule.order))
			continue
		}
		r.value(e.Node, k, inner(where, e.Key))
	}
	for _, key := range rule.required {
		if m.Lookup(key) == nil {
			r.Userf(n.Pos, "%s lacks %q", where, key).WithHint("%s: %s", key, rule.keys[key].doc)
		}
	}
}

func (r *reader) named(n *yaml.Node, rule *rule, where string) {
	m := n.Map()
	if m == nil {
		r.Userf(n.Pos, "%s is %s, but a mapping is expected: %s", where, show(n), rule.doc)
		return
	}
	for _, e := range m.Entries() {
		if rule.pattern != nil && !rule.pattern.MatchString(e.Key) {
			r.Userf(e.KeyPos, "%q in %s is no name", e.Key, where).WithHint("allowed: %s", rule.form)
		}
		r.value(e.Node, rule.value, inner(where, e.Key))
	}
}

func inner(where, key string) string {
	if where == "the profile" {
		return key
	}
	return where + "." + key
}

// textOf is a scalar as it is written: names and addresses are text, whatever else YAML would make of them.
func textOf(n *yaml.Node) (string, bool) {
	if s, ok := n.Text(); ok {
		return s, true
	}
	return n.Plain, n.Plain != ""
}

func show(n *yaml.Node) string {
	if n.Value == nil {
		return "empty"
	}
	if s, ok := textOf(n); ok {
		return fmt.Sprintf("%q", s)
	}
	return yaml.KindOf(n)
}

// all gives the texts of a node that holds one or a list.
func all(n *yaml.Node) []*yaml.Node {
	if n == nil {
		return nil
	}
	if l := n.List(); l != nil {
		return l
	}
	return []*yaml.Node{n}
}

func (r *reader) profile(p *Profile, root *yaml.Node) {
	p.Description = word(root.Lookup("description"))
	p.Negative = isTrue(root.Lookup("negative"))
	for _, e := range root.Lookup("networks").Map().Entries() {
		p.Networks = append(p.Networks, r.network(e))
	}
	for _, e := range root.Lookup("bonds").Map().Entries() {
		p.Bonds = append(p.Bonds, bond(e))
	}
	k := root.Lookup("k3s")
	p.K3s = K3s{
		Pos: k.Pos, Network: word(k.Lookup("network")), ClusterCIDR: r.prefixes(k.Lookup("cluster-cidr")), ServiceCIDR: r.prefixes(k.Lookup("service-cidr")),
		ClusterDNS: r.addresses(k.Lookup("cluster-dns")), TLSSANs: sentences(k.Lookup("tls-san")),
	}
	for _, e := range root.Lookup("nodes").Map().Entries() {
		n := r.node(e)
		for i := range n.Places {
			if net := p.Network(n.Places[i].Network); net != nil {
				net.sort(n.Places[i].Addresses)
			}
		}
		p.Nodes = append(p.Nodes, n)
	}
}

// sort puts addresses into the order of the network's prefixes: K3s prefers the first family everywhere.
func (n *Network) sort(addresses []netip.Addr) {
	slices.SortStableFunc(addresses, func(a, b netip.Addr) int {
		first := len(n.Subnets) == 0 || n.Subnets[0].Addr().Is4()
		switch {
		case a.Is4() == b.Is4():
			return 0
		case a.Is4() == first:
			return -1
		}
		return 1
	})
}

func (r *reader) network(e yaml.Entry) *Network {
	n := &Network{
		Pos: e.KeyPos, Name: e.Key, Interface: word(e.Node.Lookup("interface")), VLAN: count(e.Node.Lookup("vlan")), Device: word(e.Node.Lookup("device")),
		Subnets: r.prefixes(e.Node.Lookup("subnet")), Gateways: r.addresses(e.Node.Lookup("gateway")), DNS: r.addresses(e.Node.Lookup("dns")),
		Domains: sentences(e.Node.Lookup("domains")), NTP: sentences(e.Node.Lookup("ntp")), MTU: count(e.Node.Lookup("mtu")), Optional: isTrue(e.Node.Lookup("optional")),
	}
	for _, route := range e.Node.Lookup("routes").Map().Entries() {
		to := r.prefix(route.KeyPos, route.Key)
		n.Routes = append(n.Routes, Route{To: to, Via: r.address(route.Node)})
	}
	if d := e.Node.Lookup("dhcp"); d != nil {
		n.DHCP = &DHCP{Pos: d.Pos, Server: r.address(d.Lookup("server")), MAC: strings.ToLower(word(d.Lookup("mac"))), Lease: word(d.Lookup("lease"))}
		if limits := d.Lookup("range"); limits != nil {
			if l := limits.List(); len(l) != 2 {
				r.Userf(limits.Pos, "the DHCP range has %d addresses, but a first and a last one are expected", len(l))
			} else {
				n.DHCP.First, n.DHCP.Last = r.address(l[0]), r.address(l[1])
			}
		}
	}
	return n
}

func bond(e yaml.Entry) *Bond {
	b := &Bond{
		Pos: e.KeyPos, Name: e.Key, Members: sentences(e.Node.Lookup("members")), Mode: word(e.Node.Lookup("mode")), Primary: word(e.Node.Lookup("primary")),
		Reselect: word(e.Node.Lookup("reselect")), MIIMon: count(e.Node.Lookup("miimon")), UpDelay: count(e.Node.Lookup("updelay")), Down: count(e.Node.Lookup("downdelay")),
		LACPRate: word(e.Node.Lookup("lacp-rate")), Hash: word(e.Node.Lookup("transmit-hash")),
	}
	if b.Mode == "" {
		b.Mode = "active-backup" // the one mode that needs nothing of the switch
	}
	if b.MIIMon == 0 {
		b.MIIMon = 100 // the kernel's own is never to look whether a link works
	}
	return b
}

func (r *reader) node(e yaml.Entry) *Node {
	n := &Node{Pos: e.KeyPos, Name: e.Key, Role: Role(word(e.Node.Lookup("role"))), MACs: map[string]string{}, Interfaces: map[string]string{}, Taints: sentences(e.Node.Lookup("taints"))}
	for _, at := range e.Node.Lookup("networks").Map().Entries() {
		place := Place{Pos: at.KeyPos, Network: at.Key}
		address := at.Node
		if at.Node.Map() != nil {
			address, place.VLAN = at.Node.Lookup("address"), count(at.Node.Lookup("vlan"))
		}
		place.Addresses = r.addresses(address)
		n.Places = append(n.Places, place)
	}
	for _, m := range e.Node.Lookup("mac").Map().Entries() {
		n.MACs[m.Key] = strings.ToLower(word(m.Node))
	}
	for _, i := range e.Node.Lookup("interfaces").Map().Entries() {
		n.Interfaces[i.Key] = word(i.Node)
	}
	for _, l := range e.Node.Lookup("labels").Map().Entries() {
		n.Labels = append(n.Labels, l.Key+"="+word(l.Node))
	}
	return n
}

func (r *reader) address(n *yaml.Node) netip.Addr {
	s, _ := textOf(n)
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		r.Userf(n.Pos, "%q is no IP address", s)
	}
	return a
}

func (r *reader) addresses(n *yaml.Node) []netip.Addr {
	var out []netip.Addr
	for _, one := range all(n) {
		out = append(out, r.address(one))
	}
	return out
}

func (r *reader) prefixes(n *yaml.Node) []netip.Prefix {
	var out []netip.Prefix
	for _, one := range all(n) {
		s, _ := textOf(one)
		out = append(out, r.prefix(one.Pos, s))
	}
	return out
}

func (r *reader) prefix(pos diag.Pos, s string) netip.Prefix {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		r.Userf(pos, "%q is no prefix", s).WithHint("write address/length, e.g. 192.168.1.0/24")
	case p != p.Masked():
		r.Userf(pos, "%s has address bits set behind its length", s).WithHint("write %s", p.Masked())
	}
	return p
}

func word(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	s, _ := textOf(n)
	return s
}

func sentences(n *yaml.Node) []string {
	var out []string
	for _, one := range all(n) {
		out = append(out, word(one))
	}
	return out
}

func count(n *yaml.Node) int {
	if n == nil {
		return 0
	}
	v, _ := n.Value.(int64)
	return int(v)
}

func isTrue(n *yaml.Node) bool {
	if n == nil {
		return false
	}
	v, _ := n.Value.(bool)
	return v
}
