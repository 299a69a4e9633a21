package taskgraph

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"n3x/internal/bitbake/recipe"
)

// layers writes an archive's files into a new folder, as build folder with its layers.
func layers(t *testing.T, a *txtar.Archive, edit map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for _, f := range a.Files {
		if strings.HasPrefix(f.Name, "want/") {
			continue
		}
		text := string(f.Data)
		if old, changed, ok := strings.Cut(edit[f.Name], " => "); ok {
			if !strings.Contains(text, old) {
				t.Fatalf("%s does not have %q", f.Name, old)
			}
			text = strings.Replace(text, old, changed, 1)
		}
		file := filepath.Join(top, f.Name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

func archive(t *testing.T, name string) (*txtar.Archive, map[string]string) {
	t.Helper()
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range a.Files {
		files[f.Name] = string(f.Data)
	}
	return a, files
}

func load(t *testing.T, top string) *recipe.World {
	t.Helper()
	w, err := recipe.Load(t.Context(), recipe.Options{TopDir: top, BitBake: "2.8.0", Environ: map[string]string{"HOME": top, "PATH": "/bin"}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// words makes targets of a command line like "a mc:x:b b:do_fetch".
func targetsOf(line string) []Target {
	var out []Target
	for _, w := range strings.Fields(line) {
		var target Target
		if rest, ok := strings.CutPrefix(w, "mc:"); ok {
			target.MC, w, _ = strings.Cut(rest, ":")
		}
		target.Name, target.Task, _ = strings.Cut(w, ":")
		out = append(out, target)
	}
	return out
}

func short(t *Task) string {
	name := t.Recipe.PN + "." + t.Name
	if t.Recipe.MC != "" {
		name = "mc:" + t.Recipe.MC + ":" + name
	}
	return name
}

func TestEdgesAreThoseOfBitBake(t *testing.T) {
	t.Parallel()
	a, files := archive(t, "testdata/world.txtar")
	g, err := Build(load(t, layers(t, a, nil)), targetsOf(files["targets"]))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, task := range g.Tasks {
		for _, d := range task.DependsOn {
			got = append(got, short(task)+" -> "+short(d))
		}
	}
	slices.Sort(got)
	want := strings.Split(strings.TrimSpace(files["want/edges"]), "\n")
	if len(want) < 50 {
		t.Fatalf("only %d edges recorded", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSignatureInputsAreThoseOfBitBake(t *testing.T) {
	t.Parallel()
	a, files := archive(t, "testdata/world.txtar")
	top := layers(t, a, nil)
	w := load(t, top)
	r, err := w.Provider("", "signed")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSigning(w, Options{Places: map[string]string{top: "TOPDIR"}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.signer(r)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, task := range r.Tasks {
		names, err := n.closure(task.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			v := &reading{s: n, name: name, deps: map[string]bool{}}
			read := v.variable
			if strings.HasSuffix(name, "]") {
				read = v.flag
			}
			if err := read(); err != nil {
				t.Fatal(err)
			}
			if digest(v.text) != n.known[name].digest {
				t.Errorf("%s was read differently", name)
			}
			got = append(got, fmt.Sprintf("%s %s %q", task.Name, name, v.text))
		}
	}
	var want []string
	for line := range strings.Lines(files["want/inputs"]) {
		parts := strings.SplitN(line, " ", 3)
		var text string
		if err := json.Unmarshal([]byte(parts[2]), &text); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%s %s %q", parts[0], parts[1], text))
	}
	if len(want) < 90 {
		t.Fatalf("only %d inputs recorded", len(want))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
