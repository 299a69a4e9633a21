package recipe

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/bitbake/syntax"
	"n3x/internal/diag"
)

// input is something outside of the metadata's own values that an evaluation has looked at.
type input struct {
	kind inputKind
	name string // a path, a variable, or what else the kind says
}

type inputKind uint8

const (
	inNothing  inputKind = iota // never as it was
	inType                      // whether a path exists and what it is
	inContent                   // a file's content
	inFile                      // everything about a file
	inDir                       // the names in a folder
	inVariable                  // a variable of the user's environment; name "" stands for all
	inEnviron                   // a variable of os.environ; name "" stands for all
	inNames                     // which variables of the environment metadata may see
	inLayer                     // the folder that is used for a layer
	inRun                       // what a program answers; name is the command, encoded
)

// message is a warning or what Python said, to be said again.
type message struct {
	level string // "" for warnings of this package
	text  string
	pos   diag.Pos
}

// record is what one evaluation looked at and said while it read files. Its methods do nothing on a nil record, which is that
// of a load without a cache.
type record struct {
	mu       sync.Mutex
	base     bool // of a configuration, not of a recipe
	closed   bool
	inputs   map[input]bool
	live     map[string]bool // variables of the configuration that have another value each time
	messages []message
	mentions []mention // of tasks that recipes do not have
	clock    int       // how often the time was read
	answers  *sync.Map // of programs: command -> answer; of the whole load
}

func (r *record) saw(kind inputKind, name string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.inputs[input{kind, name}] = true
	}
}

func (r *record) said(m message) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.messages = append(r.messages, m)
	}
}

// close ends the time in which something is recorded: what is evaluated later is evaluated anew each time.
func (r *record) close() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.clock > 0 {
		r.inputs[input{inNothing, ""}] = true
	}
}

// ran notes what a program answered. One that answers two things is never the same.
func (r *record) ran(c pyeval.Command, result pyeval.Result, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		r.saw(inNothing, "")
		return
	}
	command, answer := encodeCommand(c), encodeResult(result, err)
	if known, loaded := r.answers.LoadOrStore(command, answer); loaded && known != answer {
		r.saw(inNothing, "")
	}
	r.saw(inRun, command)
}

func (r *record) mention(list []mention) {
	if r != nil {
		r.mentions = append(r.mentions, list...)
	}
}

func (r *record) tick(n int) {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.clock += n
	}
}

// recordKey finds the record of an evaluation in its context, for programs that it starts.
type recordKey struct{}

// recorded gives an evaluator a record, when the load has a cache.
func (e *evaluator) recorded(base bool) {
	if !e.caching {
		return
	}
	e.rec = &record{base: base, inputs: map[input]bool{}, live: map[string]bool{}, answers: e.answers}
	e.ctx = context.WithValue(e.ctx, recordKey{}, e.rec)
}

// Observe implements [pyeval.Observer].
func (e *evaluator) Observe(o pyeval.Observation) {
	switch o.Kind {
	case pyeval.LookedAtType:
		e.rec.saw(inType, o.Name)
	case pyeval.LookedAtContent:
		e.rec.saw(inContent, o.Name)
	case pyeval.LookedAtFile:
		e.rec.saw(inFile, o.Name)
	case pyeval.LookedAtDir:
		e.rec.saw(inDir, o.Name)
	case pyeval.LookedAtEnv:
		e.rec.saw(inEnviron, o.Name)
	case pyeval.LookedAtOriginal:
		e.rec.saw(inVariable, o.Name)
	case pyeval.LookedAtClock:
		e.rec.tick(1)
	default: // a program that was not started by Options.Run: what it does is not known
		e.rec.saw(inNothing, "")
	}
}

// Heard implements [pyeval.Listener].
func (e *evaluator) Heard(level, text string) { e.rec.said(message{level: level, text: text}) }

// ReadLive implements [datastore.LiveWatcher].
func (e *evaluator) ReadLive(name string) {
	r := e.rec
	switch {
	case r == nil:
	case !r.base:
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.closed {
			r.live[name] = true
		}
	case slices.Contains(e.inherited, name):
		r.saw(inVariable, name)
	default:
		r.tick(1)
	}
}

// warn notes what BitBake would warn about while it reads files.
func (e *evaluator) warn(pos diag.Pos, text string) {
	e.rec.said(message{pos: pos, text: text})
	e.shared.warn(pos, text)
}

// look is the tree as an evaluation sees it: each look is recorded.
type look struct {
	*tree
	rec *record
}

func (e *evaluator) look() look { return look{e.tree, e.rec} }

func (l look) exists(path string) bool {
	l.rec.saw(inType, path)
	return l.tree.exists(path)
}

func (l look) isDir(path string) bool {
	l.rec.saw(inType, path)
	return l.tree.isDir(path)
}

func (l look) isFile(path string) bool {
	l.rec.saw(inType, path)
	return l.tree.isFile(path)
}

func (l look) parse(path string) (*syntax.File, error) {
	l.rec.saw(inContent, path)
	return l.tree.parse(path)
}

func (l look) readDir(path string) []fs.DirEntry {
	l.rec.saw(inDir, path)
	return l.tree.readDir(path)
}

// glob is Python's glob.glob, sorted. Only the folders that a pattern names are read.
func (l look) glob(pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		if l.exists(pattern) {
			return []string{pattern}
		}
		return nil
	}
	dir, base := filepath.Split(pattern)
	dirs := []string{strings.TrimSuffix(dir, "/")}
	if strings.ContainsAny(dir, "*?[") {
		dirs = l.glob(dirs[0])
	}
	var found []string
	for _, d := range dirs {
		if d == "" && strings.HasPrefix(pattern, "/") {
			d = "/"
		}
		if !strings.ContainsAny(base, "*?[") {
			if p := joinPath(d, base); base == "" && l.isDir(d) || base != "" && l.exists(p) {
				found = append(found, p)
			}
			continue
		}
		for _, e := range l.readDir(d) {
			name := e.Name()
			if strings.HasPrefix(name, ".") && !strings.HasPrefix(base, ".") {
				continue
			}
			if ok, err := filepath.Match(pythonPattern(base), name); ok && err == nil {
				found = append(found, joinPath(d, name))
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// walk lists the recipes and appends below a folder.
func (l look) walk(dir string) []string {
	var found, dirs []string
	for _, e := range l.readDir(dir) {
		path := joinPath(dir, e.Name())
		link := e.Type()&fs.ModeSymlink != 0
		switch {
		case e.IsDir() || link && l.isDir(path):
			if n := e.Name(); !link && n != "SCCS" && n != "CVS" && n != ".svn" {
				dirs = append(dirs, path)
			}
		case strings.HasSuffix(path, ".bb") || strings.HasSuffix(path, ".bbappend"):
			found = append(found, path)
		}
	}
	for _, d := range dirs {
		found = append(found, l.walk(d)...)
	}
	return found
}

// liveAssignment carries out NAME := "...${@...}..." in a configuration file. If all that its value depends on is the time of
// day, as that of OpenEmbedded's DATE and TIME, the variable is live.
func (e *evaluator) liveAssignment(pos diag.Pos, a *syntax.Assignment) error {
	before := e.rec.clock
	if err := e.d.Assign(pos, a); err != nil || e.rec.clock == before {
		return err
	}
	if _, pure := e.tellTime(e.ctx, a.Value); pure {
		e.rec.tick(before - e.rec.clock)
		e.d.MarkLive(a.Name, datastore.Live{Source: a.Value, Clock: true})
	}
	return nil
}

// tellTime expands a text that reads the time and nothing else.
func (s *shared) tellTime(ctx context.Context, text string) (value string, pure bool) {
	d := datastore.New()
	only := &timeOnly{shared: s, ctx: ctx}
	d.SetEvaluator(only)
	x, err := d.Trace(text, "")
	return x.Text, err == nil && len(x.References) == 0 && !only.more
}

// timeOnly evaluates Python that may read the time and nothing else.
type timeOnly struct {
	*shared
	ctx  context.Context
	more bool // something else was read
}

// Eval implements [datastore.Evaluator].
func (o *timeOnly) Eval(expr string, _ *datastore.Data, pos diag.Pos) (string, error) {
	return o.interp.Eval(o.ctx, expr, pyeval.Site{Vars: barren{o}, Pos: pos})
}

// barren is a datastore without variables, which tells when it is used.
type barren struct{ *timeOnly }

var errBarren = diag.Userf(diag.Pos{}, "no variables are known here")

func (b barren) refuse() error { b.more = true; return errBarren }

func (b barren) Var(string, bool) (string, bool, error)             { return "", false, b.refuse() }
func (b barren) VarFlag(string, string, bool) (string, bool, error) { return "", false, b.refuse() }
func (b barren) VarFlags(string) (map[string]string, error)         { return nil, b.refuse() }
func (b barren) SetVar(string, string) error                        { return b.refuse() }
func (b barren) AppendVar(string, string) error                     { return b.refuse() }
func (b barren) PrependVar(string, string) error                    { return b.refuse() }
func (b barren) DelVar(string) error                                { return b.refuse() }
func (b barren) RenameVar(string, string) error                     { return b.refuse() }
func (b barren) SetVarFlag(string, string, string) error            { return b.refuse() }
func (b barren) AppendVarFlag(string, string, string) error         { return b.refuse() }
func (b barren) PrependVarFlag(string, string, string) error        { return b.refuse() }
func (b barren) DelVarFlag(string, string) error                    { return b.refuse() }
func (b barren) Keys() []string                                     { b.more = true; return nil }
func (b barren) Expand(string) (string, error)                      { return "", b.refuse() }
func (b barren) Observe(o pyeval.Observation) {
	if o.Kind != pyeval.LookedAtClock {
		b.more = true
	}
}

// recordedRun notes which programs an evaluation starts.
func recordedRun(run func(context.Context, pyeval.Command) (pyeval.Result, error)) func(context.Context, pyeval.Command) (pyeval.Result, error) {
	if run == nil {
		return nil
	}
	return func(ctx context.Context, c pyeval.Command) (pyeval.Result, error) {
		result, err := run(ctx, c)
		if r, ok := ctx.Value(recordKey{}).(*record); ok {
			r.ran(c, result, err)
		}
		return result, err
	}
}
