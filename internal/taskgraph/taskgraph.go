// Package taskgraph turns targets into the graph of tasks that building them takes: which task of which recipe, what it
// needs done before, and a signature that changes when anything it depends on changes.
//
// Input are parsed recipes; output is a [Graph] in an order in which every task comes after what it needs. The room is
// pure: file contents that count come through an injected function. A circle is refused with its members, an unknown
// target, task or dependency with who asked for it and the nearest name; as in BitBake, every recipe that a target's
// dependencies lead to must be complete, also where none of its tasks is needed.
//
// Mirrors bitbake lib/bb/runqueue.py (RunQueueData.prepare) and lib/bb/taskdata.py for the edges, lib/bb/data.py
// (build_dependencies), lib/bb/codeparser.py and lib/bb/siggen.py for signatures. The inputs of a signature are the ones
// that BitBake counts; the values are this program's own, and are the same wherever layers and build folder lie.
package taskgraph

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// Target is what was asked for.
type Target struct {
	MC   string // multiconfig, "" for the default one
	Name string // a recipe or what one provides, e.g. "isar-k3s-image-base"
	Task string // with or without "do_"; "" = "build"
}

// Task is one node of the graph.
type Task struct {
	Recipe    *recipe.Recipe
	Name      string  // e.g. "do_rootfs_install"
	DependsOn []*Task // sorted by multiconfig, recipe and name, without repetition
	NoExec    bool    // there is nothing to run
	NoStamp   bool    // runs every time: it has [nostamp], or a task that it depends on has
	Signature string  // hex digits; "" before [Graph.Sign]
	Inputs    []Input // what the signature is made of, in its order

	steady string // see steadyFlag
	node   *node
	needs  map[*Task]bool // DependsOn while the graph is made
	mark   int            // of the depth-first walk
}

// ID names a task among all, e.g. "mc:x:/layer/recipes/a/a_1.bb:do_build".
func (t *Task) ID() string { return t.Recipe.Name() + ":" + t.Name }

// compare orders tasks independently of where their recipes lie, as far as that tells them apart.
func compare(a, b *Task) int {
	return cmp.Or(strings.Compare(a.Recipe.MC, b.Recipe.MC), strings.Compare(a.Recipe.PN, b.Recipe.PN), strings.Compare(a.Name, b.Name),
		strings.Compare(a.Recipe.PV, b.Recipe.PV), strings.Compare(a.ID(), b.ID()))
}

// Graph is a set of tasks that is closed under dependencies.
type Graph struct {
	Tasks   []*Task // each after what it depends on
	Targets []*Task // what was asked for, in that order
	// Problems are what is wrong although there is a graph. BitBake reports them as errors and ends with status 1.
	Problems []error

	world World
}

// World is what the graph needs of the parsed metadata; [recipe.World] is one.
type World interface {
	Multiconfigs() []string
	Base(mc string) *datastore.Data
	Recipes(mc string) []*recipe.Recipe
	Providers(mc, target string) ([]*recipe.Recipe, error)
	RuntimeProviders(mc, pkg string) ([]*recipe.Recipe, error)
	// Before reports whether the release of BitBake that is followed is older than major.minor.
	Before(major, minor int) bool
}

// Request says which graph to make.
type Request struct {
	Targets []Target
	// File is built by itself, without any other recipe; the targets then only name its tasks.
	File *recipe.Recipe
	// KeepGoing makes a graph of what can be built when something cannot; what is missing is in [Graph.Problems].
	KeepGoing bool
	// Incomplete leaves dependencies out that nothing provides, for looking at a graph; they are in [Graph.Problems] too.
	Incomplete bool
	// RunAll are tasks to run instead of the targets', in each recipe that these lead to.
	RunAll []string
	// RunOnly are tasks of the graph to run, with what they need; the others are left out.
	RunOnly []string
}

// Build makes the graph of targets, without signatures; [Graph.Sign] adds these.
func Build(w World, targets []Target) (*Graph, error) { return Make(w, Request{Targets: targets}) }

// Make makes the graph that is asked for, without signatures; [Graph.Sign] adds these.
func Make(w World, req Request) (*Graph, error) {
	r := newResolver(w, req)
	wanted, err := r.targets()
	if err == nil {
		err = r.resolve()
	}
	if err := errors.Join(append(append(r.problemsIf(len(r.fatal) > 0 || err != nil), r.fatal...), err)...); err != nil {
		return nil, err
	}
	if err := r.edges(); err != nil {
		return nil, err
	}
	r.recursive()
	g := &Graph{world: w, Problems: r.problems}
	tasks, err := r.starts(wanted)
	if err != nil {
		return nil, err
	}
	if tasks, err = r.narrow(tasks); err != nil {
		return nil, err
	}
	g.Targets = tasks
	walk := walk{g: g}
	for _, t := range tasks {
		if err := walk.visit(t); err != nil {
			return nil, err
		}
	}
	if len(g.Tasks) == 0 && len(r.nodes) > 0 && len(g.Problems) > 0 {
		return nil, errors.Join(append(g.Problems, diag.Userf(diag.Pos{}, "nothing of what was asked for can be built"))...)
	}
	return g, g.checkProviders()
}

func (r *resolver) problemsIf(yes bool) []error {
	if yes {
		return r.problems
	}
	return nil
}

// targets finds the recipes of what was asked for. Those that ASSUME_PROVIDED has are passed over.
func (r *resolver) targets() ([]*node, error) {
	var out []*node
	for _, t := range r.req.Targets {
		d, err := r.config(t.MC, "")
		if err != nil {
			return nil, err
		}
		w, err := d.add(t.Name, "")
		if err != nil {
			return nil, err
		}
		out = append(out, d.builds.chosen(w.name))
	}
	return out, nil
}

// starts are the tasks that were asked for.
func (r *resolver) starts(wanted []*node) ([]*Task, error) {
	var out []*Task
	for i, t := range r.req.Targets {
		n := wanted[i]
		if n == nil || n.failed || r.data[t.MC].builds.of[t.Name].failed {
			continue
		}
		name, before := strings.CutSuffix("do_"+strings.TrimPrefix(cmp.Or(t.Task, "build"), "do_"), "-")
		task, err := n.task(name, "")
		switch {
		case err != nil:
			return nil, err
		case before:
			out = append(out, sorted(task.needs)...)
		default:
			out = append(out, task)
		}
	}
	return out, nil
}

func sorted(set map[*Task]bool) []*Task { return slices.SortedFunc(maps.Keys(set), compare) }

// checkProviders refuses two versions of a recipe, and notes different recipes that provide the same.
func (g *Graph) checkProviders() error {
	type key struct{ mc, provides string }
	by := map[key][]*recipe.Recipe{}
	allowed := map[string]bool{}
	if base := g.world.Base(""); base != nil {
		var err error
		if allowed, err = set(base, "BB_MULTI_PROVIDER_ALLOWED"); err != nil {
			return err
		}
	}
	seen := map[*recipe.Recipe]bool{}
	for _, t := range g.Tasks {
		if seen[t.Recipe] {
			continue
		}
		seen[t.Recipe] = true
		for _, p := range t.Recipe.Provides {
			k := key{t.Recipe.MC, p}
			by[k] = append(by[k], t.Recipe)
			if list := by[k]; len(list) == 2 && !allowed[p] {
				if err := g.twoProviders(p, list[0], list[1]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (g *Graph) twoProviders(name string, a, b *recipe.Recipe) error {
	if a.PN == b.PN {
		return diag.Userf(diag.Pos{File: b.File}, "two versions of %s would be built", b.PN).
			WithNote("the other is %s", a.File).
			WithHint("set PREFERRED_VERSION_%s, and PREFERRED_PROVIDER of what only one of them provides", b.PN)
	}
	g.Problems = append(g.Problems, diag.Userf(diag.Pos{File: b.File}, "two recipes that provide %s would be built", name).
		WithNote("the other is %s", a.File).
		WithHint("set PREFERRED_PROVIDER_%s, or BB_MULTI_PROVIDER_ALLOWED if that is meant", name))
	return nil
}

const (
	unseen = iota
	open
	closed
)

// walk puts the tasks that are needed into an order.
type walk struct {
	g    *Graph
	path []*Task
}

// visit puts a task, after everything that it needs, into the order.
func (w *walk) visit(t *Task) error {
	switch t.mark {
	case closed:
		return nil
	case open:
		return w.cycle(t)
	}
	t.mark = open
	w.path = append(w.path, t)
	t.DependsOn = sorted(t.needs)
	for _, d := range t.DependsOn {
		if err := w.visit(d); err != nil {
			return err
		}
		t.NoStamp = t.NoStamp || d.NoStamp
	}
	w.path = w.path[:len(w.path)-1]
	t.mark = closed
	w.g.Tasks = append(w.g.Tasks, t)
	return nil
}

func (w *walk) cycle(t *Task) error {
	at := slices.Index(w.path, t)
	err := diag.Userf(diag.Pos{File: t.Recipe.File}, "tasks wait for each other in a circle")
	for _, p := range append(slices.Clone(w.path[at:]), t) {
		err.WithNote("%s", p.by())
	}
	return err.WithHint("take one of the dependencies out: look at DEPENDS, addtask and the [depends] flags of these recipes")
}

// by is how messages name a task.
func (t *Task) by() string {
	if t.Recipe.MC != "" {
		return t.Name + " of mc:" + t.Recipe.MC + ":" + t.Recipe.PN
	}
	return t.Name + " of " + t.Recipe.PN
}
