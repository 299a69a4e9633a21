package images

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/isar"
)

// locales generates the locales of LOCALE_GEN, sets LOCALE_DEFAULT, and removes translations and manual pages of all
// other languages.
//
// ISAR installs the package localepurge for the last part and removes it again; here it is done directly, with the
// same result.
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
	if exists(t, "/usr/sbin/locale-gen") {
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

// purgeLocales removes what is below the folders that hold one folder for each language, except for the languages in
// kept. Entries that are no language (a file, or a name that no locale has) stay.
func purgeLocales(t *isar.Tree, kept map[string]bool) error {
	for _, dir := range []string{"/usr/share/locale", "/usr/share/man", "/usr/share/gnome/help", "/usr/share/omf", "/usr/share/cups/templates"} {
		path, err := inside(t, dir)
		if err != nil {
			return err
		}
		entries, err := os.ReadDir(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.IsDir() || !isLanguage(dir, e.Name()) || kept[e.Name()] {
				continue
			}
			if dir == "/usr/share/locale" {
				err = removeMessages(filepath.Join(path, e.Name()))
			} else {
				err = os.RemoveAll(filepath.Join(path, e.Name()))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// removeMessages removes the message catalogues of one language; the folder goes too when nothing else is in it.
func removeMessages(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, "LC_MESSAGES")); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "LC_") {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if entries, err = os.ReadDir(dir); err != nil || len(entries) > 0 {
		return err
	}
	return os.Remove(dir)
}

// isLanguage tells a language's folder from a section of manual pages and the like.
func isLanguage(dir, name string) bool {
	if dir == "/usr/share/man" && len(name) > 3 && strings.HasPrefix(name, "man") && name[3] >= '0' && name[3] <= '9' {
		return false
	}
	language, _, _ := strings.Cut(name, "_")
	language, _, _ = strings.Cut(language, "@")
	language, _, _ = strings.Cut(language, ".")
	return len(language) == 2 || len(language) == 3
}
