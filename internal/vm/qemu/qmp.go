package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// qmp is the control channel. Requests are made one at a time.
type qmp struct {
	conn  net.Conn
	once  sync.Once
	event func(name string) // called for each event; nil drops them

	mu      sync.Mutex // held during a request
	next    int
	answers chan qmpMessage // closed when QEMU has closed the channel
}

// qmpMessage is one line from QEMU: its greeting, an answer, or an event.
type qmpMessage struct {
	Greeting json.RawMessage `json:"QMP"`
	Event    string          `json:"event"`
	ID       *int            `json:"id"`
	Return   json.RawMessage `json:"return"`
	Error    *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

func newQMP(conn net.Conn) *qmp { return &qmp{conn: conn, answers: make(chan qmpMessage, 1)} }

// errEnded is what a request gets when the machine ends before the answer.
var errEnded = errors.New("the machine has ended")

// receive passes messages on until the channel is closed.
func (q *qmp) receive() {
	defer close(q.answers)
	dec := json.NewDecoder(q.conn)
	for {
		var msg qmpMessage
		if err := dec.Decode(&msg); err != nil {
			io.Copy(io.Discard, q.conn) // QEMU must not block on what nobody reads
			return
		}
		if msg.Event != "" {
			if q.event != nil {
				q.event(msg.Event)
			}
			continue
		}
		q.answers <- msg
	}
}

// greet waits for QEMU's greeting and switches to commands.
func (q *qmp) greet(ctx context.Context, ended <-chan struct{}) error {
	q.once.Do(func() { go q.receive() })
	msg, err := q.answer(ctx, ended)
	if err != nil {
		return err
	}
	if msg.Greeting == nil {
		return errors.New("QEMU's control channel does not begin with a greeting")
	}
	return q.execute(ctx, ended, "qmp_capabilities", nil, nil)
}

func (q *qmp) answer(ctx context.Context, ended <-chan struct{}) (qmpMessage, error) {
	select {
	case msg, ok := <-q.answers:
		if !ok {
			return msg, errEnded
		}
		return msg, nil
	case <-ended:
		return qmpMessage{}, errEnded
	case <-ctx.Done():
		return qmpMessage{}, fmt.Errorf("QEMU does not answer: %w", context.Cause(ctx))
	}
}

// execute runs one command and waits for its answer.
func (q *qmp) execute(ctx context.Context, ended <-chan struct{}, command string, args, reply any) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next++
	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        int    `json:"id"`
	}{command, args, q.next})
	if err != nil {
		return fmt.Errorf("QMP %s: %w", command, err)
	}
	deadline, _ := ctx.Deadline() // without one, that of an earlier request goes
	q.conn.SetWriteDeadline(deadline)
	if _, err := q.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("QMP %s: %w", command, errors.Join(errEnded, err))
	}
	for {
		msg, err := q.answer(ctx, ended)
		if err != nil {
			return fmt.Errorf("QMP %s: %w", command, err)
		}
		if msg.ID == nil || *msg.ID != q.next {
			continue // the late answer to a request that was given up
		}
		if msg.Error != nil {
			return fmt.Errorf("QMP %s: %s", command, msg.Error.Desc)
		}
		if reply == nil {
			return nil
		}
		return json.Unmarshal(msg.Return, reply)
	}
}
