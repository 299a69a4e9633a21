package kas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/yaml"
)

// TestVectors holds loading, merging and the generated files against what kas itself wrote (see the files' headers).
func TestVectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d vectors found, want 7 or more (%v)", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			t.Parallel()
			runVector(t, f)
		})
	}
}

func runVector(t *testing.T, file string) {
	dir := t.TempDir()
	part := readParts(t, file)
	for name, text := range part {
		if name, ok := strings.CutPrefix(name, "in/"); ok {
			writeFile(t, filepath.Join(dir, name), text)
		}
	}
	writeFile(t, filepath.Join(dir, ".git/HEAD"), "ref: refs/heads/main\n")
	for _, d := range []string{"work", "out"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Dir: dir, Files: strings.TrimSpace(part["args"]), Env: map[string]string{}}
	for _, kv := range strings.Split(strings.TrimSpace(part["env"]), "\n") {
		if name, value, ok := strings.Cut(kv, "="); ok {
			o.Env[name] = value
		}
	}
	p, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"want/local.conf": p.LocalConf, "want/bblayers.conf": p.BBLayersConf,
		"want/dump.json": dumpJSON(t, withoutIncludes(p.Config))} {
		if d := cmp.Diff(part[name], got); d != "" {
			t.Errorf("%s (-kas +n3x):\n%s", name, d)
		}
	}
}

// readParts splits a file at its lines "-- name --".
func readParts(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	part := map[string]string{}
	name := ""
	for line := range strings.Lines(string(data)) {
		if n, ok := strings.CutPrefix(strings.TrimSuffix(line, " --\n"), "-- "); ok && strings.HasSuffix(line, " --\n") {
			name = n
			part[name] = ""
			continue
		}
		part[name] += line
	}
	return part
}

// withoutIncludes is the configuration as kas dump shows it.
func withoutIncludes(config *yaml.Node) *yaml.Node {
	header := &yaml.Map{}
	header.Set(yaml.Entry{Key: "version", Node: config.Lookup("header", "version")})
	m := &yaml.Map{}
	for _, e := range config.Map().Entries() {
		if e.Key == "header" {
			e.Node = &yaml.Node{Value: header}
		}
		m.Set(e)
	}
	return &yaml.Node{Value: m}
}

// dumpJSON writes n as Python's json.dumps(indent=2) does.
func dumpJSON(t *testing.T, n *yaml.Node) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(compactJSON(t, n)), "", "  "); err != nil {
		t.Fatal(err)
	}
	var ascii strings.Builder
	for _, r := range b.String() {
		if r > 0x7e {
			fmt.Fprintf(&ascii, `\u%04x`, r)
		} else {
			ascii.WriteRune(r)
		}
	}
	return ascii.String() + "\n"
}

func compactJSON(t *testing.T, n *yaml.Node) string {
	var parts []string
	switch v := n.Value.(type) {
	case *yaml.Map:
		for _, e := range v.Entries() {
			key, _ := json.Marshal(e.Key)
			parts = append(parts, string(key)+":"+compactJSON(t, e.Node))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []*yaml.Node:
		for _, e := range v {
			parts = append(parts, compactJSON(t, e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case *big.Int:
		return v.String()
	}
	data, err := json.Marshal(n.Value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
