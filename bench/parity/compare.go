// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// comparison counts what is equal and collects what is not.
type comparison struct {
	w       *recipe.World
	loadErr error
	failed  map[string]string // recipe file to error, until BitBake's is found
	errors  map[string]string // the same, all of them
	recipes map[string]*recipe.Recipe

	warnings []recipe.Warning // of the load, before anything is asked

	mcs       map[string]bool // multiconfigs that are recorded
	known     map[string]bool // names of recorded recipes
	cpu       float64
	bases     int
	count     int // recipes
	reordered int // flags whose words have another order
	values    int
	kinds     map[string][]string // kind of difference to examples
	refused   map[string]int      // constructs that pyeval refuses
}

func newComparison(w *recipe.World, loadErr error) *comparison {
	c := &comparison{w: w, loadErr: loadErr, failed: map[string]string{}, errors: map[string]string{}, recipes: map[string]*recipe.Recipe{}, known: map[string]bool{}, mcs: map[string]bool{}, kinds: map[string][]string{}, refused: map[string]int{}}
	c.failures(loadErr)
	if w == nil {
		return c
	}
	c.warnings = w.Warnings()
	for _, mc := range w.Multiconfigs() {
		for _, r := range w.Recipes(mc) {
			c.recipes[r.Name()] = r
		}
	}
	return c
}

// failures takes the errors of single recipes out of what Load gave.
func (c *comparison) failures(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			c.failures(e)
		}
		return
	}
	if err == nil {
		return
	}
	c.noteRefusal(err)
	var d *diag.Error
	if errors.As(err, &d) {
		file := d.Pos.File
		if _, in, ok := strings.Cut(d.Text, "\nin recipe "); ok {
			file = in
		}
		c.failed[file] = err.Error()
		c.errors[file] = err.Error()
	}
}

func (c *comparison) noteRefusal(err error) {
	var u *pyeval.Unsupported
	if errors.As(err, &u) {
		c.refused[u.Construct]++
	}
}

func (c *comparison) differ(kind, format string, args ...any) {
	c.kinds[kind] = append(c.kinds[kind], fmt.Sprintf(format, args...))
}

func (c *comparison) equal(kind, where string, got, want any) {
	c.values++
	g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want)
	if g != w {
		c.differ(kind, "%s: got %s\n      BitBake %s", where, g, w)
	}
}

func (c *comparison) line(r *recording, l *line) {
	switch {
	case l.Error != "":
		if c.loadErr == nil || c.w != nil {
			c.differ("configuration", "BitBake refuses it: %s: %s", l.Error, l.ErrorText)
		} else {
			fmt.Printf("both refuse the configuration\n  BitBake: %s: %s\n  n3x: %v\n", l.Error, l.ErrorText, c.loadErr)
			c.loadErr = nil
		}
	case c.w == nil:
	case l.Multiconfigs != nil:
		c.equal("multiconfigs", "world", c.w.Multiconfigs(), l.Multiconfigs)
	case l.Base != nil:
		c.bases++
		c.mcs[l.MC] = true
		d := c.w.Base(l.MC)
		if d == nil {
			c.differ("missing base", "%q", l.MC)
			return
		}
		c.variables(r, "base of "+strconv.Quote(l.MC), d.Copy(), l.Base.Vars)
	case l.Recipe != nil:
		c.recipe(r, l.Recipe)
	case l.Providers != nil:
		c.providers(l.MC, l.Providers)
	case l.Messages != nil:
		c.messages(*l.Messages)
	case l.CPU > 0:
		c.cpu = l.CPU
	}
}

func (c *comparison) recipe(r *recording, want *recipeAnswer) {
	c.known[want.Name] = true
	c.count++
	got := c.recipes[want.Name]
	if want.Error != "" {
		for file, text := range c.failed {
			if strings.HasSuffix(want.Name, file) {
				delete(c.failed, file)
				fmt.Printf("both refuse %s\n  BitBake: %s: %s\n  n3x: %s\n", want.Name, want.Error, want.Text, text)
				return
			}
		}
		c.differ("recipe that BitBake refuses", "%s: %s: %s", want.Name, want.Error, want.Text)
		return
	}
	if got == nil {
		text := "is missing"
		for file, t := range c.failed {
			if strings.HasSuffix(want.Name, file) {
				text = t
			}
		}
		c.differ("recipe that n3x does not load", "%s: %s", want.Name, text)
		return
	}
	c.summary(want.Name, got, want)
	c.variables(r, want.Name, got.Data.Copy(), want.Vars)
}

func (c *comparison) summary(at string, got *recipe.Recipe, want *recipeAnswer) {
	layer := ""
	if want.Layer != nil {
		layer = *want.Layer
	}
	c.equal("PN", at, got.PN, want.PN)
	c.equal("skip", at, got.Skip, want.Skip)
	c.equal("layer", at, got.Layer, layer)
	c.equal("priority", at, got.Priority, want.Priority)
	c.equal("appends", at, got.Appends, want.Appends)
	c.equal("packages", at, got.Packages, want.Packages)
	if want.Skip != "" {
		return
	}
	c.equal("PV", at, got.PV, want.PV)
	c.equal("PR", at, got.PR, want.PR)
	c.equal("PE", at, got.PE, want.PE)
	c.equal("provides", at, got.Provides, unique(append([]string{want.PN}, want.Provides...)))
	c.equal("rprovides", at, unique(got.RProvides), unique(want.RProvides))
	c.equal("packages_dynamic", at, got.PackagesDynamic, want.PackagesDynamic)
	c.equal("depends", at, got.Depends, unique(want.Depends))
	c.equal("inherits", at, got.Inherits, want.Inherits)
	c.equal("default preference", at, got.DefaultPreference, want.Preference)
	c.equal("excluded from world", at, got.ExcludeFromWorld, want.World)
	var tasks []string
	for _, t := range got.Tasks {
		tasks = append(tasks, t.Name)
		c.equal("task parents", at+" "+t.Name, t.After, want.Parents[t.Name])
	}
	c.equal("tasks", at, tasks, want.Tasks)
	for pkg, deps := range want.RDepends {
		c.equal("rdepends", at+" "+pkg, got.RDepends[pkg], slices.Concat(want.RDependsAll, deps))
	}
	for pkg, deps := range want.RRecommends {
		c.equal("rrecommends", at+" "+pkg, got.RRecommends[pkg], slices.Concat(want.RRecommendsAll, deps))
	}
	c.files(at, got.Files, want.Files)
}

// files are compared as sets.
func (c *comparison) files(at string, got, want []string) {
	has := map[string]bool{}
	for _, f := range got {
		has[f] = true
	}
	for _, f := range want {
		c.values++
		if !has[f] {
			c.differ("file that n3x does not name", "%s: %s", at, f)
		}
		delete(has, f)
	}
	for _, f := range slices.Sorted(maps.Keys(has)) {
		c.differ("file that BitBake does not name", "%s: %s", at, f)
	}
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// dangling lets a build folder be loaded although appends have no recipe; the recorder never stops at these.
const dangling = "BB_DANGLINGAPPENDS_WARNONLY"

// internal are variables that BitBake keeps for itself, in forms of its own.
func internal(name string) bool {
	return strings.HasPrefix(name, "__") || name == dangling || slices.Contains([]string{"_task_deps", "BB_HASHFILENAME", "_remote_sigs", "BB_ORIGENV", "BBINCLUDED"}, name)
}

func (c *comparison) variables(r *recording, at string, d *datastore.Data, want []variable) {
	left := map[string]bool{}
	for _, name := range d.Keys() {
		left[name] = true
	}
	for _, v := range want {
		name, _ := r.text(v.name)
		if internal(name) {
			delete(left, name)
			continue
		}
		if !left[name] {
			c.differ("missing variable "+name, "%s", at)
			continue
		}
		delete(left, name)
		c.value(r, at, name, d, false, v.raw)
		c.value(r, at, name, d, true, v.val)
		c.flags(r, at, name, d, v.flags)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if !internal(name) {
			c.differ("variable that BitBake does not have: "+name, "%s", at)
		}
	}
}

func (c *comparison) value(r *recording, at, name string, d *datastore.Data, expand bool, want answer) {
	c.values++
	kind := "value of " + name
	if !expand {
		kind = "unexpanded value of " + name
	}
	got, ok, err := d.Var(name, expand)
	switch text, has := "", false; {
	case want.exception != "":
		if err == nil {
			c.differ(kind, "%s: got %q, BitBake %s", at, got, want.exception)
		} else {
			c.noteRefusal(err)
		}
	case err != nil:
		c.noteRefusal(err)
		text, _ = r.text(want.text)
		c.differ(kind, "%s: %v\n      BitBake %q", at, err, text)
	default:
		if text, has = r.text(want.text); text != got && name == "IMAGE_BASETYPES" && sameWords(got, text) {
			c.reordered++
		} else if text != got || has != ok {
			g, b := apart(got, text)
			c.differ(kind, "%s:\n      got     %q %v\n      BitBake %q %v", at, g, ok, b, has)
		}
	}
}

func (c *comparison) flags(r *recording, at, name string, d *datastore.Data, want map[string]int) {
	got, err := d.VarFlags(name)
	if err != nil {
		c.differ("flags of "+name, "%s: %v", at, err)
		return
	}
	for flag, n := range want {
		c.values++
		text, _ := r.text(n)
		if g, ok := got[flag]; ok && flag == "vardeps" && g != text && sameWords(g, text) {
			c.reordered++ // made of a Python set of texts, whose order is random
		} else if !ok || g != text {
			c.differ("flag "+name+"["+flag+"]", "%s:\n      got     %q %v\n      BitBake %q", at, g, ok, text)
		}
	}
	for flag, g := range got {
		if _, ok := want[flag]; !ok && !strings.HasPrefix(flag, "_") {
			c.differ("flag that BitBake does not have: "+name+"["+flag+"]", "%s: %q", at, g)
		}
	}
}

func (c *comparison) providers(mc string, want map[string]*string) {
	for item, name := range want {
		c.values++
		got := "none"
		if r, err := c.w.Provider(mc, item); err == nil {
			got = r.Name()
		} else if name != nil {
			got = err.Error()
		}
		expected := "none"
		if name != nil {
			expected = *name
		}
		if got != expected {
			c.differ("provider", "%q %s: got %s, BitBake %s", mc, item, got, expected)
		}
	}
}

func (c *comparison) messages(want [][2]string) {
	said := func(m [2]string, w recipe.Warning) bool {
		return strings.Contains(m[1], strings.TrimSpace(w.Text))
	}
	for _, m := range want {
		c.values++
		if m[0] == "CRITICAL" && slices.ContainsFunc(slices.Collect(maps.Values(c.errors)), func(e string) bool { return strings.Contains(e, m[1]) }) {
			continue // it is the recipe's error
		}
		if !slices.ContainsFunc(c.w.Warnings(), func(w recipe.Warning) bool { return said(m, w) }) {
			c.differ("message of BitBake", "%s: %s", m[0], m[1])
		}
	}
	for _, w := range c.warnings { // those of the choice of providers are not recorded for all targets
		if !strings.HasPrefix(w.Text, "No recipes in ") && !slices.ContainsFunc(want, func(m [2]string) bool { return said(m, w) }) {
			c.differ("message of n3x", "%s", w)
		}
	}
}

// finish looks at what is left over.
func (c *comparison) finish() {
	if c.loadErr != nil && len(c.recipes) == 0 {
		c.differ("configuration", "%v", c.loadErr)
	}
	for _, name := range slices.Sorted(maps.Keys(c.recipes)) {
		if !c.known[name] && c.mcs[c.recipes[name].MC] {
			c.differ("recipe that BitBake does not have", "%s", name)
		}
	}
}

// print reports, and whether everything was equal.
func (c *comparison) print(examples int) bool {
	total := 0
	kinds := slices.SortedFunc(maps.Keys(c.kinds), func(a, b string) int {
		if n := len(c.kinds[b]) - len(c.kinds[a]); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	for _, k := range kinds {
		list := c.kinds[k]
		total += len(list)
		fmt.Printf("%d x %s\n", len(list), k)
		for _, e := range list[:min(examples, len(list))] {
			fmt.Printf("    %s\n", clip(e))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.refused)) {
		fmt.Printf("refused %d times: %s\n", c.refused[k], k)
	}
	fmt.Printf("%d values that ISAR makes of sets have their words in another order\n%d base configurations, %d recipes, %d values compared, %d differences of %d kinds; BitBake and its recorder took %.1f CPU-seconds\n",
		c.reordered, c.bases, c.count, c.values, total, len(kinds), c.cpu)
	return total == 0 && c.count > 0
}

func clip(s string) string {
	if len(s) > 1500 {
		return s[:1500] + "..."
	}
	return s
}

// apart cuts what two texts begin and end with in common, but for a few bytes.
func apart(a, b string) (string, string) {
	const shown = 40
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	if n > shown {
		a, b = "..."+a[n-shown:], "..."+b[n-shown:]
	}
	n = 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	if n > shown {
		a, b = a[:len(a)-n+shown]+"...", b[:len(b)-n+shown]+"..."
	}
	return a, b
}

// sameWords reports that two texts have the same words.
func sameWords(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}
