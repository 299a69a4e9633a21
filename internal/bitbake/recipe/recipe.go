// Package recipe turns a build directory's layers into recipes.
//
// Input is a build directory with conf/bblayers.conf, the environment, and optionally trees of files that exist only in
// memory; output is a [World]: per multiconfig a base configuration and all recipes with their variables, tasks and skip
// reasons, and the choice among providers. Files are parsed once and their statements shared by all recipes and
// multiconfigs; recipes are evaluated in parallel and come out in a stable order. A recipe that fails is reported with its
// place and does not hide the others.
//
// It mirrors bitbake's lib/bb/{cookerdata,cooker,providers}.py, the statement evaluation of lib/bb/parse/ast.py and
// lib/bb/parse/parse_py/BBHandler.py. Python runs in package pyeval. What it does not do: Python modules of addpylib are
// not imported, and functions that metadata defines are visible to the recipe that defines them only.
package recipe

import (
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
)

// Recipe is one recipe file as evaluated for one multiconfig, or one of its BBCLASSEXTEND variants.
type Recipe struct {
	MC      string // multiconfig, "" for the default one
	File    string // the .bb file
	Variant string // e.g. "native"; "" for the recipe itself
	PN      string
	PE      string
	PV      string
	PR      string

	Layer    string   // collection whose BBFILE_PATTERN matches the file, or ""
	Priority int      // of that collection
	Appends  []string // .bbappend files, in the order they were applied
	Skip     string   // why the recipe is not for this configuration; "" when it is
	Inherits []string // class files, in order
	Files    []string // every file that was read or looked for

	Provides        []string // PN first
	RProvides       []string // with those of all packages
	Depends         []string
	Packages        []string
	PackagesDynamic []string            // regular expressions
	RDepends        map[string][]string // by package, with the recipe's own
	RRecommends     map[string][]string // likewise

	DefaultPreference int
	ExcludeFromWorld  bool

	Tasks []*Task
	Data  *datastore.Data
}

// Task is one task of a recipe. Recipes share tasks that are the same: they must not be changed.
type Task struct {
	Name  string            // e.g. "do_fetch"
	After []string          // tasks of the same recipe that come before it; some may not exist
	Flags map[string]string // all flags but "deps" and "task", unexpanded
}

// Name identifies the recipe among all multiconfigs, as BitBake writes it, e.g. "mc:x:virtual:native:/l/r/a_1.bb".
func (r *Recipe) Name() string {
	name := r.File
	if r.Variant != "" {
		name = "virtual:" + r.Variant + ":" + name
	}
	if r.MC != "" {
		name = "mc:" + r.MC + ":" + name
	}
	return name
}

// Task is the task called name, with or without "do_", or nil.
func (r *Recipe) Task(name string) *Task {
	if !strings.HasPrefix(name, "do_") {
		name = "do_" + name
	}
	if i := slices.IndexFunc(r.Tasks, func(t *Task) bool { return t.Name == name }); i >= 0 {
		return r.Tasks[i]
	}
	return nil
}
