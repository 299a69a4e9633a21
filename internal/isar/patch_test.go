package isar

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// patchSet is a tree with patches: testdata/patch.txtar, where the header says how it was recorded.
func patchSet(t *testing.T) (files map[string]string) {
	t.Helper()
	a, err := txtar.ParseFile("testdata/patch.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	for _, f := range a.Files {
		files[f.Name] = string(f.Data)
	}
	if len(files) < 12 {
		t.Fatalf("only %d files in testdata/patch.txtar", len(files))
	}
	return files
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// runPatchScript applies patches with a tool of this machine. It returns what was printed.
func runPatchScript(t *testing.T, tool, dir string, patches []patch) (string, error) {
	t.Helper()
	program := tool
	if tool == "debian" {
		program = "quilt"
	}
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("this machine has no %s", program)
	}
	temp := t.TempDir()
	if err := writePatchList(filepath.Join(temp, "list"), patches); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", patchScript, "patch", tool, dir, filepath.Join(temp, "list"), filepath.Join(temp, "current"), "true")
	cmd.Env = append(os.Environ(), "QUILTRCFILE="+filepath.Join(temp, "none"), "PATCH_GIT_USER_NAME=Isar", "PATCH_GIT_USER_EMAIL=isar.patch@isar",
		"GIT_CEILING_DIRECTORIES="+filepath.Dir(dir), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_DATE=@100 +0000", "GIT_COMMITTER_DATE=@100 +0000", "HOME="+temp)
	out, err := cmd.CombinedOutput()
	if err != nil {
		name, _ := os.ReadFile(filepath.Join(temp, "current"))
		return string(name) + ": " + string(out) + "\x00" + filepath.Join(temp, "list.rej"), err
	}
	return string(out), nil
}

// tree lists the files below dir with their contents, without the versions that tools keep.
func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == ".git" {
				return filepath.SkipDir
			}
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.HasSuffix(rel, ".timestamp") {
			data = nil
		}
		out[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPatchTools(t *testing.T) {
	t.Parallel()
	set := patchSet(t)
	for _, tool := range []string{"quilt", "patch", "git"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			source, want := map[string]string{}, map[string]string{}
			for name, text := range set {
				if rest, ok := strings.CutPrefix(name, "source/"); ok {
					source[rest] = text
				}
				if rest, ok := strings.CutPrefix(name, tool+"/"); ok {
					want[rest] = text
				}
			}
			dir := filepath.Join(root, "s")
			writeFiles(t, dir, source)
			writeFiles(t, root, map[string]string{"one.patch": set["one.patch"], "two.diff": set["two.diff"]})
			patches := []patch{{name: "one.patch", file: filepath.Join(root, "one.patch"), level: "1"}, {name: "two.diff", file: filepath.Join(root, "two.diff"), level: "0"}}
			if out, err := runPatchScript(t, tool, dir, patches); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			got := readTree(t, dir)
			if tool == "git" {
				got["log"] = gitLog(t, dir)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("result differs (-recorded +ours):\n%s", d)
			}
			if tool == "git" {
				return // its commits are a state that no second run starts from
			}
			if out, err := runPatchScript(t, tool, dir, patches); err != nil {
				t.Fatalf("second run: %v\n%s", err, out)
			}
			if d := cmp.Diff(want, readTree(t, dir)); d != "" {
				t.Errorf("second run differs:\n%s", d)
			}
		})
	}
}

func gitLog(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.Command("git", "-c", "safe.directory=*", "log", "--reverse", "--format=%an <%ae> %ad %cn <%ce> %s", "--date=iso")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestPatchFails(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"quilt", "patch", "git", "debian"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := filepath.Join(root, "s")
			writeFiles(t, dir, map[string]string{"f": "a\n"})
			writeFiles(t, root, map[string]string{"good.patch": "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n", "bad.patch": "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n+y\n"})
			out, err := runPatchScript(t, tool, dir, []patch{
				{name: "good.patch", file: filepath.Join(root, "good.patch"), level: "1"}, {name: "bad.patch", file: filepath.Join(root, "bad.patch"), level: "1"}})
			if err == nil || !strings.HasPrefix(out, "bad.patch: ") {
				t.Errorf("%v, %s", err, out)
			}
		})
	}
}

// A source package of format 3.0 (quilt) keeps its patches in debian/patches, and those of the recipe join them.
func TestPatchDebianQuilt(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "s")
	first := "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"
	writeFiles(t, dir, map[string]string{"f": "a\n", "debian/patches/series": "first", "debian/patches/first": first, "debian/rules": "x\n"})
	writeFiles(t, root, map[string]string{
		"own.patch":    "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-b\n+c\n",
		"debian.patch": "--- a/debian/rules\n+++ b/debian/rules\n@@ -1 +1 @@\n-x\n+y\n",
		"both.patch":   "--- a/debian/rules\n+++ b/debian/rules\n@@ -1 +1 @@\n-y\n+z\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-c\n+d\n"})
	of := func(name, level string) patch {
		return patch{name: name, file: filepath.Join(root, name), level: level}
	}
	for range 2 {
		if out, err := runPatchScript(t, "debian", dir, []patch{of("own.patch", "1")}); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if out, err := runPatchScript(t, "debian", dir, []patch{of("own.patch", "1"), of("debian.patch", "1")}); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := readTree(t, dir)
	for name, want := range map[string]string{"f": "c\n", "debian/patches/series": "first\nown.patch\n", "debian/rules": "y\n", ".pc/applied-patches": "first\nown.patch\n"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for _, p := range []patch{of("both.patch", "1"), of("own.patch", "0")} {
		if out, err := runPatchScript(t, "debian", dir, []patch{p}); err == nil || !strings.HasPrefix(out, p.name+": ") {
			t.Errorf("%s with level %s: %v, %s", p.name, p.level, err, out)
		}
	}
}

func TestSelectPatches(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, map[string]string{"files/a.patch": "x", "files/sub/b.diff": "x", "files/c.patch.gz": "x", "work/c.patch": "x", "files/d.txt": "x", "files/dir.patch/e": "x"})
	d := datastore.New()
	for name, value := range map[string]string{
		"WORKDIR": filepath.Join(root, "work"), "S": filepath.Join(root, "work/s"), "FILESPATH": filepath.Join(root, "files"), "DL_DIR": filepath.Join(root, "dl"),
		"PV": "1.5", "PN": "x", "SRCREV": "abcdef", "SRCDATE": "20200101"} {
		if err := d.SetVar(name, value); err != nil {
			t.Fatal(err)
		}
	}
	for uri, want := range map[string]string{
		"file://a.patch":                              "a.patch 1 s",
		"file://a.patch;apply=no":                     "",
		"file://a.patch;apply=0":                      "",
		"file://a.patch;apply=perhaps":                "error apply=perhaps",
		"file://sub/b.diff;striplevel=0;patchdir=sub": "b.diff 0 s/sub",
		"file://a.patch;pnum=2;patchdir=..":           "a.patch 2 .",
		"file://a.patch;patchdir=../..":               "error not below WORKDIR",
		"file://a.patch;striplevel=x":                 "error striplevel=x",
		"file://c.patch.gz":                           "c.patch 1 s",
		"file://d.txt":                                "",
		"file://d.txt;apply=yes":                      "d.txt 1 s",
		"file://dir.patch":                            "",
		"file://missing.patch":                        "error missing.patch",
		"file://a.patch;minver=1.4;maxver=1.5":        "a.patch 1 s",
		"file://a.patch;minver=1.10":                  "",
		"file://a.patch;maxver=1.4":                   "",
		"file://a.patch;minrev=b":                     "",
		"file://a.patch;maxrev=b":                     "a.patch 1 s",
		"file://a.patch;rev=cde":                      "a.patch 1 s",
		"file://a.patch;notrev=cde":                   "",
		"file://a.patch;mindate=20200102":             "",
		"file://a.patch;maxdate=20200102":             "a.patch 1 s",
	} {
		if err := d.SetVar("SRC_URI", uri); err != nil {
			t.Fatal(err)
		}
		c := &Call{Engine: &Engine{}, Task: Task{Recipe: "x", Data: d, Pos: diag.Pos{File: "x.bb"}}, Log: new(strings.Builder)}
		list, err := selectPatches(c)
		got := ""
		for _, p := range list {
			rel, _ := filepath.Rel(filepath.Join(root, "work"), p.dir)
			got = p.name + " " + p.level + " " + rel
		}
		if says, isError := strings.CutPrefix(want, "error "); isError {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", uri, err)
			}
		} else if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", uri, got, err, want)
		}
	}
}

func TestPatchHeader(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p")
	for text, want := range map[string]patchHeader{
		"From: =?utf-8?q?J=C3=BCrgen?= <j@x.org>\nSubject: [PATCH 1/2] change a\nDate: Mon, 02 Jan 2023 10:00:00 +0100\n\nwhy\n---\n": {"Jürgen <j@x.org>", "Mon, 02 Jan 2023 10:00:00 +0100", "change a\n\n\nwhy"},
		"plain text\nSigned-off-by: S <s@x.org>\n--- a/f\nFrom: n <n@x.org>\n":                                                        {author: "S <s@x.org>", message: "plain text\nSigned-off-by: S <s@x.org>"},
		"From: nobody\nDate: short\n": {message: "From: nobody"},
		"":                            {},
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := readPatchHeader(path); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// TestPatchRejects: of a patch that does not apply, the error can say which hunks do not fit, and the sources are as before.
func TestPatchRejects(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"quilt", "patch", "git", "debian"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := filepath.Join(root, "s")
			source := map[string]string{"a.c": "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n", "b.c": "b\n"}
			writeFiles(t, dir, source)
			writeFiles(t, root, map[string]string{"bad.patch": "--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,2 @@\n-1\n+one\n 2\n@@ -10,3 +10,3 @@\n 10\n-no\n+x\n 12\n--- a/b.c\n+++ b/b.c\n@@ -1 +1 @@\n-c\n+d\n"})
			out, err := runPatchScript(t, tool, dir, []patch{{name: "bad.patch", file: filepath.Join(root, "bad.patch"), level: "1"}})
			if err == nil || !strings.HasPrefix(out, "bad.patch: ") {
				t.Fatalf("%v: %s", err, out)
			}
			_, rej, _ := strings.Cut(out, "\x00")
			want := []string{"a.c, hunk @@ -10,3 +10,3 @@", "b.c, hunk @@ -1 +1 @@"}
			if d := cmp.Diff(want, rejects(rej)); d != "" {
				t.Errorf("rejects (-want +got):\n%s\n%s", d, out)
			}
			for name, text := range source {
				if got, _ := os.ReadFile(filepath.Join(dir, name)); string(got) != text {
					t.Errorf("%s holds %q", name, got)
				}
			}
		})
	}
}

// TestPatchAgain: the task runs again without the sources being unpacked again.
func TestPatchAgain(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"quilt", "patch", "git", "debian"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := filepath.Join(root, "s")
			writeFiles(t, dir, map[string]string{"a.c": "1\n2\n"})
			writeFiles(t, root, map[string]string{"one.patch": "--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,2 @@\n-1\n+one\n 2\n",
				"two.patch": "From: a <a@b.c>\nSubject: two\n\n---\n a.c | 1 +\n\n--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,2 @@\n one\n-2\n+two\n"})
			patches := []patch{{name: "one.patch", file: filepath.Join(root, "one.patch"), level: "1"}, {name: "two.patch", file: filepath.Join(root, "two.patch"), level: "1"}}
			var first map[string]string
			for range 3 {
				if out, err := runPatchScript(t, tool, dir, patches); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if first == nil {
					first = readTree(t, dir)
				}
				if d := cmp.Diff(first, readTree(t, dir)); d != "" || first["a.c"] != "one\ntwo\n" {
					t.Fatalf("another tree (-first +again):\n%s\n%s", d, first["a.c"])
				}
			}
		})
	}
}
