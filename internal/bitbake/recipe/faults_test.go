package recipe

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"n3x/internal/diag"
)

// minimal is a build directory with one layer and one recipe.
func minimal() map[string]string {
	return map[string]string{
		"build/conf/bblayers.conf": "BBLAYERS = \"${TOPDIR}/../core\"\nBBPATH = \"${TOPDIR}\"\nBBFILES = \"\"\n",
		"build/conf/local.conf":    "MACHINE = \"m\"\n",
		"core/conf/layer.conf": `BBPATH .= ":${LAYERDIR}"
BBFILES += "${LAYERDIR}/*.bb ${LAYERDIR}/*.bbappend"
BBFILE_COLLECTIONS += "core"
BBFILE_PATTERN_core = "^${LAYERDIR_RE}/"
LAYERSERIES_CORENAMES = "one"
LAYERSERIES_COMPAT_core = "one"
`,
		"core/conf/bitbake.conf":    "OVERRIDES = \"${MACHINE}\"\nPV ?= \"1\"\ninclude conf/local.conf\n",
		"core/classes/base.bbclass": "addtask build\n",
		"core/a_1.bb":               "PN = \"a\"\nPROVIDES = \"virtual/a\"\n",
	}
}

func with(changes map[string]string) map[string]string {
	files := minimal()
	maps.Copy(files, changes)
	return files
}

func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func loadTree(t *testing.T, files map[string]string) (*World, string, error) {
	t.Helper()
	root := writeTree(t, files)
	w, err := Load(context.Background(), Options{TopDir: filepath.Join(root, "build")})
	return w, root, err
}

// TestFaults holds the place of an error and the advice that comes with it.
func TestFaults(t *testing.T) {
	layer := func(extra string) string { return minimal()["core/conf/layer.conf"] + extra }
	second := map[string]string{
		"build/conf/bblayers.conf": "BBLAYERS = \"${TOPDIR}/../core ${TOPDIR}/../two\"\nBBPATH = \"${TOPDIR}\"\n",
		"two/conf/layer.conf":      "BBFILE_COLLECTIONS += \"two\"\nBBFILE_PATTERN_two = \"^${LAYERDIR}/\"\n",
	}
	two := func(text string) map[string]string {
		files := maps.Clone(second)
		files["two/conf/layer.conf"] += text
		return files
	}
	tests := []struct {
		name    string
		changes map[string]string
		want    []string // in what is printed
	}{
		{"no bblayers", map[string]string{"build/conf/bblayers.conf": "X = \"1\"\n"}, []string{"build/conf/bblayers.conf", "no BBLAYERS"}},
		{"missing layer", map[string]string{"build/conf/bblayers.conf": "A = \"\"\nBBLAYERS = \"/nowhere/x\"\n"}, []string{"bblayers.conf:2", "/nowhere/x", "correct BBLAYERS"}},
		{"not a layer", map[string]string{"build/conf/bblayers.conf": "BBLAYERS = \"${TOPDIR}\"\n"}, []string{"bblayers.conf:1", "no conf/layer.conf"}},
		{"syntax in local.conf", map[string]string{"build/conf/local.conf": "\nMACHINE = m\n"}, []string{"local.conf:2", "in quotes"}},
		{"old override", map[string]string{"build/conf/local.conf": "A_append = \"x\"\n"}, []string{"local.conf:1", "A:append"}},
		{"unknown class", map[string]string{"core/classes/image.bbclass": "", "core/a_1.bb": "\ninherit imgae\n"}, []string{"a_1.bb:2", "imgae", "did you mean image?"}},
		{"class of the wrong kind", map[string]string{"core/classes-global/g.bbclass": "", "core/a_1.bb": "inherit g\n"}, []string{"a_1.bb:1", "classes-global is for INHERIT"}},
		{"unknown INHERIT", map[string]string{"build/conf/local.conf": "X = \"\"\nINHERIT += \"nope\"\n"}, []string{"local.conf:2", "nope"}},
		{"missing require", map[string]string{"core/common.inc": "", "core/a_1.bb": "require comon.inc\n"}, []string{"a_1.bb:1", "did you mean common.inc?"}},
		{"include cycle", map[string]string{"core/x.inc": "require y.inc\n", "core/y.inc": "require x.inc\n", "core/a_1.bb": "require x.inc\n"}, []string{"include each other", "y.inc"}},
		{"expansion cycle", map[string]string{"core/a_1.bb": "PV = \"${X}\"\nX = \"${PV}\"\n"}, []string{"a_1.bb:1", "PV references itself", "PV -> X -> PV"}},
		{"recipe name", map[string]string{"core/a_1_2_3.bb": ""}, []string{"a_1_2_3.bb", "underscores"}},
		{"default preference", map[string]string{"core/a_1.bb": "DEFAULT_PREFERENCE = \"high\"\n"}, []string{"a_1.bb:1", "not a number"}},
		{"undefined handler", map[string]string{"core/a_1.bb": "addhandler h\nh[eventmask] = \"bb.event.RecipeParsed\"\n"}, []string{"a_1.bb:1", "event handler h is not defined"}},
		{"dangling append", map[string]string{"core/aa_1.bbappend": ""}, []string{"aa_1.bbappend", "did you mean a_1.bbappend?"}},
		{"no recipes", map[string]string{"core/conf/layer.conf": strings.ReplaceAll(layer(""), "*.bb ", "*.none ")}, []string{"no recipe files"}},
		{"no pattern", map[string]string{"core/conf/layer.conf": strings.ReplaceAll(layer(""), "BBFILE_PATTERN_core", "X")}, []string{"BBFILE_PATTERN_core is not defined"}},
		{"priority", map[string]string{"core/conf/layer.conf": layer("BBFILE_PRIORITY_core = \"high\"\n")}, []string{"layer.conf:7", "not a number"}},
		{"duplicate collection", two("BBFILE_COLLECTIONS += \"core\"\n"), []string{"two layers are called core"}},
		{"series", two("LAYERSERIES_COMPAT_two = \"none\"\n"), []string{"layer two is not compatible", "core layer supports one"}},
		{"depends", two("LAYERDEPENDS_two = \"cor\"\n"), []string{"two/conf/layer.conf:3", "depends on layer cor", "there is a layer core"}},
		{"depends version", two("LAYERDEPENDS_two = \"core (>= 2)\"\nLAYERVERSION_core = \"1\"\n"), []string{"depends on version >= 2", "version 1 is enabled"}},
		{"bad depends", two("LAYERDEPENDS_two = \"core (2)\"\n"), []string{"LAYERDEPENDS_two", "missing operator"}},
		{"dynamic", map[string]string{"core/conf/layer.conf": layer("BBFILES_DYNAMIC = \"x\"\n")}, []string{"layer.conf:7", "[!]COLLECTION:PATTERN"}},
		{"pylib", map[string]string{"build/conf/local.conf": "addpylib a b\n"}, []string{"local.conf:1", "addpylib"}},
		{"multiconfig name", map[string]string{"build/conf/local.conf": "BBMULTICONFIG = \"1x\"\n"}, []string{"local.conf:1", "starts with a digit"}},
		{"not UTF-8", map[string]string{"core/a_1.bb": "A = \"\xe4\"\n"}, []string{"a_1.bb:1", "not UTF-8", "iconv"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := loadTree(t, with(tt.changes))
			if err == nil {
				t.Fatal("accepted")
			}
			var b bytes.Buffer
			diag.Render(&b, "n3x", err)
			for _, w := range tt.want {
				if !strings.Contains(b.String(), w) {
					t.Errorf("%q is not in:\n%s", w, b.String())
				}
			}
			if diag.Status(err) != 2 {
				t.Errorf("status %d: %v", diag.Status(err), err)
			}
		})
	}
}

func TestOneBadRecipeDoesNotHideTheOthers(t *testing.T) {
	w, _, err := loadTree(t, with(map[string]string{
		"core/b_1.bb": "PN = \"b\"\ninherit nope\n", "core/c_1.bb": "PN = \"c\"\n", "core/d_1.bb": "PN = d\n",
	}))
	if err == nil || !strings.Contains(err.Error(), "b_1.bb:2") || !strings.Contains(err.Error(), "d_1.bb:1") {
		t.Errorf("error: %v", err)
	}
	var names []string
	for _, r := range w.Recipes("") {
		names = append(names, r.PN)
	}
	if !slices.Equal(names, []string{"a", "c"}) {
		t.Errorf("recipes: %q", names)
	}
	var failed []string
	for _, f := range w.Failures() {
		failed = append(failed, filepath.Base(f.File))
		if !strings.Contains(err.Error(), f.Err.Error()) {
			t.Errorf("the error does not hold that of %s: %v", f.File, f.Err)
		}
	}
	if !slices.Equal(failed, []string{"b_1.bb", "d_1.bb"}) {
		t.Errorf("failures: %q", failed)
	}
}

func TestErrorInClassNamesTheRecipe(t *testing.T) {
	_, root, err := loadTree(t, with(map[string]string{"core/classes/c.bbclass": "inherit nope\n", "core/b_1.bb": "inherit c\n"}))
	var e *diag.Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "c.bbclass:1") || !strings.Contains(err.Error(), filepath.Join(root, "build/../core/b_1.bb")[1:]) && !strings.Contains(err.Error(), "core/b_1.bb") {
		t.Errorf("error: %v", err)
	}
}

func TestNoProvider(t *testing.T) {
	w, _, err := loadTree(t, with(map[string]string{
		"build/conf/local.conf":           "BBMULTICONFIG = \"one\"\n",
		"build/conf/multiconfig/one.conf": "BBFILES = \"\"\n",
		"core/conf/bitbake.conf":          "BB_MC = \"${BB_CURRENT_MC}\"\ninclude conf/local.conf\ninclude conf/multiconfig/${BB_CURRENT_MC}.conf\nOVERRIDES = \"${BB_MC}\"\nBBMASK = \"/b_\"\nBBMASK:one = \"/a_\"\nBBFILES:one = \"${COREDIR}/*.bb\"\nCOREDIR = \"${TOPDIR}/../core\"\n",
		"core/b_1.bb":                     "PN = \"b\"\n",
		"core/run_1.bb":                   "PN = \"run\"\nRPROVIDES = \"runtime-thing\"\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ mc, target, want string }{
		{"", "virtual/aa", "did you mean virtual/a?"},
		{"", "b", "it is there as mc:one:b"},
		{"", "runtime-thing", "run RPROVIDES runtime-thing"},
		{"onee", "b", "did you mean one?"},
		{"", "xyz-completely-else", "BBLAYERS"},
	}
	for _, tt := range tests {
		_, err := w.Provider(tt.mc, tt.target)
		var b bytes.Buffer
		diag.Render(&b, "n3x", err)
		if err == nil || !strings.Contains(b.String(), tt.want) {
			t.Errorf("%s %s: %s", tt.mc, tt.target, b.String())
		}
	}
}

// TestOverlay reads a layer that does not exist on disk, in place of one that BBLAYERS names.
func TestOverlay(t *testing.T) {
	files := minimal()
	core := fstest.MapFS{}
	for name, text := range files {
		if rest, ok := strings.CutPrefix(name, "core/"); ok {
			core[rest] = &fstest.MapFile{Data: []byte(text)}
			delete(files, name)
		}
	}
	core["classes/c.bbclass"] = &fstest.MapFile{Data: []byte("C = \"${FILE}\"\n")}
	files["build/conf/bblayers.conf"] = "BBLAYERS = \"/gone/meta ${TOPDIR}/../own\"\nBBPATH = \"${TOPDIR}\"\n"
	files["own/conf/layer.conf"] = "BBPATH .= \":${LAYERDIR}\"\nBBFILES += \"${LAYERDIR}/*.bb ${LAYERDIR}/*.bbappend\"\nBBFILE_COLLECTIONS += \"own\"\nBBFILE_PATTERN_own = \"^${LAYERDIR}/\"\n"
	files["own/o_1.bb"] = "PN = \"o\"\ninherit c\n"
	files["own/a_1.bbappend"] = "APPENDED = \"1\"\n"
	root := writeTree(t, files)
	w, err := Load(context.Background(), Options{
		TopDir:   filepath.Join(root, "build"),
		Overlays: []Overlay{{Path: "/n3x/meta", FS: core}},
		LayerPath: func(layer string) string {
			if layer == "/gone/meta" {
				return "/n3x/meta"
			}
			return layer
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.Provider("", "virtual/a")
	if err != nil {
		t.Fatal(err)
	}
	if a.File != "/n3x/meta/a_1.bb" || a.Layer != "core" {
		t.Errorf("recipe a: %s of layer %q", a.File, a.Layer)
	}
	if v, _ := a.Data.Value("APPENDED"); v != "1" {
		t.Error("the append on disk was not used for the recipe in the overlay")
	}
	if !slices.Contains(w.Files(), "/n3x/meta/classes/c.bbclass") {
		t.Errorf("files: %q", w.Files())
	}
	if data, err := w.ReadFile("/n3x/meta/classes/c.bbclass"); err != nil || len(data) == 0 {
		t.Errorf("ReadFile: %q, %v", data, err)
	}
}

func TestEnvironment(t *testing.T) {
	root := writeTree(t, minimal())
	w, err := Load(context.Background(), Options{TopDir: filepath.Join(root, "build"), Environ: map[string]string{
		"HOME": "/home/u", "SECRET": "x", "DL_DIR": "/dl", "PATH": "/bin", "BB_ENV_PASSTHROUGH_ADDITIONS": "DL_DIR NOT_SET",
	}})
	if err != nil {
		t.Fatal(err)
	}
	d := w.Base("")
	for name, want := range map[string]string{"HOME": "/home/u", "DL_DIR": "/dl", "SECRET": ""} {
		if got, _ := d.Value(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if got, _, _ := d.VarFlag("HOME", "export", false); got == "" {
		t.Error("HOME is not exported")
	}
	if got, _, _ := d.VarFlag("DL_DIR", "export", false); got != "" {
		t.Error("DL_DIR is exported")
	}
	if got, _ := d.Environment.Value("SECRET"); got != "x" {
		t.Errorf("BB_ORIGENV has SECRET = %q", got)
	}
	if got := approved(map[string]string{"BB_PRESERVE_ENV": "1", "A": "b"}); !slices.Equal(got, []string{"A", "BB_PRESERVE_ENV"}) {
		t.Errorf("BB_PRESERVE_ENV: %q", got)
	}
	if got := approved(map[string]string{"BB_ENV_PASSTHROUGH": "A B"}); !slices.Equal(got, []string{"A", "B", "BB_ENV_PASSTHROUGH"}) {
		t.Errorf("BB_ENV_PASSTHROUGH: %q", got)
	}
}

// TestVersions are answers of bb.utils.vercmp_string (BitBake 2.19).
func TestVersions(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"1.0", "1.0", 0}, {"1.0", "1.1", -1}, {"1.10", "1.9", 1}, {"1.0", "1.0.1", -1}, {"1.0~rc1", "1.0", -1}, {"1.0a", "1.0", 1},
		{"1.0-r1", "1.0-r2", -1}, {"1:1.0", "2.0", 1}, {"1.a", "1.1", 1}, {"1_0", "1.0", 1}, {"01", "1", 0}, {"", "1", -1}, {"1.0+git", "1.0", 1},
		{"2024.05", "2024.5", 0}, {"v1", "1", 1},
	}
	for _, tt := range tests {
		if got := splitVersion(tt.a).compare(splitVersion(tt.b)); got > 0 != (tt.want > 0) || got < 0 != (tt.want < 0) {
			t.Errorf("compare(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestPythonErrors holds that an error in Python has one place and says what was being expanded.
func TestPythonErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"PV = \"${X}\"\nX = \"${@int('a')}\"\n", "a_1.bb:2: python: ValueError"},
		{"PV = \"${@nope()}\"\n", "a_1.bb:1: python: NameError"},
		{"python () {\n    x = 1\n    d.getVar('A').split()\n}\n", "a_1.bb:3: python: AttributeError"},
		{"python () {\n    bb.fatal('stop here')\n}\n", "a_1.bb:2: stop here"},
		{"def f(:\n    pass\n", "python syntax"},
		{"python () {\n    import ctypes\n}\n", "a_1.bb:2: python: "},
	}
	for _, tt := range tests {
		_, _, err := loadTree(t, with(map[string]string{"core/a_1.bb": tt.text}))
		var b bytes.Buffer
		diag.Render(&b, "n3x", err)
		if !strings.Contains(b.String(), tt.want) || strings.Count(b.String(), "a_1.bb:") != 1 {
			t.Errorf("%q: %s", tt.text, b.String())
		}
	}
}

// What is read is a regular file: a pipe would never end, a device neither.
func TestSpecialFiles(t *testing.T) {
	t.Parallel()
	root := writeTree(t, with(map[string]string{"core/b_1.bb": "require pipe.inc\n", "core/c_1.bb": "require /dev/zero.inc\n", "core/d_1.bb": "A = \"${@open('/dev/zero').read()}\"\nB := \"${A}\"\n"}))
	if err := syscall.Mkfifo(filepath.Join(root, "core/pipe_1.bb"), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := Load(context.Background(), Options{TopDir: filepath.Join(root, "build")})
	if err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("error is %v", err)
	}
	if w == nil || len(w.Recipes("")) == 0 {
		t.Error("the other recipes are gone")
	}
	if _, err := File(context.Background(), Options{TopDir: root}, "/dev/zero"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a device: %v", err)
	}
}

// A cancelled context ends values that are read after the load, too.
func TestCancelledLater(t *testing.T) {
	t.Parallel()
	root := writeTree(t, with(map[string]string{"build/conf/local.conf": "MACHINE = \"m\"\nZ = \"${@[x for x in iter(int, 1)]}\"\n"}))
	ctx, cancel := context.WithCancel(context.Background())
	w, err := Load(ctx, Options{TopDir: filepath.Join(root, "build")})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := w.Base("").Copy().Value("Z"); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestOverridesOfItself(t *testing.T) {
	t.Parallel()
	_, _, err := loadTree(t, with(map[string]string{"core/conf/bitbake.conf": "OVERRIDES = \"a:${OVERRIDES}\"\nPV ?= \"1\"\n"}))
	if err == nil || !strings.Contains(err.Error(), "OVERRIDES") {
		t.Errorf("error is %v", err)
	}
}
