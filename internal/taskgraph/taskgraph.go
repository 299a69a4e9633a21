// Package taskgraph turns targets into the graph of tasks that building them takes: which task of which recipe, what it
// needs done before, and a signature that changes when anything it depends on changes.
//
// Input are parsed recipes; output is a [Graph] in an order in which every task comes after what it needs. The room is
// pure: file contents that count come through an injected function. A cycle is refused with its members, an unknown
// target, task or dependency with who asked for it and the nearest name.
//
// Mirrors bitbake lib/bb/runqueue.py (RunQueueData.prepare), lib/bb/taskdata.py, lib/bb/siggen.py and the dependency
// rules of lib/bb/data.py. The inputs of a signature are the ones that BitBake counts, except that a function is taken to
// call every function whose name it holds as a word; the values are this program's own.
package taskgraph

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// Target is what was asked for.
type Target struct {
	MC   string // multiconfig, "" for the default one
	Name string // a recipe or what one provides, e.g. "isar-k3s-image-base"
	Task string // without "do_"; "" = "build"
}

// Task is one node of the graph.
type Task struct {
	Recipe    *recipe.Recipe
	Name      string  // e.g. "do_rootfs_install"
	DependsOn []*Task // sorted by recipe and name, without repetition
	NoExec    bool    // there is nothing to run
	NoStamp   bool    // runs every time
	Signature string  // hex digits
	Inputs    []Input // what the signature is made of, in its order

	mark int // of the depth-first walk
}

// ID names a task among all, e.g. "mc:x:/layer/recipes/a/a_1.bb:do_build".
func (t *Task) ID() string { return t.Recipe.Name() + ":" + t.Name }

// Graph is a set of tasks that is closed under dependencies.
type Graph struct {
	Tasks   []*Task // each after what it depends on
	Targets []*Task // what was asked for, in that order
}

// World is what the graph needs of the parsed metadata; [recipe.World] is one.
type World interface {
	Provider(mc, target string) (*recipe.Recipe, error)
	RuntimeProviders(mc, pkg string) ([]*recipe.Recipe, error)
}

// Options gives the graph what lies outside the metadata.
type Options struct {
	// FileDigest identifies a file's or folder's content, "" when it does not exist. nil leaves contents out.
	FileDigest func(path string) (string, error)
}

type builder struct {
	w     World
	o     Options
	tasks map[*recipe.Recipe]map[string]*Task
	order []*Task
	path  []*Task
	sigs  map[*recipe.Recipe]*signer
}

// Build makes the graph of targets.
func Build(w World, targets []Target, o Options) (*Graph, error) {
	b := &builder{w: w, o: o, tasks: map[*recipe.Recipe]map[string]*Task{}, sigs: map[*recipe.Recipe]*signer{}}
	g := &Graph{}
	var errs []error
	for _, t := range targets {
		r, err := w.Provider(t.MC, t.Name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		name := t.Task
		if name == "" {
			name = "build"
		}
		task, err := b.task(r, "do_"+strings.TrimPrefix(name, "do_"), "")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := b.visit(task); err != nil {
			errs = append(errs, err)
			continue
		}
		g.Targets = append(g.Targets, task)
	}
	g.Tasks = b.order
	return g, errors.Join(errs...)
}

// task is the node of a recipe's task; by says who asks, for the error when there is no such task.
func (b *builder) task(r *recipe.Recipe, name, by string) (*Task, error) {
	if t := b.tasks[r][name]; t != nil {
		return t, nil
	}
	def := r.Task(name)
	if def == nil {
		var names []string
		for _, t := range r.Tasks {
			names = append(names, t.Name)
		}
		err := diag.Userf(diag.Pos{File: r.File}, "recipe %s has no task %s", r.PN, name)
		if by != "" {
			err.WithNote("needed by %s", by)
		}
		if near := diag.Nearest(name, names); near != "" {
			return nil, err.WithHint("did you mean %s?", near)
		}
		return nil, err.WithHint("its tasks are: %s", strings.Join(names, " "))
	}
	t := &Task{Recipe: r, Name: name}
	if b.tasks[r] == nil {
		b.tasks[r] = map[string]*Task{}
	}
	b.tasks[r][name] = t
	var err error
	if t.NoExec, err = truth(r, name, "noexec"); err == nil {
		t.NoStamp, err = truth(r, name, "nostamp")
	}
	return t, err
}

func truth(r *recipe.Recipe, task, flag string) (bool, error) {
	v, _, err := r.Data.VarFlag(task, flag, true)
	switch strings.ToLower(v) {
	case "", "0", "n", "no", "f", "false":
		return false, err
	}
	return true, err
}

const (
	unseen = iota
	open
	closed
)

// visit puts a task, after everything that it needs, into the order, and signs it.
func (b *builder) visit(t *Task) error {
	switch t.mark {
	case closed:
		return nil
	case open:
		return b.cycle(t)
	}
	t.mark = open
	b.path = append(b.path, t)
	var err error
	if t.DependsOn, err = b.dependencies(t); err != nil {
		return err
	}
	for _, d := range t.DependsOn {
		if err := b.visit(d); err != nil {
			return err
		}
	}
	b.path = b.path[:len(b.path)-1]
	t.mark = closed
	if err := b.sign(t); err != nil {
		return err
	}
	b.order = append(b.order, t)
	return nil
}

func (b *builder) cycle(t *Task) error {
	at := slices.Index(b.path, t)
	err := diag.Userf(diag.Pos{File: t.Recipe.File}, "tasks wait for each other in a circle")
	for _, p := range append(slices.Clone(b.path[at:]), t) {
		err.WithNote("%s of %s", p.Name, p.Recipe.PN)
	}
	return err.WithHint("take one of the dependencies out: look at DEPENDS, addtask and the [depends] flags of these recipes")
}

// dependencies are the tasks that t needs directly.
func (b *builder) dependencies(t *Task) ([]*Task, error) {
	c := &collector{b: b, t: t, seen: map[*Task]bool{}}
	for _, step := range []func() error{c.after, c.depends, c.deptask, c.rdepends, c.rdeptask, c.recrdeptask, c.mcdepends} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(c.found, func(x, y *Task) int { return strings.Compare(x.ID(), y.ID()) })
	return c.found, nil
}

// collector gathers the dependencies of one task.
type collector struct {
	b     *builder
	t     *Task
	found []*Task
	seen  map[*Task]bool
}

func (c *collector) by() string { return fmt.Sprintf("%s of %s", c.t.Name, c.t.Recipe.PN) }

func (c *collector) add(r *recipe.Recipe, task string) error {
	t, err := c.b.task(r, task, c.by())
	if err == nil && t != c.t && !c.seen[t] {
		c.seen[t] = true
		c.found = append(c.found, t)
	}
	return err
}

// addIfPresent is add for tasks that not every recipe has.
func (c *collector) addIfPresent(r *recipe.Recipe, task string) error {
	if r.Task(task) == nil {
		return nil
	}
	return c.add(r, task)
}

func (c *collector) flag(name string) ([]string, error) {
	v, _, err := c.t.Recipe.Data.VarFlag(c.t.Name, name, true)
	return strings.Fields(v), err
}

func (c *collector) provider(mc, name string) (*recipe.Recipe, error) {
	r, err := c.b.w.Provider(mc, name)
	var d *diag.Error
	if errors.As(err, &d) {
		return nil, d.WithNote("needed by %s (%s)", c.by(), c.t.Recipe.File)
	}
	return r, err
}

// after adds the recipe's own tasks that addtask puts before this one; names of tasks that do not exist are ignored.
func (c *collector) after() error {
	for _, name := range c.t.Recipe.Task(c.t.Name).After {
		if err := c.addIfPresent(c.t.Recipe, name); err != nil {
			return err
		}
	}
	return nil
}

// depends adds [depends] = "recipe:task ...".
func (c *collector) depends() error {
	words, err := c.flag("depends")
	if err != nil {
		return err
	}
	for _, w := range words {
		name, task, ok := strings.Cut(w, ":")
		if !ok {
			return diag.Userf(diag.Pos{File: c.t.Recipe.File}, "%s[depends] has %q, which is not recipe:task", c.t.Name, w)
		}
		r, err := c.provider(c.t.Recipe.MC, name)
		if err != nil {
			return err
		}
		if err := c.add(r, task); err != nil {
			return err
		}
	}
	return nil
}

// deptask adds a task of everything in DEPENDS. Every dependency must have a provider, even where the task is missing.
func (c *collector) deptask() error {
	tasks, err := c.flag("deptask")
	if err != nil || len(tasks) == 0 {
		return err
	}
	for _, name := range c.t.Recipe.Depends {
		r, err := c.provider(c.t.Recipe.MC, name)
		if err != nil {
			return err
		}
		for _, task := range tasks {
			if err := c.addIfPresent(r, task); err != nil {
				return err
			}
		}
	}
	return nil
}

// rdepends adds [rdepends] = "package:task ...".
func (c *collector) rdepends() error {
	words, err := c.flag("rdepends")
	if err != nil {
		return err
	}
	for _, w := range words {
		pkg, task, ok := strings.Cut(w, ":")
		if !ok {
			return diag.Userf(diag.Pos{File: c.t.Recipe.File}, "%s[rdepends] has %q, which is not package:task", c.t.Name, w)
		}
		list, err := c.b.w.RuntimeProviders(c.t.Recipe.MC, pkg)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return diag.Userf(diag.Pos{File: c.t.Recipe.File}, "%s[rdepends] needs the package %s, which nothing provides", c.t.Name, pkg)
		}
		if err := c.add(list[0], task); err != nil {
			return err
		}
	}
	return nil
}

// rdeptask adds a task of the recipes of everything in RDEPENDS.
func (c *collector) rdeptask() error {
	tasks, err := c.flag("rdeptask")
	if err != nil || len(tasks) == 0 {
		return err
	}
	list, err := c.b.runtimeDepends(c.t.Recipe)
	if err != nil {
		return err
	}
	for _, r := range list {
		for _, task := range tasks {
			if err := c.addIfPresent(r, task); err != nil {
				return err
			}
		}
	}
	return nil
}

// runtimeDepends are the recipes that a recipe's packages need when they run. What no recipe provides comes from the
// distribution's archive.
func (b *builder) runtimeDepends(r *recipe.Recipe) ([]*recipe.Recipe, error) {
	var names []string
	for _, list := range r.RDepends {
		names = append(names, list...)
	}
	slices.Sort(names)
	var out []*recipe.Recipe
	for _, name := range slices.Compact(names) {
		list, err := b.w.RuntimeProviders(r.MC, name)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 {
			out = append(out, list[0])
		}
	}
	return out, nil
}

// recrdeptask adds a task of every recipe that this one needs, directly or not, to build or to run, and of itself.
func (c *collector) recrdeptask() error {
	tasks, err := c.flag("recrdeptask")
	if err != nil || len(tasks) == 0 {
		return err
	}
	seen := map[*recipe.Recipe]bool{c.t.Recipe: true}
	for queue := []*recipe.Recipe{c.t.Recipe}; len(queue) > 0; queue = queue[1:] {
		r := queue[0]
		for _, task := range tasks {
			if r == c.t.Recipe && task == c.t.Name {
				continue
			}
			if err := c.addIfPresent(r, task); err != nil {
				return err
			}
		}
		next, err := c.b.runtimeDepends(r)
		if err != nil {
			return err
		}
		for _, name := range r.Depends {
			d, err := c.provider(r.MC, name)
			if err != nil {
				return err
			}
			next = append(next, d)
		}
		for _, d := range next {
			if !seen[d] {
				seen[d] = true
				queue = append(queue, d)
			}
		}
	}
	return nil
}

// mcdepends adds [mcdepends] = "mc:from:to:recipe:task ...", for the multiconfig that from names.
func (c *collector) mcdepends() error {
	words, err := c.flag("mcdepends")
	if err != nil {
		return err
	}
	for _, w := range words {
		parts := strings.Split(w, ":")
		if len(parts) != 5 || parts[0] != "mc" {
			return diag.Userf(diag.Pos{File: c.t.Recipe.File}, "%s[mcdepends] has %q, which is not mc:from:to:recipe:task", c.t.Name, w)
		}
		if parts[1] != c.t.Recipe.MC {
			continue
		}
		r, err := c.provider(parts[2], parts[3])
		if err != nil {
			return err
		}
		if err := c.add(r, parts[4]); err != nil {
			return err
		}
	}
	return nil
}
