package recipe

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
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
	Vars     map[string]*string           `json:"vars"`  // those whose value is another than in the base configuration
	Funcs    map[string]string            `json:"funcs"` // digests of the functions that the base configuration does not have so
	Error    string                       `json:"error"`
	At       string                       `json:"at"`
	Words    []string                     `json:"words"`
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
	values, builds := 0, 0
	for _, archive := range []string{"world", "layers-isar", "layers-oe"} {
		root, cases := unpack(t, "testdata/"+archive+".txtar")
		want := readRecorded(t, "testdata/"+archive+".json")
		for _, name := range cases {
			t.Run(archive+"/"+name, func(t *testing.T) {
				dir := filepath.Join(root, name)
				w, err := Load(context.Background(), Options{TopDir: filepath.Join(dir, "build"), BitBake: want.BitBake})
				if _, refused := want.Cases[name]["error"]; refused {
					checkRefusal(t, dir, want.Cases[name], err)
					values++
					return
				}
				if w == nil {
					t.Fatal(err)
				}
				values += compareWorld(t, w, err, dir, want.Cases[name])
				if strings.HasPrefix(archive, "layers") {
					builds++
				}
			})
		}
	}
	if values < minLayerValues || builds < minBuilds {
		t.Errorf("only %d values from %d builds; want %d and %d", values, builds, minLayerValues, minBuilds)
	}
}

// The corpus must not shrink below these. A build has at least two layers of its own.
const (
	minLayerValues = 2000
	minBuilds      = 3
)

// compareWorld gives the number of values compared.
func compareWorld(t *testing.T, w *World, loadErr error, root string, want map[string]json.RawMessage) int {
	t.Helper()
	if len(want) == 0 || len(want) != len(w.Multiconfigs()) {
		t.Fatalf("multiconfigs %q, BitBake has %d", w.Multiconfigs(), len(want))
	}
	var printed strings.Builder
	if loadErr != nil {
		diag.Render(&printed, "n3x", loadErr)
	}
	values, refused := 0, 0
	for mc, raw := range want {
		var a worldAnswer
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatal(err)
		}
		base := worldVariables(w.Base(mc), root)
		if diff := cmp.Diff(clean(maps.Clone(a.Base)), clean(maps.Clone(base))); diff != "" {
			t.Errorf("base of %q: BitBake (-), got (+):\n%s", mc, diff)
		}
		values += len(a.Base) + len(a.Providers)
		got := map[string]recipeAnswer{}
		for _, r := range w.Recipes(mc) {
			got[strings.ReplaceAll(r.Name(), root, "@ROOT@")] = describeRecipe(t, r, root, base, w.Base(mc))
		}
		for name, r := range a.Recipes {
			if r.Error != "" {
				refused++
				values++
				for _, word := range append(r.Words, r.At) {
					if !strings.Contains(strings.ReplaceAll(printed.String(), root, "@ROOT@"), word) {
						t.Errorf("%s: %q of BitBake's message is not in:\n%s", name, word, printed.String())
					}
				}
				continue
			}
			r.Vars = clean(r.Vars)
			if r.Skip == "True" && got[name].Skip != "" {
				r.Skip = got[name].Skip // BitBake forgets the reason when a file is skipped while it is read
			}
			if r.Layer == nil {
				r.Layer = new(string)
			}
			values += 6 + len(r.Vars) + len(r.Funcs) + len(r.Tasks)
			for task, flags := range r.Flags {
				values += len(flags) + len(r.Parents[task])
			}
			if diff := cmp.Diff(r, got[name], cmpopts.EquateEmpty()); diff != "" {
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
				if name != nil {
					t.Error(err)
				}
			} else if g := strings.ReplaceAll(r.Name(), root, "@ROOT@"); name == nil || g != *name {
				t.Errorf("provider of %s in %q: %s, want %v", item, mc, g, *name)
			}
		}
	}
	if refused == 0 && loadErr != nil {
		t.Error(loadErr)
	}
	return values
}

func describeRecipe(t *testing.T, r *Recipe, root string, base map[string]*string, common *datastore.Data) recipeAnswer {
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
	for name, v := range a.Vars {
		if old, ok := base[name]; ok && (v == old || v != nil && old != nil && *v == *old) {
			delete(a.Vars, name)
		}
	}
	known := digests(t, common, root)
	a.Funcs = digests(t, r.Data, root)
	maps.DeleteFunc(a.Funcs, func(name, digest string) bool { return known[name] == digest })
	return a
}

// digests are the first digits of the functions' SHA-256; shell functions are expanded.
func digests(t *testing.T, d *datastore.Data, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range d.Keys() {
		if f, _, _ := d.VarFlag(name, "func", false); f == "" || strings.HasPrefix(name, "__anon_") {
			continue
		}
		python, _, _ := d.VarFlag(name, "python", false)
		body, _, err := d.Var(name, python == "")
		if err != nil {
			t.Error(err)
		}
		if body != "" {
			out[name] = fmt.Sprintf("%x", sha256.Sum256([]byte(strings.ReplaceAll(body, root, "@ROOT@"))))[:8]
		}
	}
	return out
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

// TestFollowFiles looks at a file that a task makes after everything was loaded and planned, as the Python in a task's function does.
func TestFollowFiles(t *testing.T) {
	w, root, err := loadTree(t, with(map[string]string{
		"core/b_1.bb": "PN = \"b\"\nHERE = \"${TOPDIR}/made\"\n" +
			"FOUND = \"${@os.path.isfile(d.getVar('HERE') + '/file')} ${@os.listdir(d.getVar('HERE')) if os.path.isdir(d.getVar('HERE')) else 'none'}\"\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.Provider("", "b")
	if err != nil {
		t.Fatal(err)
	}
	look := func(want string) {
		t.Helper()
		if got, err := b.Data.Copy().Value("FOUND"); got != want || err != nil {
			t.Errorf("%q, want %q (%v)", got, want, err)
		}
	}
	look("False none")
	made := filepath.Join(root, "build/made")
	if err := os.Mkdir(made, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(made, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	look("False none")
	w.FollowFiles()
	look("True ['file']")
	if err := os.Rename(filepath.Join(made, "file"), filepath.Join(made, "other")); err != nil {
		t.Fatal(err)
	}
	look("False ['other']")
}
