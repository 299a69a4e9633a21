package cpython

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"n3x/internal/arch"
)

func TestInTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, _, err := InTree(dir, "/bin"); err == nil {
		t.Error("an empty folder has a python3")
	}
	gnu := arch.Host().GNU()
	for _, name := range []string{"usr/bin/python3", "usr/bin/python3.9", "usr/bin/python3.13", "usr/bin/python3.13-config", "usr/lib/" + gnu + "/ld-linux-x.so.2"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	argv, env, err := InTree(dir, "/bin")
	python := dir + "/usr/bin/python3.13"
	want := []string{dir + "/usr/lib/" + gnu + "/ld-linux-x.so.2", "--argv0", python, "--library-path", dir + "/usr/lib/" + gnu + ":" + dir + "/usr/lib", python}
	if err != nil || !slices.Equal(argv, want) || !slices.Equal(env, []string{"PATH=/bin"}) {
		t.Errorf("%q, %q, %v; want %q", argv, env, err, want)
	}
}
