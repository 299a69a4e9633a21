package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"n3x/internal/diag"
	"n3x/internal/vmtest"
)

// Prompt drives a lab by lines that somebody types: steps, as suites have them, and a few commands more ("help" lists them).
type Prompt struct {
	Server *Server // which makes the lab known
	Lab    *vmtest.Lab
	Run    *vmtest.Run
	Steps  []*vmtest.Step // of the suite, for next and continue
	Out    io.Writer
	Show   func(io.Writer, error) // shows an error

	at     int
	failed int
	keys   *keyboard
	term   *Terminal // nil when lines do not come from one
	raw    io.Writer // the terminal itself
}

// errQuit ends the prompt.
var errQuit = errors.New("quit")

// Read runs the lines that come from a file or a pipe, and gives an error when one of them failed.
func (p *Prompt) Read(ctx context.Context, in io.Reader) error {
	lines := make(chan string)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(in)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			lines <- s.Text()
		}
	}()
	for {
		select {
		case line, ok := <-lines:
			if !ok || errors.Is(p.do(ctx, line), errQuit) {
				if p.failed > 0 {
					return diag.Failedf(diag.Pos{}, "%d of the commands failed", p.failed)
				}
				return ctx.Err()
			}
		case <-p.Server.Stopped():
			return ErrStopped
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Interact reads lines from the user's terminal, with a history and editing, until quit or Ctrl-D. Ctrl-C ends the command that runs, and
// nothing else.
func (p *Prompt) Interact(ctx context.Context, t *Terminal) error {
	p.term, p.raw, p.keys = t, t.out, newKeyboard(t.in)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // a line that is being typed does not keep the machines
		select {
		case <-p.Server.Stopped():
			stop()
		case <-reading.Done():
		}
	}()
	edit := term.NewTerminal(&screen{&lineKeys{p.keys.during(reading)}, t.out}, "n3x> ")
	if rows, cols := t.Size(); cols > 0 {
		_ = edit.SetSize(cols, rows) // a wrong size only wraps lines elsewhere
	}
	p.Out = edit
	fmt.Fprintln(edit, "help lists the commands; quit or Ctrl-D ends the machines")
	for {
		line, err := edit.ReadLine()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case reading.Err() != nil:
			return ErrStopped
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, term.ErrPasteIndicator):
			return err
		}
		if errors.Is(p.do(ctx, line), errQuit) {
			return nil
		}
	}
}

// screen is what the line editor reads and writes.
type screen struct {
	io.Reader
	io.Writer
}

// do runs one line, and shows what came of it.
func (p *Prompt) do(ctx context.Context, line string) error {
	line = strings.TrimSpace(line)
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := p.watch(inner, line, cancel)
	err := p.command(inner, line)
	cancel(nil)
	done()
	if errors.Is(err, errQuit) {
		return err
	}
	if err != nil {
		p.failed++
		p.Show(p.Out, err)
	}
	return nil
}

// errKey is a command that the user has given up.
var errKey = errors.New("given up with Ctrl-C")

// watch looks for Ctrl-C while a command runs that does not want the keys itself.
func (p *Prompt) watch(ctx context.Context, line string, cancel context.CancelCauseFunc) (done func()) {
	if p.keys == nil || strings.HasPrefix(line, "shell ") || strings.HasPrefix(line, "console ") {
		return func() {}
	}
	var all sync.WaitGroup
	all.Add(1)
	go func() {
		defer all.Done()
		p.keys.waitFor(ctx, 0x03, func() { cancel(errKey) })
	}()
	return all.Wait
}

const promptHelp = `  machines                     what there is, and its state
  shell MACHINE [COMMAND]      a root shell
  console MACHINE              the serial console; Ctrl-] leaves
  capture MACHINE CARD on|off  the frames of a network card, as a pcap file beside the consoles
  steps, next, continue        the suite's steps: list them, do one, do the rest up to the first that fails
  help, quit
and every step of a suite, as {machine: M, run: uptime, within: 10s}, or short: ACTION MACHINE VALUE
`

func (p *Prompt) command(ctx context.Context, line string) error {
	words := strings.Fields(line)
	switch words[0] {
	case "quit", "exit":
		return errQuit
	case "help":
		fmt.Fprint(p.Out, promptHelp)
		for _, a := range vmtest.Actions() {
			fmt.Fprintf(p.Out, "  %-14s %s\n", a, vmtest.ActionDoc(a))
		}
		return nil
	case "machines":
		for _, m := range p.Lab.Machines() {
			fmt.Fprintf(p.Out, "%-20s %-10s %5d MiB %s\n", m.Name(), m.State(ctx), m.Memory(), m.Spec().Image)
		}
		return nil
	case "steps":
		for i, s := range p.Steps {
			mark := "  "
			if i == p.at {
				mark = "> "
			}
			fmt.Fprintf(p.Out, "%s%d %s\n", mark, i+1, s.Title())
		}
		return nil
	case "next", "continue":
		return p.advance(ctx, words[0] == "continue")
	case "shell":
		return p.shell(ctx, words[1:])
	case "capture":
		return p.capture(words[1:])
	}
	if words[0] == "console" && len(words) == 2 {
		return p.console(ctx, words[1])
	}
	s, err := vmtest.Typed(line, p.names())
	if err != nil {
		return err
	}
	return p.step(ctx, s)
}

func (p *Prompt) names() []string {
	var out []string
	for _, m := range p.Lab.Machines() {
		out = append(out, m.Name())
	}
	return out
}

// advance does the suite's next step, or all that are left.
func (p *Prompt) advance(ctx context.Context, rest bool) error {
	if p.at >= len(p.Steps) {
		return diag.Userf(diag.Pos{}, "no step is left: the suite has %d", len(p.Steps))
	}
	for p.at < len(p.Steps) {
		s := p.Steps[p.at]
		fmt.Fprintf(p.Out, "%d %s\n", p.at+1, s.Title())
		if err := p.step(ctx, s); err != nil {
			return err
		}
		p.at++
		if !rest {
			return nil
		}
	}
	return nil
}

func (p *Prompt) step(ctx context.Context, s *vmtest.Step) error {
	c := p.Run.Try(ctx, s)
	fmt.Fprint(p.Out, c.Output)
	for _, n := range c.Notes {
		fmt.Fprintf(p.Out, "  %s\n", n)
	}
	switch {
	case c.Err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case c.Err != nil:
		return c.Err
	case c.Skipped != "":
		fmt.Fprintf(p.Out, "skipped: %s\n", c.Skipped)
	default:
		fmt.Fprintf(p.Out, "ok (%.1f s)\n", c.Took.Seconds())
	}
	return nil
}

func (p *Prompt) remote(name string) (*Remote, error) {
	if !slices.Contains(p.names(), name) {
		return nil, diag.Unknown(diag.Pos{}, "the lab", "machine", name, p.names())
	}
	return &Remote{place: p.Server.place, Lab: p.Server.name, Machine: name}, nil
}

func (p *Prompt) shell(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return diag.Userf(diag.Pos{}, "shell lacks the machine").WithHint("shell %s", p.names()[0])
	}
	r, err := p.remote(words[0])
	if err != nil {
		return err
	}
	command := words[1:]
	if len(command) > 0 {
		command = []string{strings.Join(command, " ")}
	}
	var status int
	switch {
	case p.term != nil:
		status, err = r.Shell(ctx, command, "xterm", p.term, p.keys.during(ctx), p.raw)
	case len(command) == 0:
		return diag.Userf(diag.Pos{}, "a shell needs a terminal").WithHint("shell %s COMMAND", words[0])
	default:
		status, err = r.Execute(ctx, command, nil, p.Out, p.Out)
	}
	if err == nil && status != 0 {
		fmt.Fprintf(p.Out, "status %d\n", status)
	}
	return err
}

func (p *Prompt) console(ctx context.Context, name string) error {
	r, err := p.remote(name)
	if err != nil {
		return err
	}
	if p.term == nil {
		return diag.Userf(diag.Pos{}, "the console needs a terminal").WithHint("n3x vm console %s, in another one", name)
	}
	fmt.Fprintln(p.Out, "Ctrl-] leaves")
	return r.Look(ctx, p.keys.during(ctx), p.raw)
}

// capture begins or ends a capture.
func (p *Prompt) capture(words []string) error {
	if len(words) != 3 || words[2] != "on" && words[2] != "off" {
		return diag.Userf(diag.Pos{}, "capture takes a machine, a network card, and on or off").WithHint("capture %s eth1 on", p.names()[0])
	}
	m, err := p.Lab.Machine(words[0])
	if err != nil {
		return err
	}
	port, err := m.Port(words[1])
	if err != nil {
		return err
	}
	if words[2] == "off" {
		return port.StopCapture()
	}
	file := p.Lab.File(fmt.Sprintf("%s-%s-%s.pcap", words[0], words[1], time.Now().Format("150405")))
	if err := port.Capture(file); err != nil {
		return err
	}
	fmt.Fprintln(p.Out, file)
	return nil
}
