package vmtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"n3x/internal/arch"
	"n3x/internal/diag"
	"n3x/internal/vm/guest"
	"n3x/internal/vm/qemu"
	"n3x/internal/vm/vswitch"
)

// bootLimit is how long a machine with KVM may take until its agent answers.
const bootLimit = 60 * time.Second

// Machine is a machine of a lab. It can be on or off; its cables stay.
type Machine struct {
	lab  *Lab
	spec Spec
	arch arch.Arch

	ports  map[string]*vswitch.Port // by card
	cables map[string]*os.File      // the machine's ends; QEMU gets copies

	mu    sync.Mutex
	vm    *qemu.VM
	agent *guest.Agent
	shell *guest.Sessions
	since time.Time
	up    bool     // its agent has answered since then
	log   *os.File // all boots of the machine, one behind the other
	disk  string   // of a persistent machine
}

func newMachine(l *Lab, s Spec) (*Machine, error) {
	of, err := qemu.ImageArch(s.Image)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "machine %s: read %s: %w", s.Name, s.Image, err)
	}
	if of == "" {
		of = arch.Host()
	}
	m := &Machine{lab: l, spec: s, arch: of, ports: map[string]*vswitch.Port{}, cables: map[string]*os.File{}}
	if m.log, err = os.Create(l.file(s.Name + ".console")); err != nil {
		return nil, diag.Failedf(diag.Pos{}, "machine %s: %w", s.Name, err)
	}
	for _, c := range s.Cards {
		if err := m.plug(c); err != nil {
			m.unplug()
			return nil, fmt.Errorf("machine %s: %w", s.Name, err)
		}
	}
	return m, nil
}

func (m *Machine) plug(c Card) error {
	if _, err := position(c.Name); err != nil {
		return err
	}
	if m.ports[c.Name] != nil {
		return diag.Userf(diag.Pos{}, "it has two network cards %s", c.Name)
	}
	c.Port.Name = m.spec.Name + "/" + c.Name
	port, end, err := m.lab.switchOf(c.Switch).Plug(c.Port)
	if err != nil {
		return err
	}
	m.ports[c.Name], m.cables[c.Name] = port, end
	return nil
}

func (m *Machine) unplug() error {
	errs := []error{m.log.Close()}
	for _, name := range sortedKeys(m.ports) {
		errs = append(errs, m.ports[name].Unplug(), m.cables[name].Close())
	}
	return errors.Join(errs...)
}

// Name is the machine's name.
func (m *Machine) Name() string { return m.spec.Name }

// Port is the switch's port at a network card.
func (m *Machine) Port(card string) (*vswitch.Port, error) {
	if p := m.ports[card]; p != nil {
		return p, nil
	}
	return nil, diag.Userf(diag.Pos{}, "machine %s has no network card %q; it has: %s", m.spec.Name, card, strings.Join(sortedKeys(m.ports), ", "))
}

// Boot starts the machine and waits until its agent answers.
func (m *Machine) Boot(ctx context.Context) error {
	start := time.Now()
	if err := m.Start(ctx); err != nil {
		return err
	}
	if err := m.WaitAgent(ctx, bootLimit); err != nil {
		return err
	}
	m.lab.pace.booted(time.Since(start))
	m.lab.config.Log.Add(Event{Machine: m.spec.Name, Kind: "boot", Text: "is up", Took: time.Since(start)})
	return nil
}

// Start starts the machine without waiting for its system.
func (m *Machine) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.vm != nil && !ended(m.vm) {
		return diag.Userf(diag.Pos{}, "machine %s is on already", m.spec.Name)
	}
	if m.vm != nil {
		m.agent.Close()
	}
	tools, accel, err := m.lab.config.Tools(m.arch)
	if err != nil {
		return err
	}
	q, err := m.describe(tools, accel)
	if err != nil {
		return err
	}
	m.lab.pace.begin(accel)
	vm, err := qemu.Start(ctx, tools, *q)
	if err != nil {
		return err
	}
	m.vm, m.agent = vm, guest.New(vm.Channel(guest.PortName))
	m.since, m.up = time.Now(), false
	m.shell = guest.NewSessions(m.agent, vm.Channel(guest.SessionPort), func(ctx context.Context) bool {
		open, err := vm.ChannelOpen(ctx, guest.SessionPort)
		return open && err == nil
	})
	m.lab.config.Log.Add(Event{Machine: m.spec.Name, Kind: "power", Text: "is switched on"})
	return nil
}

// describe is the machine for QEMU.
func (m *Machine) describe(tools qemu.Tools, accel qemu.Accel) (*qemu.Machine, error) {
	image, err := m.image()
	if err != nil {
		return nil, err
	}
	q := &qemu.Machine{
		Name: m.spec.Name, Arch: m.arch, Accel: accel, CPUs: m.spec.CPUs, Memory: m.spec.Memory, Log: m.log, Display: true,
		Disks:    []qemu.Disk{{Path: image, Writable: m.spec.Persistent}},
		Channels: []string{guest.PortName, guest.SessionPort}, Dir: m.lab.config.Own,
	}
	if m.spec.Direct {
		if err := q.DirectFiles(m.spec.Image); err != nil {
			return nil, err
		}
	} else if q.Firmware, err = tools.Firmware(m.arch); err != nil {
		return nil, err
	}
	last := -1
	if m.spec.User != nil {
		last = 1 // as on boards: one that leads out, and the node's
	}
	for name := range m.ports {
		n, _ := position(name)
		last = max(last, n)
	}
	for i := range last + 1 { // a card for each number up to the last, so that names come out right
		nic := qemu.NIC{MAC: macOf(m.spec.Name, i), User: &qemu.UserNet{Restrict: true}}
		if i == 0 && m.spec.User != nil {
			nic.User = m.spec.User
		}
		if end := m.cables[fmt.Sprintf("eth%d", i)]; end != nil {
			socket, err := duplicate(end)
			if err != nil {
				return nil, err
			}
			nic = qemu.NIC{MAC: nic.MAC, Socket: socket}
		}
		if j := slices.IndexFunc(m.spec.Cards, func(c Card) bool { return c.Name == fmt.Sprintf("eth%d", i) }); j >= 0 && m.spec.Cards[j].MAC != "" {
			nic.MAC = m.spec.Cards[j].MAC
		}
		q.NICs = append(q.NICs, nic)
	}
	return q, nil
}

// macOf is a locally administered address that two machines hardly share.
func macOf(machine string, card int) string {
	h := sha256.Sum256([]byte(machine))
	return fmt.Sprintf("52:54:%02x:%02x:%02x:%02x", h[0], h[1], h[2], card)
}

// image is the disk that the machine uses.
func (m *Machine) image() (string, error) {
	if !m.spec.Persistent {
		return m.spec.Image, nil
	}
	if m.disk == "" && m.spec.Disk != "" {
		if _, err := os.Stat(m.spec.Disk); err == nil {
			m.disk = m.spec.Disk
		}
	}
	if m.disk == "" {
		name := m.spec.Disk
		if name == "" {
			name = m.lab.file(m.spec.Name + ".disk")
		}
		if err := copySparse(m.spec.Image, name); err != nil {
			return "", diag.Failedf(diag.Pos{}, "machine %s: copy its disk: %w", m.spec.Name, err)
		}
		m.disk = name
	}
	return m.disk, nil
}

// on gives the running machine.
func (m *Machine) on() (*qemu.VM, *guest.Agent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.vm == nil || ended(m.vm) {
		return nil, nil, diag.Failedf(diag.Pos{}, "machine %s is off", m.spec.Name)
	}
	return m.vm, m.agent, nil
}

// WaitAgent waits until the machine's agent answers. The error of one that does not has the console's last lines and a picture.
func (m *Machine) WaitAgent(ctx context.Context, limit time.Duration) error {
	vm, agent, err := m.on()
	if err != nil {
		return err
	}
	limit = m.lab.pace.Limit(limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s are over", limit.Round(time.Second)))
	defer cancel()
	go func() {
		select {
		case <-vm.Done(): // nobody will answer any more
			agent.Close()
		case <-ctx.Done():
		}
	}()
	if err := agent.Wait(ctx); err != nil {
		return m.explain(vm, fmt.Errorf("machine %s does not come up: %w", m.spec.Name, err))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up = true
	return nil
}

// explain adds to an error what can be seen of the machine.
func (m *Machine) explain(vm *qemu.VM, err error) error {
	e := diag.Failedf(diag.Pos{}, "%w", err).WithNote("its console ends with\n%s", vm.Console().Recent(15))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if name, serr := m.Screenshot(ctx, "failed"); serr == nil {
		e = e.WithNote("its screen is %s, its whole console %s", name, m.log.Name())
	}
	return e
}

// Screenshot keeps a picture of the machine's screen and gives the file's name.
func (m *Machine) Screenshot(ctx context.Context, name string) (string, error) {
	vm, _, err := m.on()
	if err != nil {
		return "", err
	}
	data, err := vm.Screenshot(ctx)
	if err != nil {
		return "", err
	}
	file := m.lab.file(m.spec.Name + "-" + filepath.Base(name) + ".png")
	return file, os.WriteFile(file, data, 0o666)
}

// Run runs a command in the machine and gives what it wrote and its status.
func (m *Machine) Run(ctx context.Context, c guest.Command) (guest.Result, error) {
	_, agent, err := m.on()
	if err != nil {
		return guest.Result{}, err
	}
	r, err := agent.Run(ctx, c)
	if err != nil {
		err = fmt.Errorf("machine %s: %w", m.spec.Name, err)
	}
	return r, err
}

// Do runs a shell script that has to succeed and gives what it wrote.
func (m *Machine) Do(ctx context.Context, script string) (string, error) {
	c := guest.Shell(script)
	r, err := m.Run(ctx, c)
	if err == nil && r.Status != 0 {
		err = fmt.Errorf("machine %s: %w", m.spec.Name, &guest.StatusError{Command: c, Result: r})
	}
	return string(r.Stdout), err
}

// Copy copies a file of this host into the machine.
func (m *Machine) Copy(ctx context.Context, from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return diag.Userf(diag.Pos{}, "%w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	_, agent, err := m.on()
	if err != nil {
		return err
	}
	return agent.WriteFile(ctx, to, f, st.Mode())
}

// Fetch copies a file of the machine to w.
func (m *Machine) Fetch(ctx context.Context, from string, w io.Writer) error {
	_, agent, err := m.on()
	if err != nil {
		return err
	}
	return agent.ReadFile(ctx, from, w)
}

// WaitConsole waits until the console shows what matches.
func (m *Machine) WaitConsole(ctx context.Context, re *regexp.Regexp) error {
	vm, _, err := m.on()
	if err != nil {
		return err
	}
	_, err = vm.Console().WaitFor(ctx, re)
	return err
}

// SetLink pulls the cable out of a network card, or puts it back; the machine sees its carrier go.
func (m *Machine) SetLink(ctx context.Context, card string, up bool) error {
	vm, _, err := m.on()
	if err != nil {
		return err
	}
	n, err := position(card)
	if err != nil {
		return err
	}
	return vm.SetLink(ctx, n, up)
}

// Reset restarts the machine at once. What it had not written to its disk is lost, as when power fails for a moment.
func (m *Machine) Reset(ctx context.Context) error {
	vm, _, err := m.on()
	if err != nil {
		return err
	}
	return vm.Reset(ctx)
}

// Pause stops the machine's processors, and Resume lets them go on.
func (m *Machine) Pause(ctx context.Context) error {
	vm, _, err := m.on()
	if err != nil {
		return err
	}
	return vm.Pause(ctx)
}

// Resume undoes Pause.
func (m *Machine) Resume(ctx context.Context) error {
	vm, _, err := m.on()
	if err != nil {
		return err
	}
	return vm.Resume(ctx)
}

// PowerOff pulls the machine's plug.
func (m *Machine) PowerOff() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.vm == nil {
		return nil
	}
	m.agent.Close()
	err := m.vm.Close()
	m.vm, m.agent = nil, nil
	m.lab.config.Log.Add(Event{Machine: m.spec.Name, Kind: "power", Text: "is off"})
	return err
}

// ShutDown presses the power button and waits until the system has ended.
func (m *Machine) ShutDown(ctx context.Context) error {
	vm, _, err := m.on()
	if err != nil {
		return err
	}
	if err := vm.PowerDown(ctx); err != nil {
		return m.explain(vm, err)
	}
	return m.PowerOff()
}

func (m *Machine) close() error {
	err := errors.Join(m.PowerOff(), m.unplug())
	if m.disk != "" && m.spec.Disk == "" {
		err = errors.Join(err, os.Remove(m.disk))
	}
	return err
}
