package control

import (
	"context"
	"errors"
	"io"
	"sync"

	"n3x/internal/vmtest"
)

// session runs a program in a machine; its input and output go over the link.
func (s *Server) session(l *link, m *vmtest.Machine, q *request) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	one, err := m.Session(ctx, *q.Program)
	if err != nil {
		return err
	}
	if err := l.sendJSON(kindReply, &reply{}); err != nil {
		return errors.Join(err, one.Hangup())
	}
	input := newQueue()
	defer input.close()
	go func() { // what is typed
		for {
			data, ok := input.next()
			if !ok {
				return
			}
			if data == nil {
				_ = one.CloseWrite() // a session that is gone ends by itself
				continue
			}
			_, _ = one.Write(data)
			_ = l.send(kindTaken, number(len(data)))
		}
	}()
	go func() {
		defer cancel()
		for {
			kind, data, err := l.receive()
			switch {
			case err != nil:
				_ = one.Hangup()
				return
			case kind == kindInput && len(data) == 0:
				input.add(nil)
			case kind == kindInput:
				input.add(data)
			case kind == kindSize:
				size := numbers(data, 2)
				_ = one.Resize(size[0], size[1])
			}
		}
	}()
	for {
		o, err := one.Next(ctx)
		switch {
		case err == io.EOF:
			_ = l.send(kindExit, number(one.Status()))
			return nil
		case err != nil:
			_ = l.send(kindFailure, []byte(err.Error()))
			return nil
		}
		kind := byte(kindOutput)
		if o.Stderr {
			kind = kindErrors
		}
		if l.send(kind, o.Data) != nil {
			return one.Hangup()
		}
	}
}

// console shows a machine's console, and types on it.
func (s *Server) console(l *link, m *vmtest.Machine, q *request) error {
	if err := l.sendJSON(kindReply, &reply{}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	go func() {
		defer cancel()
		for {
			kind, data, err := l.receive()
			if err != nil {
				return
			}
			if kind == kindInput && len(data) > 0 {
				_ = m.Type(data) // a machine that is off takes nothing
				_ = l.send(kindTaken, number(len(data)))
			}
		}
	}()
	_ = m.Watch(ctx, outputs{l}, q.Back) // ended by whoever looks, or by the lab
	return nil
}

// outputs writes as frames of output.
type outputs struct{ l *link }

func (o outputs) Write(p []byte) (int, error) {
	for at := 0; at < len(p); at += chunk {
		if err := o.l.send(kindOutput, p[at:min(at+chunk, len(p))]); err != nil {
			return at, err
		}
	}
	return len(p), nil
}

// queue keeps input in order until a program takes it; the other end sends no more than a window of it.
type queue struct {
	mu    sync.Mutex
	more  *sync.Cond
	list  [][]byte
	ended bool
}

func newQueue() *queue {
	q := &queue{}
	q.more = sync.NewCond(&q.mu)
	return q
}

func (q *queue) add(data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, data)
	q.more.Signal()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.more.Signal()
}

func (q *queue) next() (data []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && !q.ended {
		q.more.Wait()
	}
	if q.ended {
		return nil, false
	}
	data = q.list[0]
	q.list = q.list[1:]
	return data, true
}
