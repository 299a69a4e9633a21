package recipe

import (
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

// Matches says whether a path begins with what the layer's BBFILE_PATTERN describes.
func (l *Layer) Matches(path string) bool { return l.re != nil && l.re.MatchString(path) }

// Preferred is the recipe that a multiconfig uses among those whose PN is pn, whatever else provides that name: of the
// version that the configuration prefers, else the latest of the highest layer. It is nil when there is no such recipe.
func (w *World) Preferred(mc, pn string) (*Recipe, error) {
	c, err := w.config(mc)
	if err != nil {
		return nil, err
	}
	var named []*Recipe
	for _, r := range c.index.build[pn] {
		if r.PN == pn {
			named = append(named, r)
		}
	}
	if len(named) == 0 {
		return nil, nil
	}
	prefer, err := c.preferences()
	if err != nil {
		return nil, err
	}
	sets := byPriority(named)
	r, err := w.preferredVersion(c, prefer.data, pn, sets)
	if err != nil || r != nil {
		return r, err
	}
	return latestOf(sets[0]), nil
}

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
