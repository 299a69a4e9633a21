package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/isar"
)

// locales generates the locales of LOCALE_GEN, sets LOCALE_DEFAULT, and removes translations and manual pages of all
// other languages.
//
// ISAR installs the package localepurge for the last part and removes it again; here it is done directly, with the
// same result. The function may run twice on a tree, the second time after further packages.
func locales(ctx context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	v, err := c.Values("LOCALE_GEN", "LOCALE_DEFAULT")
	if err != nil {
		return err
	}
	wanted := localeList(v[0])
	if exists(t, "/usr/sbin/locale-gen") && !configured(t, wanted, v[1]) {
		if err := configureLocales(ctx, c, t, wanted, v[1]); err != nil {
			return err
		}
	}
	return purgeLocales(t, keptLocales(wanted))
}

// localeList splits LOCALE_GEN, whose entries are separated by a literal backslash-n, sorted.
func localeList(v string) []string {
	var out []string
	for item := range strings.SplitSeq(v, `\n`) {
		if item = strings.Join(strings.Fields(item), " "); item != "" {
			out = append(out, item)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// keptLocales are the names under which a locale's files may lie: en_US.UTF-8, en_US and en.
func keptLocales(wanted []string) map[string]bool {
	kept := map[string]bool{}
	for _, w := range wanted {
		name := strings.Fields(w)[0]
		plain, _, _ := strings.Cut(name, ".")
		language, _, _ := strings.Cut(name, "_")
		kept[name], kept[plain], kept[language] = true, true, true
	}
	return kept
}

// configured reports whether the tree has just these locales already.
func configured(t *isar.Tree, wanted []string, def string) bool {
	if !exists(t, "/usr/lib/locale/locale-archive") {
		return false
	}
	list, err := readFile(t, "/etc/locale.gen")
	if err != nil {
		return false
	}
	var active []string
	for line := range strings.Lines(list) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && !strings.HasPrefix(line, "#") {
			active = append(active, line)
		}
	}
	slices.Sort(active)
	set, err := readFile(t, "/etc/default/locale")
	return err == nil && set == "LANG="+def+"\n" && slices.Equal(active, wanted)
}

func configureLocales(ctx context.Context, c *isar.Call, t *isar.Tree, wanted []string, def string) error {
	old, err := readFile(t, "/etc/locale.gen")
	if err != nil {
		return err
	}
	if err := writeFile(t, "/etc/locale.gen", old+strings.Join(wanted, "\n")+"\n"); err != nil {
		return err
	}
	if err := writeFile(t, "/etc/default/locale", "LANG="+def+"\n"); err != nil {
		return err
	}
	answers := fmt.Sprintf("locales locales/locales_to_be_generated multiselect %s\nlocales locales/default_environment_locale select %s\n",
		strings.Join(wanted, ", "), def)
	set, err := chrootCommand(c, "debconf-set-selections")
	if err != nil {
		return err
	}
	set.Stdin = strings.NewReader(answers)
	if err := set.Run(ctx); err != nil {
		return err
	}
	return chroot(ctx, c, "dpkg-reconfigure", "-f", "noninteractive", "locales")
}

// languageDirs are the folders that hold one folder for each language. In those of manual pages only the sections are
// looked into.
var languageDirs = []string{"locale", "man", "gnome/help/*", "doc/kde/HTML", "cups/templates", "cups/locale", "cups/doc-root",
	"calendar", "help", "vim/vim*/lang"}

// languageFiles are the names of files for one language: which, what comes before the language in them, what after it.
var languageFiles = [][3]string{
	{"omf/*/*.omf", "-", ".omf"},
	{"tcltk/t*/msgs/*.msg", "", ".msg"},
	{"aptitude/aptitude-defaults.*", "aptitude-defaults.", ""},
	{"aptitude/README.*", "README.", ""},
	{"aptitude/*help-*", "help-", ".txt"},
}

// purgeLocales removes the files of all languages but those in kept, as localepurge(8) does: what is a language tell the
// folders of message catalogues and of translated manual pages. Their folders stay, since they belong to packages.
func purgeLocales(t *isar.Tree, kept map[string]bool) error {
	share, err := inside(t, "/usr/share")
	if err != nil {
		return err
	}
	unwanted, err := languages(share)
	if err != nil {
		return err
	}
	for k := range kept {
		delete(unwanted, k)
	}
	delete(unwanted, "C")
	return errors.Join(purgeDirs(share, unwanted), purgeFiles(share, unwanted))
}

func purgeDirs(share string, unwanted map[string]bool) error {
	for _, pattern := range languageDirs {
		dirs, err := filepath.Glob(filepath.Join(share, pattern, "*"))
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			if !unwanted[filepath.Base(dir)] {
				continue
			}
			if err := purgeBelow(dir, pattern == "man"); err != nil {
				return err
			}
		}
	}
	return nil
}

func purgeFiles(share string, unwanted map[string]bool) error {
	for _, l := range languageFiles {
		files, err := filepath.Glob(filepath.Join(share, l[0]))
		if err != nil {
			return err
		}
		for _, f := range files {
			language := filepath.Base(f)
			if l[1] != "" {
				language = language[strings.LastIndex(language, l[1])+len(l[1]):]
			}
			if !unwanted[strings.TrimSuffix(language, l[2])] {
				continue
			}
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// languages are those that message catalogues or manual pages below share are translated to.
func languages(share string) (map[string]bool, error) {
	found := map[string]bool{}
	for _, pattern := range []string{"locale/*/LC_MESSAGES", "man/*/man1", "man/*/man8"} {
		dirs, err := filepath.Glob(filepath.Join(share, pattern))
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			name := filepath.Base(filepath.Dir(dir))
			if section, _ := path.Match("man[1-9]*", name); !section {
				found[name] = true
			}
		}
	}
	return found, nil
}

// purgeBelow removes the files and symbolic links below dir, or only those in its sections of manual pages.
func purgeBelow(dir string, sections bool) error {
	return filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == dir {
			return err
		}
		if sections && filepath.Dir(file) == dir {
			if section, _ := path.Match("man[1-9]", d.Name()); !section && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.Type()&^fs.ModeSymlink != 0 {
			return nil
		}
		return os.Remove(file)
	})
}
