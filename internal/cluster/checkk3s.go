package cluster

import (
	"n3x/internal/diag"
	"net/netip"
	"slices"
	"strings"
)

// K3s' own networks, where a profile names none: by the family of the nodes' first address (https://docs.k3s.io/networking/basic-network-options).
var (
	defaultClusterCIDR  = []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}
	defaultServiceCIDR  = []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")}
	defaultClusterCIDR6 = []netip.Prefix{netip.MustParsePrefix("fd00:42::/56")}
	defaultServiceCIDR6 = []netip.Prefix{netip.MustParsePrefix("fd00:43::/112")}
)

func (p *Profile) clusterCIDR() []netip.Prefix {
	switch {
	case p.K3s.ClusterCIDR != nil:
		return p.K3s.ClusterCIDR
	case p.prefersIPv6():
		return defaultClusterCIDR6
	}
	return defaultClusterCIDR
}

func (p *Profile) serviceCIDR() []netip.Prefix {
	switch {
	case p.K3s.ServiceCIDR != nil:
		return p.K3s.ServiceCIDR
	case p.prefersIPv6():
		return defaultServiceCIDR6
	}
	return defaultServiceCIDR
}

// prefersIPv6 reports whether the first addresses by which nodes talk are IPv6.
func (p *Profile) prefersIPv6() bool {
	n := p.Network(p.K3s.Network)
	return n != nil && len(n.Subnets) > 0 && isIPv6(n.Subnets[0])
}

func (r *reader) checkK3s(p *Profile) {
	var names []string
	for _, n := range p.Networks {
		names = append(names, n.Name)
	}
	if n := p.Network(p.K3s.Network); n == nil {
		r.Add(diag.Unknown(r.at("k3s", "network"), "the profile", "network", p.K3s.Network, names))
	} else {
		r.checkFamilies(p, n, "cluster-cidr", p.K3s.ClusterCIDR)
		r.checkFamilies(p, n, "service-cidr", p.K3s.ServiceCIDR)
		r.checkFamilyOrder(p)
	}
	r.checkSizes(p)
	r.checkClusterDNS(p)
	for _, s := range p.K3s.TLSSANs {
		if !isHost(strings.TrimPrefix(s, "*.")) {
			r.Userf(r.item(s, "k3s", "tls-san"), "%q is neither a name nor an address for a certificate", s)
		}
	}
	if p.First(Server) == nil {
		r.Userf(r.at("nodes"), "the profile has no server").WithHint("one node needs role: server")
	}
}

// checkFamilies refuses networks of the cluster's own in a family in which nodes have no addresses: flannel does not start with them.
func (r *reader) checkFamilies(p *Profile, n *Network, key string, cidrs []netip.Prefix) {
	seen := map[bool]bool{}
	for _, c := range cidrs {
		pos := r.item(c.String(), "k3s", key)
		if seen[isIPv6(c)] {
			r.Userf(pos, "k3s.%s has two prefixes of one address family", key)
		}
		seen[isIPv6(c)] = true
		if !slices.ContainsFunc(n.Subnets, func(s netip.Prefix) bool { return isIPv6(s) == isIPv6(c) }) {
			r.Userf(pos, "nodes have no addresses of the family of %s in network %s (%s)", c, n.Name, list(n.Subnets))
		}
	}
	if cidrs != nil && len(cidrs) == 0 {
		r.Userf(r.at("k3s", key), "k3s.%s is empty", key)
	}
}

// checkFamilyOrder: the API server wants its first service network to be of the family of the address that it advertises, and
// the controllers pods and services of the same families.
func (r *reader) checkFamilyOrder(p *Profile) {
	cluster, service := p.clusterCIDR(), p.serviceCIDR()
	for _, c := range []struct {
		key   string
		cidrs []netip.Prefix
	}{{"cluster-cidr", cluster}, {"service-cidr", service}} {
		if len(c.cidrs) > 0 && isIPv6(c.cidrs[0]) != p.prefersIPv6() {
			r.Userf(r.at("k3s", c.key), "the first prefix of k3s.%s is %s, but the first addresses of nodes are of the other family", c.key, c.cidrs[0]).
				WithHint("use one order in k3s.%s and the subnet of network %s", c.key, p.K3s.Network)
		}
	}
	if len(cluster) != len(service) {
		short, long := "service-cidr", "cluster-cidr"
		if len(cluster) < len(service) {
			short, long = long, short
		}
		r.Userf(r.at("k3s", long), "k3s.%s has two address families, but k3s.%s has one", long, short).WithHint("set both to two prefixes")
	}
}

// checkSizes refuses what the API server (--service-cluster-ip-range) and the controllers (--node-cidr-mask-size of 24 and 64 bits) do.
func (r *reader) checkSizes(p *Profile) {
	for _, c := range p.clusterCIDR() {
		each := 24
		if isIPv6(c) {
			each = 64
		}
		pos := r.item(c.String(), "k3s", "cluster-cidr")
		switch room := each - c.Bits(); {
		case room < 0 || room < 16 && 1<<room < len(p.Nodes):
			r.Userf(pos, "%s of the pods has room for %d nodes, which get a /%d each, but there are %d", c, nodesIn(room), each, len(p.Nodes))
		case room > 16:
			r.Userf(pos, "%s of the pods is too large: at most a /%d", c, each-16)
		}
	}
	for _, c := range p.serviceCIDR() {
		most := 12
		if isIPv6(c) {
			most = 108
		}
		pos := r.item(c.String(), "k3s", "service-cidr")
		if c.Bits() < most {
			r.Userf(pos, "%s of the services is too large: at most a /%d", c, most)
		} else if c.Addr().BitLen()-c.Bits() < 4 {
			r.Userf(pos, "%s of the services is too small: the cluster's name server is the tenth address", c)
		}
	}
}

func nodesIn(bits int) int {
	if bits < 0 {
		return 0
	}
	return 1 << bits
}

func (r *reader) checkClusterDNS(p *Profile) {
	seen := map[bool]bool{}
	for _, a := range p.K3s.ClusterDNS {
		pos := r.item(a.String(), "k3s", "cluster-dns")
		i := slices.IndexFunc(p.serviceCIDR(), func(s netip.Prefix) bool { return s.Contains(a) })
		switch {
		case i < 0:
			r.Userf(pos, "the cluster's name server %s is not among its services (%s)", a, list(p.serviceCIDR()))
		case a == p.serviceCIDR()[i].Addr() || a == p.serviceCIDR()[i].Addr().Next():
			r.Userf(pos, "the cluster's name server %s has the address of its API server", a)
		case seen[a.Is6()]:
			r.Userf(pos, "k3s.cluster-dns has two addresses of one family")
		}
		seen[a.Is6()] = true
	}
}

// kubeletLabels are the labels of Kubernetes' own name spaces that a kubelet may give its node
// (https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/, --node-labels): it does not start with others.
var kubeletLabels = []string{
	"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type",
	"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
}

func kubeletTakes(key string) bool {
	space, _, ok := strings.Cut(key, "/")
	below := func(of string) bool { return space == of || strings.HasSuffix(space, "."+of) }
	if !ok || !below("kubernetes.io") && !below("k8s.io") {
		return true
	}
	return below("kubelet.kubernetes.io") || below("node.kubernetes.io") || slices.Contains(kubeletLabels, key)
}

func (r *reader) checkLabels(n *Node) {
	for _, l := range n.Labels {
		key, value, _ := strings.Cut(l, "=")
		pos := r.at("nodes", n.Name, "labels", key)
		switch {
		case !isQualified(key):
			r.Userf(pos, "%q is no key of a label that Kubernetes takes", key)
		case !labelValue.MatchString(value):
			r.Userf(pos, "%q is no value of a label that Kubernetes takes", value)
		case !kubeletTakes(key):
			r.Userf(pos, "a node may not give itself the label %s: Kubernetes keeps this name space to itself", key).WithHint("use a name space of your own, or set it with kubectl label")
		}
	}
}

func (r *reader) checkTaints(n *Node) {
	seen := map[string]bool{}
	for _, t := range n.Taints {
		pos := r.item(t, "nodes", n.Name, "taints")
		m := taintForm.FindStringSubmatch(t)
		if m == nil || !isQualified(m[1]) || !labelValue.MatchString(strings.TrimPrefix(m[2], "=")) {
			r.Userf(pos, "%q is no taint that Kubernetes takes", t).WithHint("write key=value:Effect; the effects are NoSchedule, PreferNoSchedule, NoExecute")
			continue
		}
		if seen[m[1]+":"+m[3]] {
			r.Userf(pos, "node %s has two taints %s with the effect %s", n.Name, m[1], m[3])
		}
		seen[m[1]+":"+m[3]] = true
	}
}

// isQualified reports whether key is one of a label or taint: a name, perhaps behind a domain and a slash.
func isQualified(key string) bool {
	space, name, ok := strings.Cut(key, "/")
	if !ok {
		space, name = "", key
	}
	return qualifiedName.MatchString(name) && (!ok || len(space) <= 253 && labelDomain.MatchString(space))
}

// checkHostNames refuses names that /etc/hosts would have for two machines.
func (r *reader) checkHostNames(p *Profile) {
	owner := map[string]string{"localhost": "the machine itself", "ip6-localhost": "the machine itself", "ip6-loopback": "the machine itself"}
	for _, n := range p.Nodes {
		pos := r.at("nodes", n.Name)
		if onlyDigits.MatchString(n.Name) {
			r.Userf(pos, "%s is no name of a node: programs would take it for an address", n.Name)
		}
		for _, net := range p.Networks {
			if n.place(net.Name) == nil {
				continue
			}
			name, what := p.hostName(n, net), "node "+n.Name+" in network "+net.Name
			if other := owner[name]; other != "" {
				r.Userf(pos, "the name %s of %s is that of %s", name, what, other)
			}
			owner[name] = what
		}
	}
}
