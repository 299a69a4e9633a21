// SPDX-License-Identifier: MIT

package pyeval

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.starlark.net/starlark"

	"n3x/internal/bitbake/pyeval/python"
	"n3x/internal/diag"
)

// sourceModule is a Python module of a layer, run here from its own source. Its statements are carried out once for an
// [Interp], when the module is first looked into; then everything it holds is frozen, so that all evaluations share it, and
// code that would change it is refused. Functions are translated when they are first used.
//
// A statement that is refused takes only the names with it that it binds, if it is an import, a definition or a plain
// assignment; any other kind takes the whole module.
type sourceModule struct {
	opaque
	name   string
	file   string
	native *module // what this package has of the module, for names whose source is refused; may be nil

	text    string // its source
	names   map[string]bool
	ready   atomic.Bool
	err     error // why nothing of the module can be used
	vars    map[string]starlark.Value
	lazy    map[string]*lazyDef
	refused map[string]error
	frozen  bool
	looked  []Observation // what loading it has looked at, the module's own file among it
}

// lazyDef is a function of the module's own level that has not been needed yet.
type lazyDef struct {
	once sync.Once
	def  *python.FunctionDef
	fn   starlark.Value
	err  error
}

func (m *sourceModule) String() string        { return "<module " + m.name + ">" }
func (*sourceModule) Type() string            { return "module" }
func (m *sourceModule) Hash() (uint32, error) { return identity(m.file) }

// sources are the modules that an [Interp] has found in layers.
type sources struct {
	mu    sync.Mutex
	known map[string]*sourceModule // by folders and name; nil = there is none
	load  sync.Mutex               // held while a module is loaded, and those that it imports
}

// preferNative are the functions that need CPython's introspection where OpenEmbedded has them; what they give is fixed.
var preferNative = []string{"oe.data.typed_value"}

// libraryDirs are the folders in which modules of layers are looked for.
func (r *run) libraryDirs() ([]string, error) {
	var dirs []string
	for _, lib := range r.site.PyLibs {
		dirs = append(dirs, lib.Dir)
	}
	bbpath, _, err := r.d.vars.Var("BBPATH", true)
	if err != nil {
		return nil, fromVars(err)
	}
	for _, dir := range strings.Split(bbpath, ":") {
		if strings.HasPrefix(dir, "/") && !slices.Contains(dirs, pathNorm(dir)+"/lib") {
			dirs = append(dirs, pathNorm(dir)+"/lib")
		}
	}
	return dirs, nil
}

// findSource finds the module of a layer, or gives nil.
func (r *run) findSource(name string) (*sourceModule, error) {
	if r.importing != nil {
		return r.sourceIn(r.importing, name)
	}
	dirs, err := r.libraryDirs()
	if err != nil {
		return nil, err
	}
	return r.sourceIn(dirs, name)
}

func (r *run) sourceIn(dirs []string, name string) (*sourceModule, error) {
	s := &r.in.sources
	key := strings.Join(dirs, ":") + "\x00" + name
	file := strings.ReplaceAll(name, ".", "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.known[key]; ok {
		// Whoever uses it depends on what was looked for before, too.
		for _, dir := range dirs {
			for _, ending := range []string{"/__init__.py", ".py"} {
				full := strings.TrimSuffix(dir, "/") + "/" + file + ending
				r.site.Observe(LookedAtType, full)
				if m != nil && full == m.file {
					return m, nil
				}
			}
		}
		return m, nil
	}
	var m *sourceModule
search:
	for _, dir := range dirs {
		for _, ending := range []string{"/__init__.py", ".py"} {
			full := strings.TrimSuffix(dir, "/") + "/" + file + ending
			if info, err := r.types().Stat(full); err == nil && info.Mode().IsRegular() {
				m = &sourceModule{name: name, file: full}
				m.native, _ = r.in.nativeModule(name).(*module)
				break search
			}
		}
	}
	if s.known == nil {
		s.known = map[string]*sourceModule{}
	}
	s.known[key] = m
	return m, nil
}

// nativeModule is this package's own module of a dotted name, or nil.
func (in *Interp) nativeModule(name string) starlark.Value {
	parts := strings.Split(name, ".")
	v := in.modules[parts[0]]
	for _, part := range parts[1:] {
		m, ok := v.(*module)
		if !ok {
			return nil
		}
		v = m.attrs[part]
	}
	return v
}

// loaded makes sure that the module's statements have run.
func (r *run) loaded(m *sourceModule) error {
	if !m.ready.Load() {
		if r.importing == nil {
			r.in.sources.load.Lock()
			defer r.in.sources.load.Unlock()
		}
		if !m.ready.Load() && m.vars == nil { // a module that imports itself in a circle is used as far as it is
			if err := r.loadSource(m); err != nil {
				return err
			}
		}
	}
	if r.importing == nil && !r.told[m] {
		if r.told == nil {
			r.told = map[*sourceModule]bool{}
		}
		r.told[m] = true
		for _, o := range m.looked {
			r.site.Observe(o.Kind, o.Name)
		}
	}
	return m.err
}

// watcher is the datastore of code that a module runs when it is loaded: there are no variables; what is looked at is noted.
type watcher struct {
	Vars
	module *sourceModule
}

// Observe implements [Observer].
func (w watcher) Observe(o Observation) { w.module.looked = append(w.module.looked, o) }

// Var implements [Vars].
func (watcher) Var(string, bool) (string, bool, error) { return "", false, nil }

// loadSource carries out the module's statements.
func (r *run) loadSource(m *sourceModule) error {
	m.vars = map[string]starlark.Value{"__file__": text(m.file), "__name__": text(m.name)}
	m.lazy, m.refused = map[string]*lazyDef{}, map[string]error{}
	dirs := r.importing
	if dirs == nil {
		var err error
		if dirs, err = r.libraryDirs(); err != nil {
			return err
		}
	}
	inner := newRun(context.WithoutCancel(r.ctx), r.in, Site{Vars: watcher{module: m}, PyLibs: r.site.PyLibs, Pos: diag.Pos{File: m.file, Line: 1}}, "")
	defer inner.close()
	inner.importing = dirs
	source, err := inner.files().ReadFile(m.file)
	if err != nil {
		m.err = osException(err, m.file)
	} else {
		m.err = inner.runSource(m, string(source))
	}
	m.Freeze()
	m.ready.Store(true)
	return nil
}

func (r *run) runSource(m *sourceModule, source string) error {
	stmts, err := python.ParseFile(source, python.Pos{Line: 1, Col: 1})
	if err != nil {
		return located(err, diag.Pos{File: m.file, Line: 1}, source)
	}
	m.text, m.names = source, survey(stmts).names
	m.names["__file__"], m.names["__name__"] = true, true
	bindings := map[string]int{}
	for _, s := range stmts {
		for name := range survey([]python.Stmt{s}).names {
			bindings[name]++
		}
	}
	for _, s := range split(stmts) {
		if def, ok := s.(*python.FunctionDef); ok && bindings[def.Name] == 1 && len(def.Decorators) == 0 {
			m.lazy[def.Name] = &lazyDef{def: def}
			continue
		}
		if err := r.runTop(m, s); err != nil {
			return err
		}
	}
	return nil
}

// split makes each name of an import a statement of its own.
func split(stmts []python.Stmt) []python.Stmt {
	var out []python.Stmt
	for _, s := range stmts {
		switch s := s.(type) {
		case *python.Import:
			for _, a := range s.Names {
				out = append(out, &python.Import{Pos: s.Pos, Names: []python.Alias{a}})
			}
		case *python.ImportFrom:
			for _, a := range s.Names {
				out = append(out, &python.ImportFrom{Pos: s.Pos, Module: s.Module, Names: []python.Alias{a}})
			}
		default:
			out = append(out, s)
		}
	}
	return out
}

// runTop carries out one statement.
func (r *run) runTop(m *sourceModule, s python.Stmt) error {
	p, err := compileTop(m.file, m.text, s, m.names)
	if err == nil {
		_, err = r.invokeIn(m, p, bodyName)
	}
	if err == nil && r.pending != nil {
		err, r.pending = r.pending, nil
	}
	if err == nil {
		return nil
	}
	err = located(r.finish(err, func(file string, line int) diag.Pos { return diag.Pos{File: file, Line: line} }), diag.Pos{File: m.file, Line: 1}, m.text)
	if !confined(s) {
		return err
	}
	for name := range survey([]python.Stmt{s}).names {
		m.refused[name] = err
		delete(m.vars, name)
	}
	return nil
}

// confined reports whether a statement does no more than bind names.
func confined(s python.Stmt) bool {
	switch s := s.(type) {
	case *python.Import, *python.ImportFrom, *python.ClassDef, *python.FunctionDef:
		return true
	case *python.Assign:
		return !slices.ContainsFunc(s.Targets, func(t python.Expr) bool { _, ok := t.(*python.Name); return !ok })
	case *python.Try:
		for _, block := range [][]python.Stmt{s.Body, s.Else, s.Finally} {
			if slices.ContainsFunc(block, func(s python.Stmt) bool { return !confined(s) }) {
				return false
			}
		}
		return true
	}
	return false
}

// invokeIn runs a program's function with the module as its frame.
func (r *run) invokeIn(m *sourceModule, p *program, name string) (starlark.Value, error) {
	fn, err := r.loadIn(m, p, name)
	if err != nil {
		return nil, err
	}
	return starlark.Call(r.thread, fn, nil, nil)
}

func (r *run) loadIn(m *sourceModule, p *program, name string) (starlark.Value, error) {
	predeclared := make(starlark.StringDict, len(r.in.helpers)+1)
	for k, v := range r.in.helpers {
		predeclared[k] = v
	}
	predeclared[moduleFrame] = m
	globals, err := p.prog.Init(r.thread, predeclared)
	if err != nil {
		return nil, err
	}
	return globals[name], nil
}

// makeDef translates a function of the module's level when it is first used.
func (r *run) makeDef(m *sourceModule, l *lazyDef) (starlark.Value, error) {
	l.once.Do(func() {
		var p *program
		if p, l.err = compileModuleDef(m.file, m.text, l.def, m.names); l.err != nil {
			l.err = located(l.err, diag.Pos{File: m.file, Line: 1}, m.text)
			return
		}
		if l.fn, l.err = r.loadIn(m, p, l.def.Name); l.err == nil {
			l.fn.Freeze()
		}
	})
	return l.fn, l.err
}

// lookup finds a name that the module binds; nil if there is none (yet).
func (r *run) lookup(m *sourceModule, name string) (starlark.Value, error) {
	if v := m.vars[name]; v != nil {
		return v, nil
	}
	if l := m.lazy[name]; l != nil {
		return r.makeDef(m, l)
	}
	return nil, m.refused[name]
}

// moduleName is a name as the module's own functions see it.
func (r *run) moduleName(m *sourceModule, name string) (starlark.Value, error) {
	v, err := r.lookup(m, name)
	if v != nil || err != nil {
		return v, err
	}
	return r.builtin(name)
}

// builtin is a name that all of Python sees: its own, and the two modules that BitBake puts beside them.
func (r *run) builtin(name string) (starlark.Value, error) {
	if v := r.in.builtins[name]; v != nil {
		return v, nil
	}
	if name == "bb" || name == "os" {
		return r.in.modules[name], nil
	}
	if refusedBuiltins[name] {
		return nil, unsupported("the function %s", name)
	}
	return nil, raise(nameError, "name '%s' is not defined", name)
}

// Freeze makes what the module holds unchangeable.
func (m *sourceModule) Freeze() {
	if m.frozen {
		return
	}
	m.frozen = true
	for _, v := range m.vars {
		v.Freeze()
	}
}

// set binds a name of the module's level.
func (m *sourceModule) set(name string, v starlark.Value) error {
	if m.frozen {
		return unsupported("changing the variable %s of the module %s", name, m.name)
	}
	m.vars[name] = v
	delete(m.refused, name)
	return nil
}

// attr is m.name as others see it: what the module binds, a module in its folder, or what this package has itself.
func (m *sourceModule) attr(r *run, name string) (starlark.Value, error) {
	full := m.name + "." + name
	if fn := r.in.opts.Funcs[full]; fn != nil {
		return builtin(name, func(r *run, a args) (starlark.Value, error) { return r.callFunc(fn, a) }), nil
	}
	if m.native != nil && slices.Contains(preferNative, full) {
		return m.native.attrs[name], nil
	}
	v, err := r.ownAttr(m, name)
	if v == nil && m.native != nil && m.native.attrs[name] != nil && asException(err) == nil {
		if _, isModule := m.native.attrs[name].(*module); !isModule {
			return m.native.attrs[name], nil
		}
	}
	if v != nil || err != nil {
		return v, err
	}
	if strings.HasPrefix(name, "__") {
		return nil, unsupported("the attribute %s of a module", name)
	}
	return nil, raise(attributeError, "module '%s' has no attribute '%s'", m.name, name)
}

// ownAttr is nil, nil when neither the module nor its folder has the name.
func (r *run) ownAttr(m *sourceModule, name string) (starlark.Value, error) {
	if err := r.loaded(m); err != nil {
		return nil, err
	}
	v, err := r.lookup(m, name)
	if v != nil || err != nil || !strings.HasSuffix(m.file, "/__init__.py") {
		return v, err
	}
	sub, err := r.findSource(m.name + "." + name)
	if sub == nil || err != nil {
		return nil, err
	}
	return sub, nil
}
