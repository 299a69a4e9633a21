package control

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"n3x/internal/diag"
	"n3x/internal/vm/guest"
)

// protocol is what both ends speak; an n3x of another time may speak another one.
const protocol = 1

// Kinds of frames. A connection begins with a request and its reply; those of programs and consoles then carry the rest.
const (
	kindRequest = 'q'
	kindReply   = 'r'
	kindInput   = 'i' // without bytes: there is no more
	kindTaken   = 'a' // how much input was taken
	kindOutput  = 'o'
	kindErrors  = 'e'
	kindSize    = 'w' // rows, columns
	kindExit    = 'x' // status
	kindFailure = 'f' // why there is no status
)

const (
	maxFrame = 1 << 20
	chunk    = 32 << 10
	window   = 256 << 10 // input that is on its way
)

// request is what is asked of a lab.
type request struct {
	Protocol int
	Do       string // status, stop, session, console
	Machine  string
	Program  *guest.Program
	Back     int // bytes of the console's past
	Force    bool
}

// reply says whether it is done.
type reply struct {
	Error  string `json:",omitempty"`
	Hint   string `json:",omitempty"`
	Status *Lab   `json:",omitempty"`
	Text   string `json:",omitempty"`
}

func (r *reply) err() error {
	switch {
	case r.Error == "":
		return nil
	case r.Hint != "":
		return diag.Failedf(diag.Pos{}, "%s", r.Error).WithHint("%s", r.Hint)
	}
	return diag.Failedf(diag.Pos{}, "%s", r.Error)
}

// failure is an error for the other end.
func failure(err error) *reply {
	r := &reply{Error: err.Error()}
	var d *diag.Error
	if errors.As(err, &d) {
		r.Hint = d.Hint
	}
	return r
}

// link is a connection that carries frames; several may write.
type link struct {
	net.Conn
	mu sync.Mutex
}

func (l *link) send(kind byte, data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.Write(append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(data))), data...))
	return err
}

func (l *link) sendJSON(kind byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return l.send(kind, data)
}

func (l *link) receive() (kind byte, data []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(l, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes is too long", n)
	}
	data = make([]byte, n)
	_, err = io.ReadFull(l, data)
	return head[0], data, err
}

// receiveJSON waits for one frame at most so long; 0 is without end.
func (l *link) receiveJSON(kind byte, v any, limit time.Duration) error {
	if limit > 0 {
		if err := l.SetReadDeadline(time.Now().Add(limit)); err != nil {
			return err
		}
		defer l.SetReadDeadline(time.Time{}) //nolint:errcheck // the next read fails
	}
	got, data, err := l.receive()
	if err != nil {
		return err
	}
	if got != kind {
		return fmt.Errorf("a frame %q came instead of %q", got, kind)
	}
	return json.Unmarshal(data, v)
}

func number(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// numbers reads so many numbers; what is missing is 0.
func numbers(data []byte, n int) []int {
	data = append(data, make([]byte, 4*n)...)
	out := make([]int, n)
	for i := range out {
		out[i] = int(binary.BigEndian.Uint32(data[4*i:]))
	}
	return out
}
