package recipe

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// World is everything a build directory's metadata says.
type World struct {
	loader  *loader
	order   []string // multiconfigs, the default one first
	configs map[string]*config
	layers  []Layer
	files   []string
	failed  []Failure

	mentionsMu sync.Mutex
	mentions   map[mention]bool // tasks that a recipe names and does not have
}

// Failure is a recipe file that could not be evaluated.
type Failure struct {
	MC   string
	File string
	Err  error
}

// config is one multiconfig.
type config struct {
	base    *evaluator
	recipes []*Recipe
	index   providerIndex
	appends []recipeAppend
	masked  int // files that BBMASK left out

	preferOnce sync.Once
	prefer     *preferences
	preferErr  error
}

// Layer is one collection.
type Layer struct {
	Name     string // of BBFILE_COLLECTIONS
	Pattern  string // BBFILE_PATTERN, a regular expression
	Priority int
	Dir      string // LAYERDIR as the layer's pattern names it, or ""
	re       *pattern
}

func (w *World) addConfig(mc string, base *evaluator) {
	w.order = append(w.order, mc)
	w.configs[mc] = &config{base: base}
}

// Multiconfigs are the names of all multiconfigs; the first is "", the default one.
func (w *World) Multiconfigs() []string { return slices.Clone(w.order) }

// Base is the configuration of a multiconfig, or nil when there is no such multiconfig. Copy it before writing to it.
func (w *World) Base(mc string) *datastore.Data {
	if c := w.configs[mc]; c != nil {
		return c.base.d
	}
	return nil
}

// Recipes are a multiconfig's recipes, also skipped ones, in the order of BBFILES and with variants behind their recipe.
func (w *World) Recipes(mc string) []*Recipe {
	if c := w.configs[mc]; c != nil {
		return slices.Clone(c.recipes)
	}
	return nil
}

// Layers are the collections in the order of BBFILE_COLLECTIONS.
func (w *World) Layers() []Layer { return slices.Clone(w.layers) }

// Masked is how many recipe and append files of a multiconfig BBMASK leaves out.
func (w *World) Masked(mc string) int {
	if c := w.configs[mc]; c != nil {
		return c.masked
	}
	return 0
}

// Failures are the recipe files that [Load]'s error is about.
func (w *World) Failures() []Failure { return slices.Clone(w.failed) }

// Warnings are what BitBake would warn about, sorted by place.
func (w *World) Warnings() []Warning { return w.loader.warnings.sorted() }

// Files are all files that were read or looked for, sorted. A load of the same files with the same options gives the same world.
func (w *World) Files() []string { return slices.Clone(w.files) }

// ReadFile reads a file as metadata sees it, overlays first.
func (w *World) ReadFile(path string) ([]byte, error) { return w.loader.tree.read(path) }

// load evaluates the recipes of all multiconfigs.
func (w *World) load(ctx context.Context) error {
	var err error
	if w.layers, err = collections(w.configs[""].base); err != nil {
		return err
	}
	type job struct {
		mc, file string
		layer    *Layer
		appends  []string
	}
	var jobs []job
	files := map[string][]string{} // recipe files of each multiconfig
	for _, mc := range w.order {
		c := w.configs[mc]
		found, err := w.collect(c.base)
		if err != nil {
			return err
		}
		c.appends, c.masked = found.appends, found.masked
		if err := c.prioritized(found.patterns); err != nil {
			return err
		}
		files[mc] = found.recipes
		for _, f := range found.recipes {
			jobs = append(jobs, job{mc, f, w.layerOf(f), found.appendsFor(f)})
		}
		if err := w.checkAppends(mc, c.base, found); err != nil {
			return err
		}
	}
	results := make([][]*Recipe, len(jobs))
	failures := make([]error, len(jobs))
	group := errgroup.Group{}
	group.SetLimit(w.parallel())
	for i, j := range jobs {
		group.Go(func() error {
			results[i], failures[i] = w.evaluate(ctx, j.mc, j.file, j.layer, j.appends)
			return nil
		})
	}
	_ = group.Wait()
	for i, j := range jobs {
		c := w.configs[j.mc]
		c.recipes = append(c.recipes, results[i]...)
		if failures[i] != nil {
			w.failed = append(w.failed, Failure{j.mc, j.file, failures[i]})
		}
	}
	for _, mc := range w.order {
		c := w.configs[mc]
		c.index = newProviderIndex(c.recipes)
		if err := w.empty(mc, files[mc], c.recipes, c.appends); err != nil {
			return err
		}
		w.remarkPreferences(c)
	}
	w.remarkTasks()
	w.collectFiles()
	return errors.Join(append(failures, ctx.Err())...)
}

func (w *World) parallel() int {
	if w.loader.opts.Parallel > 0 {
		return w.loader.opts.Parallel
	}
	return runtime.GOMAXPROCS(0)
}

func (w *World) collectFiles() {
	seen := map[string]bool{}
	for _, c := range w.configs {
		for _, f := range c.base.state.files {
			seen[f] = true
		}
		for _, r := range c.recipes {
			for _, f := range r.Files {
				seen[f] = true
			}
		}
	}
	w.files = slices.Sorted(maps.Keys(seen))
}

// evaluate makes the recipes of one file.
func (w *World) evaluate(ctx context.Context, mc, file string, layer *Layer, appends []string) ([]*Recipe, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil // reported once, by the caller
	}
	if n := strings.Count(baseName(file), "_"); n > 2 {
		return nil, diag.Userf(diag.Pos{File: file}, "recipe file name has more than two underscores").
			WithHint("name it NAME_VERSION_REVISION.bb, NAME_VERSION.bb or NAME.bb")
	}
	name, priority := "", 0
	if layer != nil {
		name, priority = layer.Name, layer.Priority
	}
	variants, err := w.configs[mc].base.recipe(ctx, mc, file, name, appends)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil
		}
		return nil, inRecipe(file, err)
	}
	var recipes []*Recipe
	for _, v := range variants {
		r, err := v.summary()
		if err != nil {
			return nil, inRecipe(file, err)
		}
		if v.skip == "" {
			w.mention(v.unknownTasks())
		}
		v.finish()
		v.state.known, v.state.mentions = nil, nil
		r.MC, r.File, r.Variant, r.Layer, r.Priority, r.Appends, r.Skip = mc, file, v.name, name, priority, appends, v.skip
		recipes = append(recipes, r)
	}
	return recipes, nil
}

// inRecipe makes sure that err names the recipe it came from.
func inRecipe(file string, err error) error {
	err = placed(diag.Pos{File: file}, err)
	var d *diag.Error
	if errors.As(err, &d) && d.Pos.File != file {
		return &diag.Error{Kind: d.Kind, Text: err.Error() + "\nin recipe " + file, Err: err}
	}
	return err
}

func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// checkAppends refuses appends that fit no recipe, as BitBake does, unless BB_DANGLINGAPPENDS_WARNONLY says otherwise.
func (w *World) checkAppends(mc string, base *evaluator, f *found) error {
	unused := f.unused()
	if len(unused) == 0 {
		return nil
	}
	only, err := base.d.Value("BB_DANGLINGAPPENDS_WARNONLY")
	if err != nil {
		return err
	}
	in := mc
	if mc == "" {
		in = "default"
	}
	if boolean(only) {
		w.loader.warn(diag.Pos{}, "No recipes in "+in+" available for:\n  "+strings.Join(unused, "\n  "))
		return nil
	}
	e := diag.Userf(diag.Pos{File: unused[0]}, "no recipe in %s is called %s.bb, so nothing uses this append", in, strings.TrimSuffix(baseName(unused[0]), ".bbappend"))
	for _, u := range unused[1:] {
		e = e.WithNote("nor %s", u)
	}
	names := make([]string, len(f.recipes))
	for i, r := range f.recipes {
		names[i] = baseName(r) + "append"
	}
	if near := diag.Nearest(baseName(unused[0]), names); near != "" {
		return e.WithHint("did you mean %s? A %% in the name stands for any version", near)
	}
	return e.WithHint("add the layer with the recipe, mask the append by BBMASK, or set BB_DANGLINGAPPENDS_WARNONLY")
}
