package recipe

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// summary reads from a finalised store what the choice of providers and the task graph need to know.
func (v *variant) summary() (*Recipe, error) {
	r := &Recipe{Data: v.d, Inherits: v.state.inherited, Files: v.state.files}
	if err := v.identity(r); err != nil {
		return nil, err
	}
	if v.skip != "" {
		return r, nil
	}
	if err := v.dependencies(r); err != nil {
		return nil, err
	}
	return r, v.tasks(r)
}

func (v *variant) identity(r *Recipe) error {
	for _, f := range []struct {
		name string
		to   *string
	}{{"PN", &r.PN}, {"PE", &r.PE}, {"PV", &r.PV}, {"PR", &r.PR}} {
		s, err := v.d.Value(f.name)
		if err != nil {
			return err
		}
		*f.to = s
	}
	if r.PN == "" {
		file, _, _ := v.d.Var("FILE", false)
		r.PN, _, _ = strings.Cut(strings.TrimSuffix(baseName(file), ".bb"), "_")
	}
	provides, err := v.depends("PROVIDES")
	if err != nil {
		return err
	}
	r.Provides = []string{r.PN}
	for _, p := range provides {
		if !slices.Contains(r.Provides, p) {
			r.Provides = append(r.Provides, p)
		}
	}
	if r.Packages, err = v.d.Words("PACKAGES"); err != nil {
		return err
	}
	if len(r.Packages) == 0 {
		r.Packages = []string{r.PN}
	}
	if r.PackagesDynamic, err = v.d.Words("PACKAGES_DYNAMIC"); err != nil {
		return err
	}
	names := []string{"RPROVIDES"}
	for _, p := range r.Packages {
		names = append(names, "RPROVIDES:"+p)
	}
	for _, name := range names {
		words, err := v.depends(name)
		if err != nil {
			return err
		}
		for _, w := range words {
			if !slices.Contains(r.RProvides, w) {
				r.RProvides = append(r.RProvides, w)
			}
		}
	}
	return nil
}

// depends are the names in a variable of the form `a b (>= 1) c`, without the versions.
func (v *variant) depends(name string) ([]string, error) {
	s, err := v.d.Value(name)
	return explodeDeps(s), err
}

func explodeDeps(s string) []string {
	var names []string
	version := false
	for _, w := range strings.FieldsFunc(s, isSpace) {
		version = version || w[0] == '('
		if !version {
			names = append(names, w)
		}
		if strings.HasSuffix(w, ")") {
			version = false
		}
	}
	return names
}

func (v *variant) dependencies(r *Recipe) error {
	depends, err := v.depends("DEPENDS")
	if err != nil {
		return err
	}
	for _, d := range depends {
		if !slices.Contains(r.Depends, d) {
			r.Depends = append(r.Depends, d)
		}
	}
	if r.RDepends, err = v.perPackage("RDEPENDS", r.Packages); err != nil {
		return err
	}
	if r.RRecommends, err = v.perPackage("RRECOMMENDS", r.Packages); err != nil {
		return err
	}
	preference, err := v.d.Value("DEFAULT_PREFERENCE")
	if err != nil {
		return err
	}
	if preference != "" {
		if r.DefaultPreference, err = strconv.Atoi(strings.TrimFunc(preference, isSpace)); err != nil {
			return diag.Userf(v.d.LastSet("DEFAULT_PREFERENCE"), "DEFAULT_PREFERENCE = %q is not a number", preference)
		}
	}
	world, err := v.d.Value("EXCLUDE_FROM_WORLD")
	r.ExcludeFromWorld = boolean(world)
	return err
}

// boolean is bb.utils.to_boolean; what it would refuse counts as true.
func boolean(s string) bool {
	switch strings.ToLower(s) {
	case "", "n", "no", "f", "false", "0":
		return false
	}
	return true
}

func (v *variant) perPackage(name string, packages []string) (map[string][]string, error) {
	common, err := v.depends(name)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]string, len(packages))
	for _, p := range packages {
		own, err := v.depends(name + ":" + p)
		if err != nil {
			return nil, err
		}
		all[p] = slices.Concat(common, own)
	}
	return all, nil
}

// shareTask gives the task that another recipe has, if it is the same.
func (v *variant) shareTask(t *Task) *Task {
	var b strings.Builder
	part := func(s string) {
		b.WriteString(strconv.Itoa(len(s)))
		b.WriteByte(':')
		b.WriteString(s)
	}
	part(t.Name)
	for _, after := range t.After {
		part(after)
	}
	b.WriteByte(';')
	for _, name := range slices.Sorted(maps.Keys(t.Flags)) {
		part(name)
		part(t.Flags[name])
	}
	one, _ := v.sameTasks.LoadOrStore(b.String(), t)
	return one.(*Task)
}

// tasks reads the tasks that addtask made, with ${} in their names and orders expanded.
func (v *variant) tasks(r *Recipe) error {
	for _, raw := range v.d.Tasks() {
		name, err := v.d.Expand(raw)
		if err != nil {
			return err
		}
		v.d.By(datastore.SiteTask)
		if err := v.d.SetObject(name, "task", "1"); err != nil {
			return err
		}
		if r.Task(name) != nil {
			continue
		}
		flags, err := v.d.VarFlags(name)
		if err != nil {
			return err
		}
		t := &Task{Name: name, Flags: flags}
		for _, dep := range v.d.TaskDeps(name) {
			if dep, err = v.d.Expand(dep); err != nil {
				return err
			}
			t.After = append(t.After, dep)
		}
		maps.DeleteFunc(flags, func(k, _ string) bool { return k == "deps" || k == "task" })
		for _, f := range []string{"noexec", "fakeroot", "nostamp"} {
			if value, ok := flags[f]; ok && value != "1" && !strings.Contains(value, "${") {
				v.warn(v.d.LastSet(name), fmt.Sprintf("%s[%s] is set to %q; BitBake wants \"1\"", name, f, value))
			}
		}
		r.Tasks = append(r.Tasks, v.shareTask(t))
	}
	return nil
}
