package query

import (
	"context"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// open reads a build folder and tells what it holds.
func (s *server) open(ctx context.Context, r *request) (answer, error) {
	f, err := s.folder(ctx, r)
	if err != nil {
		return nil, err
	}
	warnings := []*fault{}
	for _, w := range f.Warnings() {
		warnings = append(warnings, &fault{Text: w.Text, File: w.Pos.File, Line: w.Pos.Line})
	}
	failures := []any{}
	for _, one := range f.Failures() {
		failures = append(failures, map[string]any{"mc": one.MC, "file": one.File, "error": describe(one.Err)})
	}
	return answer{"classes": f.Classes, "why": f.Why, "bitbake": f.BitBake, "multiconfigs": f.Multiconfigs(),
		"warnings": warnings, "failures": failures}, nil
}

// layers lists the collections.
func (s *server) layers(ctx context.Context, r *request) (answer, error) {
	f, err := s.folder(ctx, r)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, l := range f.Layers() {
		list = append(list, map[string]any{"name": l.Name, "pattern": l.Pattern, "priority": l.Priority, "dir": l.Dir})
	}
	return answer{"layers": list}, nil
}

// recipes lists those of a multiconfig, also skipped ones.
func (s *server) recipes(ctx context.Context, r *request) (answer, error) {
	f, err := s.inMulticonfig(ctx, r)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, one := range f.Recipes(r.MC) {
		list = append(list, summary(one))
	}
	return answer{"recipes": list}, nil
}

// inMulticonfig opens the build folder and refuses an unknown multiconfig.
func (s *server) inMulticonfig(ctx context.Context, r *request) (*folder, error) {
	f, err := s.folder(ctx, r)
	if err != nil {
		return nil, err
	}
	if f.Base(r.MC) == nil {
		return nil, noMulticonfig(r.MC, f.Multiconfigs())
	}
	return f, nil
}

// summary is a recipe as JSON.
func summary(r *recipe.Recipe) map[string]any {
	out := map[string]any{"name": r.Name(), "mc": r.MC, "file": r.File, "variant": r.Variant, "pn": r.PN, "pe": r.PE, "pv": r.PV, "pr": r.PR,
		"layer": r.Layer, "priority": r.Priority, "appends": list(r.Appends), "inherits": list(r.Inherits)}
	if r.Skip != "" {
		out["skip"] = r.Skip
		return out
	}
	out["provides"], out["rprovides"], out["packages"] = list(r.Provides), list(r.RProvides), list(r.Packages)
	out["depends"], out["rdepends"], out["rrecommends"] = list(r.Depends), r.RDepends, r.RRecommends
	return out
}

// list is s, and an empty array in JSON when there is nothing in it.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// appends lists the .bbappend files of a multiconfig.
func (s *server) appends(ctx context.Context, r *request) (answer, error) {
	f, err := s.inMulticonfig(ctx, r)
	if err != nil {
		return nil, err
	}
	all := []any{}
	for _, a := range f.Appends(r.MC) {
		all = append(all, map[string]any{"recipe": a.Recipe, "file": a.File})
	}
	return answer{"appends": all}, nil
}

// provider tells which recipe a target is built from, and which supply a package of that name.
func (s *server) provider(ctx context.Context, r *request) (answer, error) {
	if r.Target == "" {
		return nil, diag.Userf(diag.Pos{}, "the request names no target").WithHint(`add "target": "virtual/kernel"`)
	}
	f, err := s.inMulticonfig(ctx, r)
	if err != nil {
		return nil, err
	}
	a := answer{"provider": nil}
	runtime, err := f.RuntimeProviders(r.MC, r.Target)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, one := range runtime {
		names = append(names, one.Name())
	}
	a["runtime"] = names
	chosen, err := f.Provider(r.MC, r.Target)
	if err != nil {
		if len(names) > 0 {
			return a, nil
		}
		return nil, err
	}
	a["provider"] = summary(chosen)
	return a, nil
}
