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

	node  *node
	needs map[*Task]bool // DependsOn while the graph is made
	mark  int            // of the depth-first walk
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

	world World
}

// World is what the graph needs of the parsed metadata; [recipe.World] is one.
type World interface {
	Base(mc string) *datastore.Data
	Provider(mc, target string) (*recipe.Recipe, error)
	RuntimeProviders(mc, pkg string) ([]*recipe.Recipe, error)
	// Before reports whether the release of BitBake that is followed is older than major.minor.
	Before(major, minor int) bool
}

// Build makes the graph of targets, without signatures; [Graph.Sign] adds these.
func Build(w World, targets []Target) (*Graph, error) {
	r := newResolver(w)
	var errs []error
	var wanted []*node
	for _, t := range targets {
		n, err := r.provider(t.MC, t.Name, "")
		errs = append(errs, err)
		wanted = append(wanted, n)
	}
	errs = append(errs, r.close())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := r.edges(); err != nil {
		return nil, err
	}
	r.recursive()
	g := &Graph{world: w}
	walk := walk{g: g}
	for i, t := range targets {
		name := cmp.Or(t.Task, "build")
		task, err := wanted[i].task("do_"+strings.TrimPrefix(name, "do_"), "")
		if err == nil {
			err = walk.visit(task)
		}
		if err != nil {
			return nil, err
		}
		g.Targets = append(g.Targets, task)
	}
	return g, g.oneVersionEach()
}

// oneVersionEach refuses two recipes that build the same thing in one multiconfig.
func (g *Graph) oneVersionEach() error {
	type key struct{ mc, pn string }
	first := map[key]*recipe.Recipe{}
	for _, t := range g.Tasks {
		k := key{t.Recipe.MC, t.Recipe.PN}
		other := first[k]
		if other == nil {
			first[k] = t.Recipe
			continue
		}
		if other != t.Recipe {
			return diag.Userf(diag.Pos{File: t.Recipe.File}, "two versions of %s would be built", t.Recipe.PN).
				WithNote("the other is %s", other.File).
				WithHint("set PREFERRED_VERSION_%s, and PREFERRED_PROVIDER of what only one of them provides", t.Recipe.PN)
		}
	}
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
	for d := range t.needs {
		t.DependsOn = append(t.DependsOn, d)
	}
	slices.SortFunc(t.DependsOn, compare)
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
