package layers

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// RecipeOptions say which recipes to list, and how.
type RecipeOptions struct {
	Names     []string // patterns of PN; none = all
	MC        string
	Filenames bool     // show files, those of lower preference indented
	NamesOnly bool     // show each PN once
	Multiple  bool     // only recipes that exist several times
	Layer     string   // only those of the layer with this folder name
	Bare      bool     // without the reason of skipped ones
	Inherits  []string // only those that inherit all these classes
	Variants  bool     // show BBCLASSEXTEND variants as recipes of their own
}

// ShowRecipes lists recipes with their versions by layer, the preferred one first.
func (t *Tool) ShowRecipes(o RecipeOptions) error {
	title := "Available recipes:"
	if len(o.Inherits) > 0 || len(o.Names) > 0 || o.Multiple {
		title = "Matching recipes:"
	}
	l, err := t.newListing(title, o)
	if err != nil {
		return err
	}
	return l.run()
}

// candidate is one recipe among those with the same PN.
type candidate struct {
	r       *recipe.Recipe
	file    string // r.File, or for variants that are shown separately the virtual name
	guessed bool   // PN and version are the file name's, since the recipe was skipped
	version [3]string
}

// display is the version as it is shown.
func (c *candidate) display() string {
	if c.version[0] != "" {
		return c.version[0] + ":" + c.version[1]
	}
	return c.version[1]
}

func (c *candidate) sameVersion(o *candidate) bool {
	return c.guessed == o.guessed && c.version == o.version
}

// listing is one run over the recipes of a multiconfig.
type listing struct {
	*Tool
	RecipeOptions
	title         string
	overlayedOnly bool
	sameVersion   bool

	byPN      map[string][]*candidate
	preferred map[string]*candidate
	parsed    map[string]bool // PNs of recipes that are not skipped
	skipped   map[string]string
	global    []string // INHERIT
	inherits  map[string][]string
	plainFile map[string]bool // files of recipes of the default multiconfig that are not skipped
	items     bool            // something was listed
	shown     map[string]bool // preferred files
	names     map[string]bool
}

func (t *Tool) newListing(title string, o RecipeOptions) (*listing, error) {
	if !slices.Contains(t.World.Multiconfigs(), o.MC) {
		return nil, diag.Userf(diag.Pos{}, "there is no multiconfig %q", o.MC).
			WithHint("BBMULTICONFIG has: %s", strings.Join(t.World.Multiconfigs()[1:], " "))
	}
	l := &listing{Tool: t, RecipeOptions: o, title: title, byPN: map[string][]*candidate{}, preferred: map[string]*candidate{},
		parsed: map[string]bool{}, skipped: map[string]string{}, inherits: map[string][]string{}, plainFile: map[string]bool{},
		shown: map[string]bool{}, names: map[string]bool{}}
	var err error
	if l.global, err = t.World.Base("").Words("INHERIT"); err != nil {
		return nil, err
	}
	if err := l.checkClasses(); err != nil {
		return nil, err
	}
	for _, r := range t.World.Recipes("") {
		if r.Variant == "" && r.Skip == "" {
			l.inherits[r.File] = r.Inherits
			if o.MC == "" {
				l.plainFile[r.File] = true
			}
		}
	}
	l.collect()
	return l, l.prefer()
}

// checkClasses refuses classes that no layer has.
func (l *listing) checkClasses() error {
	bbpath, err := l.World.Base("").Value("BBPATH")
	if err != nil {
		return err
	}
	for _, class := range l.Inherits {
		if !slices.ContainsFunc(classDirs, func(dir string) bool { return which(bbpath, dir+"/"+class+".bbclass") != "" }) {
			return diag.Failedf(diag.Pos{}, "No class named %s found in BBPATH", class)
		}
	}
	return nil
}

var classDirs = []string{"classes-global", "classes-recipe", "classes"}

// collect sorts the recipes by PN. Those that were skipped come last, by what their file name says.
func (l *listing) collect() {
	for _, r := range l.World.Recipes(l.MC) {
		if r.Skip == "" {
			l.byPN[r.PN] = append(l.byPN[r.PN], &candidate{r: r, file: l.shownFile(r), version: [3]string{r.PE, r.PV, r.PR}})
			l.parsed[r.PN] = true
		}
	}
	for _, r := range l.World.Recipes(l.MC) {
		if r.Skip == "" {
			continue
		}
		if r.Variant == "" {
			l.skipped[r.File] = r.Skip
		}
		base := filepath.Base(r.File)
		pn, version, ok := strings.Cut(strings.TrimSuffix(base, filepath.Ext(base)), "_")
		version, _, _ = strings.Cut(version, "_")
		if !ok {
			version = "unknown"
		}
		c := &candidate{r: r, file: l.shownFile(r), guessed: true, version: [3]string{"", version, ""}}
		l.byPN[pn] = append(l.byPN[pn], c)
		if !l.parsed[pn] && l.preferred[pn] == nil {
			l.preferred[pn] = c
		}
	}
}

func (l *listing) shownFile(r *recipe.Recipe) string {
	if l.Variants && r.Variant != "" {
		return "virtual:" + r.Variant + ":" + r.File
	}
	return r.File
}

// prefer finds the preferred recipe of each PN.
func (l *listing) prefer() error {
	choices, err := l.World.Choices(l.MC)
	for _, choice := range choices {
		for _, c := range l.byPN[choice.PN] {
			if c.r == choice.Preferred {
				l.preferred[choice.PN] = c
			}
		}
	}
	return err
}

func (l *listing) run() error {
	for _, pn := range slices.Sorted(maps.Keys(l.byPN)) {
		if len(l.Names) > 0 && !slices.ContainsFunc(l.Names, func(p string) bool { return fnmatch(p, pn) }) {
			continue
		}
		if l.Multiple && len(l.byPN[pn]) < 2 {
			continue
		}
		c := l.preferred[pn]
		if c == nil {
			return fmt.Errorf("BUG: no recipe is preferred for %s", pn)
		}
		// A variant is not shown beside its recipe.
		if c.r.Variant != "" && l.plainFile[c.r.File] && !l.Variants {
			continue
		}
		if len(l.Inherits) > 0 && !l.inheritsAll(c.r.File) {
			continue
		}
		if !l.shown[c.r.File] {
			l.show(pn, c)
		}
	}
	return nil
}

// inheritsAll says whether a recipe itself inherits all classes that are asked for.
func (l *listing) inheritsAll(file string) bool {
	n := 0
	for _, path := range l.inherits[file] {
		class := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if !slices.Contains(l.global, class) && slices.Contains(l.Inherits, class) {
			n++
		}
	}
	return n == len(l.Inherits)
}

// show lists the recipes with one PN.
func (l *listing) show(pn string, preferred *candidate) {
	layer := l.layerOf(preferred.r.File)
	several, same := false, true
	for _, c := range l.byPN[pn] {
		several = several || l.layerOf(c.r.File) != layer
		same = same && c.sameVersion(preferred)
	}
	if l.overlayedOnly && !several || l.sameVersion && !same {
		return
	}
	if !l.items {
		l.plain("=== " + l.title + " ===")
		l.items = true
	}
	l.item(pn, preferred, true)
	for _, c := range l.byPN[pn] {
		if c.file != preferred.file {
			l.item(pn, c, false)
		}
	}
	l.shown[preferred.r.File] = true
}

func (l *listing) item(pn string, c *candidate, preferred bool) {
	layer := l.layerOf(c.r.File)
	if l.Layer != "" && layer != l.Layer {
		return
	}
	suffix := ""
	if reason, ok := l.skipped[c.r.File]; ok && !l.Bare {
		suffix = " (skipped: " + reason + ")"
	}
	switch {
	case l.Filenames && preferred:
		l.plain(c.r.File + suffix)
	case l.Filenames:
		l.plain("  " + c.r.File + suffix)
	case l.NamesOnly:
		if !l.names[pn] {
			l.plain(pn + suffix)
		}
		l.names[pn] = true
	default:
		if preferred {
			l.plain(pn + ":")
		}
		l.printf("  %-20s %s%s", layer, c.display(), suffix)
	}
}
