package recipe

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/diag"
)

// collections are the layers with their priorities. One without BBFILE_PRIORITY comes one above the highest of those it
// depends on.
func collections(base *evaluator) ([]Layer, error) {
	d := base.d
	names, err := d.Words("BBFILE_COLLECTIONS")
	if err != nil {
		return nil, err
	}
	p := &priorities{values: map[string]int{}, depends: map[string][]string{}}
	var errs []error
	for _, c := range names {
		if err := p.read(base, c); err != nil {
			errs = append(errs, err)
		}
		if err := p.needs(base, c, names); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	var layers []Layer
	for _, c := range names {
		pattern, ok, err := d.Var("BBFILE_PATTERN_"+c, true)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return nil, diag.Userf(d.LastSet("BBFILE_COLLECTIONS"), "BBFILE_PATTERN_%s is not defined", c).
				WithHint(`add BBFILE_PATTERN_%s = "^${LAYERDIR}/" to the layer's layer.conf`, c)
		}
		l := Layer{Name: c, Pattern: pattern, Priority: p.of(c, nil)}
		if err := l.compile(); err != nil {
			return nil, diag.Userf(d.LastSet("BBFILE_PATTERN_"+c), "BBFILE_PATTERN_%s %q is not a valid regular expression: %w", c, pattern, err)
		}
		if l.Dir, err = d.Value("LAYERDIR_" + c); err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	return layers, nil
}

// compile reads the pattern.
func (l *Layer) compile() (err error) {
	pattern := l.Pattern
	if pattern == "" {
		pattern = "^NULL$"
	}
	l.re, err = compilePattern(pattern)
	return err
}

// priorities works out the priority of each collection.
type priorities struct {
	values  map[string]int // 0 or missing: not known yet
	lowest  int
	depends map[string][]string
}

func (p *priorities) read(base *evaluator, c string) error {
	text, err := base.d.Value("BBFILE_PRIORITY_" + c)
	if err != nil || text == "" {
		return err
	}
	digits := strings.TrimFunc(text, isSpace)
	n, err := strconv.Atoi(strings.ReplaceAll(digits, "_", "")) // Python's int takes 1_000
	if err != nil || strings.Contains("_"+strings.TrimLeft(digits, "+-")+"_", "__") {
		return diag.Userf(base.d.LastSet("BBFILE_PRIORITY_"+c), "BBFILE_PRIORITY_%s = %q is not a number", c, text)
	}
	if p.lowest == 0 || n < p.lowest {
		p.lowest = n
	}
	p.values[c] = n
	return nil
}

func (p *priorities) of(c string, above []string) int {
	if p.values[c] != 0 || slices.Contains(above, c) {
		return p.values[c]
	}
	highest := p.lowest
	for _, dep := range p.depends[c] {
		highest = max(highest, p.of(dep, append(above, c)))
	}
	p.values[c] = highest + 1
	return highest + 1
}

// needs checks LAYERDEPENDS and takes note of LAYERRECOMMENDS.
func (p *priorities) needs(base *evaluator, c string, present []string) error {
	d := base.d
	var errs []error
	for _, variable := range []string{"LAYERDEPENDS_", "LAYERRECOMMENDS_"} {
		text, err := d.Value(variable + c)
		if err != nil {
			return err
		}
		must := variable == "LAYERDEPENDS_"
		deps, err := explodeVersions(text)
		if err != nil {
			return diag.Userf(d.LastSet(variable+c), "%s%s: %w", variable, c, err)
		}
		for _, dep := range deps {
			if !slices.Contains(present, dep.name) {
				if must {
					errs = append(errs, missingLayer(d.LastSet(variable+c), c, dep.name, present))
				}
				continue
			}
			have, err := d.Value("LAYERVERSION_" + dep.name)
			if err != nil {
				return err
			}
			if must {
				if err := dep.check(d.LastSet(variable+c), c, have); err != nil {
					errs = append(errs, err)
				}
			} else if len(dep.constraints) > 0 {
				met, err := dep.constraints[0].metBy(have)
				if err != nil {
					return diag.Userf(d.LastSet(variable+c), "%s%s: %w", variable, c, err)
				}
				if have == "" || !met {
					continue // a recommendation that is not met has no say in the priority
				}
			}
			p.depends[c] = append(p.depends[c], dep.name)
		}
	}
	return errors.Join(errs...)
}

func missingLayer(pos diag.Pos, c, dep string, present []string) error {
	err := diag.Userf(pos, "layer %s depends on layer %s, which is not enabled", c, dep)
	if near := diag.Nearest(dep, present); near != "" {
		return err.WithNote("there is a layer %s", near).WithHint("correct LAYERDEPENDS_%s, or add the layer to BBLAYERS", c)
	}
	return err.WithHint("add the layer to BBLAYERS")
}

// layerOf is the layer a file belongs to: of the patterns that match, the longest in reverse text order, as in BitBake.
func (w *World) layerOf(file string) *Layer { return layerOf(w.layers, file) }

func layerOf(layers []Layer, file string) *Layer {
	var best *Layer
	for i := range layers {
		l := &layers[i]
		if (best == nil || l.Pattern > best.Pattern) && l.re.match(file) {
			best = l
		}
	}
	return best
}

// recipeAppend is a .bbappend file and the recipe file name it is for, which may hold a %.
type recipeAppend struct {
	recipe, file string
}

// found are the files that BBFILES names.
type found struct {
	masked   int      // files that BBMASK left out
	patterns []string // in the order they were looked at
	recipes  []string
	appends  []recipeAppend
}

// collect lists recipes and appends: patterns in the order of their layers' priorities, without what BBMASK matches.
func (w *World) collect(base *evaluator) (*found, error) {
	patterns, err := base.d.Words("BBFILES")
	if err != nil {
		return nil, err
	}
	priority := func(pattern string) int {
		if l := w.layerOf(pattern); l != nil {
			return l.Priority
		}
		return 0
	}
	slices.SortStableFunc(patterns, func(a, b string) int { return priority(a) - priority(b) })
	masked, err := mask(base)
	if err != nil {
		return nil, err
	}
	f := &found{patterns: patterns}
	seen := map[string]bool{}
	for _, p := range patterns {
		var files []string
		if base.look().isDir(p) {
			files = base.look().walk(p)
		} else {
			files = base.look().glob(p)
		}
		for _, file := range files {
			if seen[file] {
				continue
			}
			seen[file] = true
			if masked(file) {
				f.masked++
				continue
			}
			if strings.HasSuffix(file, ".bb") {
				f.recipes = append(f.recipes, file)
			} else if name, ok := strings.CutSuffix(baseName(file), ".bbappend"); ok {
				f.appends = append(f.appends, recipeAppend{name + ".bb", file})
			}
		}
	}
	if len(f.recipes) == 0 {
		return nil, diag.Userf(base.d.LastSet("BBFILES"), "no recipe files found").
			WithNote("BBFILES = %q", strings.Join(patterns, " ")).
			WithHint("check BBLAYERS, and BBFILES in the layers' layer.conf")
	}
	return f, nil
}

// fits says whether the append is for a recipe file; % stands for any ending.
func (a recipeAppend) fits(recipe string) bool {
	if a.recipe == recipe {
		return true
	}
	i := strings.IndexByte(a.recipe, '%')
	return i >= 0 && strings.HasPrefix(a.recipe, recipe[:min(i, len(recipe))])
}

func (f *found) appendsFor(recipe string) []string {
	var files []string
	for _, a := range f.appends {
		if a.fits(baseName(recipe)) {
			files = append(files, a.file)
		}
	}
	return files
}

// unused are the appends that fit no recipe.
func (f *found) unused() []string {
	var files []string
	for _, a := range f.appends {
		if !slices.ContainsFunc(f.recipes, func(r string) bool { return a.fits(baseName(r)) }) {
			files = append(files, a.file)
		}
	}
	return files
}
