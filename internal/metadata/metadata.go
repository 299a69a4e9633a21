// Package metadata opens what a build folder's layers say: it decides whose classes are read, gives metadata's Python the
// programs and functions it calls, and evaluates everything by package recipe.
//
// There are two sources of classes. What runs tasks uses the built-in ones, which bind ISAR's tasks to Go. What only asks
// (bitbake -e, -g, -S, -s, bitbake-getvar, bitbake-layers, bitbake-query) uses the classes of the layers themselves when
// ISAR's or OpenEmbedded's meta is on disk, so that the answers are those of the checkout. N3X_CLASSES overrides both.
//
// It is a room of the bridge: package recipe is pure, and what it reaches for (programs, CPython) is given to it here.
package metadata

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"n3x/internal/arch"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/cpython"
	"n3x/internal/diag"
)

// Options say which build folder to open, and how.
type Options struct {
	TopDir string            // the build folder, with conf/local.conf and conf/bblayers.conf
	Env    map[string]string // the user's environment
	// Run is set when tasks are going to be run: then classes are the built-in ones unless N3X_CLASSES says otherwise,
	// which is refused.
	Run bool
	// Prefiles, Postfiles and ConfigOnly are as in [recipe.Options].
	Prefiles, Postfiles []string
	ConfigOnly          bool
	Buffers             []recipe.Overlay // files whose text is not (yet) what is on disk
	Python              cpython.Launcher // starts real CPython; nil = what Starlark cannot run is refused
	Log                 func(level, text string)
}

// Opened is a build folder's metadata.
type Opened struct {
	*recipe.World
	Classes Source
	// Why says in a sentence which classes were read, and where that was decided.
	Why string
	// BitBake is the release whose rules were followed, e.g. "2.8.0".
	BitBake string

	python *cpython.Runtime
}

// Close ends the CPython processes. Values that need one can still be read; a new one starts then.
func (o *Opened) Close() {
	if o.python != nil {
		o.python.Close()
	}
}

// Open reads the metadata. Like [recipe.Load] it returns a world together with an error when only recipes failed.
func Open(ctx context.Context, o Options) (*Opened, error) {
	c, err := o.classes()
	if err != nil {
		return nil, err
	}
	opened := &Opened{Classes: c.source, Why: c.why, BitBake: c.release, python: c.python(o)}
	if opened.World, err = recipe.Load(ctx, c.options(o, opened.python)); opened.World == nil {
		opened.Close()
		return nil, c.explain(err)
	}
	return opened, c.explain(err)
}

// python is the runtime that runs what Starlark cannot, or nil.
func (c *classes) python(o Options) *cpython.Runtime {
	if o.Python == nil {
		return nil
	}
	po := cpython.Options{BitBake: c.release}
	if o.TopDir != "" {
		po.CacheDir = filepath.Join(o.TopDir, "n3x", "pycache")
	}
	if c.library != "" {
		po.Libraries = []string{c.library}
	}
	return cpython.New(o.Python, po)
}

// options are what package recipe is told.
func (c *classes) options(o Options, python *cpython.Runtime) recipe.Options {
	ro := recipe.Options{
		TopDir: o.TopDir, Environ: o.Env, BitBake: c.release, LayerPath: c.layerPath, Overlays: append(c.overlays, o.Buffers...),
		Prefiles: o.Prefiles, Postfiles: o.Postfiles, ConfigOnly: o.ConfigOnly,
		Cache:  filepath.Join(o.TopDir, "n3x", "parse"),
		Python: pyeval.Options{Funcs: functions(), Run: runner(c.hostArch), Now: time.Now, Log: o.Log},
	}
	if c.prefile != "" {
		ro.Prefiles = append([]string{c.prefile}, ro.Prefiles...)
	}
	if python != nil { // an interface that holds nil is not nil
		ro.Python.Fallback = python
	}
	return ro
}

// File evaluates one file by itself, as [recipe.File] does, with the Python of a build folder's metadata. done ends the
// CPython processes that it started.
func File(ctx context.Context, o Options, path string) (recipes []*recipe.Recipe, done func(), err error) {
	c := &classes{hostArch: arch.Host()}
	python := c.python(o)
	recipes, err = recipe.File(ctx, c.options(o, python), path)
	return recipes, (&Opened{python: python}).Close, err
}

// explain says which classes an error came from, when there was a choice.
func (c *classes) explain(err error) error {
	d, ok := err.(*diag.Error)
	if !ok || c.why == "" || slices.Contains(d.Notes, c.why) {
		return err
	}
	return d.WithNote("%s", c.why)
}
