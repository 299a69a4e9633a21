package vmtest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"n3x/internal/cluster"
	"n3x/internal/diag"
	"n3x/internal/vm/guest"
)

// Run is a suite that runs on a lab.
type Run struct {
	lab     *Lab
	profile *cluster.Profile // nil without one
	nodes   map[string]string
	current *Step
	behind  func(context.Context, *Step) // called behind each of the suite's steps that holds; may be nil

	// Always are conditions that must hold all the time.
	Always []*Step

	mu      sync.Mutex
	cases   []Case
	notes   []string
	figures []measured
	said    strings.Builder
}

// Case is a step's result, a test case of JUnit.
type Case struct {
	Name    string
	Pos     diag.Pos
	Start   time.Time
	Took    time.Duration
	Err     error
	Skipped string // why it did not run
	Notes   []string
	Output  string // what its commands wrote
}

// NewRun prepares a run. nodes are the profile's nodes by machine.
func NewRun(l *Lab, p *cluster.Profile, nodes map[string]string) *Run {
	return &Run{lab: l, profile: p, nodes: nodes}
}

// Cases are the results so far.
func (r *Run) Cases() []Case { return r.cases }

// All runs the steps of a suite. After one that fails the rest is skipped: a machine in the wrong state proves nothing.
func (r *Run) All(ctx context.Context, steps []*Step) error {
	start := time.Now()
	watched, stop := r.watch(ctx, r.Always)
	failed := r.all(watched, steps)
	var b *broken
	if errors.As(context.Cause(watched), &b) {
		stop()
		r.cases = append(r.cases, Case{Name: b.step.Title(), Pos: b.step.Pos, Start: start, Took: time.Since(start), Err: b.err})
		return b.err
	}
	for _, w := range stop() {
		c := w.result(start)
		if failed != nil && w.polls == 0 {
			c.Err, c.Skipped = nil, "a step failed before anybody was asked"
		}
		r.cases = append(r.cases, c)
		failed = errors.Join(failed, c.Err)
	}
	return failed
}

// all runs the steps themselves.
func (r *Run) all(ctx context.Context, steps []*Step) error {
	var failed error
	for _, s := range steps {
		c := Case{Name: s.Title(), Pos: s.Pos, Start: time.Now()}
		if failed != nil {
			c.Skipped = "a step before it failed"
		} else {
			if c.Skipped, c.Err = r.unwanted(ctx, s); c.Skipped == "" && c.Err == nil {
				c.Err = r.step(ctx, s)
			}
			failed = c.Err
			c.Took = time.Since(c.Start)
			c.Notes, c.Output = r.notes, r.said.String()
			r.notes, r.figures = nil, nil
			if b := (*broken)(nil); c.Err != nil && errors.As(context.Cause(ctx), &b) {
				c.Err, c.Skipped = nil, "it was given up: "+b.step.Title()+" did not hold meanwhile"
			}
			r.said.Reset()
			r.lab.log(Event{Kind: "step", Text: c.Name, At: c.Start, Took: c.Took, Failed: c.Err != nil})
		}
		r.cases = append(r.cases, c)
		if failed == nil && r.behind != nil {
			r.behind(ctx, s)
		}
	}
	return failed
}

// unwanted is why a step does not apply: what its condition wrote when it did not hold on the step's first machine.
func (r *Run) unwanted(ctx context.Context, s *Step) (string, error) {
	if s.When == nil {
		return "", nil
	}
	machines, err := r.machines(s)
	if err != nil {
		return "", err
	}
	inner, cancel := context.WithTimeout(ctx, r.lab.pace.Limit(onceLimit))
	defer cancel()
	err = s.When.Act(inner, r, machines[0])
	var not *guest.StatusError
	switch {
	case err == nil:
		return "", nil
	case errors.As(err, &not):
		if said := strings.TrimSpace(string(not.Result.Stdout) + string(not.Result.Stderr)); said != "" {
			return said, nil
		}
		return "it does not apply: " + s.When.String(), nil
	}
	return "", diag.Failedf(s.Pos, "%s: whether it applies: %w", s.Title(), err)
}

// Title is the step's name, or what it does.
func (s *Step) Title() string {
	if s.Name != "" {
		return s.Name
	}
	title := s.Do.String()
	if len(s.On) > 0 {
		title = strings.Join(s.On, ", ") + ": " + title
	}
	return title
}

// steps runs steps inside another one.
func (r *Run) steps(ctx context.Context, steps []*Step) error {
	for _, s := range steps {
		if why, err := r.unwanted(ctx, s); err != nil {
			return err
		} else if why != "" {
			r.note("%s was skipped: %s", s.Title(), why)
			continue
		}
		if err := r.step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// step runs one step on its machines, one after the other, so that faults have an order.
func (r *Run) step(ctx context.Context, s *Step) error {
	outer := r.current
	r.current = s
	defer func() { r.current = outer }()
	machines, err := r.machines(s)
	if err != nil {
		return err
	}
	for _, m := range machines {
		if err := r.hold(ctx, s, m); err != nil {
			where := s.Title()
			if m != nil {
				where = m.Name() + ": " + s.Do.String()
			}
			e := diag.Failedf(s.Pos, "%s: %w", where, err)
			if m != nil {
				if vm, _, oerr := m.on(); oerr == nil {
					e = e.WithNote("the console of %s ends with\n%s", m.Name(), vm.Console().Recent(10))
				}
			}
			return e
		}
	}
	return nil
}

func (r *Run) machines(s *Step) ([]*Machine, error) {
	if len(s.On) == 0 {
		return []*Machine{nil}, nil
	}
	var out []*Machine
	for _, name := range s.On {
		if name == "all" {
			out = append(out, r.lab.Machines()...)
			continue
		}
		m, err := r.lab.Machine(name)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// retryAfter is how long a step that does not hold yet is left alone: each try costs an emulated machine processor time.
const retryAfter = 300 * time.Millisecond

// onceLimit is how long a step without a limit of its own may take.
const onceLimit = 60 * time.Second

// hold does a step until it holds, and then for as long as it must hold.
func (r *Run) hold(ctx context.Context, s *Step, m *Machine) error {
	limit := s.Within
	switch s.Do.(type) {
	case *Group: // each of its steps has a limit
		return s.Do.Act(ctx, r, m)
	case *Power:
		limit = max(limit, 2*bootLimit)
	}
	if limit == 0 {
		limit = onceLimit
	}
	if err := r.until(ctx, s, m, r.lab.pace.Limit(limit)); err != nil {
		return err
	}
	if s.For == 0 {
		return nil
	}
	start, tries := time.Now(), 0
	for time.Since(start) < s.For {
		if err := wait(ctx, retryAfter); err != nil {
			return err
		}
		tries++
		once, cancel := context.WithTimeout(ctx, r.lab.pace.Limit(onceLimit))
		err := s.Do.Act(once, r, m)
		cancel()
		if err != nil {
			return fmt.Errorf("it held at first, but not after %s: %w", time.Since(start).Round(time.Millisecond), err)
		}
	}
	r.note("it held for %s, at each of %d tries", s.For, tries+1)
	return nil
}

// until repeats a step with a limit of its own until it holds.
func (r *Run) until(ctx context.Context, s *Step, m *Machine, limit time.Duration) error {
	start := time.Now()
	inner, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s are over", limit.Round(time.Second)))
	defer cancel()
	var last error
	for {
		err := s.Do.Act(inner, r, m)
		switch {
		case err == nil:
			return nil
		case s.Within == 0:
			return err
		case inner.Err() != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case inner.Err() == nil:
			last = err
		}
		if inner.Err() != nil || wait(inner, retryAfter) != nil {
			if last == nil {
				last = err
			}
			return fmt.Errorf("not within %s: %w", time.Since(start).Round(time.Second), last)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// note keeps a finding of the current step for the report.
func (r *Run) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// maxOutput bounds what a step's commands leave in a report.
const maxOutput = 64 << 10

// output keeps what a command wrote for the report.
func (r *Run) output(m *Machine, script string, res guest.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said.Len() < maxOutput {
		fmt.Fprintf(&r.said, "%s# %s\n%s%s[%d]\n", m.Name(), script, res.Stdout, res.Stderr, res.Status)
	}
}

// reference is ${machine.network}: an address by names.
var reference = regexp.MustCompile(`\$\{([a-z0-9-]+)\.([a-z0-9-]+)\}`)

// expand replaces references to addresses.
func (r *Run) expand(s string) (string, error) {
	var errs []error
	out := reference.ReplaceAllStringFunc(s, func(ref string) string {
		m := reference.FindStringSubmatch(ref)
		node, known := r.nodes[m[1]]
		if !known || r.profile == nil {
			errs = append(errs, diag.Userf(diag.Pos{}, "%s: machine %s is no node of a profile", ref, m[1]))
			return ref
		}
		n, err := r.profile.Node(node)
		if err != nil {
			errs = append(errs, err)
			return ref
		}
		address := n.Address(m[2])
		if address == "" {
			errs = append(errs, diag.Userf(diag.Pos{}, "%s: node %s has no address in network %s", ref, node, m[2]))
		}
		return address
	})
	return out, errors.Join(errs...)
}
