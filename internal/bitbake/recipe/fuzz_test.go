package recipe

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// FuzzFile evaluates whole files: no text makes it panic or run without end, and every refusal has a place.
func FuzzFile(f *testing.F) {
	for _, archive := range []string{"language", "corners", "python"} {
		for _, files := range readArchive(f, "testdata/"+archive+".txtar") {
			for name, data := range files {
				if filepath.Ext(name) != ".txt" {
					f.Add(data)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 10_000 {
			return
		}
		files := fstest.MapFS{
			"t.bb": {Data: data}, "t.conf": {Data: data}, "x.inc": {Data: []byte("X = \"x\"\n")},
			"classes/one.bbclass": {Data: []byte("one_do_a() {\n    x\n}\nEXPORT_FUNCTIONS do_a\naddtask a after b\n")},
		}
		for _, release := range []string{"", "2.8.0"} {
			for _, name := range []string{"t.bb", "t.conf"} {
				recipes, err := File(context.Background(), Options{
					TopDir: "/n3x-fuzz", Overlays: []Overlay{{Path: "/n3x-fuzz", FS: files}}, BitBake: release,
					Python: pyeval.Options{MaxSteps: 20_000, CPUs: 2},
				}, "/n3x-fuzz/"+name)
				if err != nil {
					var d *diag.Error
					if !errors.As(err, &d) || d.Kind == diag.Broken || !strings.Contains(err.Error(), "/n3x-fuzz/") {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				for _, r := range recipes {
					for _, key := range r.Data.Keys() {
						_, _, _ = r.Data.Var(key, true)
					}
				}
			}
		}
	})
}

// FuzzVersions checks that versions are ordered.
func FuzzVersions(f *testing.F) {
	for _, v := range []string{"1.0", "1:2.3-r4", "1.0~rc1", "2024.05+git", "", "-", ":", "a.b"} {
		f.Add(v, "1.0.1")
	}
	sign := func(n int) int { return min(1, max(-1, n)) }
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := splitVersion(a), splitVersion(b)
		if x.compare(x) != 0 || sign(x.compare(y)) != -sign(y.compare(x)) {
			t.Errorf("%q with itself %d, with %q %d and %d", a, x.compare(x), b, x.compare(y), y.compare(x))
		}
		if _, err := explodeVersions(a); err == nil {
			for _, op := range []string{"<", "=", ">="} {
				compareOp(a, b, op)
			}
		}
	})
}
