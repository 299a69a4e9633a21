package control

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Terminal is the user's terminal, made ready for a machine's: every key goes through.
type Terminal struct {
	in, out *os.File
	state   *term.State
}

// OpenTerminal takes the terminal over; nil when the files are none. [Terminal.Restore] gives it back.
func OpenTerminal(in, out any) (*Terminal, error) {
	i, iok := in.(*os.File)
	o, ook := out.(*os.File)
	if !iok || !ook || !term.IsTerminal(int(i.Fd())) || !term.IsTerminal(int(o.Fd())) {
		return nil, nil
	}
	state, err := term.MakeRaw(int(i.Fd()))
	if err != nil {
		return nil, err
	}
	return &Terminal{i, o, state}, nil
}

// Restore makes the terminal what it was. It may be called again, and on nil.
func (t *Terminal) Restore() {
	if t != nil {
		_ = term.Restore(int(t.in.Fd()), t.state) // a terminal that is gone needs nothing
	}
}

// Size is the terminal's rows and columns; 24 and 80 when it does not say.
func (t *Terminal) Size() (rows, cols int) {
	cols, rows, err := term.GetSize(int(t.out.Fd()))
	if err != nil || rows <= 0 || cols <= 0 {
		return 24, 80
	}
	return rows, cols
}

// Sizes gives the terminal's size whenever it changes, until ctx ends.
func (t *Terminal) Sizes(ctx context.Context) <-chan [2]int {
	out := make(chan [2]int, 1)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGWINCH)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-signals:
				rows, cols := t.Size()
				select {
				case <-out: // nobody has taken the last one
				default:
				}
				out <- [2]int{rows, cols}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
