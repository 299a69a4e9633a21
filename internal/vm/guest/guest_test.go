package guest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// agent is qemu-guest-agent as far as these tests need it. Its answers have the form of version 7.2's.
type agent struct {
	t    *testing.T
	conn net.Conn

	mu      sync.Mutex
	noise   string // written before the answer to the next request
	mute    int    // how many requests get no answer
	garbled bool   // answers are no answers
	files   map[string]*bytes.Buffer
	open    map[int64]string
	procs   map[int]execStatus
	next    int
	ran     []string
	ahead   time.Duration // of its clock
	stuck   bool          // its clock cannot be set

	program func(argv []string, stdin []byte) // runs perl
}

func start(t *testing.T) (*Agent, *agent) {
	t.Helper()
	ours, theirs := net.Pipe()
	g := &agent{t: t, conn: theirs, files: map[string]*bytes.Buffer{}, open: map[int64]string{}, procs: map[int]execStatus{}, next: 100}
	go g.serve()
	a := New(ours)
	t.Cleanup(func() { a.Close(); theirs.Close() })
	return a, g
}

func (g *agent) serve() {
	r := bufio.NewReader(g.conn)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		delimited := bytes.Contains(line, []byte{0xff})
		line = line[bytes.LastIndexByte(line, 0xff)+1:]
		var req struct {
			Execute   string          `json:"execute"`
			Arguments json.RawMessage `json:"arguments"`
		}
		if err := json.Unmarshal(line, &req); err != nil {
			g.t.Errorf("no request: %q", line)
			return
		}
		g.mu.Lock()
		answer := g.answer(req.Execute, req.Arguments)
		if delimited {
			answer = "\xff" + answer
		}
		answer = g.noise + answer
		g.noise = ""
		if g.mute > 0 {
			g.mute--
			answer = ""
		}
		if g.garbled {
			answer = "what?\n"
		}
		g.mu.Unlock()
		if _, err := io.WriteString(g.conn, answer); err != nil {
			return
		}
	}
}

func (g *agent) answer(command string, args json.RawMessage) string {
	var in struct {
		ID     int64    `json:"id"`
		PID    int      `json:"pid"`
		Path   string   `json:"path"`
		Arg    []string `json:"arg"`
		Input  []byte   `json:"input-data"`
		Mode   string   `json:"mode"`
		Handle int64    `json:"handle"`
		Data   []byte   `json:"buf-b64"`
		Count  int      `json:"count"`
		Time   int64    `json:"time"`
	}
	if len(args) > 0 {
		if err := json.Unmarshal(args, &in); err != nil {
			g.t.Errorf("%s: %v", command, err)
		}
	}
	var out any
	switch command {
	case "guest-sync-delimited":
		out = in.ID
	case "guest-ping":
		out = struct{}{}
	case "guest-get-time":
		out = time.Now().Add(g.ahead).UnixNano()
	case "guest-set-time":
		if g.stuck {
			return `{"error": {"class": "GenericError", "desc": "hwclock failed"}}` + "\n"
		}
		g.ahead = time.Until(time.Unix(0, in.Time))
		out = struct{}{}
	case "guest-exec":
		g.next++
		line := strings.Join(append([]string{in.Path}, in.Arg...), " ")
		g.ran = append(g.ran, line)
		g.procs[g.next] = execStatus{Exited: true, Out: in.Input}
		switch {
		case in.Path == "perl":
			g.procs[g.next] = execStatus{}
			g.program(append([]string{in.Path}, in.Arg...), in.Input)
		case in.Path == "missing":
			return `{"error": {"class": "GenericError", "desc": "Failed to execute child process “missing” (No such file or directory)"}}` + "\n"
		case strings.Contains(line, "fail"):
			g.procs[g.next] = execStatus{Exited: true, ExitCode: 3, Err: []byte("it failed\n")}
		case strings.Contains(line, "killed"):
			g.procs[g.next] = execStatus{Exited: true, Signal: 9}
		case strings.Contains(line, "forever"):
			g.procs[g.next] = execStatus{}
		case strings.Contains(line, "reboot"):
			delete(g.procs, g.next)
		case strings.Contains(line, "much"):
			g.procs[g.next] = execStatus{Exited: true, Out: []byte("a"), OutTruncated: true}
		}
		out = map[string]int{"pid": g.next}
	case "guest-exec-status":
		st, ok := g.procs[in.PID]
		if !ok {
			return `{"error": {"class": "GenericError", "desc": "Invalid parameter 'pid'"}}` + "\n"
		}
		out = map[string]any{"exited": st.Exited, "exitcode": st.ExitCode, "signal": st.Signal, "out-data": st.Out, "err-data": st.Err, "out-truncated": st.OutTruncated}
	case "guest-file-open":
		if in.Mode == "r" && g.files[in.Path] == nil {
			return `{"error": {"class": "GenericError", "desc": "failed to open file '/none' (mode: 'r'): No such file or directory"}}` + "\n"
		}
		if in.Mode == "w" {
			g.files[in.Path] = &bytes.Buffer{}
		}
		g.next++
		g.open[int64(g.next)] = in.Path
		out = g.next
	case "guest-file-write":
		n := min(len(in.Data), 100_000) // agents may write less than they are given
		g.files[g.open[in.Handle]].Write(in.Data[:n])
		out = map[string]any{"count": n, "eof": false}
	case "guest-file-read":
		b := g.files[g.open[in.Handle]].Next(in.Count)
		out = map[string]any{"count": len(b), "buf-b64": b, "eof": g.files[g.open[in.Handle]].Len() == 0}
	case "guest-file-close":
		delete(g.open, in.Handle)
		out = struct{}{}
	default:
		g.t.Errorf("unknown request %s", command)
	}
	text, err := json.Marshal(map[string]any{"return": out})
	if err != nil {
		g.t.Error(err)
	}
	return string(text) + "\n"
}

func TestRun(t *testing.T) {
	t.Parallel()
	a, _ := start(t)
	ctx := t.Context()
	input := []byte("\x00\xff\nbinary")
	r, err := a.Run(ctx, Command{Argv: []string{"cat"}, Stdin: input})
	if err != nil || !bytes.Equal(r.Stdout, input) || r.Status != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := a.Run(ctx, Shell("fail")); err != nil || r.Status != 3 || string(r.Stderr) != "it failed\n" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := a.Run(ctx, Shell("killed")); err != nil || r.Status != 137 {
		t.Errorf("%+v, %v", r, err)
	}
	var status *StatusError
	if _, err := a.Do(ctx, Shell("fail")); !errors.As(err, &status) || err.Error() != "fail: exit status 3\nit failed" {
		t.Errorf("%v", err)
	}
	if _, err := a.Run(ctx, Command{Argv: []string{"missing"}}); err == nil || !strings.Contains(err.Error(), "run missing: guest-exec: Failed to execute") {
		t.Errorf("%v", err)
	}
	if _, err := a.Run(ctx, Shell("reboot")); !errors.Is(err, ErrRestarted) {
		t.Errorf("%v", err)
	}
	if _, err := a.Run(ctx, Shell("much")); err == nil || !strings.Contains(err.Error(), "more than the guest's agent keeps") {
		t.Errorf("%v", err)
	}
	if _, err := a.Run(ctx, Command{}); err == nil {
		t.Error("no program ran")
	}
}

func TestCommandIsKilled(t *testing.T) {
	t.Parallel()
	a, g := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := a.Run(ctx, Shell("forever")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.ran) != 2 || !strings.HasPrefix(g.ran[1], "/bin/sh -c end()") || !strings.HasSuffix(g.ran[1], "; end 101") {
		t.Errorf("ran %q", g.ran)
	}
}

// An agent that starts late, was asked before, or left half an answer is understood.
func TestSynchronisation(t *testing.T) {
	t.Parallel()
	a, g := start(t)
	g.noise = `{"return": {}}` + "\n" + `{"retur`
	if err := a.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Two requests are lost, as when the machine reboots; who asks again gets the right answer.
	g.mu.Lock()
	g.mute = 2
	g.mu.Unlock()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := a.call(ctx, "guest-ping", nil, nil); err == nil || !strings.Contains(err.Error(), "does not answer (guest-ping)") {
			t.Errorf("%v", err)
		}
		cancel()
	}
	g.mu.Lock()
	g.noise = `{"return": {"pid": 7}}` + "\n" // the late answer to what nobody waits for
	g.mu.Unlock()
	if r, err := a.Run(t.Context(), Command{Argv: []string{"cat"}, Stdin: []byte("x")}); err != nil || string(r.Stdout) != "x" {
		t.Errorf("%+v, %v", r, err)
	}
	g.mu.Lock()
	g.garbled = true
	g.mu.Unlock()
	if err := a.call(t.Context(), "guest-ping", nil, nil); !errors.Is(err, errNoAnswer) {
		t.Errorf("%v", err)
	}
}

func TestMachineEnds(t *testing.T) {
	t.Parallel()
	a, g := start(t)
	g.conn.Close()
	if err := a.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "talk to the guest's agent") {
		t.Errorf("%v", err)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	a, g := start(t)
	big := bytes.Repeat([]byte("0123456789abcdef\x00\xff"), 40_000)
	if err := a.WriteFile(t.Context(), "/tmp/big", bytes.NewReader(big), 0o640); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := a.ReadFile(t.Context(), "/tmp/big", &got); err != nil || !bytes.Equal(got.Bytes(), big) {
		t.Errorf("%d of %d bytes, %v", got.Len(), len(big), err)
	}
	if err := a.WriteFile(t.Context(), "/tmp/none", strings.NewReader(""), 0o600); err != nil {
		t.Error(err)
	}
	if err := a.ReadFile(t.Context(), "/none", io.Discard); err == nil || !strings.Contains(err.Error(), "copy from the guest's /none: guest-file-open: failed to open file") {
		t.Errorf("%v", err)
	}
	if err := a.WriteFile(t.Context(), "/tmp/x", io.MultiReader(strings.NewReader("abc"), failing{}), 0o600); !errors.Is(err, errFailing) {
		t.Errorf("%v", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.open) != 0 {
		t.Errorf("files are left open: %v", g.open)
	}
	if g.ran[0] != "chmod 0640 -- /tmp/big" {
		t.Errorf("ran %q", g.ran)
	}
}

var errFailing = errors.New("failing")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errFailing }

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	a, _ := start(t)
	var all sync.WaitGroup
	for i := range 20 {
		all.Add(1)
		go func() {
			defer all.Done()
			want := fmt.Sprint("number ", i)
			if r, err := a.Run(t.Context(), Command{Argv: []string{"cat"}, Stdin: []byte(want)}); err != nil || string(r.Stdout) != want {
				t.Errorf("%q, %v", r.Stdout, err)
			}
		}()
	}
	all.Wait()
}
