package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// terminalPort is a stand-in for a virtio-serial port: both are devices that carry bytes.
func terminalPort(t *testing.T) (ours net.Conn, name string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	name = fmt.Sprintf("/dev/pts/%d", n)
	slave, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	modes, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	modes.Iflag, modes.Oflag, modes.Lflag = 0, 0, 0
	modes.Cflag = modes.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	if err := unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, modes); err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	go func() { io.Copy(theirs, master); theirs.Close() }()
	go func() { io.Copy(master, theirs); master.Close() }()
	t.Cleanup(func() { ours.Close(); slave.Close(); master.Close() })
	return ours, name
}

// helper starts the real helper, on this host, whenever the agent is asked to.
type helper struct {
	t    *testing.T
	port string
	up   atomic.Bool
	kill context.CancelFunc
	all  sync.WaitGroup
}

func sessions(t *testing.T) (*Sessions, *helper) {
	t.Helper()
	if _, err := sandbox.LookPath("perl"); err != nil {
		t.Skip("this host has no perl")
	}
	a, g := start(t)
	conn, port := terminalPort(t)
	h := &helper{t: t, port: port}
	g.program = h.run
	s := newSessions(a, conn, port, func(context.Context) bool { return h.up.Load() })
	t.Cleanup(func() { h.end(); conn.Close() })
	return s, h
}

func (h *helper) run(argv []string, stdin []byte) {
	file := filepath.Join(h.t.TempDir(), "session.pl")
	if err := os.WriteFile(file, stdin, 0o600); err != nil {
		h.t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.kill = cancel
	h.up.Store(true)
	h.all.Add(1)
	go func() {
		defer h.all.Done()
		var stderr bytes.Buffer
		argv[1] = file
		if err := (&sandbox.Cmd{Host: true, Argv: argv, Stderr: &stderr}).Run(ctx); err != nil && ctx.Err() == nil {
			h.t.Errorf("the helper: %v\n%s", err, stderr.String())
		}
		h.up.Store(false)
	}()
}

func (h *helper) end() {
	if h.kill != nil {
		h.kill()
	}
	h.all.Wait()
}

// all collects what a program writes until it ends.
func all(t *testing.T, s *Session) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	for {
		o, err := s.Next(ctx)
		if err == io.EOF {
			return out.String(), errs.String(), nil
		}
		if err != nil {
			return out.String(), errs.String(), err
		}
		if o.Stderr {
			errs.Write(o.Data)
		} else {
			out.Write(o.Data)
		}
	}
}

func TestSessionOfACommand(t *testing.T) {
	t.Parallel()
	s, _ := sessions(t)
	one, err := s.Start(t.Context(), Program{Argv: []string{"sh", "-c", `printf 'a\000b\n'; echo "$X $(pwd)" >&2; exit 7`}, Env: []string{"X=y=z"}, Dir: "/usr"})
	if err != nil {
		t.Fatal(err)
	}
	if out, errs, err := all(t, one); out != "a\x00b\n" || errs != "y=z /usr\n" || err != nil || one.Status() != 7 {
		t.Errorf("%q, %q, %v, %d", out, errs, err, one.Status())
	}
	if one, err = s.Start(t.Context(), Program{Argv: []string{"/none"}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := all(t, one); err == nil || !strings.Contains(err.Error(), "run in the machine: /none: No such file") {
		t.Errorf("%v", err)
	}
	if _, err := s.Start(t.Context(), Program{}); err == nil {
		t.Error("no program ran")
	}
}

// More than the windows hold goes through, in both directions at once, and several programs do not disturb one another.
func TestSessionsCarryMuch(t *testing.T) {
	t.Parallel()
	s, _ := sessions(t)
	input := bytes.Repeat([]byte("0123456789abcdef\x00\xff\x04\x11\x13"), 100_000)
	var wg sync.WaitGroup
	for range 3 {
		one, err := s.Start(t.Context(), Program{Argv: []string{"cat"}})
		if err != nil {
			t.Fatal(err)
		}
		wg.Add(2)
		go func() {
			defer wg.Done()
			if _, err := one.Write(input); err != nil {
				t.Error(err)
			}
			if err := one.CloseWrite(); err != nil {
				t.Error(err)
			}
		}()
		go func() {
			defer wg.Done()
			if out, _, err := all(t, one); out != string(input) || err != nil {
				t.Errorf("%d of %d bytes, %v", len(out), len(input), err)
			}
		}()
	}
	// One that nobody reads stands still alone.
	stuck, err := s.Start(t.Context(), Program{Argv: []string{"yes"}})
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := stuck.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, _, err := all(t, stuck); err != nil || stuck.Status() != 128+15 {
		t.Errorf("%v, %d", err, stuck.Status())
	}
}

func TestSessionOfATerminal(t *testing.T) {
	t.Parallel()
	s, _ := sessions(t)
	one, err := s.Start(t.Context(), Program{Argv: []string{"sh", "-c", "stty size; cat; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.05; done"}, Rows: 31, Cols: 97})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got := ""
	until := func(text string) {
		t.Helper()
		for !strings.Contains(got, text) {
			o, err := one.Next(ctx)
			if err != nil {
				t.Fatalf("%v after %q", err, got)
			}
			got += string(o.Data)
		}
		_, got, _ = strings.Cut(got, text)
	}
	until("31 97\r\n")
	one.Write([]byte("typed\r"))
	until("typed\r\ntyped\r\n")
	one.Write([]byte("\x04"))
	until("ready\r\n")
	if err := one.Resize(20, 50); err != nil {
		t.Fatal(err)
	}
	until("20 50\r\n")
	if _, _, err := all(t, one); err != nil || one.Status() != 5 {
		t.Errorf("%v, %d", err, one.Status())
	}
}

// Who hangs up ends what runs, with a terminal and without.
func TestSessionHangup(t *testing.T) {
	t.Parallel()
	s, _ := sessions(t)
	for _, rows := range []int{0, 24} {
		mark := filepath.Join(t.TempDir(), "mark")
		one, err := s.Start(t.Context(), Program{Argv: []string{"sh", "-c", "trap 'echo over > " + mark + "; exit' HUP; echo ready; while :; do sleep 0.05; done"}, Rows: rows, Cols: rows})
		if err != nil {
			t.Fatal(err)
		}
		if o, err := one.Next(t.Context()); err != nil || !strings.HasPrefix(string(o.Data), "ready") {
			t.Fatalf("%q, %v", o.Data, err)
		}
		if err := one.Hangup(); err != nil {
			t.Fatal(err)
		}
		if _, err := one.Next(t.Context()); !errors.Is(err, ErrGone) {
			t.Errorf("%v", err)
		}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if data, _ := os.ReadFile(mark); string(data) == "over\n" {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("with %d rows, the program goes on", rows)
			}
		}
	}
}

// When the machine restarts, its sessions end, and new ones begin with a new helper.
func TestSessionsEndWithTheirMachine(t *testing.T) {
	t.Parallel()
	s, h := sessions(t)
	one, err := s.Start(t.Context(), Program{Argv: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	h.end()
	if _, _, err := all(t, one); !errors.Is(err, ErrGone) {
		t.Errorf("%v", err)
	}
	if n, err := one.Write([]byte("x")); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if one, err = s.Start(t.Context(), Program{Argv: []string{"echo", "again"}}); err != nil {
		t.Fatal(err)
	}
	if out, _, err := all(t, one); out != "again\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	s.conn.Close()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := s.Start(t.Context(), Program{Argv: []string{"true"}}); err != nil && strings.Contains(err.Error(), "the machine has ended") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a program starts in a machine that has ended")
		}
	}
}
