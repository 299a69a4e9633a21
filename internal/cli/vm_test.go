package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/sandbox"
)

// user is somebody who calls n3x vm with a home of their own.
type user struct {
	t     *testing.T
	home  string
	first string // a folder with programs that go before the host's
}

func newUser(t *testing.T) *user {
	t.Helper()
	if _, err := sandbox.LookPath("qemu-system-x86_64"); err != nil || !sandboxed() {
		t.Skip("this host has no QEMU, or no sandbox")
	}
	return &user{t: t, home: t.TempDir()}
}

func (u *user) env() []string {
	return []string{"HOME=" + u.home, "PATH=" + u.first + ":" + os.Getenv("PATH"), "TERM=dumb", "TMPDIR=" + u.t.TempDir()}
}

// call runs n3x to its end.
func (u *user) call(stdin string, args ...string) (stdout, stderr string, status int) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), 20*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	err := (&sandbox.Cmd{Host: true, Argv: append([]string{"n3x"}, args...), Env: u.env(), Dir: u.home, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs}).Run(ctx)
	if exit, ok := err.(*sandbox.ExitError); ok {
		return out.String(), errs.String(), exit.Status
	}
	if err != nil {
		u.t.Fatal(err)
	}
	return out.String(), errs.String(), 0
}

// must is call for what has to succeed.
func (u *user) must(args ...string) string {
	u.t.Helper()
	out, errs, status := u.call("", args...)
	if status != 0 {
		u.t.Fatalf("%q: status %d\n%s%s", args, status, out, errs)
	}
	return out
}

// left are the sockets, the machines' own files, and the processes of this user.
func (u *user) left() []string {
	var out []string
	for _, pattern := range []string{"*/n3x/run/*", "*/n3x/vm/*/own"} {
		found, _ := filepath.Glob(filepath.Join(u.home, pattern))
		out = append(out, found...)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, l := range lines {
		if data, err := os.ReadFile(l); err == nil && bytes.Contains(data, []byte("HOME="+u.home+"\x00")) {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(l), "cmdline"))
			out = append(out, strings.ReplaceAll(string(name), "\x00", " "))
		}
	}
	return out
}

// gone waits until nothing of this user's is left: the last processes end a moment after who waits for them.
func (u *user) gone() {
	u.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left := u.left()
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			u.t.Fatalf("left: %q", left)
		}
	}
}

// pid is the process that runs a lab.
func (u *user) pid(name string) int {
	u.t.Helper()
	var labs []struct {
		Name string
		PID  int
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := json.Unmarshal([]byte(u.must("vm", "list", "--json")), &labs); err != nil {
			u.t.Fatal(err)
		}
		for _, l := range labs {
			if l.Name == name {
				return l.PID
			}
		}
	}
	u.t.Fatalf("%s does not run", name)
	return 0
}

// background runs n3x until ended gets its status.
func (u *user) background(args ...string) (ended <-chan int, log *lines) {
	u.t.Helper()
	log = &lines{}
	out := make(chan int, 1)
	go func() {
		err := (&sandbox.Cmd{Host: true, Argv: append([]string{"n3x"}, args...), Env: u.env(), Dir: u.home, Stdout: log, Stderr: log}).Run(context.Background())
		status := 0
		if exit, ok := err.(*sandbox.ExitError); ok {
			status = exit.Status
		}
		out <- status
	}()
	return out, log
}

// lines collects what is written, and can be read meanwhile.
type lines struct {
	mu  sync.Mutex
	all []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, p...)
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.all)
}

// nothing is a disk with a partition and nothing to boot.
func nothing() []byte {
	disk := make([]byte, 1<<20)
	copy(disk[446:], "\x00\x00\x02\x00\x83\x00\x02\x00\x01\x00\x00\x00\x10\x00\x00\x00")
	copy(disk[510:], "\x55\xaa")
	return disk
}

// A machine that never gets anywhere, in each of the ways in which one can end. Nothing of it is left.
func TestMachinesEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(u *user, pid int){
		"stop":      func(u *user, _ int) { u.must("vm", "stop", "m", "--force") },
		"interrupt": func(_ *user, pid int) { unix.Kill(pid, unix.SIGINT) },
		"hangup":    func(_ *user, pid int) { unix.Kill(pid, unix.SIGHUP) },
		"terminate": func(_ *user, pid int) { unix.Kill(pid, unix.SIGTERM) },
		"kill": func(u *user, pid int) {
			unix.Kill(pid, unix.SIGKILL)
			for end := time.Now().Add(20 * time.Second); unix.Kill(pid, 0) == nil && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
			if _, errs, status := u.call("", "vm", "stop", "m"); status != 0 || !strings.Contains(errs, "had been killed; what it left is removed") {
				u.t.Errorf("%d, %s", status, errs)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "hangup" && signal.Ignored(unix.SIGHUP) {
				t.Skip("whoever runs this ignores hang-ups, as nohup does, and so do all that it starts")
			}
			t.Parallel()
			u := newUser(t)
			if err := os.WriteFile(filepath.Join(u.home, "m.wic"), nothing(), 0o600); err != nil {
				t.Fatal(err)
			}
			ended, log := u.background("vm", "run", "m.wic", "--memory", "64")
			pid := u.pid("m")
			defer func() {
				if t.Failed() {
					t.Log(log)
				}
			}()
			for end := time.Now().Add(30 * time.Second); !strings.Contains(u.must("vm", "list"), "starting"); time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("the machine does not start: %s", log)
				}
			}
			if _, errs, status := u.call("", "vm", "run", "m.wic"); status != 2 || !strings.Contains(errs, "machines called m run already") {
				t.Errorf("%d, %s", status, errs)
			}
			end(u, pid)
			select {
			case status := <-ended:
				t.Logf("status %d, %s", status, log)
			case <-time.After(30 * time.Second):
				t.Fatalf("it does not end: %s", log)
			}
			u.gone()
		})
	}
}

// terminal is a pseudo-terminal, and n3x on its other side.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	log    *lines
	seen   int
	ended  chan int
}

func (u *user) terminal(args ...string) *terminal {
	u.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		u.t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		u.t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		u.t.Fatal(err)
	}
	tt := &terminal{t: u.t, master: master, slave: slave, log: &lines{}, ended: make(chan int, 1)}
	tt.size(33, 111)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			tt.log.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	go func() {
		// setsid gives it the terminal, as a login does.
		argv := append([]string{"setsid", "--ctty", "--wait", "n3x"}, args...)
		err := (&sandbox.Cmd{Host: true, Argv: argv, Env: u.env(), Dir: u.home, Stdin: slave, Stdout: slave, Stderr: slave}).Run(context.Background())
		status := 0
		if exit, ok := err.(*sandbox.ExitError); ok {
			status = exit.Status
		}
		tt.ended <- status
	}()
	u.t.Cleanup(func() { slave.Close(); master.Close() })
	return tt
}

func (t *terminal) size(rows, cols int) {
	t.t.Helper()
	if err := unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(cols)}); err != nil {
		t.t.Fatal(err)
	}
}

func (t *terminal) typed(text string) {
	t.t.Helper()
	if _, err := t.master.WriteString(text); err != nil {
		t.t.Fatal(err)
	}
}

// until waits for a text behind the one that was waited for before.
func (t *terminal) until(text string) {
	t.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		all := t.log.String()
		if at := strings.Index(all[t.seen:], text); at >= 0 {
			t.seen += at + len(text)
			return
		}
		if time.Now().After(end) {
			t.t.Fatalf("%q does not come; %q did", text, all[t.seen:])
		}
	}
}

// over waits for the end, and looks whether the terminal is what it was.
func (t *terminal) over(status int) {
	t.t.Helper()
	select {
	case got := <-t.ended:
		if got != status {
			t.t.Errorf("status %d; it showed %q", got, t.log)
		}
	case <-time.After(30 * time.Second):
		t.t.Fatalf("it does not end; it showed %q", t.log)
	}
	if modes, err := unix.IoctlGetTermios(int(t.slave.Fd()), unix.TCGETS); err != nil || modes.Lflag&unix.ICANON == 0 || modes.Lflag&unix.ECHO == 0 {
		t.t.Errorf("the terminal is left raw: %v", err)
	}
}

// realImage is an image with qemu-guest-agent, which N3X_TEST_IMAGE names.
func realImage(t *testing.T) string {
	t.Helper()
	image := os.Getenv("N3X_TEST_IMAGE")
	if image == "" || os.Getenv("N3X_TEST_VM") != "1" {
		t.Skip("boots a machine, emulated, for minutes; N3X_TEST_VM=1 with an image in N3X_TEST_IMAGE runs it")
	}
	return image
}

func TestRealMachine(t *testing.T) {
	t.Parallel()
	image := realImage(t)
	newUser(t).drive(image, "reboot -f")
}

// The same with a stand-in for QEMU and what runs in it: "the machine" is this host.
func TestMachine(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"python3", "perl", "bash"} {
		if _, err := sandbox.LookPath(program); err != nil {
			t.Skipf("this host has no %s", program)
		}
	}
	u := newUser(t)
	fake, err := filepath.Abs("testdata/fakeqemu.py")
	if err != nil {
		t.Fatal(err)
	}
	u.first = t.TempDir()
	image := filepath.Join(u.home, "m.wic")
	err = errors.Join(os.Symlink(fake, filepath.Join(u.first, "qemu-system-x86_64")), os.Symlink(fake, filepath.Join(u.first, "qemu-system-aarch64")), os.WriteFile(image, nothing(), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	u.drive(image, "kill -9 $PPID")
}

// drive uses a machine in all ways; restart is a command that restarts it.
func (u *user) drive(image, restart string) {
	t := u.t
	start := time.Now()
	u.must("vm", "run", image, "--name", "demo", "--detach")
	t.Logf("up after %s", time.Since(start))
	defer u.call("", "vm", "stop", "--all", "--force")
	if out := u.must("vm", "list"); !strings.Contains(out, " up ") {
		t.Error(out)
	}
	out, errs, status := u.call("a\x00b\xff\n", "vm", "ssh", "demo", "--", "cat; echo wrong >&2; exit 7")
	if out != "a\x00b\xff\n" || errs != "wrong\n" || status != 7 {
		t.Errorf("%q, %q, %d", out, errs, status)
	}
	if out := u.must("vm", "ssh", "demo", "--", "printf", "%s.", "a  b", "$HOME"); out != "a  b.$HOME." {
		t.Errorf("%q", out)
	}
	much := strings.Repeat("0123456789abcde\n", 1<<18)
	start = time.Now()
	if out, errs, status := u.call(much, "vm", "ssh", "demo", "cat"); out != much || status != 0 {
		t.Errorf("%d of %d bytes, %s, %d", len(out), len(much), errs, status)
	}
	t.Logf("%d MiB there and back in %s", len(much)>>20, time.Since(start))

	// A shell: its size, keys, and status. Two at once.
	a, b := u.terminal("vm", "ssh", "demo"), u.terminal("vm", "ssh", "demo")
	b.until("# ")
	a.until("# ")
	a.typed("stty size; tty; id -u\r")
	a.until("\n33 111\r\n")
	a.until("/dev/pts/")
	a.until("\n0\r\n")
	a.size(20, 60)
	time.Sleep(500 * time.Millisecond)
	a.typed("stty size\r")
	a.until("\n20 60\r\n")
	a.typed("cat\r")
	a.until("cat\r\n")
	time.Sleep(time.Second) // until it reads
	a.typed("typed\r")
	a.until("typed\r\ntyped\r\n")
	a.typed("\x03")
	a.until("^C")
	a.typed("echo status $?\r")
	a.until("\nstatus 130\r\n")
	a.typed("sleep 1000\r")
	a.until("1000\r\n")
	time.Sleep(time.Second)
	a.typed("\x1a")
	a.until("Stopped")
	a.typed("fg\r")
	a.until("sleep 1000\r\n")
	time.Sleep(time.Second)
	a.typed("\x03")
	a.until("^C")
	a.typed("exit 3\r")
	a.over(3)
	b.typed("\x04")
	b.over(0)

	// The console, from two terminals.
	c, d := u.terminal("vm", "console", "demo"), u.terminal("vm", "console", "demo")
	c.until("Ctrl-] leaves")
	d.until("Ctrl-] leaves")
	time.Sleep(time.Second)
	c.typed("\r")
	c.until("login:")
	d.until("login:")
	c.typed("\x1d")
	c.over(0)
	d.typed("\x1d")
	d.over(0)

	// A shell whose machine restarts says so, and its terminal is whole again.
	e := u.terminal("vm", "ssh", "demo")
	e.until("# ")
	e.typed(restart + "\r")
	e.until("the machine was restarted")
	e.over(255)

	start = time.Now()
	u.must("vm", "stop", "demo", "--force")
	t.Logf("stopped in %s", time.Since(start))
	u.gone()
}
