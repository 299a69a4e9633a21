package taskgraph

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"n3x/internal/atomicfile"
	"n3x/internal/bitbake/recipe"
)

func benchWorld(b *testing.B) (*recipe.World, []Target) {
	a, err := txtar.ParseFile("testdata/mutations.txtar")
	if err != nil {
		b.Fatal(err)
	}
	top, line := b.TempDir(), ""
	for _, f := range a.Files {
		if f.Name == "targets" {
			line = string(f.Data)
		}
		if err := atomicfile.Write(filepath.Join(top, f.Name), f.Data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	w, err := recipe.Load(b.Context(), recipe.Options{TopDir: top, BitBake: "2.8.0", Environ: map[string]string{"HOME": top, "PATH": "/bin"}})
	if err != nil {
		b.Fatal(err)
	}
	targets, err := Targets(w, strings.Fields(line), "")
	if err != nil {
		b.Fatal(err)
	}
	return w, targets
}

// BenchmarkGraph makes the graph of a world with a little of everything; BenchmarkSign its signatures.
func BenchmarkGraph(b *testing.B) {
	w, targets := benchWorld(b)
	for b.Loop() {
		if _, err := Build(w, targets); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	w, targets := benchWorld(b)
	g, err := Build(w, targets)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := g.Sign(Options{FileDigest: testDigest}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(g.Tasks)), "tasks")
}
