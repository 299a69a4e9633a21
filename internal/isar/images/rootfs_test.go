package images

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/debian"
	"n3x/internal/debian/solve"
)

func TestAutomatic(t *testing.T) {
	t.Parallel()
	libc, apt, libapt, locales, debconf, curl, libcurl := pkg("libc6"), pkg("apt"), pkg("libapt-pkg7.0"), pkg("locales"), pkg("debconf"), pkg("curl"), pkg("libcurl4t64")
	first := &solve.Plan{Install: []*debian.Package{libc}, Auto: map[*debian.Package]bool{libc: true}}
	minimal := &solve.Plan{Install: []*debian.Package{apt, debconf, libapt, libc, locales}, Auto: map[*debian.Package]bool{libc: true, libapt: true, debconf: true}}
	plan := &solve.Plan{Install: []*debian.Package{curl, libcurl}, Auto: map[*debian.Package]bool{libcurl: true}}
	var got []string
	for p := range maps.Keys(automatic(first, minimal, plan, []string{"curl", "debconf"})) {
		got = append(got, p.Name)
	}
	slices.Sort(got)
	if d := cmp.Diff([]string{"libapt-pkg7.0", "libcurl4t64"}, got); d != "" {
		t.Errorf("neither what the essential packages need nor what is asked for is automatic:\n%s", d)
	}
}

func pkg(name string) *debian.Package {
	return &debian.Package{Name: name, Architecture: "amd64", Version: "1"}
}

// TestPackageOrder holds the order of dpkg-query -W: by name, not by name:architecture.
func TestPackageOrder(t *testing.T) {
	t.Parallel()
	list := []*debian.Package{pkg("dbus-bin"), {Name: "dbus", Architecture: "i386"}, pkg("dbus")}
	slices.SortFunc(list, byName)
	var got []string
	for _, p := range list {
		got = append(got, p.Name+":"+p.Architecture)
	}
	if d := cmp.Diff([]string{"dbus:amd64", "dbus:i386", "dbus-bin:amd64"}, got); d != "" {
		t.Error(d)
	}
}
