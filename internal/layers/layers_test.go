package layers

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/bitbake/recipe"
)

func TestFnmatch(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/fnmatch.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Names    []string
		Patterns []struct {
			Pattern string
			Matches []string
		}
	}
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	if len(recorded.Patterns) < 40 {
		t.Fatalf("%d patterns", len(recorded.Patterns))
	}
	for _, p := range recorded.Patterns {
		for _, n := range recorded.Names {
			if got, want := fnmatch(p.Pattern, n), slices.Contains(p.Matches, n); got != want {
				t.Errorf("fnmatch(%q, %q) = %v", p.Pattern, n, got)
			}
		}
	}
}

// What edit_bblayers_conf makes of files is compared in the tests of the command line; here is what goes beyond it.
func TestEdit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, want  string
		add, remove []string
	}{
		"line endings":              {"# c\r\nBBLAYERS = \"/a\"\r\nX = \"1\"\r\n", "# c\r\nBBLAYERS = \" \\\r\n  /a \\\r\n  /b \\\r\n  \"\r\nX = \"1\"\r\n", []string{"/b"}, nil},
		"no newline at the end":     {"BBLAYERS = \"/a\"\nBBLAYERS += \"/b\"\nBBLAYERS += \"/c\"", "BBLAYERS = \"/a\"\nBBLAYERS += \"/b\"\nBBLAYERS += \"/c\"\nBBLAYERS += \"/d\"\n", []string{"/d"}, nil},
		"a tab before the operator": {"BBLAYERS\t?= \"/a /b\"\n", "BBLAYERS\t?= \" \\\n  /b \\\n  \"\n", nil, []string{"/a"}},
		"as a path":                 {"BBLAYERS = \"${TOPDIR}/../x ~/y /z\"\n", "BBLAYERS = \" \\\n  /z \\\n  \"\n", nil, []string{"/x", "/home/y"}},
		"there already":             {"BBLAYERS = \"${TOPDIR}/../x ~/y /z/\"\n", "BBLAYERS = \"${TOPDIR}/../x ~/y /z/\"\n", []string{"/x", "/home/y", "/z"}, nil},
		"a comment between":         {"BBLAYERS = \"/a\"\n# BBLAYERS = \"/a\"\nBBLAYERS_NON_REMOVABLE = \"/a\"\n", "BBLAYERS = \"\"\n# BBLAYERS = \"/a\"\nBBLAYERS_NON_REMOVABLE = \"/a\"\n", nil, []string{"/a"}},
		"two words glued":           {"BBLAYERS = \"/a\\\nb /c\"\n", "BBLAYERS = \" \\\n  /ab \\\n  \"\n", nil, []string{"/c"}},
	} {
		e, err := Conf{Path: "bblayers.conf", TopDir: "/build", Home: "/home"}.edit(c.text, c.add, c.remove)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, e.text); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", name, diff)
		}
	}
}

func TestMalformedFilesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	layer := newLayerDir(t)
	for name, c := range map[string][2]string{ // text, part of the error
		"no assignment":           {"BBPATH = \"${TOPDIR}\"\n", "unable to find BBLAYERS"},
		"included":                {"require other.conf\n", "unable to find BBLAYERS"},
		"append only":             {"BBLAYERS:append = \" /a\"\n", "unable to find BBLAYERS"},
		"not metadata":            {"BBLAYERS = \"/a\"\nthis is nothing\n", "bblayers.conf:2"},
		"open at the end":         {"BBLAYERS = \"/a \\\n /b \\\n", "bblayers.conf:"},
		"unquoted":                {"BBLAYERS = /a\n", "bblayers.conf:1"},
		"comment behind the text": {"BBLAYERS = \"/a\" # the first\n", "bblayers.conf:1"},
		"indented":                {"X = \"\\\n BBLAYERS = '/a'\"\nBBLAYERS = \"/a\"\n", ""},
		"inside another value":    {"X = \"\\\nBBLAYERS = '/b' \\\n\"\nBBLAYERS = \"/a\"\n", "bblayers.conf"},
		"empty":                   {"", "unable to find BBLAYERS"},
	} {
		path := filepath.Join(t.TempDir(), "conf", "bblayers.conf")
		write(t, path, c[0])
		conf := Conf{Path: path, TopDir: filepath.Dir(filepath.Dir(path))}
		_, err := conf.Add(context.Background(), AddOptions{Dir: "/", Layers: []string{layer}})
		if (err == nil) != (c[1] == "") || err != nil && !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: add: %v, want %q", name, err, c[1])
		}
		if data, _ := os.ReadFile(path); err != nil && string(data) != c[0] {
			t.Errorf("%s: the file changed:\n%s", name, data)
		}
		if _, err := conf.Remove("/", []string{"a"}); (err == nil) != (c[1] == "") {
			t.Errorf("%s: remove: %v", name, err)
		}
	}
}

func TestAddVerifiesBeforeItWrites(t *testing.T) {
	t.Parallel()
	layer := newLayerDir(t)
	path := filepath.Join(t.TempDir(), "conf", "bblayers.conf")
	const text = "BBLAYERS = \"/a\"\n"
	write(t, path, text)
	conf := Conf{Path: path}
	bad := errors.New("bad layer")
	o := AddOptions{Dir: "/", Layers: []string{layer}, Verify: func(_ context.Context, changed recipe.Overlay) error {
		if data, _ := os.ReadFile(path); string(data) != text {
			t.Errorf("the file was written before the check:\n%s", data)
		}
		f, err := changed.FS.Open(".")
		if err != nil {
			return err
		}
		data := make([]byte, 200)
		n, _ := f.Read(data)
		if changed.Path != path || !strings.Contains(string(data[:n]), layer) {
			t.Errorf("the check sees %s:\n%s", changed.Path, data[:n])
		}
		return bad
	}}
	var failure *ParseFailure
	if _, err := conf.Add(context.Background(), o); !errors.As(err, &failure) || !errors.Is(err, bad) {
		t.Errorf("%v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != text {
		t.Errorf("a refused layer was written:\n%s", data)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left beside the file: %v", left)
	}
}

func TestWriteKeepsLinkAndMode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.conf"), filepath.Join(dir, "bblayers.conf")
	write(t, real, "BBLAYERS = \"/a /b\"\n")
	if err := errors.Join(os.Chmod(real, 0o640), os.Symlink("real.conf", link)); err != nil {
		t.Fatal(err)
	}
	if unmatched, err := (Conf{Path: link}).Remove("/", []string{"a", "zz"}); err != nil || !slices.Equal(unmatched, []string{"*/zz"}) {
		t.Errorf("%v, %v", unmatched, err)
	}
	if st, err := os.Lstat(real); err != nil || st.Mode() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if to, err := os.Readlink(link); err != nil || to != "real.conf" {
		t.Errorf("the link is %q, %v", to, err)
	}
	if data, _ := os.ReadFile(real); string(data) != "BBLAYERS = \" \\\n  /b \\\n  \"\n" {
		t.Errorf("%q", data)
	}
}

func TestBadLayers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "conf", "bblayers.conf")
	write(t, path, "BBLAYERS = \"/a\"\n")
	write(t, filepath.Join(dir, "repo", "meta-in", "conf", "layer.conf"), "")
	write(t, filepath.Join(dir, "a blank", "conf", "layer.conf"), "")
	for layer, want := range map[string]string{"nowhere": "doesn't exist", "repo": "doesn't contain", "a blank": "separated by blanks", "conf/bblayers.conf": "doesn't contain"} {
		if _, err := (Conf{Path: path}).Add(context.Background(), AddOptions{Dir: dir, Layers: []string{layer}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", layer, err, want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := FindConf(dir, nil); err == nil {
		t.Error("a folder without conf/bblayers.conf was taken for a build folder")
	}
}

func TestBadNewLayers(t *testing.T) {
	t.Parallel()
	good := NewLayer{Priority: "6", Recipe: "example", Version: "0.1", Series: "x"}
	for name, change := range map[string]func(*NewLayer){
		"id":       func(l *NewLayer) { l.ID = "a b" },
		"priority": func(l *NewLayer) { l.Priority = "high" },
		"recipe":   func(l *NewLayer) { l.Recipe = "../x" },
		"version":  func(l *NewLayer) { l.Version = "1_2" },
		"folder":   func(l *NewLayer) { l.Dir += "/a b" },
	} {
		parent := t.TempDir()
		l := good
		l.Dir = filepath.Join(parent, "meta")
		change(&l)
		if err := Create(l); err == nil {
			t.Errorf("%s: no error", name)
		}
		if left, _ := os.ReadDir(parent); len(left) != 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}

func FuzzEdit(f *testing.F) {
	for _, s := range []string{"BBLAYERS = \"/a\"\n", "BBLAYERS ?= \" \\\n  /a \\\n  \"\n", "BBLAYERS += '/a'\nBBLAYERS += '/b'", "BBLAYERS = \"\\", "BBLAYERS:=\"\"\r\n"} {
		f.Add(s)
	}
	conf := Conf{Path: "f", TopDir: "/t", Home: "/h"}
	f.Fuzz(func(t *testing.T, text string) {
		added, err := conf.edit(text, []string{"/new/layer"}, nil)
		if err != nil {
			return
		}
		again, err := conf.edit(added.text, []string{"/new/layer"}, nil)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%q\n%q", err, text, added.text)
		}
		if again.text != added.text || len(again.notAdded) != 1 {
			t.Fatalf("%q was added twice: %q", added.text, again.text)
		}
		removed, err := conf.edit(added.text, nil, []string{"/new/layer"})
		if err != nil || len(removed.notRemoved) != 0 {
			t.Fatalf("%v: the layer cannot be removed from %q", err, added.text)
		}
	})
}

func newLayerDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "conf", "layer.conf"), "")
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
		t.Fatal(err)
	}
}
