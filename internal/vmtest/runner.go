package vmtest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"n3x/internal/arch"
	"n3x/internal/cluster"
	"n3x/internal/diag"
	"n3x/internal/vm/qemu"
	"n3x/internal/vm/vswitch"
)

// Runner runs suites.
type Runner struct {
	Profiles []*cluster.Profile
	// Build gives the image of each chain of kas files, all of which are built at once. The error is for what no chain is to blame for.
	Build func(ctx context.Context, chains [][]string) ([]Image, error)
	// Missing says why something that a suite needs is not there; "" when it is.
	Missing func(s *Suite, need string) string
	Tools   func(arch.Arch) (qemu.Tools, qemu.Accel, error)

	Dir      string // gets a folder for each suite
	Scale    float64
	Seed     uint64
	Parallel int  // how many suites run at once; 0 is 1
	Twins    bool // runs the suites' twins, too
	// Stay is called before the machines of a suite end, for somebody who wants to look; nil does not.
	Stay func(ctx context.Context, l *Lab, r *Result)
	Show func(suite string, e Event)
}

// job is a suite, or a twin of one, with its images.
type job struct {
	suite  *Suite
	twin   *Twin
	images []string
	err    error       // why it has no images
	edit   func(*Spec) // changes a machine before it is added; nil does not
}

// Run runs suites and their twins, and gives their results in that order. The error is about what is no suite's own: images that
// cannot be built.
func (r *Runner) Run(ctx context.Context, suites []*Suite) ([]*Result, error) {
	var jobs []job
	var wanted []*Suite
	results := map[int]*Result{}
	for _, s := range suites {
		at := len(jobs)
		jobs = append(jobs, job{suite: s})
		if why := r.skip(s); why != "" {
			results[at] = &Result{Suite: s, Skipped: why, Start: time.Now()}
			continue
		}
		wanted = append(wanted, s)
		if r.Twins {
			for _, t := range s.Twins {
				jobs = append(jobs, job{suite: s, twin: t})
			}
		}
	}
	if err := r.images(ctx, jobs, Chains(wanted)); err != nil {
		return nil, err
	}
	out := make([]*Result, len(jobs))
	limit := make(chan struct{}, max(r.Parallel, 1))
	var all sync.WaitGroup
	for i, j := range jobs {
		if results[i] != nil {
			out[i] = results[i]
			continue
		}
		all.Add(1)
		limit <- struct{}{}
		go func() {
			defer func() { <-limit; all.Done() }()
			out[i] = r.one(ctx, j)
		}()
	}
	all.Wait()
	return out, nil
}

// skip is why a suite cannot run here.
func (r *Runner) skip(s *Suite) string {
	for _, need := range s.Needs {
		if why := r.Missing(s, need); why != "" {
			return why
		}
	}
	return ""
}

// one runs one suite on a lab of its own.
func (r *Runner) one(ctx context.Context, j job) *Result {
	res := &Result{Suite: j.suite, Twin: j.twin, Start: time.Now()}
	res.Dir = filepath.Join(r.Dir, fileName(res.Name()))
	log := NewTimeline(func(e Event) {
		if r.Show != nil {
			r.Show(res.Name(), e)
		}
	})
	if res.Err = j.err; res.Err == nil {
		res.Err = r.inLab(ctx, j, res, log)
	}
	res.Took = time.Since(res.Start)
	res.Events = log.Events()
	res.judge()
	return res
}

func (r *Runner) inLab(ctx context.Context, j job, res *Result, log *Timeline) (err error) {
	l, err := New(Config{Tools: r.Tools, Dir: res.Dir, Scale: r.Scale, Seed: r.Seed, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	profile, nodes, err := r.cable(l, j)
	if err != nil {
		return err
	}
	if j.suite.Capture {
		for _, m := range l.Machines() {
			for _, card := range sortedKeys(m.ports) {
				if err := m.ports[card].Capture(l.file(m.Name() + "-" + card + ".pcap")); err != nil {
					return err
				}
			}
		}
	}
	var first []*Machine
	for i, m := range l.Machines() {
		if !j.suite.Machines[i].Off {
			first = append(first, m)
		}
	}
	if err := l.Boot(ctx, first...); err != nil {
		return err
	}
	limit := l.pace.Limit(j.suite.Limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the suite's %s are over", limit.Round(time.Second)))
	defer cancel()
	run := NewRun(l, profile, nodes)
	steps := j.suite.Steps
	if j.twin != nil {
		steps = j.twin.steps(j.suite)
	}
	failed := run.All(ctx, steps)
	res.Cases = run.Cases()
	res.Notes = append(res.Notes, fmt.Sprintf("limits were %.1f times those of machines with KVM", l.pace.Factor()))
	if failed == nil && j.twin == nil {
		res.Err = unexpectedDrops(l, j.suite)
		err = res.Err
	}
	if r.Stay != nil {
		r.Stay(ctx, l, res)
	}
	return err
}

// steps are the suite's steps with the twin's own among them.
func (t *Twin) steps(s *Suite) []*Step {
	at := 0
	if t.After != "" {
		at = 1 + slices.IndexFunc(s.Steps, func(st *Step) bool { return st.Name == t.After })
	}
	return slices.Concat(s.Steps[:at:at], t.Steps, s.Steps[at:])
}

// cable adds the suite's machines.
func (r *Runner) cable(l *Lab, j job) (*cluster.Profile, map[string]string, error) {
	var profile *cluster.Profile
	nodes := map[string]string{}
	if j.suite.Profile != "" {
		var err error
		if profile, err = cluster.Find("profiles", r.Profiles, j.suite.Profile); err != nil {
			return nil, nil, diag.Userf(j.suite.Pos, "%w", err)
		}
	}
	for i := range j.suite.Machines {
		m := &j.suite.Machines[i]
		spec := Spec{Name: m.Name, Image: j.images[i], Direct: m.Direct, CPUs: m.CPUs, Memory: m.Memory, Persistent: m.Persistent}
		if profile != nil {
			node, err := profile.Node(m.NodeOf())
			if err != nil {
				return nil, nil, diag.Userf(m.Pos, "%w", err)
			}
			nodes[m.Name] = node.Name
			spec.Cards = NodeCards(profile, node, "lan")
		}
		if j.edit != nil {
			j.edit(&spec)
		}
		if _, err := l.Add(spec); err != nil {
			return nil, nil, err
		}
	}
	return profile, nodes, nil
}

// unexpectedDrops fails when the switch dropped frames for a reason that nobody asked for: a network that works loses nothing.
func unexpectedDrops(l *Lab, s *Suite) error {
	var errs []error
	for _, m := range l.Machines() {
		for _, card := range sortedKeys(m.ports) {
			c := m.ports[card].Counters()
			for r := range vswitch.Reasons() {
				if n := c.Dropped[r]; n > 0 && !expected(r) && !slices.Contains(s.Drops, dropName(r)) {
					errs = append(errs, diag.Failedf(s.Pos, "the switch dropped %d frames at %s/%s: %s", n, m.Name(), card, r).
						WithHint("when the test means that, write drops: [%s]", dropName(r)))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// expected are drops that happen in any network, or that only an action causes.
func expected(r vswitch.Reason) bool {
	switch r {
	case vswitch.Reserved, vswitch.NoReceiver, vswitch.SamePort, vswitch.PortDown, vswitch.Partitioned, vswitch.Lost, vswitch.Unplugged:
		return true
	}
	return false
}

// fileName is a name without what file systems and shells dislike.
func fileName(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, s), "-")
}
