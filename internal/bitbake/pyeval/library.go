// SPDX-License-Identifier: MIT

package pyeval

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"n3x/internal/bitbake/pyeval/python"
	"n3x/internal/diag"
)

// Library holds the functions that `def` blocks of classes and recipes define. A function that
// cannot be translated is refused when it is called, not when it is defined. Defining and using
// must not overlap.
type Library struct {
	id     int64
	parent *Library
	funcs  map[string]*function
	defs   []Def
}

// Def is the text of one `def` block.
type Def struct {
	Pos    diag.Pos // of its first line
	Source string
}

var libraries atomic.Int64

// ID tells libraries of this process apart.
func (l *Library) ID() int64 { return l.id }

// Parent is the library whose functions this one hides, or nil.
func (l *Library) Parent() *Library { return l.parent }

// Defs are the blocks that were defined here, in order, without those of the parent.
func (l *Library) Defs() []Def { return slices.Clip(l.defs) }

// function is one def; it is translated when it is first called.
type function struct {
	name   string
	pos    diag.Pos            // of the block's first line
	source string              // of the block
	def    *python.FunctionDef // nil when the source has not been read yet
	once   sync.Once
	prog   *program
	err    error
}

// NewLibrary makes an empty library whose functions hide those of parent (which may be nil).
func NewLibrary(parent *Library) *Library {
	return &Library{id: libraries.Add(1), parent: parent, funcs: map[string]*function{}}
}

// Define adds the functions of one `def` block, e.g. "def f(d):\n    return 1\n"; a later
// definition replaces an earlier one, as in BitBake. It errs only for text that is not Python.
func (l *Library) Define(pos diag.Pos, source string) error {
	stmts, err := python.ParseFile(source, python.Pos{Line: pos.Line, Col: 1})
	if err != nil {
		return l.defineRefused(pos, source, err)
	}
	for _, s := range stmts {
		def, ok := s.(*python.FunctionDef)
		if !ok {
			return &SyntaxError{Pos: diag.Pos{File: pos.File, Line: s.Start().Line}, Text: "a statement outside of the function", Source: nthLine(source, s.Start().Line-pos.Line+1)}
		}
		l.funcs[def.Name] = &function{name: def.Name, pos: pos, source: source, def: def}
	}
	l.defs = append(l.defs, Def{pos, source})
	return nil
}

// defineRefused keeps a def whose grammar is refused, so that only a call of it is an error.
func (l *Library) defineRefused(pos diag.Pos, source string, err error) error {
	at := located(err, diag.Pos{File: pos.File, Line: 1}, source)
	if s, ok := at.(*SyntaxError); ok {
		s.Source = nthLine(source, s.Pos.Line-pos.Line+1)
		return s
	}
	if u, ok := at.(*Unsupported); ok {
		u.Source = nthLine(source, u.Pos.Line-pos.Line+1)
	}
	name := defName(source)
	if name == "" {
		return at
	}
	f := &function{name: name, pos: pos, source: source, err: at}
	f.once.Do(func() {})
	l.funcs[name] = f
	l.defs = append(l.defs, Def{pos, source})
	return nil
}

// defName finds the name in "def name(".
func defName(source string) string {
	for line := range strings.Lines(source) {
		if rest, ok := strings.CutPrefix(line, "def "); ok {
			name, _, _ := strings.Cut(rest, "(")
			return strings.TrimSpace(name)
		}
	}
	return ""
}

// Has reports whether the library, or one of its parents, defines the function.
func (l *Library) Has(name string) bool { return l.find(name) != nil }

func (l *Library) find(name string) *function {
	for ; l != nil; l = l.parent {
		if f := l.funcs[name]; f != nil {
			return f
		}
	}
	return nil
}

func (f *function) compiled() (*program, error) {
	f.once.Do(func() {
		if f.def == nil {
			f.err = f.parse()
		}
		if f.err == nil {
			f.prog, f.err = compileDef(f.pos.File, f.source, f.pos.Line, f.def)
		}
	})
	return f.prog, f.err
}
