package control

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/diag"
	"n3x/internal/vm/guest"
)

// Lab is a lab that a process runs.
type Lab struct {
	Name     string    `json:"name"`
	Verb     string    `json:"verb"` // the command that runs it
	PID      int       `json:"pid"`
	Since    time.Time `json:"since"`
	State    string    `json:"state,omitempty"` // why its machines are not there: building, silent; "" when they are
	Machines []Machine `json:"machines"`
}

// Machine is a machine of a lab.
type Machine struct {
	Lab      string    `json:"lab"`
	Name     string    `json:"name"`
	State    string    `json:"state"` // off, starting, up, paused, silent
	Image    string    `json:"image"`
	Since    time.Time `json:"since,omitzero"` // when it was switched on
	Memory   int       `json:"memory"`         // MiB
	Accel    string    `json:"accel,omitempty"`
	PID      int       `json:"pid"` // of the process that runs it
	Forwards []string  `json:"forwards,omitempty"`
}

// ask asks one lab. The link stays open for what follows; stop ends it when ctx does.
func (p Place) ask(ctx context.Context, lab string, q request, limit time.Duration) (l *link, r *reply, stop func(), err error) {
	conn, err := p.dial(lab)
	if err != nil {
		return nil, nil, nil, err
	}
	after := context.AfterFunc(ctx, func() { conn.Close() })
	stop = func() { after(); conn.Close() }
	l = &link{Conn: conn}
	q.Protocol = protocol
	r = &reply{}
	if err = l.sendJSON(kindRequest, q); err == nil {
		err = l.receiveJSON(kindReply, r, limit)
	}
	if err == nil {
		err = r.err()
	}
	if err != nil {
		stop()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, nil, nil, err
	}
	return l, r, stop, nil
}

// statusLimit is how long a lab may take to say how it is, beyond what its machines may.
const statusLimit = 8 * time.Second

// Labs are the user's labs, after what killed processes have left is removed; swept are their names.
func (p Place) Labs(ctx context.Context) (labs []*Lab, swept []string, err error) {
	if swept, err = p.Sweep(); err != nil {
		return nil, nil, err
	}
	names, err := p.names()
	if err != nil {
		return nil, nil, err
	}
	found := make([]*Lab, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Add(1)
		go func() {
			defer all.Done()
			_, r, stop, err := p.ask(ctx, name, request{Do: "status"}, statusLimit)
			switch {
			case err == nil && r.Status != nil:
				found[i] = r.Status
				stop()
			case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, os.ErrNotExist): // it has just ended
			default:
				found[i] = &Lab{Name: name, State: "silent"}
			}
		}()
	}
	all.Wait()
	return slices.DeleteFunc(found, func(l *Lab) bool { return l == nil }), swept, ctx.Err()
}

// Remote is a machine, or a whole lab, that another process runs.
type Remote struct {
	place   Place
	Lab     string
	Machine string // "" is the lab
	PID     int    // of the process that runs it; 0 when that does not say
}

func (r *Remote) name() string {
	if r.Machine == "" {
		return r.Lab
	}
	return r.Machine
}

// Machine finds a machine: by its name, by the name of a lab that has one machine only, or as LAB/MACHINE.
func (p Place) Machine(ctx context.Context, name string) (*Remote, error) {
	r, err := p.find(ctx, name)
	if err != nil || r.Machine != "" {
		return r, err
	}
	labs, _, err := p.Labs(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range labs {
		switch {
		case l.Name != r.Lab:
		case len(l.Machines) == 1:
			r.Machine = l.Machines[0].Name
			return r, nil
		case l.State != "":
			return nil, diag.Failedf(diag.Pos{}, "the machines of %s are not there: they are %s", l.Name, l.State)
		default:
			return nil, diag.Userf(diag.Pos{}, "%s has several machines: %s", l.Name, strings.Join(l.names(), ", ")).WithHint("name one of them")
		}
	}
	return nil, diag.Failedf(diag.Pos{}, "%s has just ended", name)
}

// Find finds a lab or a machine by its name.
func (p Place) Find(ctx context.Context, name string) (*Remote, error) { return p.find(ctx, name) }

func (p Place) find(ctx context.Context, name string) (*Remote, error) {
	labs, swept, err := p.Labs(ctx)
	if err != nil {
		return nil, err
	}
	var found []*Remote
	var known []string
	for _, l := range labs {
		if l.Name == name {
			return &Remote{place: p, Lab: name, PID: l.PID}, nil
		}
		known = append(known, l.Name)
		for _, m := range l.Machines {
			if m.Name == name || l.Name+"/"+m.Name == name {
				found = append(found, &Remote{place: p, Lab: l.Name, Machine: m.Name, PID: l.PID})
			}
			if m.Name != l.Name {
				known = append(known, l.Name+"/"+m.Name)
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		var names []string
		for _, r := range found {
			names = append(names, r.Lab+"/"+r.Machine)
		}
		return nil, diag.Userf(diag.Pos{}, "several machines are called %s", name).WithHint("write one of: %s", strings.Join(names, ", "))
	case slices.Contains(swept, name):
		return nil, &KilledError{name}
	case known == nil:
		return nil, diag.Userf(diag.Pos{}, "there is no machine %q: none runs", name).WithHint("n3x vm run IMAGE.wic --name %s", name)
	}
	e := diag.Userf(diag.Pos{}, "there is no machine %q; there are: %s", name, strings.Join(known, ", "))
	if near := diag.Nearest(name, known); near != "" {
		return nil, e.WithHint("did you mean %s?", near)
	}
	return nil, e
}

// KilledError says that the process that ran a machine was killed. What it left has been removed.
type KilledError struct{ Name string }

func (e *KilledError) Error() string {
	return "the process that ran " + e.Name + " had been killed; what it left is removed"
}

func (l *Lab) names() []string {
	var out []string
	for _, m := range l.Machines {
		out = append(out, m.Name)
	}
	return out
}

// Streams are what the user sees and types.
type Streams struct {
	In       io.Reader // nil is none
	Out, Err io.Writer
	Sizes    <-chan [2]int // the terminal's new rows and columns
	Detach   byte          // a byte of In that ends the connection; 0 is none
}

// ErrDetached says that the user has left, with [Streams.Detach].
var ErrDetached = errors.New("detached")

// Run runs a program in the machine, and gives its status.
func (r *Remote) Run(ctx context.Context, p guest.Program, s Streams) (status int, err error) {
	l, _, stop, err := r.place.ask(ctx, r.Lab, request{Do: "session", Machine: r.Machine, Program: &p}, 0)
	if err != nil {
		return 0, r.explain(err)
	}
	defer stop()
	return r.stream(ctx, l, s)
}

// Console shows the machine's console from its last bytes on, and types on it.
func (r *Remote) Console(ctx context.Context, back int, s Streams) error {
	l, _, stop, err := r.place.ask(ctx, r.Lab, request{Do: "console", Machine: r.Machine, Back: back}, 10*time.Second)
	if err != nil {
		return r.explain(err)
	}
	defer stop()
	_, err = r.stream(ctx, l, s)
	return err
}

// explain names what nobody answers for any more.
func (r *Remote) explain(err error) error {
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) || errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
		return diag.Failedf(diag.Pos{}, "the process that runs machine %s has ended", r.name())
	}
	return err
}

// stream carries input and output until one end has had enough.
func (r *Remote) stream(ctx context.Context, l *link, s Streams) (status int, err error) {
	left := make(chan struct{})
	room := newCredit(window)
	defer room.close()
	if s.In != nil {
		go func() {
			if pump(l, s, room) {
				close(left)
				l.Close()
			}
		}()
	}
	end := make(chan struct{})
	defer close(end)
	go func() {
		for {
			select {
			case size := <-s.Sizes:
				_ = l.send(kindSize, append(number(size[0]), number(size[1])...)) // a link that is gone ends the stream
			case <-end:
				return
			}
		}
	}()
	for {
		kind, data, err := l.receive()
		if err != nil {
			select {
			case <-left:
				return 0, ErrDetached
			default:
			}
			if ctx.Err() != nil {
				return 0, context.Cause(ctx)
			}
			return 0, r.explain(err)
		}
		switch kind {
		case kindOutput:
			_, err = s.Out.Write(data)
		case kindErrors:
			_, err = s.Err.Write(data)
		case kindTaken:
			room.add(numbers(data, 1)[0])
		case kindExit:
			return numbers(data, 1)[0], nil
		case kindFailure:
			return 0, diag.Failedf(diag.Pos{}, "machine %s: %s", r.name(), data)
		}
		if err != nil {
			return 0, err
		}
	}
}

// pump sends input; it is true when the user wants to leave.
func pump(l *link, s Streams, room *credit) bool {
	buf := make([]byte, chunk)
	for {
		n, err := s.In.Read(buf)
		data := buf[:n]
		leave := false
		if s.Detach != 0 {
			if at := slices.Index(data, s.Detach); at >= 0 {
				data, leave = data[:at], true
			}
		}
		if len(data) > 0 && room.take(len(data)) {
			_ = l.send(kindInput, data) // the other direction tells
		}
		if leave {
			return true
		}
		if err != nil {
			_ = l.send(kindInput, nil)
			return false
		}
	}
}

// credit is how many bytes may be on their way.
type credit struct {
	mu    sync.Mutex
	more  *sync.Cond
	n     int
	ended bool
}

func newCredit(n int) *credit {
	c := &credit{n: n}
	c.more = sync.NewCond(&c.mu)
	return c
}

func (c *credit) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	c.more.Signal()
}

func (c *credit) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.more.Signal()
}

// take waits for room; false when nobody takes anything any more.
func (c *credit) take(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n < n && !c.ended {
		c.more.Wait()
	}
	c.n -= n
	return !c.ended
}

// endLimit is how long a process may take to end after its machines are down.
const endLimit = 20 * time.Second

// Stop ends the machine, or the lab, and waits until nothing of it is left: by the power button, and by the plug when that takes too long,
// or at once with force. said is what happened besides.
func (r *Remote) Stop(ctx context.Context, force bool) (said string, err error) {
	_, reply, stop, err := r.place.ask(ctx, r.Lab, request{Do: "stop", Machine: r.Machine, Force: force}, 0)
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		_, err := r.place.Sweep()
		return "", err
	case err != nil:
		return "", r.explain(err)
	}
	stop()
	for end := time.Now().Add(endLimit); ; {
		labs, _, err := r.place.Labs(ctx)
		if err != nil {
			return "", err
		}
		at := slices.IndexFunc(labs, func(l *Lab) bool { return l.Name == r.Lab && l.PID == r.PID })
		if at < 0 || r.Machine != "" && len(labs[at].Machines) > 1 {
			return reply.Text, nil
		}
		if time.Now().After(end) {
			return "", diag.Failedf(diag.Pos{}, "the process that runs %s (%d) does not end", r.name(), r.PID).WithHint("kill %d", r.PID)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// Path is a file in the lab's folder.
func (r *Remote) Path(name string) string { return filepath.Join(r.place.Folder(r.Lab), name) }
