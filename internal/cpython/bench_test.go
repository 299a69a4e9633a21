package cpython

import (
	"testing"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		r := New(needPython(b), Options{})
		if _, err := r.Eval(b.Context(), "1", pyeval.Site{Vars: newStore(b, r, nil)}); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

func benchmark(b *testing.B, expr string) {
	f := newRuntime(b, Options{}).Bind(pyeval.Options{})
	d := newStore(b, f, nil, "A", "a b c", "LOOP", "${@d.getVar('A')}")
	for b.Loop() {
		if _, err := f.Eval(b.Context(), expr, pyeval.Site{Vars: d, Pos: diag.Pos{File: "a.bb", Line: 7}}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExpression(b *testing.B) { benchmark(b, "1 + 1") }

func BenchmarkRoundTrips100(b *testing.B) { benchmark(b, "len([d.getVar('A') for _ in range(100)])") }

func BenchmarkNested(b *testing.B) { benchmark(b, "d.expand('${@1+1}')") }
