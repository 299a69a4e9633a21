package isar

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

func TestTransformTemplate(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	work := filepath.Join(root, "work")
	writeFiles(t, root, map[string]string{"work/a.tmpl": "${PN} $PN ${OTHER} $ {PN} ${EMPTY}|\n", "work/sub/b": "$PN-x\n", "outside": "kept\n", "work/dir/f": "x"})
	if err := os.Chmod(filepath.Join(work, "a.tmpl"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "../outside", "in.tmpl": "../outside", "c": "../outside"} {
		if err := os.Symlink(to, filepath.Join(work, link)); err != nil {
			t.Fatal(err)
		}
	}
	writeFiles(t, work, map[string]string{"c.tmpl": "$PN\n"})
	run := func(files string) error {
		d := datastore.New()
		for name, value := range map[string]string{"WORKDIR": work, "T": filepath.Join(work, "temp"), "PN": "hello", "OTHER": "other", "TEMPLATE_VARS": "PN EMPTY", "TEMPLATE_FILES": files} {
			if err := d.SetVar(name, value); err != nil {
				t.Fatal(err)
			}
		}
		return transformTemplate(context.Background(), &Call{Engine: &Engine{}, Task: Task{Recipe: "x", Data: d, Pos: diag.Pos{File: "x.bb"}}})
	}
	if err := os.MkdirAll(filepath.Join(work, "temp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run("a.tmpl sub/b " + work + "/sub/../sub/b"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "hello hello ${OTHER} $ {PN} |\n", "sub/b.out": "hello-x\n"} {
		text, err := os.ReadFile(filepath.Join(work, name))
		if err != nil || string(text) != want {
			t.Errorf("%s is %q, %v, want %q", name, text, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(work, "a")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode of a: %v, %v", info.Mode(), err)
	}
	for files, says := range map[string]string{"none.tmpl": "is not in WORKDIR", "../outside": "not below WORKDIR", "/etc/passwd": "not below WORKDIR",
		"link": "escapes", "in.tmpl": "escapes", "c.tmpl": "escapes", "dir": "not a file"} {
		if err := run(files); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", files, err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "outside")); err != nil || string(text) != "kept\n" {
		t.Errorf("a file outside of WORKDIR was written: %q, %v", text, err)
	}
}
