package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// checkConfiguration refuses machines, distributions and multiconfigs that no layer describes. bitbake.conf merely includes
// their files, so that a slip in a name would otherwise show as something else much later.
func checkConfiguration(w *recipe.World) error {
	for _, mc := range w.Multiconfigs() {
		d := w.Base(mc)
		if mc != "" {
			if err := checkNamed(w, d, named{"BBMULTICONFIG", "multiconfig", mc, ""}); err != nil {
				return err
			}
		}
		for _, n := range []named{{"MACHINE", "machine", "", "DISTRO_ARCH"}, {"DISTRO", "distro", "", "DISTRO_APT_SOURCES"}} {
			var err error
			if n.name, err = d.Value(n.variable); err != nil {
				return err
			}
			if err := checkNamed(w, d, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// named is a name that a file of the layers describes.
type named struct {
	variable string // that chooses it
	kind     string // its folder below conf/
	name     string
	instead  string // a variable that shows, when it is set, that the name is described elsewhere, e.g. in local.conf
}

func checkNamed(w *recipe.World, d *datastore.Data, n named) error {
	if n.instead != "" {
		if v, err := d.Value(n.instead); err != nil || v != "" {
			return err
		}
	}
	path, err := d.Value("BBPATH")
	if err != nil {
		return err
	}
	file := filepath.Join("conf", n.kind, n.name+".conf")
	var known []string
	for _, dir := range strings.Split(path, ":") {
		if _, err := w.ReadFile(filepath.Join(dir, file)); err == nil && n.name != "" {
			return nil
		}
		entries, err := os.ReadDir(filepath.Join(dir, "conf", n.kind))
		if err != nil {
			continue // most layers have no such folder
		}
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), ".conf"); ok && !slices.Contains(known, name) {
				known = append(known, name)
			}
		}
	}
	slices.Sort(known)
	e := diag.Userf(d.LastSet(n.variable), "%s is %q, and no layer has %s", n.variable, n.name, file)
	if near := diag.Nearest(n.name, known); near != "" {
		return e.WithHint("did you mean %s?", near)
	}
	if len(known) == 0 {
		return e.WithHint("add the layer that has it to the project, or write the file")
	}
	return e.WithHint("the layers have: %s", strings.Join(known, " "))
}
