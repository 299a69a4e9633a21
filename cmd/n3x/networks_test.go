package main

import (
	"os"
	"path/filepath"
	"testing"

	"n3x/internal/vm/qemu"
)

// TestNetworks builds the images of two nodes of profile bonding-vlans, without K3s, and boots both: two cards of each in one bond with
// two VLANs. Costs two images that share all of Debian, and two boots at a time: about 4 minutes on two processors.
func TestNetworks(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" || os.Getenv("N3X_TEST_VM") == "" {
		t.Skip("builds and boots two whole images: set N3X_TEST_NETWORK=1 and N3X_TEST_VM=1")
	}
	dir := project(t)
	ends := cables(t, 4)
	var nodes []*guest
	for i, name := range []string{"server-1", "agent-1"} {
		n3x(t, dir, 0, nil, "build", "kas/base.yml:kas/machine/qemu-amd64.yml:kas/image/base.yml:kas/network/bonding-vlans.yml:kas/node/"+name+".yml:kas/test/console.yml")
		image := filepath.Join(t.TempDir(), name)
		for _, suffix := range []string{".wic", "-vmlinuz", "-initrd.img"} {
			copyFile(t, filepath.Join(dir, "build/tmp/deploy/images/qemuamd64", imageName+suffix), image+suffix)
		}
		nodes = append(nodes, start(t, image+".wic", image, directLine, qemu.NIC{User: &qemu.UserNet{Restrict: true}},
			qemu.NIC{Socket: ends[2*i], MAC: "52:54:00:01:01:0" + string(rune('1'+i))}, qemu.NIC{Socket: ends[2*i+1], MAC: "52:54:00:01:02:0" + string(rune('1'+i))}))
	}
	for i, g := range nodes {
		g.login()
		g.check([]check{{"hostname", []string{"server-1", "agent-1"}[i]}})
	}
	checkBond(nodes[0], nodes[1])
	n3x(t, dir, 0, nil, "clean")
}

// checkBond looks at the networks of two machines with profile bonding-vlans whose four cards are on one segment: bond, VLANs, both
// ways between them, and what happens when the primary card loses its link.
func checkBond(server, agent *guest) {
	server.t.Helper()
	common := []check{
		{"systemctl is-active systemd-networkd", "active"},
		{"/usr/lib/systemd/systemd-networkd-wait-online --timeout=600; echo $?", "0"},
		{"systemctl --failed --plain --no-legend | wc -l", "0"},
		{"grep -E '^(Bonding Mode|Primary Slave|Currently Active Slave|MII Polling)' /proc/net/bonding/bond0 | cut -d: -f2 | tr '\\n' ';'",
			"fault-tolerance (active-backup); eth1 (primary_reselect always); eth1; 100;"},
		{"ip -d link show bond0.200 | grep -o 'vlan protocol 802.1Q id [0-9]*'", "vlan protocol 802.1Q id 200"},
		{"ip -d link show bond0.100 | grep -o 'vlan protocol 802.1Q id [0-9]*'", "vlan protocol 802.1Q id 100"},
		{"ip -o link show bond0.200 | grep -o 'mtu [0-9]*'", "mtu 1500"},
		{"networkctl list --no-legend --no-pager | grep -E ' (eth1|eth2|bond0|bond0.100|bond0.200) ' | grep -c configured", "5"},
		{"networkctl list --no-legend --no-pager | grep -c ' eth0 .*unmanaged'", "1"},
		// That eth1 is a name of the kernel's is meant.
		{"journalctl -b -u systemd-networkd -p warning -o cat | grep -v 'potentially unpredictable interface name' | head -n 1", ""},
	}
	server.check(append(common, check{"ip -4 -o addr show bond0.200 | tr -s ' ' | cut -d' ' -f4", "192.168.200.1/24"}))
	agent.check(append(common, check{"ip -4 -o addr show bond0.100 | tr -s ' ' | cut -d' ' -f4", "192.168.100.3/24"}))
	reach := func() {
		server.check([]check{{received("agent-1"), "3"}, {received("agent-1-storage"), "3"}})
		agent.check([]check{{received("server-1"), "3"}, {received("server-1-storage"), "3"}})
	}
	reach()

	// The second card takes over, and gives back.
	link := func(vm *qemu.VM, up bool, active string) {
		if err := vm.QMP(server.t.Context(), "set_link", map[string]any{"name": "net1", "up": up}, nil); err != nil {
			server.t.Fatal(err)
		}
		server.check([]check{{"for i in $(seq 60); do grep -q 'Active Slave: " + active + "' /proc/net/bonding/bond0 && break; sleep 0.5; done; sed -n 's/Currently Active Slave: //p' /proc/net/bonding/bond0", active}})
	}
	link(server.vm, false, "eth2")
	reach()
	link(server.vm, true, "eth1")
	reach()
}

// received is a command that tells how many of three packets came back.
func received(name string) string {
	return "ping -c 3 -i 0.5 -W 10 " + name + " | sed -n 's/.* \\([0-9]*\\) received.*/\\1/p'"
}
