package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"n3x/internal/vm/guest"
)

// detachKey leaves a console: Ctrl-], as telnet has it.
const detachKey = 0x1d

// root is what a login of root has in its environment.
var root = []string{"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

// loginShell is bash where it is, in a script that needs none.
const loginShell = `if [ -x /bin/bash ]; then exec /bin/bash -l; else exec /bin/sh -l; fi`

// Command is how words of the user's become a program: one word is a line for the shell, as with ssh(1); several are a program and its
// arguments as they are.
func Command(words []string) guest.Program {
	p := guest.Program{Argv: words, Env: root, Dir: "/root"}
	if len(words) == 1 {
		p.Argv = []string{"/bin/sh", "-c", words[0]}
	}
	return p
}

// Execute runs a command in the machine with the user's input and output, without a terminal, and gives its status. Input that is a
// terminal is not read.
func (r *Remote) Execute(ctx context.Context, words []string, in io.Reader, out, errs io.Writer) (status int, err error) {
	return r.Run(ctx, Command(words), Streams{In: in, Out: out, Err: errs})
}

// Shell gives the user a shell on the machine, or a command with a terminal, and gives its status. term is the type of the user's
// terminal, e.g. "xterm".
func (r *Remote) Shell(ctx context.Context, words []string, term string, t *Terminal, in io.Reader, out io.Writer) (status int, err error) {
	p := Command(words)
	if len(words) == 0 {
		p.Argv = []string{"/bin/sh", "-c", loginShell}
	}
	p.Env = append(p.Env[:len(p.Env):len(p.Env)], "TERM="+term)
	p.Rows, p.Cols = t.Size()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return r.Run(ctx, p, Streams{In: in, Out: out, Err: out, Sizes: t.Sizes(ctx)})
}

// Look shows the machine's console until the user leaves: about a screenful of what was, and then what comes.
func (r *Remote) Look(ctx context.Context, in io.Reader, out io.Writer) error {
	err := r.Console(ctx, 4<<10, Streams{In: in, Out: out, Err: out, Detach: detachKey})
	if errors.Is(err, ErrDetached) {
		return nil
	}
	return err
}

// Await waits until a lab's machines are up, or its process has ended, which ended tells.
func (p Place) Await(ctx context.Context, lab string, ended <-chan struct{}) error {
	for {
		labs, _, err := p.Labs(ctx)
		if err != nil {
			return err
		}
		for _, l := range labs {
			if l.Name == lab && l.State == "" {
				return nil
			}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ended:
			return fmt.Errorf("the process that runs %s has ended", lab)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
