package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// shell is a script as a command of the current root.
func shell(script string) *Cmd {
	return &Cmd{Argv: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}
}

// output runs c and returns what it printed.
func output(t *testing.T, c *Cmd) string {
	t.Helper()
	out, err := c.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestSurroundings(t *testing.T) {
	t.Parallel()
	exe, _ := os.Executable()
	tests := map[string]struct {
		cmd  *Cmd
		want string
	}{
		"own processes":      {shell("set -- /proc/[0-9]*; echo $#; cut -c1-7 /proc/1/cmdline"), "2\nn3x: sh"},
		"root":               {shell("id -u; id -g; id -G"), "0\n0\n0"},
		"host name":          {shell("uname -n; cat /proc/sys/kernel/domainname"), "localhost\n(none)"},
		"own host name":      {&Cmd{Argv: []string{"uname", "-n"}, Hostname: "node-1"}, "node-1"},
		"umask":              {shell("umask"), "0022"},
		"own umask":          {with(shell("umask"), func(c *Cmd) { c.Umask = 0o077 }), "0077"},
		"no umask":           {with(shell("umask"), func(c *Cmd) { c.Umask = -1 }), "0000"},
		"environment":        {&Cmd{Argv: []string{"env"}, Env: []string{"A=1", "B=\xff\n2"}}, "A=1\nB=\xff\n2"},
		"no environment":     {&Cmd{Argv: []string{"env"}}, ""},
		"directory":          {&Cmd{Argv: []string{"pwd"}, Dir: "/usr"}, "/usr"},
		"default directory":  {&Cmd{Argv: []string{"pwd"}}, "/"},
		"relative program":   {&Cmd{Argv: []string{"./env"}, Dir: "/usr/bin"}, ""},
		"user":               {with(shell("id -u; id -g; id -G"), func(c *Cmd) { c.UID, c.GID = 1000, 100 }), "1000\n100\n100"},
		"limits":             {shell("ulimit -n; ulimit -c"), "1024\n0"},
		"loopback":           {shell("cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '; ip -br addr show lo 2>/dev/null | grep -c 127.0.0.1 || true"), "lo\n1"},
		"no input":           {&Cmd{Argv: []string{"cat"}}, ""},
		"input":              {with(&Cmd{Argv: []string{"cat"}}, func(c *Cmd) { c.Stdin = strings.NewReader("x\ny") }), "x\ny"},
		"descriptors":        {&Cmd{Argv: []string{exe}, Env: []string{modeVar + "=fds"}}, "0 1 2"},
		"signals":            {shell("grep -E 'SigBlk|SigIgn' /proc/self/status | tr -d '\\t '"), "SigBlk:0000000000000000\nSigIgn:0000000000000000"},
		"orphans are reaped": {shell("(sh -c 'sleep 0.05; exit 3' &) ; sleep 0.2; grep -l 'State:.Z' /proc/[0-9]*/status | wc -l"), "0"},
		"private messages":   {shell("cat /proc/sysvipc/shm | wc -l"), "1"},
		"protected sysctls":  {shell("(echo 1 > /proc/sys/kernel/panic) 2>/dev/null && echo written || echo refused"), "refused"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, output(t, test.cmd)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func with(c *Cmd, change func(*Cmd)) *Cmd { change(c); return c }

func TestExtraFiles(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := shell("echo hello >&3; ls /proc/self/fd | wc -l")
	c.ExtraFiles = []*os.File{w}
	if got := output(t, c); got != "5" { // 0 to 3, and ls's own
		t.Errorf("%s descriptors, want 5", got)
	}
	w.Close()
	if got, _ := io.ReadAll(r); string(got) != "hello\n" {
		t.Errorf("read %q", got)
	}
}

func TestNetworkOfTheHost(t *testing.T) {
	t.Parallel()
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, network := range []bool{true, false} {
		c := &Cmd{Argv: []string{"readlink", "/proc/self/ns/net"}, Network: network}
		if got := output(t, c); (got == own) != network {
			t.Errorf("Network %v: namespace %s, n3x's is %s", network, got, own)
		}
	}
}

func TestSyncDoesNothing(t *testing.T) {
	t.Parallel()
	for keep, want := range map[bool]string{false: "true true true true true", true: "false false false false false"} {
		c := part(t, "fsync")
		c.KeepSync = keep
		if got := output(t, c); got != want {
			t.Errorf("KeepSync %v: %s, want %s", keep, got, want)
		}
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("\x01\x02\x03"), 0o755); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]*Cmd{
		"sh -c 'echo a >&2; echo b >&2; exit 3': exit status 3: b":                       shell("echo a >&2; echo b >&2; exit 3"),
		"sh -c 'kill -9 $$': killed by signal 9 (killed)":                                shell("kill -9 $$"),
		"sh -c 'kill -15 1; sleep 0.05; exit 4': exit status 4":                          shell("kill -15 1; sleep 0.05; exit 4"),
		"run no-such: start no-such: no such program in /bin":                            {Argv: []string{"no-such"}, Env: []string{"PATH=/bin"}},
		"run such: start /no/such: no such program":                                      {Argv: []string{"/no/such"}},
		"run script: start " + script + ": its interpreter or dynamic loader is missing": {Argv: []string{script}},
		"run garbage: start " + garbage + ": not a program for this machine":             {Argv: []string{garbage}},
		"run true: change to directory /no/such: no such file or directory":              {Argv: []string{"true"}, Dir: "/no/such"},
		"run true: mount bind /no/such -> /mnt: open /no/such: no such file or directory": {Argv: []string{"true"},
			Mounts: []Mount{{Source: "/no/such", Target: "/mnt"}}},
		"run true: root rel is not absolute": {Argv: []string{"true"}, Root: "rel"},
		"sandbox: no program to run":         {},
	} {
		err := c.Run(t.Context())
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	var e *ExitError
	c := shell("kill -7 $$")
	if err := c.Run(t.Context()); !errors.As(err, &e) || e.Status != 128+7 || e.Signal != syscall.Signal(7) || e.Line != c.Line() {
		t.Errorf("got %#v", err)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, host := range []bool{false, true} {
		for name, test := range map[string]struct {
			script string
			want   string
			within time.Duration
		}{
			"obeys": {"trap 'echo cleaning; exit 1' TERM; echo ready; while :; do sleep 0.05; done", "ready\ncleaning\n", 2 * time.Second},
			"dies":  {"echo ready; exec sleep 1000", "ready\n", 2 * time.Second},
			"deaf":  {"trap '' TERM; echo ready; while :; do sleep 1; done", "ready\n", killGrace + 2*time.Second},
		} {
			t.Run(fmt.Sprintf("%s host=%v", name, host), func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(t.Context())
				c := shell(test.script)
				c.Host = host
				out := &notify{ready: make(chan struct{})}
				c.Stdout = out
				result := make(chan error)
				go func() { result <- c.Run(ctx) }()
				<-out.ready
				began := time.Now()
				cancel()
				err := <-result
				if !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took > test.within {
					t.Errorf("took %v", took)
				}
				if got := out.text.String(); got != test.want {
					t.Errorf("printed %q, want %q", got, test.want)
				}
			})
		}
	}
}

// notify says when the first output has come.
type notify struct {
	text  bytes.Buffer // not embedded: io.Copy would prefer its ReadFrom
	once  sync.Once
	ready chan struct{}
}

func (n *notify) Write(p []byte) (int, error) {
	defer n.once.Do(func() { close(n.ready) })
	return n.text.Write(p)
}

func TestCancelledBefore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if err := shell("exit 0").Run(ctx); err == nil || !strings.HasSuffix(err.Error(), ": enough") {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	mark := fmt.Sprintf("%d7", os.Getpid())
	c := shell("setsid sleep 1000." + mark + " & trap '' HUP TERM; (sleep 1001." + mark + " &); exit 5")
	if err := c.Run(t.Context()); err == nil {
		t.Error("no error")
	}
	if left := marked(mark); left != nil {
		t.Errorf("alive: %q", left)
	}
}

func TestBlockedInputIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	defer w.Close()
	c := shell("exit 0")
	c.Stdin = r
	if err := c.Run(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBigOutput(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	var out, errs countAndSleep
	c := shell(fmt.Sprintf("head -c %d /dev/zero; head -c %d /dev/zero >&2", size, size))
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out != size || errs != size {
		t.Errorf("%d and %d bytes, want %d", out, errs, size)
	}
	both := &bytes.Buffer{}
	c = shell("echo 1; echo 2 >&2; echo 3; echo 4 >&2; exit 1")
	c.Stdout, c.Stderr = both, both
	err := c.Run(t.Context())
	if got := both.String(); got != "1\n2\n3\n4\n" {
		t.Errorf("order %q", got)
	}
	var e *ExitError
	if !errors.As(err, &e) || e.Last != "1\n2\n3\n4\n" {
		t.Errorf("last lines of %#v", err)
	}
}

type countAndSleep int

func (c *countAndSleep) Write(p []byte) (int, error) { *c += countAndSleep(len(p)); return len(p), nil }

func TestWriterThatFails(t *testing.T) {
	t.Parallel()
	c := shell("echo x")
	c.Stdout = failing{}
	if err := c.Run(t.Context()); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, unix.ENOSPC }

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	var group sync.WaitGroup
	for i := range 60 {
		group.Add(1)
		go func() {
			defer group.Done()
			want := fmt.Sprintf("%d", i)
			c := shell("echo " + want)
			c.Mounts = []Mount{{Type: Tmpfs, Target: "/mnt"}}
			if out, err := c.Output(t.Context()); err != nil || string(out) != want+"\n" {
				t.Errorf("%q, %v", out, err)
			}
		}()
	}
	group.Wait()
}

func TestHost(t *testing.T) {
	t.Parallel()
	t.Run("status", func(t *testing.T) {
		c := with(shell("echo oops >&2; exit 4"), func(c *Cmd) { c.Host = true })
		var e *ExitError
		if err := c.Run(t.Context()); !errors.As(err, &e) || e.Status != 4 || e.Last != "oops\n" {
			t.Errorf("got %#v", err)
		}
	})
	t.Run("environment", func(t *testing.T) {
		c := &Cmd{Host: true, Argv: []string{"sh", "-c", "echo $HOME"}}
		if got := output(t, c); got != os.Getenv("HOME") {
			t.Errorf("HOME is %q", got)
		}
	})
	t.Run("own search path", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/tool", []byte("#!/bin/sh\necho mine"), 0o755); err != nil {
			t.Fatal(err)
		}
		c := &Cmd{Host: true, Argv: []string{"tool"}, Env: []string{"PATH=/nowhere:" + dir}}
		if got := output(t, c); got != "mine" {
			t.Errorf("printed %q", got)
		}
		c.Env = []string{"PATH=/nowhere"}
		if err := c.Run(t.Context()); err == nil || err.Error() != "run tool: no such program in /nowhere" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		if err := (&Cmd{Host: true, Argv: []string{"no-such"}}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no-such") {
			t.Errorf("got %v", err)
		}
	})
}

func TestTail(t *testing.T) {
	t.Parallel()
	var last tail
	for i := range 5000 {
		fmt.Fprintf(&last, "line %d\n", i)
	}
	lines := strings.Split(last.String(), "\n")
	if got := lines[len(lines)-2]; got != "line 4999" || len(last.String()) > tailSize || !strings.HasPrefix(lines[0], "line ") {
		t.Errorf("kept %d bytes from %q to %q", len(last.String()), lines[0], got)
	}
}

func BenchmarkTrue(b *testing.B) {
	for range b.N {
		if err := (&Cmd{Argv: []string{"true"}}).Run(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSystemMounts(b *testing.B) {
	for range b.N {
		if err := (&Cmd{Argv: []string{"true"}, Mounts: System()}).Run(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
