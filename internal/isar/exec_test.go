package isar

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSegments(t *testing.T) {
	t.Parallel()
	type seg = segment
	for _, c := range []struct {
		name, body string
		want       []seg
	}{
		{"nothing", "    :\n", nil},
		{"comment only", "\t# nothing to do\n\n", nil},
		{"native alone", "    n3x_native rootfs.install\n", []seg{{native: []string{"rootfs.install"}}}},
		{"appended by a layer", "    n3x_native a.b x y\n    echo after\n", []seg{{native: []string{"a.b", "x", "y"}}, {text: "    echo after\n"}}},
		{"prepended", "echo before\nn3x_native a.b", []seg{{text: "echo before"}, {native: []string{"a.b"}}}},
		{"a word of shell", "echo n3x_native a.b\n", []seg{{text: "echo n3x_native a.b\n"}}},
	} {
		if d := cmp.Diff(c.want, segments(c.body), cmp.AllowUnexported(segment{})); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestTruth(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"": false, "0": false, "No": false, "false": false, "f": false, "1": true, "yes": true, "x": true} {
		if truth(s) != want {
			t.Errorf("truth(%q) is %v", s, !want)
		}
	}
}

func TestParseRewrites(t *testing.T) {
	t.Parallel()
	table := ` deb.debian.org/(debian-security)/? snapshot.debian.org/archive/\1/20250101T000000Z\n \
    deb\.debian\.org  mirror.example/$x\n`
	list, err := ParseRewrites("T", table, true)
	if err == nil {
		t.Fatalf("a line with a lone backslash was accepted: %v", list)
	}
	list, err = ParseRewrites("T", `deb.debian.org/(debian-security)/? snap/\1/2025\n deb\.debian\.org  mirror.example/$x\n`, true)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"http://deb.debian.org/debian-security/": "http://snap/debian-security/2025",
	} {
		if got := list[0].Match.ReplaceAllString(in, list[0].Replace); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
	if got := list[1].Match.ReplaceAllString("http://deb.debian.org/debian", list[1].Replace); got != "http://mirror.example/$x/debian" {
		t.Errorf("a dollar sign of the table was not taken literally: %s", got)
	}
	for _, bad := range []string{"one", "a b c", "( x"} {
		if _, err := ParseRewrites("T", bad, false); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
