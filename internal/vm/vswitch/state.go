package vswitch

import (
	"errors"
	"maps"
)

// State is what was set at a switch and its ports at a moment: which are down, what happens to frames, and between whom. Captures
// and counters are no part of it.
type State struct {
	down   map[*Port]bool
	vlans  map[*Port]*vlans
	shapes map[*Port]Condition
	in     map[*Port]Condition
	links  map[pair]Condition
	groups map[*Port]int
}

// State is the switch's state, for PutBack.
func (s *Switch) State() State {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := State{down: map[*Port]bool{}, vlans: map[*Port]*vlans{}, shapes: map[*Port]Condition{}, in: map[*Port]Condition{}, links: map[pair]Condition{}, groups: maps.Clone(s.groups)}
	for _, p := range s.ports {
		st.down[p], st.vlans[p] = p.down.Load(), p.vlan.Load()
		if sh := p.shape.Load(); sh != nil {
			st.shapes[p] = sh.Condition
		}
		if sh := p.inShape.Load(); sh != nil {
			st.in[p] = sh.Condition
		}
	}
	for l, sh := range s.links {
		st.links[l] = sh.Condition
	}
	return st
}

// PutBack sets what was set when State was called, for the ports that are still there. What the switch has learned since, and the frames
// that wait in it, are forgotten: they belong to another time.
func (s *Switch) PutBack(st State) error {
	var errs []error
	for _, p := range s.Ports() {
		p.out.empty()
		p.forget()
		if v := st.vlans[p]; v != nil {
			p.vlan.Store(v)
		}
		p.SetUp(!st.down[p])
		errs = append(errs, p.Impair(st.shapes[p]), p.ImpairIn(st.in[p]))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.links)
	for l, c := range st.links {
		s.links[l] = s.shaper(c, l.from, l.to)
	}
	s.groups = maps.Clone(st.groups)
	return errors.Join(errs...)
}

// empty drops the frames that wait.
func (o *outbox) empty() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = nil
}

// Equal reports whether two states are the same.
func (st State) Equal(other State) bool {
	return maps.Equal(st.vlans, other.vlans) && maps.Equal(st.down, other.down) && maps.Equal(st.shapes, other.shapes) && maps.Equal(st.in, other.in) && maps.Equal(st.links, other.links) && maps.Equal(st.groups, other.groups)
}
