package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/matrix"
)

const testMatrix = `profiles: profiles
overlays: {base: [kas/base.yml], profile: ["kas/network/{profile}.yml"], node: ["kas/node/{node}.yml"]}
roles:
  server: {overlays: [kas/image/k3s-server.yml, kas/small.yml, kas/standin.yml], packages: [core, server]}
  broken: {overlays: [kas/image/base.yml, kas/small.yml, kas/broken.yml]}
machines:
  qemuamd64:
    overlays: [kas/machine/qemu-amd64.yml]
    images: [broken]
    nodes: [server]
    files: [.tar]
    skip: [wic.zst]
packages:
  core: {overlay: kas/packages/k3s-core.yml, names: [curl, k3s-system-config]}
  server: {overlay: kas/image/k3s-server.yml, names: [k3s-server]}
`

// TestMatrix builds two nodes of a profile and a variant that cannot be built: both nodes' files are kept, what is the same for them is
// built once, and the registry says what is there. Costs 40 s on two processors.
func TestMatrix(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("builds images: set N3X_TEST_NETWORK=1")
	}
	p := newK3sProject(t)
	defer p.close(t)
	program, err := os.ReadFile(p.program)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.downloads, filepath.Base(p.program)), string(program))
	p.overlay(t, "standin", digest(t, p.program))
	write(t, filepath.Join(p.dir, "kas/small.yml"), "header: {version: 14}\nlocal_conf_header:\n  zz-small: |\n    IMAGE_FSTYPES = \"tar\"\n    ROOTFS_FEATURES:remove = \"generate-initrd\"\n")
	write(t, filepath.Join(p.dir, "kas/broken.yml"), "header: {version: 14}\nlocal_conf_header:\n  zz-broken: |\n    IMAGE_PREINSTALL:append = \" no-such-package\"\n")
	write(t, filepath.Join(p.dir, "matrix.yaml"), testMatrix)
	profile, err := os.ReadFile("../../profiles/simple.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.dir, "profiles/simple.yaml"), string(profile))
	token := filepath.Join(t.TempDir(), "token")
	n3x(t, p.dir, 0, nil, "cluster", "token", "--output", token)
	env := []string{"K3S_TOKEN_FILE=" + token}

	out := n3x(t, p.dir, 2, env, "matrix", "build")
	for _, want := range []string{"no-such-package", "1 of 3 variants were not built: qemuamd64.broken", "2 files in build/tmp/deploy/matrix"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output does not say %q:\n%s", want, out)
		}
	}
	if n := strings.Count(out, "done   mc:qemuamd64.server.simple.server-1:k3s-server:do_dpkg_build") + strings.Count(out, "done   mc:qemuamd64.server.simple.server-2:k3s-server:do_dpkg_build"); n != 1 {
		t.Errorf("k3s-server was built %d times", n)
	}
	dir := filepath.Join(p.dir, "build/tmp/deploy/matrix")
	before, err := os.ReadFile(filepath.Join(dir, matrix.RegistryFile))
	if err != nil {
		t.Fatal(err)
	}
	var r matrix.Registry
	if err := json.Unmarshal(before, &r); err != nil {
		t.Fatal(err)
	}
	one, two := r.Variants["qemuamd64.server.simple.server-1"], r.Variants["qemuamd64.server.simple.server-2"]
	if len(r.Variants) != 2 || one == nil || two == nil || one.Files[0].SHA256 == two.Files[0].SHA256 || one.Inputs.K3s != p.version {
		t.Fatalf("registry: %s", before)
	}

	// Nothing is left to do, and the registry stays the same.
	out = n3x(t, p.dir, 0, env, "matrix", "build", "--role", "server")
	if !strings.Contains(out, ", 0 tasks run now") {
		t.Errorf("again:\n%s", out)
	}
	if after, err := os.ReadFile(filepath.Join(dir, matrix.RegistryFile)); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the registry changed: %v", err)
	}
	n3x(t, p.dir, 0, nil, "matrix", "verify", "--role", "server")
	n3x(t, p.dir, 0, nil, "cluster", "verify", "qemuamd64.server.simple.server-2")

	// A package that no image has, a file that was changed, and one that nobody knows.
	write(t, filepath.Join(p.dir, "matrix.yaml"), strings.Replace(testMatrix, "names: [curl,", "names: [k3s, curl,", 1))
	write(t, filepath.Join(dir, "stray"), "")
	f, err := os.OpenFile(filepath.Join(dir, two.Files[0].Name), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	out = n3x(t, p.dir, 1, nil, "matrix", "verify")
	for _, want := range []string{"lacks the package k3s, which its role server needs", "kas/packages/k3s-core.yml brings it", "stray: the file belongs to no variant",
		"server-2.tar: the file of qemuamd64.server.simple.server-2 has", "qemuamd64.broken"} {
		if !strings.Contains(out, want) {
			t.Errorf("verify does not say %q:\n%s", want, out)
		}
	}
}
