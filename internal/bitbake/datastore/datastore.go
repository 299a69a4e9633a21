// Package datastore holds the variables of a BitBake configuration or recipe.
//
// Input are the assignments of metadata files, in file order; output are values by BitBake's rules: weak defaults,
// :append, :prepend and :remove, overrides in the order of OVERRIDES (nested ones too), flags, and ${} references that are
// expanded when a value is read. A reference to a variable that does not exist stays as it is written. A reference that
// leads back to itself is refused with the chain of names. Every operation is remembered with its place.
//
// It mirrors bitbake's lib/bb/data_smart.py and the assignment rules of lib/bb/parse/ast.py. One deliberate difference: a
// copy does not see what is written to the original afterwards, and active overrides are recomputed whenever a variable
// that OVERRIDES was computed from has changed, also when only Python code read it.
//
// Inline Python, ${@...}, is evaluated by an [Evaluator] that the user of the store injects.
package datastore

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// Evaluator runs the Python expression of a ${@...} against d. pos is where the value that holds it was set.
type Evaluator interface {
	Eval(expr string, d *Data, pos diag.Pos) (string, error)
}

// Filterer is an [Evaluator] that also runs the filter expressions of [Data.SetVarFilter], in which the name val is the value.
type Filterer interface {
	Filter(expr, value string, d *Data, pos diag.Pos) (string, error)
}

// Data is a set of variables. It must not be used by two goroutines at once, except for [Data.Copy] of a frozen Data.
// Returned slices and maps belong to the caller.
type Data struct {
	top     *layer
	local   int // depth of the first layer that was written since this copy was made
	eval    Evaluator
	origin  origin
	filters map[string]string // Python expressions that expanded values pass through, by variable; replaced, not written to
	old     bool              // see SetOld
	renamed map[string]string // renamed or dropped variables: new name, or a sentence

	events    *events            // those of statements; shared by all copies
	ready     *sync.Map          // statement -> *variable it makes when there is none of that name; shared by all copies
	cache     map[string]content // expanded values; emptied by every write
	expanding []string           // variables being expanded, outermost first
	// evaluating is the variable, or "variable[flag]", whose inline Python is being evaluated, or "".
	evaluating string
	depth      int // nesting of expansions over all copies

	overrides    []string // active overrides in order, nil when not yet computed
	overrideSet  map[string]bool
	overrideDeps map[string]bool // variables read while overrides were computed
	reads        map[string]bool // non-nil while overrides are being computed
	kept         *kept           // non-nil while what is written will be taken back

	// Environment is BB_ORIGENV: the environment that the program was started with, as variables.
	Environment *Data
}

var _ interface {
	pyeval.Vars
	pyeval.Copier
	pyeval.TaskEditor
	pyeval.Inheriter
	pyeval.DependencyMarker
	pyeval.Observer
	pyeval.Listener
	pyeval.Originator
	pyeval.Snapshotter
	pyeval.ObjectStore
	pyeval.Reader
} = (*Data)(nil)

// origin is where the operations being recorded come from.
type origin struct {
	pos      diag.Pos
	function string
	site     Site
}

// layer is one level of a chain of variables; only the chain's first layer is ever written, and it is never pending.
type layer struct {
	vars    map[string]*variable
	pending *pending // where vars are to be had; nil when they are there
	parent  *layer
	depth   int
	dollars atomic.Pointer[[]string] // the names with ${ in them, once they were asked for; not of a layer that is still written
}

// pending are variables that are read from somewhere when they are needed.
type pending struct {
	once sync.Once
	read func() map[string]*variable
	vars map[string]*variable
}

// all are the layer's variables.
func (l *layer) all() map[string]*variable {
	if l.pending == nil {
		return l.vars
	}
	l.pending.once.Do(func() { l.pending.vars, l.pending.read = l.pending.read(), nil })
	return l.pending.vars
}

// variable is one entry. Slices are shared between layers and must be replaced, not written to; see own.
type variable struct {
	value      text
	weak       text // by ??=
	flags      []flagEntry
	appends    []operation
	prepends   []operation
	removes    []operation
	overridden []override // NAME:override entries that may replace the value
	history    []*Event   // events are shared: to be replaced, not written to
	live       *Live      // where the value comes from, when not from the metadata
	shared     bool       // in several stores at once: must be replaced, not written to
	alone      bool       // nothing else holds the list overridden, so that it may be written to
}

// flagEntry is a flag, or, when weak, its default by ??=.
type flagEntry struct {
	name  string
	value text
	weak  bool
}

type operation struct {
	text
	override string // "" when unconditional, else names joined by ":"
}

type override struct {
	name     string // the full variable name, e.g. "A:x:y"
	override string // e.g. "x:y" for variable A, "y" for variable A:x
}

// defined says whether there is anything to read.
func (v *variable) defined() bool {
	return v.value.ok || v.weak.ok || v.value.none || len(v.flags) > 0 || len(v.appends) > 0 || len(v.prepends) > 0 || len(v.removes) > 0
}

// New is an empty store.
func New() *Data {
	return &Data{top: &layer{vars: map[string]*variable{}}, renamed: renamedVariables(), ready: &sync.Map{}, events: &events{}}
}

// SetEvaluator sets what runs inline Python, for d and for copies made from now on.
func (d *Data) SetEvaluator(e Evaluator) { d.eval = e }

// Evaluator is what runs inline Python.
func (d *Data) Evaluator() Evaluator { return d.eval }

// At says where the operations that follow come from: a place in a file and, for Python code, the function's name.
func (d *Data) At(pos diag.Pos, function string) { d.origin = origin{pos: pos, function: function} }

// Evaluating is the name of the variable, or "variable[flag]", whose inline Python is being evaluated.
func (d *Data) Evaluating() string { return d.evaluating }

// SetOld makes d, and copies made from now on, do what BitBake 2.8 did: the history shows places in its code, [Data.AddTask] puts do_
// before the task's own name only, and [Data.RenameVar] also deletes a variable that has nothing to rename.
func (d *Data) SetOld(old bool) { d.old = old }

// Pos is the place last given to [Data.At].
func (d *Data) Pos() diag.Pos { return d.origin.pos }

const maxLayers = 12 // a longer chain is merged on the next copy

// Copy is a store with the same variables; writes to one are not seen by the other. It costs next to nothing.
func (d *Data) Copy() *Data {
	if len(d.top.vars) > 0 {
		parent := d.top
		if parent.depth >= maxLayers {
			parent = parent.merge(1)
			d.local = min(d.local, 1)
		}
		d.top = &layer{vars: map[string]*variable{}, parent: parent, depth: parent.depth + 1}
	}
	c := *d
	c.top = &layer{vars: map[string]*variable{}, parent: d.top.parent, depth: d.top.depth}
	c.local, c.renamed = c.top.depth, d.renamed
	c.cache, c.expanding, c.kept = nil, nil, nil
	c.overrides, c.overrideSet, c.overrideDeps, c.reads = nil, nil, nil, nil
	return &c
}

// Freeze merges what d holds into one level, so that copies read it fast and may be made by several goroutines at once.
// d must not be written afterwards.
func (d *Data) Freeze() {
	bottom := d.top.merge(0)
	d.top = &layer{vars: map[string]*variable{}, parent: bottom, depth: 1}
	d.forget()
}

// Trim gives back the memory of values that were expanded before; they are expanded anew when they are read again.
func (d *Data) Trim() { d.cache = nil }

// merge joins the layers of depth >= from into one of that depth.
func (l *layer) merge(from int) *layer {
	var chain []*layer
	for ; l != nil && l.depth >= from; l = l.parent {
		chain = append(chain, l)
	}
	vars := map[string]*variable{}
	for _, one := range slices.Backward(chain) {
		maps.Copy(vars, one.all())
	}
	return &layer{vars: vars, parent: l, depth: from}
}

// find is the variable's entry for reading, or nil.
func (d *Data) find(name string) *variable {
	for l := d.top; l != nil; l = l.parent {
		if v, ok := l.all()[name]; ok {
			return v
		}
	}
	return nil
}

// Shares says whether a variable of d is the one that other, of which d is a copy, has: written in neither since.
func (d *Data) Shares(other *Data, name string) bool { return d.find(name) == other.find(name) }

// own is the variable's entry for writing: made, or copied from a shared layer, when need be.
func (d *Data) own(name string) *variable {
	if v, ok := d.top.vars[name]; ok && !v.shared && !d.keep(name) {
		return v
	}
	v := &variable{}
	if old := d.find(name); old != nil {
		*v = *old
		v.shared, v.alone = false, false
		v.flags = slices.Clone(v.flags)
		v.appends, v.prepends, v.removes = slices.Clip(v.appends), slices.Clip(v.prepends), slices.Clip(v.removes)
		v.overridden, v.history = slices.Clip(v.overridden), slices.Clip(v.history)
	}
	d.keep(name)
	d.top.vars[name] = v
	return v
}

// kept are variables as they were before a trial, nil when the topmost layer did not have them.
type kept struct {
	top  *layer
	vars map[string]*variable
}

// trial begins a time in which what is written, by inline Python, is not to stay; the returned function ends it. BitBake makes a
// copy of the store for := instead.
func (d *Data) trial() (end func()) {
	outer, renamed, filters := d.kept, d.renamed, d.filters
	d.kept = &kept{top: d.top}
	return func() {
		k := d.kept
		d.kept = outer
		if len(k.vars) == 0 && d.top == k.top {
			return
		}
		vars := maps.Clone(k.top.vars) // copies made meanwhile may have it
		for name, v := range k.vars {
			if v == nil {
				delete(vars, name)
			} else {
				vars[name] = v
			}
		}
		d.top = &layer{vars: vars, parent: k.top.parent, depth: k.top.depth}
		d.renamed, d.filters, d.overrides = renamed, filters, nil
		d.forget()
	}
}

// keep remembers the variable for the end of a trial; true says that its entry must then not be written to.
func (d *Data) keep(name string) bool {
	if d.kept == nil || d.top != d.kept.top {
		return false
	}
	if _, known := d.kept.vars[name]; known {
		return false
	}
	if d.kept.vars == nil {
		d.kept.vars = map[string]*variable{}
	}
	d.kept.vars[name] = d.top.vars[name]
	return true
}

// once carries out a statement that makes a variable. Where no variable of that name exists, what comes out depends on the
// statement alone, so it is made once and shared by all stores that read the same file.
func (d *Data) once(statement any, name string, carryOut func() error) error {
	if strings.Contains(name, ":") || d.find(name) != nil {
		return carryOut()
	}
	if v, ok := d.ready.Load(statement); ok {
		d.touch(name)
		d.keep(name)
		d.top.vars[name] = v.(*variable)
		return d.refuseRenamed(name)
	}
	if err := carryOut(); err != nil {
		return err
	}
	v := d.top.vars[name]
	v.shared = true
	d.ready.Store(statement, v)
	return nil
}

// touch notes that name changes: cached values, and active overrides that depend on it, are no longer valid.
func (d *Data) touch(name string) {
	d.forget()
	if d.overrides == nil {
		return
	}
	for {
		if d.overrideDeps[name] {
			d.overrides = nil
			return
		}
		i := strings.LastIndexByte(name, ':')
		if i < 0 {
			return
		}
		name = name[:i]
	}
}

func (d *Data) forget() {
	if len(d.cache) > 0 {
		clear(d.cache)
	}
}

// CreateCopy is [Data.Copy] for Python code.
func (d *Data) CreateCopy() pyeval.Vars { return d.Copy() }

// Inherits reports whether a class, named without folder and extension, has been inherited.
func (d *Data) Inherits(class string) bool {
	s, _ := d.Assigned("__inherit_cache")
	return slices.ContainsFunc(ParseList(s), func(path string) bool { return strings.HasSuffix(path, "/"+class+".bbclass") })
}

// OriginalEnvironment implements [pyeval.Originator]; what is written to it is seen nowhere else.
func (d *Data) OriginalEnvironment() pyeval.Vars {
	if d.Environment == nil {
		return nil
	}
	return &originVars{Data: d.Environment.Copy(), reader: d}
}

// MarkDependency tells whoever evaluates Python for d that a file was read or looked for.
func (d *Data) MarkDependency(path string) {
	if m, ok := d.eval.(pyeval.DependencyMarker); ok {
		m.MarkDependency(path)
	}
}

// Observe tells whoever evaluates Python for d what the Python looked at.
func (d *Data) Observe(o pyeval.Observation) {
	if w, ok := d.eval.(pyeval.Observer); ok {
		w.Observe(o)
	}
}

// Heard tells whoever evaluates Python for d what the Python said.
func (d *Data) Heard(level, text string) {
	if l, ok := d.eval.(pyeval.Listener); ok {
		l.Heard(level, text)
	}
}

// Snapshot remembers the variables; the returned function goes back to them.
func (d *Data) Snapshot() (restore func()) {
	saved := d.Copy()
	return func() {
		d.top, d.renamed = saved.Copy().top, saved.renamed
		d.forget()
		d.overrides = nil
	}
}
