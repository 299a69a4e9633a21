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
	failed  []Failure
	cache   *cache // nil = none

	filesOnce sync.Once
	files     []string

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
	files   []string // of recipes
	appends []recipeAppend
	masked  int // files that BBMASK left out

	// What is known of a configuration from the cache, or for it.
	restored  bool
	said      []message         // of a restored one, to be said again
	late      []message         // that were said when all recipes were known
	entry     *storedConfig     // of the cache, nil when its recipes are not to be used
	byFile    map[string]int    // recipes of entry
	live      map[string]string // values of live variables
	names     []string          // of BBMULTICONFIG
	layers    []Layer           // of the default configuration
	layerDirs []string          // likewise

	recipesOnce sync.Once
	pending     func() []*Recipe // makes recipes, if they are needed
	recipes     []*Recipe
	indexOnce   sync.Once
	index       providerIndex

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

func (w *World) add(mc string, c *config) {
	w.order = append(w.order, mc)
	w.configs[mc] = c
}

// all are the multiconfig's recipes.
func (c *config) all() []*Recipe {
	c.recipesOnce.Do(func() {
		if c.pending != nil {
			c.recipes, c.pending = c.pending(), nil
		}
	})
	return c.recipes
}

// providers is the index of the multiconfig's recipes.
func (c *config) providers() *providerIndex {
	c.indexOnce.Do(func() { c.index = newProviderIndex(c.all()) })
	return &c.index
}

// stored is the entry for a recipe file in the cache, or nil when there is none that can be used.
func (c *config) stored(cache *cache, j *job) *storedRecipe {
	if c.entry == nil {
		return nil
	}
	i, ok := c.byFile[j.file]
	if !ok {
		return nil
	}
	layer, priority := j.collection()
	r := &c.entry.recipes[i]
	if r.layer != layer || r.priority != priority || !slices.Equal(r.appends, j.appends) || !cache.old.holds(r.set) {
		return nil
	}
	return r
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
		return slices.Clone(c.all())
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

// Evaluated is how many configurations and recipe files were evaluated so far because the cache did not have them.
func (w *World) Evaluated() (configurations, recipes int) {
	return int(w.loader.evaluated.configs.Load()), int(w.loader.evaluated.recipes.Load())
}

// Warnings are what BitBake would warn about, sorted by place.
func (w *World) Warnings() []Warning { return w.loader.warnings.sorted() }

// Files are all files that were read or looked for, sorted. A load of the same files with the same options gives the same world.
func (w *World) Files() []string {
	w.filesOnce.Do(w.collectFiles)
	return slices.Clone(w.files)
}

// FollowFiles makes metadata's Python see files as they are when it looks, such as those that a task has just written. Until then
// it sees them as they were when it looked first, however often. To be called when all recipes are loaded and planned.
func (w *World) FollowFiles() { w.loader.tree.follow.Store(true) }

// ReadFile reads a file as metadata sees it, overlays first.
func (w *World) ReadFile(path string) ([]byte, error) { return w.loader.tree.read(path) }

// job is a recipe file to evaluate for a multiconfig.
type job struct {
	mc, file string
	layer    *Layer
	appends  []string
}

// collection is the name and the priority of the layer that the file belongs to.
func (j *job) collection() (name string, priority int) {
	if j.layer == nil {
		return "", 0
	}
	return j.layer.Name, j.layer.Priority
}

// load evaluates the recipes of all multiconfigs, as far as the cache does not have them.
func (w *World) load(ctx context.Context) error {
	if err := w.readLayers(); err != nil {
		return err
	}
	var jobs []job
	for _, mc := range w.order {
		c := w.configs[mc]
		if !c.restored {
			if err := w.find(mc, c); err != nil {
				return err
			}
		}
		found := &found{appends: c.appends}
		for _, f := range c.files {
			jobs = append(jobs, job{mc, f, w.layerOf(f), found.appendsFor(f)})
		}
	}
	w.keepConfigs()
	results := make([]outcome, len(jobs))
	group := errgroup.Group{}
	group.SetLimit(w.parallel())
	for i := range jobs {
		group.Go(func() error {
			results[i] = w.carryOut(ctx, &jobs[i])
			return nil
		})
	}
	_ = group.Wait()
	w.loader.sameTasks.Clear()
	kept := map[string][]*storedRecipe{}
	failures := make([]error, 0, len(jobs))
	for i, j := range jobs {
		c := w.configs[j.mc]
		c.recipes = append(c.recipes, results[i].recipes...)
		kept[j.mc] = append(kept[j.mc], results[i].kept)
		if err := results[i].err; err != nil {
			w.failed = append(w.failed, Failure{j.mc, j.file, err})
			failures = append(failures, err)
		}
	}
	for _, mc := range w.order {
		if err := w.empty(mc, w.configs[mc]); err != nil {
			return err
		}
		w.remarkPreferences(mc, w.configs[mc])
	}
	w.remarkTasks()
	if ctx.Err() == nil && w.cache != nil {
		for _, mc := range w.order {
			w.cache.finish(mc, w.configs[mc], kept[mc])
		}
		w.cache.write(w.order, len(failures) == 0)
	}
	return errors.Join(append(failures, ctx.Err())...)
}

// readLayers reads the collections of the default configuration.
func (w *World) readLayers() (err error) {
	c := w.configs[""]
	if c.restored {
		w.layers = c.layers
		return nil
	}
	w.layers, err = collections(c.base)
	return err
}

// find lists a multiconfig's recipe files and appends.
func (w *World) find(mc string, c *config) error {
	found, err := w.collect(c.base)
	if err != nil {
		return err
	}
	c.files, c.appends, c.masked = found.recipes, found.appends, found.masked
	if err := c.prioritized(found.patterns); err != nil {
		return err
	}
	return w.checkAppends(mc, c.base, found)
}

// keepConfigs hands new configurations to the cache.
func (w *World) keepConfigs() {
	if w.cache == nil {
		return
	}
	w.configs[""].layerDirs = w.loader.layerDirs
	for mc, c := range w.configs {
		if c.restored {
			continue
		}
		var layers []Layer
		if mc == "" {
			layers = w.layers
		}
		w.cache.keepConfig(mc, c, layers)
	}
}

// outcome is what a job gave.
type outcome struct {
	recipes []*Recipe
	kept    *storedRecipe
	err     error
}

// carryOut takes a recipe file from the cache or evaluates it.
func (w *World) carryOut(ctx context.Context, j *job) outcome {
	c := w.configs[j.mc]
	if old := c.stored(w.cache, j); old != nil {
		if recipes, messages := w.cache.recipes(w, c, j.mc, old); recipes != nil {
			w.loader.replay(messages)
			return outcome{recipes: recipes, kept: old}
		}
	}
	recipes, rec, err := w.evaluate(ctx, j)
	if err != nil || recipes == nil {
		return outcome{err: err}
	}
	return outcome{recipes: recipes, kept: w.cache.keepRecipe(c, *j, rec, recipes)}
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
		for _, r := range c.all() {
			for _, f := range r.Files {
				seen[f] = true
			}
		}
	}
	w.files = slices.Sorted(maps.Keys(seen))
}

// evaluate makes the recipes of one file, and says what that depended on.
func (w *World) evaluate(ctx context.Context, j *job) ([]*Recipe, *record, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, nil // reported once, by the caller
	}
	if n := strings.Count(baseName(j.file), "_"); n > 2 {
		return nil, nil, diag.Userf(diag.Pos{File: j.file}, "recipe file name has more than two underscores").
			WithHint("name it NAME_VERSION_REVISION.bb, NAME_VERSION.bb or NAME.bb")
	}
	w.loader.evaluated.recipes.Add(1)
	name, priority := j.collection()
	variants, err := w.configs[j.mc].base.recipe(ctx, j.mc, j.file, name, j.appends)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, nil
		}
		return nil, nil, inRecipe(j.file, err)
	}
	var recipes []*Recipe
	for _, v := range variants {
		r, err := v.summary()
		if err != nil {
			return nil, nil, inRecipe(j.file, err)
		}
		if v.skip == "" {
			unknown := v.unknownTasks()
			w.mention(unknown)
			v.rec.mention(unknown)
		}
		if no, err := v.d.Value("BB_DONT_CACHE"); no != "" || err != nil {
			v.rec.saw(inNothing, "")
		}
		v.finish()
		v.state.known, v.state.mentions = nil, nil
		r.MC, r.File, r.Variant, r.Layer, r.Priority, r.Appends, r.Skip = j.mc, j.file, v.name, name, priority, j.appends, v.skip
		recipes = append(recipes, r)
	}
	return recipes, variants[0].rec, nil
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
		base.warn(diag.Pos{}, "No recipes in "+in+" available for:\n  "+strings.Join(unused, "\n  "))
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
