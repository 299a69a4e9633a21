package recipe

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"n3x/internal/bitbake/datastore"
)

// worldAnswer is what testdata/record_world.py writes for one multiconfig.
type worldAnswer struct {
	Base      map[string]*string      `json:"base"`
	Recipes   map[string]recipeAnswer `json:"recipes"`
	Providers map[string]*string      `json:"providers"`
}

type recipeAnswer struct {
	PN       string                       `json:"pn"`
	PV       string                       `json:"pv"`
	PR       string                       `json:"pr"`
	PE       string                       `json:"pe"`
	Layer    *string                      `json:"layer"`
	Priority int                          `json:"priority"`
	Appends  []string                     `json:"appends"`
	Skip     string                       `json:"skip"`
	Provides []string                     `json:"provides"`
	Packages []string                     `json:"packages"`
	Depends  []string                     `json:"depends"`
	Inherits []string                     `json:"inherits"`
	Tasks    []string                     `json:"tasks"`
	Parents  map[string][]string          `json:"parents"`
	Flags    map[string]map[string]string `json:"flags"`
	Vars     map[string]*string           `json:"vars"`
}

// unpack writes an archive's cases and gives their names.
func unpack(t *testing.T, archive string) (root string, cases []string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, err := txtar.ParseFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		name, _, _ := strings.Cut(f.Name, "/")
		if !slices.Contains(cases, name) {
			cases = append(cases, name)
		}
		path := filepath.Join(root, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root, cases
}

// TestWorld holds whole build directories against what BitBake answered.
func TestWorld(t *testing.T) {
	root, cases := unpack(t, "testdata/world.txtar")
	want := readRecorded(t, "testdata/world.json")
	for _, name := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(root, name)
			w, err := Load(context.Background(), Options{TopDir: filepath.Join(dir, "build")})
			if err != nil {
				t.Fatal(err)
			}
			compareWorld(t, w, dir, want.Cases[name])
		})
	}
}

func compareWorld(t *testing.T, w *World, root string, want map[string]json.RawMessage) {
	t.Helper()
	if len(want) == 0 || len(want) != len(w.Multiconfigs()) {
		t.Fatalf("multiconfigs %q, BitBake has %d", w.Multiconfigs(), len(want))
	}
	for mc, raw := range want {
		var a worldAnswer
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(clean(a.Base), clean(worldVariables(w.Base(mc), root))); diff != "" {
			t.Errorf("base of %q: BitBake (-), got (+):\n%s", mc, diff)
		}
		got := map[string]recipeAnswer{}
		for _, r := range w.Recipes(mc) {
			got[strings.ReplaceAll(r.Name(), root, "@ROOT@")] = describeRecipe(t, r, root)
		}
		for name, r := range a.Recipes {
			r.Vars = clean(r.Vars)
			if diff := cmp.Diff(r, got[name]); diff != "" {
				t.Errorf("%s: BitBake (-), got (+):\n%s", name, diff)
			}
			delete(got, name)
		}
		for name := range got {
			t.Errorf("BitBake has no recipe %s", name)
		}
		for item, name := range a.Providers {
			r, err := w.Provider(mc, item)
			if err != nil {
				t.Error(err)
			} else if g := strings.ReplaceAll(r.Name(), root, "@ROOT@"); name == nil || g != *name {
				t.Errorf("provider of %s in %q: %s, want %v", item, mc, g, name)
			}
		}
	}
}

func describeRecipe(t *testing.T, r *Recipe, root string) recipeAnswer {
	t.Helper()
	hide := func(list []string) []string {
		out := []string{}
		for _, s := range list {
			out = append(out, strings.ReplaceAll(s, root, "@ROOT@"))
		}
		return out
	}
	provides, err := r.Data.Value("PROVIDES")
	if err != nil {
		t.Error(err)
	}
	a := recipeAnswer{PN: r.PN, Layer: &r.Layer, Priority: r.Priority, Appends: hide(r.Appends), Skip: r.Skip,
		Provides: append([]string{}, explodeDeps(provides)...), Packages: r.Packages}
	if r.Skip != "" {
		return a
	}
	depends, _ := r.Data.Value("DEPENDS")
	a.PV, a.PR, a.PE, a.Depends = r.PV, r.PR, r.PE, append([]string{}, explodeDeps(depends)...)
	a.Inherits, a.Tasks, a.Parents, a.Flags = hide(r.Inherits), []string{}, map[string][]string{}, map[string]map[string]string{}
	for _, task := range r.Tasks {
		a.Tasks = append(a.Tasks, task.Name)
		a.Parents[task.Name] = append([]string{}, task.After...)
		a.Flags[task.Name] = map[string]string{}
		for k, v := range task.Flags {
			if k != "filename" && k != "lineno" {
				a.Flags[task.Name][k] = strings.ReplaceAll(v, root, "@ROOT@")
			}
		}
	}
	a.Vars = clean(worldVariables(r.Data, root))
	return a
}

func worldVariables(d *datastore.Data, root string) map[string]*string {
	out := map[string]*string{}
	for _, name := range d.Keys() {
		if _, isFunc, _ := d.VarFlag(name, "func", false); isFunc || strings.HasPrefix(name, "__") {
			continue
		}
		s, ok, err := d.Var(name, true)
		switch {
		case err != nil:
			s = "!" + err.Error()
			out[name] = &s
		case ok:
			s = strings.ReplaceAll(s, root, "@ROOT@")
			out[name] = &s
		default:
			out[name] = nil
		}
	}
	return out
}

// clean drops the variables that say where and when a recording was made.
func clean(vars map[string]*string) map[string]*string {
	for _, name := range []string{"FILE", "BBINCLUDED", "BB_WORKERCONTEXT", "PATH", "HOME", "PWD", "SHELL", "USER", "LOGNAME", "LC_ALL",
		"BB_ORIGENV", "DATE", "TIME", "BB_ENV_PASSTHROUGH_ADDITIONS"} {
		delete(vars, name)
	}
	return vars
}

func BenchmarkLoad(b *testing.B) {
	root := b.TempDir()
	a, err := txtar.ParseFile("testdata/world.txtar")
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range a.Files {
		path := filepath.Join(root, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := Load(context.Background(), Options{TopDir: filepath.Join(root, "plain/build")}); err != nil {
			b.Fatal(err)
		}
	}
}
