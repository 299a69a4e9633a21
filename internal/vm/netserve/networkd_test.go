package netserve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// networkd runs systemd-networkd with folders of its own until its card has an address. It takes links as they are where /sys is read-only, as
// in a container, and waits for udev else.
const networkd = `set -e
mount -t tmpfs tmpfs /run
mount -t sysfs -o ro sysfs /sys
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network:systemd-network /run/systemd/netif
printf '[Match]\nName=eth1\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n' > /run/systemd/network/20-eth1.network
timeout 60 /lib/systemd/systemd-networkd &
for i in $(seq 300); do ip -4 -oneline address show dev eth1 | grep -q inet && ls /run/systemd/netif/leases/* >/dev/null 2>&1 && break; sleep 0.1; done
ip -4 -oneline address show dev eth1
cat /run/systemd/netif/leases/*
kill $!; wait || true
`

func TestNetworkd(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/lib/systemd/systemd-networkd"); err != nil {
		t.Skip("this host has no systemd-networkd")
	}
	_, o := village(t, lab())
	script := filepath.Join(t.TempDir(), "networkd")
	if err := os.WriteFile(script, []byte(networkd), 0o700); err != nil {
		t.Fatal(err)
	}
	out := o.must("unshare --mount sh " + script + " 2>&1")
	for _, want := range []string{"inet 192.168.1.1/24", "\nSERVER_ADDRESS=192.168.1.254\n", "\nLIFETIME=43200\n", "\nT1=21600\n", "\nNETMASK=255.255.255.0\n", "\nHOSTNAME=server-1\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "ROUTER=") || strings.Contains(out, "DNS=") {
		t.Error(out)
	}
}
