package cpython

import (
	"bufio"
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/sandbox"
)

//go:embed all:py
var pyFS embed.FS

// sources are the modules that n3x carries, by file; boot is what python3 -c is given.
var sources, boot = func() (table, string) {
	var all table
	boot := ""
	err := fs.WalkDir(pyFS, "py", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".py") {
			return err
		}
		text, err := pyFS.ReadFile(path)
		switch name := strings.TrimPrefix(path, "py/"); {
		case err != nil:
		case name == "boot.py":
			boot = string(text)
		default:
			all = append(all, [2]any{name, string(text)})
		}
		return err
	})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return all, boot
}()

// process is a running CPython. One evaluation at a time uses it.
type process struct {
	in      *os.File
	out     *bufio.Reader
	outFile *os.File
	pid     int
	output  *lastOutput
	stop    context.CancelFunc
	ended   chan struct{}
	exit    error // why it ended; readable when ended is closed

	definitions map[definition]int
	libraries   map[libraryState]bool
	paths       map[string]int
	injected    map[string]string
	modules     []string // files of the layers' modules that are loaded
}

// definition is a `def` block as Python knows it.
type definition struct {
	file   string
	line   int
	source string
}

// libraryState is a library with the blocks that it had.
type libraryState struct {
	id    int64
	count int
}

// description is what a new process is told of its world.
func (b *bound) description() table {
	var environ table
	for _, name := range slices.Sorted(maps.Keys(b.world.Environ)) {
		environ = append(environ, [2]any{name, b.world.Environ[name]})
	}
	return table{
		{"sources", sources}, {"libraries", append([]string{}, b.rt.opts.Libraries...)}, {"version", b.rt.opts.BitBake},
		{"environ", environ}, {"cwd", b.world.Cwd}, {"functions", slices.Sorted(maps.Keys(b.world.Funcs))}, {"pycache", b.rt.opts.CacheDir}, {"memory", int64(b.rt.opts.Memory)},
		{"runs", b.world.Run != nil}, {"cpus", b.world.CPUs}, {"pages", b.world.MemPages},
	}
}

// start starts a process and waits until it is ready.
func start(ctx context.Context, argv, env []string, description table) (*process, error) {
	orderR, orderW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	answerR, answerW, err := os.Pipe()
	if err != nil {
		orderR.Close()
		orderW.Close()
		return nil, err
	}
	p := &process{in: orderW, out: bufio.NewReaderSize(answerR, 64<<10), outFile: answerR, output: &lastOutput{}, ended: make(chan struct{}),
		definitions: map[definition]int{}, libraries: map[libraryState]bool{}, paths: map[string]int{"": 0}, injected: map[string]string{}}
	life, stop := context.WithCancel(context.Background())
	p.stop = stop
	// The order of sets would otherwise differ from process to process.
	env = append(slices.Clone(env), "PYTHONHASHSEED=0", "PYTHONNOUSERSITE=1")
	cmd := &sandbox.Cmd{Host: true, Argv: append(slices.Clone(argv), "-B", "-X", "utf8", "-c", boot), Env: env,
		Stdout: p.output, Stderr: p.output, ExtraFiles: []*os.File{orderR, answerW}}
	go func() {
		p.exit = cmd.Run(life)
		orderR.Close()
		answerW.Close()
		close(p.ended)
	}()
	if err := p.greet(ctx, description); err != nil {
		p.end()
		return nil, err
	}
	orderR.Close()
	answerW.Close()
	return p, nil
}

// greet describes the world and waits for the process to be ready.
func (p *process) greet(ctx context.Context, description table) error {
	defer context.AfterFunc(ctx, p.kill)()
	if err := p.sendValue(description); err != nil {
		return p.death(err)
	}
	m, err := p.receive()
	if err != nil {
		return p.death(err)
	}
	pid, ok := field[int64](m, 1)
	if kind, _ := field[string](m, 0); kind != "ready" || !ok || pid <= 1 {
		return errors.New("CPython does not answer as expected")
	}
	p.pid = int(pid)
	return nil
}

// kill ends the process, and what it has started, at once.
func (p *process) kill() {
	if p.pid > 1 {
		_ = unix.Kill(-p.pid, unix.SIGKILL)
		_ = unix.Kill(p.pid, unix.SIGKILL)
	}
	p.stop()
}

// end is kill, and waits.
func (p *process) end() {
	select {
	case <-p.ended:
	default:
		p.kill()
		<-p.ended
	}
	p.in.Close()
	p.outFile.Close()
	p.stop()
}

// dying is how long a process that has closed its pipe may take to end.
const dying = 2 * time.Second

// death says why a process does not answer.
func (p *process) death(err error) error {
	select {
	case <-p.ended: // by itself
	case <-time.After(dying):
		p.kill()
		<-p.ended
	}
	why := err
	var exit *sandbox.ExitError
	switch {
	case errors.As(p.exit, &exit) && exit.Signal != 0:
		why = fmt.Errorf("CPython was ended by signal %d (%s)", int(exit.Signal), exit.Signal)
	case errors.As(p.exit, &exit):
		why = fmt.Errorf("CPython ended with status %d", exit.Status)
	case p.exit != nil:
		why = p.exit
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.EPIPE):
		why = errors.New("CPython ended")
	}
	if out := strings.TrimSpace(p.output.String()); out != "" {
		why = fmt.Errorf("%w; its last output:\n%s", why, out)
	}
	return why
}

func (p *process) send(parts ...any) error { return p.sendValue(tuple(parts)) }

func (p *process) sendValue(v any) error {
	frame := encode(make([]byte, 4, 256), v)
	if len(frame)-4 > maxFrame {
		return fmt.Errorf("a message of %d MiB", len(frame)>>20)
	}
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-4))
	_, err := p.in.Write(frame)
	return err
}

// receive reads one message: a tuple.
func (p *process) receive() ([]any, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.out, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxFrame {
		return nil, errFrame
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(p.out, frame); err != nil {
		return nil, err
	}
	v, err := decode(frame)
	if err != nil {
		return nil, err
	}
	m, ok := v.([]any)
	if !ok || len(m) == 0 {
		return nil, errFrame
	}
	return m, nil
}

// field is item i of a message.
func field[T any](m []any, i int) (v T, ok bool) {
	if i >= len(m) {
		return v, false
	}
	v, ok = m[i].(T)
	return v, ok
}

// lastOutput keeps the end of what metadata prints, for the message when a process dies.
type lastOutput struct {
	mu   sync.Mutex
	kept []byte
}

const outputKept = 2048

func (o *lastOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = append(o.kept, b[max(0, len(b)-outputKept):]...)
	if len(o.kept) > outputKept {
		o.kept = append(o.kept[:0], o.kept[len(o.kept)-outputKept:]...)
	}
	return len(b), nil
}

// String is the kept text.
func (o *lastOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.ToValidUTF8(string(o.kept), "?")
}
