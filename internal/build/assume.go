package build

import (
	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/taskgraph"
)

// Assume adds names to ASSUME_PROVIDED as far as the task graph is concerned, as bitbake -I does.
func Assume(w *recipe.World, names []string) taskgraph.World {
	if len(names) == 0 {
		return w
	}
	return &assuming{World: w, names: names, bases: map[string]*datastore.Data{}}
}

type assuming struct {
	*recipe.World
	names []string
	bases map[string]*datastore.Data
}

// Base implements [taskgraph.World].
func (a *assuming) Base(mc string) *datastore.Data {
	base := a.World.Base(mc)
	if base == nil || a.bases[mc] != nil {
		return a.bases[mc]
	}
	d := base.Copy()
	for _, name := range a.names {
		if d.AppendVar("ASSUME_PROVIDED", " "+name) != nil {
			return base // the variable's name is right, so this does not happen
		}
	}
	a.bases[mc] = d
	return d
}
