package layers

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// CrossOptions say how to list dependencies between layers.
type CrossOptions struct {
	Filenames bool     // show whole paths
	Ignore    []string // folder names of layers on which dependencies do not matter
}

// ShowCrossDepends lists what recipes, classes and machines need from another layer than their own: recipes that they depend
// on, and files that they inherit, require or include. It looks at the default multiconfig.
func (t *Tool) ShowCrossDepends(o CrossOptions) error {
	c := &crossing{Tool: t, CrossOptions: o, files: map[string]*recipe.Recipe{}, pns: map[string]bool{}}
	var err error
	if c.bbpath, err = t.World.Base("").Value("BBPATH"); err != nil {
		return err
	}
	if c.global, err = t.World.Base("").Words("INHERIT"); err != nil {
		return err
	}
	recipes := slices.DeleteFunc(t.World.Recipes(""), func(r *recipe.Recipe) bool { return r.Skip != "" })
	for _, r := range recipes {
		c.pns[r.PN] = true
		if r.Variant == "" {
			c.files[r.File] = r
		}
	}
	for _, r := range recipes {
		if err := c.recipe(r.File); err != nil {
			return err
		}
	}
	for _, dir := range t.layerDirs() {
		if err := c.layer(dir); err != nil {
			return err
		}
	}
	return nil
}

// crossing is one run of [Tool.ShowCrossDepends].
type crossing struct {
	*Tool
	CrossOptions
	bbpath string
	global []string                  // INHERIT
	files  map[string]*recipe.Recipe // recipes that are not variants
	pns    map[string]bool
}

// recipe lists what a recipe file needs. A file with variants comes once for each.
func (c *crossing) recipe(file string) error {
	layer := c.layerOf(file)
	if r := c.files[file]; r != nil {
		if err := c.dependencies(r, layer); err != nil {
			return err
		}
		for _, class := range r.Inherits {
			name := strings.TrimSuffix(filepath.Base(class), filepath.Ext(class))
			if !slices.Contains(c.global, name) {
				c.needs(file, layer, "inherits", class)
			}
		}
	}
	data, err := c.World.ReadFile(file)
	if err != nil {
		return diag.Failedf(diag.Pos{File: file}, "read the recipe: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		keyword, name := included(line)
		if keyword == "" {
			continue
		}
		if r := c.files[file]; r != nil {
			name = strings.ReplaceAll(name, "${PV}", r.PV)
		}
		c.named(file, layer, keyword, name)
	}
	return nil
}

// dependencies lists the recipes of other layers that a recipe depends on.
func (c *crossing) dependencies(r *recipe.Recipe, layer string) error {
	for _, dep := range r.Depends {
		if !c.pns[dep] {
			continue
		}
		best, err := c.World.Provider("", dep)
		if err != nil {
			return err
		}
		c.needs(r.File, layer, "DEPENDS", best.File)
	}
	for _, kind := range []struct {
		keyword string
		of      map[string][]string
	}{{"RDEPENDS", r.RDepends}, {"RRECOMMENDS", r.RRecommends}} {
		for _, dep := range runtimeNames(r.Packages, kind.of) {
			if slices.Contains(c.World.RuntimeCandidates("", dep), r) {
				continue // it provides this itself
			}
			all, err := c.World.RuntimeProviders("", dep)
			if err != nil {
				return err
			}
			if len(all) > 0 {
				c.needs(r.File, layer, kind.keyword, all[0].File)
			}
		}
	}
	return nil
}

// runtimeNames are the names of all packages, each once.
func runtimeNames(packages []string, of map[string][]string) []string {
	var names []string
	for _, p := range packages {
		for _, n := range of[p] {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// needs prints a line when the two files are in different layers.
func (c *crossing) needs(file, layer, keyword, needed string) {
	other := c.layerOf(needed)
	if other == layer || slices.Contains(c.Ignore, other) {
		return
	}
	if !c.Filenames {
		file, needed = c.short(file), c.short(needed)
	}
	c.plain(file + " " + keyword + " " + needed)
}

// named is needs for a file that is searched along BBPATH.
func (c *crossing) named(file, layer, keyword, name string) {
	if path := which(c.bbpath, name); path != "" {
		c.needs(file, layer, keyword, path)
	}
}

var (
	requireLine = regexp.MustCompile(`^require\s+(.+)`)
	includeLine = regexp.MustCompile(`^include\s+(.+)`)
	inheritLine = regexp.MustCompile(`^inherit\s+(.+)`)
)

// included says what a line requires or includes; the keyword is "" when it does neither.
func included(line string) (keyword, name string) {
	line = strings.TrimRight(line, "\r\n")
	if m := requireLine.FindStringSubmatch(line); m != nil {
		return "requires", m[1]
	}
	if m := includeLine.FindStringSubmatch(line); m != nil {
		return "includes", m[1]
	}
	return "", ""
}

// layer lists what a layer's machines, .inc files and classes require, include and inherit.
func (c *crossing) layer(dir string) error {
	layer := layerName(dir)
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return diag.Failedf(diag.Pos{File: path}, "look through the layer: %w", err)
		}
		path = dir + strings.TrimPrefix(path, filepath.Clean(dir)) // as BBLAYERS has it
		class := strings.HasSuffix(path, ".bbclass")
		machine := strings.HasSuffix(path, ".conf") && strings.HasSuffix(dirName(path), "/conf/machine")
		if d.IsDir() || !class && !machine && !strings.HasSuffix(path, ".inc") {
			return nil
		}
		if st, err := os.Stat(path); err == nil && st.IsDir() {
			return nil // a link to a folder
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return diag.Failedf(diag.Pos{File: path}, "read the file: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			if keyword, name := included(line); keyword != "" {
				c.named(path, layer, keyword, name)
			} else if m := inheritLine.FindStringSubmatch(strings.TrimRight(line, "\r\n")); class && m != nil {
				c.named(path, layer, "inherits", m[1]+".bbclass")
			}
		}
		return nil
	})
}
