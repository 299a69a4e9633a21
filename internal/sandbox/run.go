package sandbox

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killGrace is how long a cancelled program has between SIGTERM and SIGKILL.
const killGrace = 5 * time.Second

// Run runs the command and waits. When it returns every process of the command is dead and every mount is gone.
// A program that ran and did not succeed is an [*ExitError]; a cancelled ctx gives an error that wraps its cause.
func (c *Cmd) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", c.name(), context.Cause(ctx))
	}
	if c.Host {
		return c.runHost(ctx)
	}
	return c.runSandbox(ctx)
}

// Output is Run with the standard output returned, also when the program failed; Stdout must be nil.
func (c *Cmd) Output(ctx context.Context) ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("sandbox: Output needs Stdout to be nil")
	}
	var out bytes.Buffer
	copied := *c
	copied.Stdout = &out
	err := copied.Run(ctx)
	return out.Bytes(), err
}

// spec is what pid 1 of a sandbox is told.
type spec struct {
	Argv, Env []string
	Dir, Root string
	Mounts    []Mount
	Hostname  string
	Umask     int
	UID, GID  int
	Extra     int // number of ExtraFiles

	Network, TTY, KeepGroups, KeepSync bool
}

// outcome is what pid 1 of a sandbox answers.
type outcome struct {
	Err    string // set when the program did not start
	Status int
	Signal int
}

func (c *Cmd) spec() spec {
	s := spec{Argv: c.Argv, Env: c.Env, Dir: c.Dir, Root: c.Root, Mounts: c.Mounts, Hostname: c.Hostname, Umask: c.Umask,
		UID: c.UID, GID: c.GID, Extra: len(c.ExtraFiles),
		Network: c.Network, TTY: c.TTY, KeepGroups: c.KeepGroups, KeepSync: c.KeepSync}
	switch s.Umask {
	case 0:
		s.Umask = defaultUmask
	case -1:
		s.Umask = 0
	}
	if s.Hostname == "" {
		s.Hostname = "localhost"
	}
	return s
}

func (c *Cmd) runSandbox(ctx context.Context) error {
	controlR, controlW, err := pipe()
	if err != nil {
		return err
	}
	defer controlW.Close()
	reportR, reportW, err := pipe()
	if err != nil {
		controlR.Close()
		return err
	}
	defer reportR.Close()
	cmd, last := c.command()
	cmd.Path, cmd.Args = self, []string{"n3x: " + c.name()}
	// The collector would only cost pid 1 time and memory.
	cmd.Env = []string{stageVar + "=" + stageInit, "GOGC=off", "GOMAXPROCS=2"}
	cmd.ExtraFiles = slices.Concat([]*os.File{controlR, reportW}, c.ExtraFiles)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: !c.TTY,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	if !c.Network {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNET
	}
	if c.TTY {
		defer keepTerminal(int(c.Stdin.(*os.File).Fd()))()
	}
	stdin, err := c.start(cmd)
	controlR.Close()
	reportW.Close()
	if err != nil {
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("make a sandbox for %s: %w (only root of a user namespace may)", c.name(), err)
		}
		return fmt.Errorf("make a sandbox for %s: %w", c.name(), err)
	}
	var order bytes.Buffer
	if err := gob.NewEncoder(&order).Encode(c.spec()); err != nil {
		panic("BUG: " + err.Error())
	}
	_, _ = controlW.Write(order.Bytes()) // a pid 1 that died says so in its report
	stop := onCancel(ctx, func(s syscall.Signal) {
		if s == unix.SIGKILL {
			_ = cmd.Process.Kill()
			return
		}
		_, _ = controlW.Write([]byte{byte(s)})
	})
	err = cmd.Wait()
	stop()
	stdin()
	var o outcome
	if reportErr := gob.NewDecoder(reportR).Decode(&o); reportErr != nil { // pid 1 was killed
		o = outcome{Status: 128 + int(unix.SIGKILL), Signal: int(unix.SIGKILL)}
	}
	if o.Err != "" {
		return fmt.Errorf("run %s: %s", c.name(), o.Err)
	}
	var copyErr error
	if !errors.As(err, new(*exec.ExitError)) {
		copyErr = err
	}
	return c.result(ctx, o, copyErr, last)
}

// runHost runs a program without namespaces. It dies with this process: the thread that starts it stays until it has ended.
func (c *Cmd) runHost(ctx context.Context) error {
	cmd, last := c.command()
	program, err := c.lookHost()
	if err != nil {
		return fmt.Errorf("run %s: %w", c.name(), err)
	}
	cmd.Path, cmd.Args, cmd.Env, cmd.Dir, cmd.ExtraFiles = program, c.Argv, c.Env, c.Dir, c.ExtraFiles
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	cmd.WaitDelay = 2 * killGrace // a daemon that it left may hold its output open
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stdin, err := c.start(cmd)
	if err != nil {
		return fmt.Errorf("run %s: %w", c.name(), err)
	}
	stop := onCancel(ctx, func(s syscall.Signal) {
		if s == unix.SIGKILL {
			for _, pid := range descendants(cmd.Process.Pid) {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		_ = cmd.Process.Signal(s)
	})
	err = cmd.Wait()
	stop()
	stdin()
	o := outcome{Status: cmd.ProcessState.ExitCode()}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		o = outcome{Status: 128 + int(ws.Signal()), Signal: int(ws.Signal())}
	}
	if errors.As(err, new(*exec.ExitError)) || errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if o.Signal != 0 { // the terminal's Ctrl-C reaches the program too, and may end it before ctx is cancelled for the same reason
		select {
		case <-ctx.Done():
		case <-time.After(repeatAfter):
		}
	}
	return c.result(ctx, o, err, last)
}

// lookHost finds a program in the PATH that it will have.
func (c *Cmd) lookHost() (string, error) {
	name := c.Argv[0]
	if search, ok := searchPath(c.Env); ok && !strings.Contains(name, "/") {
		if at := find(name, search, c.Dir); at != "" {
			return at, nil
		}
		return "", fmt.Errorf("no such program in %s", search)
	}
	return LookPath(name)
}

// command is the part of exec.Cmd that all commands share, and where the last lines of standard error will be.
func (c *Cmd) command() (*exec.Cmd, *tail) {
	cmd := &exec.Cmd{Stdout: c.Stdout, Stderr: c.Stderr}
	if _, isFile := c.Stderr.(*os.File); isFile {
		return cmd, &tail{}
	}
	last := &tail{next: c.Stderr}
	cmd.Stderr = last
	if c.Stdout != nil && sameWriter(c.Stdout, c.Stderr) { // one pipe for both keeps their order
		cmd.Stdout = last
	}
	return cmd, last
}

// sameWriter also answers for writers that cannot be compared.
func sameWriter(a, b io.Writer) (same bool) {
	defer func() { _ = recover() }()
	return a == b
}

// start starts cmd with c's input. A reader that is no file is copied by a goroutine that nobody waits for, since a read may
// never return; done ends what of it can be ended.
func (c *Cmd) start(cmd *exec.Cmd) (done func(), err error) {
	if file, isFile := c.Stdin.(*os.File); isFile || c.Stdin == nil {
		if file != nil {
			cmd.Stdin = file
		}
		return func() {}, cmd.Start()
	}
	r, w, err := pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin = r
	err = cmd.Start()
	r.Close()
	if err != nil {
		w.Close()
		return nil, err
	}
	go func() {
		_, _ = io.Copy(w, c.Stdin) // a program that does not read its input is not an error
		w.Close()
	}()
	return func() { w.Close() }, nil
}

// onCancel sends SIGTERM when ctx ends and SIGKILL after the grace, until stop is called.
func onCancel(ctx context.Context, send func(syscall.Signal)) (stop func()) {
	done, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		select {
		case <-done:
			return
		case <-ctx.Done():
			send(unix.SIGTERM)
		}
		select {
		case <-done:
		case <-time.After(killGrace):
			send(unix.SIGKILL)
		}
	}()
	return func() { close(done); <-finished }
}

// result turns an outcome into Run's error.
func (c *Cmd) result(ctx context.Context, o outcome, copyErr error, last *tail) error {
	switch {
	case o.Status != 0 && ctx.Err() != nil:
		return fmt.Errorf("%s: %w", c.name(), context.Cause(ctx))
	case o.Status != 0:
		return &ExitError{Status: o.Status, Signal: syscall.Signal(o.Signal), Line: c.Line(), Name: c.name(), Last: last.String()}
	case copyErr != nil:
		return fmt.Errorf("pass on the output of %s: %w", c.name(), copyErr)
	}
	return nil
}

// tail passes on what is written to it and keeps the end.
type tail struct {
	next io.Writer // may be nil
	kept []byte
}

// tailSize is enough for some lines of a compiler.
const tailSize = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*tailSize {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-tailSize:]...)
	}
	if t.next == nil {
		return len(p), nil
	}
	return t.next.Write(p)
}

// String is the kept text, beginning with a whole line when something was dropped.
func (t *tail) String() string {
	kept := t.kept
	if len(kept) > tailSize {
		kept = kept[len(kept)-tailSize:]
		if i := bytes.IndexByte(kept, '\n'); i >= 0 {
			kept = kept[i+1:]
		}
	}
	return string(kept)
}
