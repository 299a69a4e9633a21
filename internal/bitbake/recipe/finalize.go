package recipe

import (
	"context"
	"errors"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// variant is an evaluated recipe: the recipe itself (name "") or one that BBCLASSEXTEND made.
type variant struct {
	name string
	*evaluator
	skip string // reason, "" when not skipped
}

// recipe evaluates one recipe file with its appends on a fork of a base configuration. Forks of forks follow BitBake's
// multi_finalize: every variant starts from the recipe as it was before it was finalised.
func (base *evaluator) recipe(ctx context.Context, mc, file, layer string, appends []string) ([]*variant, error) {
	e := base.fork(ctx)
	e.recorded(false)
	ctx = e.ctx
	e.d.By(datastore.SiteLayerName) // the only one of these that shows
	for _, v := range [][2]string{{"__BBMULTICONFIG", mc}, {"FILE_LAYERNAME", layer}, {"__BB_RECIPE_FILE", file}, {"__BBAPPEND", strings.Join(appends, " ")}} {
		if v[1] == "" {
			continue
		}
		if err := e.d.SetVar(v[0], v[1]); err != nil {
			return nil, err
		}
	}
	if layer == "" && !e.alone {
		if err := e.d.SetNone("FILE_LAYERNAME"); err != nil {
			return nil, err
		}
	}
	// The recipe's own FILE stays, so it is set here and file finds it in place.
	if err := e.setFile(file, false, false); err != nil {
		return nil, err
	}
	if err := e.file(file); err != nil {
		if skip, ok := skipReason(err); ok {
			return []*variant{{evaluator: e, skip: skip}}, nil
		}
		return nil, err
	}
	for _, a := range appends {
		if err := e.file(a); err != nil {
			return nil, err
		}
	}
	if e.before.eagerVariants {
		if err := e.deferredClasses(); err != nil {
			return nil, err
		}
	}
	main := &variant{evaluator: e.fork(ctx)}
	if err := main.finalize(file); err != nil {
		return nil, err
	}
	extend, err := main.d.Value("BBCLASSEXTEND")
	if err != nil {
		return nil, err
	}
	all := []*variant{main}
	if extend == "" {
		return all, nil
	}
	variants, err := e.variants(ctx, main, extend)
	if err != nil {
		return nil, err
	}
	for _, v := range variants {
		if err := v.finalize(file); err != nil {
			return nil, err
		}
	}
	return append(all, variants...), nil
}

// variants forks the unfinalised recipe for each word of BBCLASSEXTEND, e.g. "native" or "multilib:lib32".
func (e *evaluator) variants(ctx context.Context, main *variant, extend string) ([]*variant, error) {
	pn, ok, err := main.d.Var("PN", true)
	if err != nil {
		return nil, err
	}
	if !ok {
		pn = "None" // as Python joins it
	}
	if err := main.seeExtend(e, extend); err != nil {
		return nil, err
	}
	e.d.By(datastore.SiteClassExtend)
	if main.d.Shares(e.d, "BBCLASSEXTEND") { // what BitBake's copies have not written themselves shows through
		main.d.By(datastore.SiteClassExtend)
		if err := main.d.SetVar("BBCLASSEXTEND", extend); err != nil {
			return nil, err
		}
	}
	if err := e.d.SetVar("BBCLASSEXTEND", extend); err != nil {
		return nil, err
	}
	file, _, _ := e.d.Var("FILE", false)
	var all []*variant
	done := map[string]bool{}
	for _, word := range strings.FieldsFunc(extend, isSpace) {
		if done[word] {
			continue
		}
		done[word] = true
		v := &variant{name: word, evaluator: e.fork(ctx)}
		parts := strings.SplitN(word, ":", 3)
		if len(parts) > 1 {
			v.d.By(datastore.SiteExtendCurr)
			err = v.d.SetVar("BBEXTENDCURR", parts[0])
			v.d.By(datastore.SiteExtendVariant)
			err = errors.Join(err, v.d.SetVar("BBEXTENDVARIANT", parts[1]))
		} else {
			v.d.By(datastore.SiteExtendPN)
			err = v.d.SetVar("PN", pn+"-"+word)
		}
		if err != nil {
			return nil, err
		}
		v.state.deferred = append(v.state.deferred, deferredInherit{parts[0], diag.Pos{File: file}})
		all = append(all, v)
	}
	return all, nil
}

// seeExtend lets the recipe see what is written next to the store that it was copied from, as copies in BitBake do: its own
// BBCLASSEXTEND in its expanded form, unless it has changed it itself.
func (v *variant) seeExtend(e *evaluator, extend string) error {
	const name = "BBCLASSEXTEND"
	if len(v.d.History(name)) != len(e.d.History(name)) {
		return nil
	}
	v.d.By(datastore.SiteClassExtend)
	return v.d.SetVar(name, extend)
}

// finalize runs what waits for the end of a recipe: deferred classes, handlers, key expansion, anonymous python.
func (v *variant) finalize(file string) error {
	err := v.conclude(file)
	if skip, ok := skipReason(err); ok {
		v.skip = skip
		v.d.At(diag.Pos{}, "")
		return v.d.SetVar("__SKIPPED", skip)
	}
	return err
}

func (v *variant) conclude(file string) error {
	var waiting []string
	for _, w := range v.state.deferred {
		waiting = append(waiting, w.classes)
	}
	if err := v.fire(preDeferredInherits, "fn", file, "inherits", strings.Join(waiting, "\n")); err != nil {
		return err
	}
	if err := v.deferredClasses(); err != nil {
		return err
	}
	v.state.registered = v.state.handlers
	if err := v.fire(recipePreFinalise, "fn", file); err != nil {
		return err
	}
	v.d.By(datastore.SiteExpandKeys)
	notes, err := v.d.ExpandKeys()
	if err != nil {
		return placed(diag.Pos{File: file}, err)
	}
	for _, text := range notes {
		v.warn(diag.Pos{File: file}, text)
	}
	if err := v.fire(recipeKeysExpanded, "fn", file); err != nil {
		return err
	}
	for _, a := range v.state.anonymous {
		if err := v.exec(a.body, pyeval.Site{Pos: a.pos, Name: a.name}); err != nil {
			return placed(a.pos, err)
		}
	}
	if err := v.fire(recipeTaskPreProcess, "fn", file, "tasklist", strings.Join(v.d.Tasks(), "\n")); err != nil {
		return err
	}
	v.d.At(diag.Pos{}, "")
	if err := v.virtualProviders(file); err != nil {
		return err
	}
	v.d.By(datastore.SiteIncluded)
	if err := v.d.SetVar("BBINCLUDED", strings.Join(v.state.files, " ")); err != nil {
		return err
	}
	return v.fire(recipeParsed, "fn", file)
}

// deferredClasses inherits what waited until now.
func (e *evaluator) deferredClasses() error {
	for len(e.state.deferred) > 0 {
		next := e.state.deferred[0]
		e.state.deferred = e.state.deferred[1:]
		e.d.At(next.pos, "")
		if err := e.inherit(next.classes, next.pos, true); err != nil {
			return err
		}
	}
	return nil
}

// virtualProviders replaces the names of BB_RECIPE_VIRTUAL_PROVIDERS in DEPENDS and in the tasks' depends flags. Both are
// expanded and written anew even when there is nothing to replace.
func (v *variant) virtualProviders(file string) error {
	if v.before.plainDepends {
		return nil
	}
	names, err := v.d.Words("BB_RECIPE_VIRTUAL_PROVIDERS")
	if err != nil {
		return err
	}
	chosen := map[string]string{}
	for _, n := range names {
		if chosen[n], err = v.d.Value("PREFERRED_PROVIDER_" + n); err != nil {
			return err
		}
	}
	depends, err := v.d.Words("DEPENDS")
	if err != nil {
		return err
	}
	for i, dep := range depends {
		if p, ok := chosen[dep]; ok {
			if p == "" {
				return diag.Userf(diag.Pos{File: file}, "recipe needs %s, but PREFERRED_PROVIDER_%s is not set", dep, dep).
					WithHint("set it in the distro's configuration")
			}
			depends[i] = p
		}
	}
	v.d.By(datastore.SiteDepends)
	if err := v.d.SetVar("DEPENDS", strings.Join(depends, " ")); err != nil {
		return err
	}
	for _, task := range v.d.Tasks() {
		flag, _, err := v.d.VarFlag(task, "depends", true)
		if err != nil {
			return err
		}
		entries := strings.FieldsFunc(flag, isSpace)
		for i, entry := range entries {
			if name, t, _ := strings.Cut(entry, ":"); chosen[name] != "" {
				entries[i] = chosen[name] + ":" + t
			}
		}
		v.d.By(datastore.SiteTaskDepends)
		if err := v.d.SetVarFlag(task, "depends", strings.Join(entries, " ")); err != nil {
			return err
		}
	}
	return nil
}

// skipReason finds the SkipRecipe in err.
func skipReason(err error) (string, bool) {
	var skip *pyeval.SkipRecipe
	if !errors.As(err, &skip) {
		return "", false
	}
	return skip.Reason, true
}
