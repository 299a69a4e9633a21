package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Enter re-executes this program inside a user and mount namespace in which it is root over 65536 ids.
//
// In the new process it returns inside=true. In the old one it passes signals on, waits, and returns the status to exit
// with: the new process's, or 128 + signal. SIGINT and SIGTERM may reach the new process twice (from the terminal and from
// here), so it should only cancel its work on them; a second one is answered here, by killing everything.
// A refusal of the host is an [*EnterError].
func Enter() (inside bool, status int, err error) {
	if Inside() {
		ownUserNamespace = os.Getenv(stageVar) == stageInside
		if err := os.Unsetenv(stageVar); err != nil {
			return true, 0, err
		}
		settle()
		return true, 0, nil
	}
	signals := watchSignals()
	e, err := open()
	if err != nil {
		signal.Stop(signals)
		return false, 0, err
	}
	return false, e.supervise(signals), nil
}

// ownUserNamespace reports whether Enter made this process's user namespace.
var ownUserNamespace bool

// entrance is the process inside, seen from outside.
type entrance struct {
	process *os.Process
	control *os.File // its end kills the process
}

// open starts the process inside by whichever way this user has.
func open() (*entrance, error) {
	if os.Geteuid() != 0 {
		return openByHelpers()
	}
	e, err := openAsRoot()
	var refusal *EnterError
	if errors.As(err, &refusal) && refusal.Reason != FewSubIDs {
		// A container's root, or root in a chroot, may be allowed to mount without a user namespace.
		if plain, plainErr := launch(stagePlain, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, nil); plainErr == nil {
			return plain, nil
		}
	}
	return e, err
}

// openByHelpers maps the ids of an ordinary user with newuidmap and newgidmap.
func openByHelpers() (*entrance, error) {
	maps, err := helpers()
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS}
	return launch(stageMapped, attr, func(pid int) error {
		second := make(chan error, 1)
		go func() { second <- maps[1].write(pid) }()
		first := maps[0].write(pid)
		if err := <-second; first == nil {
			first = err
		}
		return first
	})
}

// openAsRoot maps the ids that root has to themselves.
func openAsRoot() (*entrance, error) {
	uids, err := ownRanges("/proc/self/uid_map")
	if err != nil {
		return nil, err
	}
	gids, err := ownRanges("/proc/self/gid_map")
	if err != nil {
		return nil, err
	}
	return launch(stageInside, &syscall.SysProcAttr{
		Cloneflags:                 unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings:                uids,
		GidMappings:                gids,
		GidMappingsEnableSetgroups: maySetGroups(),
	}, nil)
}

// launch starts this program again as the given stage, lets finish complete it, and waits until it has settled.
func launch(stage string, attr *syscall.SysProcAttr, finish func(pid int) error) (*entrance, error) {
	controlR, controlW, err := pipe()
	if err != nil {
		return nil, err
	}
	reportR, reportW, err := pipe()
	if err != nil {
		controlR.Close()
		controlW.Close()
		return nil, err
	}
	defer reportR.Close()
	cmd := &exec.Cmd{Path: self, Args: os.Args, Env: append(os.Environ(), stageVar+"="+stage),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		ExtraFiles: []*os.File{controlR, reportW}, SysProcAttr: attr}
	err = cmd.Start()
	controlR.Close()
	reportW.Close()
	if err != nil {
		controlW.Close()
		return nil, startError(err)
	}
	if finish != nil {
		err = finish(cmd.Process.Pid)
	}
	if err == nil {
		_, _ = controlW.Write([]byte{'\n'}) // a reader that died says so in its report
		err = readReport(reportR)
	}
	if err != nil {
		controlW.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	return &entrance{cmd.Process, controlW}, nil
}

// startError says which refusal of clone(2) this is.
func startError(err error) error {
	e := &EnterError{Reason: Refused, Op: "create a user namespace", Err: err}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		e.Reason = Exhausted
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		e.Reason = Unsupported
	case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES):
		return fmt.Errorf("start %s again: %w", os.Args[0], err)
	}
	return e
}

// The process inside reports "+" when it has settled, else "errno what it attempted".
func readReport(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if string(data) == "+" {
		return nil
	}
	number, op, _ := strings.Cut(string(data), " ")
	errno, err := strconv.Atoi(number)
	if err != nil {
		return &EnterError{Reason: Refused, Op: "start inside the user namespace", Err: errors.New("the process died")}
	}
	return &EnterError{Reason: Refused, Op: op, Err: syscall.Errno(errno)}
}

// awaitMap waits until the parent has had this process's ids mapped. The exec gives the process, which is uid 0 only since
// then, the capabilities of root.
func awaitMap() {
	var order [1]byte
	var n int
	err := retry(func() (err error) { n, err = unix.Read(controlFD, order[:]); return })
	if err != nil || n == 0 {
		os.Exit(1)
	}
	err = os.Setenv(stageVar, stageInside)
	if err == nil {
		err = syscall.Exec(self, os.Args, os.Environ())
	}
	report("start inside the user namespace", err)
}

// settle makes the new process independent of the host's mounts and the user's umask, and dependent on its parent's life.
func settle() {
	closeOnExec(controlFD)
	adoptOrphans()
	unix.Umask(defaultUmask)
	if op, err := ownMounts(); err != nil {
		report(op, err)
	}
	_, _ = unix.Write(reportFD, []byte{'+'})
	unix.Close(reportFD)
	go func() {
		var order [1]byte
		for {
			n := 0
			err := retry(func() (err error) { n, err = unix.Read(controlFD, order[:]); return })
			if err != nil || n == 0 {
				killDescendants()
				_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			}
		}
	}()
}

// report tells the parent what did not work, and exits.
func report(op string, err error) {
	errno := unix.EIO
	errors.As(err, &errno)
	_, _ = unix.Write(reportFD, fmt.Appendf(nil, "%d %s", int(errno), op))
	os.Exit(1)
}
