package cpython

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// vector is one line of a file that pyeval/testdata/capture.py has recorded.
type vector struct {
	Set     map[string]string `json:"set"`
	Def     string            `json:"def"`
	Eval    *string           `json:"eval"`
	Exec    *string           `json:"exec"`
	Value   *string           `json:"value"`
	Vars    map[string]string `json:"vars"`
	Error   string            `json:"error"`
	Refused bool              `json:"refused"`
	// Since312 is the value from CPython 3.12 on, where comprehensions see the names around them (PEP 709).
	Since312 *string `json:"since312"`
}

func errorClass(err error) string {
	var x *pyeval.Exception
	var skip *pyeval.SkipRecipe
	var fatal *pyeval.Fatal
	var syntax *pyeval.SyntaxError
	switch {
	case errors.As(err, &skip):
		return "SkipRecipe"
	case errors.As(err, &fatal):
		return "BBHandledException"
	case errors.As(err, &x):
		return x.Type
	case errors.As(err, &syntax):
		return "SyntaxError"
	}
	return fmt.Sprintf("%T", err)
}

func baseClass(name string) string {
	switch name {
	case "SkipPackage":
		return "SkipRecipe"
	case "IndentationError", "TabError":
		return "SyntaxError"
	case "PatternError":
		return "error" // re.error has been called so since CPython 3.13
	}
	return name
}

// TestVectors gives the corpus of package pyeval to CPython: the answers must be the recorded ones, also those that Starlark
// refuses. N3X_TEST_OE names the folder of a layer that holds the package oe, e.g. ISAR's meta/lib.
func TestVectors(t *testing.T) {
	t.Parallel()
	vectors(t, needPython(t))
}

func vectors(t *testing.T, l Launcher) {
	t.Helper()
	files, err := filepath.Glob("../bitbake/pyeval/testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	count := 0
	for _, name := range files {
		count += testVectors(t, l, name)
	}
	if count < 700 {
		t.Errorf("only %d vectors", count)
	}
}

func testVectors(t *testing.T, l Launcher, name string) int {
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := New(l, Options{BitBake: "2.8.0"})
	defer r.Close()
	f := r.Bind(pyeval.Options{Environ: map[string]string{"HOME": "/home/user", "LANG": "C.UTF-8"}, Cwd: "/", CPUs: 8})
	lib, count := pyeval.NewLibrary(nil), 0
	newer, err := f.Eval(t.Context(), "sys.version_info[1] >= 12", pyeval.Site{Vars: newStore(t, f, nil)})
	if err != nil {
		t.Fatal(err)
	}
	base := newStore(t, f, lib)
	scan := bufio.NewScanner(file)
	scan.Buffer(nil, 1<<20)
	for n := 1; scan.Scan(); n++ {
		line := scan.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		var v vector
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%s:%d: %v", name, n, err)
		}
		for k, value := range v.Set {
			if err := base.SetVar(k, value); err != nil {
				t.Fatal(err)
			}
		}
		if v.Def != "" {
			if err := lib.Define(diag.Pos{File: "lib", Line: 1}, v.Def); err != nil {
				t.Fatalf("%s:%d: %v", name, n, err)
			}
		}
		if v.Eval == nil && v.Exec == nil {
			continue
		}
		if v.Since312 != nil && newer == "True" {
			v.Value, v.Error = v.Since312, ""
		}
		count++
		checkVector(t, fmt.Sprintf("%s:%d", filepath.Base(name), n), f, lib, v, base.Copy())
	}
	return count
}

// address is where an object lies in memory, which repr shows.
var address = regexp.MustCompile("0x[0-9a-f]{8,}")

func usesOE(v vector) bool {
	return v.Eval != nil && strings.Contains(*v.Eval, "oe.") || v.Exec != nil && strings.Contains(*v.Exec, "oe.")
}

func checkVector(t *testing.T, at string, f pyeval.Fallback, lib *pyeval.Library, v vector, d *datastore.Data) {
	site := pyeval.Site{Vars: d, Lib: lib, Pos: diag.Pos{File: "x.bb", Line: 1}}
	if oe := os.Getenv("N3X_TEST_OE"); oe != "" {
		site.PyLibs = []pyeval.PyLib{{Dir: oe, Namespace: "oe"}}
	} else if usesOE(v) {
		return // the package oe is a layer's
	}
	var got, source string
	var err error
	if v.Eval != nil {
		source = *v.Eval
		got, err = f.Eval(t.Context(), source, site)
	} else {
		source = *v.Exec
		err = f.Exec(t.Context(), source, site)
	}
	switch {
	case v.Refused && err != nil && strings.Contains(err.Error(), "NotImplementedError: n3x has no bb.fetch2"):
	case err != nil && v.Error == "":
		t.Errorf("%s: %q: %v", at, source, err)
	case err != nil:
		if c := baseClass(errorClass(err)); c != baseClass(v.Error) {
			t.Errorf("%s: %q: got error %v (%s), want %s", at, source, err, c, v.Error)
		}
	case v.Error != "":
		t.Errorf("%s: %q: got %q, want error %s", at, source, got, v.Error)
	case v.Value != nil && address.ReplaceAllString(got, "0x") != address.ReplaceAllString(*v.Value, "0x"):
		t.Errorf("%s: %q: got %q, want %q", at, source, got, *v.Value)
	case v.Vars != nil:
		left := map[string]string{}
		for _, k := range d.Keys() {
			if strings.HasPrefix(k, "R") {
				if value, set, _ := d.Var(k, false); set {
					left[k] = value
				}
			}
		}
		want := maps.Clone(v.Vars)
		if diff := cmp.Diff(want, left); diff != "" {
			t.Errorf("%s: %q: variables (-want +got):\n%s", at, source, diff)
		}
	}
}
