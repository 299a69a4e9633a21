package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/fetch"
	"n3x/internal/host"
	"n3x/internal/kas"
	"n3x/internal/metadata"
	"n3x/internal/multiconfig"
)

// project loads kas files and sets the build folder up. ISAR's repository is fetched only when recipes of it are used.
func (a *app) project(ctx context.Context, files string, f *buildFlags) (*kas.Project, error) {
	p, err := a.load(ctx, files, f, build.Provides)
	if err != nil || inside() || !slices.ContainsFunc(p.Repos, func(r *kas.Repo) bool { return r.Provided }) {
		return p, err
	}
	o := a.options(p, f)
	if o.Targets = slices.Concat(f.targets, f.wanted); len(o.Targets) == 0 {
		o.Targets = p.Targets
	}
	reason := build.Resolve(ctx, o)
	if reason == nil || ctx.Err() != nil || !slices.ContainsFunc(p.Repos, func(r *kas.Repo) bool { return build.Helps(r, reason) }) {
		return p, ctx.Err() // what is wrong is told where it is needed
	}
	text, _, _ := strings.Cut(reason.Error(), "\n")
	fmt.Fprintf(a.stderr, "%s: fetching ISAR's repository, since without its recipes: %s\n", a.name, text)
	full, err := a.load(ctx, files, f, build.ProvidesNothing)
	if err != nil {
		return nil, errors.Join(reason, err)
	}
	return full, nil
}

// load reads kas files, checks out what provides does not cover, and writes the build folder's configuration.
func (a *app) load(ctx context.Context, files string, f *buildFlags, provides func(*kas.Repo) bool) (*kas.Project, error) {
	o := kas.Options{
		Files: files, Dir: a.dir, Env: a.env, Git: fetch.HostGit{}, Targets: f.targets, Task: f.task, Update: f.update,
		NoCheckout: inside(),
		Provides:   provides,
		Log: func(l kas.Level, text string) {
			// What the name "isar" will mean to kas one day does not matter here.
			if l == kas.Warning && !inside() && a.loaded == nil && !strings.Contains(text, "build_system") {
				fmt.Fprintf(a.stderr, "%s: warning: %s\n", a.name, text)
			}
		},
	}
	a.lockFile = a.lockPath(files)
	p, err := kas.Load(ctx, o)
	a.loaded = p
	if err != nil || inside() {
		return p, err
	}
	if err := a.checkProject(ctx, p); err != nil {
		return nil, err
	}
	if err := p.WriteConf(); err != nil {
		return nil, err
	}
	return p, metadata.WriteSession(p.BuildDir, a.session(ctx, p, a.lockFile))
}

// checkProject refuses what cannot be built, before anything is written.
func (a *app) checkProject(ctx context.Context, p *kas.Project) error {
	if err := checkLayers(p); err != nil {
		return err
	}
	warnings, err := host.Host{}.Preflight(ctx, host.Needs{Dirs: []string{p.BuildDir}})
	for _, w := range warnings {
		fmt.Fprintf(a.stderr, "%s: warning: %s\n", a.name, w)
	}
	if err != nil || p.BuildSystem != "openembedded" {
		return err
	}
	var pos diag.Pos
	if n := p.Config.Lookup("build_system"); n != nil {
		pos = n.Pos
	}
	return diag.Userf(pos, "build_system is openembedded, and n3x builds ISAR projects only").WithHint("set `build_system: isar` if the layers are ISAR's")
}

// multiconfig says how several chains of kas files are built in one process. values are variables that the built targets are asked for.
func (a *app) multiconfig(verb, dir, top, lockFile string, offline bool, values ...string) multiconfig.Config {
	a.lockFile = lockFile
	return multiconfig.Config{
		Dir: dir, Top: top, Env: a.env, Verb: verb, Git: fetch.HostGit{}, Inside: inside(), Check: a.checkProject,
		Session: func(ctx context.Context, p *kas.Project) metadata.Session { return a.session(ctx, p, lockFile) },
		Options: func(p *kas.Project) build.Options {
			o := a.options(p, &buildFlags{offline: offline})
			o.Values = values
			return o
		},
		Say: func(text string) { fmt.Fprintf(a.stderr, "%s: %s\n", a.name, text) },
	}
}
