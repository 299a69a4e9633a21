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
	builds []*node // of DEPENDS
	runs   []*node // of RDEPENDS and RRECOMMENDS
	multi  []multi // of its tasks' [mcdepends]
}

// multi is one word of an [mcdepends] flag.
type multi struct{ from, to, name, task string }

// name identifies something to be provided.
type name struct {
	mc, word string
	run      bool // a package, not a recipe
}

// resolver finds the recipes that targets lead to.
type resolver struct {
	w       World
	nodes   map[*recipe.Recipe]*node
	order   []*node
	found   map[name]*node // also those that failed: nil
	ignored map[string][]*regexp.Regexp
}

func newResolver(w World) *resolver {
	return &resolver{w: w, nodes: map[*recipe.Recipe]*node{}, found: map[name]*node{}, ignored: map[string][]*regexp.Regexp{}}
}

// node is the one of a recipe, with its tasks.
func (r *resolver) node(rec *recipe.Recipe) *node {
	n := r.nodes[rec]
	if n != nil {
		return n
	}
	n = &node{index: len(r.order), recipe: rec, tasks: map[string]*Task{}}
	for _, def := range rec.Tasks {
		t := &Task{Recipe: rec, Name: def.Name, node: n, needs: map[*Task]bool{}}
		// Whatever the value: BitBake only looks whether the flag is there.
		_, t.NoExec = def.Flags["noexec"]
		_, t.NoStamp = def.Flags["nostamp"]
		n.tasks[t.Name] = t
		n.order = append(n.order, t)
	}
	r.nodes[rec] = n
	r.order = append(r.order, n)
	return n
}

// provider is the recipe to build for a name. It is nil when the name is in ASSUME_PROVIDED, and when its failure was
// reported before.
func (r *resolver) provider(mc, word, by string) (*node, error) {
	key := name{mc: mc, word: word}
	if n, done := r.found[key]; done {
		return n, nil
	}
	r.found[key] = nil
	if by != "" {
		if skip, err := r.assumed(mc, word); skip || err != nil {
			return nil, err
		}
	}
	rec, err := r.w.Provider(mc, word)
	if err != nil {
		var d *diag.Error
		if by != "" && errors.As(err, &d) {
			return nil, d.WithNote("needed by %s", by)
		}
		return nil, err
	}
	r.found[key] = r.node(rec)
	return r.found[key], nil
}

// runtimeProvider is the recipe to build for a package, likewise.
func (r *resolver) runtimeProvider(mc, pkg, by string) (*node, error) {
	key := name{mc: mc, word: pkg, run: true}
	if n, done := r.found[key]; done {
		return n, nil
	}
	r.found[key] = nil
	if skip, err := r.assumed(mc, pkg); skip || err != nil {
		return nil, err
	}
	list, err := r.w.RuntimeProviders(mc, pkg)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, diag.Userf(diag.Pos{}, "nothing RPROVIDES %s", pkg).WithNote("needed by %s", by).
			WithHint("RDEPENDS and [rdepends] name packages of recipes; those of the distribution belong into DEBIAN_DEPENDS")
	}
	r.found[key] = r.node(list[0])
	return r.found[key], nil
}

// assumed reports whether ASSUME_PROVIDED, a list of names and regular expressions, has a name.
func (r *resolver) assumed(mc, word string) (bool, error) {
	list, done := r.ignored[mc]
	if base := r.w.Base(mc); !done && base != nil {
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
			list = append(list, re)
		}
		r.ignored[mc] = list
	}
	return slices.ContainsFunc(list, func(re *regexp.Regexp) bool { return re.MatchString(word) }), nil
}

// close reaches everything that the recipes found so far lead to. It reports all that is missing.
func (r *resolver) close() error {
	var errs []error
	for i := 0; i < len(r.order); i++ {
		errs = append(errs, r.reach(r.order[i])...)
	}
	return errors.Join(errs...)
}

// reach finds what a recipe and its tasks name.
func (r *resolver) reach(n *node) (errs []error) {
	mc, file := n.recipe.MC, n.recipe.File
	for _, word := range n.recipe.Depends {
		d, err := r.provider(mc, word, "DEPENDS of "+file)
		n.builds, errs = appended(n.builds, d), append(errs, err)
	}
	for _, word := range runtimeNames(n.recipe) {
		d, err := r.runtimeProvider(mc, word, "RDEPENDS of "+file)
		n.runs, errs = appended(n.runs, d), append(errs, err)
	}
	for _, t := range n.order {
		by := t.by() + " (" + file + ")"
		for _, k := range []struct {
			flag string
			find func(mc, name, by string) (*node, error)
		}{{"depends", r.provider}, {"rdepends", r.runtimeProvider}} {
			words, err := t.pairs(k.flag)
			errs = append(errs, err)
			for _, w := range words {
				_, err := k.find(mc, w.name, by)
				errs = append(errs, err)
			}
		}
		words, err := t.multis()
		errs = append(errs, err)
		n.multi = append(n.multi, words...)
		for _, w := range words {
			if w.from == mc {
				_, err := r.provider(w.to, w.name, by)
				errs = append(errs, err)
			}
		}
	}
	return errs
}

func appended(list []*node, n *node) []*node {
	if n == nil {
		return list
	}
	return append(list, n)
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
