package rootfs

import "testing"

// TestPatterns holds what dpkg 1.22.21 does with --path-exclude, which is fnmatch(3) without flags.
func TestPatterns(t *testing.T) {
	tests := []struct {
		glob, name string
		want       bool
	}{
		{"/usr/share/doc/*", "/usr/share/doc/a/b", true},
		{"/usr/share/doc/*", "/usr/share/doc", false},
		{"/usr/share/doc/*", "/usr/share/doc/", true},
		{"/a/?/c", "/a/b/c", true},
		{"/a/?/c", "/a/bb/c", false},
		{"/a/[bc]", "/a/c", true},
		{"/a/[!bc]", "/a/c", false},
		{"/a/[!bc]", "/a/d", true},
		{"/a/[]x]", "/a/]", true},
		{"/a/[x", "/a/[x", true},
		{`/a/\*`, "/a/*", true},
		{`/a/\*`, "/a/b", false},
		{"/a.b+", "/a.b+", true},
		{"/a.b", "/axb", false},
	}
	for _, tt := range tests {
		re, err := patterns([]string{"/never", tt.glob})
		if err != nil {
			t.Fatal(err)
		}
		if got := re.MatchString(tt.name); got != tt.want {
			t.Errorf("%s matches %s: %v, want %v", tt.glob, tt.name, got, tt.want)
		}
	}
	if re, err := patterns(nil); re != nil || err != nil {
		t.Errorf("no patterns: %v, %v", re, err)
	}
	if _, err := patterns([]string{"/a/[z-a]"}); err == nil {
		t.Error("a range that runs backwards is taken")
	}
}
