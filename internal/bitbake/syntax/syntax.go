// Package syntax reads BitBake metadata files (.conf, .bb, .bbappend, .bbclass, .inc) into statements.
//
// Input is a file's name and bytes; output is its statements in order, each with its place. Nothing is evaluated: names
// and values keep their ${} references, so one parsed file serves every recipe and every multiconfig that reads it, and
// must be treated as immutable.
//
// The grammar is that of bitbake's lib/bb/parse/parse_py/{ConfHandler,BBHandler}.py, including its quirks that metadata
// in the field relies on: lines are joined before they are recognised, a value may hold its own quote character an even
// number of times, and a configuration file (.conf) knows fewer statements than a recipe. What BitBake refuses is
// refused here with the source line and, where one is near, the word that was meant.
package syntax

import (
	"path"
	"strings"

	"n3x/internal/diag"
)

// File is one parsed metadata file.
type File struct {
	Name       string // as given to Parse
	Statements []Statement
	Warnings   []Warning // what BitBake would warn about whenever the file is parsed
}

// Warning is a remark that does not stop the parse.
type Warning struct {
	Pos  diag.Pos
	Text string
}

// TightAssignment begins the text of a [Warning] that BitBake gives since release 2.13.
const TightAssignment = "lack of whitespace around the assignment"

// Statement is one of [*Assignment], [*Export], [*Unset], [*Include], [*Inherit], [*Function], [*Def],
// [*ExportFunctions], [*AddTask], [*DelTask], [*AddHandler], [*AddPyLib] and [*AddFragments].
type Statement interface {
	Line() int // where it starts; for a function the line of its closing brace, which is what BitBake records
}

type line int

// Line is the statement's line in its file.
func (l line) Line() int { return int(l) }

// Op is an assignment operator.
type Op uint8

// The assignment operators.
const (
	Set         Op = iota // =
	WeakDefault           // ??=
	Default               // ?=
	Immediate             // :=
	Append                // +=
	Prepend               // =+
	PostDot               // .=
	PreDot                // =.
)

// String is the operator as written.
func (o Op) String() string {
	return [...]string{"=", "??=", "?=", ":=", "+=", "=+", ".=", "=."}[o]
}

// Assignment is NAME = "value" with any operator, optionally on a flag, optionally exported.
type Assignment struct {
	line
	Name   string // e.g. "IMAGE_INSTALL:append:qemuamd64"
	Flag   string // e.g. "depends"; "" for the variable itself
	Op     Op
	Value  string
	Export bool
}

// Export is `export NAME`.
type Export struct {
	line
	Name string
}

// Unset is `unset NAME` or `unset NAME[flag]`.
type Unset struct {
	line
	Name string
	Flag string
}

// Include is `include`, `require` or `include_all`.
type Include struct {
	line
	Files   string // may hold several names and ${}
	Require bool
	All     bool
}

// Inherit is `inherit` or `inherit_defer`.
type Inherit struct {
	line
	Classes  string // may hold several names and ${}
	Deferred bool
}

// Function is a shell or python function: `NAME() {`, `python NAME() {`, `fakeroot NAME() {`, `python () {`.
type Function struct {
	line
	Name      string // "" for anonymous python
	Body      string // with a trailing newline when not empty
	Python    bool
	Fakeroot  bool
	FirstLine int // line of the head, which is what BitBake's lineno flag holds
}

// Def is a python `def NAME(...):` with its whole source, including the def line.
type Def struct {
	line
	Name      string
	Source    string
	FirstLine int // line of the def
}

// ExportFunctions is EXPORT_FUNCTIONS of a class.
type ExportFunctions struct {
	line
	Names []string
	Class string // name of the class the statement stands in, "" outside classes
}

// AddTask is `addtask TASKS [after ...] [before ...]`, unexpanded.
type AddTask struct {
	line
	Tasks, Before, After string
}

// DelTask is `deltask TASKS`, unexpanded.
type DelTask struct {
	line
	Tasks string
}

// AddHandler is `addhandler NAMES`.
type AddHandler struct {
	line
	Names []string
}

// AddPyLib is `addpylib DIR NAMESPACE`; it is allowed in layer.conf, bblayers.conf and bitbake.conf only, which the evaluator checks.
type AddPyLib struct {
	line
	Dir, Namespace string
}

// AddFragments is `addfragments PREFIX VARIABLE FLAGGED-VARIABLES BUILTIN-FRAGMENTS`.
type AddFragments struct {
	line
	Prefix, Variable, Flagged, Builtin string
}

// Supported reports whether name has an extension that BitBake includes: .conf, .bb, .bbclass or .inc.
func Supported(name string) bool {
	switch path.Ext(name) {
	case ".conf", ".bb", ".bbclass", ".inc":
		return true
	}
	return false
}

// Dialect is the release of BitBake whose rules a file is read by.
type Dialect uint8

// The dialects. Up to 2.8 there were no include_all and addfragments, a flag's name held no slash, addtask took one task, and no
// white space around operators was not worth a warning.
const (
	Newest Dialect = iota
	Until28
)

// Parse reads one file by the newest rules; see [Dialect.Parse].
func Parse(name string, data []byte) (*File, error) { return Newest.Parse(name, data) }

// Parse reads one file. Files whose name ends in .conf follow the rules of configuration files, all others those of recipes.
// It stops at the first line that BitBake would refuse; the error is a [*diag.Error].
func (dialect Dialect) Parse(name string, data []byte) (*File, error) {
	lines, err := splitLines(name, data)
	if err != nil {
		return nil, err
	}
	p := &parser{file: &File{Name: name}, lines: lines, dialect: dialect}
	if strings.HasSuffix(name, ".conf") {
		p.conf = true
		err = p.parseConf()
	} else {
		if base := path.Base(name); path.Ext(base) == ".bbclass" {
			p.class = strings.TrimSuffix(base, ".bbclass")
		}
		err = p.parseRecipe()
	}
	if err != nil {
		return nil, err
	}
	return p.file, nil
}
