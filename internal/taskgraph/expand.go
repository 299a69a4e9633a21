package taskgraph

import (
	"cmp"
	"slices"
	"strings"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// Targets reads words as [ParseTargets] does, and also those that stand for several targets: mc:*:NAME, world and universe.
// task is that of words that name none; "" is build.
func Targets(w World, words []string, task string) ([]Target, error) {
	full := slices.DeleteFunc(slices.Clone(words), func(s string) bool { return strings.HasPrefix(s, "multiconfig:") })
	for _, word := range words {
		if rest, ok := strings.CutPrefix(word, "multiconfig:"); ok {
			full = append(full, "mc:"+rest)
		}
	}
	for _, k := range []struct {
		word  string
		names func(recipes []*recipe.Recipe, task string) []string
	}{{"world", worldNames}, {"universe", universeNames}} {
		i := slices.Index(full, k.word)
		if i < 0 {
			continue
		}
		full = slices.Delete(full, i, i+1)
		for _, mc := range w.Multiconfigs() {
			for _, name := range k.names(buildable(w, mc), taskName(cmp.Or(task, "build"))) {
				full = append(full, target(mc, name))
			}
		}
	}
	full, err := wildcards(w, full)
	if err != nil {
		return nil, err
	}
	return ParseTargets(full, task)
}

// wildcards replaces mc:*:NAME by a target for each multiconfig. The default one's has no task of its own, as in BitBake.
func wildcards(w World, words []string) ([]string, error) {
	var out []string
	implicit, explicit, wildcard := "", false, false
	for _, word := range words {
		if !strings.HasPrefix(word, "mc:") || strings.Count(word, ":") < 2 {
			explicit = true
			out = append(out, word)
			continue
		}
		if wildcard {
			return nil, diag.Userf(diag.Pos{}, "target %s: mc:* must be the last target with a multiconfig", word).WithHint("name the targets of mc:* last")
		}
		if !strings.HasPrefix(word, "mc:*:") {
			out = append(out, word)
			continue
		}
		wildcard = true
		for _, mc := range w.Multiconfigs() {
			if mc == "" {
				implicit = strings.Split(word, ":")[2]
				continue
			}
			out = append(out, strings.ReplaceAll(word, "*", mc))
		}
	}
	if !explicit && implicit != "" {
		out = append(out, implicit)
	}
	return out, nil
}

// buildable are a multiconfig's recipes that are not skipped.
func buildable(w World, mc string) []*recipe.Recipe {
	return slices.DeleteFunc(w.Recipes(mc), func(r *recipe.Recipe) bool { return r.Skip != "" })
}

// providersOf are recipes by what they provide, and what all recipes of a name provide.
func providersOf(recipes []*recipe.Recipe) (by map[string][]*recipe.Recipe, provides map[string][]string) {
	by, provides = map[string][]*recipe.Recipe{}, map[string][]string{}
	for _, r := range recipes {
		for _, p := range r.Provides {
			by[p] = append(by[p], r)
			provides[r.PN] = append(provides[r.PN], p)
		}
	}
	return by, provides
}

// worldNames are the recipes with the task that nobody else provides anything of, but for those with EXCLUDE_FROM_WORLD.
func worldNames(recipes []*recipe.Recipe, task string) []string {
	by, provides := providersOf(recipes)
	var out []string
	for _, r := range recipes {
		alone := !r.ExcludeFromWorld && r.Task(task) != nil
		for _, p := range provides[r.PN] {
			if strings.HasPrefix(p, "virtual/") || slices.ContainsFunc(by[p], func(o *recipe.Recipe) bool { return o.PN != r.PN }) {
				alone = false
			}
		}
		if alone {
			out = append(out, r.PN)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// universeNames are all recipes with the task.
func universeNames(recipes []*recipe.Recipe, task string) []string {
	by, _ := providersOf(recipes)
	var out []string
	for _, r := range recipes {
		if slices.ContainsFunc(by[r.PN], func(o *recipe.Recipe) bool { return o.Task(task) != nil }) {
			out = append(out, r.PN)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
