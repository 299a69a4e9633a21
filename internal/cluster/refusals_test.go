package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// base is a good profile with two bonds, VLANs, an untagged network and both address families.
const base = `networks:
  cluster: {interface: bond0, vlan: 200, subnet: [10.0.0.0/24, fd00::/64], gateway: [10.0.0.254, "fe80::1"]}
  lan: {interface: eth5, subnet: 10.1.0.0/23, mtu: 9000}
  san: {interface: eth5, vlan: 7, subnet: 10.2.0.0/26, mtu: 9000}
  mgmt: {interface: bond1, subnet: 10.3.0.0/31}
bonds:
  bond0: {members: [eth1, eth2], mode: balance-alb, primary: eth1}
  bond1: {members: [eth3, eth4]}
k3s: {network: cluster, cluster-cidr: [10.42.0.0/16, fd42::/56], service-cidr: [10.43.0.0/16, fd43::/112], tls-san: [api.example.org]}
nodes:
  one:
    role: server
    networks: {cluster: ["fd00::11", 10.0.0.1], lan: 10.1.0.1, san: 10.2.0.1, mgmt: 10.3.0.0}
    mac: {bond0: 52:54:00:00:00:01, eth1: 52:54:00:00:00:01}
  two:
    role: agent
    networks: {cluster: [10.0.0.2, "fd00::12"], mgmt: 10.3.0.1}
    labels: {zone: a}
    taints: ["a=b:NoSchedule"]
`

func TestRefusalsOfOdd(t *testing.T) {
	t.Parallel()
	p, err := Read("base.yaml", []byte(base))
	if err != nil {
		t.Fatal(err)
	}
	if a := p.Nodes[0].Places[0].Addresses; a[0].String() != "10.0.0.1" {
		t.Errorf("addresses are not in the order of prefixes: %v", a)
	}
	for _, c := range []struct {
		line     int
		old, new string
		want     string
	}{
		{2, "vlan: 200", "vlan: 0", `networks.cluster.vlan is "0", which is no number from 1 to 4094`},
		{2, "vlan: 200", "vlan: 4096", `no number from 1 to 4094`},
		{2, "vlan: 200", "vlan: 0200", `networks.cluster.vlan is "0200", which is no number`},
		{2, "vlan: 200", "vlan: 3:20", `networks.cluster.vlan is "3:20", which is no number`},
		{2, "vlan: 200", "vlan: [200]", `networks.cluster.vlan is a list`},
		{2, "vlan: 200", "vlna: 200", `networks.cluster has no key "vlna"`},
		{2, "interface: bond0", "interface: lo", `network cluster is on lo, which is the loopback interface`},
		{2, "10.0.0.254, ", "10.0.0.254, 10.0.0.253, ", `network cluster has two gateways of one address family`},
		{2, "10.0.0.254", "10.0.0.255", `the gateway 10.0.0.255 is not in network cluster`},
		{2, "10.0.0.0/24, fd00::/64", "10.0.0.0/24, 10.9.0.0/24", `two prefixes of one address family`},
		{2, "subnet: [10.0.0.0/24, fd00::/64]", "subnet: []", `network cluster has no prefix`},
		{9, "subnet: [10.0.0.0/24, fd00::/64]", "subnet: [fd00::/64, 10.0.0.0/24]", `the first prefix of k3s.cluster-cidr is 10.42.0.0/16`},
		{3, "10.1.0.0/23", "10.1.1.0/23", `10.1.1.0/23 has address bits set behind its length`},
		{3, "10.1.0.0/23", "127.1.0.0/23", `127.1.0.0/23 of network lan is no network of machines: 127.0.0.0/8 is loopback`},
		{3, "10.1.0.0/23", "239.1.0.0/23", `is no network of machines`},
		{4, "10.1.0.0/23", "10.2.0.0/26", `10.2.0.0/26 of network san overlaps 10.2.0.0/26 of network lan`},
		{3, "10.1.0.0/23", "10.43.7.0/24", `10.43.7.0/24 of network lan overlaps 10.43.0.0/16 of the services (k3s.service-cidr)`},
		{3, "mtu: 9000", "mtu: 1500", `the MTU 1500 of network lan is smaller than the 9000 of the VLAN of network san`},
		{3, ", mtu: 9000", "", `the MTU 1500 of network lan is smaller than the 9000 of the VLAN of network san`},
		{3, "mtu: 9000", "mtu: big", `networks.lan.mtu is "big"`},
		{3, "mtu: 9000", "mtu: 9000, domains: [a b]", `"a b" is no domain`},
		{3, "mtu: 9000", "mtu: 9000, ntp: 1.2.3.400", `"1.2.3.400" is neither an address nor a name of a time server`},
		{3, "mtu: 9000", "mtu: 9000, routes: {0.0.0.0/0: 10.1.0.9}", `the route to 0.0.0.0/0 is the default route`},
		{3, "mtu: 9000", "mtu: 9000, routes: {fd09::/64: 10.1.0.9}", `which is of the other address family`},
		{3, "mtu: 9000", "mtu: 9000, routes: {10.77.0.0/24: 10.2.0.9}", `which is not in network lan`},
		{3, "mtu: 9000", "mtu: 9000, gateway: 10.1.0.9", `networks cluster and lan both have a gateway`},
		{3, "mtu: 9000", "mtu: 9000, dhcp: {server: 10.1.0.9}, dns: fd00::1", `DHCP cannot tell nodes of the name server fd00::1`},
		{3, "mtu: 9000", "mtu: 9000, dhcp: {server: 10.1.0.9}, ntp: a.b", `DHCP cannot tell nodes of the time server a.b`},
		{3, "mtu: 9000", "mtu: 9000, dhcp: {server: 10.1.0.9}, domains: ~a.b", `DHCP cannot tell nodes of ~a.b`},
		{3, "mtu: 9000", "mtu: 9000, dhcp: {server: 10.1.0.9, range: [10.1.0.5, 10.2.0.7]}", `10.2.0.7 is not in network lan`},
		{3, "mtu: 9000", "mtu: 9000, dhcp: {server: 10.1.0.9, mac: 03:00:00:00:00:01}", `03:00:00:00:00:01 is no hardware address of a network card`},
		{3, "mtu: 9000", "mtu: 9000, dhcp: {server: 10.1.0.9, lease: soon}", `networks.lan.dhcp.lease is "soon"`},
		{4, "vlan: 7", "vlan: 7, device: eth2", `network san has the device eth2, which is a card or bond of node one`},
		{4, "vlan: 7", "vlan: 7, device: flannel.1", `network san is on flannel.1, which is K3s' tunnel`},
		{5, "subnet: 10.3.0.0/31", "subnet: 10.3.0.0/32", `10.3.0.0/32 of network mgmt leaves no room for nodes`},
		{5, "interface: bond1", "interface: eth3", `network mgmt is on eth3, which is a member of bond bond1`},
		{8, "[eth1, eth2]", "[eth1, eth3]", `eth3 is a member of bond0 and of bond1`},
		{7, "[eth1, eth2]", "[eth1, eth1]", `eth1 is a member of bond0 twice`},
		{7, "[eth1, eth2]", "[eth1, bond1]", `bond1 is a bond, so it cannot be a member of bond0`},
		{7, "[eth1, eth2]", "eth1", `bonds.bond0.members is "eth1", but a list is expected`},
		{7, "balance-alb", "lacp", `bonds.bond0.mode is "lacp"`},
		{7, "balance-alb", "802.3ad", `bond bond0 has a primary, which mode 802.3ad does not know`},
		{7, "primary: eth1", "lacp-rate: fast", `bond bond0 has lacp-rate, which mode balance-alb does not know`},
		{7, "primary: eth1", "updelay: 250", `updelay 250 of bond bond0 is no multiple of miimon (100)`},
		{8, "bond1:", "bond9:", `no network uses bond bond9`},
		{2, "10.42.0.0/16, fd42::/56", "10.0.0.0/16, fd42::/56", `of network cluster overlaps 10.0.0.0/16 of the pods`},
		{9, "cluster-cidr: [10.42.0.0/16, fd42::/56], ", "", `k3s.service-cidr has two address families, but k3s.cluster-cidr has one`},
		{9, "10.42.0.0/16", "10.42.0.0/24", `10.42.0.0/24 of the pods has room for 1 nodes, which get a /24 each, but there are 2`},
		{9, "fd42::/56", "fd42::/40", `fd42::/40 of the pods is too large: at most a /48`},
		{9, "10.43.0.0/16", "11.0.0.0/8", `11.0.0.0/8 of the services is too large: at most a /12`},
		{9, "fd43::/112", "fd43::/64", `fd43::/64 of the services is too large: at most a /108`},
		{9, "fd43::/112", "fd43::/127", `fd43::/127 of the services is too small`},
		{9, "tls-san: [api.example.org]", "tls-san: ['https://x']", `"https://x" is neither a name nor an address`},
		{9, "tls-san: [api.example.org]", "cluster-dns: 10.43.0.1", `the cluster's name server 10.43.0.1 has the address of its API server`},
		{9, "tls-san: [api.example.org]", "cluster-dns: 10.44.0.10", `the cluster's name server 10.44.0.10 is not among its services`},
		{9, "network: cluster", "network: mgmt", `nodes have no addresses of the family of fd42::/56 in network mgmt`},
		{11, "one:", "1.2:", `key 1.2 is read as a number`},
		{11, "one:", "'007':", `007 is no name of a node`},
		{11, "one:", "localhost:", `the name localhost of node localhost in network cluster is that of the machine itself`},
		{11, "one:", "a/b:", `"a/b" in nodes is no name`},
		{11, "one:", "..:", `".." in nodes is no name`},
		{11, "one:", "x" + strings.Repeat("y", 63) + ":", `in nodes is no name`},
		{13, "mgmt: 10.3.0.0", "mgnt: 10.3.0.0", `the profile has no network "mgnt"`},
		{13, "mgmt: 10.3.0.0", "mgmt: {address: 10.3.0.0, vlan: 5}", `node one has a VLAN id in network mgmt, which is untagged`},
		{13, "mgmt: 10.3.0.0", "mgmt: {vlan: 5}", `nodes.one.networks.mgmt lacks "address"`},
		{13, "10.2.0.1", "10.2.0.63", `the address 10.2.0.63 of node one is not in network san`},
		{13, "10.2.0.1", "10.2.0.0", `the address 10.2.0.0 of node one is not in network san`},
		{13, "10.2.0.1", "10.2.0.1/26", `"10.2.0.1/26" is no IP address`},
		{13, "10.2.0.1", "10.2.0.01", `"10.2.0.01" is no IP address`},
		{13, `["fd00::11", 10.0.0.1]`, `["fe80::1", 10.0.0.1]`, `the address fe80::1 of node one is not in network cluster`},
		{13, `["fd00::11", 10.0.0.1]`, `10.0.0.1`, `node one has 1 addresses in network cluster, which has 2 prefixes`},
		{13, `["fd00::11", 10.0.0.1]`, `[10.0.0.3, 10.0.0.1]`, `node one has two addresses of one family in network cluster`},
		{14, "bond0: 52:54:00:00:00:01", "bond0: ff:ff:ff:ff:ff:ff", `is no hardware address of a network card`},
		{14, "eth1: 52:54:00:00:00:01", "eth1: 52:54:00:00:00", `is "52:54:00:00:00"`},
		{14, "bond0: 52:54:00:00:00:01", "eth5: 52:54:00:00:00:01", `the hardware address 52:54:00:00:00:01 of node one is that of node one`},
		{17, "cluster: [10.0.0.2", "cluster: [10.0.0.1", `the address 10.0.0.1 of node two is that of node one`},
		{18, "cluster: [10.0.0.2, \"fd00::12\"], mgmt: 10.3.0.1}", "mgmt: 10.3.0.1}\n    networks: {}", `key "networks" was already set`},
		{18, "zone: a", "zone:", `nodes.two.labels.zone has no value`},
		{18, "zone: a", "zone: a b", `"a b" is no value of a label`},
		{18, "zone: a", "a..b/zone: a", `"a..b/zone" is no key of a label`},
		{18, "zone: a", "node-role.kubernetes.io/worker: ''", `a node may not give itself the label node-role.kubernetes.io/worker`},
		{19, "a=b:NoSchedule", "a=b:Never", `"a=b:Never" is no taint`},
		{19, "a=b:NoSchedule", "/a=b:NoSchedule", `is no taint`},
		{19, `"a=b:NoSchedule"`, `"a=b:NoSchedule", "a=c:NoSchedule"`, `node two has two taints a with the effect NoSchedule`},
	} {
		if !strings.Contains(base, c.old) {
			t.Fatalf("base does not have %q", c.old)
		}
		// The line says which of several is meant; some mistakes are told elsewhere than they are made.
		lines := strings.Split(base, "\n")
		text := strings.Replace(base, c.old, c.new, 1)
		if line := lines[c.line-1]; strings.Contains(line, c.old) {
			lines[c.line-1] = strings.Replace(line, c.old, c.new, 1)
			text = strings.Join(lines, "\n")
		}
		p, err := Read("base.yaml", []byte(text))
		if err == nil || p != nil {
			t.Errorf("%q instead of %q is taken", c.new, c.old)
			continue
		}
		found := false
		for _, line := range strings.Split(err.Error(), "\n") {
			found = found || strings.HasPrefix(line, fmt.Sprintf("base.yaml:%d:", c.line)) && strings.Contains(line, c.want)
		}
		if !found {
			t.Errorf("%q instead of %q in line %d:\ngot  %v\nwant %s", c.new, c.old, c.line, err, c.want)
		}
	}
}

// Files that are no profiles are refused by their names, and do not keep anybody waiting.
func TestReadDirRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(file string) error
		want string
	}{
		"pipe.yaml":     {func(f string) error { return unix.Mkfifo(f, 0o644) }, "pipe.yaml: read the profile: it is no regular file"},
		"dangling.yaml": {func(f string) error { return os.Symlink("nowhere", f) }, "dangling.yaml: read the profile: no such file or directory"},
		"loop.yaml":     {func(f string) error { return os.Symlink("loop.yaml", f) }, "loop.yaml: read the profile: "},
		"endless.yaml":  {func(f string) error { return os.Symlink("/dev/zero", f) }, "endless.yaml: read the profile: it is no regular file"},
		"folder.yaml":   {func(f string) error { return os.Mkdir(f, 0o755) }, "folder.yaml: read the profile: it is no regular file"},
		"Upper.yaml":    {func(f string) error { return os.WriteFile(f, []byte(base), 0o644) }, `Upper.yaml: "Upper" is not the name of a profile`},
		"empty.yaml":    {func(f string) error { return os.WriteFile(f, nil, 0o644) }, "empty.yaml:1: the profile is empty"},
		"list.yaml":     {func(f string) error { return os.WriteFile(f, []byte("- a\n"), 0o644) }, "list.yaml:1:1: the profile is a list"},
		"binary.yaml":   {func(f string) error { return os.WriteFile(f, []byte("a: \xff\n"), 0o644) }, "binary.yaml:1: byte 0xff is not UTF-8 text"},
		"huge.yaml": {func(f string) error { return errorOf(os.WriteFile(f, nil, 0o644), os.Truncate(f, 1<<40)) },
			"huge.yaml: file of 16777217 bytes is too large"},
		"bomb.yaml": {func(f string) error {
			return os.WriteFile(f, []byte("a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n"+
				"e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]\n"), 0o644)
		}, "bomb.yaml:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := errorOf(c.make(filepath.Join(dir, name)), os.WriteFile(filepath.Join(dir, "good.yaml"), []byte(base), 0o644)); err != nil {
				t.Fatal(err)
			}
			_, err := ReadDir(dir, filepath.Base)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
