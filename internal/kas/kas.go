// Package kas reads kas project files and makes the build's setting from them: which repositories and layers, which
// targets, and the text of conf/local.conf and conf/bblayers.conf.
//
// Input: kas files (YAML 1.1 as PyYAML reads it, or JSON) of the format versions 1 to 23, joined by colons, with their
// includes and lock files. Output: a [Project]. The package mirrors kas 5.4 (includehandler.py, config.py, repos.py and
// the WriteBBConfig step of libcmds.py); its schema is kas/schema-kas.json, with file and line on every complaint.
//
// It starts no process and opens no socket: git runs through the [Git] that the caller injects.
//
// Refused by name: Mercurial repositories and signed repositories.
package kas

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// Oldest and newest format version that are understood (header.version).
const (
	OldestVersion = 1
	NewestVersion = 23
)

// Git runs the host's git program.
type Git interface {
	// Git runs git with args in the folder dir; env ("NAME=value") is added to the environment. The error is not nil only
	// when git could not be run at all or ctx ended; another exit status than 0 is a result.
	Git(ctx context.Context, dir string, env []string, args ...string) (stdout, stderr string, status int, err error)
}

// Level is how loud a log message is.
type Level int

const (
	Debug Level = iota
	Info
	Warning
)

// Options say what to load and how. Only Dir and Git are needed.
type Options struct {
	Files string            // e.g. "kas/base.yml:kas/machine/qemu-amd64.yml"; "" means .config.yaml in the work folder
	Dir   string            // the current folder: where relative names start, and the default work folder
	Env   map[string]string // the caller's environment: KAS_* and the names that the files' env: lists

	Git Git // how to run git; not needed with NoCheckout

	Targets []string // win over KAS_TARGET and the files
	Task    string   // wins over KAS_TASK and the files

	Update        bool // ignore lock files and fetch what branches hold now
	ForceCheckout bool // discard local changes in checkouts
	NoCheckout    bool // touch no repository: what is on disk is taken as it is

	// Provides reports whether the build engine itself brings everything that the layers of r would give it. Such a
	// repository is neither cloned nor updated, unless an include needs a file of it. nil means never.
	Provides func(r *Repo) bool

	Log func(Level, string) // receives messages for the user; nil is silent
}

// Project is a complete, checked configuration.
type Project struct {
	WorkDir  string // absolute; repositories without path: are checked out below it
	BuildDir string // absolute; becomes TOPDIR
	TopRepo  string // root of the repository that holds the first file, or that file's folder

	Machine     string
	Distro      string
	Targets     []string // e.g. ["mc:qemuamd64-trixie:isar-image-base"]
	Task        string   // e.g. "build"
	BuildSystem string   // "openembedded", "isar-privileged" or "isar-rootless"

	// Env is what the build gets passed through: the names of env: with the caller's value or else the file's, and
	// SSTATE_DIR, SSTATE_MIRRORS, DL_DIR and TMPDIR of the caller.
	Env map[string]string

	Repos        []*Repo // in the order of their first appearance in the files
	LocalConf    string  // text of conf/local.conf
	BBLayersConf string  // text of conf/bblayers.conf

	Files  []File     // every file that was loaded, in merge order
	Config *yaml.Node // the merged configuration
}

// File is one loaded configuration file.
type File struct {
	Path     string // absolute
	Lock     bool   // found as the lock file of another one
	External bool   // lies in another repository than the first file
}

// Repo is one entry of repos:.
type Repo struct {
	ID   string // key in the file
	Name string // folder name and sort key; the ID unless name: says otherwise
	URL  string // "" when the repository is local: no version control operation touches it
	Path string // absolute

	Commit, Branch, Tag, Refspec string

	Layers  []Layer
	Patches []Patch

	// Provided is set when the build engine brings what this repository holds; then Path may not exist.
	Provided bool

	Pos diag.Pos // where the entry is last written
}

// Layer is one enabled layer of a repository.
type Layer struct {
	Name     string // as written, e.g. "meta"; "" or "." is the repository itself
	Path     string // absolute
	Prio     int    // higher comes earlier in BBLAYERS
	Provided bool   // as [Repo.Provided]
}

// Patch is one entry of a repository's patches:.
type Patch struct {
	ID   string
	Repo string // ID of the repository that holds the patch
	Path string // file, or folder with a quilt series, relative to that repository
	Pos  diag.Pos
}

// Layers are all layers in the order of BBLAYERS.
func (p *Project) Layers() []Layer { return sortedLayers(p.Repos) }

// Load reads the files, checks the repositories out, and returns the project. Nothing is written into the build folder
// before [Project.WriteConf].
func Load(ctx context.Context, o Options) (*Project, error) {
	l, err := newLoader(o)
	if err != nil {
		return nil, err
	}
	return l.load(ctx)
}

// cacheDirTag marks a folder as not worth a backup (https://bford.info/cachedir/).
const cacheDirTag = "Signature: 8a477f597d28d172789f06886806bc55\n" +
	"# This folder is filled by a build and can be made again.\n"

// WriteConf makes the build folder, if it is missing, and writes conf/local.conf and conf/bblayers.conf into it.
// Files that already hold the right text keep their time.
func (p *Project) WriteConf() error {
	if _, err := os.Stat(filepath.Dir(p.BuildDir)); err != nil {
		return diag.Userf(diag.Pos{}, "make build folder %s: the folder above it does not exist", p.BuildDir).
			WithHint("mkdir -p %s, or set KAS_BUILD_DIR", filepath.Dir(p.BuildDir))
	}
	if err := os.MkdirAll(filepath.Join(p.BuildDir, "conf"), 0o777); err != nil {
		return diag.Failedf(diag.Pos{}, "make build folder: %w", err)
	}
	tag := filepath.Join(p.BuildDir, "CACHEDIR.TAG")
	if _, err := os.Lstat(tag); err != nil {
		if err := atomicfile.Write(tag, []byte(cacheDirTag), 0o666); err != nil {
			return diag.Failedf(diag.Pos{}, "mark build folder: %w", err)
		}
	}
	for name, text := range map[string]string{"local.conf": p.LocalConf, "bblayers.conf": p.BBLayersConf} {
		if err := atomicfile.WriteIfChanged(filepath.Join(p.BuildDir, "conf", name), []byte(text), 0o666); err != nil {
			return diag.Failedf(diag.Pos{}, "write conf/%s: %w", name, err)
		}
	}
	return nil
}

// loader is the state of one Load.
type loader struct {
	o        Options
	workDir  string
	buildDir string
	tops     []string // absolute names of the command line's files
	topRepo  string
	parsed   map[string]*yaml.Node // file name -> its checked content
	warned   map[string]bool
}

func newLoader(o Options) (*loader, error) {
	if !filepath.IsAbs(o.Dir) {
		return nil, fmt.Errorf("BUG: kas.Options.Dir %q is not absolute", o.Dir)
	}
	l := &loader{o: o, parsed: map[string]*yaml.Node{}, warned: map[string]bool{}}
	l.workDir = l.abs(o.Env["KAS_WORK_DIR"])
	l.buildDir = filepath.Join(l.workDir, "build")
	if d := o.Env["KAS_BUILD_DIR"]; d != "" {
		l.buildDir = l.abs(d)
	}
	files := o.Files
	if files == "" {
		files = filepath.Join(l.workDir, ".config.yaml")
		if _, err := os.Stat(files); err != nil {
			return nil, diag.Userf(diag.Pos{}, "no kas file is named, and %s does not exist", l.show(files)).
				WithHint("name the kas files, joined by colons: kas/base.yml:kas/machine/qemu-amd64.yml")
		}
	}
	for _, f := range strings.Split(files, ":") {
		if f == "" {
			return nil, diag.Userf(diag.Pos{}, "empty name in the list of kas files %q", files).
				WithHint("join the names by single colons: kas/base.yml:kas/machine/qemu-amd64.yml")
		}
		l.tops = append(l.tops, l.abs(f))
	}
	return l, nil
}

// abs makes a name of the command line or the environment absolute; "" is the current folder.
func (l *loader) abs(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(l.o.Dir, name)
}

// show is the name of a file as messages show it: relative when it lies below the current folder.
func (l *loader) show(path string) string {
	if rel, err := filepath.Rel(l.o.Dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

func (l *loader) log(level Level, format string, args ...any) {
	if l.o.Log != nil {
		l.o.Log(level, fmt.Sprintf(format, args...))
	}
}

// warnOnce logs a warning unless it was already logged: files and repositories are read several times.
func (l *loader) warnOnce(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !l.warned[text] {
		l.warned[text] = true
		l.log(Warning, "%s", text)
	}
}

// merged is upd laid over base as kas does it: mappings merge key by key, everything else replaces.
// Neither operand is changed. A key keeps the place of its first appearance.
func merged(base, upd *yaml.Node) *yaml.Node {
	b, u := base.Map(), upd.Map()
	if b == nil || u == nil {
		return upd
	}
	out := &yaml.Map{}
	for _, e := range b.Entries() {
		out.Set(e)
	}
	for _, e := range u.Entries() {
		if old := out.Lookup(e.Key); old != nil {
			e.Node = merged(old, e.Node)
		}
		out.Set(e)
	}
	return &yaml.Node{Pos: upd.Pos, Value: out}
}

// wrapped is a mapping with one key.
func wrapped(key string, value *yaml.Node) *yaml.Node {
	m := &yaml.Map{}
	m.Set(yaml.Entry{Key: key, Node: value})
	return &yaml.Node{Value: m}
}
