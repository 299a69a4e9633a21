package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"n3x/internal/diag"
	"n3x/internal/vm/netserve"
	"n3x/internal/vm/qemu"
	"n3x/internal/vm/vswitch"
)

// saved is a lab's state at a moment.
type saved struct {
	machines map[*Machine]*savedMachine
	switches map[*vswitch.Switch]vswitch.State
	services map[*service]netserve.State
}

// savedMachine is a machine's state at a moment.
type savedMachine struct {
	on, paused, up bool
	state          *qemu.State // nil when it was off and has no disk of its own
	disk           *os.File    // where the state is
	clock          time.Duration
	clockKnown     bool
}

// stateLimit is how long machines may take to be saved, or put back; each takes a second or two.
const stateLimit = 60 * time.Second

// Save keeps the state of the whole lab under a name: memory, devices and disks of all machines, and what is set at the switches. The
// machines stand still together meanwhile. An error says what cannot be saved, and the lab runs on as before.
func (l *Lab) Save(ctx context.Context, name string) error {
	l.states.Lock()
	defer l.states.Unlock()
	start := time.Now()
	if l.saved[name] != nil {
		return diag.Userf(diag.Pos{}, "there is a state %q already", name)
	}
	if err := l.roomFor(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.pace.Limit(stateLimit))
	defer cancel()
	s := &saved{machines: map[*Machine]*savedMachine{}, switches: map[*vswitch.Switch]vswitch.State{}, services: map[*service]netserve.State{}}
	all := l.Machines()
	for _, m := range all {
		s.machines[m] = m.before(ctx)
	}
	release, err := hold(ctx, all)
	defer release()
	if err == nil {
		err = each(all, func(m *Machine) error { return m.halt(ctx) })
	}
	if err == nil {
		err = each(all, func(m *Machine) error { return m.save(ctx, name, s.machines[m]) })
	}
	for _, sw := range l.allSwitches() {
		s.switches[sw] = sw.State()
	}
	for _, server := range l.allServices() {
		s.services[server] = server.State()
	}
	err = errors.Join(err, each(all, func(m *Machine) error { return m.goOn(ctx, s.machines[m]) }))
	if err != nil {
		return errors.Join(err, l.drop(context.WithoutCancel(ctx), s))
	}
	l.mu.Lock()
	l.saved[name] = s
	l.mu.Unlock()
	l.log(Event{Kind: "state", Text: fmt.Sprintf("the state %s is saved", name), Took: time.Since(start)})
	return nil
}

// Restore puts back what Save has kept, as often as wanted, also after machines were switched off or have ended. Their clocks are set to be
// as right, or as wrong, as they were. After an error the lab is in no state that is of any use.
func (l *Lab) Restore(ctx context.Context, name string) error {
	l.states.Lock()
	defer l.states.Unlock()
	start := time.Now()
	s := l.saved[name]
	if s == nil {
		return diag.Userf(diag.Pos{}, "there is no state %q; there are: %q", name, sortedKeys(l.saved))
	}
	ctx, cancel := context.WithTimeout(ctx, l.pace.Limit(stateLimit))
	defer cancel()
	var all []*Machine
	for _, m := range l.Machines() {
		if s.machines[m] == nil {
			return diag.Userf(diag.Pos{}, "machine %s has come after the state %q", m.Name(), name)
		}
		all = append(all, m)
	}
	release, err := hold(ctx, all)
	if err == nil {
		err = each(all, func(m *Machine) error { return m.putBack(ctx, s.machines[m]) })
	}
	for _, sw := range l.allSwitches() {
		if st, known := s.switches[sw]; known {
			err = errors.Join(err, sw.PutBack(st))
		}
	}
	for _, server := range l.allServices() {
		if st, known := s.services[server]; known {
			server.PutBack(st)
		}
	}
	for _, m := range all {
		m.drain()
	}
	if err == nil {
		err = each(all, func(m *Machine) error { return m.goOn(ctx, s.machines[m]) })
	}
	release()
	if err == nil {
		err = each(all, func(m *Machine) error { return m.setClock(ctx, s.machines[m]) })
	}
	if err != nil {
		return fmt.Errorf("restore the state %q: %w", name, err)
	}
	l.log(Event{Kind: "state", Text: fmt.Sprintf("the state %s is restored", name), Took: time.Since(start)})
	return nil
}

// Forget drops a state, so that its space can be used again. An unknown one is no error.
func (l *Lab) Forget(ctx context.Context, name string) error {
	l.states.Lock()
	defer l.states.Unlock()
	s := l.saved[name]
	if s == nil {
		return nil
	}
	l.mu.Lock()
	delete(l.saved, name)
	l.mu.Unlock()
	return l.drop(ctx, s)
}

// drop frees what states take. Where no machine runs with a disk, the disk goes as a whole, sooner or later.
func (l *Lab) drop(ctx context.Context, s *saved) error {
	var errs []error
	for m, sm := range s.machines {
		if sm.state == nil {
			continue
		}
		if vm, _, err := m.on(); err == nil && m.disk == sm.disk {
			errs = append(errs, vm.Forget(ctx, sm.state))
		}
		sm.state = nil
		m.dropDisk(sm.disk)
	}
	return errors.Join(errs...)
}

// keeps reports whether a state is in a disk.
func (l *Lab) keeps(disk *os.File) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.saved {
		for _, sm := range s.machines {
			if sm.disk == disk {
				return true
			}
		}
	}
	return false
}

// each does something with all machines at once.
func each(machines []*Machine, do func(*Machine) error) error {
	errs := make([]error, len(machines))
	var all sync.WaitGroup
	for i, m := range machines {
		all.Add(1)
		go func() {
			defer all.Done()
			errs[i] = do(m)
		}()
	}
	all.Wait()
	return errors.Join(errs...)
}

// hold keeps everybody from talking to the machines' agents.
func hold(ctx context.Context, machines []*Machine) (release func(), err error) {
	var held []func()
	release = func() {
		for _, r := range held {
			r()
		}
	}
	for _, m := range machines {
		_, agent, off := m.on()
		if off != nil {
			continue
		}
		r, err := agent.Hold(ctx)
		if err != nil {
			return release, fmt.Errorf("machine %s: %w", m.Name(), err)
		}
		held = append(held, r)
	}
	return release, nil
}

// before looks at a machine that is going to be saved.
func (m *Machine) before(ctx context.Context) *savedMachine {
	vm, agent, err := m.on()
	if err != nil || ended(vm) {
		return &savedMachine{}
	}
	m.mu.Lock()
	s := &savedMachine{on: true, paused: m.paused, up: m.up}
	m.mu.Unlock()
	if s.up && !s.paused {
		ask, cancel := context.WithTimeout(ctx, m.lab.pace.Limit(clockLimit))
		defer cancel()
		s.clock, err = agent.Clock(ask)
		s.clockKnown = err == nil // a guest may be down just now: then it has no clock that matters
	}
	return s
}

// clockLimit is how long a guest may take to tell or set its clock.
const clockLimit = 5 * time.Second

// halt stops the machine's processors.
func (m *Machine) halt(ctx context.Context) error {
	if vm, _, err := m.on(); err == nil && !ended(vm) {
		return vm.Pause(ctx)
	}
	return nil
}

// goOn lets a machine that ran when it was saved run again.
func (m *Machine) goOn(ctx context.Context, s *savedMachine) error {
	vm, _, err := m.on()
	if err != nil || ended(vm) || s.paused {
		return nil
	}
	return vm.Resume(ctx)
}

// save keeps the state of a machine that stands still, or the disk of one that is off.
func (m *Machine) save(ctx context.Context, name string, s *savedMachine) (err error) {
	m.power.Lock()
	defer m.power.Unlock()
	if s.disk = m.disk; s.on {
		vm, _, err := m.on()
		if err == nil {
			s.state, err = vm.Save(ctx, name)
		}
		return err
	}
	if !m.spec.Persistent || m.disk == nil {
		return nil
	}
	return m.aside(ctx, func(vm *qemu.VM) error { s.state, err = vm.Save(ctx, name); return err })
}

// aside does something with the disk of a machine that is off, in a QEMU in which the machine does not run.
func (m *Machine) aside(ctx context.Context, do func(*qemu.VM) error) error {
	if err := m.start(ctx, m.disk, true); err != nil {
		return err
	}
	vm, _, err := m.on()
	if err == nil {
		err = do(vm)
	}
	return errors.Join(err, m.off())
}

// putBack makes the machine what it was, standing still.
func (m *Machine) putBack(ctx context.Context, s *savedMachine) error {
	m.power.Lock()
	defer m.power.Unlock()
	old := m.disk
	vm, _, err := m.on()
	inPlace := err == nil && !ended(vm) && s.on && old == s.disk
	if inPlace {
		err = errors.Join(vm.Pause(ctx), vm.Load(ctx, s.state))
	} else {
		err = m.off()
		m.disk = s.disk
		switch {
		case err != nil:
		case s.on:
			if err = m.start(ctx, s.disk, true); err == nil {
				vm, _, _ = m.on()
				err = vm.Load(ctx, s.state)
			}
		case s.state != nil:
			err = m.aside(ctx, func(vm *qemu.VM) error { return vm.Load(ctx, s.state) })
		}
	}
	m.mu.Lock()
	m.paused, m.up = s.paused, s.up
	m.mu.Unlock()
	if old != s.disk {
		m.dropDisk(old)
	}
	return err
}

// setClock gives a guest that had a clock the right one.
func (m *Machine) setClock(ctx context.Context, s *savedMachine) error {
	_, agent, err := m.on()
	if err != nil || !s.clockKnown {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, m.lab.pace.Limit(clockLimit))
	defer cancel()
	if err := agent.SetClock(ctx, s.clock); err != nil {
		return fmt.Errorf("machine %s: %w", m.Name(), err)
	}
	return nil
}

// drain throws away frames that are on their way to the machine.
func (m *Machine) drain() {
	frame := make([]byte, 64<<10)
	for _, cable := range m.cables {
		// The time is for what is still in the switch; a read that has something does not look at it.
		for _ = cable.SetReadDeadline(time.Now().Add(time.Millisecond)); ; {
			if _, err := cable.Read(frame); err != nil {
				break
			}
		}
		_ = cable.SetReadDeadline(time.Time{})
	}
}

// dropDisk closes a disk that nothing needs any more.
func (m *Machine) dropDisk(disk *os.File) {
	if disk == nil || disk == m.disk || m.lab.keeps(disk) {
		return
	}
	m.disks = slices.DeleteFunc(m.disks, func(d *os.File) bool { return d == disk })
	disk.Close()
}

// roomFor checks that the states of all machines fit where disks are kept.
func (l *Lab) roomFor() error {
	var need int64
	for _, m := range l.Machines() {
		if _, _, err := m.on(); err == nil {
			need += int64(m.Memory()) << 20
		}
	}
	return qemu.RoomFor(l.config.Own, need)
}
