package cluster

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	simple, vlans := load(t, "simple"), load(t, "vlans")
	both := Render(DefaultLayout, []*Profile{simple, vlans, load(t, "vlans-broken")})
	change, err := both.Write(dir)
	if err != nil || len(change.Removed) != 0 || len(change.Written) != len(both.Files) {
		t.Fatalf("%v, %+v", err, change)
	}
	if d, err := both.Difference(dir); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if change, err = both.Write(dir); err != nil || change.Written != nil || change.Removed != nil {
		t.Errorf("a second time changed something: %v, %+v", err, change)
	}
	own := filepath.Join(dir, DefaultLayout.units(), "postinst")
	if err := os.WriteFile(own, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}

	// One profile goes, one address changes.
	simple.Nodes[1].Places[0].Addresses[0] = simple.Nodes[1].Places[0].Addresses[0].Next().Next().Next()
	one := Render(DefaultLayout, []*Profile{simple})
	d, err := one.Difference(dir)
	for _, line := range []string{"-Address=192.168.1.2/24\n+Address=192.168.1.5/24\n", "--- a/backends/isar/kas/network/vlans.yml\n+++ /dev/null\n"} {
		if err != nil || !strings.Contains(d, line) {
			t.Errorf("%v; %q is missing in\n%s", err, line, d)
		}
	}
	if change, err = one.Write(dir); err != nil || !slices.Contains(change.Removed, "backends/isar/kas/network/vlans.yml") {
		t.Errorf("%v, %+v", err, change)
	}
	if _, err := os.Stat(filepath.Join(dir, DefaultLayout.units(), "vlans")); err == nil {
		t.Error("the folder of a profile that is gone is still there")
	}
	if _, err := os.Stat(own); err != nil {
		t.Error("a file that was not rendered is gone")
	}

	// A file of a person is not replaced.
	by := filepath.Join(dir, "backends/isar/kas/network/vlans.yml")
	if err := os.WriteFile(by, []byte("header: {version: 14}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Write(dir); err == nil || !strings.Contains(err.Error(), "kas/network/vlans.yml: the file was written by a person") {
		t.Errorf("got %v", err)
	}
}

// content is what lies below dir, by path.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			out[file] = ""
			return err
		}
		data, err := os.ReadFile(file)
		out[file] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// When one file cannot be written, none is, and nothing is left over.
func TestTreeAllOrNothing(t *testing.T) {
	t.Parallel()
	tree := Render(DefaultLayout, []*Profile{load(t, "simple"), load(t, "vlans")})
	for name, c := range map[string]struct{ file, want string }{
		"a person's": {"profiles/rendered/vlans/hosts", "profiles/rendered/vlans/hosts: the file was written by a person"},
		"in the way": {"profiles/rendered", "not a directory"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, c.file)
		if err := errorOf(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("mine\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
		before := content(t, dir)
		if change, err := tree.Write(dir); err == nil || !strings.Contains(err.Error(), c.want) || change.Written != nil {
			t.Errorf("%s: %v, %+v", name, err, change)
		}
		after := content(t, dir)
		for file := range after {
			if _, ok := before[file]; !ok && !slices.ContainsFunc(DefaultLayout.roots(), func(root string) bool { return strings.HasPrefix(filepath.Join(dir, root), file) }) {
				t.Errorf("%s: %s is left over", name, file)
			}
		}
	}
}

// Two who render at the same time do not disturb each other.
func TestTreeTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	simple, vlans := load(t, "simple"), load(t, "vlans")
	trees := []Tree{Render(DefaultLayout, []*Profile{simple, vlans}), Render(DefaultLayout, []*Profile{simple})}
	var all sync.WaitGroup
	for i := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 5 {
				if _, err := trees[i%2].Write(dir); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	if _, err := trees[0].Write(dir); err != nil {
		t.Error(err)
	}
	if d, err := trees[0].Difference(dir); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	for file := range content(t, dir) {
		if strings.Contains(file, ".tmp-") {
			t.Errorf("%s is left over", file)
		}
	}
}

// The layer's files of the default route are those that NixOS gets.
func TestRouteUnits(t *testing.T) {
	t.Parallel()
	for _, u := range routeUnits() {
		data, err := os.ReadFile(filepath.Join("../../backends/isar/meta-isar-k3s/recipes-support/k3s-system-config/files", u.Name))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range bytes.Lines(data) {
			if !bytes.HasPrefix(line, []byte("#")) {
				lines = append(lines, string(line))
			}
		}
		if got := strings.Join(lines, ""); got != strings.TrimPrefix(u.Text(""), "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", u.Name, got, u.Text(""))
		}
	}
}
