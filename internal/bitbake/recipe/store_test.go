package recipe

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"n3x/internal/bitbake/datastore"
)

// storeAnswer is what testdata/record_store.py writes for one store of one case.
type storeAnswer struct {
	Vars    map[string]storeVariable `json:"vars"`
	Skipped string                   `json:"skipped"`
}

type storeVariable struct {
	Value      *string      `json:"value"`
	Raw        *string      `json:"raw"`
	Flags      [][2]*string `json:"flags"`
	Emit       string       `json:"emit"`
	ValueError string       `json:"valueerror"`
	RawError   string       `json:"rawerror"`
	EmitError  string       `json:"emiterror"`
}

// TestStore holds values, flags, history and emitted text of random cases against what both releases of BitBake answered.
func TestStore(t *testing.T) {
	a, err := txtar.ParseFile("testdata/store.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range []string{"2.8.0", "2.19.0"} {
		want := readRecorded(t, "testdata/store-"+release+".json")
		if want.BitBake != release {
			t.Fatalf("answers are those of BitBake %s", want.BitBake)
		}
		values := 0
		for name, files := range casesOf(a) {
			t.Run(release+"/"+name, func(t *testing.T) { values += checkStore(t, release, files, want.Cases[name]) })
		}
		if values < 1700 {
			t.Errorf("only %d variables", values)
		}
	}
}

// casesOf are the files of an archive by case.
func casesOf(a *txtar.Archive) map[string]map[string][]byte {
	cases := map[string]map[string][]byte{}
	for _, f := range a.Files {
		name, rest, _ := strings.Cut(f.Name, "/")
		if cases[name] == nil {
			cases[name] = map[string][]byte{}
		}
		cases[name][rest] = f.Data
	}
	return cases
}

func checkStore(t *testing.T, release string, files map[string][]byte, want map[string]json.RawMessage) int {
	if want == nil {
		t.Fatal("no recorded answer")
	}
	root, main := writeCase(t, files)
	recipes, err := File(context.Background(), Options{TopDir: root, BitBake: release}, main)
	if _, refused := want["error"]; refused {
		if err == nil {
			t.Fatalf("BitBake refuses this (%s), but it was accepted", want["error"])
		}
		return 1
	}
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for variant, raw := range want {
		i := slices.IndexFunc(recipes, func(r *Recipe) bool { return r.Variant == variant })
		if i < 0 {
			t.Fatalf("variant %q is missing", variant)
		}
		var a storeAnswer
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatal(err)
		}
		n += len(a.Vars)
		got := describeStore(recipes[i], root)
		if a.Skipped == "True" {
			a.Skipped = got.Skipped
		}
		if diff := cmp.Diff(normalStore(a), normalStore(got)); diff != "" {
			t.Errorf("variant %q: BitBake (-), got (+):\n%s", variant, diff)
		}
	}
	return n
}

// normalStore drops the kind of errors.
func normalStore(a storeAnswer) storeAnswer {
	for name, v := range a.Vars {
		for _, e := range []*string{&v.ValueError, &v.RawError, &v.EmitError} {
			if *e != "" {
				*e = "error"
			}
		}
		if strings.HasPrefix(v.Emit, "# expansion of ") && strings.Contains(v.Emit, " RecursionError: ") {
			v.Emit = "RecursionError" // whose chain is as long as Python's stack is deep
		}
		a.Vars[name] = v
	}
	return a
}

func describeStore(r *Recipe, root string) storeAnswer {
	a := storeAnswer{Vars: map[string]storeVariable{}, Skipped: r.Skip}
	flat := strings.NewReplacer("/", "_", ".", "_", "-", "_").Replace(root)
	hide := func(s string) string {
		return strings.ReplaceAll(strings.ReplaceAll(s, root, "@ROOT@"), flat, "@FLAT@")
	}
	for _, name := range r.Data.Keys() {
		switch name {
		case "BBINCLUDED", "BBPATH", "TOPDIR", "_task_deps":
			continue
		}
		if !strings.HasPrefix(name, "__") || strings.HasPrefix(name, "__anon_") {
			a.Vars[hide(name)] = describeStored(r.Data, name, hide)
		}
	}
	return a
}

func describeStored(d *datastore.Data, name string, hide func(string) string) storeVariable {
	var v storeVariable
	read := func(expand bool) (value *string, problem string) {
		s, ok, err := d.Var(name, expand)
		if err != nil {
			return nil, err.Error()
		}
		if ok {
			s = hide(s)
			value = &s
		}
		return value, ""
	}
	v.Value, v.ValueError = read(true)
	v.Raw, v.RawError = read(false)
	for _, f := range d.Flags(name, false) {
		pair := [2]*string{&f.Name}
		if f.Set {
			s := hide(f.Text)
			pair[1] = &s
		}
		v.Flags = append(v.Flags, pair)
	}
	var b strings.Builder
	if err := d.EmitVar(&b, name); err != nil {
		v.EmitError = err.Error()
	} else {
		v.Emit = hide(b.String())
	}
	return v
}
