package taskgraph

import (
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
)

// reach is a set of recipes: a bit for each node.
type reach []uint64

func (r reach) add(n *node) { r[n.index/64] |= 1 << (n.index % 64) }

func (r reach) has(n *node) bool { return r[n.index/64]&(1<<(n.index%64)) != 0 }

func (r reach) union(other reach) {
	for i, word := range other {
		r[i] |= word
	}
}

// recursion resolves [recrdeptask] = "do_x ...": the task waits for do_x of every recipe that any of its dependencies
// leads to, in whatever way.
type recursion struct {
	nodes  []*node
	direct map[*Task][]*Task // edges without those that follow from recursion
	below  map[*Task]reach   // recipes of everything that a task needs, directly or not
	tasks  []*recursiveTask
	by     map[*Task]*recursiveTask
}

type recursiveTask struct {
	*Task
	names []string // of [recrdeptask]
	start []*Task  // own tasks of [recideptask], whose dependencies count as this one's
}

// recursive adds the edges that follow from [recrdeptask].
func (r *resolver) recursive() {
	x := &recursion{direct: map[*Task][]*Task{}, below: map[*Task]reach{}, by: map[*Task]*recursiveTask{}}
	for _, d := range r.order {
		x.nodes = append(x.nodes, d.nodes...)
	}
	for i, n := range x.nodes {
		n.index = i
		for _, t := range n.order {
			if _, ok := n.recipe.Task(t.Name).Flags["recrdeptask"]; ok && !n.failed {
				x.add(t)
			}
		}
	}
	if len(x.tasks) == 0 {
		return
	}
	for _, n := range x.nodes {
		for _, t := range n.order {
			for d := range t.needs {
				x.direct[t] = append(x.direct[t], d)
			}
		}
	}
	for grown := true; grown; {
		grown = false
		for _, t := range x.tasks {
			if x.grow(t) {
				grown = true
			}
		}
	}
	x.separate()
}

func (x *recursion) add(t *Task) {
	r := &recursiveTask{Task: t}
	// Errors of the expansion were reported when the direct edges were made.
	r.names, _ = t.words("recrdeptask")
	own, _, _ := t.Recipe.Data.VarFlag(t.Name, "recideptask", true)
	for _, name := range strings.FieldsFunc(own, datastore.IsSpace) {
		if o := t.node.tasks[name]; o != nil {
			r.start = append(r.start, o)
		}
	}
	x.tasks = append(x.tasks, r)
	x.by[t] = r
}

// grow adds what t's dependencies lead to as of now, and reports whether that was anything new.
func (x *recursion) grow(t *recursiveTask) bool {
	recipes := x.empty()
	for d := range t.needs {
		recipes.union(x.reach(d))
	}
	for _, s := range t.start {
		recipes.union(x.reach(s))
		for d := range s.needs {
			recipes.union(x.reach(d))
		}
	}
	before := len(t.needs)
	for _, n := range x.nodes {
		if recipes.has(n) {
			for _, name := range t.names {
				t.need(n.tasks[name])
			}
		}
	}
	var more []*Task
	for d := range t.needs {
		if other := x.by[d]; other != nil {
			for o := range other.needs {
				if slices.Contains(t.names, o.Name) {
					more = append(more, o)
				}
			}
		}
	}
	for _, o := range more {
		t.need(o)
	}
	return len(t.needs) > before
}

func (x *recursion) empty() reach { return make(reach, (len(x.nodes)+63)/64) }

// reach is the set of recipes of everything below t. In a circle, which is refused later, it may be incomplete.
func (x *recursion) reach(t *Task) reach {
	if r := x.below[t]; r != nil {
		return r
	}
	r := x.empty()
	x.below[t] = r
	for _, d := range x.direct[t] {
		r.add(d.node)
		r.union(x.reach(d))
	}
	return r
}

// separate takes apart the tasks that name themselves, which would wait for each other: do_a[recrdeptask] = "do_a do_b".
func (x *recursion) separate() {
	selfish := func(t *Task) bool { r := x.by[t]; return r != nil && slices.Contains(r.names, t.Name) }
	for _, t := range x.tasks {
		if !selfish(t.Task) {
			continue
		}
		for d := range t.needs {
			if selfish(d) {
				delete(t.needs, d)
			}
		}
	}
}
