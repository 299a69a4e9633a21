package runqueue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestEachJobRunsOnceAndAfterItsNeeds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		finished := make([]atomic.Bool, 40)
		var runs atomic.Int32
		jobs := make([]Job, len(finished))
		for i := range jobs {
			for n := range i {
				if rng.IntN(6) == 0 {
					jobs[i].Needs = append(jobs[i].Needs, n)
				}
			}
			jobs[i].Name = fmt.Sprint(i)
			jobs[i].Run = func(context.Context) error {
				runs.Add(1)
				for _, n := range jobs[i].Needs {
					if !finished[n].Load() {
						return fmt.Errorf("job %d started before %d was done", i, n)
					}
				}
				finished[i].Store(true)
				return nil
			}
		}
		if err := Run(t.Context(), jobs, Options{Parallel: 1 + int(seed%5)}); err != nil {
			t.Fatal(err)
		}
		if int(runs.Load()) != len(jobs) {
			t.Fatalf("seed %d: %d runs of %d jobs", seed, runs.Load(), len(jobs))
		}
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, c := range []struct {
		keep bool
		want string
	}{{false, "a bad"}, {true, "a bad free"}} {
		var mu sync.Mutex
		var ran []string
		job := func(name string, err error, needs ...int) Job {
			return Job{Name: name, Needs: needs, Run: func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				ran = append(ran, name)
				return err
			}}
		}
		jobs := []Job{job("a", nil), job("bad", boom, 0), job("dependent", nil, 1), job("below", nil, 2), job("free", nil, 0)}
		err := Run(t.Context(), jobs, Options{KeepGoing: c.keep})
		var f *Failure
		if !errors.As(err, &f) || f.Job != "bad" || !errors.Is(err, boom) {
			t.Errorf("keep=%v: error %v", c.keep, err)
		}
		if got := strings.Join(ran, " "); got != c.want {
			t.Errorf("keep=%v: ran %q, want %q", c.keep, got, c.want)
		}
	}
}

func TestCancelStopsAndReportsTheCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("interrupted")
	jobs := []Job{
		{Name: "first", Run: func(ctx context.Context) error { cancel(stop); <-ctx.Done(); return ctx.Err() }},
		{Name: "second", Run: func(context.Context) error { t.Error("second was started"); return nil }},
	}
	if err := Run(ctx, jobs, Options{}); !errors.Is(err, stop) {
		t.Errorf("error %v, want the cause", err)
	}
}

func TestParallelLimit(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	gate := make(chan struct{})
	var open sync.Once
	var jobs []Job
	for i := range 12 {
		jobs = append(jobs, Job{Name: fmt.Sprint(i), Run: func(context.Context) error {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			if n == 3 {
				open.Do(func() { close(gate) })
			}
			<-gate
			now.Add(-1)
			return nil
		}})
	}
	if err := Run(t.Context(), jobs, Options{Parallel: 3}); err != nil {
		t.Fatal(err)
	}
	if most.Load() != 3 {
		t.Errorf("%d jobs at once, want 3", most.Load())
	}
}

func TestForwardNeedIsABug(t *testing.T) {
	t.Parallel()
	if err := Run(t.Context(), []Job{{Name: "a", Needs: []int{0}}}, Options{}); err == nil {
		t.Error("a job that needs itself was accepted")
	}
}

func TestRunningJobsFinishAfterAFailure(t *testing.T) {
	t.Parallel()
	failed := make(chan struct{})
	finished := false
	jobs := []Job{
		{Name: "bad", Run: func(context.Context) error { defer close(failed); return errors.New("boom") }},
		{Name: "slow", Run: func(ctx context.Context) error { <-failed; finished = ctx.Err() == nil; return nil }},
		{Name: "never", Run: func(context.Context) error { t.Error("a job was started after a failure"); return nil }},
	}
	if err := Run(t.Context(), jobs, Options{Parallel: 2}); err == nil || !finished {
		t.Errorf("error %v, the running job finished undisturbed: %v", err, finished)
	}
}

func TestAllFailuresAreReported(t *testing.T) {
	t.Parallel()
	var jobs []Job
	for i := range 3 {
		jobs = append(jobs, Job{Name: fmt.Sprint("job", i), Run: func(context.Context) error { return fmt.Errorf("boom %d", i) }})
	}
	err := Run(t.Context(), jobs, Options{KeepGoing: true})
	for i := range 3 {
		if want := fmt.Sprintf("job%d: boom %d", i, i); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err := Run(t.Context(), nil, Options{}); err != nil {
		t.Errorf("no jobs: %v", err)
	}
}

// A job that works ahead is cancelled when what it helps will not come: after a failure, and when all else is done.
func TestAheadIsCancelled(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Parallel: 2}, {Parallel: 2, KeepGoing: true}} {
		cancelled := false
		started := make(chan struct{})
		fault := errors.New("fault")
		err := Run(t.Context(), []Job{
			{Name: "ahead", Ahead: true, Run: func(ctx context.Context) error {
				close(started)
				<-ctx.Done()
				cancelled = true
				return ctx.Err()
			}},
			{Name: "fails", Run: func(context.Context) error { <-started; return fault }},
			{Name: "after", Needs: []int{1}, Run: func(context.Context) error { return nil }},
		}, o)
		if !errors.Is(err, fault) || errors.Is(err, context.Canceled) || !cancelled {
			t.Errorf("%+v: %v, cancelled: %t", o, err, cancelled)
		}
	}
}

// While something is to come, it goes on.
func TestAheadGoesOn(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	err := Run(t.Context(), []Job{
		{Name: "ahead", Ahead: true, Run: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return errors.New("cancelled too early")
			case <-release:
				return nil
			}
		}},
		{Name: "first", Run: func(context.Context) error { return nil }},
		{Name: "second", Needs: []int{1}, Run: func(context.Context) error { close(release); return nil }},
		{Name: "third", Needs: []int{0, 2}, Run: func(context.Context) error { return nil }},
	}, Options{Parallel: 2})
	if err != nil {
		t.Error(err)
	}
}
