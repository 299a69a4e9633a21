package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Detached is a process that outlives this one.
type Detached struct {
	PID   int
	Ended <-chan struct{} // closed when it has ended while this process still ran
	cmd   *exec.Cmd
}

// Detach starts this program again with other arguments, in a session of its own, so that neither the terminal nor this process takes it
// along when it goes. It reads nothing, and writes to log.
func Detach(args []string, log *os.File) (*Detached, error) {
	cmd := &exec.Cmd{Path: self, Args: append([]string{os.Args[0]}, args...), Env: os.Environ(), Stdout: log, Stderr: log, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s again: %w", os.Args[0], err)
	}
	ended := make(chan struct{})
	d := &Detached{PID: cmd.Process.Pid, Ended: ended, cmd: cmd}
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is seen in its state
	}()
	return d, nil
}

// Status is how it ended, after Ended was closed.
func (d *Detached) Status() int {
	<-d.Ended
	ws, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return d.cmd.ProcessState.ExitCode()
}

// Terminate asks it to end, and waits for that.
func (d *Detached) Terminate() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // one that has ended needs none
	<-d.Ended
}
