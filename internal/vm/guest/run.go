package guest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"n3x/internal/diag"
)

// Command is a program with its arguments. It runs as root, in /, with the agent's small environment.
type Command struct {
	Argv  []string // Argv[0] is looked up in PATH
	Env   []string // NAME=VALUE, on top
	Stdin []byte   // at most 32 MiB
}

// Shell is a script for the guest's /bin/sh.
func Shell(script string) Command { return Command{Argv: []string{"/bin/sh", "-c", script}} }

// String is the command as a person would type it.
func (c Command) String() string {
	if len(c.Argv) == 3 && c.Argv[0] == "/bin/sh" && c.Argv[1] == "-c" {
		return c.Argv[2]
	}
	return strings.Join(c.Argv, " ")
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr []byte
	Status         int // 128 + the signal's number when one ended it, as a shell says
}

// StatusError is a command that ended with another status than 0.
type StatusError struct {
	Command Command
	Result  Result
}

// Error shows the status and the end of what the command wrote.
func (e *StatusError) Error() string {
	said := strings.TrimSpace(string(e.Result.Stderr))
	if said == "" {
		said = strings.TrimSpace(string(e.Result.Stdout))
	}
	if lines := strings.Split(said, "\n"); len(lines) > 10 {
		said = "...\n" + strings.Join(lines[len(lines)-10:], "\n")
	}
	text := fmt.Sprintf("%s: exit status %d", e.Command, e.Result.Status)
	if said != "" {
		text += "\n" + said
	}
	return text
}

const (
	maxStdin   = 32 << 20
	pollFirst  = 10 * time.Millisecond
	pollLatest = 400 * time.Millisecond // each question costs an emulated guest some milliseconds
)

// Run runs a command and gives what it wrote and its status. A status other than 0 is no error here. When ctx ends first, the command
// is killed. An error is also output of more than 16 MiB, which agents cut off.
func (a *Agent) Run(ctx context.Context, c Command) (Result, error) {
	if len(c.Argv) == 0 || len(c.Stdin) > maxStdin {
		return Result{}, diag.Userf(diag.Pos{}, "a command in a guest has a program and at most %d bytes of input", maxStdin)
	}
	pid, err := a.start(ctx, c)
	if err != nil {
		return Result{}, fmt.Errorf("run %s: %w", c, err)
	}
	for wait := pollFirst; ; wait = min(wait*3/2, pollLatest) {
		st, err := a.status(ctx, pid)
		switch {
		case err != nil && ctx.Err() != nil:
			a.kill(pid)
			return Result{}, fmt.Errorf("run %s: %w", c, err)
		case err != nil:
			return Result{}, fmt.Errorf("run %s: %w", c, err)
		case st.Exited:
			return st.result(c)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			a.kill(pid)
			return Result{}, fmt.Errorf("run %s: it does not end: %w", c, context.Cause(ctx))
		}
	}
}

// Do runs a command that has to succeed; any other status is a [StatusError].
func (a *Agent) Do(ctx context.Context, c Command) ([]byte, error) {
	r, err := a.Run(ctx, c)
	if err == nil && r.Status != 0 {
		err = &StatusError{c, r}
	}
	return r.Stdout, err
}

func (a *Agent) start(ctx context.Context, c Command) (pid int, err error) {
	var reply struct {
		PID int `json:"pid"`
	}
	err = a.call(ctx, "guest-exec", struct {
		Path    string   `json:"path"`
		Arg     []string `json:"arg,omitempty"`
		Env     []string `json:"env,omitempty"`
		Input   []byte   `json:"input-data,omitempty"`
		Capture bool     `json:"capture-output"`
	}{c.Argv[0], c.Argv[1:], c.Env, c.Stdin, true}, &reply)
	return reply.PID, err
}

// execStatus is the answer to guest-exec-status.
type execStatus struct {
	Exited       bool   `json:"exited"`
	ExitCode     int    `json:"exitcode"`
	Signal       int    `json:"signal"`
	Out          []byte `json:"out-data"`
	Err          []byte `json:"err-data"`
	OutTruncated bool   `json:"out-truncated"`
	ErrTruncated bool   `json:"err-truncated"`
}

func (a *Agent) status(ctx context.Context, pid int) (execStatus, error) {
	var st execStatus
	err := a.call(ctx, "guest-exec-status", map[string]int{"pid": pid}, &st)
	if refused := (*agentError)(nil); errors.As(err, &refused) {
		err = fmt.Errorf("%w (%s)", ErrRestarted, refused.Desc) // an agent forgets only what another one started
	}
	return st, err
}

func (st *execStatus) result(c Command) (Result, error) {
	r := Result{Stdout: st.Out, Stderr: st.Err, Status: st.ExitCode}
	if st.Signal != 0 {
		r.Status = 128 + st.Signal
	}
	if st.OutTruncated || st.ErrTruncated {
		return r, diag.Userf(diag.Pos{}, "run %s: it wrote more than the guest's agent keeps", c).WithHint("write it to a file, and copy that")
	}
	return r, nil
}

// killLimit is how long a last request may take when nobody waits any more.
const killLimit = 5 * time.Second

// killTree ends a process and all that it started, parents first, so that none of them starts more.
const killTree = `end() { below=$(cat /proc/$1/task/*/children 2>/dev/null); kill -9 $1; for c in $below; do end $c; done; }; end %d`

// kill ends a command that nobody waits for.
func (a *Agent) kill(pid int) {
	ctx, cancel := context.WithTimeout(context.Background(), killLimit)
	defer cancel()
	_, _ = a.start(ctx, Shell(fmt.Sprintf(killTree, pid)))
}
