package vmtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"n3x/internal/diag"
)

// Group is steps that are done several times, such as a fault and its repair: once says little about what happens by chance.
type Group struct {
	Times int
	Steps []*Step
	// Fresh puts the lab back to where it was before the first time, before each further one.
	Fresh bool
}

// String says how often.
func (g *Group) String() string {
	var titles []string
	for _, s := range g.Steps {
		titles = append(titles, s.Title())
	}
	return fmt.Sprintf("%d times: %s", g.Times, strings.Join(titles, "; "))
}

// measured is a figure that a step has found.
type measured struct {
	name  string
	value time.Duration
}

// Act does it. What the steps measure is noted for each time, and least, median and most of all of them.
func (g *Group) Act(ctx context.Context, r *Run, _ *Machine) (err error) {
	state := fmt.Sprintf("group at %s", r.current.Pos)
	if g.Fresh && g.Times > 1 {
		if err := r.lab.Save(ctx, state); err != nil {
			return fmt.Errorf("each time was to begin afresh: %w", err)
		}
		defer func() { err = errors.Join(err, r.lab.Forget(context.WithoutCancel(ctx), state)) }()
	}
	var all []measured
	for i := range g.Times {
		if i > 0 && g.Fresh {
			if err := r.lab.Restore(ctx, state); err != nil {
				return err
			}
		}
		start := time.Now()
		notes, figures := r.begin()
		err := r.steps(ctx, g.Steps)
		found := r.finish(notes, figures, fmt.Sprintf("%d: ", i+1))
		all = append(append(all, found...), measured{"each time took", time.Since(start)})
		r.lab.log(Event{Kind: "repetition", Text: fmt.Sprintf("%d of %d", i+1, g.Times), Took: time.Since(start), Failed: err != nil})
		if err != nil {
			r.summary(all)
			return fmt.Errorf("time %d of %d: %w", i+1, g.Times, err)
		}
	}
	r.summary(all)
	return nil
}

// begin takes what was noted so far, and finish puts it back, with what came since behind it.
func (r *Run) begin() (notes []string, figures []measured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	notes, figures = r.notes, r.figures
	r.notes, r.figures = nil, nil
	return notes, figures
}

func (r *Run) finish(notes []string, figures []measured, prefix string) []measured {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := r.figures
	for _, n := range r.notes {
		notes = append(notes, prefix+n)
	}
	r.notes, r.figures = notes, figures
	return found
}

// measure keeps a figure of the current step.
func (r *Run) measure(name string, value time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.figures = append(r.figures, measured{name, value})
}

// summary notes least, median and most of each figure.
func (r *Run) summary(all []measured) {
	var names []string
	by := map[string][]time.Duration{}
	for _, m := range all {
		if by[m.name] == nil {
			names = append(names, m.name)
		}
		by[m.name] = append(by[m.name], m.value)
	}
	for _, name := range names {
		r.note("%s: %s", name, spread(by[name]))
	}
}

// spread describes figures, which are in the order in which they were found.
func spread(values []time.Duration) string {
	var each []string
	for _, v := range values {
		each = append(each, v.Round(time.Millisecond).String())
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	median := (sorted[(n-1)/2] + sorted[n/2]) / 2
	return fmt.Sprintf("min %s, median %s, max %s of %d: %s", sorted[0].Round(time.Millisecond), median.Round(time.Millisecond),
		sorted[n-1].Round(time.Millisecond), n, strings.Join(each, ", "))
}

// Watch is what must hold all the time while a suite runs.
type Watch struct {
	*Step
	polls, unanswered int
}

const (
	pollEvery    = 500 * time.Millisecond // with KVM
	pollAtMost   = 10 * time.Second       // also on the slowest machine
	pollPatience = 20 * time.Second       // how long one may take, with KVM
)

// broken is a condition that did not hold.
type broken struct {
	step *Step
	err  error
}

// Error says which.
func (b *broken) Error() string { return fmt.Sprintf("what must hold always did not: %v", b.err) }

// Unwrap is how it did not.
func (b *broken) Unwrap() error { return b.err }

// watch asks for conditions until stop is called. When one does not hold, the context that it gives ends, with a *broken as cause. A machine
// that is off, restarts, or does not answer, is left alone.
func (r *Run) watch(ctx context.Context, conditions []*Step) (watched context.Context, stop func() []*Watch) {
	watched, cancel := context.WithCancelCause(ctx)
	own := &Run{lab: r.lab, profile: r.profile, nodes: r.nodes}
	polling, end := context.WithCancel(ctx)
	start := time.Now()
	var all []*Watch
	for _, s := range conditions {
		all = append(all, &Watch{Step: s})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for len(all) > 0 && wait(polling, min(r.lab.pace.Limit(pollEvery), pollAtMost)) == nil {
			for _, w := range all {
				if err := own.poll(polling, w); err != nil {
					cancel(&broken{w.Step, diag.Failedf(w.Pos, "%s: after %s: %w", w.Title(), time.Since(start).Round(100*time.Millisecond), err)})
					return
				}
			}
		}
	}()
	return watched, func() []*Watch {
		end()
		<-done
		cancel(nil)
		return all
	}
}

// poll asks for a condition once.
func (r *Run) poll(ctx context.Context, w *Watch) error {
	machines, err := r.machines(w.Step)
	if err != nil {
		return err
	}
	for _, m := range machines {
		inner, cancel := context.WithTimeout(ctx, r.lab.pace.Limit(pollPatience))
		err := w.Do.Act(inner, r, m)
		cancel()
		var silent *unanswered
		switch {
		case errors.As(err, &silent) || ctx.Err() != nil:
			w.unanswered++
		case err != nil:
			return fmt.Errorf("%s: %w", m.Name(), err)
		default:
			w.polls++
		}
	}
	return nil
}

// result is the case of a condition that has held.
func (w *Watch) result(start time.Time) Case {
	c := Case{Name: w.Title(), Pos: w.Pos, Start: start, Took: time.Since(start)}
	c.Notes = []string{fmt.Sprintf("it held each of %d times that it was asked for; %d times nobody answered", w.polls, w.unanswered)}
	if w.polls == 0 {
		c.Err = diag.Failedf(w.Pos, "%s: no machine could be asked whether it holds", w.Title())
	}
	return c
}

// unanswered is a machine that was asked and gave no answer, which says nothing about what it was asked.
type unanswered struct{ err error }

// Error is why.
func (u *unanswered) Error() string { return u.err.Error() }

// Unwrap is why.
func (u *unanswered) Unwrap() error { return u.err }
