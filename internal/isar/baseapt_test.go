package isar

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/debian/deb"
)

// offlineBuild is a configuration that builds from what DL_DIR has, and DL_DIR with the packages foo 1.0 and 2.0.
func offlineBuild(t *testing.T, more map[string]string) *datastore.Data {
	t.Helper()
	top := t.TempDir()
	for _, version := range []string{"1.0", "2.0"} {
		path := filepath.Join(top, "dl/deb/debian-trixie/foo_"+version+"_amd64.deb")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		control := "Package: foo\nVersion: " + version + "\nArchitecture: amd64\nMaintainer: m\nDescription: d\n"
		err = deb.Write(f, deb.Contents{Control: []deb.ControlFile{{Name: "control", Data: []byte(control)}}})
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(top, "debian.list"), []byte("deb http://deb.debian.org/debian trixie main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := datastore.New()
	values := map[string]string{"DISTRO": "debian-trixie", "DISTRO_ARCH": "amd64", "HOST_ARCH": "amd64", "BASE_DISTRO": "debian", "BASE_DISTRO_CODENAME": "trixie",
		"DL_DIR": top + "/dl", "REPO_BASE_DIR": top + "/base-apt/apt", "REPO_BASE_DB_DIR": top + "/base-apt/db", "DISTRO_APT_SOURCES": top + "/debian.list",
		"ISAR_USE_CACHED_BASE_REPO": "1", "BB_NO_NETWORK": "1", "SOURCE_DATE_EPOCH": "1700000000"}
	for _, set := range []map[string]string{values, more} {
		for name, value := range set {
			if err := d.SetVar(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	return d
}

func TestBuildingFromBaseApt(t *testing.T) {
	t.Parallel()
	const keys = "../debian/repo/testdata/gnupg/"
	key, err := filepath.Abs(keys + "rsa-public.asc")
	if err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string]map[string]string{
		"unsigned": nil,
		"signed":   {"BASE_REPO_KEY": "file://" + key, "GNUPGHOME": keys + "home"},
	} {
		d := offlineBuild(t, more)
		a := &Archives{ReadFile: os.ReadFile, Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }}
		ar, err := a.Open(t.Context(), d, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		state, err := ar.State(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found := state.Named("foo", "amd64")
		if len(found) != 1 || found[0].Version != "2.0" {
			t.Fatalf("%s: base-apt has %v, want foo 2.0 alone", name, found)
		}
		if paths, err := ar.Client.Fetch(t.Context(), found, nil); err != nil || !strings.HasSuffix(paths[0], "base-apt/apt/debian/pool/main/f/foo/foo_2.0_amd64.deb") {
			t.Errorf("%s: %q, %v", name, paths, err)
		}
		// The finished system's apt is told where the distribution is, not where it was built.
		if text := ar.Texts["sources.list.d/0000bootstrap.list"]; !strings.Contains(text, "deb.debian.org") {
			t.Errorf("%s: the target's sources are %q", name, text)
		}
		base, err := d.Value("REPO_BASE_DIR")
		if err != nil {
			t.Fatal(err)
		}
		entries, err := filepath.Glob(base + "/debian/dists/trixie/*")
		if err != nil {
			t.Fatal(err)
		}
		if signed := slices.ContainsFunc(entries, func(e string) bool { return filepath.Base(e) == "InRelease" }); signed != (name == "signed") {
			t.Errorf("%s: dists/trixie has %q", name, entries)
		}
	}
}

func TestBaseAptThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, more := range map[string]map[string]string{
		"no packages to build from": {"BASE_DISTRO_CODENAME": "bookworm"},
		"private part of key":       {"BASE_REPO_KEY": "file:///dev/null"},
		"no file of this machine":   {"BASE_REPO_KEY": "https://example.org/key"},
	} {
		if want == "private part of key" {
			key, err := filepath.Abs("../debian/repo/testdata/gnupg/rsa-public.asc")
			if err != nil {
				t.Fatal(err)
			}
			more["BASE_REPO_KEY"] = "file://" + key
		}
		a := &Archives{ReadFile: os.ReadFile}
		if _, err := a.Open(t.Context(), offlineBuild(t, more), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want an error with %q", more, err, want)
		}
	}
}
