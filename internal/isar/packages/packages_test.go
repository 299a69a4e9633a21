package packages

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/debian/deb"
	"n3x/internal/diag"
	"n3x/internal/isar"
)

// recipeOf is a task of the recipe name below top, with more variables.
func recipeOf(t *testing.T, top, name string, more map[string]string) (*isar.Call, *bytes.Buffer) {
	t.Helper()
	work := filepath.Join(top, "tmp/work/debian-trixie-amd64", name, "1.0-r0")
	d := datastore.New()
	for _, set := range []map[string]string{{
		"PN": name, "BPN": name, "PV": "1.0", "PR": "r0", "TMPDIR": filepath.Join(top, "tmp"), "WORKDIR": work, "S": work + "/" + name, "D": work + "/" + name + "/image",
		"T": work + "/temp", "PACKAGE_ARCH": "amd64", "DISTRO": "debian-trixie", "DISTRO_ARCH": "amd64", "HOST_ARCH": "amd64", "BASE_DISTRO": "debian",
		"BASE_DISTRO_CODENAME": "trixie", "DL_DIR": top + "/dl", "DISTRO_APT_SOURCES": top + "/debian.list", "DEBIAN_SOURCE": name, "PROVIDES": name,
		"REPO_ISAR_DIR": top + "/apt", "REPO_ISAR_DB_DIR": top + "/db", "DEBDISTRONAME": "isar", "SOURCE_DATE_EPOCH": "1700000000",
		"N3X_DPKG_RAW": "auto", "N3X_DPKG_RAW_MARK": work + "/temp/needs-build-root", "dpkg_runbuild": "    n3x_native dpkg-raw.runbuild\n",
	}, more} {
		for k, v := range set {
			if err := d.SetVar(k, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.SetVarFlag("dpkg_runbuild", "func", "1"); err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	owner, err := isar.OwnerOf(d)
	if err != nil {
		t.Fatal(err)
	}
	engine := &isar.Engine{Natives: map[string]isar.Native{}, Deployers: map[string]isar.Deployer{owner: {Recipe: name, Base: name, Work: work}}}
	return &isar.Call{Engine: engine, Task: isar.Task{Recipe: name, Name: "do_dpkg_build", Data: d, Pos: diag.Pos{File: name + ".bb"}}, Log: log}, log
}

func value(t *testing.T, c *isar.Call, name string) string {
	t.Helper()
	v, err := c.Value(name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// writeFiles makes files below dir; a name that ends in ! is executable.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		mode := fs.FileMode(0o644)
		if n, ok := strings.CutSuffix(name, "!"); ok {
			name, mode = n, 0o755
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
}

// debFile is a package as bytes.
func debFile(t *testing.T, control string, files map[string]string) []byte {
	t.Helper()
	c := deb.Contents{Control: []deb.ControlFile{{Name: "control", Mode: 0o644, Data: []byte(control + "Maintainer: m <m@example.org>\nDescription: d\n")}}}
	for name, text := range files {
		c.Data = append(c.Data, deb.Entry{Header: tar.Header{Name: "./" + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))},
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }})
	}
	var b bytes.Buffer
	if err := deb.Write(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tree is everything below dir with its content's sum.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasSuffix(path, ".lock") {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %x\n", path, sha256.Sum256(data))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return b.String()
}

// offer makes a repository with a debhelper of its own kind, and a room that builds with it.
func offer(t *testing.T, top string) *Room {
	t.Helper()
	repo := filepath.Join(top, "repo")
	var index strings.Builder
	for name, files := range map[string]map[string]string{
		"dpkg": {"usr/bin/dpkg": "x"}, "debhelper": {"usr/bin/dh": "x"},
		"libdebhelper-perl": {"usr/share/perl5/Debian/Debhelper/Dh_Version.pm": "$version='99.1';", "usr/share/debhelper/autoscripts/postinst-x": "x\n"},
	} {
		control := "Package: " + name + "\nVersion: 1.22.21\nArchitecture: all\n"
		data := debFile(t, control, files)
		writeFiles(t, repo, map[string]string{name + ".deb": string(data)})
		fmt.Fprintf(&index, "%sMaintainer: m\nFilename: %s.deb\nSize: %d\nSHA256: %x\nDescription: d\n\n", control, name, len(data), sha256.Sum256(data))
	}
	writeFiles(t, top, map[string]string{"repo/dists/trixie/main/binary-amd64/Packages": index.String(), "debian.list": "deb [trusted=yes] file:" + repo + " trixie main\n"})
	layers := filepath.Join(top, "layers")
	if err := os.MkdirAll(layers, 0o755); err != nil {
		t.Fatal(err)
	}
	return &Room{Archives: &isar.Archives{ReadFile: os.ReadFile, Now: time.Now}, Layers: layers}
}

// trixie makes the room believe that the debhelper which it has read is trixie's.
func trixie(t *testing.T, r *Room) {
	t.Helper()
	list, err := filepath.Glob(r.Layers + "/debhelper-[0-9a-f]*.json")
	if err != nil || len(list) != 1 {
		t.Fatalf("what was read of debhelper is not kept: %q, %v", list, err)
	}
	text := `{"Version":"13.24.2","Programs":"1aace2367b601841dd0613451edeb9ccff60943e76ca1274e231eb56a3185f08","Snippets":{}}`
	if err := os.WriteFile(list[0], []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

var rawFiles = map[string]string{
	"image/etc/raw.conf": "a=1\n", "image/usr/bin/raw!": "#!/bin/sh\n", "debian/raw.install": "etc\nusr\n",
	"debian/control":   "Source: raw\nSection: misc\nPriority: optional\nStandards-Version: 4.7.0\nMaintainer: M <m@example.org>\nBuild-Depends: debhelper-compat (= 13)\n\nPackage: raw\nArchitecture: all\nDescription: raw\n",
	"debian/changelog": "raw (1.0) UNRELEASED; urgency=low\n\n  * generated\n\n -- M <m@example.org>  Thu, 01 Jan 1970 01:00:00 +0000\n",
	"debian/rules!":    "#!/usr/bin/make -f\n\n%:\n\tdh $@\n\noverride_dh_install:\n\tdh_install --sourcedir=image\n",
}

// TestRawPackage: D becomes a package in WORKDIR, with the modes and conffiles that debhelper gives; what was built before
// goes, and which packages of the distribution were used is remembered. An unknown debhelper asks for a build root.
func TestRawPackage(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	r := offer(t, top)
	c, log := recipeOf(t, top, "raw", nil)
	work, s := value(t, c, "WORKDIR"), value(t, c, "S")
	writeFiles(t, s, rawFiles)
	if err := os.Chmod(filepath.Join(s, "image/etc/raw.conf"), 0o600); err != nil {
		t.Fatal(err)
	}
	var again *isar.PlanAgain
	if err := r.runBuildRaw(t.Context(), c); !errors.As(err, &again) || !strings.Contains(again.Reason, "debhelper 99.1 does with dpkg 1.22.21") {
		t.Fatalf("with an unknown debhelper: %v", err)
	}
	if mark, err := os.ReadFile(value(t, c, "N3X_DPKG_RAW_MARK")); err != nil || !strings.Contains(string(mark), "99.1") {
		t.Errorf("the mark says %q, %v", mark, err)
	}
	trixie(t, r)
	writeFiles(t, work, map[string]string{"raw_0.9_all.deb": "old", "other.deb": "kept"})
	if err := rememberResults(work, []string{filepath.Join(work, "raw_0.9_all.deb")}); err != nil {
		t.Fatal(err)
	}
	if err := r.runBuildRaw(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	list, err := debs(c)
	if err != nil || len(list) != 2 || filepath.Base(list[1]) != "raw_1.0_all.deb" {
		t.Fatalf("packages %q, %v\n%s", list, err, log)
	}
	d, err := deb.OpenFile(list[1])
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	control, err := d.Control()
	if err != nil || string(control["conffiles"].Data) != "/etc/raw.conf\n" {
		t.Errorf("conffiles %q, %v", control["conffiles"].Data, err)
	}
	data, err := d.Data()
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	modes := map[string]int64{}
	for tr := tar.NewReader(data); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[h.Name] = h.Mode
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 3600 {
			t.Errorf("%s belongs to %d:%d and is of %v", h.Name, h.Uid, h.Gid, h.ModTime)
		}
	}
	if modes["./etc/raw.conf"] != 0o644 || modes["./usr/bin/raw"] != 0o755 || modes["./etc/"] != 0o755 {
		t.Errorf("modes %v", modes)
	}
	used, err := ReadBuildDepends(work)
	if err != nil || len(used.Packages) != 3 || used.Archive != "debian-trixie-amd64" {
		t.Errorf("used %+v, %v", used, err)
	}
}

// TestRawPackageThatCannotBe: errors name what is wrong, and leave no package and nothing of the build behind.
func TestRawPackageThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, tt := range map[string]struct {
		vars, files map[string]string
	}{
		`N3X_DPKG_RAW of raw is "maybe"`:             {vars: map[string]string{"N3X_DPKG_RAW": "maybe"}},
		"D is not ${S}/image":                        {vars: map[string]string{"N3X_DPKG_RAW": "direct", "D": "/elsewhere"}},
		"it is a variant of raw0":                    {vars: map[string]string{"N3X_DPKG_RAW": "direct", "BPN": "raw0"}},
		"dpkg_runbuild was changed":                  {vars: map[string]string{"N3X_DPKG_RAW": "direct", "dpkg_runbuild": "    n3x_native dpkg-raw.runbuild\n    echo more\n"}},
		`version "v1" does not start with a digit`:   {files: map[string]string{"debian/changelog": strings.Replace(rawFiles["debian/changelog"], "1.0", "v1", 1)}},
		"/usr/local/x: packages must not have files": {files: map[string]string{"image/usr/local/x": ""}},
		"names the source other, debian/control raw": {files: map[string]string{"debian/changelog": strings.Replace(rawFiles["debian/changelog"], "raw", "other", 1)}},
		`Source "Raw" is not a package name`:         {files: map[string]string{"debian/changelog": strings.Replace(rawFiles["debian/changelog"], "raw", "Raw", 1), "debian/control": strings.ReplaceAll(rawFiles["debian/control"], "raw", "Raw")}},
	} {
		top := t.TempDir()
		r := offer(t, top)
		c, _ := recipeOf(t, top, "raw", tt.vars)
		writeFiles(t, value(t, c, "S"), rawFiles)
		if _, _, err := r.debhelper(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		trixie(t, r)
		writeFiles(t, value(t, c, "S"), tt.files)
		err := r.runBuildRaw(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if list, err := debs(c); err != nil || len(list) > 0 {
			t.Errorf("%s: left %q, %v", want, list, err)
		}
	}
}
