package recipe

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// answer is what testdata/record.py writes for one store of one case.
type answer struct {
	Vars    map[string]variableAnswer `json:"vars"`
	Tasks   []string                  `json:"tasks"`
	Parents map[string][]string       `json:"parents"`
	Skipped string                    `json:"skipped"`
}

type variableAnswer struct {
	Value    *string           `json:"value"`
	Raw      *string           `json:"raw"`
	Flags    map[string]string `json:"flags"`
	Error    string            `json:"error"`
	RawError string            `json:"rawerror"`
}

// recorded is one testdata/*.json file.
type recorded struct {
	BitBake string                                `json:"bitbake"`
	Cases   map[string]map[string]json.RawMessage `json:"cases"`
}

// readArchive gives the files of each case; what ends in .bytes is decoded as testdata/record.py says.
func readArchive(t testing.TB, path string) map[string]map[string][]byte {
	t.Helper()
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	byCase := map[string]map[string][]byte{}
	for _, f := range a.Files {
		name, rest, _ := strings.Cut(f.Name, "/")
		if byCase[name] == nil {
			byCase[name] = map[string][]byte{}
		}
		if plain, ok := strings.CutSuffix(rest, ".bytes"); ok {
			text := strings.ReplaceAll(strings.ReplaceAll(string(f.Data), "\n", ""), `"`, `\"`)
			if text, err = strconv.Unquote(`"` + text + `"`); err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			rest, f.Data = plain, []byte(text)
		}
		byCase[name][rest] = f.Data
	}
	return byCase
}

// writeCase unpacks a case of an archive and returns its folder and main file: the recipe beside t.conf, or t.conf.
func writeCase(t *testing.T, files map[string][]byte) (root, main string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	main = filepath.Join(root, "t.conf")
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(files))) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(name, "/") && strings.HasSuffix(name, ".bb") {
			main = path
		}
	}
	return root, main
}

func readRecorded(t *testing.T, path string) recorded {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLanguage holds the evaluation of each testdata archive against what BitBake answered: 2.19, and 2.8 by the same answers
// but for the cases in NAME-2.8.json.
func TestLanguage(t *testing.T) {
	cases, values := 0, 0
	for _, name := range []string{"language", "corners", "random", "python"} {
		archive := readArchive(t, "testdata/"+name+".txtar")
		newest := readRecorded(t, "testdata/"+name+".json")
		older := readRecorded(t, "testdata/"+name+"-2.8.json")
		if name != "random" {
			cases += len(archive)
		}
		for one, files := range archive {
			t.Run(name+"/"+one, func(t *testing.T) {
				values += checkCase(t, "", files, newest.Cases[one])
			})
			t.Run(name+"-2.8/"+one, func(t *testing.T) {
				want, differs := older.Cases[one]
				if !differs {
					want = newest.Cases[one]
				}
				values += checkCase(t, "2.8.0", files, want)
			})
		}
	}
	if cases < minCases || values < minValues {
		t.Errorf("only %d cases by hand with %d values; want %d and %d", cases, values, minCases, minValues)
	}
}

// The corpus must not shrink below these.
const (
	minCases  = 200
	minValues = 7000
)

func checkCase(t *testing.T, bitbake string, files map[string][]byte, want map[string]json.RawMessage) int {
	if want == nil {
		t.Fatal("no recorded answer")
	}
	root, main := writeCase(t, files)
	recipes, err := File(context.Background(), Options{TopDir: root, BitBake: bitbake}, main)
	if _, refused := want["error"]; refused {
		for _, r := range recipes {
			for _, name := range r.Data.Keys() {
				if err == nil { // BitBake lists no variables when OVERRIDES cannot be read
					_, _, err = r.Data.Var(name, true)
				}
			}
		}
		checkRefusal(t, root, want, err)
		return 1
	}
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]*Recipe{}
	for _, r := range recipes {
		got[r.Variant] = r
	}
	n := 0
	for name, raw := range want {
		r := got[name]
		if r == nil {
			t.Fatalf("variant %q is missing", name)
		}
		var a answer
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatal(err)
		}
		n += len(a.Vars)
		if a.Skipped == "True" {
			a.Skipped = r.Skip // BitBake forgets the reason when a file is skipped while it is read
		}
		if diff := cmp.Diff(normal(a), normal(describe(t, r, root))); diff != "" {
			t.Errorf("variant %q: BitBake (-), got (+):\n%s", name, diff)
		}
	}
	return n
}

// checkRefusal holds an error against BitBake's: the place that it names, and the words of the case in its message.
func checkRefusal(t *testing.T, root string, want map[string]json.RawMessage, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("BitBake refuses this (%s), but it was accepted", want["error"])
	}
	var at string
	var words []string
	for name, into := range map[string]any{"at": &at, "words": &words} {
		if raw, ok := want[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				t.Fatal(err)
			}
		}
	}
	var b strings.Builder
	diag.Render(&b, "n3x", err)
	text := strings.ReplaceAll(b.String(), root, "@ROOT@")
	for _, w := range append(words, at) {
		if !strings.Contains(text, w) {
			t.Errorf("%q of BitBake's message is not in:\n%s", w, text)
		}
	}
}

// normal drops what need not agree.
func normal(a answer) answer {
	if len(a.Parents) == 0 {
		a.Parents = nil
	}
	if len(a.Tasks) == 0 {
		a.Tasks = nil
	}
	for name, v := range a.Vars {
		if v.Error != "" {
			v.Error = "error"
		}
		if v.RawError != "" {
			v.RawError = "error"
		}
		a.Vars[name] = v
	}
	return a
}

func describe(t *testing.T, r *Recipe, root string) answer {
	t.Helper()
	a := answer{Vars: map[string]variableAnswer{}, Skipped: r.Skip}
	hide := func(s string) string { return strings.ReplaceAll(s, root, "@ROOT@") }
	for _, name := range r.Data.Keys() {
		switch name {
		case "FILE", "BBINCLUDED", "BBPATH", "TOPDIR":
			continue
		}
		if strings.HasPrefix(name, "__") {
			continue
		}
		a.Vars[name] = describeVariable(t, r.Data, name, hide)
	}
	for _, task := range r.Tasks {
		a.Tasks = append(a.Tasks, task.Name)
		if a.Parents == nil {
			a.Parents = map[string][]string{}
		}
		a.Parents[task.Name] = append([]string{}, task.After...)
	}
	return a
}

func describeVariable(t *testing.T, d *datastore.Data, name string, hide func(string) string) variableAnswer {
	t.Helper()
	var v variableAnswer
	if s, ok, err := d.Var(name, true); err != nil {
		v.Error = err.Error()
	} else if ok {
		s = hide(s)
		v.Value = &s
	}
	if s, ok, err := d.Var(name, false); err != nil {
		v.RawError = err.Error()
	} else if ok {
		s = hide(s)
		v.Raw = &s
	}
	flags, err := d.VarFlags(name)
	if err != nil {
		t.Fatal(err)
	}
	for f, s := range flags {
		if f == "filename" || f == "lineno" {
			continue
		}
		if v.Flags == nil {
			v.Flags = map[string]string{}
		}
		v.Flags[f] = hide(s)
	}
	return v
}
