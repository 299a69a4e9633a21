package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// play is the test binary as another program: what n3x's main does, or a program inside a sandbox.
func play(part string) {
	name, arg, _ := strings.Cut(part, " ")
	parts := map[string]func(string) int{
		"fsync": playFsync, "fds": playFDs, "enter": playEnter, "chroot": playChroot, "emulate": playEmulate,
		"remove": func(path string) int { return exitStatus(Remove(path)) },
	}
	os.Exit(parts[name](arg))
}

// part is the test binary playing a part as a program of the sandbox.
func part(t *testing.T, name string) *Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Cmd{Argv: []string{exe}, Env: []string{modeVar + "=" + name, "PATH=" + os.Getenv("PATH")}}
}

// playFsync prints what the sync calls say to a descriptor that is not open: EBADF when the kernel does them.
func playFsync(string) int {
	const closed = 999
	_, _, rangeErr := unix.Syscall6(unix.SYS_SYNC_FILE_RANGE, closed, 0, 0, 0, 0, 0)
	_, _, msyncErr := unix.Syscall(unix.SYS_MSYNC, 1, 4096, unix.MS_SYNC)
	fmt.Print(unix.Fsync(closed) == nil, unix.Fdatasync(closed) == nil, unix.Syncfs(closed) == nil, rangeErr == 0, msyncErr == 0)
	return 0
}

// playFDs prints the open descriptors that a program was started with.
func playFDs(string) int {
	for fd := range 1000 {
		var s unix.Stat_t
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 && unix.Fstat(fd, &s) == nil {
			fmt.Print(fd, " ")
		}
	}
	return 0
}

// playEnter is n3x's main: it enters and then does what arg says.
func playEnter(arg string) int {
	inside, status, err := Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	if !inside {
		return status
	}
	what, rest, _ := strings.Cut(arg, " ")
	switch what {
	case "status":
		fmt.Sscan(rest, &status)
		return status
	case "die":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		time.Sleep(time.Minute)
	case "deaf": // to everything but SIGKILL
		signal.Ignore(unix.SIGINT, unix.SIGTERM)
		fmt.Println("ready")
		time.Sleep(time.Minute)
	case "cancel": // what main does with a signal
		return playCancel()
	case "umask":
		fmt.Printf("%03o\n", unix.Umask(0))
		return 0
	case "hold":
		return playHold(rest)
	case "emulate":
		return playEmulate(rest)
	case "run":
		c := shell(rest)
		c.Stdout, c.Stderr, c.KeepGroups = os.Stdout, os.Stderr, true
		return exitStatus(c.Run(context.Background()))
	case "terminal":
		return exitStatus(onTerminal(rest).Run(context.Background()))
	case "terminals":
		return playTerminals()
	}
	return 98
}

// onTerminal is a shell script with this process's terminal.
func onTerminal(script string) *Cmd {
	return &Cmd{Argv: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, TTY: true,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Mounts: []Mount{{Type: Dev, Target: "/dev"}}}
}

// playTerminals prints what the terminal is like after programs that mistreat it.
func playTerminals() int {
	for _, script := range []string{"stty raw -echo; exit 0", "stty raw -echo; kill -9 $$"} {
		_ = onTerminal(script).Run(context.Background())
	}
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	modes, err2 := unix.IoctlGetTermios(0, unix.TCGETS)
	if err != nil || err2 != nil {
		fmt.Println(err, err2)
		return 1
	}
	fmt.Printf("foreground %v, echo %v\n", group == unix.Getpgrp(), modes.Lflag&unix.ECHO != 0)
	return 0
}

func playCancel() int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	fmt.Println("ready")
	s := <-signals
	fmt.Println("got", s)
	return 128 + int(s.(syscall.Signal))
}

// playHold starts processes of all kinds that would run for long, marked by an argument.
func playHold(mark string) int {
	script := "sleep 1000." + mark + " & setsid sleep 2000." + mark + " & wait"
	path := "PATH=" + os.Getenv("PATH")
	done := make(chan error)
	for _, c := range []*Cmd{
		{Argv: []string{"sh", "-c", "trap '' TERM HUP INT; " + script}, Env: []string{path}, Mounts: []Mount{{Type: Tmpfs, Target: "/mnt"}}},
		{Argv: []string{"sh", "-c", script}, Env: []string{path}, Host: true},
	} {
		go func() { done <- c.Run(context.Background()) }()
	}
	for len(marked(mark)) < 6 { // the shells too
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println("ready")
	return exitStatus(<-done)
}

// playChroot makes a directory, not a mount point, look like the root, and runs a part of itself in a chroot of it.
func playChroot(arg string) int {
	const root = "/mnt/inner"
	entries, err := os.ReadDir("/")
	if err == nil {
		err = os.Mkdir(root, 0o755)
	}
	for _, e := range entries {
		from, to := "/"+e.Name(), root+"/"+e.Name()
		link, linkErr := os.Readlink(from)
		switch {
		case err != nil || e.Name() == "mnt":
		case linkErr == nil:
			err = os.Symlink(link, to)
		case e.IsDir():
			if err = os.Mkdir(to, 0o755); err == nil {
				err = unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 97
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), modeVar+"="+arg)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir = "/"
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 97
	}
	return cmd.ProcessState.ExitCode()
}

func exitStatus(err error) int {
	if e, ok := err.(*ExitError); ok {
		return e.Status
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 97
	}
	return 0
}

// marked lists the processes with mark in their command line.
func marked(mark string) []string {
	var found []string
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && strings.Contains(string(line), "."+mark) {
			found = append(found, e.Name()+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// program is the test binary playing a part as a program of its own, outside of any sandbox.
func program(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), modeVar+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}
