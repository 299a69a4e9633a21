package cluster

import (
	"bytes"
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

// debianTools is a tools tree of Debian's systemd, and what runs programs in it.
func debianTools(t *testing.T) (*tools.Provider, []string) {
	t.Helper()
	sources, err := apt.ParseSources("tools.list", []byte("deb http://deb.debian.org/debian trixie main\n"))
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := apt.DebianKeyring("debian-archive-keyring.gpg")
	dl := os.Getenv("N3X_TEST_DL_DIR")
	if dl == "" {
		dl = t.TempDir()
	}
	c, err := apt.Open(apt.Options{Sources: sources, Keyrings: [][]byte{keys}, Arches: []arch.Arch{arch.Host()}, DownloadDir: dl, Pool: "debian-trixie"})
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

// TestNetworkSystemd has systemd-networkd read every rendered unit, and two wrong ones, which it must refuse: so its silence
// about the others means something.
func TestNetworkSystemd(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("set N3X_TEST_NETWORK=1 to fetch systemd from deb.debian.org")
	}
	p, layers := debianTools(t)
	complaints := func(units []Unit) []string {
		dir := t.TempDir()
		for _, u := range units {
			if err := os.WriteFile(filepath.Join(dir, u.Name), []byte(u.Text("# test\n")), 0o644); err != nil {
				t.Error(err)
			}
		}
		cmd, cleanup, err := p.Command(layers, "sh", "-c", "echo systemd-network:x:998:998::/:/usr/sbin/nologin >> /etc/passwd; echo systemd-network:x:998: >> /etc/group; mkdir -p /run/systemd /run/dbus /etc/systemd/network; chmod -R 777 /run; cp /units/* /etc/systemd/network; timeout 4 /usr/lib/systemd/systemd-networkd")
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
		if !strings.Contains(out.String(), "/etc/systemd/network") && !strings.Contains(out.String(), "eth1") {
			t.Errorf("systemd-networkd did not read the units: %v\n%s", err, out.String())
		}
		return complaint.FindAllString(out.String(), -1)
	}
	profiles, err := ReadDir(profilesDir, filepath.Base)
	if err != nil {
		t.Fatal(err)
	}
	odd, err := Read("odd.yaml", []byte(odd))
	if err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup // networkd mostly waits: all can at once
	for _, p := range append(profiles, odd) {
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
