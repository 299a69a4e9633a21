package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/vmtest"
)

func prompt(t *testing.T) (*Prompt, *bytes.Buffer) {
	t.Helper()
	l := lab(t, "one", "two")
	s := serve(t, place(t), "lab", l)
	t.Cleanup(func() { s.Close() })
	var out bytes.Buffer
	var steps []*vmtest.Step
	for _, line := range []string{"partition one | two", "heal", "power one on", "heal"} {
		step, err := vmtest.Typed(line, []string{"one", "two"})
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	return &Prompt{Server: s, Lab: l, Run: vmtest.NewRun(l, nil, nil), Steps: steps, Out: &out, Show: func(w io.Writer, err error) { fmt.Fprintln(w, "error:", err) }}, &out
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	p, out := prompt(t)
	err := p.Read(t.Context(), strings.NewReader(`
# a remark
machines
next
continue
steps
{partition: [[one], [two]]}
dance
shell
shell three
shell one
console one
capture one eth1 on
capture one
power one sideways
quit
machines
`))
	if err == nil || !strings.Contains(err.Error(), "9 of the commands failed") {
		t.Errorf("%v", err)
	}
	rest := out.String()
	for _, want := range []string{"one                  off         1024 MiB", "1 partition: one | two\n", "ok (", "2 the partition is healed", "3 one: power on", "error: one: power on: machine one",
		"  1 partition: one | two\n", "> 3 one: power on", "ok (", `no command "dance"`, "shell lacks the machine", `no machine "three"`, "a shell needs a terminal", "the console needs a terminal",
		`machine one has no network card "eth1"`, "capture takes a machine", "sideways"} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("%q does not come in %q", want, rest)
		}
		rest = after
	}
	if strings.Contains(rest, "MiB") {
		t.Error("a command after quit was done")
	}
}

func TestPromptEnds(t *testing.T) {
	t.Parallel()
	p, _ := prompt(t)
	never, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("time is up"))
	defer cancel()
	if err := p.Read(ctx, never); err == nil || err.Error() != "time is up" {
		t.Errorf("%v", err)
	}
	p.Server.once.Do(func() { close(p.Server.stop) })
	if err := p.Read(t.Context(), never); !errors.Is(err, ErrStopped) {
		t.Errorf("%v", err)
	}
}

// On a terminal lines can be edited, and Ctrl-C only ends what runs.
func TestPromptOnATerminal(t *testing.T) {
	t.Parallel()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer master.Close()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	seen := make(chan []byte, 1000)
	go func() {
		for {
			buf := make([]byte, 1000)
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			seen <- buf[:n]
		}
	}()
	all := ""
	until := func(text string) {
		t.Helper()
		limit := time.After(20 * time.Second)
		for !strings.Contains(all, text) {
			select {
			case b := <-seen:
				all += string(b)
			case <-limit:
				t.Fatalf("%q does not come; %q did", text, all)
			}
		}
		_, all, _ = strings.Cut(all, text)
	}
	tt, err := OpenTerminal(slave, slave)
	if err != nil || tt == nil {
		t.Fatalf("%v, %v", tt, err)
	}
	p, _ := prompt(t)
	ended := make(chan error, 1)
	go func() { ended <- p.Interact(t.Context(), tt); tt.Restore() }()
	until("n3x> ")
	io.WriteString(master, "machinesx\x7f\r")
	until("two                  off")
	until("n3x> ")
	io.WriteString(master, "nonsense\x03machines\r")
	until("two                  off")
	until("n3x> ")
	io.WriteString(master, "{console: never, machine: one, within: 600s}\r")
	time.Sleep(300 * time.Millisecond)
	io.WriteString(master, "\x03")
	until("given up with Ctrl-C")
	until("n3x> ")
	io.WriteString(master, "console one\r")
	until("Ctrl-] leaves")
	io.WriteString(master, "x\x1d")
	until("n3x> ")
	io.WriteString(master, "steps\r")
	until("4 the partition is healed")
	io.WriteString(master, "\x04")
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Ctrl-D does not end the prompt")
	}
	if modes, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS); err != nil || modes.Lflag&unix.ICANON == 0 {
		t.Errorf("the terminal is left raw: %v", err)
	}
}
