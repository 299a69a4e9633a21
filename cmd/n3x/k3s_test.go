package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/sandbox"
)

// goProgram compiles a static program for Linux.
func goProgram(t *testing.T, source, goarch, output string) {
	t.Helper()
	var out bytes.Buffer
	cmd := &sandbox.Cmd{Host: true, Argv: []string{"go", "build", "-trimpath", "-ldflags", "-s -w", "-o", output, source}, Dir: ".", Stdout: &out, Stderr: &out,
		Env: append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)}
	if err := cmd.Run(t.Context()); err != nil {
		t.Fatalf("build %s: %v\n%s", source, err, out.String())
	}
}

// digest is a file's SHA-256.
func digest(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// k3sProject is a project whose K3s is a program of the test's.
type k3sProject struct {
	dir, program string // program is the stand-in, under the name that a mirror has it by
	version      string // the test's own, so that its downloads are
	downloads    string // DL_DIR
}

func newK3sProject(t *testing.T) *k3sProject {
	t.Helper()
	p := &k3sProject{dir: project(t), version: fmt.Sprintf("0.0.1+test%d", os.Getpid()), downloads: os.Getenv("DL_DIR")}
	if p.downloads == "" {
		p.downloads = filepath.Join(os.Getenv("HOME"), ".cache/yocto/downloads")
	}
	p.program = filepath.Join(t.TempDir(), "k3s-"+p.version+"-amd64")
	goProgram(t, "./testdata/k3s-standin", "amd64", p.program)
	return p
}

// close removes what was built and downloaded.
func (p *k3sProject) close(t *testing.T) {
	n3x(t, p.dir, 0, nil, "clean")
	p.forget(t)
}

// forget removes the test's downloads.
func (p *k3sProject) forget(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.downloads, "k3s-*"+p.version+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Error(err)
		}
	}
}

// overlay writes kas/NAME.yml, which chooses the program with this checksum.
func (p *k3sProject) overlay(t *testing.T, name, sum string, lines ...string) string {
	t.Helper()
	text := "header: {version: 14}\nlocal_conf_header:\n  zz-k3s: |\n"
	for _, l := range append([]string{`K3S_VERSION = "` + p.version + `"`, `K3S_SHA256_amd64 = "` + sum + `"`}, lines...) {
		text += "    " + l + "\n"
	}
	write(t, filepath.Join(p.dir, "kas", name+".yml"), text)
	return ":kas/" + name + ".yml"
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

const serverOverlays = "kas/base.yml:kas/machine/qemu-amd64.yml:kas/image/k3s-server.yml:kas/network/simple.yml"

// TestK3sProgram: where K3s' program comes from without its own address, and what is told when it is missing, wrong, or does not take
// the node's configuration. Costs 30 s on two processors.
func TestK3sProgram(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("needs Debian's mirror: set N3X_TEST_NETWORK=1")
	}
	p := newK3sProject(t)
	defer p.close(t)
	build := func(t *testing.T, status int, overlay, config string) string {
		t.Helper()
		if config == "" {
			config = "node-name: \"server-1\"\ndisable-agent: true # in no list, yet known\n"
		}
		write(t, filepath.Join(p.dir, "meta-isar-k3s/recipes-support/k3s-node-config/files/simple/server-1/config.yaml"), config)
		return n3x(t, p.dir, status, nil, "build", serverOverlays+overlay, "--target", "k3s-node-config", "--task", "check_flags")
	}
	says := func(t *testing.T, out string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("it does not say %q:\n%s", w, out)
			}
		}
	}
	file := filepath.Join(p.downloads, filepath.Base(p.program))
	sum := digest(t, p.program)
	const address = "https://github.com/k3s-io/k3s/releases/download/v"
	offline := `BB_NO_NETWORK = "1"`

	t.Run("nowhere", func(t *testing.T) {
		out := build(t, 1, p.overlay(t, "k3s", sum, offline), "")
		says(t, out, address+strings.ReplaceAll(p.version, "+", "%2B")+"/k3s", sum, file, "PREMIRRORS = ", "BB_NO_NETWORK")
	})
	t.Run("mirror", func(t *testing.T) {
		build(t, 0, p.overlay(t, "k3s", sum, offline, `PREMIRRORS = "https://.*/.* file://`+filepath.Dir(p.program)+`/"`), "")
		p.forget(t)
	})
	t.Run("other address", func(t *testing.T) {
		link := filepath.Join(filepath.Dir(p.program), "v"+strings.ReplaceAll(p.version, "+", "%2B"), "k3s")
		if err := os.MkdirAll(filepath.Dir(link), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(p.program, link); err != nil {
			t.Fatal(err)
		}
		build(t, 0, p.overlay(t, "k3s", sum, offline, `PREMIRRORS = "`+address[:len(address)-1]+` file://`+filepath.Dir(p.program)+`/"`), "")
		p.forget(t)
	})
	t.Run("wrong checksum", func(t *testing.T) {
		write(t, file, "something else")
		wrong := strings.Repeat("5", 64)
		out := build(t, 1, p.overlay(t, "k3s", wrong, offline), "")
		says(t, out, file, wrong, digest(t, file))
		p.forget(t)
	})
	t.Run("no checksum", func(t *testing.T) {
		says(t, build(t, 2, p.overlay(t, "k3s", "", offline), ""), "K3S_SHA256_amd64 is not set")
	})
	t.Run("other architecture", func(t *testing.T) {
		p.forget(t)
		goProgram(t, "./testdata/k3s-standin", "arm64", file)
		says(t, build(t, 1, p.overlay(t, "k3s", digest(t, file), offline), ""), file+" is for arm64, not for amd64")
		p.forget(t)
	})
	t.Run("no program", func(t *testing.T) {
		write(t, file, "<html>not found</html>")
		says(t, build(t, 1, p.overlay(t, "k3s", digest(t, file), offline), ""), file+" is no program")
		p.forget(t)
	})

	copyFile(t, p.program, file)
	t.Run("flags", func(t *testing.T) {
		overlay := p.overlay(t, "k3s", sum, offline)
		build(t, 0, overlay, "---\n# a comment\n\"node-name\": server-1\nnode-label+:\n- a=b\n\ntls-san:\n  - x: y\ntoken-file: /x\n")
		out := build(t, 1, overlay, "node-name: \"server-1\"\n\nembedded-registry: true\ntls-san:\n- x\nprefer-bundled-bin: true\n")
		says(t, out, "files/simple/server-1/config.yaml:3: K3s "+p.version+` has no flag "embedded-registry" for servers (rendered from profiles/simple.yaml)`,
			`config.yaml:6: K3s `+p.version+` has no flag "prefer-bundled-bin"`, "n3x cluster render")
		says(t, build(t, 1, overlay, "node-name: \"server-1\"\n{a: b}\n"), "config.yaml:2: this is no line KEY: VALUE")
		build(t, 0, p.overlay(t, "k3s", sum, offline, `K3S_CHECK_FLAGS = "0"`), "no-such-flag: true\n")
	})
	for _, tt := range []struct{ name, body, want string }{
		{"mute", `println("k3s: use another program")`, "names no flags that can be read"},
		{"hanging", `select { case <-time.After(time.Hour): }`, "did not end within 2 seconds"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.forget(t)
			source := filepath.Join(t.TempDir(), "main.go")
			write(t, source, "package main\nimport \"time\"\nvar _ = time.Hour\nfunc main() { "+tt.body+" }\n")
			goProgram(t, source, "amd64", file)
			says(t, build(t, 1, p.overlay(t, "k3s", digest(t, file), offline, `K3S_CHECK_TIMEOUT = "2"`), ""), tt.want, p.version)
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestK3sAirgap: bundles of container images come from the release by their checksum, or are somebody's own. Costs 10 s.
func TestK3sAirgap(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("needs Debian's mirror: set N3X_TEST_NETWORK=1")
	}
	p := newK3sProject(t)
	defer p.close(t)
	bundle := filepath.Join(p.downloads, "k3s-airgap-images-"+p.version+"-amd64.tar.zst")
	write(t, bundle, "images of the release")
	own := t.TempDir()
	write(t, filepath.Join(own, "mine.tar"), "images of my own")
	write(t, filepath.Join(own, "mine.zip"), "")
	installed := func() string {
		files, err := filepath.Glob(filepath.Join(p.dir, "build/tmp/work/*/k3s-airgap-images/*/*/image/var/lib/rancher/k3s/agent/images/*"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, filepath.Base(f))
		}
		return strings.Join(names, " ")
	}
	for _, tt := range []struct {
		name   string
		lines  []string
		status int
		want   string
	}{
		{"no checksum", nil, 2, `K3S_AIRGAP_SHA256_amd64 is not set: write there the line of k3s-airgap-images-amd64.tar.zst in https://github.com/k3s-io/k3s/releases/download/v` +
			strings.ReplaceAll(p.version, "+", "%2B") + "/sha256sum-amd64.txt"},
		{"release", []string{`K3S_AIRGAP_SHA256_amd64 = "` + digest(t, bundle) + `"`}, 0, "k3s-airgap-images-amd64.tar.zst"},
		{"own", []string{`K3S_AIRGAP_URI = "file://` + own + `/mine.tar"`}, 0, "mine.tar"},
		{"both", []string{`K3S_AIRGAP_URI = "${K3S_AIRGAP_RELEASED} file://` + own + `/mine.tar"`, `K3S_AIRGAP_SHA256_amd64 = "` + digest(t, bundle) + `"`}, 0,
			"k3s-airgap-images-amd64.tar.zst mine.tar"},
		{"no bundle", []string{`K3S_AIRGAP_URI = "file://` + own + `/mine.zip"`}, 1, "K3s imports no images from a file called mine.zip"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overlay := p.overlay(t, "k3s", digest(t, p.program), append(tt.lines, `BB_NO_NETWORK = "1"`)...)
			out := n3x(t, p.dir, tt.status, nil, "build", serverOverlays+":kas/packages/airgap.yml"+overlay, "--target", "k3s-airgap-images", "--task", "install")
			if tt.status == 0 {
				out = installed()
			}
			if !strings.Contains(out, tt.want) || tt.status == 0 && out != tt.want {
				t.Errorf("got %s, want %s", out, tt.want)
			}
		})
	}
}
