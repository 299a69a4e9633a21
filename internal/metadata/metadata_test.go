package metadata

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/arch"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// project is a build folder with one layer of its own, and a core layer where files say so.
func project(t *testing.T, files map[string]string) (top string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"build/conf/bblayers.conf": "BBPATH = \"${TOPDIR}\"\nBBFILES ?= \"\"\nBBLAYERS ?= \" \\\n    ${TOPDIR}/../core/meta \\\n    ${TOPDIR}/../own\"\n",
		"build/conf/local.conf":    "MACHINE ??= \"m\"\nDISTRO ??= \"debian-trixie\"\n",
		"own/conf/layer.conf":      "BBPATH .= \":${LAYERDIR}\"\nBBFILES += \"${LAYERDIR}/*.bb\"\nBBFILE_COLLECTIONS += \"own\"\nBBFILE_PATTERN_own = \"^${LAYERDIR}/\"\nLAYERSERIES_COMPAT_own = \"next\"\n",
		"own/conf/machine/m.conf":  "DISTRO_ARCH ?= \"amd64\"\n",
		"own/hello_1.bb":           "inherit dpkg-raw\nSAYS = \"${WHOSE}\"\n",
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(root, "build")
}

// checkout is a core layer with classes of its own, and the BitBake that lies beside it.
var checkout = map[string]string{
	"core/meta/conf/layer.conf":          "BBPATH .= \":${LAYERDIR}\"\nBBFILE_COLLECTIONS += \"core\"\nBBFILE_PATTERN_core = \"^${LAYERDIR}/\"\nLAYERSERIES_CORENAMES = \"next\"\nLAYERSERIES_COMPAT_core = \"next\"\n",
	"core/meta/conf/bitbake.conf":        "PN = \"hello\"\nPV = \"1\"\nWHOSE = \"the layer's\"\ninclude conf/local.conf\n",
	"core/meta/classes/base.bbclass":     "addtask build\n",
	"core/meta/classes/dpkg-raw.bbclass": "",
	"core/bitbake/lib/bb/__init__.py":    "__version__ = \"2.4.1\"\n",
}

// Packages come from the recipes of a checkout of ISAR, build roots and repositories from n3x; so do classes that both have.
func TestCheckoutRecipes(t *testing.T) {
	t.Parallel()
	files := maps.Clone(checkout)
	maps.Copy(files, map[string]string{
		"core/meta/recipes-support/grow/grow_2.bb":        "inherit dpkg-raw\nrequire recipes-support/grow/grow.inc\ninherit theirs\n",
		"core/meta/recipes-support/grow/grow.inc":         "WHOSE = \"the layer's\"\n",
		"core/meta/recipes-devtools/isar-apt/isar-apt.bb": "WHOSE = \"wrong\"\n",
		"core/meta/recipes-devtools/base-apt/sbom_1.bb":   "WHOSE = \"wrong\"\n",
		"core/meta/classes-recipe/theirs.bbclass":         "THEIRS = \"1\"\n",
		"core/meta/classes-recipe/dpkg-base.bbclass":      "DPKG_ARCH = \"wrong\"\n",
		"core/meta/classes-global/base.bbclass":           "WHOSE = \"wrong\"\n",
		"own/grow_%.bbappend":                             "APPENDED = \"1\"\n",
		"own/conf/layer.conf":                             "BBPATH .= \":${LAYERDIR}\"\nBBFILES += \"${LAYERDIR}/*.bb ${LAYERDIR}/*.bbappend\"\nBBFILE_COLLECTIONS += \"own\"\nBBFILE_PATTERN_own = \"^${LAYERDIR}/\"\nLAYERSERIES_COMPAT_own = \"next\"\n",
	})
	opened, err := Open(context.Background(), Options{TopDir: project(t, files), Env: map[string]string{}, Run: true})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	r, err := opened.Provider("", "grow")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"THEIRS": "1", "APPENDED": "1", "WHOSE": "the layer's", "DPKG_ARCH": "all"} {
		if got, _ := r.Data.Value(name); got != want {
			t.Errorf("%s of grow is %q, want %q", name, got, want)
		}
	}
	if r, err := opened.Provider("", "isar-apt"); err != nil || strings.Contains(r.File, "core/meta") {
		t.Errorf("isar-apt is the checkout's: %v, %v", r, err)
	}
	if r, err := opened.Provider("", "sbom"); err == nil {
		t.Errorf("recipes-devtools of the checkout is read: %v", r.File)
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		files   map[string]string
		env     string
		run     bool
		source  Source
		release string
		says    string // in the error
	}{
		{"no checkout", nil, "", false, Native, "2.8.0", ""},
		{"questions use the checkout's", checkout, "", false, Layer, "2.4.1", ""},
		{"builds use the built-in ones", checkout, "", true, Native, "2.8.0", ""},
		{"native is asked for", checkout, "native", false, Native, "2.8.0", ""},
		{"layer is asked for", checkout, "layer", false, Layer, "2.4.1", ""},
		{"layer is asked for in vain", nil, "layer", false, "", "", "no layer with conf/bitbake.conf is on disk"},
		{"layer is asked for by a build", checkout, "layer", true, "", "", "tasks run with the built-in classes only"},
		{"a slip", checkout, "natve", false, "", "", "must be native or layer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			top := project(t, c.files)
			o, err := Open(context.Background(), Options{TopDir: top, Env: map[string]string{SourceVariable: c.env, "HOME": top}, Run: c.run})
			if c.says != "" {
				var d *diag.Error
				if !errors.As(err, &d) || !strings.Contains(d.Text, c.says) || d.Hint == "" {
					t.Fatalf("error is %v, want one with a hint that says %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if o.Classes != c.source || o.BitBake != c.release {
				t.Errorf("classes are %s of release %q, want %s of %q", o.Classes, o.BitBake, c.source, c.release)
			}
			r, err := o.Provider("", "hello")
			if err != nil {
				t.Fatal(err)
			}
			want := map[Source]string{Native: "${WHOSE}", Layer: "the layer's"}[c.source]
			if got, _ := r.Data.Value("SAYS"); got != want {
				t.Errorf("SAYS is %q, want %q", got, want)
			}
		})
	}
}

// A question about a folder that cannot be written sees the built-in layer all the same; it is never half there.
func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	top := project(t, nil)
	if err := os.WriteFile(filepath.Join(top, "n3x"), nil, 0o644); err != nil { // in the way of the layer
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), Options{TopDir: top, Run: true}); err == nil {
		t.Error("a build goes on without its classes on disk")
	}
	os.Remove(filepath.Join(top, "n3x"))
	if err := os.Chmod(top, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(top, 0o755) })
	o, err := Open(context.Background(), Options{TopDir: top})
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if _, err := os.Stat(filepath.Join(top, "n3x")); err == nil {
			t.Error("the folder was written to")
		}
	}
	if v, err := o.Base("").Value("HOST_ARCH"); v != string(arch.Host()) || err != nil {
		t.Errorf("HOST_ARCH is %q, %v; want %s", v, err, arch.Host())
	}
}

func TestRunner(t *testing.T) {
	t.Parallel()
	run := runner("riscv64")
	env := map[string]string{"PATH": "/usr/bin:/bin", "WORD": "x y"}
	for _, c := range []struct {
		name                   string
		command                pyeval.Command
		stdout, stderr, failed string
		status                 int
	}{
		{"dpkg is answered", pyeval.Command{Shell: "dpkg --print-architecture"}, "riscv64\n", "", "", 0},
		{"dpkg with words", pyeval.Command{Args: []string{"dpkg", "--print-architecture"}}, "riscv64\n", "", "", 0},
		{"shell", pyeval.Command{Shell: `printf "$WORD"; echo e >&2; exit 3`}, "x y", "e\n", "", 3},
		{"merged in order", pyeval.Command{Shell: "echo 1; echo 2 >&2; echo 3", Merge: true}, "1\n2\n3\n", "", "", 0},
		{"input", pyeval.Command{Args: []string{"cat"}, Stdin: []byte("abc")}, "abc", "", "", 0},
		{"folder", pyeval.Command{Args: []string{"pwd"}, Dir: "/usr"}, "/usr\n", "", "", 0},
		{"signal", pyeval.Command{Shell: "kill -KILL $$"}, "", "", "", -9},
		{"no such program", pyeval.Command{Args: []string{"n3x-no-such"}}, "", "", "no such file", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.command.Env = env
			r, err := run(context.Background(), c.command)
			if c.failed != "" {
				if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), c.failed) {
					t.Errorf("error is %v", err)
				}
				return
			}
			if err != nil || string(r.Stdout) != c.stdout || string(r.Stderr) != c.stderr || r.Status != c.status {
				t.Errorf("%q, %q, status %d, %v; want %q, %q, %d", r.Stdout, r.Stderr, r.Status, err, c.stdout, c.stderr, c.status)
			}
		})
	}
}
