// Package cpython runs on real CPython the Python of metadata that package pyeval refuses: it is a [pyeval.Fallback].
//
// Input is an expression or a body with its [pyeval.Site]; output is the expression's str(), or a changed datastore. A
// process is started at the first text that needs one and used again by later ones; there are at most as many as
// evaluations at once. Metadata sees `d` (each method of which is a question to this side), a package bb that n3x carries
// (see the folder py), the functions of classes, and the modules of layers. What our bb lacks comes from a real BitBake
// library if the caller names one. Everything that the code looks at outside of its datastore is told to it, see
// [pyeval.Observer].
//
// An evaluation in which a value is read that again needs CPython goes to the same process, below the first one. A process
// that ends, hangs until its context is cancelled, or writes nonsense is an error of the text that it evaluated; it and all
// that it started are killed.
//
// Mirrors, in BitBake: lib/bb/data_smart.py (python_sub, DataContext), lib/bb/utils.py and lib/bb/__init__.py as far as
// metadata uses them, and the imports of addpylib (lib/bb/parse/ast.py).
package cpython

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// Launcher says how CPython is started.
type Launcher interface {
	// Python gives the interpreter's command, to which options and the program are added, and its whole environment (no
	// PYTHON variables). reason
	// says for which text it is needed; it may be shown when the interpreter has to be fetched first.
	Python(ctx context.Context, reason string) (argv, env []string, err error)
}

// Options say how to run CPython. The zero value works.
type Options struct {
	// Libraries are folders that hold a package bb, e.g. "/isar/bitbake/lib", for what n3x's own lacks.
	Libraries []string
	// BitBake is bb.__version__; "" is that of the newest release that is known.
	BitBake string
	// CacheDir keeps compiled modules of layers; "" compiles them anew in each process.
	CacheDir string
	// Timeout ends an evaluation that takes longer; 0 = 10 minutes.
	Timeout time.Duration
	// Memory is what a process may allocate, in bytes; more is Python's MemoryError. 0 = 2 GiB.
	Memory int64
	// Idle is the number of processes kept for later evaluations; 0 = one for each CPU.
	Idle int
}

const (
	newestBitBake  = "2.19.0"
	defaultTimeout = 10 * time.Minute
	defaultMemory  = 2 << 30
)

// Runtime starts and keeps processes. It may be used by several goroutines. Close it.
type Runtime struct {
	launcher Launcher
	opts     Options

	mu     sync.Mutex
	bounds []*bound
	closed bool
	plain  *bound // for use without an interpreter
}

// New checks nothing and starts nothing yet.
func New(l Launcher, o Options) *Runtime {
	if o.BitBake == "" {
		o.BitBake = newestBitBake
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Idle == 0 {
		o.Idle = runtime.GOMAXPROCS(0)
	}
	return &Runtime{launcher: l, opts: o}
}

var _ interface {
	pyeval.Fallback
	pyeval.Binder
} = (*Runtime)(nil)

// Bind gives a fallback whose Python sees the world of an interpreter: its environment, current folder, functions and log.
func (r *Runtime) Bind(o pyeval.Options) pyeval.Fallback {
	b := &bound{rt: r, world: o, active: map[pyeval.Vars]*lease{}, injected: map[string]string{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bounds = append(r.bounds, b)
	return b
}

func (r *Runtime) unbound() pyeval.Fallback {
	r.mu.Lock()
	b := r.plain
	r.mu.Unlock()
	if b != nil {
		return b
	}
	made := r.Bind(pyeval.Options{}).(*bound)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.plain == nil {
		r.plain = made
	}
	return r.plain
}

// Eval implements [pyeval.Fallback] in a world without environment, log and functions.
func (r *Runtime) Eval(ctx context.Context, expr string, s pyeval.Site) (string, error) {
	return r.unbound().Eval(ctx, expr, s)
}

// Exec is like Eval.
func (r *Runtime) Exec(ctx context.Context, body string, s pyeval.Site) error {
	return r.unbound().Exec(ctx, body, s)
}

// Close ends all processes that are idle; those that are in use end with their evaluations.
func (r *Runtime) Close() {
	r.mu.Lock()
	r.closed = true
	bounds := slices.Clone(r.bounds)
	r.mu.Unlock()
	for _, b := range bounds {
		b.close()
	}
}

// bound is a runtime for one interpreter's world.
type bound struct {
	rt    *Runtime
	world pyeval.Options

	mu       sync.Mutex
	idle     []*process
	active   map[pyeval.Vars]*lease // datastores that a process is working for
	injected map[string]string      // modules that metadata has put into bb.utils._context, without an interpreter that keeps them
}

// lease is the use of a process by one outermost evaluation.
type lease struct {
	b        *bound
	p        *process
	outer    pyeval.Site
	handles  []pyeval.Vars       // by number
	numbers  map[pyeval.Vars]int // the reverse
	failures []error             // errors that Python has been told of, by number
	loop     error               // what ended the process

	persisting bool // a question about bb.persist_data is being answered
}

// Eval implements [pyeval.Fallback].
func (b *bound) Eval(ctx context.Context, expr string, s pyeval.Site) (string, error) {
	return b.evaluate(ctx, "eval", expr, s)
}

// Exec implements [pyeval.Fallback].
func (b *bound) Exec(ctx context.Context, body string, s pyeval.Site) error {
	_, err := b.evaluate(ctx, "exec", body, s)
	return err
}

func (b *bound) evaluate(ctx context.Context, kind, text string, s pyeval.Site) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	b.mu.Lock()
	outer := b.active[s.Vars]
	b.mu.Unlock()
	if outer != nil {
		return outer.run(ctx, kind, text, s)
	}
	limited, cancel := context.WithTimeoutCause(ctx, b.rt.opts.Timeout, errTimeout)
	defer cancel()
	p, err := b.take(limited, s, text)
	if err != nil {
		return "", b.explain(ctx, limited, err, s, text)
	}
	l := &lease{b: b, p: p, outer: s, numbers: map[pyeval.Vars]int{}}
	out, err := l.run(limited, kind, text, s)
	b.give(l)
	if l.loop != nil {
		return "", b.explain(ctx, limited, l.loop, s, text)
	}
	return out, err
}

var errTimeout = errors.New("it takes too long")

// explain makes an error of what ended a process, or kept one from starting.
func (b *bound) explain(ctx, limited context.Context, err error, s pyeval.Site, text string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if limited.Err() != nil && errors.Is(context.Cause(limited), errTimeout) {
		return diag.Userf(s.Pos, "python: it takes longer than %s, and was ended: %s", b.rt.opts.Timeout, firstLine(text))
	}
	var known *diag.Error
	if errors.As(err, &known) {
		return err
	}
	return diag.Userf(s.Pos, "python: %w", err).WithNote("while evaluating %s", firstLine(text))
}

func firstLine(text string) string {
	line, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if len(line) > 100 || rest != "" {
		line = strings.ToValidUTF8(line[:min(len(line), 100)], "") + " ..."
	}
	return line
}

// take leases a process.
func (b *bound) take(ctx context.Context, s pyeval.Site, text string) (*process, error) {
	b.mu.Lock()
	if n := len(b.idle); n > 0 {
		p := b.idle[n-1]
		b.idle = b.idle[:n-1]
		b.mu.Unlock()
		return p, nil
	}
	b.mu.Unlock()
	b.rt.mu.Lock()
	closed := b.rt.closed
	b.rt.mu.Unlock()
	if closed {
		return nil, errors.New("BUG: CPython is used after it was closed")
	}
	reason := fmt.Sprintf("%s: %s", s.Pos, firstLine(text))
	if s.Pos.IsZero() {
		reason = firstLine(text)
	}
	argv, env, err := b.rt.launcher.Python(ctx, reason)
	if err != nil {
		return nil, err
	}
	return start(ctx, argv, env, b.description())
}

// give ends a lease.
func (b *bound) give(l *lease) {
	b.rt.mu.Lock()
	closed := b.rt.closed
	b.rt.mu.Unlock()
	b.mu.Lock()
	for _, v := range l.handles {
		delete(b.active, v)
	}
	keep := l.loop == nil && !closed && len(b.idle) < b.rt.opts.Idle
	if keep {
		b.idle = append(b.idle, l.p)
	}
	b.mu.Unlock()
	if !keep {
		l.p.end()
	}
}

func (b *bound) close() {
	b.mu.Lock()
	idle := b.idle
	b.idle = nil
	b.mu.Unlock()
	for _, p := range idle {
		p.end()
	}
}
