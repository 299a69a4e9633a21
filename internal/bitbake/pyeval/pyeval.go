// SPDX-License-Identifier: MIT

// Package pyeval evaluates the Python that BitBake metadata contains: inline expressions
// (${@...}), anonymous blocks, python functions and the `def` helpers of classes.
//
// The source is parsed as Python, translated to a Starlark program whose operators and methods
// are this package's own (so that they do what CPython does, not what Starlark does), and run on
// go.starlark.net with a step limit and the caller's context. Input is Python text and a
// datastore ([Vars]); output is the expression's str(), or changed variables.
//
// The rule is: CPython's answer or a refusal, never a silent other value. A construct, method,
// module or corner that is not covered gives an [*Unsupported] that names it with file and line;
// if a [Fallback] (real CPython) is configured, it is asked instead.
//
// Mirrors, in BitBake: lib/bb/data_smart.py (python_sub, DataContext), lib/bb/utils.py
// (better_eval, better_exec and the functions metadata calls) and lib/bb/build.py (addtask,
// deltask, exec_func_python); in OpenEmbedded and ISAR: the helpers of lib/oe/utils.py.
package pyeval

import (
	"context"
	"io/fs"
	"time"

	"n3x/internal/diag"
)

// Vars is the datastore that Python code sees as `d`. Values are text; what BitBake stores as
// other Python objects is refused when it is set.
type Vars interface {
	// Var gives a variable's value; ok is false when it is not set (Python sees None).
	Var(name string, expand bool) (value string, ok bool, err error)
	SetVar(name, value string) error
	AppendVar(name, value string) error
	PrependVar(name, value string) error
	DelVar(name string) error
	RenameVar(from, to string) error

	VarFlag(name, flag string, expand bool) (value string, ok bool, err error)
	SetVarFlag(name, flag, value string) error
	AppendVarFlag(name, flag, value string) error
	PrependVarFlag(name, flag, value string) error
	DelVarFlag(name, flag string) error
	// VarFlags gives a variable's flags; internal ones (leading "_") are left out by the caller of Python anyway.
	VarFlags(name string) (map[string]string, error)

	// Keys lists the variables in the datastore's own order.
	Keys() []string
	// Expand expands ${...} in s.
	Expand(s string) (string, error)
}

// Copier is what a datastore has whose metadata may call d.createCopy().
type Copier interface {
	CreateCopy() Vars
}

// TaskEditor is what a datastore has whose metadata may call bb.build.addtask and deltask.
// Each list is already split at white space.
type TaskEditor interface {
	AddTask(name string, before, after []string) error
	DelTask(name string) error
}

// Inheriter is what a datastore has whose metadata may call bb.data.inherits_class.
type Inheriter interface {
	Inherits(class string) bool
}

// DependencyMarker is told of the files that metadata reads through bb.parse (mark_dependency,
// resolve_file): the recipe must be parsed anew when they change.
type DependencyMarker interface {
	MarkDependency(path string)
}

// Originator is what a datastore has whose variable BB_ORIGENV is a datastore: the environment that the program was started with.
type Originator interface {
	OriginalEnvironment() Vars // nil when there is none
}

// Snapshotter is what a datastore has that can take back changes. With a [Fallback], code that
// meets an unsupported construct after it has changed variables is rolled back and run again there.
type Snapshotter interface {
	// Snapshot remembers the state; the returned function goes back to it.
	Snapshot() (restore func())
}

// Site is the place and the surroundings of one evaluation.
type Site struct {
	Vars Vars
	Lib  *Library // functions defined by classes and recipes; nil = none
	Pos  diag.Pos // of the expression's, or the body's, first line
	// Name says whose text this is, e.g. "SRC_URI" or "do_fetch"; used in messages only.
	Name string
	// Event becomes `e` of an event handler; nil = not a handler. The items of lists stand on lines of their own.
	Event map[string]string
	// Interp is the interpreter that asks its [Fallback]; both share what metadata puts into bb.utils._context.
	Interp *Interp
	// PyLibs are what addpylib has named, in order: a [Fallback] imports modules from there.
	PyLibs []PyLib
}

// PyLib is a folder with Python modules and the package there that metadata sees by its name.
type PyLib struct{ Dir, Namespace string }

// Fallback runs what this package refuses on a real CPython. Its results have the same meaning
// as those of [Interp.Eval] and [Interp.Exec].
type Fallback interface {
	Eval(ctx context.Context, expr string, s Site) (string, error)
	Exec(ctx context.Context, body string, s Site) error
}

// Binder is a [Fallback] that has to know the world of the interpreter that it serves: [New] calls Bind with the final
// options and uses what it gives in place of the fallback.
type Binder interface {
	Bind(o Options) Fallback
}

// Func is a Python function that the embedding program provides: one of a module
// ("bb.fetch2.get_srcrev", "subprocess.check_output") or, without a dot, one that replaces the
// function of that name which a class defines ("oe_import"). Arguments and results are nil, bool,
// int64, string, []any and map[string]any, results also []byte and []string; `d` arrives as Vars.
type Func func(ctx context.Context, s Site, args []any, kwargs map[string]any) (any, error)

// Files is the part of the file system that metadata may look at. Paths are absolute.
type Files interface {
	Stat(path string) (fs.FileInfo, error)
	Lstat(path string) (fs.FileInfo, error)
	ReadFile(path string) ([]byte, error)
	ReadDir(path string) ([]fs.DirEntry, error)
	Readlink(path string) (string, error)
}

// Options is what the world looks like to metadata. Its zero value is a world without environment
// variables and without a clock.
type Options struct {
	Environ  map[string]string        // os.environ
	Files    Files                    // nil: the host's file system
	Cwd      string                   // os.getcwd(), e.g. the build directory; "" = refused
	CPUs     int                      // os.cpu_count() and the number of usable processors; 0 = the host's
	MemPages int64                    // os.sysconf("SC_PHYS_PAGES"); 0 = the host's
	Now      func() time.Time         // time.time() and friends; nil = refused by name
	Log      func(level, text string) // bb.note ("note"), bb.plain, bb.warn, bb.error, bb.debug, bb.fatal; nil = dropped
	Funcs    map[string]Func          // dotted name to implementation; wins over the built-in one
	// Run runs a program that metadata starts (subprocess, os.popen, bb.process.run); nil = refused by name. A program that
	// does not exist is fs.ErrNotExist; one that fails is a Result.
	Run      func(ctx context.Context, c Command) (Result, error)
	Fallback Fallback // nil = [Unsupported] errors are final
	Python   string   // sys.executable; "" = refused
	BitBake  string   // bb.__version__; "" = that of the newest release that is known
	MaxSteps uint64   // of one evaluation; 0 = 20 million
}
