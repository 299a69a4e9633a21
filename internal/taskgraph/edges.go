package taskgraph

import (
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// words are those of a task's flag, expanded.
func (t *Task) words(flag string) ([]string, error) {
	if _, ok := t.Recipe.Task(t.Name).Flags[flag]; !ok {
		return nil, nil
	}
	v, _, err := t.Recipe.Data.VarFlag(t.Name, flag, true)
	return strings.FieldsFunc(v, datastore.IsSpace), err
}

// pair is one word of [depends] or [rdepends].
type pair struct{ name, task string }

func (t *Task) pairs(flag string) ([]pair, error) {
	words, err := t.words(flag)
	var out []pair
	for _, w := range words {
		name, task, ok := strings.Cut(w, ":")
		if !ok || strings.Contains(task, ":") {
			what := map[string]string{"depends": "recipe:task", "rdepends": "package:task"}[flag]
			return nil, diag.Userf(t.Recipe.Data.LastSet(t.Name), "%s[%s] of %s has %q, which is not %s", t.Name, flag, t.Recipe.PN, w, what).
				WithHint("e.g. %s", map[string]string{"depends": "virtual/kernel:do_deploy_deb", "rdepends": "busybox:do_build"}[flag])
		}
		out = append(out, pair{name, task})
	}
	return out, err
}

func (t *Task) multis() ([]multi, error) {
	words, err := t.words("mcdepends")
	var out []multi
	for _, w := range words {
		parts := strings.Split(w, ":")
		if len(parts) != 5 || parts[0] != "mc" {
			return nil, diag.Userf(t.Recipe.Data.LastSet(t.Name), "%s[mcdepends] of %s has %q, which is not mc:from:to:recipe:task", t.Name, t.Recipe.PN, w).
				WithHint("e.g. mc:qemuamd64-trixie:qemuarm64-trixie:isar-image-base:do_image; from or to may be empty, for the default configuration")
		}
		out = append(out, multi{from: parts[1], to: parts[2], name: parts[3], task: parts[4]})
	}
	return out, err
}

// edges connects all tasks of all recipes, but for what follows from [recrdeptask] further away than one step. Recipes that
// cannot be built have no edges.
func (r *resolver) edges() error {
	for _, d := range r.order {
		for _, n := range d.nodes {
			if n.failed {
				continue
			}
			for _, t := range n.order {
				if err := d.edges(n, t); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (d *taskData) edges(n *node, t *Task) error {
	for _, after := range n.recipe.Task(t.Name).After {
		t.need(n.tasks[after]) // that of a task that does not exist is nil, and says nothing
	}
	for _, step := range []func(*Task) error{d.depends, d.classwide, d.mcdepends} {
		if err := step(t); err != nil {
			return err
		}
	}
	return nil
}

// need adds an edge; a task does not wait for itself.
func (t *Task) need(d *Task) {
	if d != nil && d != t {
		t.needs[d] = true
	}
}

// depends adds [depends] = "recipe:task ..." and [rdepends] = "package:task ...".
func (d *taskData) depends(t *Task) error {
	for _, k := range []struct {
		flag string
		of   *names
	}{{"depends", &d.builds}, {"rdepends", &d.packages}} {
		words, err := d.pairs(t, k.flag)
		if err != nil {
			return err
		}
		for _, w := range words {
			n := k.of.chosen(w.name)
			if n == nil { // ASSUME_PROVIDED, or missing
				continue
			}
			other, err := n.task(w.task, t.by())
			if err != nil {
				return err
			}
			t.need(other)
		}
	}
	return nil
}

// classwide adds what is asked of all dependencies: [deptask] of those in DEPENDS, [rdeptask] of those in RDEPENDS, and
// [recrdeptask] of both. Recipes without the task are passed over.
func (d *taskData) classwide(t *Task) error {
	for _, f := range []struct {
		flag          string
		builds, needs bool
	}{{"deptask", true, false}, {"rdeptask", false, true}, {"recrdeptask", true, true}} {
		tasks, err := t.words(f.flag)
		if err != nil {
			return err
		}
		if len(tasks) == 0 || d.r.req.File != nil {
			continue
		}
		if f.builds {
			d.needAll(t, &d.builds, t.Recipe.Depends, tasks)
		}
		if f.needs {
			d.needAll(t, &d.packages, t.node.runs, tasks)
		}
	}
	return nil
}

func (d *taskData) needAll(t *Task, of *names, list, tasks []string) {
	for _, name := range list {
		if n := of.chosen(name); n != nil {
			for _, task := range tasks {
				t.need(n.tasks[task])
			}
		}
	}
}

// mcdepends adds the multiconfig dependencies of a task. BitBake gives each task that has any those of all tasks of its
// multiconfig; so does this.
func (d *taskData) mcdepends(t *Task) error {
	if _, ok := t.Recipe.Task(t.Name).Flags["mcdepends"]; !ok {
		return nil
	}
	for _, w := range d.multi {
		if w.from != d.mc {
			continue
		}
		to := d.r.data[w.to]
		if to == nil {
			return diag.Userf(diag.Pos{File: t.Recipe.File}, "%s needs mc:%s:%s, which -b leaves out", t.by(), w.to, w.name).
				WithHint("build the recipe by its name")
		}
		n := to.builds.chosen(w.name)
		if n == nil {
			return diag.Userf(diag.Pos{File: t.Recipe.File}, "%s needs %s, which cannot be built", t.by(), target(w.to, w.name))
		}
		other, err := n.task(w.task, t.by())
		if err != nil {
			return err
		}
		t.need(other)
	}
	return nil
}

// task is one of the recipe's tasks; by says who asks, for the error when there is no such task.
func (n *node) task(name, by string) (*Task, error) {
	if t := n.tasks[name]; t != nil {
		return t, nil
	}
	var names []string
	for _, t := range n.order {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	err := diag.Userf(diag.Pos{File: n.recipe.File}, "recipe %s has no task %s", n.recipe.PN, name)
	if by != "" {
		err.WithNote("needed by %s", by)
	}
	if near := diag.Nearest(name, names); near != "" {
		return nil, err.WithHint("did you mean %s?", near)
	}
	if len(names) == 0 {
		return nil, err.WithHint("it has none at all: does INHERIT or the recipe name the class that defines them?")
	}
	return nil, err.WithHint("its tasks are: %s", strings.Join(names, " "))
}
