package isar

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"

	"n3x/internal/debian/solve"
	"n3x/internal/diag"
	"n3x/internal/rootfs"
)

// NameRecipes completes the error of an installation that failed for what packages say of each other: dependencies that
// cannot be met, or a file that two of them have. It names the recipes of this build that they come from.
func (c *Call) NameRecipes(own []rootfs.Deb, err error) error {
	var e *diag.Error
	if !errors.As(err, &e) {
		return err
	}
	var f *rootfs.FileConflict
	if errors.As(err, &f) {
		c.nameFileConflict(own, f, e)
	}
	var u *solve.Unsatisfiable
	if errors.As(err, &u) {
		c.nameUnsatisfiable(own, u.Error(), e)
	}
	return err
}

// relation begins a line of the solver's explanation that is about a field of a package.
var relation = regexp.MustCompile(`(?m)^\s+(\S+) \S+ (?:Depends|Pre-Depends|Conflicts|Breaks): `)

func (c *Call) nameUnsatisfiable(own []rootfs.Deb, text string, e *diag.Error) {
	seen := map[string]bool{}
	for _, m := range relation.FindAllStringSubmatch(text, -1) {
		name, _, _ := strings.Cut(m[1], ":")
		if d, ok := c.deployerOf(own, name); ok && !seen[name] {
			seen[name] = true
			e.WithNote("package %s comes from recipe %s, %s", name, d.Recipe, d.Pos)
			if e.Hint == "" {
				e.WithHint("correct what %s says of other packages (DEBIAN_DEPENDS); if a recipe of this build makes the missing package, add it to IMAGE_INSTALL", d.Recipe)
			}
		}
	}
}

// nameFileConflict also says what to write in which recipe.
func (c *Call) nameFileConflict(own []rootfs.Deb, f *rootfs.FileConflict, e *diag.Error) {
	hinted, output := false, e.Notes
	e.Notes = nil
	for i, name := range []string{f.Package, f.Other} {
		if name == "" || i > 0 && name == f.Package {
			continue
		}
		d, ok := c.deployerOf(own, name)
		if !ok {
			e.WithNote("package %s comes from the distribution", name)
			continue
		}
		e.WithNote("package %s comes from recipe %s, %s", name, d.Recipe, d.Pos)
		if hinted || f.Other == "" || f.Other == f.Package {
			continue
		}
		hinted = true
		other := f.Other
		if i > 0 {
			other = f.Package
		}
		if _, both := c.deployerOf(own, other); both {
			e.WithHint("leave the file out of one of them; if %[1]s's is the one to be installed, set DEBIAN_REPLACES = %[2]q in %[1]s, and DEBIAN_CONFLICTS if the two do not go together", d.Recipe, other)
			continue
		}
		e.WithHint("leave the file out of %[1]s, move %[2]s's away with dpkg-divert in the preinst of %[1]s, or set DEBIAN_REPLACES = %[2]q in it", d.Recipe, other)
	}
	e.Notes = append(e.Notes, output...)
}

// deployerOf is the recipe that built a package.
func (c *Call) deployerOf(own []rootfs.Deb, name string) (Deployer, bool) {
	for _, p := range own {
		if p.Name != name {
			continue
		}
		for _, d := range c.Deployers {
			if d.Work == filepath.Dir(p.Path) {
				return d, true
			}
		}
	}
	return Deployer{}, false
}
