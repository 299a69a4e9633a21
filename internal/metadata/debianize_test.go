package metadata

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"n3x/internal/bitbake/datastore"
)

// debianizeFunctions are those of class debianize, which call each other.
var debianizeFunctions = []string{"deb_check_maintainer", "deb_add_changelog", "deb_create_control", "deb_create_rules", "deb_debianize",
	"bbwarn", "bbnote"}

// shellFunctions is the text of functions as a task has them.
func shellFunctions(t *testing.T, d *datastore.Data, names []string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range names {
		body, err := d.Value(name)
		if err != nil || body == "" {
			t.Fatalf("%s: %q, %v", name, body, err)
		}
		fmt.Fprintf(&b, "%s() {\n%s\n}\n", name, body)
	}
	return b.String()
}

// TestDebianize compares the folder debian/ that class debianize makes with ISAR's: testdata/debianize.txtar.
func TestDebianize(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("dpkg-parsechangelog"); err != nil {
		t.Skip("this machine has no dpkg-parsechangelog")
	}
	a, err := txtar.ParseFile("testdata/debianize.txtar")
	if err != nil {
		t.Fatal(err)
	}
	recipes := map[string]string{}
	cases := map[string]map[string]string{}
	for _, f := range a.Files {
		name, rest, ok := strings.Cut(f.Name, "/")
		if !ok {
			recipes["own/"+f.Name] = string(f.Data)
			continue
		}
		if cases[name] == nil {
			cases[name] = map[string]string{}
		}
		cases[name][rest] = string(f.Data)
	}
	if len(cases) < 9 {
		t.Fatalf("only %d cases", len(cases))
	}
	opened, err := Open(context.Background(), Options{TopDir: project(t, recipes), Env: map[string]string{}, Run: true})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	data := map[string]*datastore.Data{}
	for _, name := range []string{"tdeb", "tmin"} {
		r, err := opened.Provider("", name)
		if err != nil {
			t.Fatal(err)
		}
		data[name] = r.Data
	}
	for name, files := range cases {
		t.Run(name, func(t *testing.T) { debianizeCase(t, data, files) })
	}
}

// debianizeCase runs deb_debianize, twice, on the files of one case.
func debianizeCase(t *testing.T, data map[string]*datastore.Data, files map[string]string) {
	work := t.TempDir()
	d := data["tdeb"].Copy()
	for name := range files {
		if strings.HasPrefix(name, "in/tmin-3/") {
			d = data["tmin"].Copy()
		}
	}
	if err := d.SetVar("WORKDIR", work); err != nil {
		t.Fatal(err)
	}
	source, err := d.Value("S")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for name, text := range files {
		kind, rest, _ := strings.Cut(name, "/")
		switch kind {
		case "in":
			path := filepath.Join(work, rest)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		case "out":
			want[rest] = text
		case "orig":
			want["changelog.orig"] = text
		}
	}
	script := "set -e\numask 022\n" + shellFunctions(t, d, debianizeFunctions) + "deb_debianize\n"
	for range 2 {
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir = work
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	got := map[string]string{}
	entries, err := os.ReadDir(filepath.Join(source, "debian"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(name, path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(text)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		read(fmt.Sprintf("%o %s", info.Mode().Perm(), e.Name()), filepath.Join(source, "debian", e.Name()))
	}
	read("changelog.orig", filepath.Join(work, "changelog.orig"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("debian/ differs (-ISAR +ours):\n%s", diff)
	}
}
