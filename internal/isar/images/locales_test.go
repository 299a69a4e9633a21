package images

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/isar"
)

func TestLocaleNames(t *testing.T) {
	t.Parallel()
	list := localeList(`de_DE.UTF-8 UTF-8\n   en_US ISO-8859-1\n en_US.UTF-8   UTF-8\n`)
	if d := cmp.Diff([]string{"de_DE.UTF-8 UTF-8", "en_US ISO-8859-1", "en_US.UTF-8 UTF-8"}, list); d != "" {
		t.Error(d)
	}
	kept := keptLocales(list)
	for name, want := range map[string]bool{"de": true, "de_DE": true, "en_US.UTF-8": true, "en": true, "fr": false, "en_GB": false} {
		if kept[name] != want {
			t.Errorf("%s kept: %v", name, kept[name])
		}
	}
}

// plant makes a tree with these files; a name with " -> " is a symbolic link.
func plant(t *testing.T, names ...string) *isar.Tree {
	t.Helper()
	tree := &isar.Tree{Dir: t.TempDir()}
	for _, name := range names {
		name, target, link := strings.Cut(name, " -> ")
		path := filepath.Join(tree.Dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil && link {
			err = os.Symlink(target, path)
		} else if err == nil {
			err = os.WriteFile(path, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// TestPurge holds what localepurge 0.7.3.11 of Debian 13 leaves of this tree. Captured by running it with the tree's
// usr/share bound over /usr/share and an /etc/locale.nopurge of MANDELETE, DONTBOTHERNEWLOCALE, en, en_US, en_US.UTF-8.
func TestPurge(t *testing.T) {
	t.Parallel()
	stay := []string{
		"usr/share/locale/en/LC_MESSAGES/a.mo", "usr/share/locale/en_US/LC_TIME/a", "usr/share/locale/C/LC_MESSAGES/a.mo",
		"usr/share/locale/locale.alias", "usr/share/locale/time-only/LC_TIME/a", "usr/share/man/man1/a.1", "usr/share/man/fr/README",
		"usr/share/man/man3pm/a.3pm", "usr/share/man/fr/man3pm/a.3pm", "usr/share/help/C/a", "usr/share/tcltk/tcl8.6/msgs/en.msg", "usr/share/aptitude/help.txt",
		"usr/share/calendar/calendar.birthday", "usr/share/gnome/help/app/C/a", "usr/share/omf/app/app-C.omf",
	}
	gone := []string{
		"usr/share/locale/fr/LC_MESSAGES/a.mo", "usr/share/locale/fr/LC_TIME/a", "usr/share/locale/fr/note", "usr/share/locale/sr@latin/LC_MESSAGES/a.mo",
		"usr/share/locale/de/LC_MESSAGES/link.mo -> a.mo", "usr/share/man/fr/man1/a.1", "usr/share/man/ja/man8/a.8",
		"usr/share/help/fr/app/a", "usr/share/gnome/help/app/fr/a", "usr/share/vim/vim91/lang/fr/a", "usr/share/omf/app/app-fr.omf",
		"usr/share/tcltk/tcl8.6/msgs/fr.msg", "usr/share/aptitude/help-fr.txt", "usr/share/aptitude/aptitude-defaults.ja",
	}
	tree := plant(t, append(stay, gone...)...)
	if err := purgeLocales(tree, map[string]bool{"en": true, "en_US": true}); err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	err := filepath.WalkDir(tree.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left[strings.TrimPrefix(path, tree.Dir+"/")] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, name := range stay {
		want[name] = true
	}
	if d := cmp.Diff(want, left); d != "" {
		t.Error(d)
	}
	if _, err := os.Stat(filepath.Join(tree.Dir, "usr/share/locale/fr/LC_MESSAGES")); err != nil {
		t.Errorf("the folder of a removed language belongs to its package and stays: %v", err)
	}
}

func TestLocalesAreMadeOnce(t *testing.T) {
	t.Parallel()
	tree := plant(t, "usr/lib/locale/locale-archive")
	wanted := []string{"de_DE.UTF-8 UTF-8", "en_US.UTF-8 UTF-8"}
	for _, c := range []struct {
		gen, def string
		want     bool
	}{
		{"# fr_FR.UTF-8 UTF-8\nen_US.UTF-8  UTF-8\nde_DE.UTF-8 UTF-8\n", "LANG=en_US.UTF-8\n", true},
		{"en_US.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\n", "LANG=de_DE.UTF-8\n", false},
		{"en_US.UTF-8 UTF-8\n", "LANG=en_US.UTF-8\n", false},
		{"en_US.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\nfr_FR.UTF-8 UTF-8\n", "LANG=en_US.UTF-8\n", false},
	} {
		if err := writeFile(tree, "/etc/locale.gen", c.gen); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(tree, "/etc/default/locale", c.def); err != nil {
			t.Fatal(err)
		}
		if got := configured(tree, wanted, "en_US.UTF-8"); got != c.want {
			t.Errorf("%q %q: %v", c.gen, c.def, got)
		}
	}
}
