// Package runqueue runs jobs that depend on each other: as many at once as allowed, each after what it needs,
// none after a failure that it depends on. It knows nothing of what a job does.
//
// Mirrors bitbake lib/bb/runqueue.py (RunQueueExecute) in what users see: after a failure no new job starts, running
// ones finish, and with KeepGoing everything that does not depend on the failure is still done.
package runqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Job is one piece of work.
type Job struct {
	Name  string // e.g. "mc:qemuamd64-trixie:isar-k3s-image-base:do_rootfs_install"
	Needs []int  // indices of the jobs that must have succeeded before; all smaller than the job's own index
	Run   func(ctx context.Context) error
	Ahead bool // it only helps jobs to come: it is cancelled once no further job will start, and its failure is not told then
}

// Options changes how jobs are run. The zero value runs one at a time and stops at the first failure.
type Options struct {
	Parallel  int  // jobs at once; 0 = 1
	KeepGoing bool // after a failure, still do everything that does not depend on it
}

// Failure is one job that failed.
type Failure struct {
	Job string
	Err error
}

// Error is the job's name and its error.
func (f *Failure) Error() string { return f.Job + ": " + f.Err.Error() }

// Unwrap gives the job's error.
func (f *Failure) Unwrap() error { return f.Err }

type state int

const (
	waiting state = iota
	running
	done
	failed
	skipped
)

// Run runs all jobs. The order of start among jobs that are ready is that of the slice, so that the caller decides
// what is urgent. The error joins one [*Failure] for each job that failed, or is ctx's cause when it was cancelled.
func Run(ctx context.Context, jobs []Job, o Options) error {
	if err := check(jobs); err != nil {
		return err
	}
	type result struct {
		index int
		err   error
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	aheadCtx, cancelAhead := context.WithCancel(ctx)
	defer cancelAhead()
	states := make([]state, len(jobs))
	results := make(chan result)
	active, stopping := 0, false
	var failures []error

	start := func() {
		for i := range jobs {
			if stopping || active >= max(o.Parallel, 1) {
				return
			}
			if states[i] != waiting {
				continue
			}
			switch ready(jobs, states, i) {
			case done:
				states[i] = running
				active++
				jobCtx := ctx
				if jobs[i].Ahead {
					jobCtx = aheadCtx
				}
				go func() { results <- result{i, jobs[i].Run(jobCtx)} }()
			case failed:
				states[i] = skipped
			}
		}
	}
	for start(); active > 0; start() {
		if stopping || !slices.Contains(states, waiting) {
			cancelAhead() // nothing is to come that it could help
		}
		r := <-results
		active--
		if r.err == nil {
			states[r.index] = done
			continue
		}
		states[r.index] = failed
		cancelled := ctx.Err() != nil || jobs[r.index].Ahead && aheadCtx.Err() != nil
		if !errors.Is(r.err, context.Canceled) || !cancelled {
			failures = append(failures, &Failure{jobs[r.index].Name, r.err})
		}
		if !o.KeepGoing {
			stopping = true
		}
		if ctx.Err() != nil {
			stopping = true
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return errors.Join(failures...)
}

// ready tells whether everything that job i needs is done, has failed, or is still to come (waiting).
func ready(jobs []Job, states []state, i int) state {
	worst := done
	for _, n := range jobs[i].Needs {
		switch states[n] {
		case failed, skipped:
			return failed
		case waiting, running:
			worst = waiting
		}
	}
	return worst
}

// check refuses needs that point forward, which is also how a cycle would show.
func check(jobs []Job) error {
	for i, j := range jobs {
		for _, n := range j.Needs {
			if n < 0 || n >= i {
				return fmt.Errorf("BUG: job %q needs job %d, which does not come before it", strings.TrimSpace(j.Name), n)
			}
		}
	}
	return nil
}
