package recipe

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// providerIndex finds recipes by what they provide. Skipped recipes are only in skipped.
type providerIndex struct {
	build   map[string][]*Recipe // PN and PROVIDES
	runtime map[string][]*Recipe // RPROVIDES
	names   map[string][]*Recipe // PACKAGES
	dynamic []*Recipe            // those with PACKAGES_DYNAMIC
	skipped map[string][]*Recipe // PN and PROVIDES of skipped ones
}

func newProviderIndex(recipes []*Recipe) providerIndex {
	x := providerIndex{build: map[string][]*Recipe{}, runtime: map[string][]*Recipe{}, names: map[string][]*Recipe{}, skipped: map[string][]*Recipe{}}
	for _, r := range recipes {
		to := x.build
		if r.Skip != "" {
			to = x.skipped
		}
		for _, p := range r.Provides {
			to[p] = append(to[p], r)
		}
		if r.Skip != "" {
			continue
		}
		for _, p := range r.RProvides {
			x.runtime[p] = append(x.runtime[p], r)
		}
		for _, p := range r.Packages {
			x.names[p] = append(x.names[p], r)
		}
		if len(r.PackagesDynamic) > 0 {
			x.dynamic = append(x.dynamic, r)
		}
	}
	return x
}

// Provider is the recipe that target, a PN or a name in PROVIDES, is built from in a multiconfig.
func (w *World) Provider(mc, target string) (*Recipe, error) {
	list, err := w.Providers(mc, target)
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// Providers are the recipes that target could be built from in a multiconfig, one for each PN, the chosen one first.
func (w *World) Providers(mc, target string) ([]*Recipe, error) {
	c, err := w.config(mc)
	if err != nil {
		return nil, err
	}
	candidates := c.providers().build[target]
	if len(candidates) == 0 {
		return nil, w.nothingProvides(c, mc, target)
	}
	prefer, err := c.preferences()
	if err != nil {
		return nil, err
	}
	eligible, err := w.eligible(c, prefer.data, candidates, target)
	if err != nil {
		return nil, err
	}
	want, err := prefer.provider(target)
	if err != nil {
		return nil, err
	}
	if want == "" {
		w.warnMultiple(mc, target, eligible)
		return eligible, nil
	}
	if i := slices.IndexFunc(eligible, func(r *Recipe) bool { return r.PN == want }); i >= 0 {
		return toFront(eligible, i), nil
	}
	w.warnPreference(c, target, want, eligible)
	return eligible, nil
}

// warnMultiple says that a choice was made that the configuration leaves open.
func (w *World) warnMultiple(mc, target string, eligible []*Recipe) {
	if len(eligible) < 2 || eligible[0].PN == target {
		return
	}
	var names []string
	for _, r := range eligible {
		names = append(names, r.PN)
	}
	text := fmt.Sprintf("Multiple providers are available for %s (%s)\nConsider defining a PREFERRED_PROVIDER entry to match %s",
		target, strings.Join(names, ", "), target)
	if mc != "" {
		text = "mc:" + mc + ": " + text
	}
	w.loader.warn(diag.Pos{}, text)
}

func (w *World) warnPreference(c *config, target, want string, eligible []*Recipe) {
	var names []string
	for _, r := range eligible {
		names = append(names, r.PN)
	}
	text := fmt.Sprintf("PREFERRED_PROVIDER_%s = %q is not among the recipes that provide it: %s", target, want, strings.Join(names, ", "))
	if near := diag.Nearest(want, names); near != "" {
		text += "; did you mean " + near + "?"
	}
	w.loader.warn(c.base.d.LastSet("PREFERRED_PROVIDER_"+target), text)
}

func (w *World) config(mc string) (*config, error) {
	if c := w.configs[mc]; c != nil {
		return c, nil
	}
	err := diag.Userf(diag.Pos{}, "there is no multiconfig %q", mc)
	if near := diag.Nearest(mc, w.order); near != "" {
		return nil, err.WithHint("did you mean %s?", near)
	}
	if len(w.order) == 1 {
		return nil, err.WithHint("BBMULTICONFIG is empty; name the multiconfigs to use there, e.g. in local.conf")
	}
	return nil, err.WithHint("BBMULTICONFIG has %s", strings.Join(w.order[1:], " "))
}

// variableName is what in a recipe's reason to be skipped is likely to be a variable of the configuration.
var variableName = regexp.MustCompile(`\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b`)

// nothingProvides explains why a target cannot be built.
func (w *World) nothingProvides(c *config, mc, target string) error {
	text := "nothing PROVIDES " + target
	if mc != "" {
		text += " in multiconfig " + mc
	}
	err := diag.Userf(diag.Pos{}, "%s", text)
	if skipped := c.providers().skipped[target]; len(skipped) > 0 {
		for _, r := range skipped {
			err = err.WithNote("%s was skipped: %s", r.Name(), r.Skip)
			for _, name := range slices.Compact(slices.Sorted(slices.Values(variableName.FindAllString(r.Skip, -1)))) {
				if pos := c.base.d.LastSet(name); !pos.IsZero() {
					err = err.WithNote("%s was set last by %s", name, pos)
				}
			}
		}
		return err
	}
	if run := c.runtimeCandidates(target); len(run) > 0 {
		return err.WithHint("%s RPROVIDES %s; build that", run[0].PN, target)
	}
	for _, other := range w.order {
		if other != mc && len(w.configs[other].providers().build[target]) > 0 {
			prefix := ""
			if other != "" {
				prefix = "mc:" + other + ":"
			}
			return err.WithHint("it is there as %s%s", prefix, target)
		}
	}
	if near := diag.Nearest(target, slices.Sorted(maps.Keys(c.providers().build))); near != "" {
		return err.WithHint("did you mean %s?", near)
	}
	return err.WithHint("is the layer that has the recipe in BBLAYERS?")
}

// RuntimeProviders are the recipes that can supply a package, the chosen one first; none when nothing does.
func (w *World) RuntimeProviders(mc, pkg string) ([]*Recipe, error) {
	c, err := w.config(mc)
	if err != nil {
		return nil, err
	}
	candidates := c.runtimeCandidates(pkg)
	if len(candidates) == 0 {
		return nil, nil
	}
	prefer, err := c.preferences()
	if err != nil {
		return nil, err
	}
	eligible, err := w.eligible(c, prefer.data, candidates, pkg)
	if err != nil {
		return nil, err
	}
	want, err := prefer.data.Value("PREFERRED_RPROVIDER_" + pkg)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(eligible, func(r *Recipe) bool { return r.PN == want }); want != "" && i >= 0 {
		return toFront(eligible, i), nil
	}
	return preferredByProvides(prefer.data, c, eligible, pkg)
}

// preferredByProvides puts those recipes first that a PREFERRED_PROVIDER of something that one of them provides names.
func preferredByProvides(d *datastore.Data, c *config, eligible []*Recipe, pkg string) ([]*Recipe, error) {
	var preferred []*Recipe
	var because []string
	// BitBake takes the first one that it finds out of the list that it looks through, and so passes over the next.
	left := slices.Clone(eligible)
	for k := 0; k < len(left); k++ {
		for _, p := range c.index.provided(left[k].PN) {
			want, err := d.Value("PREFERRED_PROVIDER_" + p)
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(eligible, func(r *Recipe) bool { return r.PN == want })
			if want == "" || i < 0 || slices.Contains(preferred, eligible[i]) {
				continue
			}
			if len(preferred) == 0 {
				left = slices.DeleteFunc(left, func(r *Recipe) bool { return r == eligible[i] })
			}
			preferred = append(preferred, eligible[i])
			because = append(because, "PREFERRED_PROVIDER_"+p+" = "+want)
			eligible = toFront(eligible, i)
			break
		}
	}
	if len(preferred) > 1 {
		return nil, diag.Userf(diag.Pos{}, "two recipes that supply the package %s are preferred: %s and %s", pkg, preferred[0].PN, preferred[1].PN).
			WithNote("because of %s", strings.Join(because, ", ")).WithHint("set PREFERRED_RPROVIDER_%s", pkg)
	}
	return eligible, nil
}

// provided are the names that the recipes called pn provide.
func (x providerIndex) provided(pn string) []string {
	var names []string
	for _, r := range x.build[pn] {
		if r.PN != pn {
			continue
		}
		for _, p := range r.Provides {
			if !slices.Contains(names, p) {
				names = append(names, p)
			}
		}
	}
	return names
}

func toFront(list []*Recipe, i int) []*Recipe {
	return append([]*Recipe{list[i]}, slices.Delete(slices.Clone(list), i, i+1)...)
}

// runtimeCandidates are the recipes with the package in RPROVIDES or PACKAGES, else those whose PACKAGES_DYNAMIC matches it.
func (c *config) runtimeCandidates(pkg string) []*Recipe {
	found := slices.Concat(c.providers().runtime[pkg], c.providers().names[pkg])
	if len(found) == 0 {
		for _, r := range c.providers().dynamic {
			for _, pattern := range r.PackagesDynamic {
				re, err := regexp.Compile("^(?:" + strings.ReplaceAll(pattern, "+", `\+`) + ")")
				if err == nil && re.MatchString(pkg) {
					found = append(found, r)
					break
				}
			}
		}
	}
	return unique(found)
}

func unique(list []*Recipe) []*Recipe {
	var out []*Recipe
	for _, r := range list {
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// preferences are a configuration's PREFERRED_* settings.
type preferences struct {
	data   *datastore.Data   // with expanded variable names
	listed map[string]string // PREFERRED_PROVIDERS
}

func (c *config) preferences() (*preferences, error) {
	c.preferOnce.Do(func() {
		p := &preferences{data: c.base.d.Copy(), listed: map[string]string{}}
		if _, c.preferErr = p.data.ExpandKeys(); c.preferErr != nil {
			return
		}
		words, err := p.data.Words("PREFERRED_PROVIDERS")
		c.preferErr = err
		for _, word := range words {
			item, pn, ok := strings.Cut(word, ":")
			if !ok || strings.Contains(pn, ":") {
				c.preferErr = diag.Userf(c.base.d.LastSet("PREFERRED_PROVIDERS"), "malformed entry %q in PREFERRED_PROVIDERS", word).
					WithHint("write ITEM:RECIPE")
				return
			}
			p.listed[item] = pn
		}
		c.prefer = p
	})
	return c.prefer, c.preferErr
}

func (p *preferences) provider(target string) (string, error) {
	want, err := p.data.Value("PREFERRED_PROVIDER_" + target)
	if want == "" {
		want = p.listed[target]
	}
	return want, err
}

// eligible orders the candidates: one recipe per PN, of the preferred version, else the latest of the highest priority.
func (w *World) eligible(c *config, d *datastore.Data, candidates []*Recipe, item string) ([]*Recipe, error) {
	candidates = slices.Clone(candidates)
	slices.SortFunc(candidates, func(a, b *Recipe) int { return strings.Compare(a.Name(), b.Name()) })
	byPN := map[string][]*Recipe{}
	for _, r := range candidates {
		byPN[r.PN] = append(byPN[r.PN], r)
	}
	var preferred, latest []*Recipe
	for _, pn := range slices.Sorted(maps.Keys(byPN)) {
		sets := byPriority(byPN[pn])
		r, err := w.preferredVersion(c, d, pn, sets)
		if err != nil {
			return nil, err
		}
		if r != nil {
			preferred = append(preferred, r)
		} else {
			latest = append(latest, latestOf(sets[0]))
		}
	}
	all := append(preferred, latest...)
	if i := slices.IndexFunc(all, func(r *Recipe) bool { return r.PN == item }); i > 0 {
		all = toFront(all, i)
	}
	return all, nil
}

// byPriority groups recipes by layer priority, highest first, each group in the order of DEFAULT_PREFERENCE.
func byPriority(recipes []*Recipe) [][]*Recipe {
	groups := map[int][]*Recipe{}
	for _, r := range recipes {
		groups[r.Priority] = append(groups[r.Priority], r)
	}
	var sets [][]*Recipe
	for _, p := range slices.Backward(slices.Sorted(maps.Keys(groups))) {
		slices.SortStableFunc(groups[p], func(a, b *Recipe) int { return a.DefaultPreference - b.DefaultPreference })
		sets = append(sets, groups[p])
	}
	return sets
}

func (r *Recipe) version() version { return version{r.PE, r.PV, r.PR} }

func latestOf(set []*Recipe) *Recipe {
	var best *Recipe
	preference := 0
	for _, r := range set {
		if best == nil || preference == r.DefaultPreference && best.version().compare(r.version()) < 0 || r.DefaultPreference > preference {
			best, preference = r, r.DefaultPreference
		}
	}
	return best
}

// versionVariable is KEYWORD_VERSION for a recipe.
func versionVariable(d *datastore.Data, keyword, pn string) (string, bool, error) {
	var value string
	var ok bool
	for _, name := range []string{keyword + "_VERSION:pn-" + pn, keyword + "_VERSION_" + pn, keyword + "_VERSION"} {
		var err error
		if value, ok, err = d.Var(name, true); err != nil || value != "" {
			return value, ok, err
		}
	}
	return value, ok, nil
}

// preferredVersion is the recipe that REQUIRED_VERSION or PREFERRED_VERSION asks for, or nil.
func (w *World) preferredVersion(c *config, d *datastore.Data, pn string, sets [][]*Recipe) (*Recipe, error) {
	want, required, err := versionVariable(d, "REQUIRED", pn)
	if err != nil {
		return nil, err
	}
	if !required {
		if want, _, err = versionVariable(d, "PREFERRED", pn); err != nil {
			return nil, err
		}
	}
	if want == "" {
		return nil, nil
	}
	epoch, version := "", want
	if i := strings.LastIndexByte(want, ':'); i >= 0 && epochPrefix(want[:i+1]) {
		epoch, version = want[strings.LastIndexByte(want[:i], ':')+1:i], want[i+1:]
	}
	var available []string
	for _, set := range sets {
		for _, r := range set {
			if (epoch == "" || r.PE == epoch) && versionMatches(r.PV, version) {
				return r, nil
			}
			available = append(available, r.PV)
		}
	}
	slices.Sort(available)
	list := strings.Join(slices.Compact(available), " ")
	keyword := "PREFERRED_VERSION"
	if required {
		keyword = "REQUIRED_VERSION"
	}
	pos := c.base.d.LastSet(keyword + "_" + pn)
	if required {
		return nil, diag.Userf(pos, "required version %s of %s is not available", want, pn).
			WithNote("available: %s", list).
			WithHint("change REQUIRED_VERSION_%s, or add the recipe", pn)
	}
	w.loader.warn(pos, fmt.Sprintf("preferred version %s of %s not available\nversions of %s available: %s", want, pn, pn, list))
	return nil, nil
}

// epochPrefix says whether s is one or more numbers, each followed by a colon.
func epochPrefix(s string) bool {
	for part := range strings.SplitSeq(strings.TrimSuffix(s, ":"), ":") {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}

func versionMatches(pv, want string) bool {
	if prefix, ok := strings.CutSuffix(want, "%"); ok && strings.HasPrefix(pv, prefix) {
		return true
	}
	return pv == want
}
