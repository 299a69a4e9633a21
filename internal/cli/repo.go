package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"n3x/internal/debian/repo"
	"n3x/internal/diag"
)

// repository is n3x-repo, which the functions of ISAR's class repository call inside the sandbox: reprepro's part there.
func (a *app) repository() *cobra.Command {
	root := &cobra.Command{Use: "n3x-repo", Short: "Changes a Debian repository", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	verb := func(use, short string, least int, f func(r *repo.Repository, words []string) error) {
		root.AddCommand(&cobra.Command{Use: use, Short: short, Args: cobra.MinimumNArgs(least), DisableFlagParsing: true, RunE: func(_ *cobra.Command, args []string) error {
			r, err := openRepository(args)
			if err != nil {
				return err
			}
			return f(r, args[min(3, len(args)):])
		}})
	}
	root.AddCommand(&cobra.Command{Use: "create DIR DBDIR CODENAME [KEYFILES [FIELDS]]", Short: "makes a repository", Args: cobra.RangeArgs(3, 5),
		RunE: func(_ *cobra.Command, args []string) error { return createRepository(args) }})
	verb("add-packages DIR DBDIR CODENAME FILE...", "adds .deb files", 3, addPackages)
	verb("add-source DIR DBDIR CODENAME FILE...", "adds source packages", 3, addSources)
	verb("remove-package DIR DBDIR CODENAME FILE", "removes the package that a .deb file holds", 4, removePackage)
	verb("remove-source DIR DBDIR CODENAME NAME", "removes a source package", 4, func(r *repo.Repository, words []string) error {
		return r.Change(func(t *repo.Change) error { t.Remove(words[0], "source"); return nil })
	})
	verb("contains-package DIR DBDIR CODENAME FILE", "compares a .deb file: status 0 = the same, 1 = another of its version, 2 = none", 4, a.containsPackage)
	verb("missing-sources DIR DBDIR CODENAME", "lists the sources that are missing", 3, func(r *repo.Repository, _ []string) error {
		return r.Read(func(t *repo.Change) error {
			for _, s := range t.MissingSources() {
				fmt.Fprintln(a.stdout, s)
			}
			return nil
		})
	})
	return root
}

func openRepository(args []string) (*repo.Repository, error) {
	return repo.Configured(repo.Options{Dir: args[0], DB: args[1], Codename: args[2], Date: repo.Epoch(os.Getenv("SOURCE_DATE_EPOCH"))}, os.Getenv("GNUPGHOME"))
}

// createRepository makes a repository with the fields and keys that are given; one that is there stays as it is.
func createRepository(args []string) error {
	o := repo.Options{Dir: args[0], DB: args[1], Codename: args[2], Date: repo.Epoch(os.Getenv("SOURCE_DATE_EPOCH"))}
	if r, err := openRepository(args); err == nil && r.Exists() {
		return nil
	}
	if len(args) > 4 {
		for line := range strings.Lines(args[4]) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
			if ok {
				o.Fields = append(o.Fields, repo.Field{Name: name, Value: strings.TrimSpace(value)})
			}
		}
	}
	if len(args) > 3 {
		for _, file := range strings.Fields(args[3]) {
			keys, err := repo.FileKeys(file, os.Getenv("GNUPGHOME"))
			if err != nil {
				return err
			}
			o.Keys = append(o.Keys, keys...)
		}
	}
	if o.Keys != nil {
		o.Fields = append(o.Fields, repo.Field{Name: "SignWith", Value: strings.Join(o.Keys.Identities(), " ")})
	}
	r, err := repo.New(o)
	if err != nil {
		return err
	}
	return r.Change(func(*repo.Change) error { return nil })
}

func addPackages(r *repo.Repository, files []string) error {
	return r.Change(func(t *repo.Change) error {
		for _, path := range files {
			d, err := readDeb(path)
			if err != nil {
				return err
			}
			if err := t.Add(d, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

func readDeb(path string) (*repo.Deb, error) {
	d, err := repo.ReadDeb(path)
	if errors.Is(err, fs.ErrNotExist) && strings.Contains(path, "*") {
		return nil, diag.Userf(diag.Pos{}, "there is no file %s", path).WithHint("the recipe has built no package")
	}
	return d, err
}

func addSources(r *repo.Repository, files []string) error {
	return r.Change(func(t *repo.Change) error {
		for _, path := range files {
			s, err := repo.ReadSource(path)
			if err != nil {
				return err
			}
			if err := t.AddSource(s, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

func removePackage(r *repo.Repository, words []string) error {
	d, err := readDeb(words[0])
	if err != nil {
		return err
	}
	return r.Change(func(t *repo.Change) error { t.Remove(d.Name, d.Architecture); return nil })
}

func (a *app) containsPackage(r *repo.Repository, words []string) error {
	d, err := readDeb(words[0])
	if err != nil {
		return err
	}
	return r.Read(func(t *repo.Change) error {
		switch same, other := t.Contains(d); {
		case same:
		case other:
			a.status = 1
		default:
			a.status = 2
		}
		return nil
	})
}
