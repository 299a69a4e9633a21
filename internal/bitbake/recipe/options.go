package recipe

import (
	"io/fs"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// Options says what to load. The zero value loads the build directory "." with an empty environment.
type Options struct {
	TopDir  string            // the build directory, e.g. "/home/u/build"; BBPATH in Environ takes part in the search for conf/bblayers.conf
	Environ map[string]string // the user's whole environment; what metadata sees of it is filtered here by BitBake's rules
	// Overlays are trees of files that metadata sees at paths that need not exist.
	Overlays []Overlay
	// LayerPath maps each entry of BBLAYERS to the folder that is used for it, e.g. to an overlay's path; nil keeps all.
	LayerPath func(layer string) string
	// Python says how Python runs; Environ, Files and Cwd of it are filled in here.
	Python pyeval.Options
	// BitBake is the release to follow where releases differ, e.g. "2.8.0"; "" is the newest that is known.
	BitBake  string
	Parallel int // recipes evaluated at once; 0 = one per CPU
	// Prefiles and Postfiles are configuration files to read before bblayers.conf and after bitbake.conf (bitbake -r, -R).
	Prefiles, Postfiles []string
	// Cache is the folder for what was evaluated before, to be used again as long as all that it was made of is the same;
	// "" = none.
	Cache string
	// ConfigOnly leaves recipes out: the world has the configurations, the layers and the warnings of reading these.
	ConfigOnly bool
}

// Overlay shows the files of FS below Path, an absolute path, in place of what is on disk there.
type Overlay struct {
	Path string
	FS   fs.FS
}

// Warning is what BitBake would warn about.
type Warning struct {
	Pos  diag.Pos
	Text string
}

// String is "file:line: text".
func (w Warning) String() string {
	if w.Pos.IsZero() {
		return w.Text
	}
	return w.Pos.String() + ": " + w.Text
}
