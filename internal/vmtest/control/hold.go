package control

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"n3x/internal/vmtest"
)

// ErrStopped says that somebody has stopped the lab meanwhile.
var ErrStopped = errors.New("stopped by n3x vm stop")

// Boot switches machines on, all at once, and waits until their systems are there. say gets a line for each. Machines without an agent
// that show a login prompt are up, too; about one that shows nothing there is a line.
func (s *Server) Boot(ctx context.Context, machines []*vmtest.Machine, say func(string)) error {
	s.settle("starting")
	defer s.settle("")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.stop:
			cancel(ErrStopped)
		case <-ctx.Done():
		}
	}()
	errs := make([]error, len(machines))
	var all sync.WaitGroup
	for i, m := range machines {
		all.Add(1)
		go func() {
			defer all.Done()
			start := time.Now()
			how, err := m.Arrive(ctx)
			if errs[i] = err; err != nil {
				cancel(err)
				return
			}
			say(fmt.Sprintf("machine %s %s after %.1f s", m.Name(), how, time.Since(start).Seconds()))
		}()
	}
	all.Wait()
	s.mu.Lock()
	stopping := s.stopping
	s.mu.Unlock()
	if stopping {
		<-s.stop
		return ErrStopped
	}
	if ctx.Err() != nil { // what was wrong first, not what it brought about
		return context.Cause(ctx)
	}
	return nil
}

// settle says why the machines are not up; "" when they are.
func (s *Server) settle(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// Hold waits until all machines of the lab are off, somebody has stopped it, or ctx ends.
func (s *Server) Hold(ctx context.Context, l *vmtest.Lab) error {
	for {
		off := true
		for _, m := range l.Machines() {
			off = off && m.State(ctx) == vmtest.StateOff
		}
		if off {
			return nil
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-s.stop:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
