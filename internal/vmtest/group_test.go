package vmtest

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"n3x/internal/vm/guest"
)

// doing is an action of a test that sees the run.
type doing func(ctx context.Context, r *Run) error

func (d doing) Act(ctx context.Context, r *Run, _ *Machine) error { return d(ctx, r) }
func (doing) String() string                                      { return "doing" }

func TestGroup(t *testing.T) {
	t.Parallel()
	for _, fresh := range []bool{false, true} {
		_, r := lab(t)
		times := 0
		step := &Step{Name: "flap", Do: doing(func(_ context.Context, r *Run) error {
			times++
			r.measure("gap", time.Duration(times)*time.Second)
			r.note("it flapped")
			return nil
		})}
		if err := r.All(t.Context(), []*Step{{Name: "flaps", Do: &Group{Times: 4, Steps: []*Step{step}, Fresh: fresh}}}); err != nil || times != 4 {
			t.Errorf("%v after %d times", err, times)
		}
		notes := r.Cases()[0].Notes
		for _, want := range []string{"1: it flapped", "4: it flapped", "gap: min 1s, median 2.5s, max 4s of 4: 1s, 2s, 3s, 4s"} {
			if !slices.Contains(notes, want) {
				t.Errorf("%q lacks %q", notes, want)
			}
		}
		if len(r.lab.saved) > 0 {
			t.Error("a state is left")
		}
	}
	_, r := lab(t)
	times := 0
	err := r.All(t.Context(), []*Step{{Name: "flaps", Do: &Group{Times: 4, Steps: []*Step{{Name: "flap", Do: fake(func() error {
		if times++; times == 3 {
			return errors.New("down")
		}
		return nil
	})}}}}})
	if err == nil || !strings.Contains(err.Error(), "time 3 of 4: flap: down") || times != 3 {
		t.Errorf("%v after %d times", err, times)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	if got := spread([]time.Duration{3, 1, 2}); got != "min 0s, median 0s, max 0s of 3: 0s, 0s, 0s" {
		t.Error(got)
	}
	if got := spread([]time.Duration{3e9, 1e9, 2e9}); got != "min 1s, median 2s, max 3s of 3: 3s, 1s, 2s" {
		t.Error(got)
	}
}

// TestAlways: a condition that stops holding ends the step that runs, and is what failed.
func TestAlways(t *testing.T) {
	t.Parallel()
	_, r := lab(t)
	asked := 0
	r.Always = []*Step{{Name: "well", On: []string{"one"}, Do: fake(func() error {
		if asked++; asked > 2 {
			return &guest.StatusError{Result: guest.Result{Status: 7}}
		}
		return nil
	})}}
	endless := doing(func(ctx context.Context, _ *Run) error { <-ctx.Done(); return context.Cause(ctx) })
	err := r.All(t.Context(), []*Step{{Name: "first", Do: fake(func() error { return nil })}, {Name: "endless", Do: endless}, {Name: "last", Do: endless}})
	if err == nil || !strings.Contains(err.Error(), "well: after ") || !strings.Contains(err.Error(), "one: : exit status 7") {
		t.Errorf("%v", err)
	}
	var got []string
	for _, c := range r.Cases() {
		state := "ok"
		if c.Err != nil {
			state = "failed"
		}
		if c.Skipped != "" {
			state = c.Skipped
		}
		got = append(got, c.Name+": "+state)
	}
	want := []string{"first: ok", "endless: it was given up: well did not hold meanwhile", "last: a step before it failed", "well: failed"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestAlwaysAsked: machines that do not answer break nothing, but a condition that nobody could be asked for proves nothing.
func TestAlwaysAsked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers bool
		want    string
	}{"silent": {false, "no machine could be asked whether it holds"}, "answers": {true, ""}} {
		_, r := lab(t)
		polled := make(chan bool)
		r.Always = []*Step{{Name: "well", On: []string{"all"}, Do: fake(func() error {
			select {
			case polled <- true:
			default:
			}
			if tt.answers {
				return nil
			}
			return &unanswered{errors.New("off")}
		})}}
		err := r.All(t.Context(), []*Step{{Name: "waits", Do: fake(func() error { <-polled; <-polled; <-polled; return nil })}})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if c := r.Cases(); len(c) != 2 || c[1].Name != "well" || (c[1].Err == nil) != tt.answers {
			t.Errorf("%s: %+v", name, c)
		}
	}
	_, r := lab(t)
	one, _ := r.lab.Machine("one")
	var silent *unanswered
	if err := (&Script{Text: "true"}).Act(t.Context(), r, one); !errors.As(err, &silent) {
		t.Errorf("a machine that is off gave the answer %v", err)
	}
}

// TestDevices: keyboard, screen and QMP of a machine that runs.
func TestDevices(t *testing.T) {
	t.Parallel()
	l, err := New(Config{Dir: t.TempDir(), Tools: emulated(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m, err := l.Add(Spec{Name: "m", Image: stuckImage(t), Direct: true, Memory: 64, CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := NewRun(l, nil, nil)
	answer := func(text string) *QMP {
		q, err := readQMP(text)
		if err != nil {
			t.Fatal(err)
		}
		q.Answer = (&suiteReader{}).pattern(nil)
		return q
	}
	running := answer("query-status")
	running.Answer = regexp.MustCompile("paused by nobody")
	for _, tt := range []struct {
		do   Action
		want string
	}{
		{&Keys{[]string{"ctrl-alt-delete", "ret"}}, ""},
		{&Keys{[]string{"any"}}, "press any at machine m: "},
		{&Typing{Text: "Hi, you!\n"}, ""},
		{&Typing{Text: "grün"}, `'ü' is on no key`},
		{&Typing{Text: "ok\n", Serial: true}, ""},
		{&Shot{"desk"}, ""},
		{answer("query-status"), ""},
		{answer(`{"execute": "human-monitor-command", "arguments": {"command-line": "info version"}}`), ""},
		{answer("no-such-command"), "no-such-command"},
		{running, "the answer does not match"},
	} {
		if err := r.step(t.Context(), &Step{On: []string{"m"}, Do: tt.do}); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.do, err, tt.want)
		}
	}
}

func TestReadQMP(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "Query", `{"execute": 3}`, `{"execute": "x", "id": 1}`, `{"execute": "x"} y`, `{}`} {
		if _, err := readQMP(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
