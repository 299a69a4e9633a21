package debian

import (
	"os"
	"strings"
	"testing"
)

// TestCompareAsDpkg checks testdata/versions.txt, whose header says how it was captured.
func TestCompareAsDpkg(t *testing.T) {
	data, err := os.ReadFile("testdata/versions.txt")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] == "#" {
			continue
		}
		a, b := Version(f[0]), Version(f[2])
		got := map[int]string{-1: "<", 0: "=", 1: ">"}[sign(a.Compare(b))]
		if got != f[1] {
			t.Errorf("%s %s %s, dpkg says %s", a, got, b, f[1])
		}
		if sign(a.Compare(b)) != -sign(b.Compare(a)) {
			t.Errorf("%s and %s compare differently the other way round", a, b)
		}
		checked++
	}
	if checked < 300 {
		t.Errorf("only %d pairs", checked)
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// The verdicts are those of `dpkg --validate-version`: an error, a warning ("lax"), or nothing.
func TestParseVersion(t *testing.T) {
	for _, c := range []struct{ in, verdict, says string }{
		{"1.0", "ok", ""}, {"1:1:1", "ok", ""}, {"1.0~", "ok", ""}, {"1-1-1", "ok", ""}, {" 2.0-1\n", "ok", ""},
		{"a1", "lax", "does not start with a digit"}, {"1.0_1", "lax", `invalid character "_"`}, {"1.0-1_2", "lax", "in its revision"},
		{"", "error", "is empty"}, {"1:", "error", "nothing after the epoch"}, {":1", "error", "empty epoch"},
		{"1 0", "error", "white space"}, {"1.0-", "error", "empty revision"}, {"x:1", "error", "not a number"},
		{"99999999999:1", "error", "too big"}, {"-1", "error", "nothing before the revision"},
	} {
		v, err := ParseVersion(c.in)
		strict := v.Validate()
		switch {
		case c.verdict == "error":
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("ParseVersion(%q) = %v, want %q", c.in, err, c.says)
			}
		case err != nil:
			t.Errorf("ParseVersion(%q): %v", c.in, err)
		case c.verdict == "ok" && strict != nil:
			t.Errorf("%q.Validate(): %v", v, strict)
		case c.verdict == "lax" && (strict == nil || !strings.Contains(strict.Error(), c.says)):
			t.Errorf("%q.Validate() = %v, want %q", v, strict, c.says)
		}
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"1:2.38.1-5+deb13u1", "1.0~rc1", "-", "::", "0-0-", "1.0.", "~~"} {
		f.Add(s, "1.0-1")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		v, err := ParseVersion(a)
		if err != nil {
			return
		}
		if w, err := ParseVersion(string(v)); err != nil || w != v {
			t.Fatalf("%q does not parse again: %q, %v", v, w, err)
		}
		if v.Compare(v) != 0 || sign(v.Compare(Version(b))) != -sign(Version(b).Compare(v)) {
			t.Fatalf("comparing %q and %q has no order", a, b)
		}
	})
}
