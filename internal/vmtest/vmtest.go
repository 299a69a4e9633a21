// Package vmtest runs tests on machines: it boots images in QEMU, wires them with switches that enforce VLANs, drives them through
// their guest agents, breaks what a test wants broken, and writes down what happened.
//
// A [Lab] is the machines and their network, for tests written in Go. A [Suite] is the same as data: YAML files with machines and
// steps, which [Runner] runs. Time limits are meant for machines with KVM; on emulated or slow ones they are longer, by what the
// machines' own boots have shown ([Pace]). When a lab is closed, no process, socket or temporary file of it is left.
package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"n3x/internal/arch"
	"n3x/internal/cluster"
	"n3x/internal/diag"
	"n3x/internal/host"
	"n3x/internal/vm/qemu"
	"n3x/internal/vm/vswitch"
)

// Config is what all machines of a lab share.
type Config struct {
	Tools func(arch.Arch) (qemu.Tools, qemu.Accel, error) // QEMU for an architecture, and whether KVM has been proven
	Dir   string                                          // gets consoles, captures and screenshots; it is made
	Scale float64                                         // the user's factor on all time limits; 0 is 1
	Seed  uint64                                          // decides which frames are lost
	Own   string                                          // where machines keep files of their own while they run, made when it is not there; "" is /var/tmp
	Log   *Timeline                                       // receives what happens; nil is silent
	Host  host.Host                                       // whose memory machines may take; the zero one is this one
}

// Spec describes a machine.
type Spec struct {
	Name   string
	Image  string // a .wic file
	Direct bool   // boots kernel and initrd that lie beside the image, without firmware
	CPUs   int    // 0 is 2
	Memory int    // MiB; 0 is 1024
	Cards  []Card // eth0, eth1 ... in their order
	// Persistent keeps what the machine writes while it is off, in a copy of its image.
	Persistent bool
	Disk       string // that copy, which then outlives the lab; "" is one that does not
	// User is the network behind eth0 when no cable is there; nil leads nowhere.
	User *qemu.UserNet
}

// Card is a network card and where its cable goes.
type Card struct {
	Name   string // e.g. "eth1"
	MAC    string // "" is one that belongs to the machine's and the card's names
	Switch string
	Port   vswitch.PortConfig // its name is filled in
}

// Lab is machines and the switches between them.
type Lab struct {
	life     context.Context // of the machines
	end      context.CancelFunc
	out      sync.Mutex // for where results go
	config   Config
	pace     Pace
	mu       sync.Mutex
	switches map[string]*vswitch.Switch
	machines map[string]*Machine
	order    []string
	services map[string]*service

	states sync.Mutex        // held while a state is saved or put back
	saved  map[string]*saved // by name
}

// New makes an empty lab.
func New(c Config) (*Lab, error) {
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		return nil, diag.Failedf(diag.Pos{}, "make a folder for what the machines say: %w", err)
	}
	if c.Own != "" {
		if err := os.MkdirAll(c.Own, 0o700); err != nil {
			return nil, diag.Failedf(diag.Pos{}, "make a folder for the machines' own files: %w", err)
		}
	}
	if c.Scale == 0 {
		c.Scale = 1
	}
	life, end := context.WithCancel(context.Background())
	return &Lab{life: life, end: end, config: c, pace: Pace{scale: c.Scale}, switches: map[string]*vswitch.Switch{}, machines: map[string]*Machine{}, saved: map[string]*saved{}}, nil
}

// Add describes a machine and plugs its cables in, without starting it.
func (l *Lab) Add(s Spec) (*Machine, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.Name == "" || strings.ContainsAny(s.Name, "/\x00") || l.machines[s.Name] != nil {
		return nil, diag.Userf(diag.Pos{}, "%q is no name for another machine", s.Name)
	}
	m, err := newMachine(l, s)
	if err != nil {
		return nil, err
	}
	l.machines[s.Name] = m
	l.order = append(l.order, s.Name)
	return m, nil
}

// Machine finds a machine. An unknown one is an error that names those there are.
func (l *Lab) Machine(name string) (*Machine, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.machines[name]; m != nil {
		return m, nil
	}
	return nil, diag.Userf(diag.Pos{}, "there is no machine %q; there are: %s", name, strings.Join(l.order, ", "))
}

// Machines are all machines in the order in which they were added.
func (l *Lab) Machines() []*Machine {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*Machine
	for _, name := range l.order {
		out = append(out, l.machines[name])
	}
	return out
}

// Switch is a switch by its name, made when it is asked for the first time.
func (l *Lab) Switch(name string) *vswitch.Switch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.switchOf(name)
}

func (l *Lab) switchOf(name string) *vswitch.Switch {
	if l.switches[name] == nil {
		l.switches[name] = vswitch.New(name, l.config.Seed)
	}
	return l.switches[name]
}

// Boot starts machines, all at once, and waits until their agents answer.
func (l *Lab) Boot(ctx context.Context, machines ...*Machine) error {
	if err := l.ready(machines...); err != nil {
		return err
	}
	return each(machines, func(m *Machine) error { return m.Boot(ctx) })
}

// Close ends all machines and switches, and waits until nothing of them is left. It gives the first errors of captures.
func (l *Lab) Close() error {
	var errs []error
	for _, m := range l.Machines() {
		errs = append(errs, m.close())
	}
	l.end()
	for _, server := range l.allServices() {
		errs = append(errs, server.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range sortedKeys(l.switches) {
		errs = append(errs, l.switches[name].Close())
	}
	return errors.Join(errs...)
}

// file is where something of the lab is kept.
func (l *Lab) file(name string) string {
	l.out.Lock()
	defer l.out.Unlock()
	return filepath.Join(l.config.Dir, name)
}

// log notes an event.
func (l *Lab) log(e Event) {
	l.out.Lock()
	to := l.config.Log
	l.out.Unlock()
	to.Add(e)
}

// output lets consoles, captures, screenshots and events of what comes next go elsewhere.
func (l *Lab) output(dir string, log *Timeline) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return diag.Failedf(diag.Pos{}, "make a folder for what the machines say: %w", err)
	}
	l.out.Lock()
	l.config.Dir, l.config.Log = dir, log
	l.out.Unlock()
	var errs []error
	for _, m := range l.Machines() {
		errs = append(errs, m.log.open(l.file(m.Name()+".console")))
	}
	return errors.Join(errs...)
}

// allSwitches are the lab's switches.
func (l *Lab) allSwitches() []*vswitch.Switch {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*vswitch.Switch
	for _, name := range sortedKeys(l.switches) {
		out = append(out, l.switches[name])
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// firstPrivate is the first VLAN that stands for a network without one, on the switch that all cards of a profile share.
const firstPrivate = 4000

// privateVLANs are the ids of networks without a VLAN.
func privateVLANs(p *cluster.Profile) map[string]int {
	private := map[string]int{}
	for _, n := range p.Networks {
		if n.VLAN == 0 {
			private[n.Name] = firstPrivate + len(private)
		}
	}
	return private
}

// NodeCards are the network cards of a profile's node, all on one switch. Networks without a VLAN get ids there that no other network
// has, so that they are as separate as on switches of their own.
func NodeCards(p *cluster.Profile, node *cluster.Node, on string) []Card {
	private := privateVLANs(p)
	var out []Card
	for _, c := range p.Cards(node) {
		port := vswitch.PortConfig{Trunk: c.Tagged, Native: private[c.Untagged]}
		if len(c.Tagged) == 0 {
			port = vswitch.PortConfig{Access: private[c.Untagged]}
		}
		out = append(out, Card{Name: c.Name, MAC: c.MAC, Switch: on, Port: port})
	}
	return out
}

// position is the number at the end of a network card's name, which is its place among the machine's cards.
func position(card string) (int, error) {
	var n int
	if _, err := fmt.Sscanf(card, "eth%d", &n); err != nil || card != fmt.Sprintf("eth%d", n) || n > 15 {
		return 0, diag.Userf(diag.Pos{}, "a network card is called eth0 to eth15, not %q", card)
	}
	return n, nil
}
