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
	"n3x/internal/disk"
	"n3x/internal/vm/guest"
	"n3x/internal/vm/qemu"
	"n3x/internal/vm/vswitch"
)

// Machine is a machine of a lab. It can be on or off; its cables stay.
type Machine struct {
	lab  *Lab
	spec Spec
	arch arch.Arch

	ports  map[string]*vswitch.Port // by card
	cables map[string]*os.File      // the machine's ends; QEMU gets copies

	log *consoleLog // all boots of the machine, one behind the other

	power sync.Mutex // held while the machine is switched, or its state put back

	mu     sync.Mutex
	vm     *qemu.VM
	agent  *guest.Agent
	shell  *guest.Sessions
	since  time.Time
	paused bool
	up     bool // its agent has answered since then
	prompt bool // its console has shown a prompt since then, without that

	// disk takes what the machine writes. disks are those that are open: states can be in others ([Lab.Save]).
	disk  *os.File
	disks []*os.File
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
	m.log = &consoleLog{}
	if err := m.log.open(l.file(s.Name + ".console")); err != nil {
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
	errs := []error{m.log.close()}
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

// Start starts the machine without waiting for its system.
func (m *Machine) Start(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	if vm, _, err := m.on(); err == nil && !ended(vm) {
		return diag.Userf(diag.Pos{}, "machine %s is on already", m.spec.Name)
	}
	if err := m.lab.ready(m); err != nil {
		return err
	}
	own := m.disk
	if !m.spec.Persistent {
		own = nil
	}
	if err := m.start(ctx, own, false); err != nil {
		return err
	}
	m.lab.log(Event{Machine: m.spec.Name, Kind: "power", Text: "is switched on"})
	return nil
}

// newDisk is a disk like the image, in place of the one before.
func (m *Machine) newDisk() (*os.File, error) {
	st, err := os.Stat(m.spec.Image)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "machine %s: %w", m.spec.Name, err)
	}
	overlay, err := qemu.NewOverlay(m.lab.config.Own, st.Size())
	if err != nil {
		return nil, diag.Failedf(diag.Pos{}, "machine %s: %w", m.spec.Name, err)
	}
	old := m.disk
	m.disk = overlay
	m.disks = append(m.disks, overlay)
	m.dropDisk(old)
	return overlay, nil
}

// namedDisk is the copy of the image that outlives the lab. It appears as a whole or not at all.
func (m *Machine) namedDisk(ctx context.Context) (qemu.Disk, error) {
	d := qemu.Disk{Path: m.spec.Disk, Writable: true}
	if _, err := os.Stat(d.Path); err == nil {
		return d, nil
	}
	part := d.Path + ".part"
	err := os.RemoveAll(part) // of one that was given up
	if err == nil {
		err = disk.CopySparse(ctx, m.spec.Image, part)
	}
	if err == nil {
		err = errors.Join(os.Chmod(part, 0o600), os.Rename(part, d.Path))
	}
	if err != nil {
		os.Remove(part)
		return d, diag.Failedf(diag.Pos{}, "machine %s: copy its disk: %w", m.spec.Name, err)
	}
	return d, nil
}

// start starts QEMU, with a disk like the image when own is nil.
func (m *Machine) start(ctx context.Context, own *os.File, paused bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.vm != nil {
		m.agent.Close()
	}
	tools, accel, err := m.lab.config.Tools(m.arch)
	if err != nil {
		return err
	}
	d := qemu.Disk{Path: m.spec.Image}
	switch {
	case m.spec.Disk != "":
		d, err = m.namedDisk(ctx)
	case own == nil:
		d.Overlay, err = m.newDisk()
	default:
		d.Overlay = own
	}
	if err != nil {
		return err
	}
	q, err := m.describe(tools, accel)
	if err != nil {
		return err
	}
	q.Disks, q.Paused = []qemu.Disk{d}, paused
	m.lab.pace.begin(accel)
	// The machine outlives the step that starts it, but not the lab.
	life, end := context.WithCancel(m.lab.life)
	stop := context.AfterFunc(ctx, end)
	vm, err := qemu.Start(life, tools, *q)
	if stop(); err != nil {
		end()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	go func() { <-vm.Done(); end() }()
	m.vm, m.agent = vm, guest.New(vm.Channel(guest.PortName))
	m.since, m.paused, m.up, m.prompt = time.Now(), paused, false, false
	m.shell = guest.NewSessions(m.agent, vm.Channel(guest.SessionPort), func(ctx context.Context) bool {
		open, err := vm.ChannelOpen(ctx, guest.SessionPort)
		return open && err == nil
	})
	return nil
}

// describe is the machine for QEMU.
func (m *Machine) describe(tools qemu.Tools, accel qemu.Accel) (*qemu.Machine, error) {
	var err error
	q := &qemu.Machine{
		Name: m.spec.Name, Arch: m.arch, Accel: accel, CPUs: m.spec.CPUs, Memory: m.Memory(), Log: m.log, Display: true,
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

// on gives the running machine.
func (m *Machine) on() (*qemu.VM, *guest.Agent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.vm == nil || ended(m.vm) {
		return nil, nil, diag.Failedf(diag.Pos{}, "machine %s is off", m.spec.Name)
	}
	return m.vm, m.agent, nil
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
		return guest.Result{}, &unanswered{err}
	}
	r, err := agent.Run(ctx, c)
	if err != nil {
		err = &unanswered{fmt.Errorf("machine %s: %w", m.spec.Name, m.whyEnded(err))}
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
func (m *Machine) Pause(ctx context.Context) error { return m.setPaused(ctx, true) }

// Resume undoes Pause.
func (m *Machine) Resume(ctx context.Context) error { return m.setPaused(ctx, false) }

func (m *Machine) setPaused(ctx context.Context, paused bool) error {
	vm, _, err := m.on()
	if err != nil {
		return err
	}
	if paused {
		err = vm.Pause(ctx)
	} else {
		err = vm.Resume(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.paused = paused
	}
	return err
}

// PowerOff pulls the machine's plug.
func (m *Machine) PowerOff() error {
	m.power.Lock()
	defer m.power.Unlock()
	if _, _, err := m.on(); err != nil {
		return nil
	}
	err := m.off()
	m.lab.log(Event{Machine: m.spec.Name, Kind: "power", Text: "is off"})
	return err
}

// off ends QEMU, if it runs.
func (m *Machine) off() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.vm == nil {
		return nil
	}
	m.agent.Close()
	err := m.vm.Close()
	m.vm, m.agent, m.paused, m.up = nil, nil, false, false
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
	errs := []error{m.PowerOff(), m.unplug()}
	for _, d := range m.disks {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
