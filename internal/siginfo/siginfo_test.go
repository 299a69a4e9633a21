package siginfo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/taskgraph"
)

var layer = map[string]string{
	"conf/bblayers.conf":    "BBPATH = \"${TOPDIR}\"\nBBLAYERS = \"${TOPDIR}/layer\"\n",
	"layer/conf/layer.conf": "BBPATH .= \":${LAYERDIR}\"\nBBFILES += \"${LAYERDIR}/*.bb\"\nBBFILE_COLLECTIONS += \"l\"\nBBFILE_PATTERN_l = \"^${LAYERDIR}/\"\nLAYERSERIES_COMPAT_l = \"any\"\nLAYERSERIES_CORENAMES = \"any\"\n",
	"layer/conf/bitbake.conf": "PN = \"${@bb.parse.vars_from_file(d.getVar('FILE', False),d)[0]}\"\nPV = \"1\"\nTMPDIR = \"${TOPDIR}/tmp\"\nCACHE = \"${TMPDIR}/cache\"\nSTAMP = \"${TMPDIR}/stamps/${PN}/${PV}\"\n" +
		"OVERRIDES = \"x\"\nBB_BASEHASH_IGNORE_VARS = \"TMPDIR FILE TOPDIR\"\n",
	"layer/classes/base.bbclass": "addtask fetch\naddtask build after do_fetch\ndo_build[deptask] = \"do_build\"\ndo_fetch() {\n    :\n}\ndo_build() {\n    :\n}\n",
	"layer/app.bb":               "DEPENDS = \"lib\"\n",
	"layer/lib.bb":               "VALUE = \"one\"\ndo_fetch() {\n    first\n    echo ${VALUE}\n    last\n}\ndo_fetch[file-checksums] = \"${TOPDIR}/file:True\"\n",
	"file":                       "content",
}

// graph loads the layer with one change and signs its tasks.
func graph(t *testing.T, top, file, old, text string) (*taskgraph.Graph, *recipe.World) {
	t.Helper()
	for name, body := range layer {
		if name == file {
			if !strings.Contains(body, old) {
				t.Fatalf("%s has no %q", file, old)
			}
			body = strings.Replace(body, old, text, 1)
		}
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w, err := recipe.Load(t.Context(), recipe.Options{TopDir: top, Environ: map[string]string{"HOME": top, "PATH": "/bin"}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := taskgraph.Build(w, []taskgraph.Target{{Name: "app"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := Sign(g, w, top); err != nil {
		t.Fatal(err)
	}
	return g, w
}

func record(t *testing.T, g *taskgraph.Graph, name string) *Record {
	t.Helper()
	for _, task := range g.Tasks {
		r, err := Of(task)
		if err != nil {
			t.Fatal(err)
		}
		if r.Name() == name {
			return r
		}
	}
	t.Fatalf("no task %s", name)
	return nil
}

func TestChangesAreFollowedToTheirCause(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, old, text, want string }{
		{"layer/lib.bb", "one", "two", "Variable VALUE value changed from 'one' to 'two'"},
		{"layer/lib.bb", "    last", "    very last", "@@ -1,3 +1,3 @@\n    first\n    echo ${VALUE}\n-    last\n+    very last"},
		{"layer/lib.bb", "${VALUE}", "value", "Dependency on Variable VALUE was removed"},
		{"layer/lib.bb", "    last", "    last ${MORE}", "Dependency on variable MORE was added"},
		{"file", "content", "other", "Checksum for file file changed from "},
		{"layer/app.bb", "lib", "", "Dependency on task lib:do_build was removed"},
		{"layer/lib.bb", "do_fetch[file", "do_fetch[nostamp] = \"1\"\ndo_fetch[file", "[nostamp] changed from false to true"},
	} {
		top := t.TempDir()
		g, w := graph(t, top, "", "", "")
		values, err := Values(w)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time nothing is new
			if n, err := WriteAll(g, values); err != nil || n != 4 {
				t.Fatalf("%d records, %v", n, err)
			}
		}
		before, err := Read(record(t, g, "app:do_build").path)
		if err != nil {
			t.Fatal(err)
		}
		if lines, err := Compare(before, record(t, g, "app:do_build")); err != nil || len(lines) > 0 {
			t.Errorf("without a change: %q, %v", lines, err)
		}
		g, _ = graph(t, top, c.file, c.old, c.text)
		lines, err := Compare(before, record(t, g, "app:do_build"))
		if err != nil {
			t.Fatal(err)
		}
		var text []string
		for _, l := range lines {
			text = append(text, strings.TrimPrefix(strings.TrimPrefix(l, "    "), " "))
		}
		flat := strings.Join(strings.Fields(strings.Join(text, "\n")), " ")
		if !strings.Contains(flat, strings.Join(strings.Fields(c.want), " ")) {
			t.Errorf("%s: %s => %s: no %q in\n%s", c.file, c.old, c.text, c.want, strings.Join(lines, "\n"))
		}
		root, err := PrintDiff(g)
		if err != nil || strings.Count(strings.Join(root, "\n"), "couldn't be used") != 1 {
			t.Errorf("%s: %s => %s: %v, not one root cause:\n%s", c.file, c.old, c.text, err, strings.Join(root, "\n"))
		}
	}
}

func TestRecordsOfRuns(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	for i, text := range []string{"one", "two", "three", "four", "five", "six"} {
		g, w := graph(t, top, "layer/lib.bb", "one", text)
		values, err := Values(w)
		if err != nil {
			t.Fatal(err)
		}
		task := record(t, g, "lib:do_fetch").live
		stamp, err := Stamp(task)
		if err != nil {
			t.Fatal(err)
		}
		last, err := LastRun(stamp)
		if err != nil || (last == nil) != (i == 0) {
			t.Fatalf("before run %d: %v, %v", i, last, err)
		}
		if err := Ran(task, values); err != nil {
			t.Fatal(err)
		}
		if last, err = LastRun(stamp); err != nil || last == nil || last.Signature != task.Signature {
			t.Fatalf("after run %d: %v, %v", i, last, err)
		}
		if v, err := last.Value("VALUE"); v != text || err != nil {
			t.Errorf("VALUE is %q, %v; want %q", v, err, text)
		}
		if list, err := Latest(stamp); err != nil || len(list) != min(i+1, kept) || list[0] != Path(stamp, task.Signature) {
			t.Errorf("after run %d: %q, %v", i, list, err)
		}
	}
}

func TestWhatIsNoRecordIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct{ text, want string }{{"\x28\xb5\x2f\xfdxx", "no signature file"}, {"{\"format\": 99}", "format 99"}, {"", "no signature file"}} {
		file := filepath.Join(dir, "x")
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, want string }{
		{"a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@|  a|-b|+x|  c"},
		{"a\n", "a\nb\n", "@@ -1,1 +1,2 @@|  a|+b"},
		{"1\n2\n3\n4\n5\n6\n7\n8\n9", "1\n2\n3\n4\n5\n6\n7\n8\n10", "@@ -6,4 +6,4 @@|  6|  7|  8|-9|+10"},
		{"same", "same", ""},
	} {
		if got, want := strings.Join(Diff(c.a, c.b), "|"), strings.ReplaceAll(c.want, "|  ", "| "); got != want {
			t.Errorf("%q %q: %q, want %q", c.a, c.b, got, want)
		}
	}
}
