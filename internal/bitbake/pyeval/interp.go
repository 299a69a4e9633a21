// SPDX-License-Identifier: MIT

package pyeval

import (
	"context"
	"errors"
	"strings"
	"sync"

	"go.starlark.net/starlark"

	"n3x/internal/bitbake/pyeval/python"
	"n3x/internal/diag"
)

// Interp evaluates Python text. It may be used from several goroutines at once (each with its
// own [Vars]) and keeps the programs it compiled.
type Interp struct {
	opts     Options
	helpers  starlark.StringDict
	methods  methods
	builtins map[string]starlark.Value // Python's own names
	context  map[string]starlark.Value // what BitBake adds: os, bb, time, ...
	modules  map[string]starlark.Value // what can be imported

	mu       sync.Mutex
	cache    map[string]compiled
	injected map[string]starlark.Value // by bb.utils._context[name] = module
	// persisted are the tables of bb.persist_data by file and name.
	persisted map[string]*persistTable
	sources   sources
	filters   map[string]starlark.Value // by @bb.filter.filter_proc()
	filtered  map[string]string         // results of filters
}

// compiled is a cached translation, or why there is none.
type compiled struct {
	prog *program
	err  error
}

const (
	maxCached   = 20_000 // programs; then the cache starts anew
	maxCachable = 64 << 10
	maxSource   = 4 << 20
	maxSteps    = 20_000_000
)

// New makes an interpreter for the world that opts describes.
func New(opts Options) *Interp {
	if opts.Files == nil {
		opts.Files = hostFiles{}
	}
	if opts.MaxSteps == 0 {
		opts.MaxSteps = maxSteps
	}
	if b, ok := opts.Fallback.(Binder); ok {
		opts.Fallback = b.Bind(opts)
	}
	in := &Interp{opts: opts, cache: map[string]compiled{}, injected: map[string]starlark.Value{}, persisted: map[string]*persistTable{}, helpers: makeHelpers(), methods: makeMethods(), builtins: makeBuiltins()}
	in.modules = makeModules(opts)
	in.context = map[string]starlark.Value{}
	for _, name := range []string{"os", "bb", "time", "oe", "sys"} {
		in.context[name] = in.modules[name]
	}
	return in
}

// Eval gives str() of the expression in ${@expr}. Nested ${VAR} must already be expanded.
func (in *Interp) Eval(ctx context.Context, expr string, s Site) (string, error) {
	p, err := in.compiled("e"+expr, func() (*program, error) { return compileExpr(expr) })
	if err != nil {
		err = located(err, s.Pos, expr)
	} else if err = in.refusedEarly(p, s, expr); err == nil {
		var out string
		out, err = in.eval(ctx, p, expr, s)
		if !in.hasFallback(err) {
			return out, err
		}
	}
	if in.hasFallback(err) {
		return in.opts.Fallback.Eval(ctx, expr, in.asking(s))
	}
	return "", err
}

func (in *Interp) eval(ctx context.Context, p *program, expr string, s Site) (string, error) {
	r := newRun(ctx, in, s, expr)
	defer r.close()
	v, err := r.invoke(p, evalName, nil, r.d)
	out := ""
	if err == nil {
		out, err = str(v)
	}
	return out, r.outcome(err)
}

// Exec runs the statements of an anonymous block, a python task or an event handler.
func (in *Interp) Exec(ctx context.Context, body string, s Site) error {
	if blank(body) {
		return nil
	}
	params := []string{"d"}
	if s.Event != nil {
		params = []string{"e", "d"}
	}
	p, err := in.compiled(strings.Join(params, "")+":"+body, func() (*program, error) { return compileBody(body, params...) })
	if err != nil {
		err = located(err, s.Pos, body)
	} else if err = in.refusedEarly(p, s, body); err == nil {
		err = in.exec(ctx, p, body, s)
	}
	if in.hasFallback(err) {
		return in.opts.Fallback.Exec(ctx, body, in.asking(s))
	}
	return err
}

func (in *Interp) exec(ctx context.Context, p *program, body string, s Site) error {
	r := newRun(ctx, in, s, body)
	defer r.close()
	args := []starlark.Value{r.d}
	if s.Event != nil {
		args = []starlark.Value{r.event(s.Event), r.d}
	}
	_, err := r.invoke(p, bodyName, nil, args...)
	return r.outcome(err)
}

// blank reports a body of nothing but blank lines and comments.
func blank(body string) bool {
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

// compiled translates a text once.
func (in *Interp) compiled(key string, compile func() (*program, error)) (*program, error) {
	if len(key) > maxSource {
		return nil, unsupported("a text of more than %d MiB", maxSource>>20)
	}
	in.mu.Lock()
	c, ok := in.cache[key]
	in.mu.Unlock()
	if ok {
		return c.prog, c.err
	}
	c.prog, c.err = compile()
	if len(key) <= maxCachable {
		in.mu.Lock()
		if len(in.cache) >= maxCached {
			clear(in.cache)
		}
		in.cache[key] = c
		in.mu.Unlock()
	}
	return c.prog, c.err
}

// refusedEarly goes to the fallback before anything has happened, if a construct of the text itself needs it.
func (in *Interp) refusedEarly(p *program, s Site, source string) error {
	if in.opts.Fallback == nil || len(p.refusals) == 0 {
		return nil
	}
	u := *p.refusals[0]
	u.Pos = offset(s.Pos, u.Pos.Line)
	return &u
}

// asking is the site of a question to the fallback.
func (in *Interp) asking(s Site) Site {
	s.Interp = in
	return s
}

func (in *Interp) hasFallback(err error) bool {
	var u *Unsupported
	return in.opts.Fallback != nil && errors.As(err, &u)
}

// snapshot prepares to take back what a text does before it meets an unsupported construct.
func (in *Interp) snapshot(s Site) func() {
	if in.opts.Fallback == nil {
		return nil
	}
	if sn, ok := s.Vars.(Snapshotter); ok {
		return sn.Snapshot()
	}
	return nil
}

// located gives a syntax error or a refusal of the translator its place.
func located(err error, at diag.Pos, source string) error {
	var p *python.Error
	if errors.As(err, &p) {
		pos := offset(at, p.Pos.Line)
		line := nthLine(source, p.Pos.Line)
		if p.Unsupported {
			return &Unsupported{Pos: pos, Construct: p.Text, Source: line}
		}
		return &SyntaxError{Pos: pos, Text: p.Text, Source: line}
	}
	var u *Unsupported
	if errors.As(err, &u) && u.Pos.IsZero() {
		return &Unsupported{Pos: at, Construct: u.Construct, Source: nthLine(source, 1)}
	}
	return err
}

// offset is line n of a text that begins at pos.
func offset(pos diag.Pos, n int) diag.Pos {
	if n > 1 {
		pos.Line, pos.Col = pos.Line+n-1, 0
	}
	return pos
}

func nthLine(source string, n int) string {
	lines := strings.Split(source, "\n")
	if n < 1 || n > len(lines) {
		return ""
	}
	return clip(strings.TrimSpace(lines[n-1]))
}

func isCancel(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
