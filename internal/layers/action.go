package layers

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"n3x/internal/atomicfile"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// FindConf finds conf/bblayers.conf: along BBPATH of the environment, then in the current folder and above.
func FindConf(dir string, env map[string]string) (Conf, error) {
	var tops []string
	if env["BBPATH"] != "" {
		for top := range strings.SplitSeq(env["BBPATH"], ":") {
			tops = append(tops, absolute(dir, top))
		}
	}
	for top := cleanPath(dir); top != "/" && top != "."; top = filepath.Dir(top) {
		tops = append(tops, top)
	}
	for _, top := range tops {
		path := filepath.Join(top, "conf", "bblayers.conf")
		if _, err := os.Stat(path); err == nil {
			return Conf{Path: path, TopDir: top, Home: env["HOME"]}, nil
		}
	}
	return Conf{}, diag.Userf(diag.Pos{}, "unable to find bblayers.conf: neither %s nor a folder above it is a build folder", dir).
		WithHint("change into the build folder, or set BBPATH to it")
}

func cleanPath(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Clean(path)
}

// absolute is a path that was given in a folder.
func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// AddOptions say what to add to BBLAYERS.
type AddOptions struct {
	Dir    string   // the current folder
	Layers []string // folders
	// Verify parses the configuration with the overlay in place of what is on disk; nil trusts the layers.
	Verify func(ctx context.Context, changed recipe.Overlay) error
}

// Add adds layers. The file is written only after the configuration was found to parse with them. Layers that are there
// already are returned.
func (c Conf) Add(ctx context.Context, o AddOptions) (already []string, err error) {
	var dirs []string
	for _, l := range o.Layers {
		dir := absolute(o.Dir, l)
		if _, err := os.Stat(dir); err != nil {
			return nil, diag.Userf(diag.Pos{}, "Specified layer directory %s doesn't exist", dir)
		}
		if _, err := os.Stat(filepath.Join(dir, "conf", "layer.conf")); err != nil {
			e := diag.Userf(diag.Pos{}, "Specified layer directory %s doesn't contain a conf/layer.conf file", dir)
			if inner := layersBelow(dir); len(inner) > 0 {
				return nil, e.WithHint("there are layers in it: %s", strings.Join(inner, " "))
			}
			return nil, e
		}
		if strings.ContainsAny(dir, " \t\n\"'\\") {
			return nil, diag.Userf(diag.Pos{}, "the path %q cannot be in BBLAYERS, whose words are separated by blanks", dir).WithHint("move the layer")
		}
		dirs = append(dirs, dir)
	}
	text, err := os.ReadFile(c.Path)
	if err != nil {
		return nil, diag.Userf(diag.Pos{File: c.Path}, "read it: %w", err)
	}
	e, err := c.edit(string(text), dirs, nil)
	if err != nil {
		return nil, err
	}
	if e.text == string(text) {
		return e.notAdded, nil
	}
	if o.Verify != nil {
		if err := o.Verify(ctx, recipe.Overlay{Path: c.Path, FS: single(e.text)}); err != nil {
			return nil, &ParseFailure{err}
		}
	}
	return e.notAdded, c.write(e.text)
}

// ParseFailure is that the configuration does not parse with a layer that was to be added.
type ParseFailure struct{ Err error }

// Error says so in the original's words.
func (p *ParseFailure) Error() string {
	return "Parse failure with the specified layer added, exiting."
}

// Unwrap is the error of the parse.
func (p *ParseFailure) Unwrap() error { return p.Err }

// layersBelow are the folders in a folder that are layers.
func layersBelow(dir string) []string {
	confs, err := filepath.Glob(filepath.Join(dir, "*", "conf", "layer.conf"))
	if err != nil {
		return nil
	}
	var found []string
	for _, conf := range confs {
		found = append(found, filepath.Dir(filepath.Dir(conf)))
	}
	return found
}

// Remove removes layers: folders, or patterns that begin with *, or the last part of a path. Those that match nothing are
// returned, in the form in which they were compared.
func (c Conf) Remove(dir string, layers []string) (unmatched []string, err error) {
	var patterns []string
	for _, l := range layers {
		switch {
		case strings.HasPrefix(l, "*"):
			patterns = append(patterns, trimSlash(l))
		case strings.HasPrefix(l, "${TOPDIR}"), strings.HasPrefix(l, "~/"):
			patterns = append(patterns, c.resolved(l))
		case !strings.Contains(l, "/"):
			patterns = append(patterns, "*/"+l)
		default:
			patterns = append(patterns, absolute(dir, l))
		}
	}
	text, err := os.ReadFile(c.Path)
	if err != nil {
		return nil, diag.Userf(diag.Pos{File: c.Path}, "read it: %w", err)
	}
	e, err := c.edit(string(text), nil, patterns)
	if err != nil {
		return nil, err
	}
	if e.text == string(text) {
		return e.notRemoved, nil
	}
	return e.notRemoved, c.write(e.text)
}

// write replaces the file in one step, behind a link if it is one. A file that must not be written is left alone.
func (c Conf) write(text string) error {
	path, err := filepath.EvalSymlinks(c.Path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return diag.Userf(diag.Pos{File: c.Path}, "change it: %w", err)
	}
	st, err := f.Stat()
	f.Close()
	if err != nil {
		return err
	}
	if err := atomicfile.Write(path, []byte(text), st.Mode().Perm()); err != nil {
		return diag.Userf(diag.Pos{File: c.Path}, "change it: %w", err)
	}
	return nil
}

// single is a file system that is one file.
type single string

// Open implements [fs.FS]: the only name is the root.
func (s single) Open(name string) (fs.File, error) {
	if name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &singleFile{strings.NewReader(string(s))}, nil
}

type singleFile struct{ *strings.Reader }

func (f *singleFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *singleFile) Close() error               { return nil }
func (f *singleFile) Name() string               { return "bblayers.conf" }
func (f *singleFile) Mode() fs.FileMode          { return 0o444 }
func (f *singleFile) ModTime() (t time.Time)     { return t }
func (f *singleFile) IsDir() bool                { return false }
func (f *singleFile) Sys() any                   { return nil }
