package vmtest

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
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
	// Stay is called behind the last step of a suite or a twin, for somebody who wants to look; nil does not.
	Stay func(ctx context.Context, l *Lab, r *Result) error
	Show func(suite string, e Event)
}

// job is a suite with its images.
type job struct {
	suite   *Suite
	twins   []*Twin
	images  []string
	err     error             // why it has no images
	edit    func(*Spec) error // changes a machine before it is added; nil does not
	skipped string            // why it does not run
}

// Run runs suites and their twins, and gives their results in that order. The error is about what is no suite's own: images that
// cannot be built.
func (r *Runner) Run(ctx context.Context, suites []*Suite) ([]*Result, error) {
	jobs := make([]job, len(suites))
	var wanted []*Suite
	for i, s := range suites {
		jobs[i].suite = s
		if jobs[i].skipped = r.skip(s); jobs[i].skipped != "" {
			continue
		}
		wanted = append(wanted, s)
		if r.Twins {
			jobs[i].twins = s.Twins
		}
	}
	if err := r.images(ctx, jobs, Chains(wanted)); err != nil {
		return nil, err
	}
	results := make([][]*Result, len(jobs))
	limit := make(chan struct{}, max(r.Parallel, 1))
	var all sync.WaitGroup
	for _, group := range sharing(jobs) {
		all.Add(1)
		limit <- struct{}{}
		go func() {
			defer func() { <-limit; all.Done() }()
			r.together(ctx, jobs, group, results)
		}()
	}
	all.Wait()
	return slices.Concat(results...), nil
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

// stage is machines that are wired up.
type stage struct {
	lab     *Lab
	profile *cluster.Profile
	nodes   map[string]string // of the profile, by machine
}

// trial is one run of a suite, or of a twin, on a stage.
type trial struct {
	stage
	res *Result
	log *Timeline
}

// trial prepares a run, whose result has a folder of its own.
func (r *Runner) trial(s *Suite, twin *Twin) *trial {
	res := &Result{Suite: s, Twin: twin}
	res.Dir = filepath.Join(r.Dir, fileName(res.Name()))
	return &trial{res: res, log: NewTimeline(func(e Event) {
		if r.Show != nil {
			r.Show(res.Name(), e)
		}
	})}
}

// do runs something of a trial, and ends its result.
func (t *trial) do(run func() error) {
	t.res.Start = time.Now()
	err := run()
	t.res.Took = time.Since(t.res.Start)
	t.end(err)
}

// end judges a result, with an error that is not one of its steps.
func (t *trial) end(err error) {
	t.res.Err = errors.Join(t.res.Err, err)
	t.res.Events = t.log.Events()
	t.res.judge()
}

// suite runs a suite and its twins, on the machines of one before when there are some, and closes them unless there is more to run on them.
func (r *Runner) suite(ctx context.Context, j job, on stage, more bool) ([]*Result, stage) {
	t := r.trial(j.suite, nil)
	out := []*Result{t.res}
	points := points{}
	for _, twin := range j.twins {
		points[twin.After] = errNotReached
	}
	if more {
		points[""] = errNotReached
	}
	t.do(func() error {
		if j.err != nil {
			return j.err
		}
		return r.first(ctx, j, on, t, points)
	})
	for i, twin := range j.twins {
		tt := r.trial(j.suite, twin)
		out = append(out, tt.res)
		if t.res.Failed() {
			tt.res.Start, tt.res.Dir, tt.res.Skipped = time.Now(), "", "the suite itself failed"
			continue
		}
		tt.do(func() error { return r.twin(ctx, j, t.stage, tt, points) })
		if !slices.ContainsFunc(j.twins[i+1:], func(o *Twin) bool { return o.After == twin.After }) && (twin.After != "" || !more) {
			_ = t.lab.Forget(ctx, stateOf(twin.After)) // its space would be free anyway soon
		}
	}
	if t.lab == nil {
		return out, stage{}
	}
	if more && points[""] == nil && ctx.Err() == nil {
		for step := range points {
			if step != "" {
				_ = t.lab.Forget(ctx, stateOf(step)) // the next suite has steps of its own
			}
		}
		return out, t.stage
	}
	if err := t.lab.Close(); err != nil {
		t.end(err)
	}
	return out, stage{}
}

// first runs the suite itself, on machines that stay for its twins.
func (r *Runner) first(ctx context.Context, j job, on stage, t *trial, p points) error {
	if on.lab != nil {
		why := p.again(ctx, on, t, "")
		if why == nil {
			t.res.Notes = append(t.res.Notes, "its machines are those of the suite before, in the state after their boot")
			return r.own(ctx, j, t, p)
		}
		t.res.Notes = append(t.res.Notes, fmt.Sprintf("its machines were booted: the state of the suite before is not there: %v", why))
		if err := on.lab.Close(); err != nil {
			return err
		}
	}
	if err := r.build(ctx, j, t); err != nil {
		if r.Stay != nil && t.lab != nil && ctx.Err() == nil {
			t.res.Err = err
			return r.Stay(ctx, t.lab, t.res)
		}
		return err
	}
	p.reached(ctx, t.lab, "")
	return r.own(ctx, j, t, p)
}

// own runs the suite's own steps, and saves the states in which its twins begin.
func (r *Runner) own(ctx context.Context, j job, t *trial, p points) error {
	return r.steps(ctx, t, j.suite.Steps, func(ctx context.Context, s *Step) {
		if s.Name != "" {
			p.reached(ctx, t.lab, s.Name)
		}
	})
}

// build makes a lab with the suite's machines, and boots them.
func (r *Runner) build(ctx context.Context, j job, t *trial) error {
	l, err := New(Config{Tools: r.Tools, Dir: t.res.Dir, Scale: r.Scale, Seed: r.Seed, Log: t.log})
	if err != nil {
		return err
	}
	t.lab = l
	if t.profile, t.nodes, err = r.cable(l, j); err != nil {
		return err
	}
	if err := capture(l, j.suite); err != nil {
		return err
	}
	var first []*Machine
	for i, m := range l.Machines() {
		if !j.suite.Machines[i].Off {
			first = append(first, m)
		}
	}
	return l.Boot(ctx, first...)
}

// capture keeps all frames of a suite that wants that.
func capture(l *Lab, s *Suite) error {
	if !s.Capture {
		return nil
	}
	for _, server := range l.allServices() {
		if err := errors.Join(server.port.StopCapture(), server.port.Capture(l.file(fileName(server.Name())+".pcap"))); err != nil {
			return err
		}
	}
	for _, m := range l.Machines() {
		for _, card := range sortedKeys(m.ports) {
			err := m.ports[card].StopCapture()
			if err == nil {
				err = m.ports[card].Capture(l.file(m.Name() + "-" + card + ".pcap"))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// steps runs steps in a trial's lab. behind, which may be nil, is called behind each that holds.
func (r *Runner) steps(ctx context.Context, t *trial, steps []*Step, behind func(context.Context, *Step)) error {
	s := t.res.Suite
	limit := t.lab.pace.Limit(s.Limit)
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the suite's %s are over", limit.Round(time.Second)))
	defer cancel()
	before := drops(t.lab)
	run := NewRun(t.lab, t.profile, t.nodes)
	run.behind, run.Always = behind, s.Always
	failed := run.All(limited, steps)
	t.res.Cases = run.Cases()
	leases, err := t.lab.leases()
	t.res.Notes = append(t.res.Notes, leases...)
	t.res.Notes = append(t.res.Notes, fmt.Sprintf("limits were %.1f times those of machines with KVM", t.lab.pace.Factor()))
	if failed == nil && t.res.Twin == nil {
		t.res.Err = unexpectedDrops(t.lab, s, before)
	}
	if r.Stay != nil {
		err = errors.Join(err, r.Stay(ctx, t.lab, t.res))
	}
	return err
}

// twin runs a twin from the state of the suite's own run where it begins to differ, or else in a lab of its own.
func (r *Runner) twin(ctx context.Context, j job, on stage, t *trial, p points) error {
	twin := t.res.Twin
	why := p[twin.After]
	if why == nil {
		if why = p.again(ctx, on, t, twin.After); why == nil {
			t.res.Notes = append(t.res.Notes, "it began with the state of the suite's own run "+stateOf(twin.After))
			return r.steps(ctx, t, twin.steps(j.suite)[twin.at(j.suite):], nil)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.res.Notes = append(t.res.Notes, fmt.Sprintf("its machines were booted: the state of the suite's own run %s is not there: %v", stateOf(twin.After), why))
	err := r.build(ctx, j, t)
	if err == nil {
		err = r.steps(ctx, t, twin.steps(j.suite), nil)
	}
	if t.lab != nil {
		err = errors.Join(err, t.lab.Close())
	}
	return err
}

// at is the position of the suite's first step behind the twin's own.
func (t *Twin) at(s *Suite) int {
	if t.After == "" {
		return 0
	}
	return 1 + slices.IndexFunc(s.Steps, func(st *Step) bool { return st.Name == t.After })
}

// steps are the suite's steps with the twin's own among them.
func (t *Twin) steps(s *Suite) []*Step {
	at := t.at(s)
	return slices.Concat(s.Steps[:at:at], t.Steps, s.Steps[at:])
}

// points are the steps behind which twins begin, "" for the start, and why there is no state of that moment; nil when there is.
type points map[string]error

var errNotReached = errors.New("the step was not reached")

func stateOf(step string) string {
	if step == "" {
		return "after its boot"
	}
	return fmt.Sprintf("behind step %q", step)
}

// reached saves the lab's state when a twin begins there.
func (p points) reached(ctx context.Context, l *Lab, step string) {
	if _, wanted := p[step]; !wanted {
		return
	}
	if p[step] = l.Save(ctx, stateOf(step)); p[step] != nil {
		l.log(Event{Kind: "state", Text: p[step].Error(), Failed: true})
	}
}

// again puts the state of a point back for a trial, whose results go to a folder of their own.
func (p points) again(ctx context.Context, on stage, t *trial, step string) error {
	if err := on.lab.output(t.res.Dir, t.log); err != nil {
		return err
	}
	t.stage = on
	err := capture(on.lab, t.res.Suite)
	if err == nil {
		err = on.lab.Restore(ctx, stateOf(step))
	}
	if err != nil {
		for s := range p { // the lab is in no state at all now
			p[s] = err
		}
		t.stage = stage{}
		return err
	}
	if _, wanted := p[step]; wanted {
		p[step] = nil
	}
	return nil
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
			spec.Cards = NodeCards(profile, node, profileSwitch)
		}
		spec.Cards = withCards(spec.Cards, m.Cards)
		if j.edit != nil {
			if err := j.edit(&spec); err != nil {
				return nil, nil, err
			}
		}
		if _, err := l.Add(spec); err != nil {
			return nil, nil, err
		}
	}
	if err := j.suite.serve(l, profile, nodes); err != nil {
		return nil, nil, err
	}
	return profile, nodes, nil
}

// drops are what each port has counted so far.
func drops(l *Lab) map[string]vswitch.Counters {
	out := map[string]vswitch.Counters{}
	for _, m := range l.Machines() {
		for card, port := range m.ports {
			out[m.Name()+"/"+card] = port.Counters()
		}
	}
	return out
}

// unexpectedDrops fails when the switch has dropped frames since then for a reason that nobody asked for: a network that works loses nothing.
func unexpectedDrops(l *Lab, s *Suite, before map[string]vswitch.Counters) error {
	var errs []error
	now := drops(l)
	for _, port := range sortedKeys(now) {
		for r := range vswitch.Reasons() {
			n := now[port].Dropped[r] - before[port].Dropped[r]
			if n > 0 && !expected(r) && !slices.Contains(s.Drops, dropName(r)) {
				errs = append(errs, diag.Failedf(s.Pos, "the switch dropped %d frames at %s: %s", n, port, r).
					WithHint("when the test means that, write drops: [%s]", dropName(r)))
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
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, s), "-")
	if name == s {
		return name
	}
	return fmt.Sprintf("%.60s-%08x", name, crc32.ChecksumIEEE([]byte(s))) // two names must not become one
}
