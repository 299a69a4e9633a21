package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const profilesDir = "../../profiles"

// load reads one of the repository's profiles.
func load(t *testing.T, name string) *Profile {
	t.Helper()
	file := filepath.Join(profilesDir, name+".yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Read(file, data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func node(t *testing.T, p *Profile, name string) *Node {
	t.Helper()
	n, err := p.Node(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// short writes units as "NAME: [Section] Key=Value, ...; ...".
func short(units []Unit) []string {
	var out []string
	for _, u := range units {
		var sections []string
		for _, s := range u.Sections {
			var keys []string
			for _, k := range s.Keys {
				keys = append(keys, k.Key+"="+k.Value)
			}
			sections = append(sections, "["+s.Name+"] "+strings.Join(keys, ", "))
		}
		out = append(out, u.Name+": "+strings.Join(sections, "; "))
	}
	return out
}

var nodeNames = []string{"server-1", "server-2", "agent-1", "agent-2"}

const static = "DHCP=no, IPv6AcceptRA=no, LinkLocalAddressing=no"

// vlanUnits are those of both VLANs on a trunk.
func vlanUnits(trunk string, cluster, storage, host int) []string {
	var out []string
	for _, v := range []struct {
		name    string
		id, net int
	}{{"cluster", cluster, 200}, {"storage", storage, 100}} {
		out = append(out,
			fmt.Sprintf("20-vlan-%s.netdev: [NetDev] Kind=vlan, Name=%s.%d; [VLAN] Id=%d", v.name, trunk, v.id, v.id),
			fmt.Sprintf("20-vlan-%s.network: [Match] Name=%s.%d; [Network] %s, Address=192.168.%d.%d/24", v.name, trunk, v.id, static, v.net, host))
	}
	return out
}

// The tables of the platform that n3x replaces: keys and values, in order; bonding as the profile says it.
func TestUnits(t *testing.T) {
	t.Parallel()
	files := 0
	for i, name := range nodeNames {
		host := i + 1
		want := map[string][]string{
			"simple":      {fmt.Sprintf("20-eth1.network: [Match] Name=eth1; [Network] %s, Address=192.168.1.%d/24", static, host)},
			"dhcp-simple": {"20-eth1.network: [Match] Name=eth1; [Network] DHCP=yes, IPv6AcceptRA=no, LinkLocalAddressing=no"},
			"vlans": append([]string{"15-eth1.network: [Match] Name=eth1; [Network] " + static + ", VLAN=eth1.200, VLAN=eth1.100"},
				vlanUnits("eth1", 200, 100, host)...),
			"bonding-vlans": append([]string{
				"10-bond0.netdev: [NetDev] Kind=bond, Name=bond0; [Bond] DownDelaySec=200ms, MIIMonitorSec=100ms, Mode=active-backup, PrimaryReselectPolicy=always, UpDelaySec=200ms",
				"10-eth1.network: [Match] Name=eth1; [Network] Bond=bond0, PrimarySlave=yes; [Link] RequiredForOnline=no",
				"10-eth2.network: [Match] Name=eth2; [Network] Bond=bond0; [Link] RequiredForOnline=no",
				"15-bond0.network: [Match] Name=bond0; [Network] " + static + ", VLAN=bond0.200, VLAN=bond0.100"},
				vlanUnits("bond0", 200, 100, host)...),
			"vlans-broken": append([]string{fmt.Sprintf("15-eth1.network: [Match] Name=eth1; [Network] %s, VLAN=eth1.%d, VLAN=eth1.%d", static, 200+i, 100+i)},
				vlanUnits("eth1", 200+i, 100+i, host)...),
		}
		for profile, units := range want {
			p := load(t, profile)
			got := short(p.Units(node(t, p, name)))
			if d := cmp.Diff(units, got); d != "" {
				t.Errorf("%s of %s (-want +got):\n%s", profile, name, d)
			}
			if !p.Negative {
				files += len(got)
			}
		}
	}
	if files != 60 {
		t.Errorf("%d files, want 60", files)
	}
}

// LACP brings its own keys, and takes active-backup's away.
func TestLACP(t *testing.T) {
	t.Parallel()
	text := readProfile(t, "bonding-vlans")
	text = strings.NewReplacer("mode: active-backup", "mode: 802.3ad\n    lacp-rate: fast\n    transmit-hash: layer3+4", "    primary: eth1\n", "", "    reselect: always\n", "").Replace(text)
	p, err := Read("lacp.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := short(p.Units(p.Nodes[0]))
	want := "10-bond0.netdev: [NetDev] Kind=bond, Name=bond0; [Bond] DownDelaySec=200ms, LACPTransmitRate=fast, MIIMonitorSec=100ms, Mode=802.3ad, TransmitHashPolicy=layer3+4, UpDelaySec=200ms"
	if got[0] != want || strings.Contains(strings.Join(got, "\n"), "Primary") {
		t.Errorf("got %q", got)
	}
}

func readProfile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(profilesDir, name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// K3s' flags for every profile, role and node: the platform's table, and what makes the nodes one cluster.
func TestOptions(t *testing.T) {
	t.Parallel()
	links := map[string]string{"simple": "eth1", "dhcp-simple": "eth1", "vlans": "eth1.200", "bonding-vlans": "bond0.200"}
	for profile, link := range links {
		p := load(t, profile)
		base := "192.168.200."
		if link == "eth1" {
			base = "192.168.1."
		}
		for i, name := range nodeNames {
			ip := fmt.Sprint(base, i+1)
			want := []Option{{"node-name", name}, {"node-ip", ip}, {"flannel-iface", link}}
			if i < 2 {
				want = append(want, Option{"advertise-address", ip}, Option{"tls-san", []string{base + "1"}})
			}
			if i == 0 {
				want = append(want, Option{"cluster-init", true})
			} else {
				want = append(want, Option{"server", "https://" + base + "1:6443"})
			}
			if d := cmp.Diff(want, p.Options(node(t, p, name))); d != "" {
				t.Errorf("%s of %s (-want +got):\n%s", profile, name, d)
			}
		}
	}
}

// A profile with everything: what each part becomes.
const odd = `
networks:
  lan:
    interface: eth0
    subnet: [10.1.0.0/22, fd00:1::/64]
    gateway: [10.1.0.1, fd00:1::1]
    dns: 10.1.0.2
    domains: [example.org, lab.example.org]
    ntp: ntp.example.org
    mtu: 9000
    routes: {172.16.0.0/12: 10.1.0.9}
  san:
    interface: eth0
    vlan: 7
    device: san
    subnet: 10.9.0.0/24
    mtu: 9000
    optional: yes
k3s:
  network: lan
  cluster-cidr: [10.52.0.0/16, fd00:52::/56]
  service-cidr: [10.53.0.0/16, fd00:53::/112]
  cluster-dns: 10.53.0.10
  tls-san: api.example.org
nodes:
  cp:
    role: server
    networks: {lan: [10.1.1.1, "fd00:1::11"], san: {address: 10.9.0.1, vlan: 8}}
    interfaces: {eth0: enp3s0}
    labels: {node.example.org/zone: no, tier: "1"}
    taints: ["node-role.kubernetes.io/control-plane:NoSchedule"]
  w1:
    role: agent
    networks: {lan: [10.1.1.2, "fd00:1::12"]}
`

func TestEverything(t *testing.T) {
	t.Parallel()
	p, err := Read("odd.yaml", []byte(odd))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"15-enp3s0.network: [Match] Name=enp3s0; [Network] DHCP=no, DNS=10.1.0.2, Domains=example.org lab.example.org, Gateway=10.1.0.1, Gateway=fd00:1::1, IPv6AcceptRA=no, " +
			"LinkLocalAddressing=ipv6, NTP=ntp.example.org, Address=10.1.1.1/22, Address=fd00:1::11/64, VLAN=san; [Link] MTUBytes=9000; [Route] Destination=172.16.0.0/12, Gateway=10.1.0.9",
		"20-vlan-san.netdev: [NetDev] Kind=vlan, Name=san, MTUBytes=9000; [VLAN] Id=8",
		"20-vlan-san.network: [Match] Name=san; [Network] " + static + ", Address=10.9.0.1/24; [Link] RequiredForOnline=no",
	}
	if d := cmp.Diff(want, short(p.Units(p.Nodes[0]))); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if got := short(p.Units(p.Nodes[1])); len(got) != 1 || !strings.HasPrefix(got[0], "20-eth0.network: ") {
		t.Errorf("w1 is in one network: %q", got)
	}
	config := `node-name: "cp"
node-ip: "10.1.1.1,fd00:1::11"
flannel-iface: "enp3s0"
advertise-address: "10.1.1.1"
tls-san:
- "10.1.1.1"
- "api.example.org"
cluster-cidr: "10.52.0.0/16,fd00:52::/56"
service-cidr: "10.53.0.0/16,fd00:53::/112"
cluster-dns: "10.53.0.10"
cluster-init: true
node-label:
- "node.example.org/zone=no"
- "tier=1"
node-taint:
- "node-role.kubernetes.io/control-plane:NoSchedule"
`
	if d := cmp.Diff(config, p.Config(p.Nodes[0], "")); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestDnsmasqAndHosts(t *testing.T) {
	t.Parallel()
	p := load(t, "dhcp-simple")
	want := `
# Network cluster
dhcp-range=set:cluster,192.168.1.100,192.168.1.200,255.255.255.0,12h
dhcp-option=tag:cluster,option:router
dhcp-option=tag:cluster,option:dns-server
dhcp-host=52:54:00:01:01:01,192.168.1.1,server-1
dhcp-host=52:54:00:01:01:02,192.168.1.2,server-2
dhcp-host=52:54:00:01:01:03,192.168.1.3,agent-1
dhcp-host=52:54:00:01:01:04,192.168.1.4,agent-2
`
	if d := cmp.Diff(want, p.Dnsmasq("")); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	hosts := load(t, "vlans").Hosts("")
	for _, line := range []string{"127.0.0.1 localhost\n", "\n192.168.200.3 agent-1\n", "\n192.168.100.2 server-2-storage\n"} {
		if !strings.Contains(hosts, line) {
			t.Errorf("%q is missing in\n%s", line, hosts)
		}
	}
	if load(t, "vlans").Dnsmasq("x") != "" {
		t.Error("vlans has no DHCP")
	}
}

// Each change to a good profile is refused at its line, with a word of what is wrong.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ profile, old, new, want string }{
		{"simple", "192.168.1.2}", "192.168.2.2}", `simple.yaml:18:25: the address 192.168.2.2 of node server-2 is not in network cluster (192.168.1.0/24)`},
		{"simple", "192.168.1.2}", "192.168.1.1}", `the address 192.168.1.1 of node server-2 is that of node server-1`},
		{"simple", "192.168.1.2}", "192.168.1.255}", `is not in network cluster`},
		{"simple", "192.168.1.2}", "192.168.1.300}", `"192.168.1.300" is no IP address`},
		{"simple", "cluster: 192.168.1.2}", "clustre: 192.168.1.2}", `the profile has no network "clustre"`},
		{"simple", "network: cluster", "network: storage", `the profile has no network "storage"`},
		{"simple", "role: server", "role: agent", `the profile has no server`},
		{"simple", "role: server", "role: master", `nodes.server-1.role is "master"`},
		{"simple", "  server-2:", "  Server_2:", `"Server_2" in nodes is no name`},
		{"simple", "  server-2:", "  server-1:", `key "server-1" was already set`},
		{"simple", "subnet: 192.168.1.0/24", "subnet: 192.168.1.7/24", `has address bits set behind its length`},
		{"simple", "subnet: 192.168.1.0/24", "subnet: 192.168.1.0", `"192.168.1.0" is no prefix`},
		{"simple", "subnet: 192.168.1.0/24", "subnet: 10.42.0.0/17", `overlaps 10.42.0.0/16 of the pods`},
		{"simple", "interface: eth1", "interface: \"eth1 \"", `networks.cluster.interface is "eth1 "`},
		{"simple", "interface: eth1", "interfaec: eth1", `networks.cluster has no key "interfaec"`},
		{"simple", "interface: eth1", "interface: eth1\n    gateway: 192.168.9.1", `the gateway 192.168.9.1 is not in network cluster`},
		{"simple", "interface: eth1", "interface: eth1\n    gateway: 192.168.1.3", `that of the gateway of network cluster`},
		{"vlans", "vlan: 100", "vlan: 200", `networks cluster and storage of node server-1 both have the VLAN id 200 on eth1`},
		{"vlans", "vlan: 100", "vlan:", `networks.storage.vlan is empty, which is no number from 1 to 4094`},
		{"vlans", "    vlan: 100\n", "    vlan: 4095\n", `networks.storage.vlan is "4095", which is no number from 1 to 4094`},
		{"vlans", "    vlan: 200\n    subnet: 192.168.200.0/24\n  storage:\n    interface: eth1\n    vlan: 100\n", "    subnet: 192.168.200.0/24\n  storage:\n    interface: eth1\n", `networks cluster and storage are both untagged on eth1`},
		{"vlans", "interface: eth1\n    vlan: 200", "interface: enx001122334455\n    vlan: 200", `longer than 15 characters`},
		{"vlans", "cluster: 192.168.200.2, ", "", `node server-2 has no address in network cluster`},
		{"bonding-vlans", "primary: eth1", "primary: eth3", `the primary eth3 of bond bond0 is none of its members`},
		{"bonding-vlans", "mode: active-backup", "mode: 802.3ad", `bond bond0 has a primary, which mode 802.3ad does not know`},
		{"bonding-vlans", "[eth1, eth2]", "[]", `bond bond0 has no members`},
		{"bonding-vlans", "interface: bond0\n    vlan: 100", "interface: eth2\n    vlan: 100", `eth2, which is a member of bond bond0`},
		{"bonding-vlans", "miimon: 100", "miimon: 150", `bonding-vlans.yaml:11:14: updelay 200 of bond bond0 is no multiple of miimon (150)`},
		{"dhcp-simple", "mac: {eth1: 52:54:00:01:01:02}", "mac: {eth1: 52:54:00:01:01:01}", `the hardware address 52:54:00:01:01:01 of node server-2 is that of node server-1`},
		{"dhcp-simple", "    mac: {eth1: 52:54:00:01:01:02}\n", "", `no hardware address of eth1`},
		{"dhcp-simple", "mac: {eth1: 52:54:00:01:01:02}", "mac: {eth7: 52:54:00:01:01:02}", `the profile has no network card "eth7"`},
		{"dhcp-simple", "[192.168.1.100, 192.168.1.200]", "[192.168.1.200, 192.168.1.100]", `ends at 192.168.1.100, before its beginning`},
		{"dhcp-simple", "[192.168.1.100, 192.168.1.200]", "[192.168.1.100]", `the DHCP range has 1 addresses`},
		{"dhcp-simple", "server: 192.168.1.254", "server: 192.168.1.150", `is in the range that it gives away`},
	} {
		text := readProfile(t, c.profile)
		if !strings.Contains(text, c.old) {
			t.Fatalf("%s does not have %q", c.profile, c.old)
		}
		times := 1
		if c.old == "role: server" && c.new == "role: agent" {
			times = 2 // both servers
		}
		_, err := Read(c.profile+".yaml", []byte(strings.Replace(text, c.old, c.new, times)))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.profile+".yaml:") {
			t.Errorf("%s with %q:\ngot  %v\nwant %s", c.profile, c.new, err, c.want)
		}
	}
}

// Many nodes: names and addresses are told apart quickly.
func TestManyNodes(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("networks:\n  cluster: {interface: eth1, vlan: 5, subnet: 10.0.0.0/16}\nk3s: {network: cluster, cluster-cidr: 10.64.0.0/12}\nnodes:\n")
	for i := range 2000 {
		role := "agent"
		if i < 3 {
			role = "server"
		}
		fmt.Fprintf(&b, "  n%d: {role: %s, networks: {cluster: 10.0.%d.%d}}\n", i, role, i/200+1, i%200+1)
	}
	p, err := Read("many.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if got := Render(DefaultLayout, []*Profile{p}).Files; len(got) != 2000*5+5 {
		t.Errorf("%d files", len(got))
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(odd))
	f.Add([]byte(base))
	f.Add([]byte("networks: {a: {interface: b, subnet: 0.0.0.0/0}}\nk3s: {network: a}\nnodes: {c: {role: server, networks: {a: 0.0.0.1}}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Read("f.yaml", data)
		if err == nil {
			Render(DefaultLayout, []*Profile{p})
		}
	})
}

// What is committed is what the profiles say.
func TestRepository(t *testing.T) {
	t.Parallel()
	profiles, err := ReadDir(profilesDir, func(s string) string { return s })
	if err != nil {
		t.Fatal(err)
	}
	d, err := Render(DefaultLayout, profiles).Difference("../..")
	if err != nil || d != "" {
		t.Errorf("n3x cluster render would change: %v\n%s", err, d)
	}
}
