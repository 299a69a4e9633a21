package isar

import (
	"errors"
	"strings"
	"testing"

	"n3x/internal/debian"
	"n3x/internal/debian/solve"
	"n3x/internal/diag"
	"n3x/internal/rootfs"
)

// TestNameRecipes: an installation that fails for what packages say of each other names the recipes.
func TestNameRecipes(t *testing.T) {
	t.Parallel()
	at := func(file string) diag.Pos { return diag.Pos{File: file} }
	c := &Call{Engine: &Engine{Deployers: map[string]Deployer{
		"x/one": {Recipe: "one", Work: "/w/one/1-r0", Pos: at("/l/one.bb")},
		"x/two": {Recipe: "two-native", Work: "/w/two-native/1-r0", Pos: at("/l/two.bb")},
	}}}
	own := []rootfs.Deb{{Package: &debian.Package{Name: "one"}, Path: "/w/one/1-r0/one_1_all.deb"}, {Package: &debian.Package{Name: "libtwo"}, Path: "/w/two-native/1-r0/libtwo_1_amd64.deb"}}
	conflict := func(name, other string) error {
		e := diag.Failedf(diag.Pos{}, "install %s", name).WithNote("what dpkg wrote")
		e.Err = errors.Join(&rootfs.FileConflict{Path: "/x", Package: name, Other: other}, errors.New("exit status 1"))
		return e
	}
	unmet := &solve.Unsatisfiable{Words: []string{"one"}, Reasons: []*solve.Reason{{Text: "one 1 Depends: gone", Because: []*solve.Reason{{Text: "gone is not in any index"}}}}}
	plain := errors.New("plain")
	for _, tt := range []struct {
		err        error
		notes      string
		hint, lack string
	}{
		{conflict("libtwo", "one"), "package libtwo comes from recipe two-native, /l/two.bb|package one comes from recipe one, /l/one.bb|what dpkg wrote",
			`set DEBIAN_REPLACES = "one" in two-native, and DEBIAN_CONFLICTS`, "divert"},
		{conflict("one", "coreutils"), "package one comes from recipe one, /l/one.bb|package coreutils comes from the distribution|what dpkg wrote",
			`with dpkg-divert in the preinst of one, or set DEBIAN_REPLACES = "coreutils"`, "DEBIAN_CONFLICTS"},
		{conflict("coreutils", "one"), "package coreutils comes from the distribution|package one comes from recipe one, /l/one.bb|what dpkg wrote",
			`DEBIAN_REPLACES = "coreutils"`, "DEBIAN_CONFLICTS"},
		{conflict("one", "one"), "package one comes from recipe one, /l/one.bb|what dpkg wrote", "", "DEBIAN_REPLACES"},
		{diag.Userf(diag.Pos{}, "image: %w", unmet), "package one comes from recipe one, /l/one.bb", "DEBIAN_DEPENDS", "DEBIAN_REPLACES"},
		{diag.Userf(diag.Pos{}, "another"), "", "", "DEBIAN"},
	} {
		var e *diag.Error
		if !errors.As(c.NameRecipes(own, tt.err), &e) {
			t.Fatalf("%v is no error for a person any more", tt.err)
		}
		if got := strings.Join(e.Notes, "|"); got != tt.notes || !strings.Contains(e.Hint, tt.hint) || strings.Contains(e.Hint, tt.lack) {
			t.Errorf("%v:\nnotes %s\nwant  %s\nhint %s", tt.err, got, tt.notes, e.Hint)
		}
	}
	if err := c.NameRecipes(own, plain); err != plain {
		t.Errorf("%v", err)
	}
	if err := c.NameRecipes(own, nil); err != nil {
		t.Errorf("%v", err)
	}
}
