package build

import (
	"os"
	"testing"
)

// BenchmarkPlan measures what a build does before it runs tasks, with warm caches. N3X_BENCH_TOPDIR names a build folder
// that was set up by kas, N3X_BENCH_TARGET what to build there, by default the image of our own layer:
//
//	N3X_BENCH_TOPDIR=backends/isar/build go test -run none -bench Plan ./internal/build
func BenchmarkPlan(b *testing.B) {
	top := os.Getenv("N3X_BENCH_TOPDIR")
	if top == "" {
		b.Skip("N3X_BENCH_TOPDIR names no build folder")
	}
	target := os.Getenv("N3X_BENCH_TARGET")
	if target == "" {
		target = "isar-k3s-image-base"
	}
	for b.Loop() {
		tasks, err := Plan(b.Context(), Options{TopDir: top, Env: Environment(os.Environ()), Targets: []string{target}})
		if err != nil {
			b.Fatal(err)
		}
		if len(tasks) == 0 {
			b.Fatal("no tasks")
		}
	}
}
