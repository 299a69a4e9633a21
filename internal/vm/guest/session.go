package guest

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed" // of session.pl
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"n3x/internal/diag"
)

// SessionPort is the name of the virtio-serial port that [Sessions] uses.
const SessionPort = "n3x.session"

//go:embed session.pl
var sessionHelper []byte

const (
	window   = 256 << 10 // bytes that one side of a session may send before the other one has taken them; session.pl has the same
	maxFrame = 64 << 10  // longest piece that either side sends
	header   = 9         // of a frame: a letter, the session's number, the length
)

// Program is what a session runs, as root.
type Program struct {
	Argv []string
	Env  []string // NAME=VALUE, on top of the agent's
	Dir  string   // "" is /
	// Rows and Cols, when they are not 0, ask for a pseudo-terminal of that size, which also takes what is written as errors.
	Rows, Cols int
}

// Sessions run programs in a machine whose input and output flow while they run, any number at once. A helper in the guest, written in
// Perl, which the agent starts when it is needed, does that over a virtio-serial port.
type Sessions struct {
	agent *Agent
	conn  net.Conn
	port  string                     // in the guest
	alive func(context.Context) bool // whether something in the guest has the port open

	starting sync.Mutex // held while a helper is started
	writing  sync.Mutex

	mu       sync.Mutex
	word     []byte // what a new helper says first; nil when nothing that comes counts
	synced   chan struct{}
	in       []byte
	up       bool
	next     uint32
	sessions map[uint32]*Session
	dead     error // the channel has ended
}

// NewSessions uses the channel of a port, which it takes over, and the agent that starts the helper. alive tells whether the guest has
// the port open.
func NewSessions(a *Agent, conn net.Conn, alive func(context.Context) bool) *Sessions {
	return newSessions(a, conn, "/dev/virtio-ports/"+SessionPort, alive)
}

func newSessions(a *Agent, conn net.Conn, port string, alive func(context.Context) bool) *Sessions {
	s := &Sessions{agent: a, conn: conn, port: port, alive: alive, sessions: map[uint32]*Session{}}
	go s.read()
	return s
}

// ErrGone says that the machine, or the helper in it, ended while a session ran.
var ErrGone = errors.New("the machine was restarted, or its session helper was ended")

// Start starts a program.
func (s *Sessions) Start(ctx context.Context, p Program) (*Session, error) {
	if len(p.Argv) == 0 {
		return nil, diag.Userf(diag.Pos{}, "a session has a program")
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.next++
	one := &Session{all: s, id: s.next, credit: window, change: make(chan struct{})}
	s.sessions[one.id] = one
	s.mu.Unlock()
	tty := ""
	if p.Rows > 0 && p.Cols > 0 {
		tty = fmt.Sprintf("%d %d", p.Rows, p.Cols)
	}
	words := append([]string{tty, p.Dir, strconv.Itoa(len(p.Env))}, append(p.Env[:len(p.Env):len(p.Env)], p.Argv...)...)
	if err := s.send('O', one.id, []byte(strings.Join(words, "\x00"))); err != nil {
		return nil, err
	}
	return one, nil
}

// ready makes sure that a helper runs.
func (s *Sessions) ready(ctx context.Context) error {
	s.starting.Lock()
	defer s.starting.Unlock()
	s.mu.Lock()
	up, dead := s.up, s.dead
	s.mu.Unlock()
	if dead != nil || up && s.alive(ctx) {
		return dead
	}
	s.drop(ErrGone)
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return err
	}
	word := []byte(hex.EncodeToString(raw))
	s.mu.Lock()
	s.word, s.in, s.synced = word, nil, make(chan struct{})
	synced := s.synced
	s.mu.Unlock()
	pid, err := s.agent.start(ctx, Command{Argv: []string{"perl", "-", s.port, string(word)}, Stdin: sessionHelper})
	if err != nil {
		if refused := (*agentError)(nil); errors.As(err, &refused) {
			return diag.Failedf(diag.Pos{}, "start the session helper: %w", err).WithHint("the image needs perl-base, which Debian's images have")
		}
		return fmt.Errorf("start the session helper: %w", err)
	}
	if err := s.conn.SetWriteDeadline(time.Time{}); err != nil {
		return err
	}
	if err := s.raw(word); err != nil {
		return err
	}
	for wait := pollFirst; ; wait = min(wait*3/2, pollLatest) {
		select {
		case <-synced:
			go s.watch()
			return nil
		case <-ctx.Done():
			return fmt.Errorf("start the session helper: %w", context.Cause(ctx))
		case <-time.After(wait):
		}
		st, err := s.agent.status(ctx, pid)
		if err != nil {
			return fmt.Errorf("start the session helper: %w", err)
		}
		if st.Exited {
			return diag.Failedf(diag.Pos{}, "start the session helper: it ends with %s", strings.TrimSpace(string(st.Err)))
		}
	}
}

// watch ends the sessions when the guest does not have the port open any more.
func (s *Sessions) watch() {
	for {
		time.Sleep(time.Second)
		s.mu.Lock()
		up, dead := s.up, s.dead
		s.mu.Unlock()
		if !up || dead != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		alive := s.alive(ctx)
		cancel()
		if !alive {
			s.drop(ErrGone)
			return
		}
	}
}

// drop ends all sessions.
func (s *Sessions) drop(why error) {
	_ = s.conn.SetWriteDeadline(time.Unix(1, 0)) // who writes now waits for nobody
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up, s.word, s.in = false, nil, nil
	for _, one := range s.sessions {
		one.end(0, why)
	}
	clear(s.sessions)
}

func (s *Sessions) send(kind byte, id uint32, data []byte) error {
	frame := make([]byte, header, header+len(data))
	frame[0] = kind
	binary.BigEndian.PutUint32(frame[1:], id)
	binary.BigEndian.PutUint32(frame[5:], uint32(len(data)))
	return s.raw(append(frame, data...))
}

func (s *Sessions) raw(data []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, err := s.conn.Write(data); err != nil {
		return ErrGone
	}
	return nil
}

// read takes what comes from the guest, until the channel is closed.
func (s *Sessions) read() {
	buf := make([]byte, maxFrame)
	for {
		n, err := s.conn.Read(buf)
		if n > 0 {
			s.mu.Lock()
			s.take(buf[:n])
			s.mu.Unlock()
		}
		if err != nil {
			s.mu.Lock()
			s.dead = diag.Failedf(diag.Pos{}, "the machine has ended")
			s.mu.Unlock()
			s.drop(s.dead)
			return
		}
	}
}

func (s *Sessions) take(data []byte) {
	if s.word == nil {
		return
	}
	s.in = append(s.in, data...)
	if !s.up {
		at := bytes.Index(s.in, s.word)
		if at < 0 {
			s.in = keepLast(s.in, len(s.word))
			return
		}
		s.in, s.up = s.in[at+len(s.word):], true
		close(s.synced)
	}
	for len(s.in) >= header {
		id, n := binary.BigEndian.Uint32(s.in[1:]), int(binary.BigEndian.Uint32(s.in[5:]))
		if n > maxFrame || len(s.in) < header+n {
			break
		}
		if one := s.sessions[id]; one != nil {
			one.take(s.in[0], bytes.Clone(s.in[header:header+n]))
		}
		s.in = s.in[header+n:]
	}
}

func keepLast(b []byte, n int) []byte { return b[max(len(b)-n, 0):] }

// Session is a program that runs in a machine.
type Session struct {
	all *Sessions
	id  uint32

	// Guarded by all.mu.
	credit int // bytes that may be written
	out    []Output
	ended  bool
	status int
	err    error
	change chan struct{} // closed and replaced when something of these changes
}

// Output is a piece of what a program wrote.
type Output struct {
	Data   []byte
	Stderr bool
}

func (s *Session) changed() {
	close(s.change)
	s.change = make(chan struct{})
}

// take takes a frame; all.mu is held.
func (s *Session) take(kind byte, data []byte) {
	switch kind {
	case 'o', 'e':
		s.out = append(s.out, Output{data, kind == 'e'})
	case 'A':
		s.credit += int(binary.BigEndian.Uint32(append(data, 0, 0, 0, 0)))
	case 'X':
		s.end(int(binary.BigEndian.Uint32(append(data, 0, 0, 0, 0))), nil)
		delete(s.all.sessions, s.id)
	case 'F':
		s.end(0, diag.Failedf(diag.Pos{}, "run in the machine: %s", strings.TrimSpace(string(data))))
		delete(s.all.sessions, s.id)
	}
	s.changed()
}

// end notes how the program ended; all.mu is held.
func (s *Session) end(status int, err error) {
	s.ended, s.status, s.err = true, status, err
	s.changed()
}

// Next waits for the next piece of output. After the last one it gives io.EOF, or why the session did not get that far.
func (s *Session) Next(ctx context.Context) (Output, error) {
	for {
		s.all.mu.Lock()
		if len(s.out) > 0 {
			o := s.out[0]
			s.out = s.out[1:]
			ended := s.ended
			s.all.mu.Unlock()
			if !ended {
				_ = s.all.send('A', s.id, binary.BigEndian.AppendUint32(nil, uint32(len(o.Data)))) // a helper that is gone ends the session
			}
			return o, nil
		}
		ended, err, change := s.ended, s.err, s.change
		s.all.mu.Unlock()
		switch {
		case ended && err != nil:
			return Output{}, err
		case ended:
			return Output{}, io.EOF
		}
		select {
		case <-change:
		case <-ctx.Done():
			return Output{}, context.Cause(ctx)
		}
	}
}

// Status is how the program ended, once [Session.Next] has given io.EOF; 128 + the signal's number when one ended it.
func (s *Session) Status() int {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	return s.status
}

// Write gives the program input. It waits while the program takes none; input for one that has ended is dropped.
func (s *Session) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		s.all.mu.Lock()
		n, ended, change := min(s.credit, len(p)-done, maxFrame/2), s.ended, s.change
		if n > 0 {
			s.credit -= n
		}
		s.all.mu.Unlock()
		switch {
		case ended:
			return len(p), nil
		case n <= 0:
			<-change
			continue
		}
		if err := s.all.send('I', s.id, p[done:done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// CloseWrite ends the program's input.
func (s *Session) CloseWrite() error { return s.all.send('I', s.id, nil) }

// Resize gives the program's terminal another size.
func (s *Session) Resize(rows, cols int) error {
	return s.all.send('W', s.id, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(rows)), uint32(cols)))
}

// Signal sends a signal to the program and those that it started.
func (s *Session) Signal(sig syscall.Signal) error {
	return s.all.send('S', s.id, binary.BigEndian.AppendUint32(nil, uint32(sig)))
}

// Hangup ends the session as closing a terminal does: the program gets SIGHUP, and can neither read nor write any more.
func (s *Session) Hangup() error {
	err := s.all.send('C', s.id, nil)
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	delete(s.all.sessions, s.id)
	s.end(0, ErrGone)
	return err
}
