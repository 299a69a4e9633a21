package layers

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
)

// NewLayer describes a layer to create.
type NewLayer struct {
	Dir      string // its folder, which must not exist
	ID       string // of BBFILE_COLLECTIONS; "" = the folder's name
	Priority string
	Recipe   string // name of the example recipe
	Version  string // of that
	Series   string // LAYERSERIES_CORENAMES: the releases of the core layer that it is for
}

//go:embed skeleton
var skeleton embed.FS

var (
	layerID    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.+-]*$`)
	recipeName = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]*$`)
	versionOf  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~-]*$`)
)

// Create makes a layer with a configuration, a README, a licence and an example recipe. Either all of it is there
// afterwards, or nothing.
func Create(l NewLayer) error {
	if _, err := os.Lstat(l.Dir); err == nil {
		return diag.Userf(diag.Pos{}, "Specified layer directory exists").WithNote("%s", l.Dir).WithHint("choose another folder")
	}
	name := filepath.Base(l.Dir)
	if l.ID == "" {
		l.ID = name
	}
	if err := l.check(); err != nil {
		return err
	}
	replace := strings.NewReplacer("@NAME@", name, "@ID@", l.ID, "@PRIORITY@", l.Priority, "@SERIES@", l.Series)
	files := map[string]string{
		"README":          "README",
		"COPYING.MIT":     "COPYING.MIT",
		"conf/layer.conf": "layer.conf",
		filepath.Join("recipes-"+l.Recipe, l.Recipe, l.Recipe+"_"+l.Version+".bb"): "example.bb",
	}
	parent := filepath.Dir(l.Dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return diag.Userf(diag.Pos{}, "make the folder for the layer: %w", err)
	}
	tmp, err := os.MkdirTemp(parent, "."+name+".tmp-*")
	if err != nil {
		return diag.Userf(diag.Pos{}, "make the layer: %w", err)
	}
	for to, from := range files {
		text, err := fs.ReadFile(skeleton, "skeleton/"+from)
		if err == nil {
			err = atomicfile.Write(filepath.Join(tmp, to), []byte(replace.Replace(string(text))), 0o644)
		}
		if err != nil {
			return errors.Join(diag.Userf(diag.Pos{}, "make the layer: %w", err), os.RemoveAll(tmp))
		}
	}
	if err := errors.Join(os.Chmod(tmp, 0o755), os.Rename(tmp, l.Dir)); err != nil {
		return errors.Join(diag.Userf(diag.Pos{}, "make the layer: %w", err), os.RemoveAll(tmp))
	}
	return nil
}

func (l *NewLayer) check() error {
	if !layerID.MatchString(l.ID) {
		return diag.Userf(diag.Pos{}, "%q cannot be the name of a layer in BBFILE_COLLECTIONS", l.ID).
			WithHint("give one of letters, digits, - and _ by --layerid")
	}
	if _, err := strconv.Atoi(l.Priority); err != nil {
		return diag.Userf(diag.Pos{}, "priority %q is not a number", l.Priority).WithHint("the core layer's is 5; recipes of layers with a higher one win")
	}
	if !recipeName.MatchString(l.Recipe) {
		return diag.Userf(diag.Pos{}, "%q cannot be the name of a recipe", l.Recipe).WithHint("use lower case letters, digits, + - and .")
	}
	if !versionOf.MatchString(l.Version) {
		return diag.Userf(diag.Pos{}, "%q cannot be the version of a recipe", l.Version).WithHint("write e.g. 0.1")
	}
	return nil
}
