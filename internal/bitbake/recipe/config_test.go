package recipe

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// A file of -r is read before bblayers.conf, so that its plain assignments lose; one of -R is read last and wins.
func TestExtraConfiguration(t *testing.T) {
	t.Parallel()
	root := writeTree(t, with(map[string]string{
		"build/before.conf": "MACHINE = \"early\"\nEARLY = \"1\"\n",
		"build/after.conf":  "MACHINE = \"late\"\n",
	}))
	w, err := Load(context.Background(), Options{TopDir: filepath.Join(root, "build"), Prefiles: []string{"before.conf"},
		Postfiles: []string{filepath.Join(root, "build/after.conf")}, ConfigOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"MACHINE": "late", "EARLY": "1"} {
		if got, err := w.Base("").Value(name); got != want || err != nil {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
	if n := len(w.Recipes("")); n != 0 {
		t.Errorf("%d recipes were read although only the configuration was asked for", n)
	}
	if l := w.Layers(); len(l) != 1 || l[0].Name != "core" {
		t.Errorf("layers are %v, want core", l)
	}
	_, err = Load(context.Background(), Options{TopDir: filepath.Join(root, "build"), Prefiles: []string{"absent.conf"}})
	if err == nil || !strings.Contains(err.Error(), "absent.conf") {
		t.Errorf("a missing file gives %v, which does not name it", err)
	}
}
