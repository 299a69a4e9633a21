package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const machineChain = "kas/base.yml:kas/machine/qemu-amd64.yml"

// withoutToken is an environment whose user has made no token.
func withoutToken(t *testing.T) []string {
	return []string{"XDG_DATA_HOME=" + t.TempDir(), "K3S_TOKEN_FILE=", "CLUSTER_NAME="}
}

// TestChainsRefused gives overlays that do not fit each other: each is refused with the reason and the place.
func TestChainsRefused(t *testing.T) {
	t.Parallel()
	dir := project(t)
	for name, line := range map[string]string{"profile": `NETWORKD_PROFILE = "nope"`, "node": `NETWORKD_NODE_NAME = "server-9"`} {
		text := "header: {version: 14}\nlocal_conf_header:\n  zz-hand: |\n    " + line + "\n"
		if err := os.WriteFile(filepath.Join(dir, "kas/test/hand-"+name+".yml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := withoutToken(t)
	for _, c := range []struct {
		chain string // behind the machine's
		want  []string
	}{
		{"image/k3s-agent:network/simple", []string{"node agent-1 joins the cluster of server-1", "type n3x cluster token, or set K3S_TOKEN_FILE", "meta-isar-k3s/conf/layer.conf:"}},
		{"image/k3s-server:network/simple:node/server-2", []string{"node server-2 joins the cluster of server-1"}},
		{"image/k3s-server:network/simple:node/agent-1", []string{"an agent of profile simple: use kas/image/k3s-agent.yml", "was set last by kas/node/agent-1.yml:10"}},
		{"image/k3s-agent:network/simple:node/server-2", []string{"a server of profile simple: use kas/image/k3s-server.yml"}},
		{"image/k3s-server:node/server-1", []string{"there is no profile: add kas/network/PROFILE.yml", "kas/node/server-1.yml:10"}},
		{"image/k3s-server:network/simple:network/vlans", []string{"keep either kas/network/simple.yml or kas/network/vlans.yml"}},
		{"image/k3s-server:network/simple:node/server-1:node/server-2", []string{"keep either kas/node/server-1.yml or kas/node/server-2.yml"}},
		{"image/k3s-server:image/k3s-agent:network/simple", []string{"CHOSEN_ROLES has agent and server"}},
		{"image/k3s-server:image/base", []string{"K3S_ROLE is server, and this image has no K3s", "kas/image/k3s-server.yml:12"}},
		{"image/k3s-server:network/simple:test/hand-profile", []string{"NETWORKD_PROFILE is nope, but CHOSEN_PROFILES is simple", "kas/test/hand-profile.yml:4"}},
		{"image/k3s-server:test/hand-profile", []string{"NETWORKD_PROFILE is nope, but nothing says which nodes it has"}},
		{"image/k3s-server:network/simple:test/hand-node", []string{"NETWORKD_NODE_NAME is server-9, and profile simple has: server-1 server-2 agent-1 agent-2", "kas/test/hand-node.yml:4"}},
	} {
		files := machineChain
		for part := range strings.SplitSeq(c.chain, ":") {
			files += ":kas/" + part + ".yml"
		}
		for _, verb := range []string{"plan", "build"} {
			out := n3x(t, dir, 2, env, verb, files)
			for _, want := range append(c.want, "was skipped") {
				if !strings.Contains(out, want) {
					t.Errorf("%s %s lacks %q:\n%s", verb, c.chain, want, out)
				}
			}
		}
	}
	out := n3x(t, dir, 2, env, "build", "kas/base.yml:kas/image/k3s-server.yml:kas/network/simple.yml")
	if !strings.Contains(out, "no kas file names a machine") {
		t.Errorf("without a machine: %s", out)
	}
	if _, err := os.Stat(filepath.Join(dir, "build/tmp/work")); err == nil {
		t.Error("something was built")
	}
}

// TestNegativeProfile renders a profile that is made to fail into a copy of the project; images take it when they are told to.
func TestNegativeProfile(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	for _, name := range []string{"backends/isar", "profiles"} {
		if err := os.CopyFS(filepath.Join(top, name), filtered{os.DirFS("../../" + name)}); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(top, "backends/isar")
	n3x(t, dir, 2, nil, "cluster", "render", "--profile", "vlans-broken")
	n3x(t, dir, 0, nil, "cluster", "render", "--profile", "vlans-broken", "--output", "../..")
	units := filepath.Join(dir, "meta-isar-k3s/recipes-support/systemd-networkd-config/files/vlans-broken/agent-1/20-vlan-cluster.netdev")
	if text, err := os.ReadFile(units); err != nil || !strings.Contains(string(text), "Id=202") {
		t.Fatalf("%s, %v", text, err)
	}
	chain := machineChain + ":kas/image/k3s-server.yml:kas/network/vlans-broken.yml"
	out := n3x(t, dir, 2, withoutToken(t), "plan", chain)
	if !strings.Contains(out, "profile vlans-broken is made to fail (CLUSTER_NEGATIVE): for a test of that, add kas/test/negative.yml") {
		t.Error(out)
	}
	if os.Getenv("N3X_TEST_NETWORK") != "" {
		out = n3x(t, dir, 0, withoutToken(t), "plan", chain+":kas/test/negative.yml")
		if !strings.Contains(out, "isar-k3s-image-server: no node overlay: building server-1 of profile vlans-broken") {
			t.Error(out)
		}
	}
	n3x(t, dir, 1, nil, "cluster", "render", "--check")
	n3x(t, dir, 0, nil, "cluster", "render")
	if _, err := os.Stat(units); err == nil {
		t.Error("the negative profile's files stay")
	}
}

// TestNodesNamed says which machine an image is, once for each build, also when nothing is read or built anew.
func TestNodesNamed(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("looks at Debian's indices: set N3X_TEST_NETWORK=1")
	}
	t.Parallel()
	dir := project(t)
	env := withoutToken(t)
	for _, c := range []struct{ chain, want string }{
		{":kas/image/k3s-server.yml:kas/network/simple.yml", "isar-k3s-image-server: no node overlay: building server-1 of profile simple; no token: K3s makes one at its first start\n"},
		{":kas/network/simple.yml:kas/image/k3s-server.yml:kas/node/server-1.yml", "isar-k3s-image-server: building server-1 of profile simple; no token"},
		{":kas/image/k3s-server.yml", "isar-k3s-image-server: no network overlay: building an image without identity (host name, addresses)\n"},
		{":kas/image/k3s-agent.yml", "building an image without identity (host name, addresses); its K3s has to be told server and token\n"},
		{":kas/image/base.yml:kas/network/vlans.yml:kas/node/agent-2.yml", "isar-k3s-image-base: building agent-2 of profile vlans\n"},
		{":kas/image/base.yml:kas/test/console.yml:kas/test/root-login.yml:kas/opt/debug.yml", "without identity (host name, addresses); for tests only, not for release: console root-login\n"},
	} {
		for range 2 {
			if out := n3x(t, dir, 0, env, "plan", machineChain+c.chain); strings.Count(out, c.want) != 1 {
				t.Errorf("%s: not once %q:\n%s", c.chain, c.want, out)
			}
		}
	}
	n3x(t, dir, 0, env, "cluster", "token")
	if out := n3x(t, dir, 0, env, "plan", machineChain+":kas/image/k3s-agent.yml:kas/network/simple.yml"); !strings.Contains(out, "no node overlay: building agent-1 of profile simple\n") {
		t.Errorf("with a token: %s", out)
	}
}
