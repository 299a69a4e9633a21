package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"n3x/internal/vm/qemu"
)

// cable gives the two ends of a wire between two machines' network cards.
func cable(t *testing.T) (a, b qemu.NIC) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return qemu.NIC{MAC: "52:54:00:01:01:01", Socket: os.NewFile(uintptr(fds[0]), "wire")}, qemu.NIC{MAC: "52:54:00:01:01:03", Socket: os.NewFile(uintptr(fds[1]), "wire")}
}

// TestCluster builds the images of a server and an agent of profile simple with a stand-in for K3s and boots both as they are: they have
// to find and accept each other. Their first cards lead nowhere. Costs two images that share all of Debian, and two boots at a time: about 4 minutes on two processors.
func TestCluster(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" || os.Getenv("N3X_TEST_VM") == "" {
		t.Skip("builds and boots two whole images: set N3X_TEST_NETWORK=1 and N3X_TEST_VM=1")
	}
	p := newK3sProject(t)
	defer p.close(t)
	copyFile(t, p.program, filepath.Join(p.downloads, filepath.Base(p.program)))
	over := ":kas/network/simple.yml:kas/test/console.yml" + p.overlay(t, "k3s", digest(t, p.program), `IMAGE_FSTYPES:remove = "wic.zst"`)
	env := []string{"XDG_DATA_HOME=" + t.TempDir()}
	n3x(t, p.dir, 0, env, "cluster", "token")
	images := map[string]string{}
	for _, role := range []string{"server", "agent"} {
		n3x(t, p.dir, 0, env, "build", "kas/base.yml:kas/machine/qemu-amd64.yml:kas/image/k3s-"+role+".yml"+over)
		images[role] = filepath.Join(p.dir, "build/tmp/deploy/images/qemuamd64/isar-k3s-image-"+role+"-debian-trixie-qemuamd64")
	}
	// Without AppArmor, since loading all of Debian's profiles takes an emulated machine minutes, and the stand-in starts no container.
	line := directLine + " quiet loglevel=1 apparmor=0 systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900"
	nowhere := qemu.NIC{User: &qemu.UserNet{Restrict: true}}
	one, two := cable(t)
	server := start(t, images["server"]+".wic", images["server"], line, nowhere, one)
	agent := start(t, images["agent"]+".wic", images["agent"], line, nowhere, two)
	server.login()
	agent.login()

	// A server that is slow to start lets the agent try again every five seconds.
	nodes := server.run(`for i in $(seq 120); do kubectl get nodes | grep -q "^agent-1 Ready" && break; sleep 1; done; kubectl get nodes | tr '\n' ' '`)
	if want := "agent-1 Ready agent 192.168.1.3 server-1 Ready server 192.168.1.1"; nodes != want {
		t.Fatalf("the server knows %q, want %q; the agent says %s", nodes, want, agent.run("journalctl -u k3s-agent -n 3 -o cat | tr '\\n' ' '"))
	}
	common := []check{
		{"stat -c '%a %U' /etc/rancher/k3s/token", "600 root"},
		{"ip -o route show default | sed 's/ *$//'", "default via 203.0.113.255 dev k3s-route proto static metric 65535"},
		{"for m in overlay br_netfilter vxlan ip_set nf_conntrack; do test -d /sys/module/$m || echo $m; done | tr '\\n' ' '", ""},
		{"sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables fs.inotify.max_user_instances | tr '\\n' ' '", "1 1 8192"},
		{"swapon --show --noheadings | wc -l", "0"},
		{"readlink /usr/bin/kubectl /usr/bin/crictl /usr/bin/ctr | tr '\\n' ' '", "k3s k3s k3s"},
	}
	server.check(append(common, check{"hostname", "server-1"}, check{"systemctl is-active k3s-server", "active"}))
	agent.check(append(common, check{"hostname", "agent-1"}, check{"systemctl is-active k3s-agent", "active"}))
	if out := server.run("journalctl -b -o cat | grep -c -F \"$(cat /etc/rancher/k3s/token)\""); strings.TrimSpace(out) != "0" {
		t.Errorf("the server's journal has the token %s times", out)
	}
}
