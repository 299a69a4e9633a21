// Package layers is what bitbake-layers does: it lists a build folder's layers with the recipes and appends in them, shows
// which of them overlay or need another, and edits conf/bblayers.conf.
//
// Input is a loaded [recipe.World], or the build folder for what changes it; output are the lines that the original prints,
// with its headings and columns, so that scripts which read them keep working. Errors are returned, not printed.
//
// It mirrors bitbake's lib/bblayers/{query,action}.py, bb.utils.edit_bblayers_conf, and create.py and machines.py of
// OpenEmbedded's core layer. Where the original's order is that of a hash table or of a folder on disk, this one sorts or
// keeps the order of BBFILES. It refuses what needs a layer index on the network.
package layers

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/bitbake/recipe"
)

// Tool answers questions about a world.
type Tool struct {
	World *recipe.World
	Out   io.Writer // what the original prints on standard output

	collections []collection
	patterns    []string          // BBFILES, lowest layer first
	known       map[string]string // file -> folder of its layer
}

// collection is one layer.
type collection struct {
	recipe.Layer
	dir string // that holds conf/layer.conf; "" when it is not known
}

// New makes a tool that prints to out.
func New(w *recipe.World, out io.Writer) (*Tool, error) {
	t := &Tool{World: w, Out: out, known: map[string]string{}}
	dirs, err := collectionDirs(w)
	if err != nil {
		return nil, err
	}
	for _, l := range w.Layers() {
		t.collections = append(t.collections, collection{l, dirs[l.Name]})
	}
	t.patterns, err = w.Base("").Words("BBFILES_PRIORITIZED")
	return t, err
}

// collectionDirs are the folders of the layers: of those whose layer.conf added the name to BBFILE_COLLECTIONS.
func collectionDirs(w *recipe.World) (map[string]string, error) {
	d := w.Base("")
	names, err := d.Words("BBFILE_COLLECTIONS")
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{}
	set := false
	for _, e := range d.History("BBFILE_COLLECTIONS") {
		if e.Flag != "" || e.Op == ":remove" || set && e.Op == "set?" {
			continue
		}
		set = true
		text, err := d.Expand(e.Detail)
		if err != nil {
			return nil, err
		}
		for _, c := range strings.Fields(text) {
			if slices.Contains(names, c) && dirs[c] == "" {
				dirs[c] = dirName(dirName(e.Pos.File))
			}
		}
	}
	return dirs, nil
}

// dirName is Python's os.path.dirname: nothing is cleaned, so that paths stay as BBLAYERS has them.
func dirName(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return path[:i+1]
	}
	return strings.TrimRight(path[:i], "/")
}

func (t *Tool) printf(format string, args ...any) { fmt.Fprintf(t.Out, format+"\n", args...) }

// plain prints a line as it is.
func (t *Tool) plain(line string) { io.WriteString(t.Out, line+"\n") } //nolint:errcheck // there is nowhere else to say so

// layerNames are the names by which layers are shown: their folders', not their collections'.
func layerName(dir string) string { return filepath.Base(dir) }

// layerDirs are the folders of BBLAYERS.
func (t *Tool) layerDirs() []string { return t.World.LayerDirs() }

// dirOf is the folder of the layer that a file belongs to, or "".
func (t *Tool) dirOf(file string) string {
	dir, ok := t.known[file]
	if !ok {
		dir = t.findDir(file)
		t.known[file] = dir
	}
	return dir
}

func (t *Tool) findDir(file string) string {
	for _, p := range t.patterns {
		if fnmatch(p, file) {
			return t.dirOfPath(p)
		}
	}
	return t.dirOfPath(file)
}

// dirOfPath goes by the longest BBFILE_PATTERN, so that a layer inside another one is found.
func (t *Tool) dirOfPath(path string) string {
	longest, dir := 0, ""
	for _, c := range t.collections {
		if n := len([]rune(c.Pattern)); n > longest && c.Matches(path) {
			longest, dir = n, c.dir
		}
	}
	return dir
}

// layerOf is the name of the layer that a file belongs to, or "?".
func (t *Tool) layerOf(file string) string {
	if dir := t.dirOf(file); dir != "" {
		return layerName(dir)
	}
	return "?"
}

// short is a file's path from its layer's folder on, beginning with the folder's name.
func (t *Tool) short(file string) string {
	dir := t.dirOf(file)
	if dir == "" {
		return file
	}
	prefix := dirName(dir)
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return strings.TrimPrefix(file, prefix)
}

// which finds a file along BBPATH. Paths stay as they are written there.
func which(bbpath, name string) string {
	for dir := range strings.SplitSeq(bbpath, ":") {
		path := dir + "/" + name
		if strings.HasSuffix(dir, "/") || dir == "" {
			path = dir + name
		}
		if strings.HasPrefix(name, "/") {
			path = name
		}
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}
