package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/diag"
	"n3x/internal/vmtest"
)

// haltLimit is how long a machine with KVM may take to shut down before its plug is pulled.
const haltLimit = 15 * time.Second

// Server makes a lab known.
type Server struct {
	place Place
	name  string
	verb  string
	since time.Time
	on    *net.UnixListener
	ctx   context.Context
	end   context.CancelFunc
	all   sync.WaitGroup
	stop  chan struct{}
	once  sync.Once

	mu       sync.Mutex
	state    string
	stopping bool
	lab      *vmtest.Lab
}

// Open takes a lab's name, before its machines are there. verb is the command that runs it, for others to see. A name that is taken is an error.
func (p Place) Open(name, verb string) (*Server, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	unlock, err := p.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := p.sweep(name); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Join(p.dir, name+suffix)); err == nil {
		return nil, diag.Userf(diag.Pos{}, "machines called %s run already", name).WithHint("n3x vm stop %s, or another name with --name", name)
	}
	path, done, err := p.within(name)
	if err != nil {
		return nil, err
	}
	defer done()
	on, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, diag.Failedf(diag.Pos{}, "make machines %s known: %w", name, err)
	}
	on.SetUnlinkOnClose(false)
	if err := os.Chmod(filepath.Join(p.dir, name+suffix), 0o600); err != nil {
		return nil, errors.Join(err, on.Close())
	}
	ctx, end := context.WithCancel(context.Background())
	s := &Server{place: p, name: name, verb: verb, since: time.Now(), on: on, ctx: ctx, end: end, stop: make(chan struct{}), state: "building"}
	s.all.Add(1)
	go s.serve()
	return s, nil
}

// Serve makes a lab known that is there already: [Place.Open] and [Server.Show].
func (p Place) Serve(name, verb string, l *vmtest.Lab) (*Server, error) {
	s, err := p.Open(name, verb)
	if err == nil {
		s.Show(l)
	}
	return s, err
}

// Show lets others drive a lab's machines.
func (s *Server) Show(l *vmtest.Lab) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lab = l
	if s.state == "building" {
		s.state = ""
	}
}

// Stopped is closed when somebody has asked for the lab's end. Its machines are down then; whoever holds it has to close it.
func (s *Server) Stopped() <-chan struct{} { return s.stop }

// Close ends all connections, and frees the name.
func (s *Server) Close() error {
	unlock, err := s.place.lock()
	if err != nil {
		return err
	}
	defer unlock()
	err = errors.Join(s.on.Close(), os.Remove(filepath.Join(s.place.dir, s.name+suffix)), os.RemoveAll(s.place.Own(s.name)))
	s.end()
	s.all.Wait()
	return err
}

func (s *Server) serve() {
	defer s.all.Done()
	for {
		conn, err := s.on.AcceptUnix()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(50 * time.Millisecond) // no descriptors are left
			continue
		}
		s.all.Add(1)
		go func() {
			defer s.all.Done()
			defer conn.Close()
			stop := context.AfterFunc(s.ctx, func() { conn.Close() })
			defer stop()
			s.answer(conn)
		}()
	}
}

// same reports whether the other end is this user.
func same(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || cerr != nil {
		return false
	}
	return int(cred.Uid) == os.Geteuid()
}

// answer serves one connection.
func (s *Server) answer(conn *net.UnixConn) {
	l := &link{Conn: conn}
	var q request
	if err := l.receiveJSON(kindRequest, &q, 10*time.Second); err != nil {
		return
	}
	err := s.do(l, &q, same(conn))
	if err != nil {
		_ = l.sendJSON(kindReply, failure(err)) // who asked may be gone
	}
}

// do does what is asked, and replies when that succeeds.
func (s *Server) do(l *link, q *request, same bool) error {
	switch {
	case !same:
		return errors.New("these are another user's machines")
	case q.Protocol != protocol:
		return fmt.Errorf("the machines %s are run by an n3x that is too different from this one", s.name)
	}
	s.mu.Lock()
	lab := s.lab
	s.mu.Unlock()
	switch q.Do {
	case "status":
		return l.sendJSON(kindReply, &reply{Status: s.status(lab)})
	case "stop":
		return s.halt(l, lab, q)
	}
	if lab == nil {
		return fmt.Errorf("the machines %s are not there yet: their images are being built", s.name)
	}
	m, err := lab.Machine(q.Machine)
	if err != nil {
		return err
	}
	switch {
	case q.Do == "session" && q.Program != nil:
		return s.session(l, m, q)
	case q.Do == "console":
		return s.console(l, m, q)
	}
	return fmt.Errorf("BUG: request %q", q.Do)
}

func (s *Server) status(lab *vmtest.Lab) *Lab {
	s.mu.Lock()
	out := &Lab{Name: s.name, Verb: s.verb, PID: os.Getpid(), Since: s.since, State: s.state}
	s.mu.Unlock()
	if lab == nil {
		return out
	}
	for _, m := range lab.Machines() {
		spec := m.Spec()
		one := Machine{Lab: s.name, Name: m.Name(), State: m.State(s.ctx), Image: spec.Image, Since: m.Since(), Memory: m.Memory(), Accel: m.Accel(), PID: out.PID}
		if spec.User != nil {
			for _, f := range spec.User.Forwards {
				one.Forwards = append(one.Forwards, fmt.Sprintf("127.0.0.1:%d:%d", f.Host, f.Guest))
			}
		}
		out.Machines = append(out.Machines, one)
	}
	return out
}

// halt ends one machine of several, or the lab.
func (s *Server) halt(l *link, lab *vmtest.Lab, q *request) error {
	limit := haltLimit
	if q.Force {
		limit = 0
	}
	if lab == nil {
		s.once.Do(func() { close(s.stop) })
		return l.sendJSON(kindReply, &reply{Text: "the build was stopped"})
	}
	machines, whole := lab.Machines(), true
	if q.Machine != "" {
		m, err := lab.Machine(q.Machine)
		if err != nil {
			return err
		}
		whole = len(machines) == 1
		machines = []*vmtest.Machine{m}
	}
	if whole {
		s.mu.Lock()
		s.stopping = true
		s.mu.Unlock()
		defer s.once.Do(func() { close(s.stop) })
	}
	said := make([]string, len(machines))
	errs := make([]error, len(machines))
	var all sync.WaitGroup
	for i, m := range machines {
		all.Add(1)
		go func() {
			defer all.Done()
			button, err := m.Halt(s.ctx, limit)
			if errs[i] = err; !button && !q.Force {
				said[i] = fmt.Sprintf("machine %s did not shut down in time; its plug was pulled", m.Name())
			}
		}()
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return l.sendJSON(kindReply, &reply{Text: strings.Join(strings.Fields(strings.Join(said, "\n")), " ")})
}
