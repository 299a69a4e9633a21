package vmtest

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"n3x/internal/arch"
	"n3x/internal/vm/qemu"
	"n3x/internal/vm/vswitch"
)

// stuckImage is an image with a "kernel" beside it that never gets anywhere: enough to have running machines.
func stuckImage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	kernel := make([]byte, 0x3000)
	kernel[0x1f1], kernel[0x211] = 1, 1 // sectors of its setup; loaded high
	copy(kernel[0x202:], "HdrS\x03\x02")
	copy(kernel[0x22c:], "\xff\xff\xff\x37") // how high an initrd may lie
	for name, data := range map[string][]byte{"x.wic": emptyDisk(1 << 20), "x-vmlinuz": kernel, "x-initrd.img": make([]byte, 512)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "x.wic")
}

// emulated are the host's tools; without QEMU the test is skipped.
func emulated(t *testing.T) func(arch.Arch) (qemu.Tools, qemu.Accel, error) {
	t.Helper()
	tools := qemu.Tools{Env: []string{"PATH=" + os.Getenv("PATH")}}
	if tools.Program(arch.Host()) == "" {
		if os.Getenv("N3X_TEST_VM") == "1" {
			t.Fatal("QEMU is not installed")
		}
		t.Skip("QEMU is not installed")
	}
	return func(arch.Arch) (qemu.Tools, qemu.Accel, error) { return tools, qemu.TCG, nil }
}

// status is what QEMU says of a machine; "off" when there is none.
func status(t *testing.T, m *Machine) string {
	t.Helper()
	vm, _, err := m.on()
	if err != nil {
		return "off"
	}
	var got struct{ Status string }
	if err := vm.QMP(t.Context(), "query-status", nil, &got); err != nil {
		t.Fatal(err)
	}
	return got.Status
}

// TestSaveRestore: machines that run, stand still or are off, and what is set at their switch, come back as they were, also from other
// QEMUs, more than once.
func TestSaveRestore(t *testing.T) {
	t.Parallel()
	image := stuckImage(t)
	l, err := New(Config{Dir: filepath.Join(t.TempDir(), "out"), Tools: emulated(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	machines := map[string]*Machine{}
	for _, name := range []string{"runs", "stands", "kept", "off"} {
		m, err := l.Add(Spec{Name: name, Image: image, Direct: true, Memory: 64, CPUs: 1, Persistent: name == "kept", Cards: []Card{{Name: "eth1", Switch: "lan"}}})
		if err != nil {
			t.Fatal(err)
		}
		if machines[name] = m; name != "off" {
			if err := m.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	must(machines["stands"].Pause(t.Context()), machines["kept"].PowerOff())
	must(l.impair(machines["runs"].ports["eth1"], vswitch.Condition{Loss: 0.5}))
	machines["stands"].ports["eth1"].SetUp(false)
	before := l.Switch("lan").State()
	must(l.Save(t.Context(), "one"))
	if err := l.Save(t.Context(), "one"); err == nil || !strings.Contains(err.Error(), `there is a state "one" already`) {
		t.Errorf("%v", err)
	}
	if err := l.Restore(t.Context(), "two"); err == nil || !strings.Contains(err.Error(), `there is no state "two"; there are: ["one"]`) {
		t.Errorf("%v", err)
	}
	states := func() (out []string) {
		t.Helper()
		for _, name := range []string{"runs", "stands", "kept", "off"} {
			out = append(out, name+" "+status(t, machines[name]))
		}
		return out
	}
	const want = "runs running, stands paused, kept off, off off"
	if got := strings.Join(states(), ", "); got != want {
		t.Errorf("saved: %s", got)
	}
	for i, change := range []func(){
		func() {},
		func() { must(machines["runs"].Pause(t.Context()), machines["stands"].Resume(t.Context())) },
		func() {
			must(machines["runs"].PowerOff(), machines["kept"].Start(t.Context()), machines["off"].Start(t.Context()))
			machines["stands"].ports["eth1"].SetUp(true)
			must(l.impair(machines["runs"].ports["eth1"], vswitch.Condition{}), l.Switch("lan").Partition(l.Switch("lan").Ports()[:1]))
		},
		func() { must(machines["runs"].PowerOff(), machines["runs"].Start(t.Context())) },
	} {
		change()
		must(l.Restore(t.Context(), "one"))
		if got := strings.Join(states(), ", "); got != want {
			t.Errorf("%d: %s", i, got)
		}
		if got := l.Switch("lan").State(); !got.Equal(before) {
			t.Errorf("%d: the switch is %+v", i, got)
		}
	}
	must(l.Forget(t.Context(), "one"), l.Forget(t.Context(), "one"))
	if err := l.Restore(t.Context(), "one"); err == nil {
		t.Error("a forgotten state came back")
	}
	for _, m := range l.Machines() {
		if len(m.disks) > 1 {
			t.Errorf("%s has %d disks", m.Name(), len(m.disks))
		}
	}
	late, err := l.Add(Spec{Name: "late", Image: image, Direct: true})
	must(err, late.PowerOff(), l.Close())
}

// TestFramesOfAnotherTime: what is under way in the network does not come to machines that have been put back.
func TestFramesOfAnotherTime(t *testing.T) {
	t.Parallel()
	l, _ := lab(t)
	one, _ := l.Machine("one")
	two, _ := l.Machine("two")
	if err := l.Save(t.Context(), "quiet"); err != nil {
		t.Fatal(err)
	}
	frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06}, make([]byte, 30)...)
	if err := l.impair(two.ports["eth3"], vswitch.Condition{Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := one.cables["eth3"].Write(frame); err != nil { // waits in the switch
		t.Fatal(err)
	}
	if err := l.impair(two.ports["eth3"], vswitch.Condition{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Restore(t.Context(), "quiet"); err != nil {
		t.Fatal(err)
	}
	frame[20] = 7
	if _, err := one.cables["eth3"].Write(frame); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if n, err := two.cables["eth3"].Read(got); err != nil || n != len(frame) || got[20] != 7 {
		t.Errorf("%x, %v", got[:n], err)
	}
}

const twins = `machines: {m: {image: %s, boot: direct, start: false, memory: 64, cpus: 1}}
steps:
  - {name: first, machine: m, power: start}
  - {name: second, machine: m, power: pause}
  - {name: third, machine: m, power: resume}
twins:
  - {name: no plug, after: first, steps: [{machine: m, power: "off"}], fails: second}
  - {name: no plug later, after: second, steps: [{machine: m, power: "off"}], fails: third}
  - {name: no plug once more, after: first, steps: [{machine: m, power: "off"}], fails: second}
  - {name: from the start, steps: [{machine: m, power: start}], fails: first}
`

// TestTwinsFromStates: twins begin where they differ, each with results of its own.
func TestTwinsFromStates(t *testing.T) {
	t.Parallel()
	r := &Runner{Dir: t.TempDir(), Tools: emulated(t), Twins: true}
	s := suiteOf(t, "s", strings.Replace(twins, "%s", stuckImage(t), 1))
	next := suiteOf(t, "next", strings.Replace(twins, "%s", s.Machines[0].Image, 1)) // on the same machine
	results, err := r.Run(t.Context(), []*Suite{s, next})
	if err != nil {
		t.Fatal(err)
	}
	want := []int{3, 3, 2, 3, 4, 3, 3, 2, 3, 4}
	if len(results) != len(want) {
		t.Fatalf("%d results", len(results))
	}
	for i, res := range results {
		if res.Failed() || len(res.Cases) != want[i] {
			t.Errorf("%s: %v, %d cases; %q", res.Name(), res.Err, len(res.Cases), res.Notes)
		}
		if _, err := os.Stat(filepath.Join(res.Dir, "m.console")); err != nil {
			t.Error(err)
		}
		if i == 5 {
			if !strings.Contains(strings.Join(res.Notes, "\n"), "its machines are those of the suite before") {
				t.Errorf("%s: %q", res.Name(), res.Notes)
			}
			continue
		}
		if i > 0 && !strings.Contains(strings.Join(res.Notes, "\n"), "it began with the state of the suite's own run") {
			t.Errorf("%s: %q", res.Name(), res.Notes)
		}
	}
}

// TestTwinsWithoutStates: where the state is not there, twins boot.
func TestTwinsWithoutStates(t *testing.T) {
	t.Parallel()
	r := &Runner{Dir: t.TempDir(), Tools: emulated(t), Twins: true}
	s := suiteOf(t, "s", strings.Replace(twins, "%s", stuckImage(t), 1))
	s.Twins = s.Twins[:1]
	j := job{suite: s, twins: s.Twins, images: []string{s.Machines[0].Image}}
	tt := r.trial(s, s.Twins[0])
	tt.do(func() error { return r.twin(t.Context(), j, stage{}, tt, points{"first": errNotReached}) })
	if res := tt.res; res.Failed() || len(res.Cases) != 4 || !strings.Contains(strings.Join(res.Notes, "\n"), "its machines were booted: the state of the suite's own run behind step \"first\" is not there: ") {
		t.Errorf("%v, %d cases; %q", res.Err, len(res.Cases), res.Notes)
	}
}

// firstCluster is the byte at 4096 of what a machine has written; "" when it has written nothing there. It reads the tables of QEMU's format.
func firstCluster(t *testing.T, overlay *os.File) string {
	t.Helper()
	number := func(at int64) int64 {
		b := make([]byte, 8)
		if _, err := overlay.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		return int64(binary.BigEndian.Uint64(b) & 0x00fffffffffffe00)
	}
	table := number(number(40))
	if table == 0 || number(table) == 0 {
		return ""
	}
	b := make([]byte, 1)
	if _, err := overlay.ReadAt(b, number(table)+4096); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDisks: what a machine has written is there again when it is persistent, is gone when it is not, and is that of then in a state.
func TestDisks(t *testing.T) {
	t.Parallel()
	l, err := New(Config{Dir: t.TempDir(), Tools: emulated(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	io := func(m *Machine, command string) { // as the machine's own disk controller
		t.Helper()
		const all = "/machine/peripheral-anon"
		var devices []struct{ Name, Type string }
		must(m.vm.QMP(t.Context(), "qom-list", map[string]string{"path": all}, &devices))
		at := slices.IndexFunc(devices, func(d struct{ Name, Type string }) bool { return d.Type == "child<virtio-blk-pci>" })
		line := fmt.Sprintf(`qemu-io -d %s/%s/virtio-backend "%s"`, all, devices[at].Name, command)
		must(m.vm.QMP(t.Context(), "human-monitor-command", map[string]string{"command-line": line}, nil))
	}
	for _, persistent := range []bool{false, true} {
		image := stuckImage(t)
		m, err := l.Add(Spec{Name: fmt.Sprintf("persistent-%t", persistent), Image: image, Direct: true, Memory: 64, CPUs: 1, Persistent: persistent})
		must(err, m.Start(t.Context()))
		holds := func(want string) bool {
			t.Helper()
			io(m, "flush")
			return firstCluster(t, m.disk) == want
		}
		if !holds("") {
			t.Error("the disk is not the image")
		}
		io(m, "write -P 0x41 4096 65536")
		must(m.PowerOff(), m.Start(t.Context()))
		if holds("A") != persistent || holds("") == persistent {
			t.Errorf("persistent is %t, but the disk is not", persistent)
		}
		io(m, "write -P 0x42 4096 65536")
		must(l.Save(t.Context(), m.Name()))
		io(m, "write -P 0x43 4096 65536")
		must(l.Restore(t.Context(), m.Name()))
		if !holds("B") {
			t.Error("the state has another disk")
		}
		io(m, "write -P 0x43 4096 65536")
		must(m.PowerOff(), l.Restore(t.Context(), m.Name()))
		if !holds("B") {
			t.Error("the state in another QEMU has another disk")
		}
		if data, err := os.ReadFile(image); err != nil || strings.ContainsAny(string(data), "ABC") {
			t.Errorf("the image was changed, %v", err)
		}
		must(m.PowerOff(), l.Forget(t.Context(), m.Name()))
	}
}
