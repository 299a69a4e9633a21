package matrix

import (
	"errors"
	"slices"
	"strings"

	"n3x/internal/diag"
)

// Needs are the groups of packages that an image must have: those of its role, and of each overlay among overlays. overlays are
// all files that the image was built from, relative to the definition's folder; role may be "".
func (d *Definition) Needs(role, profile string, overlays []string) []Group {
	wanted := d.role(role).Packages
	var out []Group
	for _, g := range d.Groups {
		g.Overlay = strings.ReplaceAll(g.Overlay, "{profile}", profile)
		if slices.Contains(wanted, g.Name) || slices.Contains(overlays, g.Overlay) {
			out = append(out, g)
		}
	}
	return out
}

// RoleOf is the role whose own overlay, the last one of its list that no other role has, is among overlays; "" when there is none.
func (d *Definition) RoleOf(overlays []string) string {
	for _, r := range d.Roles {
		for _, o := range r.Overlays {
			shared := slices.ContainsFunc(d.Roles, func(other Role) bool { return other.Name != r.Name && slices.Contains(other.Overlays, o) })
			if !shared && slices.Contains(overlays, o) {
				return r.Name
			}
		}
	}
	return ""
}

// Check tells all packages of the groups that an image lacks. status is its /var/lib/dpkg/status; image and role are for messages.
func Check(image, role string, groups []Group, status []byte) error {
	have := installed(status)
	if len(have) == 0 {
		return diag.Failedf(diag.Pos{File: image}, "the image's package database names no installed package")
	}
	as := ""
	if role != "" {
		as = ", which its role " + role + " needs"
	}
	var errs []error
	for _, g := range groups {
		for _, p := range g.Names {
			if !have[p] {
				errs = append(errs, diag.Failedf(diag.Pos{File: image}, "the image lacks the package %s%s", p, as).WithHint("%s brings it", g.Overlay))
			}
		}
	}
	return errors.Join(errs...)
}

// installed are the names of the packages that a package database has as installed and configured (deb822, dpkg's status).
func installed(status []byte) map[string]bool {
	out := map[string]bool{}
	pkg, ok := "", false
	for line := range strings.SplitSeq(string(status)+"\n", "\n") {
		switch name, value, _ := strings.Cut(line, ":"); {
		case line == "":
			if ok && pkg != "" {
				out[pkg] = true
			}
			pkg, ok = "", false
		case name == "Package":
			pkg = strings.TrimSpace(value)
		case name == "Status":
			ok = strings.HasSuffix(strings.TrimSpace(value), " ok installed")
		}
	}
	return out
}
