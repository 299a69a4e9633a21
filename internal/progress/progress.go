// Package progress carries what a build is doing to whoever shows it: one stream of events,
// rendered for a terminal, as plain lines, or as JSON lines.
//
// A room that works receives a [*Task] (nil is silent) and reports to it; it never prints.
package progress

import (
	"sync"
	"time"
)

// Kind is the kind of an event.
type Kind string

const (
	Started  Kind = "started"
	Progress Kind = "progress" // Done and Total are set
	Line     Kind = "line"     // Text is one line for the user
	Finished Kind = "finished"
	Cached   Kind = "cached" // the result was taken from the cache; the task did not run
	Failed   Kind = "failed"
	Deferred Kind = "deferred" // others have to run before the task, which then runs again
)

// Event is one step of one task.
type Event struct {
	Kind  Kind          `json:"kind"`
	Task  string        `json:"task"`            // e.g. "isar-k3s-image-base:do_rootfs_install"; "" for the build as a whole
	Text  string        `json:"text,omitempty"`  // what is being done, or the line, or the failure
	Done  int64         `json:"done,omitempty"`  // of Total, in Unit
	Total int64         `json:"total,omitempty"` // 0 when unknown
	Unit  string        `json:"unit,omitempty"`  // "bytes", "packages", ...
	Took  time.Duration `json:"took,omitempty"`  // of a finished or failed task
	Time  time.Time     `json:"time"`
}

// Sink receives events, one at a time.
type Sink interface{ Event(Event) }

// Stream hands events from many goroutines to one sink. A nil Stream is silent.
type Stream struct {
	mu   sync.Mutex
	sink Sink
	now  func() time.Time
}

// New makes a stream into sink; now is the clock.
func New(sink Sink, now func() time.Time) *Stream { return &Stream{sink: sink, now: now} }

func (s *Stream) emit(e Event) {
	if s == nil || s.sink == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Time = s.now()
	s.sink.Event(e)
}

// Printf reports one line that belongs to the build as a whole.
func (s *Stream) Printf(text string) { s.emit(Event{Kind: Line, Text: text}) }

// Task starts a task named name. On a nil stream it returns nil, which is silent.
func (s *Stream) Task(name string) *Task {
	if s == nil {
		return nil
	}
	t := &Task{s: s, name: name, start: s.now()}
	s.emit(Event{Kind: Started, Task: name})
	return t
}

// Cached reports a task that did not have to run.
func (s *Stream) Cached(name string) { s.emit(Event{Kind: Cached, Task: name}) }

// Task is the handle with which running work reports. All methods work on nil and do nothing.
type Task struct {
	s     *Stream
	name  string
	start time.Time
}

// Step says what the task does now, e.g. "unpacking linux-image-6.12".
func (t *Task) Step(text string) { t.event(Event{Kind: Progress, Text: text}) }

// Advance reports done of total units, e.g. (3<<20, 156<<20, "bytes").
func (t *Task) Advance(done, total int64, unit string) {
	t.event(Event{Kind: Progress, Done: done, Total: total, Unit: unit})
}

// Alone lets f have the terminal: what tasks report meanwhile waits until it returns, and so do they. f must not report.
func (t *Task) Alone(f func()) {
	if t != nil && t.s != nil {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
	}
	f()
}

// Line reports one line of text that the user should see (a warning of a recipe, for example).
func (t *Task) Line(text string) { t.event(Event{Kind: Line, Text: text}) }

// End reports the task as finished, or as failed when err is not nil.
func (t *Task) End(err error) {
	if t == nil {
		return
	}
	e := Event{Kind: Finished, Took: t.s.now().Sub(t.start)}
	if err != nil {
		e.Kind, e.Text = Failed, err.Error()
	}
	t.event(e)
}

// Defer ends a task that has found out that others have to run before it.
func (t *Task) Defer() {
	if t != nil {
		t.event(Event{Kind: Deferred, Took: t.s.now().Sub(t.start)})
	}
}

func (t *Task) event(e Event) {
	if t == nil {
		return
	}
	e.Task = t.name
	t.s.emit(e)
}
