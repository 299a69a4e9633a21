// Package guest runs commands in a virtual machine and copies files in and out, through qemu-guest-agent on a virtio-serial port.
//
// The machine needs the agent's package, and QEMU a port named org.qemu.guest_agent.0. Nothing goes over the guest's network or its
// console, so both can be broken, or under test. The channel survives reboots: what the agent of before was asked is answered with
// [ErrRestarted].
//
// Protocol: QEMU's docs/interop/qemu-ga-ref (JSON requests and answers, in lines; bytes 0xff delimit what an agent left unread).
package guest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// PortName is the name of the virtio-serial port that agents open.
const PortName = "org.qemu.guest_agent.0"

// ErrRestarted says that the machine, or its agent, started again while a command ran.
var ErrRestarted = errors.New("the guest's agent was restarted meanwhile")

// answerLimit is how long an agent may take for one step that does not wait for a program, when it is emulated on a busy machine.
const answerLimit = 60 * time.Second

// maxAnswer bounds one answer. Agents capture at most 16 MiB of each stream of a command, in base64.
const maxAnswer = 96 << 20

// Agent talks to the agent in one machine. Requests are made one at a time; methods can be called from anywhere.
type Agent struct {
	conn net.Conn

	turn  chan struct{} // holds one token for whoever makes a request
	in    *bufio.Reader
	next  int64
	clean bool // the channel is known to hold no old answers

	once sync.Once
	err  error
}

// New uses a channel to the machine's port, which it takes over.
func New(conn net.Conn) *Agent {
	a := &Agent{conn: conn, turn: make(chan struct{}, 1), in: bufio.NewReaderSize(conn, 64<<10)}
	a.turn <- struct{}{}
	return a
}

// Close ends the channel; requests that wait fail.
func (a *Agent) Close() error {
	a.once.Do(func() { a.err = a.conn.Close() })
	return a.err
}

// Wait waits until the agent answers, which is when the guest has started that far.
func (a *Agent) Wait(ctx context.Context) error {
	for {
		err := a.call(ctx, "guest-ping", nil, nil)
		var silent *silentError
		if err == nil || !errors.As(err, &silent) || ctx.Err() != nil {
			return err
		}
	}
}

// silentError says that no answer came in time.
type silentError struct {
	command string
	cause   error
}

func (e *silentError) Error() string {
	return fmt.Sprintf("the guest's agent does not answer (%s): %v", e.command, e.cause)
}
func (e *silentError) Unwrap() error { return e.cause }

// agentError is the agent's refusal.
type agentError struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

func (e *agentError) Error() string { return e.Desc }

// answer is a line from the agent.
type answer struct {
	Return json.RawMessage `json:"return"`
	Error  *agentError     `json:"error"`
}

// call makes one request. A request that is given up leaves the channel in need of synchronisation, not of closing.
func (a *Agent) call(ctx context.Context, command string, args, reply any) error {
	select {
	case <-a.turn:
		defer func() { a.turn <- struct{}{} }()
	case <-ctx.Done():
		return &silentError{command, context.Cause(ctx)}
	}
	limit, cancel := context.WithTimeoutCause(ctx, answerLimit, fmt.Errorf("nothing came in %s", answerLimit))
	defer cancel()
	given := make(chan struct{})
	stop := context.AfterFunc(limit, func() {
		defer close(given)
		_ = a.conn.SetDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-given
		}
		_ = a.conn.SetDeadline(time.Time{})
	}()
	msg, err := a.exchange(command, args)
	switch {
	case err != nil && limit.Err() != nil:
		return &silentError{command, context.Cause(limit)}
	case err != nil:
		return fmt.Errorf("talk to the guest's agent: %w", err)
	case msg.Error != nil:
		return fmt.Errorf("%s: %w", command, msg.Error)
	case reply == nil:
		return nil
	}
	if err := json.Unmarshal(msg.Return, reply); err != nil {
		return fmt.Errorf("the guest's agent answered %s with what is no answer: %w", command, err)
	}
	return nil
}

// exchange sends a request and reads its answer, after it has made sure that what it reads is no older one's.
func (a *Agent) exchange(command string, args any) (answer, error) {
	if !a.clean {
		if err := a.synchronise(); err != nil {
			return answer{}, err
		}
	}
	a.clean = false
	if err := a.send(command, args); err != nil {
		return answer{}, err
	}
	msg, err := a.receive()
	a.clean = err == nil
	return msg, err
}

// synchronise throws away what agents have written so far.
func (a *Agent) synchronise() error {
	a.next++
	id := a.next
	if _, err := a.conn.Write([]byte{0xff}); err != nil { // ends a request that an agent has read half of
		return err
	}
	if err := a.send("guest-sync-delimited", map[string]int64{"id": id}); err != nil {
		return err
	}
	for {
		if err := skipTo(a.in, 0xff); err != nil {
			return err
		}
		msg, err := a.receive()
		var got int64
		switch {
		case errors.Is(err, errNoAnswer):
		case err != nil:
			return err
		case msg.Error == nil && json.Unmarshal(msg.Return, &got) == nil && got == id:
			return nil
		}
	}
}

// skipTo reads up to a byte, however far it is.
func skipTo(r *bufio.Reader, b byte) error {
	for {
		_, err := r.ReadSlice(b)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func (a *Agent) send(command string, args any) error {
	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, args})
	if err != nil {
		return err
	}
	_, err = a.conn.Write(append(line, '\n'))
	return err
}

// errNoAnswer is a line that no agent writes.
var errNoAnswer = errors.New("the line is no answer")

func (a *Agent) receive() (answer, error) {
	line, err := readLine(a.in)
	if err != nil {
		return answer{}, err
	}
	var msg answer
	if json.Unmarshal(line, &msg) != nil || msg.Return == nil && msg.Error == nil {
		return answer{}, errNoAnswer
	}
	return msg, nil
}

// readLine reads a line that may be long, but not endless.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxAnswer {
			return nil, errors.New("the guest's agent sends a line without end")
		}
		if err == nil {
			return bytes.TrimSpace(line), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}
