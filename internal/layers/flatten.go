package layers

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
)

// FlattenOptions say which layers to put together, and where.
type FlattenOptions struct {
	Layers []string // folder names; none = all, else at least two
	Output string   // a folder that is empty or does not exist; shown as it is given
	Dir    string   // the current folder
}

// Flatten copies layers into one: without recipes that another layer overlays, and with appends written behind the recipes
// that they are for.
func (t *Tool) Flatten(o FlattenOptions) error {
	if len(o.Layers) == 1 {
		return diag.Failedf(diag.Pos{}, "If you specify layers to flatten you must specify at least two")
	}
	if entries, err := os.ReadDir(absolute(o.Dir, o.Output)); err == nil && len(entries) > 0 {
		return diag.Failedf(diag.Pos{}, "Directory %s exists and is non-empty, please clear it out first", o.Output)
	}
	f := &flattening{Tool: t, out: filepath.Clean(o.Output), abs: absolute(o.Dir, o.Output), applied: map[string]bool{}, overlayed: map[string]bool{}}
	if err := f.choose(o.Layers); err != nil {
		return err
	}
	for _, mc := range t.World.Multiconfigs() {
		f.findOverlayed(mc)
	}
	for _, layer := range f.layers {
		t.plain("Copying files from " + layer + "...")
		if err := f.copyLayer(layer); err != nil {
			return err
		}
	}
	if err := f.copyAppends(); err != nil {
		return err
	}
	return f.warnUnmatched()
}

// flattening is one run of [Tool.Flatten].
type flattening struct {
	*Tool
	out       string // as it is shown
	abs       string // the folder
	layers    []string
	overlayed map[string]bool
	applied   map[string]bool // appends that are in a recipe now
}

func (f *flattening) choose(names []string) error {
	for _, dir := range f.layerDirs() {
		if len(names) == 0 || slices.Contains(names, layerName(dir)) {
			f.layers = append(f.layers, dir)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(f.layers, func(dir string) bool { return layerName(dir) == name }) {
			return diag.Failedf(diag.Pos{}, `Unable to find layer %s in current configuration, please run "bitbake-layers show-layers" to list configured layers`, name)
		}
	}
	return nil
}

// findOverlayed notes recipes of which a layer that is looked at later has a file of the same name.
func (f *flattening) findOverlayed(mc string) {
	seen := map[string]string{}
	for _, r := range slices.Backward(f.World.Recipes(mc)) {
		base := filepath.Base(r.File)
		if top, ok := seen[base]; ok && top != r.File {
			f.overlayed[r.File] = true
		} else {
			seen[base] = r.File
		}
	}
}

func (f *flattening) copyLayer(layer string) error {
	return filepath.WalkDir(layer, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return diag.Failedf(diag.Pos{File: path}, "look through the layer: %w", err)
		}
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == ".hg" || filepath.Clean(path) == f.abs {
				return fs.SkipDir
			}
			return nil
		}
		rest := strings.TrimPrefix(path, filepath.Clean(layer))
		source := layer + rest // as BBLAYERS has it
		if st, err := os.Stat(source); err == nil && st.IsDir() {
			return nil // a link to a folder
		}
		if f.overlayed[source] {
			f.plain("  Skipping overlayed file " + source)
			return nil
		}
		if filepath.Ext(path) == ".bbappend" {
			return nil
		}
		return f.copyFile(source, rest)
	})
}

func (f *flattening) copyFile(source, rest string) error {
	target, shown := filepath.Join(f.abs, rest), filepath.Join(f.out, rest)
	if _, err := os.Lstat(target); err == nil {
		if filepath.Base(source) == "layer.conf" && strings.HasSuffix(dirName(source), "/conf") {
			f.plain("  Skipping layer config file " + source)
			return nil
		}
		f.plain("WARNING: Overwriting file " + shown)
	}
	if err := copyFile(source, target); err != nil {
		return err
	}
	if filepath.Ext(source) != ".bb" {
		return nil
	}
	for _, mc := range f.World.Multiconfigs() {
		for _, a := range f.World.AppendsFor(mc, source) {
			if f.layerFolder(a) == "" || f.appliedHere(a, target) {
				continue
			}
			f.plain("  Applying append " + a + " to " + shown)
			if err := f.apply(a, target); err != nil {
				return err
			}
			f.applied[a], f.applied[a+"\x00"+target] = true, true
		}
	}
	return nil
}

// appliedHere says whether another multiconfig has applied the append already.
func (f *flattening) appliedHere(file, target string) bool { return f.applied[file+"\x00"+target] }

// layerFolder is the one of the chosen layers that a file lies in, or "".
func (f *flattening) layerFolder(file string) string {
	for _, dir := range f.layers {
		if strings.HasPrefix(file, dir+"/") {
			return dir
		}
	}
	return ""
}

func (f *flattening) apply(file, recipe string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return diag.Failedf(diag.Pos{File: file}, "read the append: %w", err)
	}
	to, err := os.OpenFile(recipe, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return diag.Failedf(diag.Pos{File: recipe}, "append to the recipe: %w", err)
	}
	_, err = fmt.Fprintf(to, "\n##### bbappended from %s #####\n%s", f.layerOf(file), text)
	if closed := to.Close(); err == nil {
		err = closed
	}
	return err
}

// copyAppends copies appends whose recipes are in layers that were not chosen.
func (f *flattening) copyAppends() error {
	done := map[string]bool{}
	for _, mc := range f.World.Multiconfigs() {
		for _, a := range f.World.Appends(mc) {
			layer := f.layerFolder(a.File)
			if layer == "" || f.applied[a.File] || done[a.File] {
				continue
			}
			done[a.File] = true
			if err := copyFile(a.File, filepath.Join(f.abs, strings.TrimPrefix(a.File, layer))); err != nil {
				return err
			}
		}
	}
	return nil
}

// warnUnmatched names recipes that the first layer's BBFILES, which are the new layer's, do not find.
func (f *flattening) warnUnmatched() error {
	first := f.layers[0]
	words, err := f.World.Base("").Words("BBFILES")
	if err != nil {
		return err
	}
	var patterns []string
	i := slices.IndexFunc(f.collections, func(c collection) bool { return c.Matches(first + "/test") })
	if i < 0 {
		return nil
	}
	for _, w := range words {
		if f.collections[i].Matches(w) {
			patterns = append(patterns, filepath.Join(f.out, strings.TrimPrefix(w, first)))
		}
	}
	if len(patterns) == 0 {
		return nil
	}
	return filepath.WalkDir(f.abs, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".bb" && filepath.Ext(path) != ".bbappend" {
			return err
		}
		path = filepath.Join(f.out, strings.TrimPrefix(path, f.abs))
		if !slices.ContainsFunc(patterns, func(p string) bool { return fnmatch(p, path) }) {
			f.plain("WARNING: File " + path + " does not match the flattened layer's BBFILES setting, you may need to edit conf/layer.conf or move the file elsewhere")
		}
		return nil
	})
}

// copyFile copies a file with its mode and time, or a link as a link.
func copyFile(source, target string) error {
	st, err := os.Lstat(source)
	if err != nil {
		return diag.Failedf(diag.Pos{File: source}, "copy it: %w", err)
	}
	if st.Mode()&fs.ModeSymlink != 0 {
		to, err := os.Readlink(source)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
			return err
		}
		return atomicfile.Symlink(to, target)
	}
	if !st.Mode().IsRegular() {
		return diag.Failedf(diag.Pos{File: source}, "the layer holds something that is neither a file nor a folder").WithHint("take it out of the layer")
	}
	data, err := os.ReadFile(source)
	if err != nil {
		return diag.Failedf(diag.Pos{File: source}, "copy it: %w", err)
	}
	if err := atomicfile.Write(target, data, st.Mode().Perm()); err != nil {
		return diag.Failedf(diag.Pos{File: target}, "copy a file of the layer here: %w", err)
	}
	return os.Chtimes(target, st.ModTime(), st.ModTime())
}
