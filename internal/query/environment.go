package query

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
	"n3x/internal/taskgraph"
)

// Environment is the question of `bitbake -e`: about the configuration, a target or a recipe file.
type Environment struct {
	Target    string // "", a recipe or what one provides, or mc:NAME for a multiconfig's configuration
	BuildFile string // a recipe file, as -b takes it, perhaps relative to Dir
	Dir       string
}

// Write prints all variables and functions with where they come from, as bitbake -e does.
func (q Environment) Write(ctx context.Context, w io.Writer, world *recipe.World) error {
	d, err := q.store(ctx, world)
	if err != nil {
		return err
	}
	if err := world.WriteIncludes(w); err != nil {
		return err
	}
	return d.Emit(w)
}

func (q Environment) store(ctx context.Context, world *recipe.World) (*datastore.Data, error) {
	mc, isConfig := strings.CutPrefix(q.Target, "mc:")
	switch {
	case q.BuildFile != "":
		r, err := world.Match(q.BuildFile, q.Dir)
		if err != nil {
			return nil, err
		}
		return r.Data, nil
	case q.Target == "" || isConfig && !strings.Contains(mc, ":"):
		return world.Environment(mc)
	}
	assumed, err := world.Base("").Words("ASSUME_PROVIDED")
	if err != nil {
		return nil, err
	}
	if slices.Contains(assumed, q.Target) {
		return nil, diag.Userf(world.Base("").LastSet("ASSUME_PROVIDED"), "%s is in ASSUME_PROVIDED", q.Target).
			WithHint("no recipe is used for it, so there is nothing to show")
	}
	return Store(world, q.Target)
}

// Store is the datastore of a recipe, by name or by what it provides, and of the configuration for "".
func Store(world *recipe.World, name string) (*datastore.Data, error) {
	if name == "" {
		return world.Base(""), nil
	}
	targets, err := taskgraph.ParseTargets([]string{name}, "")
	if err != nil {
		return nil, err
	}
	r, err := world.Provider(targets[0].MC, targets[0].Name)
	if err != nil {
		return nil, err
	}
	return r.Data, nil
}

// Undefined is the error for a variable without a value, with the nearest name that has one.
func Undefined(d *datastore.Data, name string) error {
	err := diag.Userf(diag.Pos{}, "The variable '%s' is not defined", name)
	if near := diag.Nearest(name, d.Keys()); near != "" {
		return err.WithHint("did you mean %s?", near)
	}
	return err.WithHint("is it set in a recipe? -r RECIPE asks for that; --ignore-undefined prints nothing instead")
}

// environment is the text of bitbake -e.
func (s *server) environment(ctx context.Context, r *request) (answer, error) {
	f, err := s.folder(ctx, r)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if err := (Environment{Target: r.Target}).Write(ctx, &b, f.World); err != nil {
		return nil, fmt.Errorf("print the environment: %w", err)
	}
	return answer{"text": b.String()}, nil
}
