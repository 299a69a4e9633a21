package vmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"n3x/internal/diag"
	"n3x/internal/vm/guest"
	"n3x/internal/vm/qemu"
)

// What a machine is doing, as [Machine.State] says it.
const (
	StateOff     = "off"
	StateStarts  = "starting" // its agent has not answered yet
	StateUp      = "up"
	StatePrompt  = "no agent" // its console has shown a prompt, but no agent answers
	StatePaused  = "paused"
	StateSilent  = "silent" // QEMU does not answer
	stateTimeout = 5 * time.Second
)

// Spec is the machine's description.
func (m *Machine) Spec() Spec { return m.spec }

// Since is when the machine was switched on; the zero time when it is off.
func (m *Machine) Since() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.vm == nil || ended(m.vm) {
		return time.Time{}
	}
	return m.since
}

// Accel is how the machine's processor is run; "" while it is off.
func (m *Machine) Accel() string {
	vm, _, err := m.on()
	if err != nil {
		return ""
	}
	return vm.Machine().Accel.String()
}

// Memory is the machine's memory in MiB, of the one that runs or will.
func (m *Machine) Memory() int {
	if m.spec.Memory > 0 {
		return m.spec.Memory
	}
	return 1024
}

// State is what the machine is doing: one of the words of this package.
func (m *Machine) State(ctx context.Context) string {
	m.mu.Lock()
	vm, up, prompt := m.vm, m.up, m.prompt
	m.mu.Unlock()
	if vm == nil || ended(vm) {
		return StateOff
	}
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	var status struct{ Status string }
	switch err := vm.QMP(ctx, "query-status", nil, &status); {
	case ended(vm):
		return StateOff
	case err != nil:
		return StateSilent
	case status.Status == "paused":
		return StatePaused
	case up:
		return StateUp
	case prompt:
		return StatePrompt
	}
	return StateStarts
}

func ended(vm *qemu.VM) bool {
	select {
	case <-vm.Done():
		return true
	default:
		return false
	}
}

// Ended is closed when the machine, which is on, ends by itself or by others; nil while it is off.
func (m *Machine) Ended() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.vm == nil {
		return nil
	}
	return m.vm.Done()
}

// Answers asks the machine's agent whether it is there, and waits for it at most so long, by the clock.
func (m *Machine) Answers(ctx context.Context, limit time.Duration) error {
	_, agent, err := m.on()
	if err != nil {
		return err
	}
	inner, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s are over", limit))
	defer cancel()
	if err := agent.Wait(inner); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up = true
	return nil
}

const (
	// promptGrace is how long an agent may take after the console has shown a login prompt, on machines with KVM.
	promptGrace = 5 * time.Second
	consolePoll = 300 * time.Millisecond
)

// login is what a console shows when somebody can log in.
var login = regexp.MustCompile(`(?m)(login:|:~[#$]|/ #)\s*$`)

// Arrive starts the machine and waits until its system is there, and says how it is known: its agent answers, or, without one, the
// console shows a prompt. A machine that does neither in the time that a boot may take goes on. One that ends is an error.
func (m *Machine) Arrive(ctx context.Context) (how string, err error) {
	start := time.Now()
	if err := m.Start(ctx); err != nil {
		return "", err
	}
	vm, _, err := m.on()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan error, 1)
	go func() { answered <- m.Answers(ctx, m.lab.pace.Limit(bootLimit)) }()
	stuck := make(chan error, 1)
	go func() {
		if err := vm.Console().WatchBoot(ctx, func() {}); errors.As(err, new(*qemu.Trouble)) {
			stuck <- err
		}
	}()
	var late <-chan time.Time
	for {
		select {
		case err := <-answered:
			switch {
			case err == nil:
				m.lab.pace.booted(time.Since(start))
				return "is up", nil
			case ended(vm):
				return "", m.explain(vm, fmt.Errorf("machine %s ends while it starts", m.spec.Name))
			case ctx.Err() != nil:
				return "", context.Cause(ctx)
			case time.Since(start) < m.lab.pace.Limit(bootLimit):
				return "", diag.Failedf(diag.Pos{}, "machine %s was switched off while it started", m.spec.Name)
			}
			return "has neither an agent that answers nor shown a login prompt; it goes on (n3x vm console " + m.spec.Name + ")", nil
		case <-vm.Done():
			return "", m.explain(vm, fmt.Errorf("machine %s ends while it starts", m.spec.Name))
		case <-late:
			m.mu.Lock()
			defer m.mu.Unlock()
			m.prompt = true
			return "shows a prompt, but no agent answers (n3x vm console " + m.spec.Name + "),", nil
		case err := <-stuck:
			return "", m.explain(vm, fmt.Errorf("machine %s does not come up: %w", m.spec.Name, err))
		case <-time.After(consolePoll):
			if late == nil && login.MatchString(vm.Console().Recent(3)) {
				late = time.After(m.lab.pace.Limit(promptGrace))
			}
		}
	}
}

// agentLimit is how long a session waits for an agent that has never answered, which an image may lack.
const agentLimit = 20 * time.Second

// Session starts a program in the machine whose input and output flow while it runs, such as a shell with a terminal.
func (m *Machine) Session(ctx context.Context, p guest.Program) (*guest.Session, error) {
	m.mu.Lock()
	sessions, up := m.shell, m.up
	m.mu.Unlock()
	if _, _, err := m.on(); err != nil {
		return nil, err
	}
	if !up {
		if err := m.Answers(ctx, agentLimit); err != nil {
			return nil, diag.Failedf(diag.Pos{}, "the agent of machine %s does not answer: it has not started that far, or its image lacks qemu-guest-agent", m.spec.Name).
				WithHint("add kas/test/agent.yml to the image's kas files, or use n3x vm console %s", m.spec.Name)
		}
	}
	s, err := sessions.Start(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("machine %s: %w", m.spec.Name, err)
	}
	return s, nil
}

// Watch writes the last bytes of the machine's console, and then what it shows, as it is, until ctx ends or w fails. It waits while the
// machine is off.
func (m *Machine) Watch(ctx context.Context, w io.Writer, last int) error {
	for {
		vm, _, err := m.on()
		if err == nil {
			if err := vm.Console().Copy(ctx, w, last); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "\r\n[machine %s is off]\r\n", m.spec.Name); err != nil {
				return err
			}
			last = 1 << 20 // of the next start, all
		}
		for {
			if err := wait(ctx, retryAfter); err != nil {
				return err
			}
			if next, _, err := m.on(); err == nil && next != vm {
				break
			}
		}
	}
}

// Type types on the machine's console.
func (m *Machine) Type(b []byte) error {
	vm, _, err := m.on()
	if err == nil {
		_, err = vm.Console().Write(b)
	}
	return err
}

// Halt ends the machine: by its power button, and, when the system has not ended within limit, by its plug. limit suits machines with
// KVM; 0 pulls the plug at once. button tells whether the power button was enough.
func (m *Machine) Halt(ctx context.Context, limit time.Duration) (button bool, err error) {
	vm, _, err := m.on()
	if err != nil {
		return true, nil
	}
	if limit > 0 && m.State(ctx) != StatePaused {
		inner, cancel := context.WithTimeout(ctx, m.lab.pace.Limit(limit))
		defer cancel()
		button = vm.PowerDown(inner) == nil
	}
	return button, m.PowerOff()
}

// Shot takes a picture of the machine's screen.
func (m *Machine) Shot(ctx context.Context) ([]byte, error) {
	vm, _, err := m.on()
	if err != nil {
		return nil, err
	}
	return vm.Screenshot(ctx)
}

// Open makes a lab with the machines of a suite, wired up and off, for somebody who drives it otherwise than by the suite's steps. c is
// the lab's configuration but for its tools; edit, when it is not nil, changes a machine before it is added.
func (r *Runner) Open(ctx context.Context, s *Suite, c Config, edit func(*Spec) error) (*Lab, *Run, error) {
	jobs := []job{{suite: s, edit: edit}}
	if err := r.images(ctx, jobs, Chains([]*Suite{s})); err != nil {
		return nil, nil, err
	}
	if jobs[0].err != nil {
		return nil, nil, jobs[0].err
	}
	c.Tools = r.Tools
	l, err := New(c)
	if err != nil {
		return nil, nil, err
	}
	profile, nodes, err := r.cable(l, jobs[0])
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, NewRun(l, profile, nodes), nil
}

// File is where something of the lab is kept, by its name.
func (l *Lab) File(name string) string { return l.file(name) }
