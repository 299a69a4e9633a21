package recipe

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// collectionsCase is what testdata/record_collections.py writes for one case.
type collectionsCase struct {
	Variables map[string]string
	Files     []string
	Appends   []string
	Skipped   []string
	Answer    struct {
		Refused     bool
		Collections []struct {
			Name, Pattern string
			Priority      int
		}
		Layers map[string]*string
		Empty  []string
		Left   []string
	}
}

// The answers of BitBake 2.8 and 2.19 are the same.
func TestCollectionsLikeBitBake(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/collections.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct{ Cases map[string]collectionsCase }
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	if len(recorded.Cases) < 60 {
		t.Fatalf("%d cases", len(recorded.Cases))
	}
	for name, c := range recorded.Cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runCollections(t, c)
		})
	}
}

func runCollections(t *testing.T, c collectionsCase) {
	l, err := newLoader(Options{TopDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	base, err := l.newEvaluator(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range c.Variables {
		if err := base.d.SetVar(k, v); err != nil {
			t.Fatal(err)
		}
	}
	w := &World{loader: l}
	w.configs = map[string]*config{}
	w.add("", &config{base: base})
	w.layers, err = collections(base)
	if (err != nil) != c.Answer.Refused {
		t.Fatalf("error %v, BitBake refuses: %v", err, c.Answer.Refused)
	}
	if err != nil {
		return
	}
	for i, want := range c.Answer.Collections {
		got := w.layers[i]
		if got.Name != want.Name || got.Priority != want.Priority || got.Pattern != want.Pattern {
			t.Errorf("collection %d: %s %q %d, want %v", i, got.Name, got.Pattern, got.Priority, want)
		}
	}
	var used []*Recipe
	for _, f := range c.Files {
		got, want := "", ""
		if l := w.layerOf(f); l != nil {
			got = l.Name
		}
		if p := c.Answer.Layers[f]; p != nil {
			want = *p
		}
		if got != want {
			t.Errorf("%s is in layer %q, want %q", f, got, want)
		}
		used = append(used, &Recipe{File: f})
	}
	masked, err := mask(base)
	if err != nil {
		t.Fatal(err)
	}
	if c.Answer.Left != nil {
		left := map[string]bool{}
		for _, f := range c.Files {
			if !masked(f) && strings.HasSuffix(f, ".bb") {
				left[f] = true
			}
		}
		want := map[string]bool{}
		for _, f := range c.Answer.Left {
			want[f] = true
		}
		if diff := cmp.Diff(want, left); diff != "" {
			t.Errorf("BBMASK leaves, BitBake (-), got (+):\n%s", diff)
		}
		return
	}
	var appends []recipeAppend
	for _, a := range c.Appends {
		appends = append(appends, recipeAppend{file: a})
	}
	conf := w.configs[""]
	conf.files, conf.recipes, conf.appends = append(c.Files[:len(c.Files):len(c.Files)], c.Skipped...), used, appends
	if err := w.empty("", conf); err != nil {
		t.Fatal(err)
	}
	got, want := map[string]bool{}, map[string]bool{}
	for _, x := range w.Warnings() {
		got[x.Text] = true
	}
	for _, x := range c.Answer.Empty {
		want[x] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings, BitBake (-), got (+):\n%s", diff)
	}
}
