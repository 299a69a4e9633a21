package vmtest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"n3x/internal/diag"
	"n3x/internal/vm/netserve"
	"n3x/internal/vm/vswitch"
	"n3x/internal/yaml"
)

// Service is a server in one of a suite's networks, which no machine's image has to bring: DHCP, DNS, a way to the outside.
type Service struct {
	Pos     diag.Pos
	Name    string
	Network string // of the profile
	Off     bool   // a step starts it
	// Config is what it does. Reservations name machines or hardware addresses; names of machines join those of DNS.
	Config netserve.Config
	node   *yaml.Node // nil: it follows from the profile
}

// service is a server of a lab.
type service struct {
	*netserve.Server
	port   *vswitch.Port
	def    *Service
	events atomic.Int64
}

// maxServiceEvents bounds what a server adds to a timeline: machines that are refused try again and again.
const maxServiceEvents = 500

// Serve starts a server on a switch.
func (l *Lab) Serve(def *Service, on string, port vswitch.PortConfig) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.machines[def.Name] != nil || l.services[def.Name] != nil {
		return diag.Userf(def.Pos, "%q is no name for another server", def.Name)
	}
	port.Name = def.Name
	p, end, err := l.switchOf(on).Plug(port)
	if err != nil {
		return diag.Userf(def.Pos, "%w", err)
	}
	s := &service{port: p, def: def}
	c := def.Config
	c.Log = func(text string) {
		switch n := s.events.Add(1); {
		case n < maxServiceEvents:
			l.log(Event{Kind: "service", Text: def.Name + " " + text})
		case n == maxServiceEvents:
			l.log(Event{Kind: "service", Text: def.Name + " says more, which is left out"})
		}
	}
	if s.Server, err = netserve.Start(c, end); err != nil {
		return errors.Join(diag.Userf(def.Pos, "%w", err), p.Unplug())
	}
	s.SetUp(!def.Off)
	if l.services == nil {
		l.services = map[string]*service{}
	}
	l.services[def.Name] = s
	return nil
}

// Service finds a server. An unknown one is an error that names those there are.
func (l *Lab) Service(name string) (*netserve.Server, error) {
	s, err := l.server(name)
	if err != nil {
		return nil, err
	}
	return s.Server, nil
}

func (l *Lab) server(name string) (*service, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.services[name]; s != nil {
		return s, nil
	}
	names := strings.Join(sortedKeys(l.services), ", ")
	if names == "" {
		names = "none"
	}
	return nil, diag.Userf(diag.Pos{}, "there is no service %q; there are: %s", name, names)
}

// allServices are all servers in the order of their names.
func (l *Lab) allServices() []*service {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*service
	for _, name := range sortedKeys(l.services) {
		out = append(out, l.services[name])
	}
	return out
}

// portsOf are the switch ports of a machine or a server.
func (l *Lab) portsOf(name string) ([]*vswitch.Port, error) {
	l.mu.Lock()
	s := l.services[name]
	l.mu.Unlock()
	if s != nil {
		return []*vswitch.Port{s.port}, nil
	}
	m, err := l.Machine(name)
	if err != nil {
		return nil, err
	}
	var out []*vswitch.Port
	for _, card := range sortedKeys(m.ports) {
		out = append(out, m.ports[card])
	}
	return out, nil
}

// leases writes which addresses servers have given, for the report, and gives a line for each.
func (l *Lab) leases() ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var notes []string
	var errs []error
	for _, name := range sortedKeys(l.services) {
		var b strings.Builder
		for _, lease := range l.services[name].Leases() {
			kind, who := "from the range", lease.MAC
			if lease.Reserved {
				kind = "reserved"
			}
			if lease.Name != "" {
				who += " (" + lease.Name + ")"
			}
			notes = append(notes, fmt.Sprintf("%s gave %s to %s, %s", name, lease.Address, who, kind))
			fmt.Fprintf(&b, "%s %s given %s expires %s %s\n", lease.Address, who, lease.Given.UTC().Format(time.RFC3339), lease.Expires.UTC().Format(time.RFC3339), kind)
		}
		if b.Len() > 0 {
			errs = append(errs, os.WriteFile(l.file(fileName(name)+".leases"), []byte(b.String()), 0o666))
		}
	}
	return notes, errors.Join(errs...)
}

// Serve switches a server on or off, or changes a reservation.
type Serve struct {
	Name    string
	Up      *bool
	Reserve map[string]netip.Addr // by machine or hardware address
}

// String says what happens.
func (s *Serve) String() string {
	var parts []string
	if s.Up != nil {
		parts = append(parts, map[bool]string{true: "is on", false: "is off"}[*s.Up])
	}
	for _, who := range sortedKeys(s.Reserve) {
		parts = append(parts, fmt.Sprintf("has %s for %s", s.Reserve[who], who))
	}
	return "service " + s.Name + " " + strings.Join(parts, ", ")
}

// Act does it.
func (s *Serve) Act(_ context.Context, r *Run, _ *Machine) error {
	server, err := r.lab.server(s.Name)
	if err != nil {
		return err
	}
	for _, who := range sortedKeys(s.Reserve) {
		mac, err := r.lab.macIn(r.profile, server.def.Network, who)
		if err == nil {
			err = server.Reserve(mac, s.Reserve[who])
		}
		if err != nil {
			return err
		}
	}
	if s.Up != nil {
		server.SetUp(*s.Up)
	}
	return nil
}
