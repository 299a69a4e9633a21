// SPDX-License-Identifier: MIT

package pyeval

import (
	"context"
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"n3x/internal/diag"
)

// run is one evaluation.
type run struct {
	ctx     context.Context
	in      *Interp
	site    Site
	source  string
	thread  *starlark.Thread
	d       *data
	funcs   map[*function]starlark.Value // of the library, initialised for this run
	pending error                        // of an iteration that the machine believes finished
	wrote   bool                         // variables were changed
	restore func()                       // goes back to before the first change; nil = there is no way
	held    []held                       // objects that are shared with the datastore
	steps   uint64
	nested  int      // generators that are running, one inside of another
	closers []func() // release what the run has started
	keeps   bool     // a persistent table is used
	uuids   int      // number of random UUIDs

	importing []string               // the folders of modules while one is loaded; nil = none is
	told      map[*sourceModule]bool // the modules whose files the datastore has been told of

	exported map[string]string // os.environ[name] = value
}

const runKey = "run"

// running is the evaluation that a thread works for.
func running(th *starlark.Thread) *run { return th.Local(runKey).(*run) }

func newRun(ctx context.Context, in *Interp, s Site, source string) *run {
	r := &run{ctx: ctx, in: in, site: s, source: source, funcs: map[*function]starlark.Value{}}
	r.d = &data{vars: s.Vars}
	r.thread = r.newThread()
	main := r.thread
	stop := context.AfterFunc(ctx, func() { main.Cancel("cancelled") })
	r.closers = append(r.closers, func() { stop() })
	return r
}

// newThread makes a Starlark machine with the run's limits.
func (r *run) newThread() *starlark.Thread {
	th := &starlark.Thread{Name: r.site.Name}
	th.SetLocal(runKey, r)
	th.SetMaxExecutionSteps(r.in.opts.MaxSteps)
	return th
}

func (r *run) close() {
	for _, release := range r.closers {
		release()
	}
}

// tick counts work that the Starlark machine does not see.
func (r *run) tick(n uint64) error {
	r.steps += n
	if r.steps&1023 < n && r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if r.steps > r.in.opts.MaxSteps {
		return unsupported("a computation of more than %d steps", r.in.opts.MaxSteps)
	}
	return nil
}

// pay counts the size of a large value as work.
func (r *run) pay(v starlark.Value) error {
	switch v := v.(type) {
	case starlark.String:
		if len(v) > 1024 {
			return r.tick(uint64(len(v)) / 64)
		}
	case *starlark.List:
		if v.Len() > 1024 {
			return r.tick(uint64(v.Len()) / 8)
		}
	}
	return nil
}

// invoke initialises a program and calls the function that it defines.
func (r *run) invoke(p *program, name string, kw []starlark.Tuple, pos ...starlark.Value) (starlark.Value, error) {
	fn, err := r.load(p, name)
	if err != nil {
		return nil, err
	}
	return starlark.Call(r.thread, fn, pos, kw)
}

// load makes the function that a program defines; default values are evaluated now.
func (r *run) load(p *program, name string) (starlark.Value, error) {
	globals, err := p.prog.Init(r.thread, r.in.helpers)
	if err != nil {
		return nil, err
	}
	fn := globals[name]
	if fn == nil {
		return nil, fmt.Errorf("BUG: the program does not define %q", name)
	}
	globals.Freeze()
	return fn, nil
}

// write notes that a variable is about to change.
func (r *run) write() {
	if !r.wrote {
		r.wrote, r.restore = true, r.in.snapshot(r.site)
	}
}

// outcome is the final error of the run; changes made before a refusal are taken back for the fallback.
func (r *run) outcome(err error) error {
	if err == nil && r.pending != nil {
		err = r.pending
	}
	if shared := r.settle(); err == nil {
		err = shared
	}
	err = r.finish(err, func(file string, line int) diag.Pos {
		if file == "" {
			return offset(r.site.Pos, line)
		}
		return diag.Pos{File: file, Line: line}
	})
	var u *Unsupported
	if !r.wrote || !errors.As(err, &u) || r.in.opts.Fallback == nil {
		return err
	}
	if r.restore == nil {
		return diag.Userf(u.Pos, "python: %s is not supported here, and the variables changed before cannot be restored", u.Construct)
	}
	r.restore()
	return err
}

// sourceLine is the text of the line at pos, if it belongs to the evaluated text itself.
func (r *run) sourceLine(pos diag.Pos) string {
	if pos.File != r.site.Pos.File {
		return ""
	}
	return nthLine(r.source, pos.Line-r.site.Pos.Line+1)
}

// call calls any callable value.
func (r *run) call(fn starlark.Value, pos ...starlark.Value) (starlark.Value, error) {
	if _, ok := fn.(starlark.Callable); !ok {
		return nil, raise(typeError, "'%s' object is not callable", typeName(fn))
	}
	return starlark.Call(r.thread, fn, pos, nil)
}

// name resolves a name of the text of ${@...} itself: a variable of the datastore unless Python
// or BitBake's context has such a name.
func (r *run) name(name string) (starlark.Value, error) {
	if v, ok := r.context(name); ok {
		return v, nil
	}
	if r.in.builtins[name] == nil {
		if err := r.settle(); err != nil {
			return nil, err
		}
		v, err := r.readVar(r.d, name, "", ReadMode{Expand: true})
		if err != nil || v != starlark.None {
			return v, err
		}
	}
	return r.global(name)
}

// compName resolves a name inside of a comprehension or lambda of such a text: whether that sees
// the datastore's variables depends on CPython's version.
func (r *run) compName(name string) (starlark.Value, error) {
	v, err := r.global(name)
	if x := asException(err); x != nil && x.class == nameError {
		if _, set, err := r.d.vars.Var(name, false); err == nil && set {
			return nil, unsupported("the variable %s as a bare name inside of a comprehension or lambda", name)
		}
	}
	return v, err
}

// global resolves a name in BitBake's context (functions of classes and the modules there) or
// among Python's builtins.
func (r *run) global(name string) (starlark.Value, error) {
	if v, ok := r.context(name); ok {
		return v, nil
	}
	if v := r.in.builtins[name]; v != nil {
		return v, nil
	}
	if refusedBuiltins[name] {
		return nil, unsupported("the function %s", name)
	}
	return nil, raise(nameError, "name '%s' is not defined", name)
}

// context looks among the functions of classes and the modules that BitBake provides.
func (r *run) context(name string) (starlark.Value, bool) {
	if fn := r.in.opts.Funcs[name]; fn != nil {
		return builtin(name, func(r *run, a args) (starlark.Value, error) { return r.callFunc(fn, a) }), true
	}
	if f := r.site.Lib.find(name); f != nil {
		return builtin(name, func(r *run, a args) (starlark.Value, error) { return r.callDef(f, a) }), true
	}
	for _, lib := range r.site.PyLibs {
		if lib.Namespace == name {
			if m, err := r.findSource(name); m != nil && err == nil {
				return m, true
			}
		}
	}
	if v := r.in.context[name]; v != nil {
		return v, true
	}
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	v := r.in.injected[name]
	return v, v != nil
}

// callDef calls a function of a class.
func (r *run) callDef(f *function, a args) (starlark.Value, error) {
	fn := r.funcs[f]
	if fn == nil {
		p, err := f.compiled()
		if err != nil {
			return nil, err
		}
		if fn, err = r.load(p, f.name); err != nil {
			return nil, err
		}
		r.funcs[f] = fn
	}
	return starlark.Call(r.thread, fn, a.pos, a.kw)
}
