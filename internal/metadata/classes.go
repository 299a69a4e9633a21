package metadata

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// Source says whose classes are read.
type Source string

// The sources of classes.
const (
	Native Source = "native" // those that are built into n3x
	Layer  Source = "layer"  // those of the layers on disk
)

// SourceVariable is the environment variable that chooses a [Source].
const SourceVariable = "N3X_CLASSES"

// newestISAR is the release of BitBake that ISAR carries and the built-in classes are written for; its rules differ from
// later ones in a few places.
const newestISAR = "2.8.0"

// classes is the decision about where classes come from.
type classes struct {
	source   Source
	why      string
	release  string // of BitBake, "" = the newest
	library  string // lib folder of the BitBake that belongs to the layers, or ""
	builtin  string // folder of the built-in layers
	overlays []recipe.Overlay
	prefile  string // with the recipes of a checkout of ISAR, or ""
	hostArch arch.Arch
}

// classes decides. The layers are needed for that before they are read, so their list is taken from bblayers.conf as it
// is written; what BitBake makes of it decides later which of them are used.
func (o Options) classes() (*classes, error) {
	c := &classes{hostArch: arch.Host()}
	wanted := Source(o.Env[SourceVariable])
	if wanted != "" && wanted != Native && wanted != Layer {
		e := diag.Userf(diag.Pos{}, "%s is %q, and must be native or layer", SourceVariable, wanted)
		if near := diag.Nearest(string(wanted), []string{string(Native), string(Layer)}); near != "" {
			return nil, e.WithHint("did you mean %s?", near)
		}
		return nil, e.WithHint("unset it, or set it to native (n3x's classes) or layer (those of the layers on disk)")
	}
	core := coreLayers(o.TopDir, o.Env)
	switch {
	case o.Run && wanted == Layer:
		return nil, diag.Userf(diag.Pos{}, "%s=layer is for questions; tasks run with the built-in classes only", SourceVariable).
			WithHint("unset %s for builds; `bitbake -e`, `-g`, `-S`, bitbake-getvar, bitbake-layers and `n3x bitbake-query` take it", SourceVariable)
	case o.Run:
		c.source = Native
	case wanted == Layer && len(core) == 0:
		return nil, diag.Userf(diag.Pos{File: filepath.Join(o.TopDir, "conf", "bblayers.conf")}, "%s=layer, but no layer with conf/bitbake.conf is on disk", SourceVariable).
			WithHint("check out ISAR or OpenEmbedded-Core where BBLAYERS names it, or unset %s", SourceVariable)
	case wanted != "":
		c.source, c.why = wanted, fmt.Sprintf("classes: %s (%s)", wanted, SourceVariable)
	case len(core) > 0:
		c.source, c.why = Layer, "classes: those of "+core[0]
	default:
		c.source, c.why = Native, "classes: n3x's own (no layer in BBLAYERS brings any)"
	}
	if c.source == Layer {
		c.library = bitbakeLibrary(append(core, layerWords(o.TopDir)...), o.Env)
		c.release = libraryRelease(c.library)
		return c, nil
	}
	c.release = newestISAR
	var err error
	if c.builtin, c.overlays, err = nativeLayers(o); err != nil {
		return nil, err
	}
	return c, c.useCheckout(o)
}

// layerPath puts the built-in layer in place of ISAR's core layer, whether that is on disk or not, and the one with QEMU's
// machines in place of a meta-isar that is not.
func (c *classes) layerPath(layer string) string {
	switch {
	case c.source != Native:
	case isISARCore(layer, true):
		return filepath.Join(c.builtin, "meta")
	case filepath.Base(layer) == StandInLayer:
		if _, err := os.Stat(layer); err != nil {
			return filepath.Join(c.builtin, StandInLayer)
		}
	}
	return layer
}

// StandInLayer is the layer of ISAR's repository of which n3x brings the machines, but no recipes.
const StandInLayer = "meta-isar"

// isISARCore reports whether a folder of BBLAYERS is ISAR's core layer; absent says what to make of one called meta that
// does not exist.
func isISARCore(layer string, absent bool) bool {
	if filepath.Base(layer) != "meta" {
		return false
	}
	if _, err := os.Stat(filepath.Join(layer, "conf", "layer.conf")); err != nil {
		return absent
	}
	// Any of the folders that classes have been in; OpenEmbedded's core layer has none of these.
	for _, dir := range []string{"classes", "classes-recipe"} {
		for _, class := range []string{"dpkg-raw.bbclass", "dpkg.bbclass", "isar-image.bbclass"} {
			if _, err := os.Stat(filepath.Join(layer, dir, class)); err == nil {
				return true
			}
		}
	}
	return false
}

// coreLayers are the layers of bblayers.conf on disk that bring a conf/bitbake.conf of their own.
func coreLayers(topDir string, env map[string]string) []string {
	var out []string
	for _, dir := range layerWords(topDir) {
		if rest, ok := strings.CutPrefix(dir, "~/"); ok {
			dir = filepath.Join(env["HOME"], rest)
		}
		if _, err := os.Stat(filepath.Join(dir, "conf", "bitbake.conf")); err == nil && !strings.HasPrefix(dir, filepath.Join(topDir, "n3x")+"/") {
			out = append(out, dir)
		}
	}
	return out
}

// layerWords are the words in a bblayers.conf that are paths, with TOPDIR filled in.
func layerWords(topDir string) []string {
	data, err := os.ReadFile(filepath.Join(topDir, "conf", "bblayers.conf"))
	if err != nil {
		return nil // recipe.Load looks further, and says so
	}
	var out []string
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) {
			continue
		}
		for _, w := range strings.FieldsFunc(string(line), func(r rune) bool { return strings.ContainsRune(" \t\r\n\"'\\=", r) }) {
			w = strings.ReplaceAll(w, "${TOPDIR}", topDir)
			if (strings.HasPrefix(w, "/") || strings.HasPrefix(w, "~/")) && !strings.ContainsAny(w, "$") {
				out = append(out, strings.TrimRight(w, "/"))
			}
		}
	}
	return out
}

// bitbakeLibrary is the lib folder of a real BitBake that belongs to a project: what BITBAKEDIR names, one that lies beside
// a layer or its repository, or "".
func bitbakeLibrary(layers []string, env map[string]string) string {
	var candidates []string
	if dir := env["BITBAKEDIR"]; dir != "" {
		candidates = append(candidates, dir)
	}
	for _, l := range layers {
		candidates = append(candidates, filepath.Join(l, "..", "bitbake"), filepath.Join(l, "..", "..", "bitbake"))
	}
	for _, dir := range filepath.SplitList(env["PATH"]) {
		if filepath.Base(filepath.Dir(dir)) == "bitbake" && filepath.Base(dir) == "bin" {
			candidates = append(candidates, filepath.Dir(dir))
		}
	}
	i := slices.IndexFunc(candidates, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "lib", "bb", "__init__.py"))
		return err == nil
	})
	if i < 0 {
		return ""
	}
	return filepath.Join(candidates[i], "lib")
}

var libraryVersion = regexp.MustCompile(`(?m)^__version__ = "([0-9.]+)"`)

// libraryRelease is the version that a BitBake library says it is, "" when it says nothing.
func libraryRelease(lib string) string {
	if lib == "" {
		return ""
	}
	data, err := os.ReadFile(filepath.Join(lib, "bb", "__init__.py"))
	if err != nil {
		return ""
	}
	if m := libraryVersion.FindSubmatch(data); m != nil {
		return string(m[1])
	}
	return ""
}
