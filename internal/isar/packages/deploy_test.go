package packages

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/isar"
)

func TestRawSource(t *testing.T) {
	t.Parallel()
	c, _ := recipeOf(t, t.TempDir(), "raw", nil)
	work := value(t, c, "WORKDIR")
	writeFiles(t, value(t, c, "S"), rawFiles)
	writeFiles(t, work, map[string]string{"raw_0.9.dsc": "old", "raw_0.9.tar.gz": "old", "raw-more_1.dsc": "kept", "raw_0.9_all.deb": "kept"})
	if err := sourceRaw(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	dsc, err := dscFile(c, work)
	if err != nil || filepath.Base(dsc) != "raw_1.0.dsc" {
		t.Fatalf("%s, %v", dsc, err)
	}
	files, err := sourceFiles(dsc)
	if err != nil || len(files) != 2 || filepath.Base(files[1]) != "raw_1.0.tar.gz" {
		t.Errorf("%q, %v", files, err)
	}
	for name, there := range map[string]bool{"raw_0.9.dsc": false, "raw_0.9.tar.gz": false, "raw-more_1.dsc": true, "raw_0.9_all.deb": true, "raw_1.0.tar.gz": true} {
		if _, err := os.Stat(filepath.Join(work, name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The variant takes the same files.
	v, _ := recipeOf(t, strings.TrimSuffix(work, "/tmp/work/debian-trixie-amd64/raw/1.0-r0"), "raw-native", map[string]string{"BPN": "raw", "DEBIAN_SOURCE": "raw"})
	writeFiles(t, value(t, v, "WORKDIR"), map[string]string{"raw_0.9.dsc": "old"})
	if err := fetchCommonSource(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if taken, err := dscFile(v, value(t, v, "WORKDIR")); err != nil || filepath.Base(taken) != "raw_1.0.dsc" {
		t.Errorf("the variant has %s, %v", taken, err)
	}
	c, _ = recipeOf(t, t.TempDir(), "raw", map[string]string{"DEBIAN_SOURCE": "other"})
	writeFiles(t, value(t, c, "S"), rawFiles)
	if err := sourceRaw(t.Context(), c); err == nil || !strings.Contains(err.Error(), `DEBIAN_SOURCE is "other"`) || !strings.Contains(err.Error(), `"raw"`) {
		t.Errorf("the wrong name: %v", err)
	}
}

func TestPrebuilt(t *testing.T) {
	t.Parallel()
	whole := debFile(t, "Package: pre\nVersion: 1\nArchitecture: amd64\n", map[string]string{"usr/bin/x": strings.Repeat("x", 9000)})
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-40] ^= 0xff
	for name, tt := range map[string]struct {
		file      []byte
		err, logs string
	}{
		"whole":        {file: whole, logs: "pre 1 amd64"},
		"cut":          {file: whole[:len(whole)-20], err: "x.deb is not a whole Debian package"},
		"damaged":      {file: damaged, err: "x.deb is not a whole Debian package"},
		"no package":   {file: []byte("<html>not found"), err: "x.deb is not a whole Debian package"},
		"foreign":      {file: debFile(t, "Package: pre\nVersion: 1\nArchitecture: arm64\n", nil), logs: "WARNING: x.deb is for arm64, not for amd64"},
		"unknown arch": {file: debFile(t, "Package: pre\nVersion: 1\nArchitecture: z80\n", nil), err: `architecture "z80"`},
		"other name":   {file: debFile(t, "Package: other\nVersion: 1\nArchitecture: all\n", nil), logs: `add PROVIDES += "other"`},
		"none":         {logs: "has no .deb file among its sources"},
	} {
		c, log := recipeOf(t, t.TempDir(), "pre", nil)
		if tt.file != nil {
			writeFiles(t, value(t, c, "WORKDIR"), map[string]string{"x.deb": string(tt.file)})
		}
		err := checkPrebuilt(t.Context(), c)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) || !strings.Contains(log.String(), tt.logs) {
			t.Errorf("%s: %v\n%s", name, err, log)
		}
		if name == "whole" && bytes.Contains(log.Bytes(), []byte("WARNING")) {
			t.Errorf("%s is warned of: %s", name, log)
		}
	}
}

// TestDeploy: packages come to isar-apt and go with their recipe; what is refused changes nothing there.
func TestDeploy(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	control := func(name, version string) string {
		return "Package: " + name + "\nVersion: " + version + "\nArchitecture: all\n"
	}
	one, _ := recipeOf(t, top, "one", nil)
	two, _ := recipeOf(t, top, "two", nil)
	for owner, d := range two.Deployers {
		one.Deployers[owner] = d
	}
	two.Deployers = one.Deployers
	put := func(c *isar.Call, name, version string) string {
		path := filepath.Join(value(t, c, "WORKDIR"), name+"_"+version+"_all.deb")
		writeFiles(t, filepath.Dir(path), map[string]string{filepath.Base(path): string(debFile(t, control(name, version), map[string]string{"etc/" + c.Recipe: version}))})
		return path
	}
	has := func(file string) bool {
		list, err := filepath.Glob(top + "/apt/debian-trixie/pool/main/*/*/" + file)
		return err == nil && len(list) == 1
	}
	put(one, "liba", "1")
	put(one, "a-tools", "1")
	put(two, "bb", "1")
	for _, c := range []*isar.Call{one, two} {
		if err := deployDeb(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if !has("liba_1_all.deb") || !has("a-tools_1_all.deb") || !has("bb_1_all.deb") {
		t.Fatalf("isar-apt:\n%s", tree(t, top+"/apt"))
	}
	before := tree(t, top+"/apt")
	refused := func(what string, c *isar.Call, want string) {
		t.Helper()
		if err := deployDeb(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
		if after := tree(t, top+"/apt"); after != before {
			t.Errorf("%s: isar-apt was\n%sand is\n%s", what, before, after)
		}
	}
	contested := put(two, "liba", "2")
	refused("the package of another recipe", two, "two and one both build package liba for all")
	remove(t, contested)
	twice := put(one, "liba", "2")
	refused("two files of one package", one, "has two files of package liba")
	remove(t, twice)
	cut := put(one, "cc", "1")
	if err := os.WriteFile(cut, []byte("!<arch>\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused("half a package", one, "cc_1_all.deb")
	remove(t, cut)
	remove(t, filepath.Join(value(t, one, "WORKDIR"), "a-tools_1_all.deb"))
	if err := deployDeb(t.Context(), one); err != nil || has("a-tools_1_all.deb") || !has("liba_1_all.deb") {
		t.Errorf("a package that is no longer built: %v\n%s", err, tree(t, top+"/apt"))
	}
	if err := cleanDeb(t.Context(), one); err != nil || has("liba_1_all.deb") || !has("bb_1_all.deb") {
		t.Errorf("clean: %v\n%s", err, tree(t, top+"/apt"))
	}
	if list, err := debs(one); err != nil || len(list) > 0 {
		t.Errorf("clean leaves %q, %v", list, err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
