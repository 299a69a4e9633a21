package metadata

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"n3x/internal/atomicfile"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// checkoutFolders are the folders of ISAR's core layer whose recipes end in packages. The others make build roots and
// repositories, which n3x does itself.
var checkoutFolders = []string{"recipes-bsp", "recipes-initramfs", "recipes-support"}

// useCheckout adds the recipes of ISAR's own core layer, where that is on disk, below the built-in ones: images install
// packages like expand-on-first-boot from there. Its classes and configuration are found after n3x's own.
func (c *classes) useCheckout(o Options) error {
	i := slices.IndexFunc(layerWords(o.TopDir), func(dir string) bool { return isISARCore(dir, false) })
	if i < 0 {
		return nil
	}
	layer := filepath.Clean(layerWords(o.TopDir)[i])
	var recipes []string
	for _, folder := range checkoutFolders {
		recipes = append(recipes, filepath.Join(layer, folder, "*", "*.bb"), filepath.Join(layer, folder, "*", "*.bbappend"))
	}
	text := fmt.Sprintf(`# Written by n3x: the recipes of ISAR's core layer for packages; classes and all else are built into n3x.
BBPATH:append = ":%[1]s"
BBFILES += "%[2]s"
BBFILE_COLLECTIONS += "isarcheckout"
BBFILE_PATTERN_isarcheckout = "^%[3]s/"
BBFILE_PATTERN_IGNORE_EMPTY_isarcheckout = "1"
BBFILE_PRIORITY_isarcheckout = "4"
LAYERSERIES_COMPAT_isarcheckout = "v0.6 next"
`, layer, strings.Join(recipes, " "), strings.ReplaceAll(regexp.QuoteMeta(layer), `\`, `\\`))
	c.prefile = filepath.Join(o.TopDir, "n3x", "isar-checkout.conf")
	switch err := atomicfile.WriteIfChanged(c.prefile, []byte(text), 0o644); {
	case err == nil:
		return nil
	case !o.Run && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)):
		c.overlays = append(c.overlays, recipe.Text(c.prefile, text))
		return nil
	default:
		return diag.Failedf(diag.Pos{}, "write the configuration for ISAR's recipes: %w", err)
	}
}
