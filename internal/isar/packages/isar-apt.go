package packages

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"n3x/internal/debian/repo"
	"n3x/internal/diag"
	"n3x/internal/isar"
)

// isarApt is the repository that a recipe's packages go to: REPO_ISAR_DIR/DISTRO.
func isarApt(c *isar.Call) (*repo.Repository, error) {
	v, err := c.Values("REPO_ISAR_DIR", "REPO_ISAR_DB_DIR", "DISTRO", "DEBDISTRONAME")
	if err != nil {
		return nil, err
	}
	o := repo.Options{Dir: filepath.Join(v[0], v[2]), DB: filepath.Join(v[1], v[2]), Codename: v[3]}
	if o.Fields, err = optionalFields(c); err != nil {
		return nil, err
	}
	if o.Date, err = c.Epoch(); err != nil {
		return nil, err
	}
	if o.Keys, err = signWith(c, o.Fields); err != nil {
		return nil, isar.Blame(c.Data, "ISAR_APT_OPT_FIELD", err)
	}
	r, err := repo.New(o)
	return r, isar.Blame(c.Data, "ISAR_APT_OPT_FIELD", err)
}

// optionalFields are the flags of ISAR_APT_OPT_FIELD: ISAR_APT_OPT_FIELD[Origin] = "isar" is the field Origin.
func optionalFields(c *isar.Call) ([]repo.Field, error) {
	flags, err := c.Data.VarFlags("ISAR_APT_OPT_FIELD")
	if err != nil {
		return nil, err
	}
	var out []repo.Field
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if strings.HasPrefix(name, "_") || name == "doc" || name == "export" {
			continue
		}
		value, err := c.Flag("ISAR_APT_OPT_FIELD", name)
		if err != nil {
			return nil, err
		}
		out = append(out, repo.Field{Name: name, Value: value})
	}
	return out, nil
}

// signWith finds the keys that a field SignWith names, in the user's GnuPG folder.
func signWith(c *isar.Call, fields []repo.Field) (repo.Keyring, error) {
	for _, f := range fields {
		if f.Name == "SignWith" {
			home, err := isar.GnuPGHome(c.Data)
			if err != nil {
				return nil, err
			}
			return repo.NamedKeys(strings.Fields(f.Value), home)
		}
	}
	return nil, nil
}

// cacheConfig makes the repository when it does not exist.
func cacheConfig(_ context.Context, c *isar.Call) error {
	r, err := isarApt(c)
	if err != nil {
		return err
	}
	return r.Change(func(*repo.Change) error { return nil })
}

// deployDeb puts a recipe's packages into isar-apt. What the recipe deployed before and does not build any more goes.
func deployDeb(ctx context.Context, c *isar.Call) error {
	list, err := debs(c)
	if err != nil {
		return err
	}
	r, err := isarApt(c)
	if err != nil {
		return err
	}
	owner, err := isar.OwnerOf(c.Data)
	if err != nil {
		return err
	}
	read := make([]*repo.Deb, len(list))
	g, _ := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, path := range list {
		g.Go(func() error {
			d, err := repo.ReadDeb(path)
			read[i] = d
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("deploy: %w", err)
	}
	built := map[string]bool{}
	for _, d := range read {
		key := d.Name + " " + d.Architecture
		if built[key] {
			return diag.Userf(c.Pos, "%s has two files of package %s for %s in its work folder: %s", c.Recipe, d.Name, d.Architecture, filesOf(read, d)).
				WithHint("run the recipe's task clean, or remove the one that is not meant from SRC_URI")
		}
		built[key] = true
	}
	err = r.Change(func(t *repo.Change) error {
		for _, d := range read {
			if err := contested(c, t, d, owner); err != nil {
				return err
			}
			if err := t.Add(d, owner); err != nil {
				return err
			}
		}
		t.Retain(owner, "deb", func(name, arch string) bool { return built[name+" "+arch] })
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range read {
		fmt.Fprintf(c.Log, "%s %s (%s) is in %s\n", d.Name, d.Version, d.Architecture, filepath.Join(r.Dir(), repo.PoolFile(d.Package)))
		c.Leave(filepath.Join(r.Dir(), repo.PoolFile(d.Package)))
	}
	return nil
}

// filesOf names the files that hold the package of d.
func filesOf(list []*repo.Deb, d *repo.Deb) string {
	var out []string
	for _, o := range list {
		if o.Name == d.Name && o.Architecture == d.Architecture {
			out = append(out, filepath.Base(o.Path))
		}
	}
	return strings.Join(out, " and ")
}

// contested refuses a package that another recipe of this build deploys too: which of them an image gets would depend on
// which comes last. Variants of one recipe, and the same bytes, are no contest.
func contested(c *isar.Call, t *repo.Change, d *repo.Deb, owner string) error {
	held, ok := t.Find(d.Name, d.Architecture)
	if !ok || held.SHA256 == d.SHA256 {
		return nil
	}
	own := c.Deployers[owner]
	for _, o := range held.Owners {
		other, building := c.Deployers[o]
		if o != owner && building && other.Base != own.Base && other.Multiconfig == own.Multiconfig {
			return diag.Userf(c.Pos, "%s and %s both build package %s for %s", c.Recipe, other.Recipe, d.Name, d.Architecture).
				WithNote("%s is %s", other.Recipe, other.Pos).
				WithHint("leave one of the two recipes out of IMAGE_INSTALL and DEPENDS, or give its package another name")
		}
	}
	return nil
}

// cleanDeb takes a recipe's packages out of isar-apt and removes its .deb files.
func cleanDeb(_ context.Context, c *isar.Call) error {
	list, err := debs(c)
	if err != nil {
		return err
	}
	r, err := isarApt(c)
	if err != nil {
		return err
	}
	owner, err := isar.OwnerOf(c.Data)
	if err != nil {
		return err
	}
	if r.Exists() {
		err = r.Change(func(t *repo.Change) error {
			t.Retain(owner, "deb", func(string, string) bool { return false })
			for _, path := range list {
				// What was put there by hand has no owner.
				if d, err := repo.ReadDeb(path); err == nil {
					if held, ok := t.Find(d.Name, d.Architecture); ok && len(held.Owners) == 0 {
						t.Remove(d.Name, d.Architecture)
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return removeDebs(c)
}

// localIsarApt makes WORKDIR/isar-apt: the repository as it is now, whatever other recipes deploy meanwhile.
func localIsarApt(_ context.Context, c *isar.Call) error {
	r, err := isarApt(c)
	if err != nil {
		return err
	}
	v, err := c.Values("WORKDIR", "DISTRO", "DISTRO_ARCH")
	if err != nil {
		return err
	}
	dir := filepath.Join(v[0], "isar-apt", v[1]+"-"+v[2], "apt", v[1])
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return err
	}
	return r.View(dir)
}

// deploySource puts a recipe's source package into isar-apt, in place of older ones of the same name.
func deploySource(_ context.Context, c *isar.Call) error {
	return changeSource(c, func(work, source string, t *repo.Change) error {
		list, err := filepath.Glob(filepath.Join(escapeGlob(work), escapeGlob(source)+"_*.dsc"))
		if err != nil {
			return err
		}
		if len(list) > 1 {
			return diag.Userf(c.Pos, "%s has several source packages: %s", c.Recipe, strings.Join(list, ", ")).WithHint("run the recipe's task clean")
		}
		owner, err := isar.OwnerOf(c.Data)
		if err != nil {
			return err
		}
		kept := ""
		for _, dsc := range list { // a recipe may go without
			s, err := repo.ReadSource(dsc)
			if err != nil {
				return fmt.Errorf("deploy %s: %w", filepath.Base(dsc), err)
			}
			if err := t.AddSource(s, owner); err != nil {
				return err
			}
			kept = s.Name
		}
		t.Retain(owner, "dsc", func(name, _ string) bool { return name == kept })
		return nil
	})
}

// undeploySource takes a recipe's source package out of isar-apt.
func undeploySource(_ context.Context, c *isar.Call) error {
	return changeSource(c, func(_, source string, t *repo.Change) error {
		owner, err := isar.OwnerOf(c.Data)
		if err != nil {
			return err
		}
		t.Retain(owner, "dsc", func(string, string) bool { return false })
		if held, ok := t.Find(source, "source"); ok && len(held.Owners) == 0 {
			t.Remove(source, "source")
		}
		return nil
	})
}

func changeSource(c *isar.Call, f func(work, source string, t *repo.Change) error) error {
	v, err := c.Values("WORKDIR", "DEBIAN_SOURCE")
	if err != nil {
		return err
	}
	r, err := isarApt(c)
	if err != nil {
		return err
	}
	return r.Change(func(t *repo.Change) error { return f(v[0], v[1], t) })
}
