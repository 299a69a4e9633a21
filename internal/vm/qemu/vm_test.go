package qemu

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/arch"
	"n3x/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// hostTools are the host's QEMU and firmware for a. Without them the test is skipped, unless N3X_TEST_VM=1 demands it.
func hostTools(t *testing.T, a arch.Arch) (Tools, *Firmware) {
	t.Helper()
	tools := Tools{Env: []string{"PATH=" + os.Getenv("PATH")}}
	fw, err := tools.Firmware(a)
	if err == nil && tools.Program(a) != "" {
		return tools, fw
	}
	if os.Getenv("N3X_TEST_VM") == "1" {
		t.Fatalf("QEMU or firmware for %s is not installed (%v)", a, err)
	}
	t.Skipf("QEMU or firmware for %s is not installed", a)
	return tools, nil
}

// slow skips tests that boot a firmware, emulated.
func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("N3X_TEST_VM") != "1" {
		t.Skip("emulates for up to half a minute; N3X_TEST_VM=1 runs it")
	}
}

// stuckKernel is a "kernel" that never gets anywhere: enough to have a running QEMU.
func stuckKernel(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kernel")
	if err := os.WriteFile(name, make([]byte, 0x3000), 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestProofGuest: emulated, the guest that proves KVM gets through; one that hangs does not.
func TestProofGuest(t *testing.T) {
	t.Parallel()
	slow(t)
	for _, a := range []arch.Arch{"amd64", "arm64"} {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			tools, _ := hostTools(t, a)
			if p := tools.boot(t.Context(), a, TCG, 2*time.Minute); !p.Works {
				t.Errorf("emulated, the proof guest ends with %q", p.Reason)
			}
			if p := tools.boot(t.Context(), a, TCG, 300*time.Millisecond); p.Works || !strings.Contains(p.Reason, "within 300ms") {
				t.Errorf("a guest that does not get through gives %+v", p)
			}
		})
	}
}

// TestProveKVM: whatever the host's /dev/kvm is worth, there is an answer in time, and the same one from the cache.
func TestProveKVM(t *testing.T) {
	t.Parallel()
	tools, _ := hostTools(t, arch.Host())
	cache := filepath.Join(t.TempDir(), "kvm.json")
	p, err := tools.ProveKVM(t.Context(), arch.Host(), cache)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("KVM: %+v", p)
	if p.Works != (p.Reason == "") || (p.Accel() == KVM) != p.Works {
		t.Errorf("got %+v", p)
	}
	if _, err := os.Stat(cache); err != nil {
		t.Skipf("no boot was tried: %s", p.Reason)
	}
	saved, ok := loadProof(cache)
	if !ok || saved.Proof != p || saved.Boot == "" {
		t.Errorf("cache holds %+v", saved)
	}
	if err := os.WriteFile(cache, []byte(strings.Replace(read(t, cache), `"works":`, `"reason":"cached","works":`, 1)), 0o666); err != nil {
		t.Fatal(err)
	}
	kept := read(t, cache)
	if again, err := tools.ProveKVM(t.Context(), arch.Host(), cache); err != nil || again.Works != p.Works {
		t.Errorf("got %+v, %v", again, err)
	}
	if read(t, cache) != kept {
		t.Error("what was proven is proven again")
	}
	other := arch.Arch("arm64")
	if arch.Host() == other {
		other = "amd64"
	}
	if p, _ := tools.ProveKVM(t.Context(), other, ""); p.Works || !strings.Contains(p.Reason, "the host is") {
		t.Errorf("foreign architecture: %+v", p)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestLife: a machine starts, answers QMP, and leaves no process and no file when it is closed or cancelled.
func TestLife(t *testing.T) {
	t.Parallel()
	tools, _ := hostTools(t, "amd64")
	for name, end := range map[string]func(context.CancelFunc, *VM) error{
		"close":  func(_ context.CancelFunc, v *VM) error { return v.Close() },
		"twice":  func(_ context.CancelFunc, v *VM) error { return errors.Join(v.Close(), v.Close()) },
		"cancel": func(c context.CancelFunc, v *VM) error { c(); return v.Wait() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			dir := t.TempDir()
			v, err := Start(ctx, tools, Machine{Name: "life," + name, Arch: "amd64", Memory: 64, Kernel: stuckKernel(t), Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			var status struct{ Status string }
			if err := v.QMP(ctx, "query-status", nil, &status); err != nil || status.Status != "running" {
				t.Errorf("status %+v, %v", status, err)
			}
			if err := v.QMP(ctx, "nonsense", nil, nil); err == nil || !strings.Contains(err.Error(), "nonsense") {
				t.Errorf("got %v", err)
			}
			if err := end(cancel, v); name != "cancel" && err != nil || name == "cancel" && !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("left %v", left)
			}
			if n := processes(t, "life,,"+name); n != 0 {
				t.Errorf("%d processes are left", n)
			}
			if err := v.QMP(ctx, "query-status", nil, nil); err == nil {
				t.Error("a machine that has ended answers")
			}
		})
	}
}

// processes counts those that have arg on their command line.
func processes(t *testing.T, arg string) (n int) {
	t.Helper()
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, l := range lines {
		if data, err := os.ReadFile(l); err == nil && bytes.Contains(data, []byte("\x00"+arg+"\x00")) {
			n++
		}
	}
	return n
}

// TestFirmware boots firmware from a disk that holds no loader: its console is seen, the power button works or the plug
// is pulled, and the disk stays as it was.
func TestFirmware(t *testing.T) {
	t.Parallel()
	slow(t)
	tools, fw := hostTools(t, "amd64")
	disk := filepath.Join(t.TempDir(), "disk, with comma.wic")
	if err := os.WriteFile(disk, bytes.Repeat([]byte("n3x "), 1<<18), 0o444); err != nil {
		t.Fatal(err)
	}
	before := read(t, disk)
	var log bytes.Buffer
	v, err := Start(t.Context(), tools, Machine{Arch: "amd64", Memory: 256, Firmware: fw, Disks: []Disk{{Path: disk, Serial: "x"}}, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, stop := context.WithTimeout(t.Context(), TCG.Scale(10*time.Second))
	defer stop()
	if _, err := v.Console().WaitFor(ctx, regexp.MustCompile(`BdsDxe: (failed to load|No bootable)`)); err != nil {
		t.Fatal(err)
	}
	short, stop2 := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop2()
	if _, err := v.Console().WaitFor(short, regexp.MustCompile(`never`)); err == nil || !strings.Contains(err.Error(), "time is up") || !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "BdsDxe") {
		t.Errorf("got %v", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if _, err := v.Console().WaitFor(t.Context(), regexp.MustCompile(`never`)); err == nil || !strings.Contains(err.Error(), "the machine has ended") {
		t.Errorf("got %v", err)
	}
	if read(t, disk) != before {
		t.Error("the disk was changed")
	}
	if !strings.Contains(log.String(), "BdsDxe") {
		t.Error("the log lacks the console")
	}
}

// TestSocketNIC: frames of the guest come out of the socket, one a datagram. The firmware, which finds nothing to boot
// from, starts its shell, in which an address is asked for.
func TestSocketNIC(t *testing.T) {
	t.Parallel()
	slow(t)
	tools, fw := hostTools(t, "amd64")
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	mine := os.NewFile(uintptr(fds[0]), "nic")
	conn, err := net.FileConn(mine)
	mine.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	disk := stuckKernel(t)
	v, err := Start(t.Context(), tools, Machine{Arch: "amd64", Memory: 256, Firmware: fw, Disks: []Disk{{Path: disk}},
		NICs: []NIC{{Socket: os.NewFile(uintptr(fds[1]), "nic"), MAC: "52:54:00:aa:bb:cc"}, {User: &UserNet{Restrict: true}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, stop := context.WithTimeout(t.Context(), TCG.Scale(15*time.Second))
	defer stop()
	if _, err := v.Console().WaitFor(ctx, regexp.MustCompile(`Shell> `)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Console().Write([]byte("connect -r\rifconfig -s eth0 dhcp\r")); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(TCG.Scale(15 * time.Second)))
	frame := make([]byte, 9000)
	n, err := conn.Read(frame)
	if err != nil {
		t.Fatalf("%v; console:\n%s", err, v.Console().Recent(10))
	}
	if n < 14 || !bytes.Equal(frame[6:12], []byte{0x52, 0x54, 0, 0xaa, 0xbb, 0xcc}) {
		t.Errorf("frame %x", frame[:n])
	}
}

func TestStartFailures(t *testing.T) {
	t.Parallel()
	k := stuckKernel(t)
	for _, tt := range []struct {
		name string
		m    Machine
		want string
	}{
		{"arch", Machine{Arch: "riscv64", Kernel: k}, `architecture "riscv64" is not supported yet`},
		{"nothing to boot", Machine{Arch: "amd64"}, "neither firmware nor a kernel"},
		{"no disk", Machine{Arch: "amd64", Firmware: &Firmware{}}, "neither a disk nor a kernel"},
		{"missing disk", Machine{Arch: "amd64", Kernel: k, Disks: []Disk{{Path: "/nope.wic"}}}, "/nope.wic: no such file"},
		{"folder", Machine{Arch: "amd64", Kernel: "/"}, "/ is a folder"},
		{"append alone", Machine{Arch: "amd64", Firmware: &Firmware{}, Disks: []Disk{{Path: k}}, Append: "x"}, "needs a kernel"},
		{"memory", Machine{Arch: "amd64", Kernel: k, Memory: 3}, "out of range"},
		{"port", Machine{Arch: "amd64", Kernel: k, NICs: []NIC{{User: &UserNet{Forwards: []Forward{{0, 22}}}}}}, "out of range"},
	} {
		if _, err := Start(t.Context(), Tools{}, tt.m); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := (Tools{Layers: []string{t.TempDir()}}).Firmware("amd64"); err == nil {
		t.Error("firmware in an empty tools tree")
	}
	_, err := Start(t.Context(), Tools{Layers: []string{t.TempDir()}}, Machine{Arch: "amd64", Kernel: k})
	if err == nil || !strings.Contains(err.Error(), "qemu-system-x86_64 is not found") {
		t.Errorf("got %v", err)
	}
	tools, _ := hostTools(t, "amd64")
	dir := t.TempDir()
	_, err = Start(t.Context(), tools, Machine{Arch: "amd64", Kernel: k, Dir: dir, NICs: []NIC{{User: &UserNet{}, MAC: "nonsense"}}})
	if err == nil || !strings.Contains(err.Error(), "start machine vm: QEMU: ") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// TestToolsTree runs QEMU and the firmware of a tools tree, in a sandbox with the tree as root.
func TestToolsTree(t *testing.T) {
	t.Parallel()
	tree := os.Getenv("N3X_TEST_QEMU_TREE")
	if tree == "" || os.Getuid() != 0 {
		t.Skip("N3X_TEST_QEMU_TREE names no unpacked tree, or this is not root of a namespace")
	}
	tools := Tools{Layers: []string{tree}}
	fw, err := tools.Firmware("amd64")
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(t.TempDir(), "disk, with comma.wic")
	if err := os.WriteFile(disk, make([]byte, 1<<20), 0o444); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	v, err := Start(t.Context(), tools, Machine{Name: "tools", Arch: "amd64", Memory: 64, Firmware: fw, Dir: dir,
		Kernel: stuckKernel(t), Append: "x y", Disks: []Disk{{Path: disk}}, NICs: []NIC{{User: &UserNet{}}}})
	if err != nil {
		t.Fatal(err)
	}
	var blocks []struct {
		Inserted struct{ Image struct{ Filename string } }
	}
	if err := v.QMP(t.Context(), "query-block", nil, &blocks); err != nil || len(blocks) == 0 {
		t.Errorf("blocks %+v, %v", blocks, err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// TestTerminal: the machine's console is the given files; the escape Ctrl-A X ends it.
func TestTerminal(t *testing.T) {
	t.Parallel()
	tools, _ := hostTools(t, "amd64")
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	v, err := Start(t.Context(), tools, Machine{Name: "terminal", Arch: "amd64", Memory: 64, Kernel: stuckKernel(t), Terminal: &Terminal{in, out}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.Console() != nil {
		t.Error("the console has two owners")
	}
	if _, err := typed.Write([]byte("\x01x")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-v.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("Ctrl-A X does not end the machine")
	}
	if err := v.Wait(); err != nil {
		t.Error(err)
	}
	if got := read(t, out.Name()); !strings.Contains(got, "QEMU: Terminated") {
		t.Errorf("terminal shows %q", got)
	}
}
