package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"n3x/internal/arch"
	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/multiconfig"
	"n3x/internal/sandbox"
	"n3x/internal/vm/qemu"
	"n3x/internal/vmtest"
	"n3x/internal/vmtest/control"
)

// vmFlags are the flags of `n3x vm run`.
type vmFlags struct {
	test       testFlags
	name       string
	network    string
	forwards   []string
	cpus       int
	memory     int
	detach     bool
	prompt     bool // commands come from standard input
	persistent bool
	held       bool // this is the process that --detach has started
}

func (a *app) vmRun() *cobra.Command {
	f := vmFlags{test: testFlags{parallel: 1, scale: 1, seed: 1}}
	c := &cobra.Command{
		Use:   "run [NAME=]IMAGE.wic|[NAME=]KAS:FILES|SUITE...",
		Short: "Run a machine, or the machines of a suite",
		Long: `Run a machine from a .wic file or from what kas files build (with qemu-guest-agent in it), several of them, or all machines of a test suite, wired
up but without its steps. Images are not changed. A single machine has two network cards: eth0 is a network of QEMU's own with DHCP and a way out, eth1 leads nowhere.
With --network the machines are nodes of a profile, by their names, on a switch that enforces its VLANs.

The machines end with Ctrl-C, with their own shutdown, or by n3x vm stop from any terminal. With --detach the command returns when they are up, and they go on
without the terminal.`,
		Example: "  n3x vm run disk.wic --name demo --detach --forward 8080:80\n  n3x vm run kas/base.yml:kas/machine/qemu-amd64.yml:kas/image/base.yml:kas/network/simple.yml\n" +
			"  n3x vm run l2-vlans\n  n3x vm run server-1=a.wic agent-1=b.wic --network vlans --name pair",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runVM(c.Context(), args, &f) },
	}
	c.Flags().StringVar(&f.name, "name", "", "what the machines are called in n3x vm list, and a single machine by itself")
	c.Flags().BoolVarP(&f.detach, "detach", "d", false, "return when the machines are up, and leave them running")
	c.Flags().BoolVarP(&f.prompt, "interactive", "i", false, "read commands that drive the machines, also where standard input is no terminal (a suite's machines have that on a terminal)")
	c.MarkFlagsMutuallyExclusive("detach", "interactive")
	c.Flags().BoolVar(&f.test.direct, "direct", false, "boot kernel and initrd without firmware")
	c.Flags().IntVar(&f.cpus, "cpus", 0, "processors of each machine; 0 is the suite's, or 2")
	c.Flags().IntVar(&f.memory, "memory", 0, "memory of each machine in MiB; 0 is the suite's, or 1024")
	c.Flags().StringArrayVar(&f.forwards, "forward", nil, "[MACHINE:][127.0.0.1:]PORT:GUEST-PORT: a TCP port of this host that leads into the machine (repeatable)")
	c.Flags().BoolVar(&f.persistent, "persistent", false, "keep what the machines write, for the next run with this name")
	c.Flags().StringVar(&f.network, "network", "", "a profile of the project whose nodes the machines are")
	c.Flags().BoolVar(&f.test.offline, "offline", false, "use what was downloaded before, never the network")
	c.Flags().BoolVar(&f.held, heldFlag, false, "")
	_ = c.Flags().MarkHidden(heldFlag) // the flag is there
	a.plain.register(c)
	return c
}

const heldFlag = "held"

// vmPlan is what is going to run.
type vmPlan struct {
	f        *vmFlags
	plan     *testPlan
	suite    *vmtest.Suite
	place    control.Place
	forwards map[string][]qemu.Forward // by machine
}

// planVM finds the machines that the arguments mean.
func (a *app) planVM(args []string, f *vmFlags) (*vmPlan, error) {
	v := &vmPlan{f: f, plan: &testPlan{f: &f.test}}
	for _, arg := range args {
		name, what, named := strings.Cut(arg, "=")
		if !named {
			name, what = "", arg
		}
		s, err := a.suiteNamed(what, &f.test)
		if err != nil {
			return nil, err
		}
		if err := v.add(s, name, len(args) > 1); err != nil {
			return nil, err
		}
	}
	s := v.suite
	s.Name = strings.Trim(notName.ReplaceAllString(s.Name, "-"), "-.")
	if len(s.Name) > 63 {
		s.Name = strings.TrimRight(s.Name[:63], "-.")
	}
	if f.name != "" {
		s.Name = f.name
	}
	if len(s.Machines) == 1 && s.Steps == nil {
		s.Machines[0].Name = or(s.Machines[0].Name, s.Name)
	}
	if f.network != "" {
		s.Profile = f.network
	}
	if err := control.CheckName(s.Name); err != nil {
		return nil, err
	}
	if err := v.forward(); err != nil {
		return nil, err
	}
	for _, m := range s.Machines {
		if err := control.CheckName(m.Name); err != nil {
			return nil, err
		}
	}
	if f.cpus < 0 || f.cpus > 255 || f.memory < 0 || f.memory > 0 && f.memory < 32 {
		return nil, diag.Userf(diag.Pos{}, "--cpus %d --memory %d is out of range", f.cpus, f.memory).WithHint("1 to 255 processors, and at least 32 MiB")
	}
	v.plan.suites = []*vmtest.Suite{s}
	if err := v.plan.locate(a); err != nil {
		return nil, err
	}
	var err error
	v.place, err = a.place()
	return v, err
}

// notName is what names of files can have and those of machines cannot.
var notName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// suiteNamed is a suite by its file or name, or one that stands for an image.
func (a *app) suiteNamed(what string, f *testFlags) (*vmtest.Suite, error) {
	s, err := a.suiteOf(what, f)
	if err != nil || s != nil {
		return s, err
	}
	p, err := a.planTests([]string{what}, f)
	if err != nil {
		return nil, err
	}
	if len(p.suites) != 1 {
		return nil, diag.Userf(diag.Pos{}, "%s means %d suites, and the machines of one can run", what, len(p.suites)).WithHint("n3x test --list")
	}
	return p.suites[0], nil
}

// add adds what one argument means: a suite is alone, images stand together.
func (v *vmPlan) add(s *vmtest.Suite, name string, several bool) error {
	image := s.OfImage()
	switch {
	case !image && (several || name != ""):
		return diag.Userf(s.Pos, "%s is a suite: its machines run by themselves, under its own names", s.Name)
	case !image:
		v.suite = s
		for i := range s.Machines {
			s.Machines[i].Direct = s.Machines[i].Direct || v.f.test.direct
		}
		return nil
	}
	m := s.Machines[0]
	m.Name, m.Overlays = name, s.Overlays
	if name == "" && several {
		m.Name = s.Name
	}
	if v.suite == nil {
		v.suite = &vmtest.Suite{Name: or(name, s.Name), Limit: s.Limit}
		if several {
			v.suite.Name = "machines"
		}
	}
	if slices.ContainsFunc(v.suite.Machines, func(o vmtest.MachineDef) bool { return o.Name == m.Name }) {
		return diag.Userf(diag.Pos{}, "two machines are called %s", m.Name).WithHint("give them names: NAME=IMAGE.wic")
	}
	v.suite.Machines = append(v.suite.Machines, m)
	return nil
}

// forward reads --forward.
func (v *vmPlan) forward() error {
	v.forwards = map[string][]qemu.Forward{}
	names := []string{}
	for _, m := range v.suite.Machines {
		names = append(names, m.Name)
	}
	taken := map[int]string{}
	for _, text := range v.f.forwards {
		words := strings.Split(text, ":")
		name := names[0]
		if slices.Contains(names, words[0]) {
			name, words = words[0], words[1:]
		} else if len(names) > 1 {
			return diag.Userf(diag.Pos{}, "--forward %s does not say to which machine", text).WithHint("write MACHINE:PORT:GUEST-PORT; the machines are %s", strings.Join(names, ", "))
		}
		if len(words) == 3 && (words[0] == "127.0.0.1" || words[0] == "localhost") {
			words = words[1:]
		}
		if len(words) == 3 && net.ParseIP(words[0]) != nil {
			return diag.Userf(diag.Pos{}, "--forward %s: ports are forwarded from 127.0.0.1 only, where no other host gets", text)
		}
		if len(words) != 2 {
			return diag.Userf(diag.Pos{}, "--forward is %q", text).WithHint("write PORT:GUEST-PORT, e.g. 8080:80")
		}
		var f qemu.Forward
		for i, to := range []*int{&f.Host, &f.Guest} {
			n, err := strconv.Atoi(words[i])
			if err != nil || n < 1 || n > 65535 {
				return diag.Userf(diag.Pos{}, "--forward %s: %q is no port", text, words[i])
			}
			*to = n
		}
		if other := taken[f.Host]; other != "" {
			return diag.Userf(diag.Pos{}, "--forward %s: %s has the port already", text, other)
		}
		taken[f.Host] = text
		v.forwards[name] = append(v.forwards[name], f)
	}
	return nil
}

// free refuses what is in use, before anything is built.
func (v *vmPlan) free(ctx context.Context) error {
	for _, list := range v.forwards {
		for _, f := range list {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", f.Host))
			if err != nil {
				return diag.Userf(diag.Pos{}, "--forward: port %d of this host cannot be used: %w", f.Host, err)
			}
			l.Close()
		}
	}
	s, err := v.place.Open(v.suite.Name, "n3x vm run") // for a moment
	if err != nil {
		return err
	}
	return errors.Join(s.Close(), ctx.Err())
}

func (a *app) runVM(ctx context.Context, args []string, f *vmFlags) error {
	v, err := a.planVM(args, f)
	if err != nil {
		return err
	}
	return a.runPlannedVM(ctx, v)
}

func (a *app) runPlannedVM(ctx context.Context, v *vmPlan) error {
	if !inside() {
		if err := v.free(ctx); err != nil {
			return err
		}
		if v.f.detach && !v.f.held {
			return a.detach(ctx, v)
		}
	}
	sets, in, err := a.enterWithSets(ctx, v.plan)
	if err != nil || !in {
		return err
	}
	return a.holdVM(ctx, v, sets)
}

// holdVM runs the machines until they end.
func (a *app) holdVM(ctx context.Context, v *vmPlan, sets []*multiconfig.Set) (err error) {
	name := v.suite.Name
	server, err := v.place.Open(name, "n3x vm run")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	building, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-server.Stopped():
			stop(control.ErrStopped)
		case <-building.Done():
		}
	}()
	t := &tester{a: a, p: v.plan, sets: sets, found: map[arch.Arch]*foundTools{}}
	r := &vmtest.Runner{Profiles: v.plan.profiles, Build: t.build, Tools: func(of arch.Arch) (qemu.Tools, qemu.Accel, error) { return t.tools(building, of) }}
	lab, run, err := r.Open(building, v.suite, vmtest.Config{Dir: v.place.Folder(name), Own: v.place.Own(name), Seed: v.f.test.seed, Scale: v.f.test.scale}, v.edit)
	if err != nil {
		return cmp.Or(context.Cause(building), err)
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	server.Show(lab)
	var first []*vmtest.Machine
	for i, m := range lab.Machines() {
		if !v.suite.Machines[i].Off {
			first = append(first, m)
		}
	}
	say := func(line string) { fmt.Fprintf(a.stderr, "%s: %s\n", a.name, line) }
	switch err := server.Boot(building, first, say); {
	case errors.Is(err, control.ErrStopped):
		return nil
	case err != nil:
		return err
	}
	if v.prompts(a) {
		return a.prompt(ctx, &control.Prompt{Server: server, Lab: lab, Run: run, Steps: v.suite.Steps})
	}
	if !v.f.held {
		say(v.usage() + "; Ctrl-C ends it")
	}
	return server.Hold(ctx, lab)
}

func (v *vmPlan) usage() string {
	m := v.suite.Machines[0].Name
	return fmt.Sprintf("n3x vm ssh %s, n3x vm console %s, n3x vm stop %s", m, m, v.suite.Name)
}

// edit fills in what flags say about a machine.
func (v *vmPlan) edit(s *vmtest.Spec) error {
	if v.f.cpus != 0 {
		s.CPUs = v.f.cpus
	}
	if v.f.memory != 0 {
		s.Memory = v.f.memory
	}
	s.User = &qemu.UserNet{Restrict: len(v.suite.Machines) > 1 || v.suite.Steps != nil, Forwards: v.forwards[s.Name]}
	if !v.f.persistent {
		return nil
	}
	s.Persistent, s.Disk = true, filepath.Join(v.place.Folder(v.suite.Name), s.Name+".disk")
	return keepDisk(s)
}

// keepDisk notes of which image a disk that stays is a copy, and refuses one of another image.
func keepDisk(s *vmtest.Spec) error {
	st, err := os.Stat(s.Image)
	if err != nil {
		return diag.Userf(diag.Pos{}, "machine %s: %w", s.Name, err)
	}
	note, now := s.Disk+".of", fmt.Sprintf("%s %d %s\n", s.Image, st.Size(), st.ModTime().UTC().Format(time.RFC3339Nano))
	before, err := os.ReadFile(note)
	switch {
	case err != nil || !exists(s.Disk):
		return atomicfile.Write(note, []byte(now), 0o600)
	case string(before) != now:
		return diag.Userf(diag.Pos{}, "the disk that machine %s keeps is a copy of another image than this one: %s", s.Name, strings.TrimSpace(string(before))).
			WithHint("rm %s to begin anew, or another --name", s.Disk)
	}
	return nil
}

// detach runs the machines in a process of their own, and waits until they are up.
func (a *app) detach(ctx context.Context, v *vmPlan) error {
	name := v.suite.Name
	if err := os.MkdirAll(v.place.Folder(name), 0o700); err != nil {
		return diag.Failedf(diag.Pos{}, "make a folder for logs: %w", err)
	}
	file := filepath.Join(v.place.Folder(name), "log")
	log, err := os.Create(file)
	if err != nil {
		return diag.Failedf(diag.Pos{}, "make a log: %w", err)
	}
	defer log.Close()
	args := slices.Clone(a.args)
	at := slices.Index(args, "--")
	if at < 0 {
		at = len(args)
	}
	d, err := sandbox.Detach(slices.Insert(args, at, "--"+heldFlag), log)
	if err != nil {
		return err
	}
	follow := a.follow(file)
	err = v.place.Await(ctx, name, d.Ended)
	if ctx.Err() != nil {
		d.Terminate()
	}
	follow()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		if a.status = d.Status(); a.status == 0 {
			return diag.Failedf(diag.Pos{}, "%s ended at once", name).WithNote("its log is %s", file)
		}
		return nil // it has told why
	}
	fmt.Fprintf(a.stderr, "%s: %s\n", a.name, v.usage())
	return nil
}

// follow shows what is written to a file, until the function that it gives is called.
func (a *app) follow(file string) (stop func()) {
	end := make(chan struct{})
	var all sync.WaitGroup
	all.Add(1)
	go func() {
		defer all.Done()
		f, err := os.Open(file)
		if err != nil {
			return
		}
		defer f.Close()
		for last := false; ; {
			if _, err := io.Copy(a.stderr, f); err != nil || last {
				return
			}
			select {
			case <-end:
				last = true
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() { close(end); all.Wait() }
}

// prompts reports whether commands are read: on a terminal for a suite, or when that is asked for.
func (v *vmPlan) prompts(a *app) bool {
	if v.f.held || v.f.detach {
		return false
	}
	return v.f.prompt || v.suite.Steps != nil && a.terminalInput() == nil
}

// prompt drives machines by commands from the terminal, or from standard input when that is none.
func (a *app) prompt(ctx context.Context, p *control.Prompt) error {
	p.Out = a.stdout
	p.Show = func(w io.Writer, err error) { diag.Render(w, a.name, err) }
	t, err := control.OpenTerminal(a.stdin, a.stdout)
	if err != nil {
		return err
	}
	if t == nil {
		err = p.Read(ctx, a.stdin)
	} else {
		err = p.Interact(ctx, t)
		t.Restore()
	}
	if errors.Is(err, control.ErrStopped) {
		return nil
	}
	return err
}
