package taskgraph

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// node is a recipe that the targets lead to, by whatever kind of dependency.
type node struct {
	index  int
	recipe *recipe.Recipe
	tasks  map[string]*Task
	order  []*Task
	runs   []string // names in RDEPENDS and RRECOMMENDS
	failed bool     // something that it needs cannot be built
}

// multi is one word of an [mcdepends] flag.
type multi struct{ from, to, name, task, by string }

// wanted is a name that something needs, with the recipes that can be built for it, the chosen one first.
type wanted struct {
	name      string
	by        string // who asked first, for messages
	providers []*node
	failed    bool
	external  bool // the user asked for it
	reported  bool // that there is none
}

// names are all that are needed of one kind, in the order in which they came up.
type names struct {
	of    map[string]*wanted
	order []*wanted
}

// seen notes that a name is needed.
func (n *names) seen(name, by string) *wanted {
	if w := n.of[name]; w != nil {
		return w
	}
	w := &wanted{name: name, by: by}
	n.of[name] = w
	n.order = append(n.order, w)
	return w
}

// chosen is the recipe that a name is built from, or nil.
func (n *names) chosen(name string) *node {
	if w := n.of[name]; w != nil && len(w.providers) > 0 {
		return w.providers[0]
	}
	return nil
}

// taskData is what one multiconfig contributes.
type taskData struct {
	r           *resolver
	mc          string
	builds      names // recipes and what they provide
	packages    names
	nodes       []*node
	multi       []multi
	seenMulti   map[string]bool
	ignored     []*regexp.Regexp
	ignoredDone bool
}

// resolver finds the recipes that targets lead to.
type resolver struct {
	w        World
	req      Request
	nodes    map[*recipe.Recipe]*node
	data     map[string]*taskData
	order    []*taskData
	problems []error // what is missing although the graph can be made without
	fatal    []error // why it cannot
}

func newResolver(w World, req Request) *resolver {
	r := &resolver{w: w, req: req, nodes: map[*recipe.Recipe]*node{}, data: map[string]*taskData{}}
	for _, mc := range w.Multiconfigs() {
		if req.File != nil && req.File.MC != mc {
			continue
		}
		d := &taskData{r: r, mc: mc, builds: names{of: map[string]*wanted{}}, packages: names{of: map[string]*wanted{}}, seenMulti: map[string]bool{}}
		r.data[mc] = d
		r.order = append(r.order, d)
	}
	return r
}

// assumed reports whether ASSUME_PROVIDED, a list of names and regular expressions, has a name.
func (d *taskData) assumed(word string) (bool, error) {
	if base := d.r.w.Base(d.mc); !d.ignoredDone && base != nil && d.r.req.File == nil {
		d.ignoredDone = true
		words, err := base.Words("ASSUME_PROVIDED")
		if err != nil {
			return false, err
		}
		for _, w := range words {
			pattern := "^" + regexp.QuoteMeta(w) + "$"
			if strings.HasPrefix(w, "^") || strings.HasSuffix(w, "$") {
				pattern = "^(?:" + strings.TrimPrefix(w, "^") + ")"
			}
			re, err := regexp.Compile(pattern)
			if err != nil {
				return false, diag.Userf(base.LastSet("ASSUME_PROVIDED"), "ASSUME_PROVIDED has %q: %w", w, err)
			}
			d.ignored = append(d.ignored, re)
		}
	}
	return slices.ContainsFunc(d.ignored, func(re *regexp.Regexp) bool { return re.MatchString(word) }), nil
}

// errMissing marks errors of names that nothing provides; all others end the making of a graph.
type errMissing struct{ error }

func (e errMissing) Unwrap() error { return e.error }

// provide finds the recipes for a name.
func (d *taskData) provide(w *wanted) error {
	if skip, err := d.assumed(w.name); skip || err != nil || len(w.providers) > 0 {
		return err
	}
	list, err := d.eligible(w)
	if err != nil {
		return errMissing{because(err, w.by)}
	}
	return d.use(list, w)
}

func (d *taskData) eligible(w *wanted) ([]*recipe.Recipe, error) {
	if f := d.r.req.File; f != nil {
		return []*recipe.Recipe{f}, nil
	}
	return d.r.w.Providers(d.mc, w.name)
}

// because adds who needs it to an error.
func because(err error, by string) error {
	var e *diag.Error
	if by != "" && errors.As(err, &e) {
		return e.WithNote("needed by %s", by)
	}
	return err
}

// use adds recipes, but for those that cannot be built.
func (d *taskData) use(list []*recipe.Recipe, w *wanted) error {
	some := false
	for _, rec := range list {
		if n := d.r.nodes[rec]; n != nil && n.failed {
			continue
		}
		some = true
		n, fresh := d.node(rec)
		if !slices.Contains(w.providers, n) {
			w.providers = append(w.providers, n)
		}
		if fresh {
			if err := d.reach(n); err != nil {
				return err
			}
		}
	}
	if !some {
		return errMissing{because(diag.Userf(diag.Pos{}, "no recipe that provides %s can be built", w.name), w.by)}
	}
	return nil
}

// provideRuntime finds the recipes for a package.
func (d *taskData) provideRuntime(w *wanted) error {
	if skip, err := d.assumed(w.name); skip || err != nil || len(w.providers) > 0 {
		return err
	}
	list, err := d.r.w.RuntimeProviders(d.mc, w.name)
	if err != nil {
		return errMissing{because(err, w.by)}
	}
	if len(list) == 0 {
		return errMissing{diag.Userf(diag.Pos{}, "nothing RPROVIDES %s", w.name).WithNote("needed by %s", w.by).
			WithHint("RDEPENDS and [rdepends] name packages of recipes; those of the distribution belong into DEBIAN_DEPENDS")}
	}
	return d.use(list, w)
}

// node is the one of a recipe, with its tasks.
func (d *taskData) node(rec *recipe.Recipe) (n *node, fresh bool) {
	if n := d.r.nodes[rec]; n != nil {
		return n, false
	}
	n = &node{index: len(d.r.nodes), recipe: rec, tasks: map[string]*Task{}}
	for _, def := range rec.Tasks {
		t := &Task{Recipe: rec, Name: def.Name, node: n, needs: map[*Task]bool{}}
		// Whatever the value: BitBake only looks whether the flag is there.
		_, t.NoExec = def.Flags["noexec"]
		_, t.NoStamp = def.Flags["nostamp"]
		n.tasks[t.Name] = t
		n.order = append(n.order, t)
	}
	d.r.nodes[rec] = n
	d.nodes = append(d.nodes, n)
	return n, true
}

// reach notes what a recipe and its tasks name.
func (d *taskData) reach(n *node) error {
	file := n.recipe.File
	for _, t := range n.order {
		by := t.by() + " (" + file + ")"
		for _, k := range []struct {
			flag string
			to   *names
		}{{"depends", &d.builds}, {"rdepends", &d.packages}} {
			words, err := d.pairs(t, k.flag)
			if err != nil {
				return err
			}
			for _, w := range words {
				k.to.seen(w.name, by)
			}
		}
		if err := d.multis(t, by); err != nil {
			return err
		}
	}
	if d.r.req.File != nil {
		return nil
	}
	if s, err := n.recipe.Data.Value("calculate_extra_depends"); err != nil || s != "" {
		d.r.problems = append(d.r.problems, errors.Join(err, diag.Userf(n.recipe.Data.LastSet("calculate_extra_depends"),
			"%s finds dependencies by running calculate_extra_depends, which is not done; they are left out", n.recipe.PN)))
	}
	n.runs = runtimeNames(n.recipe)
	return d.needs(n)
}

// needs notes DEPENDS, RDEPENDS and RRECOMMENDS.
func (d *taskData) needs(n *node) error {
	for _, k := range []struct {
		list []string
		to   *names
		by   string
	}{{n.recipe.Depends, &d.builds, "DEPENDS of "}, {n.runs, &d.packages, "RDEPENDS of "}} {
		for _, name := range k.list {
			if k.to.seen(name, k.by+n.recipe.File).failed {
				d.fail(n, nil)
				return nil
			}
		}
	}
	return nil
}

// pairs are the words of a flag; a recipe that is built by itself has no [depends].
func (d *taskData) pairs(t *Task, flag string) ([]pair, error) {
	if d.r.req.File != nil && flag == "depends" {
		return nil, nil
	}
	return t.pairs(flag)
}

func (d *taskData) multis(t *Task, by string) error {
	words, err := t.multis()
	for _, w := range words {
		key := w.from + ":" + w.to + ":" + w.name + ":" + w.task
		if !d.seenMulti[key] {
			d.seenMulti[key] = true
			w.by = by
			d.multi = append(d.multi, w)
		}
	}
	return err
}

// runtimeNames are the packages that those of a recipe need or recommend.
func runtimeNames(r *recipe.Recipe) []string {
	names := map[string]bool{}
	for _, lists := range []map[string][]string{r.RDepends, r.RRecommends} {
		for _, list := range lists {
			for _, n := range list {
				names[n] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
