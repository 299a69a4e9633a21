package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"n3x/internal/arch"
	"n3x/internal/build"
	"n3x/internal/cli"
	"n3x/internal/sandbox"
	"n3x/internal/vm/qemu"
)

// asProgram makes the test binary be n3x itself.
const asProgram = "N3X_E2E_PROGRAM"

func TestMain(m *testing.M) {
	sandbox.Main()
	if os.Getenv(asProgram) != "" {
		os.Exit(cli.Main(context.Background(), append([]string{"n3x"}, os.Args[1:]...), os.Stdin, os.Stdout, os.Stderr))
	}
	inside, status, err := sandbox.Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if !inside {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

const overlays = "kas/base.yml:kas/machine/qemu-amd64.yml:kas/image/base.yml:kas/network/simple.yml:kas/test/console.yml"

// n3x runs the program in dir and returns what it printed; want is its exit status.
func n3x(t *testing.T, dir string, want int, env []string, args ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := &sandbox.Cmd{Host: true, Argv: append([]string{self}, args...), Dir: dir, Stdout: &out, Stderr: &out,
		Env: append(append(os.Environ(), asProgram+"=1"), env...)}
	err = cmd.Run(t.Context())
	status := 0
	if exit := new(sandbox.ExitError); errors.As(err, &exit) {
		status = exit.Status
	} else if err != nil {
		t.Fatal(err)
	}
	if status != want {
		t.Fatalf("n3x %s: status %d, want %d\n%s", strings.Join(args, " "), status, want, out.String())
	}
	return out.String()
}

// project copies backends/isar to a fresh folder with a history of its own.
func project(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "project")
	if err := os.CopyFS(dir, filtered{os.DirFS("../../backends/isar")}); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"}} {
		var out bytes.Buffer
		cmd := &sandbox.Cmd{Host: true, Argv: append([]string{"git"}, args...), Dir: dir, Stdout: &out, Stderr: &out,
			Env: append(os.Environ(), "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z")}
		if err := cmd.Run(t.Context()); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out.String())
		}
	}
	return dir
}

// filtered hides the build folder.
type filtered struct{ fs.FS }

func (f filtered) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(f.FS, name)
	var out []fs.DirEntry
	for _, e := range entries {
		if name != "." || e.Name() != "build" {
			out = append(out, e)
		}
	}
	return out, err
}

// digests gives the SHA-256 of each deployed file.
func digests(t *testing.T, project string) map[string]string {
	t.Helper()
	dir := filepath.Join(project, "build/tmp/deploy/images/qemuamd64")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		out[e.Name()] = hex.EncodeToString(sum[:])
	}
	return out
}

const imageName = "isar-k3s-image-base-debian-trixie-qemuamd64"

// TestImage builds the base image twice, as different as two builds on one machine can be, and boots it.
func TestImage(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" || os.Getenv("N3X_TEST_VM") == "" {
		t.Skip("builds and boots a whole image: set N3X_TEST_NETWORK=1 and N3X_TEST_VM=1")
	}
	first := project(t)
	n3x(t, first, 0, nil, "build", overlays)
	built := digests(t, first)
	for _, suffix := range []string{".wic", ".wic.zst", ".wic.bmap", "-vmlinuz", "-initrd.img", ".manifest", ".dpkg_status"} {
		if built[imageName+suffix] == "" {
			t.Errorf("%s%s was not built", imageName, suffix)
		}
	}
	if out := n3x(t, first, 0, nil, "build", overlays); !strings.Contains(out, " 0 of them run now") {
		t.Errorf("a second build of the same ran tasks:\n%s", out)
	}
	t.Run("reproducible", func(t *testing.T) {
		second := project(t)
		again := []string{"SSTATE_DIR=" + filepath.Join(t.TempDir(), "sstate"), "TZ=Asia/Tokyo", "LANG=de_DE.UTF-8", "BB_NUMBER_THREADS=1"}
		n3x(t, second, 0, again, "build", overlays)
		other := digests(t, second)
		for name, sum := range built {
			if other[name] != sum {
				t.Errorf("%s differs between two builds", name)
			}
		}
		n3x(t, second, 0, again, "clean")
		if err := sandbox.Remove(filepath.Dir(strings.TrimPrefix(again[0], "SSTATE_DIR="))); err != nil {
			t.Error(err)
		}
	})
	image := filepath.Join(first, "build/tmp/deploy/images/qemuamd64", imageName)
	before := built[imageName+".wic"]
	t.Run("uefi", func(t *testing.T) { bootAndCheck(t, image) }) // TestCluster and TestSuites boot kernels directly
	if digests(t, first)[imageName+".wic"] != before {
		t.Error("booting changed the image")
	}
	n3x(t, first, 0, nil, "clean")
}

// directLine is what boots an image's kernel without its boot loader.
const directLine = "root=LABEL=platform rw rootwait console=ttyS0,115200 net.ifnames=0 biosdevname=0"

// bootAndCheck boots an image whose console logs root in, and looks around.
func bootAndCheck(t *testing.T, image string) {
	g := boot(t, image+".wic", image, "")
	g.check([]check{
		{"ip -4 -o addr show eth1 | tr -s ' ' | cut -d' ' -f4", "192.168.1.1/24"},
		{"systemctl is-active multi-user.target", "active"},
		{"ls /etc/ssh/ssh_host_*_key | wc -l", "3"},
		{"dpkg --audit | wc -l", "0"},
		{"locale -a | grep -c en_US.utf8", "1"},
		{"find /usr/share/man /usr/share/info -type f 2> /dev/null | wc -l", "0"},
		{"findmnt -no FSTYPE /", "ext4"},
		{"grep -c PARTUUID= /etc/fstab", "2"},
		{"test -s /etc/machine-id && grep -c uninitialized /etc/machine-id", "0"},
	})
}

// boot starts a machine with a disk, by its firmware or, when kernelLine is set, with the kernel and initrd that were deployed as
// image, and waits until it runs.
func boot(t *testing.T, disk, image, kernelLine string) *guest {
	t.Helper()
	g := start(t, disk, image, kernelLine, qemu.NIC{User: &qemu.UserNet{}}, qemu.NIC{User: &qemu.UserNet{Restrict: true}})
	g.login()
	return g
}

// start is boot without waiting, of a machine with these network cards.
func start(t *testing.T, disk, image, kernelLine string, nics ...qemu.NIC) *guest {
	t.Helper()
	ctx := t.Context()
	tools := qemu.Tools{Env: os.Environ()}
	if _, err := tools.Firmware("amd64"); tools.Program("amd64") == "" || err != nil {
		layers, err := build.Tools(ctx, build.Options{}, build.Environment(os.Environ()), qemu.Packages("amd64"))
		if err != nil {
			t.Fatal(err)
		}
		tools = qemu.Tools{Layers: layers}
	}
	proof, err := tools.ProveKVM(ctx, arch.Host(), filepath.Join(t.TempDir(), "kvm.json"))
	if err != nil {
		t.Fatal(err)
	}
	m := qemu.Machine{Arch: "amd64", Accel: proof.Accel(), Memory: 1024, Disks: []qemu.Disk{{Path: disk}}, Dir: t.TempDir(), NICs: nics}
	if kernelLine == "" {
		if m.Firmware, err = tools.Firmware("amd64"); err != nil {
			t.Fatal(err)
		}
	} else {
		m.Kernel, m.Initrd, m.Append = image+"-vmlinuz", image+"-initrd.img", kernelLine
	}
	vm, err := qemu.Start(ctx, tools, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	return &guest{t: t, vm: vm, limit: proof.Accel().Scale(2 * time.Minute)}
}

// login waits for the console's shell, and for all services.
func (g *guest) login() {
	g.t.Helper()
	g.wait(`root@[a-z0-9-]+:~# $`)
	if got := g.run("systemctl is-system-running --wait"); got != "running" {
		g.t.Errorf("the system is %q; failed: %s", got, g.run("systemctl --failed --plain --no-legend"))
	}
}

// check is a command and the last line that it must print.
type check struct{ command, want string }

func (g *guest) check(checks []check) {
	g.t.Helper()
	for _, c := range checks {
		if got := g.run(c.command); got != c.want {
			g.t.Errorf("%s: %q, want %q", c.command, got, c.want)
		}
	}
}

// guest is a root shell on a machine's console.
type guest struct {
	t     *testing.T
	vm    *qemu.VM
	limit time.Duration
	n     int
}

func (g *guest) wait(pattern string) []string {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), g.limit)
	defer cancel()
	found, err := g.vm.Console().WaitFor(ctx, regexp.MustCompile(pattern))
	if err != nil {
		g.t.Fatalf("waiting for %q: %v; the console ends with\n%s", pattern, err, g.vm.Console().Recent(30))
	}
	return found
}

// run gives the last line that a command printed.
func (g *guest) run(command string) string {
	g.t.Helper()
	g.n++
	// The mark is written so that the echo of the command line does not hold it.
	fmt.Fprintf(g.vm.Console(), "out=$(%s 2>&1 | tail -n 1); echo \"<%d\"\">$out<\"\"end>\"\n", command, g.n)
	found := g.wait(fmt.Sprintf(`<%d>([^\r\n]*)<end>`, g.n))
	return strings.TrimSpace(found[1])
}
