package sandbox

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// runInit is the life of a sandbox's pid 1: it is told what to run, builds what the program may see, starts it, reaps, kills
// what is left, undoes what it made in trees that stay, and reports.
func runInit() {
	closeOnExec(controlFD)
	// pid 1 must not die of what the program or a terminal sends it; handlers, unlike SIG_IGN, end at exec.
	signal.Notify(make(chan os.Signal, 1))
	control := bufio.NewReader(os.NewFile(controlFD, "control"))
	var s spec
	if err := gob.NewDecoder(control).Decode(&s); err != nil {
		os.Exit(1)
	}
	orders := make(chan syscall.Signal, 16)
	go obey(control, orders)
	o := s.live(orders)
	_ = gob.NewEncoder(os.NewFile(reportFD, "report")).Encode(o)
	os.Exit(0)
}

// obey ends this process, and with it the sandbox, when the parent's end of the control pipe is closed.
func obey(control *bufio.Reader, orders chan<- syscall.Signal) {
	for {
		order, err := control.ReadByte()
		if err != nil {
			os.Exit(1)
		}
		orders <- syscall.Signal(order)
	}
}

func (s *spec) live(orders <-chan syscall.Signal) outcome {
	t, err := s.prepare()
	if err != nil {
		t.undo()
		return outcome{Err: err.Error()}
	}
	pid, err := s.start()
	if err != nil {
		t.undo()
		return outcome{Err: err.Error()}
	}
	go func() {
		for order := range orders {
			_ = unix.Kill(-1, order)
		}
	}()
	o := s.reap(pid)
	t.undo()
	return o
}

// prepare makes everything around the program.
func (s *spec) prepare() (*tree, error) {
	unix.Umask(0) // the modes of mount points are meant as written
	t := &tree{root: -1, tty: s.TTY, sync: s.KeepSync}
	if err := t.build(s.Root, s.Mounts); err != nil {
		return t, err
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return t, fmt.Errorf("set host name %q: %w", s.Hostname, err)
	}
	if err := unix.Setdomainname([]byte("(none)")); err != nil {
		return t, fmt.Errorf("set domain name: %w", err)
	}
	if !s.Network {
		if err := loopbackUp(); err != nil {
			return t, fmt.Errorf("start the loopback interface: %w", err)
		}
	}
	if err := limits(); err != nil {
		return t, err
	}
	if !s.KeepSync {
		if err := suppressSync(); err != nil {
			return t, fmt.Errorf("install the filter of sync calls: %w", err)
		}
	}
	unix.Umask(s.Umask)
	return t, nil
}

// start looks the program up and starts it.
func (s *spec) start() (pid int, err error) {
	program, err := s.lookup()
	if err != nil {
		return 0, err
	}
	s.ownPipes()
	files := []uintptr{0, 1, 2}
	for i := range s.Extra {
		files = append(files, uintptr(reportFD+1+i))
	}
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.UID), Gid: uint32(s.GID),
		NoSetGroups: s.KeepGroups || !maySetGroups()}}
	if s.TTY {
		// The program's new group takes the foreground by itself, before exec, which is a write of a background process.
		signal.Ignore(unix.SIGTTOU)
		attr.Foreground, attr.Ctty = true, 0
	} else {
		attr.Setsid = true
	}
	dir := s.Dir
	if dir == "" {
		dir = "/"
	}
	env := s.Env
	if env == nil {
		env = []string{}
	}
	if err := unix.Chdir(dir); err != nil {
		return 0, fmt.Errorf("change to directory %s: %w", dir, err)
	}
	pid, err = syscall.ForkExec(program, s.Argv, &syscall.ProcAttr{Env: env, Files: files, Sys: attr})
	switch {
	case errors.Is(err, unix.ENOENT):
		return 0, fmt.Errorf("start %s: its interpreter or dynamic loader is missing", program)
	case errors.Is(err, unix.ENOEXEC):
		return 0, fmt.Errorf("start %s: not a program for this machine", program)
	case err != nil:
		return 0, fmt.Errorf("start %s: %w", program, err)
	}
	return pid, nil
}

// ownPipes lets a program that is not root open /dev/stdout and /dev/stderr.
func (s *spec) ownPipes() {
	for fd := range 3 {
		var st unix.Stat_t
		if s.UID != 0 && unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			_ = unix.Fchown(fd, s.UID, s.GID) // a pipe of another user's stays closed, as it does everywhere
		}
	}
}

// lookup finds the program as execvp(3) does, but in the PATH that the program itself will have.
func (s *spec) lookup() (string, error) {
	name := s.Argv[0]
	if strings.Contains(name, "/") {
		at := name
		if !path.IsAbs(at) {
			at = path.Join("/", s.Dir, name)
		}
		if _, err := os.Stat(at); err != nil {
			return "", fmt.Errorf("start %s: no such program", name)
		}
		return name, nil
	}
	search := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if v, ok := searchPath(s.Env); ok {
		search = v
	}
	if at := find(name, search, path.Join("/", s.Dir)); at != "" {
		return at, nil
	}
	return "", fmt.Errorf("start %s: no such program in %s", name, search)
}

// searchPath is the PATH of an environment.
func searchPath(env []string) (value string, ok bool) {
	for _, e := range env {
		if v, is := strings.CutPrefix(e, "PATH="); is {
			value, ok = v, true
		}
	}
	return value, ok
}

// find looks for a program in the directories of search, which may be relative to dir; "" when it is in none.
func find(name, search, dir string) string {
	for in := range strings.SplitSeq(search, ":") {
		at := path.Join(in, name)
		if !path.IsAbs(in) {
			at = path.Join(dir, in, name)
		}
		if info, err := os.Stat(at); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return at
		}
	}
	return ""
}

// reap waits for the program, kills what it left, and waits until this process is alone.
func (s *spec) reap(pid int) outcome {
	var o outcome
	flags := 0
	if s.TTY {
		flags = unix.WUNTRACED
	}
	for {
		var ws unix.WaitStatus
		p, err := unix.Wait4(-1, &ws, flags, nil)
		switch {
		case err == unix.EINTR:
		case err != nil: // ECHILD: alone
			return o
		case p == pid && ws.Stopped(): // nobody could continue it
			_ = unix.Kill(-pid, unix.SIGCONT)
		case p == pid:
			o = outcome{Status: ws.ExitStatus()}
			if ws.Signaled() {
				o = outcome{Status: 128 + int(ws.Signal()), Signal: int(ws.Signal())}
			}
			_ = unix.Kill(-1, unix.SIGKILL)
		}
	}
}

// loopbackUp starts the only interface of a new network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// limits gives every program the limits that Debian's login gives, whatever started n3x: programs that close or poll all
// possible descriptors take minutes under a limit of 2^30, and nobody wants core files in a root filesystem.
func limits() error {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	files.Max = min(files.Max, 1<<19)
	files.Cur = min(files.Max, 1024)
	if err := syscall.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("set the limit of open files: %w", err)
	}
	if err := syscall.Setrlimit(unix.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("set the limit of core files: %w", err)
	}
	return nil
}
