package metadata

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"n3x/internal/arch"
)

// TestVariants compares what recipes and their native and compat variants are with ISAR's: testdata/variants.txtar.
func TestVariants(t *testing.T) {
	t.Parallel()
	if arch.Host() != "amd64" {
		t.Skip("the answers are those of an amd64 machine")
	}
	a, err := txtar.ParseFile("testdata/variants.txtar")
	if err != nil {
		t.Fatal(err)
	}
	recipes, confs := map[string]string{"own/conf/machine/m.conf": ""}, map[string]string{}
	answers := map[string]map[string]string{}
	count := 0
	for _, f := range a.Files {
		conf, recipe, ok := strings.Cut(f.Name, "/")
		switch {
		case !ok:
			recipes["own/"+f.Name] = string(f.Data)
		case conf == "conf":
			confs[recipe] = string(f.Data)
		case answers[conf] == nil:
			answers[conf] = map[string]string{}
			fallthrough
		default:
			answers[conf][recipe] = string(f.Data)
			count++
		}
	}
	if count < 19 {
		t.Fatalf("only %d answers", count)
	}
	for conf, want := range answers {
		t.Run(conf, func(t *testing.T) {
			files := map[string]string{"build/conf/local.conf": confs[conf]}
			for name, text := range recipes {
				files[name] = text
			}
			opened, err := Open(context.Background(), Options{TopDir: project(t, files), Env: map[string]string{}, Run: true})
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			for name, text := range want {
				r, err := opened.Provider("", name)
				if err != nil {
					t.Error(err)
					continue
				}
				var got strings.Builder
				for line := range strings.Lines(text) {
					variable, _, _ := strings.Cut(line, " = ")
					value, err := r.Data.Value(variable)
					if err != nil {
						t.Error(err)
					}
					got.WriteString(variable + " = " + strings.Join(strings.Fields(value), " ") + "\n")
				}
				if d := cmp.Diff(text, got.String()); d != "" {
					t.Errorf("%s (-ISAR +ours):\n%s", name, d)
				}
			}
		})
	}
}
