package cluster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"n3x/internal/arch"
	"n3x/internal/debian/apt"
	"n3x/internal/sandbox"
	"n3x/internal/tools"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// debianTools is a tools tree of a Debian suite's systemd, and what runs programs in it.
func debianTools(t *testing.T, suite string) (*tools.Provider, []string) {
	t.Helper()
	sources, err := apt.ParseSources("tools.list", []byte("deb http://deb.debian.org/debian "+suite+" main\n"))
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := apt.DebianKeyring("debian-archive-keyring.gpg")
	dl := os.Getenv("N3X_TEST_DL_DIR")
	if dl == "" {
		dl = t.TempDir()
	}
	c, err := apt.Open(apt.Options{Sources: sources, Keyrings: [][]byte{keys}, Arches: []arch.Arch{arch.Host()}, DownloadDir: dl, Pool: "debian-" + suite})
	if err != nil {
		t.Fatal(err)
	}
	p, err := tools.New(tools.Options{Client: c, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	layers, err := p.Layers(t.Context(), "systemd")
	if err != nil {
		t.Fatal(err)
	}
	return p, layers
}

// complaint is what systemd-networkd says of a line that it does not take.
var complaint = regexp.MustCompile(`(?m)^.*/etc/systemd/network/[^ ]+:[0-9]+: .*$`)

// TestNetworkSystemd has systemd-networkd (252 and 257) read every rendered unit, and two wrong ones, which it must refuse: so its
// silence about the others means something.
func TestNetworkSystemd(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("set N3X_TEST_NETWORK=1 to fetch systemd from deb.debian.org")
	}
	profiles, err := ReadDir(profilesDir, filepath.Base)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"odd.yaml": odd, "base.yaml": base, "modes.yaml": allModes()} {
		p, err := Read(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		profiles = append(profiles, p)
	}
	for _, suite := range []string{"bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) { networkdReads(t, suite, profiles) })
	}
}

// allModes is a profile with a bond of each mode, with all that the mode knows.
func allModes() string {
	var networks, bonds, at strings.Builder
	for i, mode := range bondModes {
		fmt.Fprintf(&networks, "  n%d: {interface: bond%d, vlan: %d, mtu: 9000, subnet: [10.%d.0.0/16, fd0%d::/64]}\n", i, i, i+2, i, i)
		more := ""
		switch mode {
		case "active-backup":
			more = fmt.Sprintf(", primary: a%d, reselect: better, updelay: 100, downdelay: 300", i)
		case "802.3ad":
			more = ", lacp-rate: fast, transmit-hash: layer3+4"
		case "balance-xor":
			more = ", transmit-hash: encap3+4"
		}
		fmt.Fprintf(&bonds, "  bond%d: {members: [a%d, b%d], mode: %s%s}\n", i, i, i, mode, more)
		fmt.Fprintf(&at, "n%d: [10.%d.0.1, fd0%d::1], ", i, i, i)
	}
	return "networks:\n" + networks.String() + "bonds:\n" + bonds.String() + "k3s: {network: n0}\nnodes: {one: {role: server, networks: {" + strings.TrimSuffix(at.String(), ", ") + "}}}\n"
}

// networkdReads has a suite's systemd-networkd read the units of all nodes.
func networkdReads(t *testing.T, suite string, profiles []*Profile) {
	p, layers := debianTools(t, suite)
	complaints := func(units []Unit) []string {
		dir := t.TempDir()
		for _, u := range units {
			if err := os.WriteFile(filepath.Join(dir, u.Name), []byte(u.Text("# test\n")), 0o644); err != nil {
				t.Error(err)
			}
		}
		// The last file that is read has a wrong line of its own.
		if err := os.WriteFile(filepath.Join(dir, "99-probe.network"), []byte("[Match]\nName=probe\n\n[Network]\nFooBar=1\n"), 0o644); err != nil {
			t.Error(err)
		}
		cmd, cleanup, err := p.Command(layers, "sh", "-c", "echo systemd-network:x:998:998::/:/usr/sbin/nologin >> /etc/passwd; echo systemd-network:x:998: >> /etc/group; mkdir -p /run/systemd /run/dbus /etc/systemd/network; chmod -R 777 /run; cp /units/* /etc/systemd/network; (/usr/lib/systemd/systemd-networkd & echo $! > /run/pid; wait) > /run/log 2>&1 & "+
			"for i in $(seq 300); do grep -q 'Enumeration completed' /run/log && break; sleep 0.2; done; kill $(cat /run/pid); wait; cat /run/log")
		if err != nil {
			t.Error(err)
			return nil
		}
		defer cleanup()
		cmd.Mounts = append(cmd.Mounts, sandbox.Mount{Type: sandbox.BindRO, Source: dir, Target: "/units"}, sandbox.Mount{Type: sandbox.Tmpfs, Target: "/run"})
		cmd.Env = append(cmd.Env, "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err = cmd.Run(t.Context())
		var found []string
		read := false
		for _, line := range complaint.FindAllString(out.String(), -1) {
			if strings.Contains(line, "/99-probe.network:5: ") {
				read = true
			} else {
				found = append(found, line)
			}
		}
		if !read {
			t.Errorf("systemd-networkd did not read the units: %v\n%s", err, out.String())
		}
		return found
	}
	var waiting sync.WaitGroup // networkd mostly waits: all can at once
	for _, p := range profiles {
		for _, n := range p.Nodes {
			waiting.Add(1)
			go func() {
				defer waiting.Done()
				if got := complaints(p.Units(n)); got != nil {
					t.Errorf("%s of %s: %q", p.Name, n.Name, got)
				}
			}()
		}
	}
	waiting.Wait()
	units := profiles[0].Units(profiles[0].Nodes[0])
	for i := range units {
		for k := range units[i].Sections {
			s := &units[i].Sections[k]
			if s.Name == "Network" {
				s.Keys = append(s.Keys, Setting{"FooBar", "1"}, Setting{"Address", "300.1.1.1/24"})
			}
		}
	}
	if got := complaints(units); len(got) < 2 {
		t.Errorf("wrong lines are taken: %q", got)
	}
}
