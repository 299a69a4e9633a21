package control

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"n3x/internal/arch"
	"n3x/internal/sandbox"
	"n3x/internal/vm/guest"
	"n3x/internal/vm/qemu"
	"n3x/internal/vmtest"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

func place(t *testing.T) Place {
	t.Helper()
	dir := t.TempDir()
	p, err := Find("", dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// lab has machines that are off.
func lab(t *testing.T, names ...string) *vmtest.Lab {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "x.wic")
	if err := os.WriteFile(image, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := vmtest.New(vmtest.Config{Dir: filepath.Join(dir, "out"), Tools: func(arch.Arch) (qemu.Tools, qemu.Accel, error) {
		return qemu.Tools{}, qemu.TCG, errors.New("no machine runs in this test")
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, name := range names {
		user := &qemu.UserNet{Forwards: []qemu.Forward{{Host: 8080, Guest: 80}}}
		if _, err := l.Add(vmtest.Spec{Name: name, Image: image, User: user}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func serve(t *testing.T, p Place, name string, l *vmtest.Lab) *Server {
	t.Helper()
	s, err := p.Serve(name, "test", l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func files(t *testing.T, p Place) []string {
	t.Helper()
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestFind(t *testing.T) {
	t.Parallel()
	runtime, cache := t.TempDir(), t.TempDir()
	if err := os.Chmod(runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := Find(runtime, cache)
	if err != nil || p.dir != filepath.Join(runtime, "n3x/vm") {
		t.Errorf("%+v, %v", p, err)
	}
	if err := os.Chmod(runtime, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, r := range []string{runtime, "", "relative", filepath.Join(runtime, "none")} {
		if p, err := Find(r, cache); err != nil || p.dir != filepath.Join(cache, "n3x/run") {
			t.Errorf("%s: %+v, %v", r, p, err)
		}
	}
	if st, err := os.Stat(filepath.Join(cache, "n3x/run")); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if err := os.Chmod(filepath.Join(cache, "n3x/run"), 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := Find("", cache); err == nil || !strings.Contains(err.Error(), "other users can open it") {
		t.Errorf("%v", err)
	}
	other := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(other, "n3x"), 0o700), os.Symlink(t.TempDir(), filepath.Join(other, "n3x/run"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Find("", other); err == nil || !strings.Contains(err.Error(), "it is no folder") {
		t.Errorf("%v", err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	p := place(t)
	for _, bad := range []string{"", ".", "..", "a/b", "-a", "a b", strings.Repeat("x", 64), "a\x00"} {
		if s, err := p.Open(bad, "test"); err == nil {
			s.Close()
			t.Errorf("%q is a name", bad)
		}
	}
	s, err := p.Open("one", "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Open("one", "test"); err == nil || !strings.Contains(err.Error(), "machines called one run already") {
		t.Errorf("%v", err)
	}
	labs, swept, err := p.Labs(t.Context())
	if err != nil || len(labs) != 1 || swept != nil || labs[0].State != "building" || labs[0].PID != os.Getpid() {
		t.Errorf("%+v, %v, %v", labs, swept, err)
	}
	if _, err := p.Machine(t.Context(), "one"); err == nil || !strings.Contains(err.Error(), "they are building") {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left := files(t, p); left != nil {
		t.Errorf("left %v", left)
	}
}

// A folder of any length has room for sockets.
func TestLongPath(t *testing.T) {
	t.Parallel()
	p, err := Find("", filepath.Join(t.TempDir(), strings.Repeat("long", 50), strings.Repeat("long", 20)))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("n", 63)
	s := serve(t, p, name, lab(t, "m"))
	if labs, _, err := p.Labs(t.Context()); err != nil || len(labs) != 1 || labs[0].Name != name {
		t.Errorf("%+v, %v", labs, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestMachines(t *testing.T) {
	t.Parallel()
	p := place(t)
	ctx := t.Context()
	if _, err := p.Machine(ctx, "m"); err == nil || !strings.Contains(err.Error(), "none runs") {
		t.Errorf("%v", err)
	}
	a, b := serve(t, p, "pair", lab(t, "server-1", "agent-1")), serve(t, p, "solo", lab(t, "server-1"))
	defer a.Close()
	defer b.Close()
	for name, want := range map[string]string{
		"server-1": "several machines are called server-1", "pair": "pair has several machines: server-1, agent-1", "agent-2": `there is no machine "agent-2"; there are: pair, pair/server-1, pair/agent-1, solo, solo/server-1`,
	} {
		if _, err := p.Machine(ctx, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{"agent-1": "pair/agent-1", "pair/server-1": "pair/server-1", "solo": "solo/server-1"} {
		r, err := p.Machine(ctx, name)
		if err != nil || r.Lab+"/"+r.Machine != want {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	labs, _, err := p.Labs(ctx)
	if err != nil || len(labs) != 2 || len(labs[0].Machines) != 2 || labs[0].Machines[0].State != "off" || labs[0].Machines[0].Memory != 1024 || labs[0].Machines[0].Forwards[0] != "127.0.0.1:8080:80" {
		t.Errorf("%+v, %v", labs, err)
	}
	r, err := p.Machine(ctx, "agent-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Execute(ctx, []string{"true"}, nil, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "machine agent-1 is off") {
		t.Errorf("%v", err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := r.Console(short, 10, Streams{Out: &bytes.Buffer{}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the console of a machine that is off: %v", err)
	}
	// Ctrl-] leaves.
	var out bytes.Buffer
	if err := r.Look(ctx, strings.NewReader("x\x1dy"), &out); err != nil {
		t.Error(err)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	p := place(t)
	s := serve(t, p, "pair", lab(t, "one", "two"))
	r, err := p.Find(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stop(t.Context(), false); err != nil {
		t.Error(err)
	}
	select {
	case <-s.Stopped():
		t.Fatal("one of two machines ended the lab")
	default:
	}
	closed := make(chan error)
	go func() { <-s.Stopped(); closed <- s.Close() }()
	if r, err = p.Find(t.Context(), "pair"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stop(t.Context(), true); err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if left := files(t, p); left != nil {
		t.Errorf("left %v", left)
	}
	if _, err := r.Stop(t.Context(), true); err != nil {
		t.Errorf("what has ended cannot be stopped: %v", err)
	}
}

// What a killed process leaves is recognised and removed, by whatever comes next.
func TestKilled(t *testing.T) {
	t.Parallel()
	p := place(t)
	leave := func() {
		t.Helper()
		on, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(p.dir, "dead"+suffix), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		on.SetUnlinkOnClose(false)
		if err := errors.Join(on.Close(), os.MkdirAll(p.Own("dead"), 0o700), os.WriteFile(filepath.Join(p.Own("dead"), "disk"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	gone := func() {
		t.Helper()
		if _, err := os.Stat(p.Own("dead")); !errors.Is(err, os.ErrNotExist) || files(t, p) != nil {
			t.Errorf("left %v, %v", files(t, p), err)
		}
	}
	leave()
	var killed *KilledError
	if _, err := p.Find(t.Context(), "dead"); !errors.As(err, &killed) {
		t.Errorf("%v", err)
	}
	gone()
	leave()
	if labs, swept, err := p.Labs(t.Context()); err != nil || len(labs) != 0 || len(swept) != 1 || swept[0] != "dead" {
		t.Errorf("%v, %v, %v", labs, swept, err)
	}
	gone()
	leave()
	s := serve(t, p, "dead", lab(t, "m"))
	if _, err := p.Machine(t.Context(), "dead"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	gone()
}

// What is no request, or one of another time, does no harm.
func TestNonsense(t *testing.T) {
	t.Parallel()
	p := place(t)
	s := serve(t, p, "lab", lab(t, "m"))
	defer s.Close()
	for _, text := range []string{"", "GET / HTTP/1.1\r\n\r\n", "q\xff\xff\xff\xff", "q\x00\x00\x00\x02{}", "q\x00\x00\x00\x03nul"} {
		conn, err := p.dial("lab")
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte(text))
		conn.CloseWrite()
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 1000)
		n, _ := conn.Read(buf)
		if n > 0 && !bytes.Contains(buf[:n], []byte("too different")) {
			t.Errorf("%q: %q", text, buf[:n])
		}
		conn.Close()
	}
	if _, _, _, err := p.ask(t.Context(), "lab", request{Do: "session", Machine: "none", Program: &guest.Program{}}, time.Second); err == nil || !strings.Contains(err.Error(), `there is no machine "none"; there are: m`) {
		t.Errorf("%v", err)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	if got := Command([]string{"a | b"}).Argv; strings.Join(got, "\x00") != "/bin/sh\x00-c\x00a | b" {
		t.Errorf("%q", got)
	}
	if got := Command([]string{"echo", "a  b"}).Argv; strings.Join(got, "\x00") != "echo\x00a  b" {
		t.Errorf("%q", got)
	}
}
