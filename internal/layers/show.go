package layers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// ShowLayers lists the layers with their folders and priorities.
func (t *Tool) ShowLayers() {
	t.printf("%-20s  %-70s  %s", "layer", "path", "priority")
	t.plain(strings.Repeat("=", 104))
	for _, c := range t.collections {
		t.printf("%-20s  %-70s  %d", c.Name, c.dir, c.Priority)
	}
}

// OverlayOptions say how to list what is overlayed.
type OverlayOptions struct {
	MC          string
	Filenames   bool
	SameVersion bool // only recipes of which all versions are the same
}

// ShowOverlayed lists recipes and classes that several layers have.
func (t *Tool) ShowOverlayed(o OverlayOptions) error {
	l, err := t.newListing("Overlayed recipes", RecipeOptions{MC: o.MC, Filenames: o.Filenames, Multiple: true})
	if err != nil {
		return err
	}
	l.overlayedOnly, l.sameVersion = true, o.SameVersion
	if err := l.run(); err != nil {
		return err
	}
	classes, err := t.overlayedClasses(o.Filenames)
	if err != nil {
		return err
	}
	if !l.items && !classes {
		t.plain("No overlayed files found.")
	}
	return nil
}

// overlayedClasses lists classes by the order in BBPATH, which is what decides over them. Like the original it looks for the
// one that is used in the folder classes only.
func (t *Tool) overlayedClasses(filenames bool) (found bool, err error) {
	bbpath, err := t.World.Base("").Value("BBPATH")
	if err != nil {
		return false, err
	}
	var names []string
	dirs := map[string][]string{}
	for _, layer := range t.layerDirs() {
		for _, sub := range classDirs {
			entries, err := os.ReadDir(layer + "/" + sub)
			if err != nil {
				continue // most layers do not have all of them
			}
			for _, e := range entries {
				if filepath.Ext(e.Name()) != ".bbclass" {
					continue
				}
				if dirs[e.Name()] == nil {
					names = append(names, e.Name())
				}
				dirs[e.Name()] = append(dirs[e.Name()], layer+"/"+sub)
			}
		}
	}
	for _, name := range names {
		if len(dirs[name]) < 2 {
			continue
		}
		if !found {
			t.plain("=== Overlayed classes ===")
			found = true
		}
		t.overlayedClass(name, which(bbpath, "classes/"+name), dirs[name], filenames)
	}
	return found, nil
}

func (t *Tool) overlayedClass(name, used string, dirs []string, filenames bool) {
	if filenames {
		t.plain(used)
	} else {
		layer := "?"
		for _, dir := range t.layerDirs() {
			if strings.HasPrefix(used, dir+"/classes") {
				layer = layerName(dir)
			}
		}
		t.plain(name + ":\n  " + layer)
	}
	for _, dir := range dirs {
		switch path := dir + "/" + name; {
		case path == used:
		case filenames:
			t.plain("  " + path)
		default:
			t.plain("  " + layerName(dirName(dir)))
		}
	}
}

// AppendOptions say of which recipes to list the appends.
type AppendOptions struct {
	Names []string // patterns of PN; none = all
	MC    string
}

// ShowAppends lists recipe files with the .bbappend files that apply to them.
func (t *Tool) ShowAppends(o AppendOptions) error {
	if !slices.Contains(t.World.Multiconfigs(), o.MC) {
		return diag.Userf(diag.Pos{}, "there is no multiconfig %q", o.MC).
			WithHint("BBMULTICONFIG has: %s", strings.Join(t.World.Multiconfigs()[1:], " "))
	}
	if len(o.Names) > 0 {
		t.plain("=== Matched appended recipes ===")
	} else {
		t.plain("=== Appended recipes ===")
	}
	byPN := map[string][]*recipe.Recipe{}
	var skipped []*recipe.Recipe
	var names []string
	for _, r := range t.World.Recipes(o.MC) {
		if r.Skip != "" {
			skipped = append(skipped, r)
			continue
		}
		if byPN[r.PN] == nil {
			names = append(names, r.PN)
		}
		byPN[r.PN] = append(byPN[r.PN], r)
	}
	slices.Sort(names)
	found := false
	for _, pn := range names {
		if len(o.Names) > 0 && !slices.ContainsFunc(o.Names, func(p string) bool { return fnmatch(p, pn) }) {
			continue
		}
		best, err := t.World.Provider(o.MC, pn)
		if err != nil {
			return err
		}
		found = t.appendsOf(o.MC, byPN[pn], filepath.Base(best.File), "") || found
	}
	if len(o.Names) == 0 {
		found = t.appendsOf(o.MC, skipped, "", " (skipped)") || found
	}
	if !found {
		t.plain("No append files found")
	}
	return nil
}

// appendsOf lists the appends of recipes, and warns when others than the best one have any.
func (t *Tool) appendsOf(mc string, recipes []*recipe.Recipe, best, suffix string) bool {
	found, missing := false, false
	for _, r := range recipes {
		if r.Variant != "" && r.Skip == "" {
			continue
		}
		base := filepath.Base(r.File)
		appends := t.World.AppendsFor(mc, base)
		if len(appends) == 0 {
			missing = missing || base == best
			continue
		}
		found = true
		t.plain(base + suffix + ":")
		for _, a := range appends {
			t.plain("  " + a)
		}
	}
	if found && missing {
		t.plain("WARNING: " + best + ": missing append for preferred version")
	}
	return found
}

// ShowMachines lists the machines that the layers describe; with layer, only those of the layer with this folder name.
func (t *Tool) ShowMachines(layer string, bare bool) {
	for _, dir := range t.layerDirs() {
		name := layerName(dir)
		if layer != "" && layer != name {
			continue
		}
		entries, err := os.ReadDir(dir + "/conf/machine")
		if err != nil {
			continue // the layer describes none
		}
		for _, e := range entries {
			machine, ok := strings.CutSuffix(e.Name(), ".conf")
			switch {
			case !ok:
			case bare:
				t.plain(machine)
			default:
				t.plain(machine + " (" + name + ")")
			}
		}
	}
}
