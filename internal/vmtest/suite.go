package vmtest

import (
	"time"

	"n3x/internal/diag"
)

// Suite is a test as data: machines, and steps that they go through.
type Suite struct {
	Pos         diag.Pos
	Name        string
	Description string
	Tags        []string // e.g. L2, faults: what `--list` shows and names choose

	Profile  string   // the profile whose nodes the machines are; "" is none
	Overlays []string // of all machines' images; those of profile and node come behind
	Machines []MachineDef
	Services []*Service // besides those of the profile
	Needs    []string   // what must be there, or the suite is skipped with the reason: k3s
	Limit    time.Duration
	Capture  bool     // keeps all frames
	Drops    []string // reasons for which the switch may drop frames
	Steps    []*Step
	Always   []*Step // conditions that must hold all the time
	// Twins are the suite with something broken on purpose: each shows that an assertion can fail.
	Twins []*Twin

	image bool // made for an image
}

// MachineDef is a machine of a suite.
type MachineDef struct {
	Pos        diag.Pos
	Name       string
	Node       string // of the profile; "" is the machine's name
	Overlays   []string
	Cards      []Card // in the place of those of the profile's node, or beside them
	Image      string // a file instead of what overlays build
	Direct     bool
	CPUs       int
	Memory     int
	Persistent bool
	Off        bool
}

// Twin is a variation of a suite that must fail at a certain step, and at no earlier one.
type Twin struct {
	Pos   diag.Pos
	Name  string
	After string // the step behind which Steps are put in; "" is before all
	Steps []*Step
	Fails string // the step that must fail
}

// Step is one thing to do or to hold.
type Step struct {
	Pos  diag.Pos
	Name string
	On   []string // machines; empty is the lab as a whole
	Do   Action

	// When decides on the first machine whether the step applies: one that fails with a status skips it, and what it wrote is the reason.
	When Action
	// Within repeats the step until it holds, at most so long; 0 tries once.
	Within time.Duration
	// For demands that the step holds at every try for so long.
	For time.Duration
	// Meanwhile are steps that run while Do runs, such as a fault during a measurement.
	Meanwhile []*Step
}

// NodeOf is the profile's node that a machine is.
func (m *MachineDef) NodeOf() string {
	if m.Node != "" {
		return m.Node
	}
	return m.Name
}
