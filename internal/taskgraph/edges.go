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

// edges connects all tasks of all recipes, but for what follows from [recrdeptask] further away than one step.
func (r *resolver) edges() error {
	all := r.multis()
	for _, n := range r.order {
		for _, t := range n.order {
			for _, after := range n.recipe.Task(t.Name).After {
				t.need(n.tasks[after]) // that of a task that does not exist is nil, and says nothing
			}
			for _, step := range []func(*Task) error{r.depends, classwide} {
				if err := step(t); err != nil {
					return err
				}
			}
			if _, ok := n.recipe.Task(t.Name).Flags["mcdepends"]; ok {
				if err := r.mcdepends(t, all[n.recipe.MC]); err != nil {
					return err
				}
			}
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
func (r *resolver) depends(t *Task) error {
	for _, flag := range []string{"depends", "rdepends"} {
		words, err := t.pairs(flag)
		if err != nil {
			return err
		}
		for _, w := range words {
			n := r.found[name{mc: t.Recipe.MC, word: w.name, run: flag == "rdepends"}]
			if n == nil { // ASSUME_PROVIDED
				continue
			}
			d, err := n.task(w.task, t.by())
			if err != nil {
				return err
			}
			t.need(d)
		}
	}
	return nil
}

// classwide adds what is asked of all dependencies: [deptask] of those in DEPENDS, [rdeptask] of those in RDEPENDS, and
// [recrdeptask] of both. Recipes without the task are passed over.
func classwide(t *Task) error {
	for _, f := range []struct {
		flag string
		of   [][]*node
	}{{"deptask", [][]*node{t.node.builds}}, {"rdeptask", [][]*node{t.node.runs}}, {"recrdeptask", [][]*node{t.node.builds, t.node.runs}}} {
		tasks, err := t.words(f.flag)
		if err != nil {
			return err
		}
		for _, name := range tasks {
			for _, n := range slices.Concat(f.of...) {
				t.need(n.tasks[name])
			}
		}
	}
	return nil
}

// multis are the words of all [mcdepends] flags by the multiconfig that carries them.
func (r *resolver) multis() map[string][]multi {
	all := map[string][]multi{}
	for _, n := range r.order {
		all[n.recipe.MC] = append(all[n.recipe.MC], n.multi...)
	}
	return all
}

// mcdepends adds the multiconfig dependencies of a task. BitBake gives each task that has any those of all tasks of its
// multiconfig; so does this.
func (r *resolver) mcdepends(t *Task, all []multi) error {
	for _, w := range all {
		if w.from != t.Recipe.MC {
			continue
		}
		n := r.found[name{mc: w.to, word: w.name}]
		if n == nil {
			continue
		}
		d, err := n.task(w.task, t.by())
		if err != nil {
			return err
		}
		t.need(d)
	}
	return nil
}
