package vmtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/arch"
	"n3x/internal/cluster"
	"n3x/internal/vm/guest"
	"n3x/internal/vm/qemu"
	"n3x/internal/vm/vswitch"
)

func suiteOf(t *testing.T, name, text string) *Suite {
	t.Helper()
	s, err := Read(name+".yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const twoNodes = "profile: p\noverlays: [kas/base.yml]\nmachines: {one: {}, b: {node: two, overlays: [kas/x.yml]}}\nsteps: [{name: x, machine: one, run: x}]\n" +
	"twins: [{name: t, steps: [{machine: b, run: y}], fails: x}]\n"

func TestRunner(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "x.wic")
	if err := os.WriteFile(image, emptyDisk(4096), 0o600); err != nil {
		t.Fatal(err)
	}
	var built [][]string
	r := &Runner{
		Profiles: []*cluster.Profile{profile(t)}, Dir: t.TempDir(), Twins: true, Parallel: 2,
		Build: func(_ context.Context, chains [][]string) ([]Image, error) {
			built = append(built, chains...)
			out := make([]Image, len(chains))
			for i, c := range chains {
				out[i] = Image{File: image}
				if c[0] == "kas/bad.yml" {
					out[i] = Image{Err: errors.New("bad.yml is bad")}
				}
			}
			return out, nil
		},
		Missing: func(_ *Suite, need string) string { return need + " is not here" },
		Tools: func(arch.Arch) (qemu.Tools, qemu.Accel, error) {
			return qemu.Tools{}, qemu.TCG, errors.New("no machine runs in this test")
		},
	}
	needy := suiteOf(t, "needy", "needs: [k3s]\n"+twoNodes)
	results, err := r.Run(t.Context(), []*Suite{suiteOf(t, "a", twoNodes), needy, suiteOf(t, "b", twoNodes)})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, res := range results {
		state := "skipped: " + res.Skipped
		if res.Err != nil {
			state = "failed"
			if !strings.Contains(res.Err.Error(), "no machine runs in this test") {
				t.Error(res.Err)
			}
		}
		if res.Skipped != "" {
			state = "skipped: " + res.Skipped
		}
		got = append(got, res.Name()+" "+state)
	}
	if d := cmp.Diff([]string{"a failed", "a (t) skipped: the suite itself failed", "needy skipped: k3s is not here", "b failed", "b (t) skipped: the suite itself failed"}, got); d != "" {
		t.Error(d)
	}
	want := [][]string{{"kas/base.yml", "kas/network/p.yml", "kas/node/one.yml"}, {"kas/base.yml", "kas/x.yml", "kas/network/p.yml", "kas/node/two.yml"}}
	if d := cmp.Diff(want, built); d != "" {
		t.Error(d)
	}
	bad := suiteOf(t, "bad", strings.Replace(twoNodes, "base.yml", "bad.yml", 1))
	if results, err := r.Run(t.Context(), []*Suite{bad}); err != nil || !strings.Contains(results[0].Err.Error(), "bad.yaml:3:12: machine one has no image: bad.yml is bad") {
		t.Error(err, results[0].Err)
	}
	r.Build = func(context.Context, [][]string) ([]Image, error) { return nil, errors.New("no build") }
	if _, err := r.Run(t.Context(), []*Suite{suiteOf(t, "a", twoNodes)}); err == nil || err.Error() != "no build" {
		t.Error(err)
	}
}

func TestRunnerNames(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "x.wic")
	if err := os.WriteFile(image, emptyDisk(4096), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Runner{Profiles: []*cluster.Profile{profile(t)}, Dir: t.TempDir(), Build: func(_ context.Context, c [][]string) ([]Image, error) {
		return []Image{{File: image}, {File: image}}[:len(c)], nil
	}}
	for text, want := range map[string]string{
		strings.Replace(twoNodes, "profile: p", "profile: q", 1):              `profiles has no profile "q"`,
		strings.Replace(twoNodes, "node: two", "node: three", 1):              `profile p has no node "three"`,
		strings.Replace(twoNodes, "node: two", "node: two, image: no.wic", 1): "no.wic: no such file",
	} {
		results, err := r.Run(t.Context(), []*Suite{suiteOf(t, "a", text)})
		if err != nil || results[0].Err == nil || !strings.Contains(results[0].Err.Error(), want) {
			t.Errorf("%v, %v; want %s", results[0].Err, err, want)
		}
	}
}

func TestTwinSteps(t *testing.T) {
	t.Parallel()
	s := suiteOf(t, "a", "machines: {m: {}}\nsteps: [{name: x, machine: m, run: x}, {name: y, machine: m, run: y}]\n"+
		"twins: [{name: first, steps: [{machine: m, run: b}], fails: x}, {name: second, after: x, steps: [{machine: m, run: b}], fails: y}]\n")
	for i, want := range []string{"m: b, x, y", "x, m: b, y"} {
		var got []string
		for _, st := range s.Twins[i].steps(s) {
			got = append(got, st.Title())
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if len(s.Steps) != 2 || s.Steps[1].Name != "y" {
		t.Error("the suite itself has changed")
	}
}

func TestUnexpectedDrops(t *testing.T) {
	t.Parallel()
	l, _ := lab(t)
	one, _ := l.Machine("one")
	if _, err := one.cables["eth1"].Write(append(make([]byte, 12), 0x08, 0)); err != nil { // untagged on a trunk
		t.Fatal(err)
	}
	for one.ports["eth1"].Counters().Dropped[vswitch.Untagged] == 0 {
	}
	if err := unexpectedDrops(l, &Suite{}, nil); err == nil || !strings.Contains(err.Error(), "dropped 1 frames at one/eth1: untagged on a trunk") {
		t.Error(err)
	}
	if err := unexpectedDrops(l, &Suite{Drops: []string{"untagged-on-a-trunk"}}, nil); err != nil {
		t.Error(err)
	}
	if err := unexpectedDrops(l, &Suite{}, drops(l)); err != nil { // those of a suite before
		t.Error(err)
	}
}

// A suite's machines can be had without its steps.
func TestOpen(t *testing.T) {
	t.Parallel()
	r := &Runner{Profiles: []*cluster.Profile{profile(t)}, Tools: func(arch.Arch) (qemu.Tools, qemu.Accel, error) {
		return qemu.Tools{}, qemu.TCG, errors.New("no machine runs in this test")
	}}
	dir := t.TempDir()
	image := filepath.Join(dir, "x.wic")
	if err := os.WriteFile(image, emptyDisk(4096), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Suite{Name: "s", Profile: "p", Machines: []MachineDef{{Name: "one", Image: image}, {Name: "two", Image: image}}}
	l, run, err := r.Open(t.Context(), s, Config{Dir: filepath.Join(dir, "out")}, func(s *Spec) error { s.Memory = 99; return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got, err := run.expand("${two.admin}"); err != nil || got != "10.0.2.2" || len(l.Machines()) != 2 {
		t.Errorf("%q, %v", got, err)
	}
	m := l.Machines()[0]
	if m.State(t.Context()) != StateOff || m.Memory() != 99 || !m.Since().IsZero() || m.Accel() != "" || m.Ended() != nil {
		t.Errorf("%s, %d MiB", m.State(t.Context()), m.Memory())
	}
	if _, err := m.Session(t.Context(), guest.Program{Argv: []string{"true"}}); err == nil || !strings.Contains(err.Error(), "machine one is off") {
		t.Errorf("%v", err)
	}
	if err := m.Type([]byte("x")); err == nil {
		t.Error("a machine that is off was typed on")
	}
	if button, err := m.Halt(t.Context(), time.Second); !button || err != nil {
		t.Errorf("%v, %v", button, err)
	}
	s.Machines[1].Node = "three"
	if _, _, err := r.Open(t.Context(), s, Config{Dir: filepath.Join(dir, "out2")}, nil); err == nil {
		t.Error("a machine is a node that the profile does not have")
	}
}
