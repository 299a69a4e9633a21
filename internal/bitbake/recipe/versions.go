package recipe

import (
	"errors"
	"maps"
	"slices"
)

// Choice is what `bitbake -s` tells about one name: the recipe of the latest version in the layer of the highest priority,
// and the one that is built.
type Choice struct {
	PN        string
	Latest    *Recipe
	Preferred *Recipe
	Required  bool // REQUIRED_VERSION chose Preferred
}

// Version is PE:PV-PR, e.g. ":1.0-r0", as BitBake lists versions.
func (r *Recipe) Version() string { return r.PE + ":" + r.PV + "-" + r.PR }

// Choices are those of all names of a multiconfig's recipes, sorted. The error joins one for each name whose
// REQUIRED_VERSION is not there.
func (w *World) Choices(mc string) ([]Choice, error) {
	c, err := w.config(mc)
	if err != nil {
		return nil, err
	}
	prefer, err := c.preferences()
	if err != nil {
		return nil, err
	}
	byPN := map[string][]*Recipe{}
	for _, r := range c.all() {
		if r.Skip == "" {
			byPN[r.PN] = append(byPN[r.PN], r)
		}
	}
	var all []Choice
	var errs []error
	for _, pn := range slices.Sorted(maps.Keys(byPN)) {
		sets := byPriority(byPN[pn])
		one := Choice{PN: pn, Latest: latestOf(sets[0])}
		if one.Preferred, err = w.preferredVersion(c, prefer.data, pn, sets); err != nil {
			errs = append(errs, err)
			continue
		}
		if one.Preferred == nil {
			one.Preferred = one.Latest
		} else if _, one.Required, err = versionVariable(prefer.data, "REQUIRED", pn); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, errors.Join(errs...)
}
