package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"n3x/internal/diag"
	"n3x/internal/vm/guest"
	"n3x/internal/vm/vswitch"
)

// Action is what a step does. m is nil for a step of the lab as a whole.
type Action interface {
	Act(ctx context.Context, r *Run, m *Machine) error
	String() string
}

// Script runs a shell script in a machine and looks at how it ends.
type Script struct {
	Text   string
	Status *int           // the exit status it must have; nil is 0
	Fails  bool           // any status but 0
	Stdout *regexp.Regexp // must match what it writes; nil is anything
	Not    *regexp.Regexp // must not match
}

// String is the script's first line.
func (s *Script) String() string {
	line, more, _ := strings.Cut(strings.TrimSpace(s.Text), "\n")
	if more != "" {
		line += " ..."
	}
	return line
}

// Act runs the script.
func (s *Script) Act(ctx context.Context, r *Run, m *Machine) error {
	text, err := r.expand(s.Text)
	if err != nil {
		return err
	}
	c := guest.Shell(text)
	res, err := m.Run(ctx, c)
	if err != nil {
		return err
	}
	r.output(m, text, res)
	want := 0
	if s.Status != nil {
		want = *s.Status
	}
	switch {
	case s.Fails && res.Status == 0:
		return diag.Failedf(diag.Pos{}, "it succeeded, but had to fail").WithNote("it wrote\n%s", tail(res.Stdout))
	case !s.Fails && res.Status != want:
		err := &guest.StatusError{Command: guest.Shell(s.String()), Result: res}
		if want != 0 {
			return fmt.Errorf("%w; status %d was expected", err, want)
		}
		return err
	case s.Stdout != nil && !s.Stdout.Match(res.Stdout):
		return diag.Failedf(diag.Pos{}, "what it wrote does not match %q", s.Stdout).WithNote("it wrote\n%s", tail(res.Stdout))
	case s.Not != nil && s.Not.Match(res.Stdout):
		return diag.Failedf(diag.Pos{}, "what it wrote matches %q", s.Not).WithNote("it wrote\n%s", tail(res.Stdout))
	}
	return nil
}

// tail is the end of an output.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if len(lines) > 20 {
		lines = append([]string{"..."}, lines[len(lines)-20:]...)
	}
	return strings.Join(lines, "\n")
}

// Console waits until a machine's console shows something.
type Console struct{ Match *regexp.Regexp }

// String names what is waited for.
func (c *Console) String() string { return fmt.Sprintf("the console shows %q", c.Match) }

// Act waits; the step's own limit ends it.
func (c *Console) Act(ctx context.Context, _ *Run, m *Machine) error {
	return m.WaitConsole(ctx, c.Match)
}

// Power switches a machine: on (and waits for its system), start (does not wait), off (pulls the plug), shutdown, reset, reboot (as a person
// does, and waits for the new system), pause, resume.
type Power struct{ To string }

// powers are what [Power] knows.
var powers = []string{"on", "start", "off", "shutdown", "reset", "reboot", "pause", "resume"}

// String names the switch.
func (p *Power) String() string { return "power " + p.To }

// Act does it.
func (p *Power) Act(ctx context.Context, _ *Run, m *Machine) error {
	switch p.To {
	case "on":
		return m.Boot(ctx)
	case "start":
		return m.Start(ctx)
	case "off":
		return m.PowerOff()
	case "shutdown":
		return m.ShutDown(ctx)
	case "reset":
		return m.Reset(ctx)
	case "reboot":
		return m.Reboot(ctx)
	case "pause":
		return m.Pause(ctx)
	case "resume":
		return m.Resume(ctx)
	}
	return fmt.Errorf("BUG: power %q", p.To)
}

// Link pulls a network card's cable out, or puts it back.
type Link struct {
	Card string
	Up   bool
}

// String says what happens.
func (l *Link) String() string {
	if l.Up {
		return "link of " + l.Card + " up"
	}
	return "link of " + l.Card + " down"
}

// Act does it.
func (l *Link) Act(ctx context.Context, _ *Run, m *Machine) error {
	return m.SetLink(ctx, l.Card, l.Up)
}

// Port takes the switch's port at a network card down, which the machine does not see, or up.
type Port struct {
	Card string
	Up   bool
}

// String says what happens.
func (p *Port) String() string {
	if p.Up {
		return "switch port of " + p.Card + " up"
	}
	return "switch port of " + p.Card + " down"
}

// Act does it.
func (p *Port) Act(_ context.Context, _ *Run, m *Machine) error {
	port, err := m.Port(p.Card)
	if err == nil {
		port.SetUp(p.Up)
	}
	return err
}

// PortVLANs puts the switch's port at a network card into other VLANs; without any, back into those of the card.
type PortVLANs struct {
	Card     string
	Tagged   []int
	Untagged int // of frames without a tag; 0 drops them
}

// String says what happens.
func (p *PortVLANs) String() string {
	if len(p.Tagged) == 0 && p.Untagged == 0 {
		return "switch port of " + p.Card + " in its own VLANs again"
	}
	return fmt.Sprintf("switch port of %s in VLANs %d tagged, %d untagged", p.Card, p.Tagged, p.Untagged)
}

// Act does it.
func (p *PortVLANs) Act(_ context.Context, _ *Run, m *Machine) error {
	port, err := m.Port(p.Card)
	if err != nil {
		return err
	}
	c := vswitch.PortConfig{Trunk: p.Tagged, Native: p.Untagged}
	if len(p.Tagged) == 0 && p.Untagged == 0 {
		at := slices.IndexFunc(m.spec.Cards, func(c Card) bool { return c.Name == p.Card })
		c = m.spec.Cards[at].Port
	}
	return port.SetVLANs(c)
}

// Impair gives all frames to and from a machine's network card a condition; the zero one ends it.
type Impair struct {
	Card string
	vswitch.Condition
}

// String says what happens.
func (i *Impair) String() string {
	if i.Condition == (vswitch.Condition{}) {
		return "the network of " + i.Card + " is whole again"
	}
	var parts []string
	if i.Delay > 0 {
		parts = append(parts, fmt.Sprintf("delay %s±%s", i.Delay, i.Jitter))
	}
	for _, p := range []struct {
		name string
		of   float64
	}{{"loss", i.Loss}, {"duplication", i.Duplicate}} {
		if p.of > 0 {
			parts = append(parts, fmt.Sprintf("%s %g %%", p.name, p.of*100))
		}
	}
	if i.Rate > 0 {
		parts = append(parts, fmt.Sprintf("%d bit/s", i.Rate))
	}
	return "network of " + i.Card + ": " + strings.Join(parts, ", ")
}

// Act does it, in both directions: the condition is one of the cable.
func (i *Impair) Act(_ context.Context, r *Run, m *Machine) error {
	port, err := m.Port(i.Card)
	if err != nil {
		return err
	}
	return r.lab.impair(port, i.Condition)
}

// impair puts a condition on a cable, in both directions.
func (l *Lab) impair(port *vswitch.Port, c vswitch.Condition) error {
	return errors.Join(port.Impair(c), port.ImpairIn(c))
}

// Partition cuts the switches between groups of machines; without groups they are whole again.
type Partition struct{ Groups [][]string }

// String names the groups.
func (p *Partition) String() string {
	if len(p.Groups) == 0 {
		return "the partition is healed"
	}
	var groups []string
	for _, g := range p.Groups {
		groups = append(groups, strings.Join(g, " "))
	}
	return "partition: " + strings.Join(groups, " | ")
}

// Act does it.
func (p *Partition) Act(_ context.Context, r *Run, _ *Machine) error {
	groups := map[*vswitch.Port]int{}
	for i, g := range p.Groups {
		for _, name := range g {
			ports, err := r.lab.portsOf(name)
			if err != nil {
				return err
			}
			for _, port := range ports {
				if _, twice := groups[port]; twice {
					return diag.Userf(diag.Pos{}, "%s is in two groups", name)
				}
				groups[port] = i
			}
		}
	}
	for _, name := range sortedKeys(r.lab.switches) {
		s := r.lab.switches[name]
		s.Heal()
		if len(p.Groups) == 0 {
			continue
		}
		of := make([][]*vswitch.Port, len(p.Groups))
		for _, port := range s.Ports() {
			if i, ok := groups[port]; ok {
				of[i] = append(of[i], port)
			}
		}
		if err := s.Partition(of...); err != nil {
			return err
		}
	}
	return nil
}

// CopyIn copies a file of the host into a machine.
type CopyIn struct{ From, To string }

// String names both files.
func (c *CopyIn) String() string { return "copy " + c.From + " to " + c.To }

// Act does it.
func (c *CopyIn) Act(ctx context.Context, _ *Run, m *Machine) error { return m.Copy(ctx, c.From, c.To) }

// CopyOut keeps a file of a machine among the suite's artefacts.
type CopyOut struct{ From, To string }

// String names both files.
func (c *CopyOut) String() string { return "keep " + c.From + " as " + c.To }

// Act does it.
func (c *CopyOut) Act(ctx context.Context, r *Run, m *Machine) (err error) {
	f, err := os.Create(r.lab.file(m.Name() + "-" + c.To))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return m.Fetch(ctx, c.From, f)
}

// Gap pings an address all the time while the step's other steps run, and measures the longest time without an answer.
type Gap struct {
	To  string // an address, or ${machine.network}
	Max time.Duration
}

// String names the address.
func (g *Gap) String() string {
	return fmt.Sprintf("no more than %s without an answer from %s", g.Max, g.To)
}

// answered is a line of ping -D: [seconds.micro] 64 bytes from ...: icmp_seq=1 ttl=64 time=0.5 ms.
var answered = regexp.MustCompile(`(?m)^\[(\d+\.\d+)\] \d+ bytes from .*icmp_seq=(\d+)`)

// Act measures. The clock is the machine's own.
func (g *Gap) Act(ctx context.Context, r *Run, m *Machine) error {
	to, err := r.expand(g.To)
	if err != nil {
		return err
	}
	const log = "/run/n3x-ping"
	if _, err := m.Do(ctx, fmt.Sprintf("rm -f %s; date +%%s.%%N > %s.start; setsid ping -D -O -i 0.1 %s > %s 2>&1 & echo $! > %s.pid", log, log, to, log, log)); err != nil {
		return err
	}
	inner := r.steps(ctx, r.current.Meanwhile)
	out, err := m.Do(ctx, fmt.Sprintf("end=$(date +%%s.%%N); kill -INT $(cat %s.pid); sleep 0.5; cat %s.start %s; echo $end", log, log, log))
	if err := errors.Join(inner, err); err != nil {
		return err
	}
	gap, answers, err := longestGap(out)
	if err != nil {
		return err
	}
	r.measure("the longest time without an answer from "+to, gap)
	r.note("%d answers from %s, the longest time without one was %s", answers, to, gap.Round(time.Millisecond))
	if limit := r.lab.pace.Limit(g.Max); gap > limit {
		return diag.Failedf(diag.Pos{}, "%s without an answer from %s; at most %s were allowed", gap.Round(time.Millisecond), to, limit.Round(time.Millisecond))
	}
	return nil
}

// longestGap reads what ping wrote between two dates.
func longestGap(out string) (gap time.Duration, answers int, err error) {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	first, ferr := strconv.ParseFloat(lines[0], 64)
	last, lerr := strconv.ParseFloat(lines[len(lines)-1], 64)
	if ferr != nil || lerr != nil {
		return 0, 0, diag.Failedf(diag.Pos{}, "ping left no measurement").WithNote("it wrote\n%s", tail([]byte(out)))
	}
	at := first
	for _, match := range answered.FindAllStringSubmatch(out, -1) {
		t, err := strconv.ParseFloat(match[1], 64)
		if err != nil {
			return 0, 0, err
		}
		gap = max(gap, time.Duration((t-at)*float64(time.Second)))
		at = t
		answers++
	}
	return max(gap, time.Duration((last-at)*float64(time.Second))), answers, nil
}
