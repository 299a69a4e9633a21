package recipe

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// newEvaluator is one on an empty store that knows the environment.
func (l *loader) newEvaluator(ctx context.Context) (*evaluator, error) {
	e := &evaluator{shared: l.shared, ctx: ctx, d: datastore.New(), includes: &inclusion{}}
	e.state = state{classType: "global", known: map[string]bool{}}
	e.recorded(true)
	e.rec.saw(inNames, "")
	e.d.SetEvaluator(e)
	e.d.SetOld(e.before.weakFlagsAssign)
	e.d.At(diag.Pos{}, "")
	if err := inheritEnvironment(e.d, l.opts.Environ); err != nil {
		return nil, err
	}
	if e.rec != nil {
		for _, name := range e.inherited {
			e.d.MarkLive(name, datastore.Live{Source: name})
		}
	}
	return e, e.d.SetVar("__bbclasstype", "global")
}

// configuration reads the base configuration of one multiconfig: bblayers.conf, the layers' layer.conf, bitbake.conf with
// all it includes, and the classes of INHERIT.
func (l *loader) configuration(ctx context.Context, mc string) (*evaluator, error) {
	e, err := l.newEvaluator(ctx)
	if err != nil {
		return nil, err
	}
	current := mc
	if mc == "" && l.before.namedDefault {
		current = "default"
	}
	e.d.By(datastore.SiteCurrentMC)
	if err := e.d.SetVar("BB_CURRENT_MC", current); err != nil {
		return nil, err
	}
	if err := e.configFiles(l.opts.Prefiles); err != nil {
		return nil, err
	}
	layersConf, err := l.findLayersConf(e)
	if err != nil {
		return nil, err
	}
	if layersConf != "" {
		if err := l.layers(e, layersConf); err != nil {
			return nil, err
		}
	}
	bbpath, err := e.d.Value("BBPATH")
	if err != nil {
		return nil, err
	}
	if bbpath == "" {
		return nil, l.noPath(layersConf)
	}
	if err := e.defaults("TOPDIR", l.topDir, "BB_CACHEDIR", "${TOPDIR}/cache"); err != nil {
		return nil, err
	}
	main := e.which(bbpath, "conf/bitbake.conf")
	if main == "" {
		return nil, diag.Userf(diag.Pos{File: layersConf}, "no layer has conf/bitbake.conf").
			WithNote("BBPATH = %q", bbpath).
			WithHint("add the layer that has it to BBLAYERS: ISAR's or OpenEmbedded's meta")
	}
	if err := e.fileAs(main, "conf/bitbake.conf"); err != nil {
		return nil, err
	}
	if err := e.configFiles(l.opts.Postfiles); err != nil {
		return nil, err
	}
	return e, l.globalClasses(e)
}

// configFiles reads files that nothing includes.
func (e *evaluator) configFiles(files []string) error {
	for _, name := range files {
		f := name
		if !filepath.IsAbs(f) {
			f = filepath.Join(e.topDir, f)
		}
		if !e.look().isFile(f) {
			return diag.Userf(diag.Pos{File: f}, "the configuration file does not exist").WithHint("correct the path after -r or -R")
		}
		if err := e.fileAs(f, name); err != nil {
			return err
		}
	}
	return nil
}

// defaults sets variables that have no value yet.
func (e *evaluator) defaults(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if v, err := e.d.Value(pairs[i]); err != nil {
			return err
		} else if v == "" {
			e.d.By(datastore.SiteCacheDir)
			if err := e.d.SetVar(pairs[i], pairs[i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loader) noPath(layersConf string) error {
	if layersConf != "" {
		return diag.Userf(diag.Pos{File: layersConf}, "no layer sets BBPATH").WithHint(`a layer.conf says BBPATH .= ":${LAYERDIR}"`)
	}
	return diag.Userf(diag.Pos{File: l.topDir}, "no conf/bblayers.conf in the build directory or above it").
		WithHint("is this the build directory?")
}

// globalClasses inherits base and what INHERIT names.
func (l *loader) globalClasses(e *evaluator) error {
	e.d.At(diag.Pos{}, "")
	names, err := e.d.Words("INHERIT")
	if err != nil {
		return err
	}
	for _, name := range append([]string{"base"}, names...) {
		if err := e.inherit(name, e.d.LastSet("INHERIT"), false); err != nil {
			return err
		}
	}
	e.d.By(datastore.SiteConfIncluded)
	return e.d.SetVar("BBINCLUDED", strings.Join(e.state.files, " "))
}

// findLayersConf looks for conf/bblayers.conf along BBPATH, then in the build directory and above.
func (l *loader) findLayersConf(e *evaluator) (string, error) {
	bbpath, err := e.d.Value("BBPATH")
	if err != nil {
		return "", err
	}
	var candidates []string
	if bbpath != "" {
		for dir := range strings.SplitSeq(bbpath, ":") {
			candidates = append(candidates, joinPath(dir, "conf/bblayers.conf"))
		}
	}
	for dir := l.topDir; ; dir = filepath.Dir(dir) {
		candidates = append(candidates, filepath.Join(dir, "conf/bblayers.conf"))
		if dir == filepath.Dir(dir) {
			break
		}
	}
	for _, c := range candidates {
		if !filepath.IsAbs(c) {
			c = filepath.Join(l.topDir, c)
		}
		if e.look().exists(c) {
			return c, nil
		}
	}
	return "", nil
}

// layers reads bblayers.conf and the layer.conf of every layer it names.
func (l *loader) layers(e *evaluator, layersConf string) error {
	e.d.By(datastore.SiteTopDir)
	if err := e.d.SetVar("TOPDIR", filepath.Dir(filepath.Dir(layersConf))); err != nil {
		return err
	}
	if err := e.file(layersConf); err != nil {
		return err
	}
	if err := e.defaults("BB_CACHEDIR", "${TOPDIR}/cache"); err != nil {
		return err
	}
	paths, err := l.layerPaths(e, layersConf)
	if err != nil {
		return err
	}
	l.layerDirs = paths
	e.d = e.d.Copy()
	series := &series{compat: map[string][]string{}}
	for _, path := range paths {
		if err := e.layer(path, series); err != nil {
			return err
		}
	}
	for i, name := range []string{"LAYERDIR_RE", "LAYERDIR"} {
		e.d.By([2]datastore.Site{datastore.SiteLayerDirREGone, datastore.SiteLayerDirGone}[i])
		if err := e.d.DelVar(name); err != nil {
			return err
		}
	}
	for _, c := range slices.Sorted(maps.Keys(series.compat)) {
		e.d.By(datastore.SiteCompat)
		if err := e.d.SetVar("LAYERSERIES_COMPAT_"+c, sortedWords(series.compat[c])); err != nil {
			return err
		}
	}
	if err := e.dynamicFiles(); err != nil {
		return err
	}
	return e.checkSeries(series, layersConf)
}

// layerPaths are the folders of BBLAYERS, mapped, all of which exist.
func (l *loader) layerPaths(e *evaluator, layersConf string) ([]string, error) {
	words, err := e.d.Words("BBLAYERS")
	if err != nil {
		return nil, err
	}
	pos := e.d.LastSet("BBLAYERS")
	if len(words) == 0 {
		return nil, diag.Userf(diag.Pos{File: layersConf}, "the file defines no BBLAYERS").WithHint(`add BBLAYERS = "/path/of/a/layer ..."`)
	}
	var paths, broken []string
	for _, path := range words {
		e.rec.saw(inVariable, "HOME")
		if home, ok := l.opts.Environ["HOME"]; ok && (path == "~" || strings.HasPrefix(path, "~/")) {
			path = home + path[1:]
		}
		if len(path) > 1 {
			path = strings.TrimRight(path, "/")
		}
		if l.opts.LayerPath != nil {
			e.rec.saw(inLayer, path)
			path = l.opts.LayerPath(path)
		}
		if !e.look().isDir(path) {
			broken = append(broken, path)
		}
		paths = append(paths, path)
	}
	if len(broken) > 0 {
		err := diag.Userf(pos, "layer does not exist: %s", broken[0]).WithHint("correct BBLAYERS in %s", layersConf)
		for _, b := range broken[1:] {
			err = err.WithNote("nor does %s", b)
		}
		return nil, err
	}
	return paths, nil
}

// series is what layers say about the release they belong to.
type series struct {
	compat map[string][]string // LAYERSERIES_COMPAT by collection
	core   []string            // LAYERSERIES_CORENAMES of the first layer that has it
}

// layer reads one layer.conf. LAYERDIR is replaced in all it set, because the next layer sets LAYERDIR anew.
func (e *evaluator) layer(path string, s *series) error {
	escaped := pythonEscape(path)
	e.d.By(datastore.SiteLayerDir)
	if err := e.d.SetVar("LAYERDIR", path); err != nil {
		return err
	}
	e.d.By(datastore.SiteLayerDirRE)
	if err := e.d.SetVar("LAYERDIR_RE", escaped); err != nil {
		return err
	}
	conf := joinPath(path, "conf/layer.conf")
	if !e.look().isFile(conf) {
		return diag.Userf(e.d.LastSet("BBLAYERS"), "%s is not a layer: it has no conf/layer.conf", path).
			WithHint("correct BBLAYERS; a repository may hold several layers in subfolders")
	}
	if err := e.file(conf); err != nil {
		return err
	}
	e.d.At(diag.Pos{}, "")
	if err := e.d.ReplaceReference("LAYERDIR", path); err != nil {
		return err
	}
	if err := e.d.ReplaceReference("LAYERDIR_RE", escaped); err != nil {
		return err
	}
	collections, err := e.d.Words("BBFILE_COLLECTIONS")
	if err != nil {
		return err
	}
	// A layer cannot copy another's series: what it said is taken out of sight before the next layer is read.
	e.d.By(datastore.SiteCompatGone)
	for _, c := range collections {
		if err := e.takeWords("LAYERSERIES_COMPAT_"+c, func(w []string) { s.compat[c] = w }); err != nil {
			return err
		}
	}
	e.d.By(datastore.SiteCoreNamesGone)
	if len(s.core) == 0 {
		return e.takeWords("LAYERSERIES_CORENAMES", func(w []string) { s.core = w })
	}
	return nil
}

// takeWords hands a variable's words over and deletes it, unless it is empty.
func (e *evaluator) takeWords(name string, take func([]string)) error {
	words, err := e.d.Words(name)
	if err != nil || len(words) == 0 {
		return err
	}
	take(words)
	return e.d.DelVar(name)
}

// pythonEscape is Python's re.escape.
func pythonEscape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func sortedWords(words []string) string {
	w := slices.Clone(words)
	slices.Sort(w)
	return strings.Join(slices.Compact(w), " ")
}

// dynamicFiles adds the BBFILES_DYNAMIC patterns whose collection is there (or, with !, is not).
func (e *evaluator) dynamicFiles() error {
	entries, err := e.d.Words("BBFILES_DYNAMIC")
	if err != nil {
		return err
	}
	collections, err := e.d.Words("BBFILE_COLLECTIONS")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name, pattern, ok := strings.Cut(entry, ":")
		if !ok {
			return diag.Userf(e.d.LastSet("BBFILES_DYNAMIC"), "BBFILES_DYNAMIC entry %q is not of the form [!]COLLECTION:PATTERN", entry)
		}
		name, invert := strings.CutPrefix(name, "!")
		if slices.Contains(collections, name) != invert {
			e.d.By(datastore.SiteDynamicFiles)
			if err := e.d.AppendVar("BBFILES", " "+pattern); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSeries refuses duplicate collections and layers that do not fit the core layer.
func (e *evaluator) checkSeries(s *series, layersConf string) error {
	collections, err := e.d.Words("BBFILE_COLLECTIONS")
	if err != nil {
		return err
	}
	for i, c := range collections {
		compat := s.compat[c]
		switch {
		case slices.Contains(collections[:i], c):
			return diag.Userf(diag.Pos{File: layersConf}, "two layers are called %s in BBFILE_COLLECTIONS", c).
				WithHint("is a layer listed twice in BBLAYERS? Else one layer.conf has to choose another name")
		case len(compat) == 0:
			e.warn(diag.Pos{}, "Layer "+c+" should set LAYERSERIES_COMPAT_"+c+
				" in its conf/layer.conf file to list the core layer names it is compatible with.")
		case len(s.core) == 0:
			return diag.Userf(diag.Pos{File: layersConf}, "no core layer found to work with layer %s", c).
				WithHint("add the layer that sets LAYERSERIES_CORENAMES to BBLAYERS: ISAR's or OpenEmbedded's meta")
		case !slices.ContainsFunc(compat, func(w string) bool { return slices.Contains(s.core, w) }):
			return diag.Userf(e.d.LastSet("LAYERSERIES_COMPAT_"+c), "layer %s is not compatible with the core layer", c).
				WithNote("the core layer supports %s, layer %s is for %s", strings.Join(s.core, " "), c, strings.Join(compat, " ")).
				WithHint("use a version of the layer that fits, or add the series to LAYERSERIES_COMPAT_%s in a later layer.conf", c)
		}
	}
	e.d.By(datastore.SiteCoreNames)
	return e.d.SetVar("LAYERSERIES_CORENAMES", sortedWords(s.core))
}
