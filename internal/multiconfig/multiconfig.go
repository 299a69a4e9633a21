// Package multiconfig builds several chains of kas files in one process: each becomes a multiconfig of one build folder, with a TMPDIR
// of its own, so that they share what is the same for them and no two overwrite each other's files.
//
// [Load] reads the chains, [Set.Prepare] writes the build folder's configuration, and [Set.Build], inside the sandbox, builds. A chain
// that cannot be read or built has its error in its [Unit]; the others are built all the same.
package multiconfig

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/kas"
	"n3x/internal/metadata"
)

// Chain is what one multiconfig is made of.
type Chain struct {
	ID    string   // the multiconfig's name
	Files []string // kas files, relative to [Config.Dir]
	Conf  string   // lines behind the kas files' own, "" is none
}

// Name is a name for a chain by its kas files: what it is called by people, and what tells it from others.
func Name(files []string) string {
	var words []string
	for _, f := range files {
		if kind := filepath.Base(filepath.Dir(f)); kind == "image" || kind == "network" || kind == "node" {
			words = append(words, notInNames.ReplaceAllString(strings.TrimSuffix(filepath.Base(f), filepath.Ext(f)), "-"))
		}
	}
	return strings.Join(append(words, digest(strings.Join(files, ":"))), ".")
}

// notInNames is what multiconfigs' names cannot have.
var notInNames = regexp.MustCompile(`[^A-Za-z0-9-]+`)

// Config says how chains are read and built.
type Config struct {
	Dir   string            // what the kas files are relative to
	Top   string            // the build folder
	Env   map[string]string // the user's environment
	Verb  string            // the command that does this, for messages and comments, e.g. "n3x test"
	File  string            // what errors of the whole are about: the file that lists the chains
	Whole bool              // the chains are all there are

	Git     kas.Git
	Inside  bool                                                 // in the sandbox, where everything is checked out
	Check   func(context.Context, *kas.Project) error            // refuses a project before anything is written
	Session func(context.Context, *kas.Project) metadata.Session // the time that what is built bears
	Options func(*kas.Project) build.Options                     // of a build of one of the projects; folders and targets are filled in
	Say     func(string)                                         // shows a line to the user
}

// Unit is a chain that is being built.
type Unit struct {
	Chain
	Project *kas.Project
	Err     error // why it cannot be built, or was not; [ErrNotBuilt] when the reason is told with the build's
}

// Conf is its configuration below the build folder.
func (u *Unit) conf() string   { return filepath.Join("conf/multiconfig", u.ID+".conf") }
func (u *Unit) target() string { return "mc:" + u.ID + ":" + u.Project.Targets[0] }

// ErrNotBuilt is the error of a unit whose reason is told with the build's, ErrNotWanted that of one that was left out.
var (
	ErrNotBuilt  = errors.New("not built")
	ErrNotWanted = errors.New("not wanted")
)

// Set is the units of one build folder.
type Set struct {
	c      Config
	Units  []*Unit
	told   error           // what went wrong in the build, of one unit or of what several need
	warned map[string]bool // warnings that were shown
}

// Load reads each chain's kas files. What is wrong with one is its Err, and does not hinder the others; the error is for what ends all.
func Load(ctx context.Context, c Config, chains []Chain) (*Set, error) {
	s := &Set{c: c, warned: map[string]bool{}}
	return s, s.load(ctx, chains, build.Provides)
}

func (s *Set) load(ctx context.Context, chains []Chain, provides func(*kas.Repo) bool) error {
	s.Units = nil
	env := maps.Clone(s.c.Env)
	env["KAS_WORK_DIR"], env["KAS_BUILD_DIR"] = s.c.Dir, s.c.Top
	for _, chain := range chains {
		u := &Unit{Chain: chain}
		s.Units = append(s.Units, u)
		u.Project, u.Err = kas.Load(ctx, kas.Options{Files: strings.Join(chain.Files, ":"), Dir: s.c.Dir, Env: env, Git: s.c.Git, NoCheckout: s.c.Inside, Provides: provides, Log: s.log})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if u.Err == nil && (len(u.Project.Targets) != 1 || strings.Contains(u.Project.Targets[0], ":")) {
			u.Err = diag.Userf(diag.Pos{File: s.c.File}, "%s builds %s, and here a chain of kas files builds one image without a multiconfig", u.ID, strings.Join(u.Project.Targets, " "))
		}
	}
	return nil
}

func (s *Set) log(l kas.Level, text string) {
	if l == kas.Warning && !s.c.Inside && !s.warned[text] && !strings.Contains(text, "build_system") {
		s.warned[text] = true
		s.c.Say("warning: " + text)
	}
}

// Good are the units that can still be built.
func (s *Set) Good() []*Unit {
	return slices.DeleteFunc(slices.Clone(s.Units), func(u *Unit) bool { return u.Err != nil })
}

// Split gives a set for each selection of layers, since one build has one: s itself for the layers of its first good unit, and others in build
// folders beside its own.
func (s *Set) Split(ctx context.Context) ([]*Set, error) {
	good := s.Good()
	if len(good) == 0 {
		return []*Set{s}, nil
	}
	first := layers(good[0].Project)
	others := map[string][]Chain{}
	var order []string
	s.Units = slices.DeleteFunc(s.Units, func(u *Unit) bool {
		if u.Err != nil || layers(u.Project) == first {
			return false
		}
		key := layers(u.Project)
		if others[key] == nil {
			order = append(order, key)
		}
		others[key] = append(others[key], u.Chain)
		return true
	})
	out := []*Set{s}
	for _, key := range order {
		c := s.c
		c.Top += "-" + digest(key)
		c.Whole = false
		more, err := Load(ctx, c, others[key])
		if err != nil {
			return nil, err
		}
		out = append(out, more)
	}
	return out, nil
}

// OneSelection refuses the units whose layers are not those of the first one.
func (s *Set) OneSelection(hint func(u *Unit) string) {
	for _, u := range s.Units[1:] {
		if u.Err == nil && s.Units[0].Err == nil && layers(u.Project) != layers(s.Units[0].Project) {
			u.Err = diag.Userf(diag.Pos{File: s.c.File}, "%s uses other layers than %s, and all images of one build share theirs", u.ID, s.Units[0].ID).WithHint("%s", hint(u))
		}
	}
}

// Prepare writes the build folder's configuration, and fetches ISAR's repository when only that has what is needed.
func (s *Set) Prepare(ctx context.Context) error {
	if err := s.configure(ctx, s.Units); err != nil {
		return err
	}
	good := s.Good()
	if len(good) == 0 || !slices.ContainsFunc(good[0].Project.Repos, func(r *kas.Repo) bool { return r.Provided }) {
		return nil
	}
	reason := build.Resolve(ctx, s.options(good))
	if reason == nil || !slices.ContainsFunc(good[0].Project.Repos, func(r *kas.Repo) bool { return build.Helps(r, reason) }) {
		return ctx.Err()
	}
	text, _, _ := strings.Cut(reason.Error(), "\n")
	s.c.Say("fetching ISAR's repository, since without its recipes: " + text)
	var chains []Chain
	for _, u := range s.Units {
		chains = append(chains, u.Chain)
	}
	if err := s.load(ctx, chains, build.ProvidesNothing); err != nil {
		return err
	}
	return s.configure(ctx, s.Units)
}

// configure makes each unit a multiconfig of the build folder.
func (s *Set) configure(ctx context.Context, units []*Unit) error {
	for _, dir := range []string{"conf/multiconfig", "n3x/build-roots"} {
		if err := os.MkdirAll(filepath.Join(s.c.Top, dir), 0o777); err != nil {
			return diag.Failedf(diag.Pos{}, "make the build folder: %w", err)
		}
	}
	var first *Unit
	names := []string{}
	for _, u := range units {
		if u.Err != nil {
			continue
		}
		if u.Err = s.c.Check(ctx, u.Project); u.Err != nil {
			continue
		}
		if first == nil {
			first = u
		}
		names = append(names, u.ID)
		text := u.Project.LocalConf + fmt.Sprintf(`
# A multiconfig has folders of its own, so that no two overwrite each other's files.
TMPDIR = "${TOPDIR}/tmp/%s"
# That a package takes a build root is found out once for all of them.
N3X_DPKG_RAW_MARK:forcevariable = "${TOPDIR}/n3x/build-roots/${PN}"
`, u.ID) + u.Conf
		if err := atomicfile.WriteIfChanged(filepath.Join(s.c.Top, u.conf()), []byte(text), 0o666); err != nil {
			return diag.Failedf(diag.Pos{}, "write the configuration of %s: %w", u.ID, err)
		}
	}
	if first == nil {
		return nil
	}
	slices.Sort(names)
	p := *first.Project
	p.LocalConf = fmt.Sprintf("# Written by %s: each image is a multiconfig, and the first one is the default, too.\nBBMULTICONFIG = \"%s\"\n"+
		"include conf/multiconfig/${@d.getVar('BB_CURRENT_MC') in ('', 'default') and '%s' or 'none'}.conf\n", s.c.Verb, strings.Join(names, " "), first.ID)
	if err := p.WriteConf(); err != nil {
		return err
	}
	return metadata.WriteSession(p.BuildDir, s.c.Session(ctx, &p))
}
