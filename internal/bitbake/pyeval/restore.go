// SPDX-License-Identifier: MIT

package pyeval

import (
	"slices"
	"strings"

	"n3x/internal/bitbake/pyeval/python"
	"n3x/internal/diag"
)

// RestoreLibrary makes a library of blocks that [Library.Define] has accepted before, as [Library.Defs] gives them. A block is
// only read when a function of it is called.
func RestoreLibrary(parent *Library, defs []Def) *Library {
	l := NewLibrary(parent)
	l.defs = slices.Clip(defs)
	for _, d := range defs {
		for line := range strings.Lines(d.Source) {
			if name := defName(line); name != "" {
				l.funcs[name] = &function{name: name, pos: d.Pos, source: d.Source}
			}
		}
	}
	return l
}

// parse reads the source of a restored function.
func (f *function) parse() error {
	stmts, err := python.ParseFile(f.source, python.Pos{Line: f.pos.Line, Col: 1})
	if err != nil {
		at := located(err, diag.Pos{File: f.pos.File, Line: 1}, f.source)
		if u, ok := at.(*Unsupported); ok {
			u.Source = nthLine(f.source, u.Pos.Line-f.pos.Line+1)
		}
		return at
	}
	for _, s := range stmts {
		if def, ok := s.(*python.FunctionDef); ok && def.Name == f.name {
			f.def = def
		}
	}
	if f.def == nil {
		return &Unsupported{Pos: f.pos, Construct: "the definition of " + f.name, Source: nthLine(f.source, 1)}
	}
	return nil
}

// Injected are the names that metadata has added to bb.utils._context so far, with the names of the modules behind them.
func (in *Interp) Injected() map[string]string {
	in.mu.Lock()
	defer in.mu.Unlock()
	all := map[string]string{}
	for name, v := range in.injected {
		if m, ok := v.(*module); ok {
			all[name] = m.name
		}
	}
	return all
}

// Inject adds what [Interp.Injected] gave in another process.
func (in *Interp) Inject(modules map[string]string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for name, full := range modules {
		if in.context[name] == nil && in.injected[name] == nil {
			in.injected[name] = in.moduleCalled(full)
		}
	}
}

// moduleCalled is what an import of a module that exists gives.
func (in *Interp) moduleCalled(full string) *module {
	parts := strings.Split(full, ".")
	m, ok := in.modules[parts[0]].(*module)
	for _, p := range parts[1:] {
		if !ok {
			break
		}
		m, ok = m.attrs[p].(*module)
	}
	if !ok {
		return ns(full, nil, nil)
	}
	return m
}
