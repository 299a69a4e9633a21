package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a program on a terminal of its own, with someone who types.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	seen   bytes.Buffer
	chunks chan []byte
}

func openTerminal(t *testing.T, name string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	term := &terminal{t: t, cmd: program(t, name), master: master, chunks: make(chan []byte, 100)}
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = slave, slave, slave
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = term.cmd.Process.Kill() })
	go func() {
		for {
			chunk := make([]byte, 4096)
			n, err := master.Read(chunk)
			if n > 0 {
				term.chunks <- chunk[:n]
			}
			if err != nil {
				close(term.chunks)
				return
			}
		}
	}()
	return term
}

// expect waits until text has been printed since the last call.
func (term *terminal) expect(text string) {
	term.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if i := strings.Index(term.seen.String(), text); i >= 0 {
			term.seen.Next(i + len(text))
			return
		}
		select {
		case chunk, open := <-term.chunks:
			if !open {
				term.t.Fatalf("the terminal was closed, having printed %q, waiting for %q", term.seen.String(), text)
			}
			term.seen.Write(chunk)
		case <-deadline:
			term.t.Fatalf("printed %q, waiting for %q", term.seen.String(), text)
		}
	}
}

func (term *terminal) send(text string) {
	term.t.Helper()
	if _, err := term.master.WriteString(text); err != nil {
		term.t.Fatal(err)
	}
}

func (term *terminal) status() int {
	_ = term.cmd.Wait()
	return term.cmd.ProcessState.ExitCode()
}

// TestShellOnTerminal types into a shell in a sandbox: Ctrl-C must reach what the shell runs and nothing else.
func TestShellOnTerminal(t *testing.T) {
	t.Parallel()
	term := openTerminal(t, "enter terminal stty -echo; PS1= exec sh -i")
	term.send("echo begun$?\n")
	term.expect("begun0")
	term.send("sh -c 'trap \"echo inter; echo rupted; exit 5\" INT; echo sleeping-now; while :; do sleep 0.1; done'\n")
	term.expect("sleeping-now")
	term.send("\x03")
	term.expect("rupted")
	term.send("echo after$?\n")
	term.expect("after5")
	term.send("sh -c 'echo one; kill -STOP $$; echo two'\n")
	term.expect("one")
	term.send("fg\n")
	term.expect("two")
	term.send("tty\n")
	term.expect("/dev/")
	term.send("exit 3\n")
	if got := term.status(); got != 3 {
		t.Errorf("status %d, want 3", got)
	}
}

// TestTerminalIsGivenBack holds that n3x is in the foreground again after a program that left the terminal raw.
func TestTerminalIsGivenBack(t *testing.T) {
	t.Parallel()
	term := openTerminal(t, "enter terminals")
	term.expect("foreground true, echo true")
	if got := term.status(); got != 0 {
		t.Errorf("status %d", got)
	}
}

// TestInterruptFromTerminal types Ctrl-C at n3x itself.
func TestInterruptFromTerminal(t *testing.T) {
	t.Parallel()
	term := openTerminal(t, "enter cancel")
	term.expect("ready")
	term.send("\x03")
	term.expect("got interrupt")
	if got := term.status(); got != 130 {
		t.Errorf("status %d, want 130", got)
	}
}

// TestSecondInterruptFromTerminal types it at an n3x that hangs.
func TestSecondInterruptFromTerminal(t *testing.T) {
	t.Parallel()
	term := openTerminal(t, "enter deaf")
	term.expect("ready")
	go func() { // on a busy machine two may look like one
		for _, err := term.master.WriteString("\x03"); err == nil; _, err = term.master.WriteString("\x03") {
			time.Sleep(repeatAfter + 50*time.Millisecond)
		}
	}()
	if got := term.status(); got != 130 {
		t.Errorf("status %d, want 130", got)
	}
}

// TestSignalOnTerminal sends SIGINT to n3x alone, although it has a terminal.
func TestSignalOnTerminal(t *testing.T) {
	t.Parallel()
	term := openTerminal(t, "enter cancel")
	term.expect("ready")
	if err := term.cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	term.expect("got interrupt")
	if got := term.status(); got != 130 {
		t.Errorf("status %d, want 130", got)
	}
}
