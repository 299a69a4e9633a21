package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
)

const (
	maxUnread = 4 << 20  // how much console output is kept for WaitFor; older output is forgotten
	maxRecent = 64 << 10 // how much is kept for who looks later, or slowly
	message   = 8 << 10  // how much of that is looked through for a message
)

// Console is a machine's serial console.
type Console struct {
	conn net.Conn
	log  io.Writer
	end  <-chan struct{} // closed when the machine has ended
	eof  chan struct{}   // closed when nothing more will come

	mu     sync.Mutex
	unread []byte        // not yet consumed by WaitFor
	recent []byte        // the last output, consumed or not, for messages and viewers
	total  int64         // how much came so far
	boot   int64         // where the output of the last boot begins
	boots  int           // how many there were before it
	more   chan struct{} // closed and replaced when something comes
}

func newConsole(conn net.Conn, log io.Writer, end <-chan struct{}) *Console {
	return &Console{conn: conn, log: log, end: end, eof: make(chan struct{}), more: make(chan struct{})}
}

// read collects output until the channel is closed.
func (c *Console) read() {
	defer close(c.eof)
	buf := make([]byte, 32<<10)
	for {
		n, err := c.conn.Read(buf)
		if n > 0 {
			c.append(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// finish takes what QEMU wrote last, after it has ended.
func (c *Console) finish() {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	<-c.eof
}

func (c *Console) append(b []byte) {
	if c.log != nil {
		c.log.Write(b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread = keepLast(append(c.unread, b...), maxUnread)
	c.recent = keepLast(append(c.recent, b...), maxRecent)
	c.total += int64(len(b))
	close(c.more)
	c.more = make(chan struct{})
}

func keepLast(b []byte, n int) []byte {
	if len(b) > n {
		return bytes.Clone(b[len(b)-n:])
	}
	return b
}

// keep and putBack are for states of the machine: the text that was there is part of them.
func (c *Console) keep() (unread, recent []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.unread), bytes.Clone(c.recent)
}

func (c *Console) putBack(unread, recent []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread, c.recent = bytes.Clone(unread), bytes.Clone(recent)
	close(c.more)
	c.more = make(chan struct{})
}

// Write types on the console.
func (c *Console) Write(b []byte) (int, error) { return c.conn.Write(b) }

// Copy writes the last output, at most so many bytes of it, and then what comes, as it is, until ctx ends, w fails, or the machine has
// ended, which is no error. Who reads too slowly misses something; the machine does not wait.
func (c *Console) Copy(ctx context.Context, w io.Writer, last int) error {
	c.mu.Lock()
	at := c.total - int64(min(last, len(c.recent)))
	c.mu.Unlock()
	for ended := false; ; {
		c.mu.Lock()
		at = max(at, c.total-int64(len(c.recent)))
		part := bytes.Clone(c.recent[int64(len(c.recent))-(c.total-at):])
		at = c.total
		more := c.more
		c.mu.Unlock()
		if len(part) > 0 {
			if _, err := w.Write(part); err != nil {
				return err
			}
		} else if ended {
			return nil
		}
		select {
		case <-more:
		case <-c.eof:
			ended = true // look once more at what came last
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// WaitFor waits until the output that no earlier WaitFor has consumed matches re, consumes it up to the end of the
// match, and returns the match and its groups.
func (c *Console) WaitFor(ctx context.Context, re *regexp.Regexp) ([]string, error) {
	ended := false
	for {
		c.mu.Lock()
		if loc := re.FindSubmatchIndex(c.unread); loc != nil {
			var groups []string
			for i := 0; i < len(loc); i += 2 {
				groups = append(groups, string(c.unread[max(loc[i], 0):max(loc[i+1], 0)]))
			}
			c.unread = c.unread[loc[1]:]
			c.mu.Unlock()
			return groups, nil
		}
		more := c.more
		c.mu.Unlock()
		if ended {
			return nil, c.waitError(re, errEnded)
		}
		select {
		case <-more:
		case <-c.eof:
			ended = true // look once more at what came last
		case <-ctx.Done():
			return nil, c.waitError(re, context.Cause(ctx))
		}
	}
}

// timeUp is context.DeadlineExceeded in words for people.
type timeUp struct{}

func (timeUp) Error() string { return "time is up" }
func (timeUp) Unwrap() error { return context.DeadlineExceeded }

// waitError tells what the console showed instead.
func (c *Console) waitError(re *regexp.Regexp, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = timeUp{}
	}
	last := c.Recent(10)
	if last == "" {
		last = "(nothing)"
	}
	return fmt.Errorf("wait for %q on the console: %w; it shows:\n%s", re, err, last)
}

// control are the terminal sequences and control characters that guests send besides text.
var control = regexp.MustCompile(`\x1b\[[0-9;?=]*[a-zA-Z]|\x1b[()][A-Z0-9]|\x1b.|[\x00-\x08\x0b-\x1f]`)

// Recent is the last n lines of output, without control sequences.
func (c *Console) Recent(n int) string {
	c.mu.Lock()
	text := string(keepLast(c.recent, message))
	c.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(control.ReplaceAllString(text, "")), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
