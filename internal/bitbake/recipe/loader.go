package recipe

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// loader is one run of Load.
type loader struct {
	*shared
	opts       Options
	layerDirs  []string // of BBLAYERS
	background context.Context
	// origin is BB_ORIGENV.
	origin func() (*datastore.Data, error)
}

func newLoader(opts Options) (*loader, error) {
	top, err := filepath.Abs(opts.TopDir)
	if err != nil {
		return nil, diag.Userf(diag.Pos{File: opts.TopDir}, "find the build directory: %w", err)
	}
	s := &shared{tree: newTree(opts.Overlays), topDir: top, warnings: &warnings{}}
	if s.before, err = parseRelease(opts.BitBake); err != nil {
		return nil, err
	}
	s.tree.dialect = s.before.dialect()
	py := opts.Python
	py.Files, py.Cwd, py.Environ = pythonFiles{s.tree}, top, cleanEnvironment(opts.Environ)
	py.BitBake = opts.BitBake
	log := py.Log
	py.Log = func(level, text string) {
		if level == "warn" || level == "error" {
			s.warn(diag.Pos{}, text)
		}
		if log != nil {
			log(level, text)
		}
	}
	s.caching, s.inherited, s.environ, s.run, s.log = opts.Cache != "", inherited(opts.Environ), py.Environ, py.Run, py.Log
	if s.caching {
		s.tree.sums, s.answers = &sync.Map{}, &sync.Map{}
		py.Run = recordedRun(py.Run)
	}
	py.Funcs = s.functions(py.Funcs)
	s.interp = pyeval.New(py)
	l := &loader{shared: s, opts: opts, background: context.Background()}
	l.origin = sync.OnceValues(func() (*datastore.Data, error) { return originalEnvironment(opts.Environ) })
	return l, nil
}

// cleanEnvironment is os.environ as Python in metadata sees it.
func cleanEnvironment(environ map[string]string) map[string]string {
	clean := map[string]string{}
	for _, name := range approved(environ) {
		if v, ok := environ[name]; ok {
			clean[name] = v
		}
	}
	clean["LC_ALL"] = "en_US.UTF-8"
	return clean
}

// warnings collects what BitBake would warn about, each once. It may be used by several goroutines.
type warnings struct {
	mu   sync.Mutex
	list []Warning
	seen map[Warning]bool
}

func (s *shared) warn(pos diag.Pos, text string) {
	w := Warning{pos, text}
	s.warnings.mu.Lock()
	defer s.warnings.mu.Unlock()
	if s.warnings.seen[w] {
		return
	}
	if s.warnings.seen == nil {
		s.warnings.seen = map[Warning]bool{}
	}
	s.warnings.seen[w] = true
	s.warnings.list = append(s.warnings.list, w)
}

// sorted is the list in an order that does not depend on which recipe was evaluated first.
func (w *warnings) sorted() []Warning {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := slices.Clone(w.list)
	slices.SortStableFunc(list, func(a, b Warning) int {
		if c := strings.Compare(a.Pos.File, b.Pos.File); c != 0 {
			return c
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return strings.Compare(a.Text, b.Text)
	})
	return list
}

// Load reads the build directory. When recipes fail, the error joins one error for each and the world holds the others;
// when the configuration fails the world is nil.
func Load(ctx context.Context, opts Options) (*World, error) {
	start := time.Now()
	l, err := newLoader(opts)
	if err != nil {
		return nil, err
	}
	l.background = ctx
	c := openCache(ctx, l, start)
	if w := c.world(); w != nil {
		return w, nil
	}
	w := &World{loader: l, configs: map[string]*config{}, cache: c}
	base, err := w.configure(ctx, "")
	if err != nil {
		return nil, err
	}
	if !base.restored {
		if base.names, err = base.base.d.Words("BBMULTICONFIG"); err != nil {
			return nil, err
		}
	}
	for _, mc := range base.names {
		if mc[0] >= '0' && mc[0] <= '9' {
			return nil, diag.Userf(base.base.d.LastSet("BBMULTICONFIG"), "multiconfig %q starts with a digit", mc).WithHint("choose another name")
		}
		if _, ok := w.configs[mc]; ok {
			continue
		}
		if _, err := w.configure(ctx, mc); err != nil {
			return nil, err
		}
	}
	if opts.ConfigOnly {
		if err := w.readLayers(); err != nil {
			return w, err
		}
		w.keepConfigs()
		for mc, conf := range w.configs {
			w.cache.finish(mc, conf, nil)
		}
		w.cache.write(w.order, true)
		return w, nil
	}
	return w, w.load(ctx)
}

// configure takes a multiconfig from the cache or evaluates it.
func (w *World) configure(ctx context.Context, mc string) (*config, error) {
	c := w.cache.config(mc)
	if c == nil {
		e, err := w.loader.baseConfiguration(ctx, mc)
		if err != nil {
			return nil, err
		}
		c = &config{base: e}
	} else {
		w.loader.replay(c.said)
	}
	if c.restored && mc == "" {
		w.loader.layerDirs = c.layerDirs
	}
	w.add(mc, c)
	return c, nil
}

// baseConfiguration is a multiconfig's configuration after its ConfigParsed handlers have run, ready to be copied for recipes.
func (l *loader) baseConfiguration(ctx context.Context, mc string) (*evaluator, error) {
	l.evaluated.configs.Add(1)
	for range maxReparse {
		e, err := l.configuration(ctx, mc)
		if err != nil {
			return nil, err
		}
		e.state.registered = e.state.handlers
		if err := e.fire(configParsed); err != nil {
			return nil, err
		}
		again, ok, err := e.d.Var("BB_INVALIDCONF", false)
		if err != nil {
			return nil, err
		}
		if ok && again != "" && again != "False" && mc == "" {
			continue
		}
		if _, err := e.d.Overrides(); err != nil { // whatever is read later would fail for it
			return nil, placed(e.d.LastSet("OVERRIDES"), err)
		}
		e.d.At(diag.Pos{}, "")
		e.state.classType = "recipe"
		if err := e.d.SetVar("__bbclasstype", "recipe"); err != nil {
			return nil, err
		}
		e.d.Freeze()
		e.finish()
		return e, nil
	}
	return nil, diag.Userf(diag.Pos{}, "the configuration was declared invalid over %d times by ConfigParsed handlers", maxReparse).
		WithHint("look for BB_INVALIDCONF in the classes of INHERIT")
}

const maxReparse = 20
