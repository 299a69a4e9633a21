package recipe

import (
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// Append is a .bbappend file and the recipe file name it is for, which may hold a %.
type Append struct {
	Recipe, File string
}

// Appends are all .bbappend files that BBFILES names and BBMASK leaves, in the order they apply in.
func (w *World) Appends(mc string) []Append {
	c := w.configs[mc]
	if c == nil {
		return nil
	}
	var list []Append
	for _, a := range c.appends {
		list = append(list, Append{a.recipe, a.file})
	}
	return list
}

// AppendsFor are the .bbappend files for a recipe file of that name, whether or not such a recipe exists.
func (w *World) AppendsFor(mc, recipe string) []string {
	c := w.configs[mc]
	if c == nil {
		return nil
	}
	return (&found{appends: c.appends}).appendsFor(recipe)
}

// RuntimeCandidates are the recipes that supply a package, also those that would not be chosen.
func (w *World) RuntimeCandidates(mc, pkg string) []*Recipe {
	if c := w.configs[mc]; c != nil {
		return c.runtimeCandidates(pkg)
	}
	return nil
}

// LayerDirs are the folders of BBLAYERS, in order, as they are used.
func (w *World) LayerDirs() []string { return slices.Clone(w.loader.layerDirs) }

// Matches says whether a path begins with what the layer's BBFILE_PATTERN describes.
func (l *Layer) Matches(path string) bool { return l.re != nil && l.re.match(path) }

// prioritized makes the patterns of BBFILES known in the order in which they were looked at.
func (c *config) prioritized(patterns []string) error {
	d := c.base.d
	d.By(datastore.SitePrioritized)
	if err := d.SetVar("BBFILES_PRIORITIZED", strings.Join(patterns, " ")); err != nil {
		return err
	}
	d.At(diag.Pos{}, "")
	d.Freeze()
	return nil
}
