package cpython

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// run carries out one evaluation on the leased process and answers the questions that it asks meanwhile.
func (l *lease) run(ctx context.Context, kind, text string, s pyeval.Site) (string, error) {
	if l.loop != nil {
		return "", l.loop
	}
	defer context.AfterFunc(ctx, l.p.kill)()
	handle := l.handle(s.Vars)
	paths, err := l.tellPaths(s)
	if err == nil {
		err = l.tellInjected(s)
	}
	var library int64
	if err == nil {
		library, err = l.tellLibrary(s.Lib)
	}
	if err == nil {
		err = l.p.send(kind, text, s.Pos.File, max(s.Pos.Line, 1), s.Name, library, handle, paths, event(s.Event))
	}
	if err != nil {
		return "", l.broken(err)
	}
	for {
		m, err := l.p.receive()
		if err != nil {
			return "", l.broken(err)
		}
		switch kind, _ := field[string](m, 0); kind {
		case "done":
			out, _ := field[string](m, 1)
			return out, l.finish(m, 2)
		case "fail":
			err := l.failure(m, s)
			if broken := l.finish(m, 7); broken != nil {
				err = broken
			}
			return "", err
		case "log":
			l.log(m)
		case "inject":
			l.inject(m, s)
		case "call":
			if err := l.answer(ctx, m, s); err != nil {
				return "", l.broken(err)
			}
		default:
			return "", l.broken(errFrame)
		}
	}
}

// broken notes that the process is of no use any more.
func (l *lease) broken(err error) error {
	if l.loop == nil {
		l.loop = l.p.death(err)
	}
	return l.loop
}

// handle is the number by which Python knows a datastore.
func (l *lease) handle(v pyeval.Vars) int {
	if n, ok := l.numbers[v]; ok {
		return n
	}
	n := len(l.handles)
	l.handles = append(l.handles, v)
	l.numbers[v] = n
	l.b.mu.Lock()
	l.b.active[v] = l
	l.b.mu.Unlock()
	return n
}

func event(fields map[string]string) any {
	if fields == nil {
		return nil
	}
	t := table{}
	for k, v := range fields {
		t = append(t, [2]any{k, v})
	}
	return t
}

// tellPaths gives the number of the folders in which this evaluation's modules are: those of addpylib, and lib below BBPATH.
func (l *lease) tellPaths(s pyeval.Site) (int, error) {
	var key strings.Builder
	dirs, spaces := []string{}, []any{}
	for _, lib := range s.PyLibs {
		dirs = append(dirs, lib.Dir)
		spaces = append(spaces, tuple{lib.Dir, lib.Namespace})
		fmt.Fprintf(&key, "%s\x00%s\x00", lib.Dir, lib.Namespace)
	}
	if bbpath, _, err := s.Vars.Var("BBPATH", true); err == nil { // an error of BBPATH is its reader's
		for dir := range strings.SplitSeq(bbpath, ":") {
			if lib := path.Clean(dir) + "/lib"; path.IsAbs(lib) && !slices.Contains(dirs, lib) {
				dirs = append(dirs, lib)
				fmt.Fprintf(&key, "%s\x00", lib)
			}
		}
	}
	if n, ok := l.p.paths[key.String()]; ok {
		return n, nil
	}
	n := len(l.p.paths)
	l.p.paths[key.String()] = n
	return n, l.p.send("paths", n, dirs, spaces)
}

// tellLibrary makes the functions of classes and recipes known to the process.
func (l *lease) tellLibrary(lib *pyeval.Library) (int64, error) {
	if lib == nil {
		return 0, nil
	}
	defs := lib.Defs()
	state := libraryState{lib.ID(), len(defs)}
	number := state.id<<16 | int64(state.count&0xffff)
	if l.p.libraries[state] {
		return number, nil
	}
	parent, err := l.tellLibrary(lib.Parent())
	if err != nil {
		return 0, err
	}
	numbers := []any{}
	for _, d := range defs {
		one := definition{d.Pos.File, d.Pos.Line, d.Source}
		n, known := l.p.definitions[one]
		if !known {
			n = len(l.p.definitions)
			l.p.definitions[one] = n
			if err := l.p.send("def", n, one.file, one.line, one.source); err != nil {
				return 0, err
			}
		}
		numbers = append(numbers, n)
	}
	l.p.libraries[state] = true
	return number, l.p.send("lib", number, parent, numbers)
}

// tellInjected passes on the modules that other evaluations have put into bb.utils._context, here or in Starlark.
func (l *lease) tellInjected(s pyeval.Site) error {
	l.b.mu.Lock()
	all := maps.Clone(l.b.injected)
	l.b.mu.Unlock()
	if s.Interp != nil {
		maps.Copy(all, s.Interp.Injected())
	}
	for _, name := range sortedNames(all) {
		if _, known := l.p.injected[name]; known {
			continue
		}
		l.p.injected[name] = all[name]
		if err := l.p.send("inject", name, all[name]); err != nil {
			return err
		}
	}
	return nil
}

func (l *lease) inject(m []any, s pyeval.Site) {
	name, _ := field[string](m, 1)
	module, _ := field[string](m, 2)
	l.p.injected[name] = module
	if s.Interp != nil {
		s.Interp.Inject(map[string]string{name: module})
		return
	}
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.injected[name] = module
}

func (l *lease) log(m []any) {
	level, _ := field[string](m, 1)
	text, _ := field[string](m, 2)
	l.outer.Say(l.b.world.Log, level, text)
}

// finish passes on what the outermost evaluation has looked at; items i and i+1 of the message say what.
func (l *lease) finish(m []any, i int) error {
	seen, _ := field[[]any](m, i)
	for _, one := range seen {
		pair, _ := one.([]any)
		kind, ok := field[int64](pair, 0)
		name, named := field[string](pair, 1)
		if !ok || !named {
			return l.broken(errFrame)
		}
		l.outer.Observe(pyeval.Looked(kind), name)
	}
	if files, ok := field[[]any](m, i+1); ok {
		l.p.modules = nil
		for _, f := range files {
			if file, ok := f.(string); ok {
				l.p.modules = append(l.p.modules, file)
			}
		}
	}
	for _, file := range l.p.modules {
		l.outer.Observe(pyeval.LookedAtFile, file)
	}
	return nil
}

// failure is the error that a Python exception becomes.
func (l *lease) failure(m []any, s pyeval.Site) error {
	kind, _ := field[string](m, 1)
	class, _ := field[string](m, 2)
	text, _ := field[string](m, 3)
	file, _ := field[string](m, 4)
	line, _ := field[int64](m, 5)
	token, _ := field[int64](m, 6)
	pos := diag.Pos{File: file, Line: int(line)}
	switch {
	case strings.HasPrefix(file, "Var <") || file == "":
		pos = s.Pos
	case pos == diag.Pos{File: s.Pos.File, Line: s.Pos.Line}:
		pos = s.Pos
	}
	var cause error
	if token >= 0 && token < int64(len(l.failures)) {
		cause = l.failures[token]
	}
	var skip *pyeval.SkipRecipe
	var fatal *pyeval.Fatal
	switch kind {
	case "skip":
		if errors.As(cause, &skip) {
			return skip
		}
		return &pyeval.SkipRecipe{Pos: pos, Reason: text}
	case "fatal":
		if errors.As(cause, &fatal) {
			return fatal
		}
		return &pyeval.Fatal{Pos: pos, Text: text}
	case "syntax":
		return &pyeval.SyntaxError{Pos: pos, Text: text}
	}
	return &pyeval.Exception{Pos: pos, Type: class, Text: text, Err: cause}
}
