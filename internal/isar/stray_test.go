package isar

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFirstFile(t *testing.T) {
	t.Parallel()
	upper := t.TempDir()
	for _, name := range []string{"tmp/x", "run/x", "root/.rnd", "var/cache/x", "work/x", "usr/lib/python3/__pycache__/x.pyc"} {
		if err := os.MkdirAll(filepath.Join(upper, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(upper, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(upper, "etc/only/a/folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := firstFile(upper); got != "" || err != nil {
		t.Errorf("%q counts as outside, %v", got, err)
	}
	if err := os.Symlink("x", filepath.Join(upper, "etc/only/link")); err != nil {
		t.Fatal(err)
	}
	if got, err := firstFile(upper); got != "/etc/only/link" || err != nil {
		t.Errorf("found %q, %v; want /etc/only/link", got, err)
	}
}
