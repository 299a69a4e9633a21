package query

import (
	"context"
	"maps"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// vars gives the values of variables: those named, else all.
func (s *server) vars(ctx context.Context, r *request) (answer, error) {
	of, err := s.subject(ctx, r)
	if err != nil {
		return nil, err
	}
	defer of.close()
	names := r.Names
	if names == nil {
		names = of.d.Keys()
	}
	values := map[string]any{}
	for _, name := range names {
		values[name] = variable(of.d, name, r)
	}
	a := answer{"vars": values}
	of.mark(a)
	return a, nil
}

// mark adds what is to be known of a recipe before its values are believed.
func (s *subject) mark(a answer) {
	if s.r != nil {
		a["recipe"] = s.r.Name()
		if s.r.Skip != "" {
			a["skip"] = s.r.Skip
		}
	}
}

// variable is one value, expanded and as written, with its flags and history when these are asked for. A name like A[b] is a flag.
func variable(d *datastore.Data, name string, r *request) map[string]any {
	out := map[string]any{}
	read := func(expand bool) (string, bool, error) { return d.Var(name, expand) }
	if base, flag, ok := flagName(name); ok {
		read = func(expand bool) (string, bool, error) { return d.VarFlag(base, flag, expand) }
	}
	raw, ok, err := read(false)
	if err == nil {
		out["raw"] = optional(raw, ok)
		var value string
		if value, ok, err = read(true); err == nil {
			out["value"] = optional(value, ok)
		}
	}
	if err != nil {
		out["error"] = describe(err)
	}
	if r.Flags {
		out["flags"] = flags(d, name)
	}
	if r.History {
		out["history"] = history(d, name)
	}
	return out
}

// flagName splits A[b].
func flagName(name string) (base, flag string, ok bool) {
	base, flag, ok = strings.Cut(strings.TrimSuffix(name, "]"), "[")
	return base, flag, ok && strings.HasSuffix(name, "]")
}

// optional is null for a variable without a value.
func optional(s string, ok bool) any {
	if !ok {
		return nil
	}
	return s
}

func flags(d *datastore.Data, name string) map[string]any {
	out := map[string]any{}
	all, err := d.VarFlags(name)
	if err != nil {
		return map[string]any{}
	}
	for flag := range all {
		out[flag] = variable(d, name+"["+flag+"]", &request{})
	}
	return out
}

// event is one operation on a variable.
type event struct {
	Op       string `json:"op"`
	Flag     string `json:"flag,omitempty"`
	Detail   string `json:"detail"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Function string `json:"function,omitempty"`
}

func history(d *datastore.Data, name string) []event {
	out := []event{}
	for _, e := range d.FullHistory(name) {
		out = append(out, event{Op: e.Op, Flag: e.Flag, Detail: e.Detail, File: e.Pos.File, Line: e.Pos.Line, Function: e.Function})
	}
	return out
}

// keys lists the names of all variables.
func (s *server) keys(ctx context.Context, r *request) (answer, error) {
	of, err := s.subject(ctx, r)
	if err != nil {
		return nil, err
	}
	defer of.close()
	a := answer{"keys": list(of.d.Keys())}
	of.mark(a)
	return a, nil
}

// expand replaces the ${} references of a text.
func (s *server) expand(ctx context.Context, r *request) (answer, error) {
	of, err := s.subject(ctx, r)
	if err != nil {
		return nil, err
	}
	defer of.close()
	text, err := of.d.Expand(r.Text)
	if err != nil {
		return nil, err
	}
	return answer{"text": text}, nil
}

// overrides lists the active ones, least specific first.
func (s *server) overrides(ctx context.Context, r *request) (answer, error) {
	of, err := s.subject(ctx, r)
	if err != nil {
		return nil, err
	}
	defer of.close()
	names, err := of.d.Overrides()
	if err != nil {
		return nil, err
	}
	return answer{"overrides": list(names)}, nil
}

// tasks lists those of a recipe, each with the tasks of the same recipe that come before it and its flags.
func (s *server) tasks(ctx context.Context, r *request) (answer, error) {
	of, err := s.subject(ctx, r)
	if err != nil {
		return nil, err
	}
	defer of.close()
	if of.r == nil {
		return nil, diag.Userf(diag.Pos{}, "the base configuration has no tasks").WithHint(`ask for "of": {"recipe": NAME}`)
	}
	all := []any{}
	for _, t := range of.r.Tasks {
		expanded := map[string]any{}
		for _, flag := range slices.Sorted(maps.Keys(t.Flags)) {
			expanded[flag] = variable(of.d, t.Name+"["+flag+"]", &request{})
		}
		all = append(all, map[string]any{"name": t.Name, "after": list(t.After), "flags": expanded})
	}
	a := answer{"tasks": all}
	of.mark(a)
	return a, nil
}
