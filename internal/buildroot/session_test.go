package buildroot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/rootfs"
)

// TestBuilderIsAdded checks what a root's own users do to the user that builds run as.
func TestBuilderIsAdded(t *testing.T) {
	t.Parallel()
	const line = "builder:x:1000:1000:builds packages:/home/builder:/bin/sh\n"
	for _, c := range []struct{ have, want, refusal string }{
		{"root:x:0:0:root:/root:/bin/bash\n", "root:x:0:0:root:/root:/bin/bash\n" + line, ""},
		{"root:x:0:0::/:", "root:x:0:0::/:\n" + line, ""},
		{line, "", ""}, // nothing to write
		{"someone:x:1000:1000::/:\n", "", "someone"},
		{"builder:x:999:999::/:\n", "", "builder"},
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "root/etc"), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "root/etc/passwd"), []byte(c.have), 0o644); err != nil {
			t.Fatal(err)
		}
		s := &session{below: rootfs.Stack{filepath.Join(dir, "root")}, upper: filepath.Join(dir, "upper")}
		if err := os.Mkdir(s.upper, 0o755); err != nil {
			t.Fatal(err)
		}
		err := s.appendLine("etc/passwd", line)
		if (err != nil) != (c.refusal != "") || err != nil && !strings.Contains(err.Error(), c.refusal) {
			t.Errorf("%q: %v", c.have, err)
		}
		got, _ := os.ReadFile(filepath.Join(s.upper, "etc/passwd"))
		if string(got) != c.want {
			t.Errorf("%q becomes %q", c.have, got)
		}
		if c.want == "" {
			continue
		}
		if st, err := os.Stat(filepath.Join(s.upper, "etc")); err != nil || st.Mode().Perm() != 0o750 {
			t.Errorf("/etc of the copy: %v, %v; the root's has mode 0750", st.Mode(), err)
		}
	}
}

// TestAnswersAreKept checks that a known answer is used while its layers are there, and not for packages of this build
// that would change it.
func TestAnswersAreKept(t *testing.T) {
	t.Parallel()
	o := Options{Base: rootfs.Stack{"/base"}, BaseKey: "b", Build: "amd64", Host: "amd64", OfferKey: "o", Layers: t.TempDir()}
	needs := Needs{Depends: parsed(t, "debhelper")}
	text := `{"Layers":["l1"],"Names":["debhelper","perl"]}`
	if err := os.WriteFile(o.answerFile(o.question(needs, nil)), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if a, err := o.recall(o.question(needs, nil)); a != nil || err != nil {
		t.Errorf("an answer whose layer is gone is used: %v, %v", a, err)
	}
	if err := os.Mkdir(filepath.Join(o.Layers, "l1"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.Own = []rootfs.Deb{{Package: pack(t, "unrelated", "amd64", "")}}
	root, err := Prepare(t.Context(), o, "x", needs)
	if err != nil || strings.Join(root.Stack, " ") != "/base "+filepath.Join(o.Layers, "l1") || root.Key != "l1" {
		t.Errorf("%+v, %v", root, err)
	}
	for name, other := range map[string]Options{"archive": {OfferKey: "p"}, "base": {BaseKey: "c"}, "host": {Host: "arm64"}} {
		p := o
		switch name {
		case "archive":
			p.OfferKey = other.OfferKey
		case "base":
			p.BaseKey = other.BaseKey
		case "host":
			p.Host = other.Host
		}
		if p.question(needs, nil) == o.question(needs, nil) {
			t.Errorf("the question does not depend on the %s", name)
		}
	}
	if a, _ := o.recall(o.question(needs, nil)); !touches(set(a.Names), []rootfs.Deb{{Package: pack(t, "perl", "amd64", "")}}) {
		t.Error("an own perl would not be noticed")
	}
}
