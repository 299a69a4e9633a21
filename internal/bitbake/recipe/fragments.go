package recipe

import (
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/syntax"
	"n3x/internal/diag"
)

// addFragments includes the configuration fragments that a variable lists. A fragment is LAYER/NAME, a file PREFIX/NAME.conf in
// the layer of that collection name; or PREFIX/VALUE of a built-in one, which sets a variable. Variables that describe a
// fragment are moved to flags named after it.
func (e *evaluator) addFragments(pos diag.Pos, s *syntax.AddFragments) error {
	if skip, err := e.d.Value("_BB_SKIP_FRAGMENTS"); err != nil || skip == "1" {
		return err
	}
	fragments, err := e.d.Words(s.Variable)
	if err != nil {
		return placed(pos, err)
	}
	for _, name := range []string{s.Flagged, s.Builtin} {
		if _, ok, err := e.d.Var(name, true); err == nil && !ok {
			return diag.Userf(pos, "addfragments needs the variable %s, which is not set", name).WithHint(`write %s ?= "" above it`, name)
		}
	}
	flagged, err := e.d.Words(s.Flagged)
	if err != nil {
		return placed(pos, err)
	}
	pairs, err := e.d.Words(s.Builtin)
	if err != nil {
		return placed(pos, err)
	}
	builtin := map[string]string{}
	for _, p := range pairs {
		prefix, variable, ok := strings.Cut(p, ":")
		if !ok {
			return diag.Userf(pos, "%s entry %q is not of the form PREFIX:VARIABLE", s.Builtin, p)
		}
		builtin[prefix] = variable
	}
	for _, f := range fragments {
		prefix, rest, ok := strings.Cut(f, "/")
		if !ok {
			return diag.Userf(e.d.LastSet(s.Variable), "fragment %q in %s is not of the form LAYER/NAME", f, s.Variable)
		}
		if variable, ok := builtin[prefix]; ok {
			err = e.builtinFragment(pos, s, f, variable, rest)
		} else {
			err = e.fragment(pos, s, f, flagged)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluator) builtinFragment(pos diag.Pos, s *syntax.AddFragments, fragment, variable, value string) error {
	if old, ok := e.d.Assigned(variable); ok {
		return diag.Userf(pos, "fragment %s sets %s, which already has the value %q", fragment, variable, old).
			WithHint("remove %s from %s, or the assignment at %s", fragment, s.Variable, e.d.LastSet(variable))
	}
	return e.d.Assign(e.d.LastSet(s.Variable), &syntax.Assignment{Name: variable, Value: value})
}

func (e *evaluator) fragment(pos diag.Pos, s *syntax.AddFragments, fragment string, flagged []string) error {
	layer, name, _ := strings.Cut(fragment, "/")
	file, err := e.d.Expand(s.Prefix + "/" + name + ".conf")
	if err != nil {
		return placed(pos, err)
	}
	dirs, err := e.d.Words("BBLAYERS")
	if err != nil {
		return placed(pos, err)
	}
	layers, err := collections(e)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		path := joinPath(dir, file)
		if l := layerOf(layers, path); l == nil || l.Name != layer || !e.look().exists(path) {
			continue
		}
		if err := e.includeOne(pos, path, "", true); err != nil {
			return err
		}
		for _, v := range flagged {
			value, err := e.d.Value(v)
			if err == nil {
				e.d.By(datastore.SiteFragmentFlag)
				err = e.d.SetVarFlag(v, fragment, value)
			}
			if err == nil {
				e.d.By(datastore.SiteFragmentVar)
				err = e.d.SetNone(v)
			}
			if err != nil {
				return placed(pos, err)
			}
		}
		return nil
	}
	return diag.Userf(e.d.LastSet(s.Variable), "fragment %s is not in any enabled layer", fragment).
		WithNote("it would be the file %s of layer %s", file, layer).
		WithHint("correct %s, or add the layer to BBLAYERS", s.Variable)
}
