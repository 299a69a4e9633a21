// Package isar runs the bodies of tasks: it is the bridge between metadata and machines.
//
// A task body is a function of the datastore. Shell functions run in a sandbox whose root is the tools tree, as root of
// their own user namespace, with a sudo that does nothing special. A line "n3x_native NAME ARGS" in a shell function's
// body calls the Go function registered under NAME, so that the embedded classes bind heavy work to Go while layers can
// still append to, prepend to or replace the function as they know it.
//
// Mirrors bitbake lib/bb/build.py (exec_task, exec_func) and ISAR's meta/classes-global/base.bbclass.
package isar

import (
	"context"
	"embed"
	"io"
	"io/fs"
	"sync"

	"n3x/internal/arch"
	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
	"n3x/internal/progress"
)

//go:embed meta meta-isar
var meta embed.FS

// Meta is the native engine's own layer: conf/bitbake.conf, the classes, and recipes that ISAR's meta has.
func Meta() fs.FS { return layer("meta") }

// StandIn is a layer that takes the place of ISAR's meta-isar where only its machines are used.
func StandIn() fs.FS { return layer("meta-isar") }

func layer(name string) fs.FS {
	sub, err := fs.Sub(meta, name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return sub
}

// Native is a task body, or a part of one, written in Go.
type Native func(ctx context.Context, c *Call) error

// Python runs the Python functions of a datastore. What they give to bb.build.exec_func goes to run.
type Python interface {
	Exec(ctx context.Context, function string, d *datastore.Data, run func(context.Context, string, *datastore.Data) error) error
}

// Tools gives directories to stack up as a root that holds Debian packages.
type Tools interface {
	Layers(ctx context.Context, packages ...string) ([]string, error)
	Tree(ctx context.Context, packages ...string) (dir string, versions map[string]string, err error)
}

// Terminal is where a task may talk to the user.
type Terminal struct {
	In       io.Reader
	Out, Err io.Writer
	Term     string // the kind of terminal, e.g. "xterm"; "" when there is none
}

// PlanAgain is the error of a task that has found out that it needs more tasks before it, and has noted that where the
// metadata sees it: the same build, planned anew, succeeds.
type PlanAgain struct{ Recipe, Reason string }

// Error implements error.
func (p *PlanAgain) Error() string {
	return p.Recipe + " needs a build root after all: " + p.Reason + "; the same command, run again, makes it first"
}

// Engine runs tasks. Its fields are set once, before the first task.
type Engine struct {
	Natives map[string]Native
	User    *Terminal // nil when nobody is there to talk to
	Python  Python
	Tools   Tools
	// Emulator makes programs of a foreign architecture run in sandboxes; see [Call.Emulate]. nil = only what the host runs itself.
	Emulator func(ctx context.Context, a arch.Arch) error
	Replay   func(c *Call) string // the command that runs a failed task again, to be shown to the user

	Deployers map[string]Deployer // recipes whose packages this build deploys, by owner; see OwnerOf

	trees sync.Map // work folder -> *sync.Mutex: one task at a time has a recipe's root file system mounted
}

// Task names one task to run and gives it what it may change.
type Task struct {
	Recipe    string   // e.g. "isar-k3s-image-base", for messages
	Name      string   // e.g. "do_rootfs_install"
	Ancestors []string // names of the same recipe's tasks that ran before it
	Deployed  []string // work folders of the recipes whose packages were deployed before it
	Data      *datastore.Data
	Pos       diag.Pos // where the recipe is
	Progress  *progress.Task
	Left      func(path string) // told by [Call.Leave]; nil = nobody asks
}

// Call is a running task as its functions see it.
type Call struct {
	*Engine
	Task
	Args []string  // what follows the native's name
	Log  io.Writer // the task's log file

	run *runState

	carry    *carry   // what the shell lines before the current part of the function have left
	dir      string   // working folder of the current function
	depth    int      // of functions that call functions
	programs []string // packages of the tools tree that the current command needs beside the common ones
}

// runState is what all functions of one running task share.
type runState struct{ tree *Tree }

// Leave says that the task has made a file without which it counts as not done.
func (c *Call) Leave(path string) {
	if c.Left != nil {
		c.Left(path)
	}
}

// Tree is the recipe's root file system, mounted at Tree.Dir; nil when it has none yet.
func (c *Call) Tree() *Tree { return c.run.tree }

// Value is the expanded value of a variable; an undefined one is empty.
func (c *Call) Value(name string) (string, error) { return c.Data.Value(name) }

// Values are the expanded values of several variables, in order.
func (c *Call) Values(names ...string) ([]string, error) {
	out := make([]string, len(names))
	for i, n := range names {
		v, err := c.Data.Value(n)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// Words is the value of a variable, split at white space.
func (c *Call) Words(name string) ([]string, error) { return c.Data.Words(name) }

// Flag is the expanded value of a variable's flag, "" when it is not set.
func (c *Call) Flag(name, flag string) (string, error) {
	v, _, err := c.Data.VarFlag(name, flag, true)
	return v, err
}
