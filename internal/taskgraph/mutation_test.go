package taskgraph

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"n3x/internal/bitbake/recipe"
)

// mutation is one line of mutations-<release>.jsonl, which testdata/capture_mutations.py recorded.
type mutation struct {
	file, kind string
	line       int
	text       *string  // nil = the line is taken away
	changed    []string // nil = BitBake refuses the layers
}

func mutations(t *testing.T, name string) []mutation {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []mutation
	for line := range strings.Lines(string(data)) {
		var m mutation
		fields := []any{&m.file, &m.kind, &m.line, &m.text, &m.changed}
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// testDigest identifies a file, or what is below a folder.
func testDigest(path string) (string, error) {
	var all strings.Builder
	err := filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		all.WriteString(strings.TrimPrefix(p, path) + "=" + string(data))
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return digest(all.String()), err
}

// signaturesOf loads the layers below top and signs the targets' tasks.
func signaturesOf(t *testing.T, top, release, targets string) (map[string]string, error) {
	w, err := recipe.Load(t.Context(), recipe.Options{TopDir: top, BitBake: release, Parallel: 1, Environ: map[string]string{"HOME": top, "PATH": "/bin"}})
	if err != nil {
		return nil, err
	}
	list, err := Targets(w, strings.Fields(targets), "")
	if err != nil {
		return nil, err
	}
	g, err := Build(w, list)
	if err != nil {
		return nil, err
	}
	if err := g.Sign(Options{FileDigest: testDigest, Places: map[string]string{top: "TOPDIR"}}); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, task := range g.Tasks {
		out[task.qualified()+":"+task.Name] = task.Signature
	}
	return out, nil
}

// difference are the tasks whose signatures differ.
func difference(a, b map[string]string) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	out := []string{}
	for name := range all {
		if a[name] != b[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func TestSignaturesChangeAsInBitBake(t *testing.T) {
	t.Parallel()
	old := mutations(t, "testdata/mutations-2.8.jsonl")
	for _, release := range []string{"2.8", "2.19"} {
		list := mutations(t, "testdata/mutations-"+release+".jsonl")
		if len(list) < 600 {
			t.Errorf("only %d edits recorded", len(list))
		}
		if release != "2.8" {
			// Where the releases agree, a part of the edits shows that they do.
			var some []mutation
			for i, m := range list {
				if i%5 == 0 || !slices.Equal(m.changed, old[i].changed) {
					some = append(some, m)
				}
			}
			list = some
		}
		for part := range slices.Chunk(list, 100) {
			t.Run(release, func(t *testing.T) {
				t.Parallel()
				mutate(t, release, part)
			})
		}
	}
}

// mutate makes the edits, one at a time.
func mutate(t *testing.T, release string, list []mutation) {
	a, files := archive(t, "testdata/mutations.txtar")
	top := layers(t, a, nil)
	before, err := signaturesOf(t, top, release, files["targets"])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		path := filepath.Join(top, m.file)
		lines := strings.Split(files[m.file], "\n")
		var mid []string
		if m.text != nil {
			mid = []string{*m.text}
		}
		text := strings.Join(slices.Concat(lines[:m.line-1], mid, lines[m.line:]), "\n")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		after, err := signaturesOf(t, top, release, files["targets"])
		if err := os.WriteFile(path, []byte(files[m.file]), 0o644); err != nil {
			t.Fatal(err)
		}
		where := m.file + ":" + strconv.Itoa(m.line) + " " + m.kind
		if refused := m.changed == nil; refused || err != nil {
			if refused != (err != nil) {
				t.Errorf("%s: refused by BitBake: %v, error: %v", where, refused, err)
			}
			continue
		}
		if got := difference(before, after); !slices.Equal(got, m.changed) {
			t.Errorf("%s (%q): changed\n %v, want\n %v", where, lines[m.line-1], got, m.changed)
		}
	}
}
