package recipe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/bitbake/syntax"
	"n3x/internal/diag"
)

const maxIncludes = 100 // nested includes, before a cycle is assumed

// evaluator carries out the statements of files on one store.
type evaluator struct {
	*shared
	ctx   context.Context
	d     *datastore.Data
	state state
	stack []string // files being evaluated, outermost first
	// includes is the file being evaluated, or [TOP LEVEL]; nil for recipes.
	includes *inclusion
	done     bool // no more files are read
	rec      *record
}

// shared is what all evaluators of one load have in common.
type shared struct {
	tree      *tree
	interp    *pyeval.Interp
	warnings  *warnings
	topDir    string
	alone     bool                                                         // one file is read by itself, without layers
	before    release                                                      // the release to follow
	evaluated struct{ configs, recipes atomic.Int64 }                      // this load, by reading files
	caching   bool                                                         // what evaluations look at is recorded
	environ   map[string]string                                            // os.environ
	answers   *sync.Map                                                    // of the programs that were started: command -> answer
	run       func(context.Context, pyeval.Command) (pyeval.Result, error) // pyeval.Options.Run, unrecorded
	log       func(level, text string)                                     // pyeval.Options.Log, with warnings
	inherited []string                                                     // variables of the environment that metadata may see, sorted
	// libraries are the functions of files: defs -> *library
	libraries sync.Map
	sameTasks sync.Map // what a task consists of -> *Task, while recipes are evaluated
	flagSlips sync.Map // a task's flag -> the known flag that it is a slip of, or ""
}

// state is what a store's files have declared beside variables. Copies share slices, so these are only ever appended to
// after clipping.
type state struct {
	lib       *pyeval.Library
	pyLibs    []pyeval.PyLib // of addpylib
	classType string         // "global" while the base configuration is read, then "recipe"
	inherited []string
	deferred  []deferredInherit
	handlers  []handler
	// registered are the handlers that see events: those declared before the configuration, or the recipe's finalisation, was complete.
	registered []handler
	anonymous  []anonymous
	mentions   []mention       // tasks that addtask and deltask name
	files      []string        // read or looked for, in order
	known      map[string]bool // the same as a set
}

type deferredInherit struct {
	classes string
	pos     diag.Pos
}

// handler is an event handler that addhandler named.
type handler struct {
	name string
	pos  diag.Pos
}

// anonymous is a `python () {` block.
type anonymous struct {
	name string // what BitBake calls it
	body string
	pos  diag.Pos
}

// fork is an evaluator on a copy of the store; what one declares from now on is unknown to the other.
func (e *evaluator) fork(ctx context.Context) *evaluator {
	c := &evaluator{shared: e.shared, ctx: ctx, d: e.d.Copy(), state: e.state, rec: e.rec}
	s := &c.state
	s.inherited, s.deferred, s.handlers = slices.Clip(s.inherited), slices.Clip(s.deferred), slices.Clip(s.handlers)
	s.pyLibs = slices.Clip(s.pyLibs)
	s.mentions = slices.Clone(s.mentions)
	s.anonymous, s.files, s.known = slices.Clip(s.anonymous), slices.Clip(s.files), maps.Clone(s.known)
	if s.known == nil { // of a configuration from the cache
		s.known = make(map[string]bool, len(s.files))
		for _, f := range s.files {
			s.known[f] = true
		}
	}
	c.d.SetEvaluator(c)
	return c
}

// depend notes that a file was read or looked for.
func (e *evaluator) depend(path string) {
	if !e.state.known[path] {
		e.state.known[path] = true
		e.state.files = append(e.state.files, path)
	}
}

// which looks item up in a colon-separated list of folders and notes every place it looked at.
func (e *evaluator) which(list, item string) string {
	for dir := range strings.SplitSeq(list, ":") {
		path := joinPath(dir, item)
		if !filepath.IsAbs(path) {
			path = filepath.Join(e.topDir, path)
		}
		if e.look().exists(path) {
			return path
		}
		e.depend(path)
	}
	return ""
}

// file evaluates one file, as bb.parse.handle does.
func (e *evaluator) file(path string) error { return e.fileAs(path, path) }

// fileAs evaluates a file that was asked for by another name.
func (e *evaluator) fileAs(path, name string) error {
	if len(e.stack) >= maxIncludes {
		return e.includeCycle(path)
	}
	e.depend(path)
	f, err := e.look().parse(path)
	if err != nil {
		return err
	}
	for _, w := range f.Warnings {
		if e.before.tightAssigns && strings.HasPrefix(w.Text, syntax.TightAssignment) {
			continue
		}
		e.warn(w.Pos, w.Text)
	}
	e.stack = append(e.stack, path)
	defer func() { e.stack = e.stack[:len(e.stack)-1] }()
	defer e.enter(name)()
	if filepath.Ext(path) == ".bbclass" {
		if err := e.inheriting(path); err != nil {
			return err
		}
		return e.statements(f)
	}
	old, _, err := e.d.Var("FILE", false)
	if err != nil {
		return err
	}
	conf := filepath.Ext(path) == ".conf"
	if conf || old != path {
		if err := e.setFile(path, conf, false); err != nil {
			return err
		}
	}
	err = e.statements(f)
	if old != "" && (conf || old != path) {
		err = errors.Join(err, e.setFile(old, conf, true))
	}
	return err
}

// setFile says which file is being read, by the reader of configuration files or that of recipes; back when another one ends.
func (e *evaluator) setFile(path string, conf, back bool) error {
	site := datastore.SiteFile
	switch {
	case conf && back:
		site = datastore.SiteConfFileDone
	case conf:
		site = datastore.SiteConfFile
	case back:
		site = datastore.SiteFileDone
	}
	e.d.By(site)
	return e.d.SetVar("FILE", path)
}

func (e *evaluator) includeCycle(path string) error {
	err := diag.Userf(e.d.Pos(), "files include each other without end").WithHint("remove one of the includes")
	for _, p := range append(e.stack[len(e.stack)-4:], path) {
		err = err.WithNote("%s", p)
	}
	return err
}

func (e *evaluator) statements(f *syntax.File) error {
	defined := 0 // functions of the statements before this one are visible
	for i, s := range f.Statements {
		if _, ok := s.(*syntax.Def); ok && i >= defined {
			var err error
			if defined, err = e.define(f, i); err != nil {
				return err
			}
		}
		if err := e.statement(f.Name, s); err != nil {
			return err
		}
	}
	return e.ctx.Err()
}

func (e *evaluator) statement(file string, s syntax.Statement) error {
	pos := diag.Pos{File: file, Line: s.Line()}
	if a, ok := s.(*syntax.Assignment); ok {
		e.checkCombination(pos, a)
		if a.Flag != "" {
			e.remarkFlag(pos, a)
		}
		if a.Op == syntax.WeakDefault && a.Flag != "" && e.before.weakFlagsAssign {
			plain := *a
			plain.Op = syntax.Set
			a = &plain
		}
		if e.rec != nil && e.rec.base && a.Op == syntax.Immediate && a.Flag == "" && strings.Contains(a.Value, "${@") {
			return placed(pos, e.liveAssignment(pos, a))
		}
		return placed(pos, e.d.Assign(pos, a))
	}
	e.d.At(pos, "")
	switch s := s.(type) {
	case *syntax.Function:
		return e.function(pos, s)
	case *syntax.Def:
		return placed(pos, e.d.DefineDef(pos, s))
	case *syntax.Inherit:
		if s.Deferred {
			e.state.deferred = append(e.state.deferred, deferredInherit{s.Classes, pos})
			return nil
		}
		return e.inherit(s.Classes, pos, false)
	case *syntax.Include:
		return e.include(pos, s)
	case *syntax.Export:
		return e.d.Export(s.Name)
	case *syntax.Unset:
		if s.Flag != "" {
			return e.d.DelVarFlag(s.Name, s.Flag)
		}
		return e.d.DelVar(s.Name)
	case *syntax.ExportFunctions:
		return e.exportFunctions(pos, s)
	case *syntax.AddTask:
		e.mentionTasks(pos, s.After+" "+s.Before)
		for _, t := range strings.FieldsFunc(s.Tasks, isSpace) {
			if err := e.d.AddTask(t, strings.FieldsFunc(s.Before, isSpace), strings.FieldsFunc(s.After, isSpace)); err != nil {
				return err
			}
		}
		return nil
	case *syntax.DelTask:
		e.mentionTasks(pos, s.Tasks)
		return e.delTask(pos, s)
	case *syntax.AddHandler:
		e.d.By(datastore.SiteHandler)
		for _, name := range s.Names {
			e.state.handlers = append(e.state.handlers, handler{name, pos})
			if err := e.d.SetObject(name, "handler", "1"); err != nil {
				return err
			}
		}
		return nil
	case *syntax.AddPyLib:
		return e.addPyLib(pos, s)
	case *syntax.AddFragments:
		return e.addFragments(pos, s)
	}
	return &diag.Error{Kind: diag.Broken, Pos: pos, Text: fmt.Sprintf("statement %T is not known", s)}
}

func (e *evaluator) delTask(pos diag.Pos, s *syntax.DelTask) error {
	names, err := e.d.Expand(s.Tasks)
	if err != nil {
		return placed(pos, err)
	}
	for _, t := range strings.FieldsFunc(names, isSpace) {
		if err := e.d.DelTask(t); err != nil {
			return err
		}
	}
	return nil
}

// addPyLib accepts the statement where BitBake does: directly in the configuration files it reads itself. The modules are not
// imported here, but where real CPython first needs them.
func (e *evaluator) addPyLib(pos diag.Pos, s *syntax.AddPyLib) error {
	if len(e.stack) > 1 {
		return diag.Userf(pos, "addpylib works in bblayers.conf, layer.conf and bitbake.conf only").
			WithHint("move it to the layer's conf/layer.conf")
	}
	dir, err := e.d.Expand(s.Dir)
	if err != nil {
		return placed(pos, err)
	}
	if lib := (pyeval.PyLib{Dir: dir, Namespace: s.Namespace}); !slices.Contains(e.state.pyLibs, lib) {
		e.state.pyLibs = append(e.state.pyLibs, lib)
	}
	return nil
}

// checkCombination warns about operators that do nothing useful together.
func (e *evaluator) checkCombination(pos diag.Pos, a *syntax.Assignment) {
	if !strings.Contains(a.Name, ":append") && !strings.Contains(a.Name, ":prepend") && !strings.Contains(a.Name, ":remove") {
		return
	}
	switch a.Op {
	case syntax.Append, syntax.Prepend, syntax.PostDot, syntax.PreDot:
		e.warn(pos, fmt.Sprintf("%s %s is not a recommended operator combination, please replace it.", a.Name, a.Op))
	}
}

// placed gives err a place unless it has one.
func placed(pos diag.Pos, err error) error {
	var skip *pyeval.SkipRecipe
	if err == nil || errors.As(err, &skip) || errors.Is(err, context.Canceled) {
		return err
	}
	var known *diag.Error
	if errors.As(err, &known) && !known.Pos.IsZero() {
		return err
	}
	out := &diag.Error{Kind: diag.User, Pos: pos, Text: err.Error(), Err: err}
	if at, text := pythonError(err); text != "" {
		out.Text = text
		if !at.IsZero() {
			out.Pos = at
		}
		var chain *datastore.Error
		if errors.As(err, &chain) {
			if names := chain.Variables(); len(names) > 0 {
				out = out.WithNote("while expanding %s", strings.Join(names, ", from "))
			}
		}
	}
	return out
}

// pythonError is the place and the text of the Python error in err, text "" when there is none.
func pythonError(err error) (at diag.Pos, text string) {
	var exception *pyeval.Exception
	var unsupported *pyeval.Unsupported
	var syntax *pyeval.SyntaxError
	var fatal *pyeval.Fatal
	switch {
	case errors.As(err, &unsupported):
		e := *unsupported
		at, e.Pos = e.Pos, diag.Pos{}
		text = e.Error()
	case errors.As(err, &syntax):
		e := *syntax
		at, e.Pos = e.Pos, diag.Pos{}
		text = e.Error()
	case errors.As(err, &fatal):
		at, text = fatal.Pos, fatal.Text
	case errors.As(err, &exception):
		at, text = exception.Pos, "python: "+strings.TrimSuffix(exception.Type+": "+exception.Text, ": ")
	}
	return at, text
}

// include carries out include, require and include_all.
func (e *evaluator) include(pos diag.Pos, s *syntax.Include) error {
	text, err := e.d.Expand(s.Files)
	if err != nil {
		return placed(pos, err)
	}
	path, err := e.d.Value("BBPATH")
	if err != nil {
		return placed(pos, err)
	}
	dirs := []string{""}
	if s.All {
		dirs = strings.Split(path, ":")
	}
	for _, dir := range dirs {
		names := text
		if s.All {
			names = joinPath(dir, text) // only the first of several names gets the folder, as in BitBake
		}
		for _, name := range strings.FieldsFunc(names, isSpace) {
			if err := e.includeOne(pos, name, path, s.Require); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *evaluator) includeOne(pos diag.Pos, name, bbpath string, require bool) error {
	if name == pos.File {
		return nil
	}
	path := name
	if !filepath.IsAbs(name) {
		path = e.which(dirName(pos.File)+":"+bbpath, name)
	}
	if path != "" && e.state.known[path] {
		if file, _, _ := e.d.Var("FILE", false); e.look().exists(path) {
			e.warn(pos, fmt.Sprintf("Duplicate inclusion for %s in %s", path, file))
		}
	}
	if !syntax.Supported(name) {
		return diag.Userf(pos, "%s is not a BitBake file", name).WithHint("included files end in .inc, .conf, .bb or .bbclass")
	}
	if path == "" || !e.look().isFile(path) {
		if path != "" {
			e.depend(path)
		}
		e.enter(name)() // BitBake lists it, too
		if require {
			return e.missing(pos, name, bbpath)
		}
		return nil
	}
	err := e.file(path)
	if errors.Is(err, fs.ErrNotExist) && !require {
		return nil
	}
	return err
}

// missing is the error for a required file that does not exist.
func (e *evaluator) missing(pos diag.Pos, name, bbpath string) error {
	err := diag.Userf(pos, "could not include required file %s", name)
	dir, base := filepath.Split(name)
	var names []string
	for root := range strings.SplitSeq(dirName(pos.File)+":"+bbpath, ":") {
		if filepath.IsAbs(name) {
			root = ""
		}
		for _, entry := range e.tree.readDir(strings.TrimSuffix(joinPath(root, dir), "/")) {
			names = append(names, entry.Name())
		}
	}
	if near := diag.Nearest(base, names); near != "" {
		return err.WithHint("did you mean %s?", dir+near)
	}
	return err.WithNote("looked for it beside the file and in BBPATH = %q", bbpath).
		WithHint("write include instead of require if it may be absent")
}

func isSpace(r rune) bool { return datastore.IsSpace(r) }
