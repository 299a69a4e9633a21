package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/arch"
	"n3x/internal/cluster"
	"n3x/internal/sandbox"
	"n3x/internal/vm/guest"
	"n3x/internal/vm/qemu"
	"n3x/internal/vm/vswitch"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	if dir, name, ok := strings.Cut(os.Getenv(leakVar), ":"); ok {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err := playLab(ctx, dir, name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const bonded = `
networks:
  cluster: {interface: bond0, vlan: 200, subnet: 10.0.0.0/24}
  admin: {interface: eth3, subnet: 10.0.2.0/24}
bonds:
  bond0: {members: [eth1, eth2], mode: active-backup}
k3s: {network: cluster}
nodes:
  one: {role: server, networks: {cluster: 10.0.0.1, admin: 10.0.2.1}}
  two: {role: agent, networks: {cluster: 10.0.0.2, admin: 10.0.2.2}}
`

func profile(t *testing.T) *cluster.Profile {
	t.Helper()
	p, err := cluster.Read("p.yaml", []byte(bonded))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// emptyDisk is a disk whose partition table has nothing in it.
func emptyDisk(size int) []byte {
	disk := make([]byte, size)
	disk[510], disk[511] = 0x55, 0xaa
	return disk
}

// lab has the two nodes of the profile, off: their disks are empty files.
func lab(t *testing.T) (*Lab, *Run) {
	t.Helper()
	p := profile(t)
	dir := t.TempDir()
	l, err := New(Config{Dir: filepath.Join(dir, "out"), Tools: func(arch.Arch) (qemu.Tools, qemu.Accel, error) {
		return qemu.Tools{}, qemu.TCG, errors.New("no machine runs in this test")
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	image := filepath.Join(dir, "x.wic")
	if err := os.WriteFile(image, emptyDisk(4096), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes := map[string]string{}
	for _, n := range p.Nodes {
		if _, err := l.Add(Spec{Name: n.Name, Image: image, Cards: NodeCards(p, n, "lan")}); err != nil {
			t.Fatal(err)
		}
		nodes[n.Name] = n.Name
	}
	return l, NewRun(l, p, nodes)
}

func TestNodeCards(t *testing.T) {
	t.Parallel()
	p := profile(t)
	got := NodeCards(p, p.Nodes[0], "lan")
	trunk := vswitch.PortConfig{Trunk: []int{200}}
	want := []Card{{Name: "eth1", Switch: "lan", Port: trunk}, {Name: "eth2", Switch: "lan", Port: trunk}, {Name: "eth3", Switch: "lan", Port: vswitch.PortConfig{Access: 4000}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestLab(t *testing.T) {
	t.Parallel()
	l, _ := lab(t)
	if _, err := l.Machine("three"); err == nil || !strings.Contains(err.Error(), `there is no machine "three"; there are: one, two`) {
		t.Error(err)
	}
	if _, err := l.Add(Spec{Name: "one"}); err == nil {
		t.Error("two machines have one name")
	}
	one, err := l.Machine("one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Port("eth7"); err == nil || !strings.Contains(err.Error(), `machine one has no network card "eth7"; it has: eth1, eth2, eth3`) {
		t.Error(err)
	}
	if err := one.Boot(t.Context()); err == nil || !strings.Contains(err.Error(), "no machine runs") {
		t.Error(err)
	}
	if _, err := one.Do(t.Context(), "true"); err == nil || !strings.Contains(err.Error(), "machine one is off") {
		t.Error(err)
	}
	image := filepath.Join(t.TempDir(), "x.wic")
	if err := os.WriteFile(image, emptyDisk(4096), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cards := range [][]Card{{{Name: "wlan0"}}, {{Name: "eth01"}}, {{Name: "eth99"}}, {{Name: "eth1"}, {Name: "eth1"}}, {{Name: "eth1", Port: vswitch.PortConfig{Access: 9999}}}} {
		if _, err := l.Add(Spec{Name: "bad", Image: image, Cards: cards}); err == nil {
			t.Errorf("%+v was taken", cards)
		}
	}
}

// fake is an action whose result the test chooses.
type fake func() error

func (f fake) Act(context.Context, *Run, *Machine) error { return f() }
func (fake) String() string                              { return "fake" }

func TestSteps(t *testing.T) {
	t.Parallel()
	_, r := lab(t)
	tries := 0
	late := fake(func() error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	ok := fake(func() error { return nil })
	bad := fake(func() error { return errors.New("broken") })
	err := r.All(t.Context(), []*Step{
		{Name: "waits", Do: late, Within: time.Minute},
		{Name: "never", Do: bad, Within: 500 * time.Millisecond},
		{Name: "after", Do: ok},
	})
	if err == nil || !strings.Contains(err.Error(), "never: not within ") || !strings.Contains(err.Error(), "broken") {
		t.Errorf("%v", err)
	}
	var got []string
	for _, c := range r.Cases() {
		state := "ok"
		if c.Err != nil {
			state = "failed"
		}
		if c.Skipped != "" {
			state = "skipped"
		}
		got = append(got, c.Name+" "+state)
	}
	if want := []string{"waits ok", "never failed", "after skipped"}; !slices.Equal(got, want) || tries != 3 {
		t.Errorf("%q after %d tries", got, tries)
	}
}

func TestWhen(t *testing.T) {
	t.Parallel()
	_, r := lab(t)
	ran := 0
	act := fake(func() error { ran++; return nil })
	not := func(said string) Action {
		return fake(func() error { return &guest.StatusError{Result: guest.Result{Status: 1, Stderr: []byte(said)}} })
	}
	steps := []*Step{
		{Name: "applies", On: []string{"one"}, Do: act, When: fake(func() error { return nil })},
		{Name: "does not", On: []string{"one"}, Do: act, When: not("no images are here\n")},
		{Name: "says nothing", On: []string{"one"}, Do: act, When: not("")},
		{Name: "outer", On: []string{"one"}, Do: act},
		{Name: "cannot be asked", On: []string{"one"}, Do: act, When: fake(func() error { return errors.New("the machine is off") })},
		{Name: "last", On: []string{"one"}, Do: act},
	}
	err := r.All(t.Context(), steps)
	if err == nil || !strings.Contains(err.Error(), "cannot be asked: whether it applies: the machine is off") || ran != 2 {
		t.Errorf("%v, %d ran", err, ran)
	}
	var got []string
	for _, c := range r.Cases() {
		got = append(got, c.Skipped)
	}
	if d := cmp.Diff([]string{"", "no images are here", "it does not apply: fake", "", "", "a step before it failed"}, got); d != "" {
		t.Error(d)
	}
	if err := r.steps(t.Context(), steps[:3]); err != nil || ran != 3 || len(r.notes) != 2 || r.notes[0] != "does not was skipped: no images are here" {
		t.Errorf("%v, %d, %q", err, ran, r.notes)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	_, r := lab(t)
	start := time.Now()
	breaks := fake(func() error {
		if time.Since(start) > 500*time.Millisecond {
			return errors.New("gone")
		}
		return nil
	})
	if err := r.step(t.Context(), &Step{Do: breaks, For: time.Minute}); err == nil || !strings.Contains(err.Error(), "it held at first, but not after") {
		t.Errorf("%v", err)
	}
	if err := r.step(t.Context(), &Step{Do: fake(func() error { return nil }), For: 700 * time.Millisecond}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.step(ctx, &Step{Do: fake(func() error { return ctx.Err() }), Within: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := r.step(t.Context(), &Step{On: []string{"three"}, Do: fake(func() error { return nil })}); err == nil {
		t.Error("a machine that is not there took a step")
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	_, r := lab(t)
	if got, err := r.expand("ping ${two.admin}; echo $HOME ${HOME}"); err != nil || got != "ping 10.0.2.2; echo $HOME ${HOME}" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"${three.admin}", "${two.nowhere}"} {
		if _, err := r.expand(bad); err == nil {
			t.Errorf("%s was expanded", bad)
		}
	}
}

func TestLongestGap(t *testing.T) {
	t.Parallel()
	const out = `100.000000000
PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.
[100.100000] 64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=1.2 ms
[100.300000] no answer yet for icmp_seq=2
[101.350000] 64 bytes from 10.0.0.2: icmp_seq=13 ttl=64 time=1.0 ms
--- 10.0.0.2 ping statistics ---
101.500000000
`
	if gap, n, err := longestGap(out); err != nil || n != 2 || gap.Round(time.Millisecond) != 1250*time.Millisecond {
		t.Errorf("%s, %d, %v", gap, n, err)
	}
	if gap, n, err := longestGap("100.0\nconnect: Network is unreachable\n103.5\n"); err != nil || n != 0 || gap != 3500*time.Millisecond {
		t.Errorf("%s, %d, %v", gap, n, err)
	}
	if _, _, err := longestGap("sh: ping: not found"); err == nil {
		t.Error("nothing was measured")
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	p := &Pace{scale: 2}
	if p.Limit(time.Second) != 2*time.Second {
		t.Error(p.Factor())
	}
	p.begin(qemu.TCG)
	if p.Limit(time.Second) != 16*time.Second {
		t.Error(p.Factor())
	}
	p.booted(time.Second)
	p.booted(100 * time.Second)
	if p.Limit(time.Second) != 40*time.Second {
		t.Error(p.Factor())
	}
}

func TestNetworkActions(t *testing.T) {
	t.Parallel()
	l, r := lab(t)
	one, _ := l.Machine("one")
	two, _ := l.Machine("two")
	send := func(m *Machine) {
		t.Helper()
		frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06}, make([]byte, 30)...)
		if _, err := m.cables["eth3"].Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	dropped := func(m *Machine, why vswitch.Reason, n uint64) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); m.ports["eth3"].Counters().Dropped[why] != n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %s", m.Name(), m.ports["eth3"].Counters())
			}
		}
	}
	do := func(a Action, on ...string) {
		t.Helper()
		if err := r.step(t.Context(), &Step{On: on, Do: a}); err != nil {
			t.Fatal(err)
		}
	}
	do(&Partition{[][]string{{"one"}, {"two"}}})
	send(one)
	dropped(two, vswitch.Partitioned, 1)
	do(&Partition{})
	do(&Impair{Card: "eth3", Condition: vswitch.Condition{Loss: 1}}, "two")
	send(one)
	dropped(two, vswitch.Lost, 1)
	send(two)
	dropped(two, vswitch.Lost, 2) // on its way in
	do(&Impair{Card: "eth3"}, "two")
	do(&Port{Card: "eth3"}, "two")
	send(one)
	dropped(two, vswitch.PortDown, 1)
	do(&Port{Card: "eth3", Up: true}, "two")
	do(&PortVLANs{Card: "eth3", Untagged: 7}, "two")
	send(two)
	dropped(two, vswitch.NoReceiver, 1)
	do(&PortVLANs{Card: "eth3"}, "two")
	send(one)
	frame := make([]byte, 100)
	if n, err := two.cables["eth3"].Read(frame); err != nil || n != 44 {
		t.Errorf("%d, %v", n, err)
	}
	for _, a := range []Action{&Partition{[][]string{{"one"}, {"three"}}}, &Partition{[][]string{{"one"}, {"one"}}}} {
		if err := r.step(t.Context(), &Step{Do: a}); err == nil {
			t.Errorf("%s was done", a)
		}
	}
}
