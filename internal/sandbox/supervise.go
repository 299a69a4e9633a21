package sandbox

import (
	"bytes"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// terminalGrace is how long a signal that the terminal has probably sent to both processes is held back.
	terminalGrace = time.Second
	// repeatAfter tells a second Ctrl-C from one signal that arrived twice.
	repeatAfter = 200 * time.Millisecond
)

// watchSignals takes the signals that end programs, but for those that were ignored before: under nohup, or in a background
// job of a script.
func watchSignals() chan os.Signal {
	signals := make(chan os.Signal, 8)
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	return signals
}

// adoptOrphans makes what processes below this one leave behind its children, so that it can be found and killed.
func adoptOrphans() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// supervise passes signals on to the process inside, waits for it, kills what it left behind, and returns its status.
func (e *entrance) supervise(signals <-chan os.Signal) int {
	adoptOrphans()
	hard := make(chan syscall.Signal, 1)
	go e.forward(signals, hard)
	status := e.wait()
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		killDescendants()
	}
	select {
	case s := <-hard:
		return 128 + int(s)
	default:
		return status
	}
}

// forward never ends: the process does, soon after its child.
func (e *entrance) forward(signals <-chan os.Signal, hard chan<- syscall.Signal) {
	var last time.Time
	for s := range signals {
		now := time.Now()
		switch {
		case !last.IsZero() && s != unix.SIGHUP && now.Sub(last) > repeatAfter:
			select {
			case hard <- s.(syscall.Signal):
			default:
			}
			_ = e.process.Kill()
			continue
		case (s == unix.SIGINT || s == unix.SIGQUIT) && inForeground():
			time.AfterFunc(terminalGrace, func() { _ = e.process.Signal(s) })
		default:
			_ = e.process.Signal(s)
		}
		if s != unix.SIGHUP {
			last = now
		}
	}
}

// inForeground reports whether the terminal's Ctrl-C reaches this process's whole group.
func inForeground() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// wait reaps adopted processes until the process inside has ended.
func (e *entrance) wait() int {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 1
		case pid == e.process.Pid && ws.Exited():
			return ws.ExitStatus()
		case pid == e.process.Pid && ws.Signaled():
			return 128 + int(ws.Signal())
		}
	}
}

// killDescendants kills all processes below this one, which adopts orphans. All are stopped first, and this one's own
// children are killed last: else the end of one could let main go on and exit before the others are found and killed.
func killDescendants() {
	stopped := map[int]bool{}
	var below []int
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); {
		found := false
		below = descendants(os.Getpid())
		for _, p := range below {
			if !stopped[p] {
				stopped[p], found = true, true
				_ = unix.Kill(p, unix.SIGSTOP)
			}
		}
		if !found {
			break
		}
	}
	for _, p := range slices.Backward(below) {
		_ = unix.Kill(p, unix.SIGKILL)
	}
}

// descendants lists the living processes below pid, parents first.
func descendants(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	dead := map[int]bool{}
	for _, e := range entries {
		p, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// "pid (name) state ppid ...": the name may hold spaces and parentheses.
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(f) < 2 {
			continue
		}
		parent, err := strconv.Atoi(string(f[1]))
		if err != nil {
			continue
		}
		children[parent] = append(children[parent], p)
		dead[p] = string(f[0]) == "Z" || string(f[0]) == "X"
	}
	var below, living []int
	below = append(below, children[pid]...)
	for i := 0; i < len(below); i++ {
		below = append(below, children[below[i]]...)
		if !dead[below[i]] {
			living = append(living, below[i])
		}
	}
	return living
}
