package taskgraph

import (
	"errors"
	"slices"
	"strings"

	"n3x/internal/diag"
)

// fail notes that a recipe cannot be built, and what follows from that. chain are the names that led to it, innermost last.
func (d *taskData) fail(n *node, chain []string) {
	if n.failed {
		return
	}
	n.failed = true
	for _, w := range slices.Clone(d.builds.order) {
		if drop(w, n) {
			d.removeBuild(w, chain)
		}
	}
	for _, w := range slices.Clone(d.packages.order) {
		if drop(w, n) {
			d.removePackage(w, chain)
		}
	}
}

// drop takes a recipe out of a name's providers, and reports whether it was the last one.
func drop(w *wanted, n *node) bool {
	i := slices.Index(w.providers, n)
	if i < 0 {
		return false
	}
	w.providers = slices.Delete(slices.Clone(w.providers), i, i+1)
	return len(w.providers) == 0
}

// removeBuild notes that nothing can be built for a name.
func (d *taskData) removeBuild(w *wanted, chain []string) {
	chain = append([]string{w.name}, chain...)
	w.failed = true
	for _, n := range slices.Clone(d.nodes) {
		if slices.Contains(n.recipe.Depends, w.name) || d.namedBy(n, "depends", w.name) {
			d.fail(n, chain)
		}
	}
	if w.external && !d.r.req.KeepGoing && !d.r.req.Incomplete {
		d.r.fatal = append(d.r.fatal, d.unbuildable(w, chain))
	}
}

func (d *taskData) removePackage(w *wanted, chain []string) {
	chain = append([]string{w.name}, chain...)
	w.failed = true
	for _, n := range slices.Clone(d.nodes) {
		if slices.Contains(n.runs, w.name) || d.namedBy(n, "rdepends", w.name) {
			d.fail(n, chain)
		}
	}
}

// namedBy reports whether the flag of one of a recipe's tasks has a name.
func (d *taskData) namedBy(n *node, flag, name string) bool {
	for _, t := range n.order {
		words, _ := d.pairs(t, flag) // errors were reported before
		if slices.ContainsFunc(words, func(p pair) bool { return p.name == name }) {
			return true
		}
	}
	return false
}

func (d *taskData) unbuildable(w *wanted, chain []string) error {
	return diag.Userf(diag.Pos{}, "target %s cannot be built", target(d.mc, w.name)).
		WithNote("what is missing or cannot be built: %s", strings.Join(chain, ", which needs ")).
		WithHint("-k builds the other targets")
}

func target(mc, name string) string {
	if mc == "" {
		return name
	}
	return "mc:" + mc + ":" + name
}

// add finds the recipes of a name that the user, or a dependency between multiconfigs, asks for.
func (d *taskData) add(name, by string) (*wanted, error) {
	w := d.builds.seen(name, by)
	err := d.provide(w)
	w.external = true
	if !missing(err) {
		return w, err
	}
	if d.r.req.KeepGoing || d.r.req.Incomplete {
		d.r.problems = append(d.r.problems, err)
		d.removeBuild(w, nil)
		return w, nil
	}
	d.r.fatal = append(d.r.fatal, err)
	w.failed = true
	return w, nil
}

func missing(err error) bool {
	var m errMissing
	return errors.As(err, &m)
}

// resolve finds recipes for all that is needed, until nothing new comes up.
func (d *taskData) resolve() error {
	for added := true; added; {
		added = false
		for _, w := range unsettled(d.builds) {
			ok, err := d.settle(w, d.provide, func() {
				if !d.r.req.Incomplete {
					d.removeBuild(w, nil)
				}
			})
			if err != nil {
				return err
			}
			added = added || ok
		}
		for _, w := range unsettled(d.packages) {
			ok, err := d.settle(w, d.provideRuntime, func() { d.removePackage(w, nil) })
			if err != nil {
				return err
			}
			added = added || ok
		}
	}
	return nil
}

// unsettled are the names that have no recipe yet.
func unsettled(n names) []*wanted {
	var out []*wanted
	for _, w := range n.order {
		if len(w.providers) == 0 && !w.failed && !w.reported {
			out = append(out, w)
		}
	}
	return out
}

// settle finds the recipes of one name; remove says what it means that there are none.
func (d *taskData) settle(w *wanted, provide func(*wanted) error, remove func()) (bool, error) {
	if len(w.providers) > 0 || w.failed {
		return false, nil
	}
	err := provide(w)
	if missing(err) {
		w.reported = true
		d.r.problems = append(d.r.problems, err)
		remove()
		return false, nil
	}
	return len(w.providers) > 0, err
}

// resolve finds the recipes of all multiconfigs. A recipe that is built by itself has no dependencies.
func (r *resolver) resolve() error {
	if r.req.File != nil {
		return nil
	}
	seen := map[string]bool{}
	for again := true; again; {
		again = false
		for _, d := range r.order {
			if err := d.resolve(); err != nil {
				return err
			}
		}
		for _, d := range r.order {
			for _, m := range d.multi {
				key := m.to + ":" + m.name
				if seen[key] {
					continue
				}
				seen[key], again = true, true
				to, err := r.config(m.to, m.by)
				if err != nil {
					return err
				}
				if _, err := to.add(m.name, m.by); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// config is a multiconfig by name.
func (r *resolver) config(mc, by string) (*taskData, error) {
	if d := r.data[mc]; d != nil {
		return d, nil
	}
	_, err := r.w.Providers(mc, "") // says why there is none
	return nil, because(err, by)
}
