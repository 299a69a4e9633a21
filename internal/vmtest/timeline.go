package vmtest

import (
	"sync"
	"time"
)

// Event is something that happened in a lab.
type Event struct {
	At      time.Time
	Machine string // "" is the lab as a whole
	Kind    string // power, boot, step, fault, ...
	Text    string
	Took    time.Duration // how long it took; 0 is a moment
	Failed  bool
}

// Timeline collects events and passes them on. A nil one is silent.
type Timeline struct {
	mu     sync.Mutex
	events []Event
	show   func(Event)
}

// NewTimeline collects events; show, when it is not nil, is called for each.
func NewTimeline(show func(Event)) *Timeline { return &Timeline{show: show} }

// Add notes an event, at its own time or now.
func (t *Timeline) Add(e Event) {
	if t == nil {
		return
	}
	if e.At.IsZero() {
		e.At = time.Now().Add(-e.Took)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, e)
	if t.show != nil {
		t.show(e)
	}
}

// Events are all events so far.
func (t *Timeline) Events() []Event {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Event(nil), t.events...)
}
