package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestEnterStatus(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		part string
		want int
	}{
		{"enter status 0", 0},
		{"enter status 7", 7},
		{"enter status 255", 255},
		{"enter die", 128 + int(unix.SIGKILL)},
		{"enter run true", 0},
	} {
		t.Run(test.part, func(t *testing.T) {
			t.Parallel()
			cmd := program(t, test.part)
			if err := cmd.Run(); cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != test.want {
				t.Errorf("status %d, want %d", got, test.want)
			}
		})
	}
}

// start starts a program and waits until it prints "ready".
func start(t *testing.T, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); line != "ready\n" {
		t.Fatalf("read %q (%v), want ready", line, err)
	}
	return r
}

func TestSignalsReachTheProcessInside(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		signal syscall.Signal
		want   string
		status int
	}{
		{unix.SIGTERM, "got terminated\n", 143},
		{unix.SIGINT, "got interrupt\n", 130},
		{unix.SIGHUP, "got hangup\n", 129},
	} {
		t.Run(test.signal.String(), func(t *testing.T) {
			t.Parallel()
			if signal.Ignored(test.signal) {
				t.Skip("whoever runs this ignores the signal, as nohup does, and so do all that it starts")
			}
			cmd := program(t, "enter cancel")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
			out := start(t, cmd)
			if err := cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			line, _ := out.ReadString('\n')
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); line != test.want || got != test.status {
				t.Errorf("%q and status %d, want %q and %d", line, got, test.want, test.status)
			}
		})
	}
}

func TestSecondInterruptKills(t *testing.T) {
	t.Parallel()
	cmd := program(t, "enter deaf")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	start(t, cmd)
	go func() { // on a busy machine two may look like one
		for cmd.Process.Signal(unix.SIGINT) == nil {
			time.Sleep(repeatAfter + 50*time.Millisecond)
		}
	}()
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 130 {
		t.Errorf("status %d, want 130", got)
	}
}

// TestKillEverything kills the outermost process in the one way that it cannot answer, or the process inside.
func TestKillEverything(t *testing.T) {
	t.Parallel()
	for i, victim := range []string{"supervisor", "inside"} {
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			mark := fmt.Sprintf("%d%d", os.Getpid(), i)
			cmd := program(t, "enter hold "+mark)
			before := ownMountLines()
			start(t, cmd)
			pid := cmd.Process.Pid
			if victim == "inside" {
				pid = children(t, pid)[0]
			}
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_ = cmd.Wait()
			for len(marked(mark)) > 0 && time.Since(began) < 5*time.Second {
				time.Sleep(time.Millisecond)
			}
			if left := marked(mark); left != nil {
				t.Errorf("alive after 5 s: %q", left)
			}
			t.Logf("all dead after %v", time.Since(began))
			if diff := cmp.Diff(before, ownMountLines()); diff != "" {
				t.Errorf("mounts changed:\n%s", diff)
			}
		})
	}
}

// children lists the direct children of pid.
func children(t *testing.T, pid int) []int {
	t.Helper()
	var found []int
	for _, p := range descendants(pid) {
		var parent int
		stat := readFile(fmt.Sprintf("/proc/%d/stat", p))
		if _, err := fmt.Sscanf(stat[strings.LastIndexByte(stat, ')')+3:], "%d", &parent); err == nil && parent == pid {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		t.Fatalf("process %d has no child", pid)
	}
	return found
}

func TestEnterInChroot(t *testing.T) {
	t.Parallel()
	c := part(t, "chroot enter run true")
	c.Env = append(c.Env, outsideVar+"="+os.Getenv(outsideVar))
	c.Mounts = []Mount{{Type: Tmpfs, Target: "/mnt"}}
	c.Stderr = os.Stderr
	if err := c.Run(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNested enters from inside a sandbox, whose /proc has parts that are covered, so that no fresh one may be mounted.
func TestNested(t *testing.T) {
	t.Parallel()
	c := part(t, "enter run test -d /proc/self/fd && cat /proc/self/uid_map && echo x > /dev/stdout")
	c.Env = append(c.Env, outsideVar+"="+os.Getenv(outsideVar))
	c.Stderr = os.Stderr
	if got := output(t, c); !strings.HasPrefix(strings.TrimSpace(got), "0 ") || !strings.HasSuffix(got, "x") {
		t.Errorf("printed %q", got)
	}
}

func TestKeepGroups(t *testing.T) {
	t.Parallel()
	cmd := program(t, "enter run id -G")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{20, 999}}}
	if out, err := cmd.Output(); err != nil || string(out) != "0 20 999\n" {
		t.Errorf("printed %q, %v", out, err)
	}
}

func TestUmaskInside(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sh", "-c", `umask 077; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), modeVar+"=enter umask")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "022\n" {
		t.Errorf("printed %q, %v", out, err)
	}
}

func TestParseSubIDs(t *testing.T) {
	t.Parallel()
	const file = "root:1:2\nbuilder:100000:65536\n# builder:5:5\n\nbuilder:x:1\nbuilder:7\n1001:300000:10\nbuilder:4294967295:9\nbuilder:8:0\nbuilder:400000:5"
	want := []idRange{{0, 100000, 65536}, {0, 300000, 10}, {0, 400000, 5}}
	if diff := cmp.Diff(want, parseSubIDs([]byte(file), []string{"builder", "1001"})); diff != "" {
		t.Error(diff)
	}
}

func TestStartError(t *testing.T) {
	t.Parallel()
	for errno, want := range map[syscall.Errno]Reason{unix.EPERM: Refused, unix.EACCES: Refused, unix.ENOSPC: Exhausted,
		unix.EUSERS: Exhausted, unix.EINVAL: Unsupported, unix.ENOSYS: Unsupported} {
		var e *EnterError
		if err := startError(&os.PathError{Op: "fork/exec", Path: self, Err: errno}); !errors.As(err, &e) || e.Reason != want || !errors.Is(err, errno) {
			t.Errorf("%v gives %#v, want reason %d", errno, err, want)
		}
	}
	if err := startError(unix.ENOMEM); errors.As(err, new(*EnterError)) {
		t.Errorf("ENOMEM gives %#v", err)
	}
}

func TestReadReport(t *testing.T) {
	t.Parallel()
	if err := readReport(strings.NewReader("+")); err != nil {
		t.Errorf("+ gives %v", err)
	}
	err := readReport(strings.NewReader("13 make the mounts private"))
	if want := "make the mounts private: permission denied"; err == nil || err.Error() != want || !errors.Is(err, unix.EACCES) {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := readReport(strings.NewReader("")); !errors.As(err, new(*EnterError)) {
		t.Errorf("nothing gives %v", err)
	}
}
