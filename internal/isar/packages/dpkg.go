package packages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"n3x/internal/arch"
	"n3x/internal/atomicfile"
	"n3x/internal/buildroot"
	"n3x/internal/debian"
	"n3x/internal/debian/solve"
	"n3x/internal/diag"
	"n3x/internal/isar"
	"n3x/internal/sandbox"
)

// Room builds packages in build roots. Its fields are set once, before the first task.
type Room struct {
	Archives *isar.Archives
	Layers   string // folder of cached layers
}

// Natives are the functions that need a build root or the archives, by the names that the embedded classes call them.
func (r *Room) Natives() map[string]isar.Native {
	return map[string]isar.Native{
		"dpkg.build":        r.build,
		"dpkg.runbuild":     r.runBuild,
		"dpkg.devshell":     r.devshell,
		"dpkg-raw.runbuild": r.runBuildRaw,
	}
}

// build is do_dpkg_build: layers replace, prepend to and append to dpkg_runbuild.
func (r *Room) build(ctx context.Context, c *isar.Call) error { return c.Exec(ctx, "dpkg_runbuild") }

// recipe is what the variables of a recipe say about its build.
type recipe struct {
	work, pp    string
	build, host arch.Arch
	profiles    []string
}

func readRecipe(c *isar.Call) (*recipe, error) {
	v, err := c.Values("WORKDIR", "PP", "BUILD_ARCH", "PACKAGE_ARCH", "N3X_DEB_BUILD_PROFILES")
	if err != nil {
		return nil, err
	}
	r := &recipe{work: v[0], pp: v[1], build: arch.Arch(v[2]), host: arch.Arch(v[3]), profiles: strings.Fields(v[4])}
	for variable, a := range map[string]arch.Arch{"BUILD_ARCH": r.build, "PACKAGE_ARCH": r.host} {
		if !a.Known() {
			return nil, diag.Userf(c.Data.LastSet(variable), "%s of %s is %q, which n3x cannot build for", variable, c.Recipe, a).WithHint("supported: amd64, i386, arm64, armhf, riscv64")
		}
	}
	return r, nil
}

// conditions decide over the build dependencies. Packages for all architectures are made once, by the build that is not
// for a foreign one.
func (r *recipe) conditions() buildroot.Conditions {
	return buildroot.Conditions{Build: r.build, Host: r.host, Profiles: r.profiles, Indep: !slices.Contains(r.profiles, "cross")}
}

// runBuild is dpkg_runbuild: it builds the source package that do_dpkg_source has made.
func (r *Room) runBuild(ctx context.Context, c *isar.Call) error {
	rec, err := readRecipe(c)
	if err != nil {
		return err
	}
	source, err := sourceOf(c, rec.work)
	if err != nil {
		return err
	}
	if err := source.Builds(rec.conditions()); err != nil {
		return err
	}
	if err := c.Emulate(ctx, rec.build); err != nil {
		return err
	}
	root, err := r.root(ctx, c, rec, source)
	if err != nil {
		return err
	}
	run := buildroot.Run{Source: source, Build: rec.build, Host: rec.host, Profiles: rec.profiles, Indep: rec.conditions().Indep, Results: rec.work, Log: c.Log}
	if err := readSurroundings(c, rec, &run); err != nil {
		return err
	}
	if err := forgetResults(rec.work); err != nil {
		return err
	}
	return inScratch(c, func(dir string) error {
		run.Scratch = dir
		c.Progress.Step("building " + source.Name + " " + string(source.Version))
		files, err := run.Do(ctx, root.Stack)
		return errors.Join(err, rememberResults(rec.work, files))
	})
}

// sourceOf is the source package in a work folder.
func sourceOf(c *isar.Call, work string) (*buildroot.Source, error) {
	name, err := c.Value("DEBIAN_SOURCE")
	if err != nil {
		return nil, err
	}
	list, err := filepath.Glob(filepath.Join(escapeGlob(work), escapeGlob(name)+"_*.dsc"))
	if err != nil {
		return nil, err
	}
	switch len(list) {
	case 1:
		return buildroot.ReadSource(list[0])
	case 0:
		return nil, diag.Userf(c.Pos, "%s has no source package %s_*.dsc in %s", c.Recipe, name, work).WithHint("do_dpkg_source makes it; DEBIAN_SOURCE must be the name that debian/changelog gives the source")
	}
	return nil, diag.Userf(c.Pos, "%s has %d source packages %s_*.dsc in %s", c.Recipe, len(list), name, work).WithHint("clean the recipe: bitbake -c clean %s", c.Recipe)
}

// root finds or makes the build root with the build dependencies of source.
func (r *Room) root(ctx context.Context, c *isar.Call, rec *recipe, source *buildroot.Source) (*buildroot.Root, error) {
	needs, err := source.Needs(rec.conditions())
	if err != nil {
		return nil, err
	}
	o, archive, err := r.options(ctx, c, rec)
	if err != nil {
		return nil, err
	}
	root, err := buildroot.Prepare(ctx, o, source.Name, needs)
	var unsolved *solve.Unsatisfiable
	var d *diag.Error
	switch {
	case errors.As(err, &unsolved) && errors.As(err, &d):
		d.Pos = c.Pos
		return nil, d.WithHint("if a recipe of this build makes the missing package, add the recipe to DEPENDS of %s", c.Recipe)
	case err != nil:
		return nil, c.NameRecipes(o.Own, err)
	}
	return root, recordBuildDepends(rec.work, archive.Key, root.Packages)
}

// options are those of the recipe's build root, which is the root file system of the recipe that SCHROOT_DEP names.
func (r *Room) options(ctx context.Context, c *isar.Call, rec *recipe) (buildroot.Options, *isar.Archive, error) {
	var o buildroot.Options
	layers, err := baseLayers(c)
	if err != nil {
		return o, nil, err
	}
	d := c.Data.Copy()
	if err := d.SetVar("ROOTFS_ARCH", string(rec.build)); err != nil {
		return o, nil, err
	}
	archive, err := r.Archives.Open(ctx, d, c.Progress)
	if err != nil {
		return o, nil, err
	}
	o = buildroot.Options{Build: rec.build, Host: rec.host, Foreign: archive.Arches[1:], OfferKey: archive.Digest, Layers: r.Layers, Log: c.Log, Task: c.Progress,
		Offer: func(ctx context.Context) ([]*debian.Package, error) {
			state, err := archive.State(ctx)
			if err != nil {
				return nil, err
			}
			return state.Packages, nil
		},
		Fetch: func(ctx context.Context, list []*debian.Package) ([]string, error) {
			return archive.Client.Fetch(ctx, list, c.Progress)
		}}
	if o.BaseKey, err = isar.LayersKey(layers); err != nil {
		return o, nil, err
	}
	for _, l := range layers {
		o.Base = append(o.Base, l.Dir)
	}
	if err := errors.Join(c.Emulate(ctx, o.Build), c.EmulateAlso(ctx, append([]arch.Arch{o.Host}, o.Foreign...))); err != nil {
		return o, nil, err
	}
	o.Own, err = c.DeployedPackages()
	return o, archive, err
}

// baseLayers are those of the base system. SCHROOT_DIR is a link to its ROOTFSDIR, which lies in its work folder.
func baseLayers(c *isar.Call) ([]isar.Layer, error) {
	v, err := c.Values("SCHROOT_DIR", "SCHROOT_DEP")
	if err != nil {
		return nil, err
	}
	target, err := os.Readlink(v[0])
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.Failedf(c.Pos, "the build root of %s is not there: %w", c.Recipe, err).WithHint("build it: bitbake %s", strings.TrimSuffix(v[1], ":do_build"))
	}
	if err != nil {
		return nil, err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(v[0]), target)
	}
	layers, err := isar.ReadLayers(filepath.Dir(target))
	if err == nil && len(layers) == 0 {
		err = diag.Failedf(c.Pos, "the build root %s of %s is empty", target, c.Recipe).WithHint("build it anew: bitbake -c clean %[1]s && bitbake %[1]s", strings.TrimSuffix(v[1], ":do_build"))
	}
	return layers, err
}

// readSurroundings completes run with its environment, mounts, network and limits.
func readSurroundings(c *isar.Call, rec *recipe, run *buildroot.Run) error {
	var err error
	if run.Env, run.Path, err = buildEnvironment(c); err != nil {
		return err
	}
	if run.Mounts, err = buildMounts(c, rec); err != nil {
		return err
	}
	network, err := c.Flag(c.Name, "network")
	if err != nil {
		return err
	}
	run.Network = truth(network)
	timeout, err := c.Value("DPKG_BUILD_TIMEOUT")
	if err != nil || timeout == "" {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(timeout))
	if err != nil || n < 0 {
		return diag.Userf(c.Data.LastSet("DPKG_BUILD_TIMEOUT"), "DPKG_BUILD_TIMEOUT of %s is %q, not a number of minutes", c.Recipe, timeout)
	}
	run.Stall = time.Duration(n) * time.Minute
	return nil
}

// buildMounts are the folders that ISAR shows a build: the recipe's work folder, downloads and repositories.
func buildMounts(c *isar.Call, rec *recipe) ([]sandbox.Mount, error) {
	v, err := c.Values("DL_DIR", "REPO_ISAR_DIR", "DISTRO", "REPO_BASE_DIR", "USE_CCACHE", "CCACHE_DIR")
	if err != nil {
		return nil, err
	}
	mounts := []sandbox.Mount{{Type: sandbox.Bind, Source: rec.work, Target: rec.pp}}
	for _, m := range [][2]string{{v[0], "/downloads"}, {filepath.Join(v[1], v[2]), "/isar-apt"}, {v[3], "/base-apt"}} {
		if st, err := os.Stat(m[0]); err == nil && st.IsDir() {
			mounts = append(mounts, sandbox.Mount{Type: sandbox.BindRO, Source: m[0], Target: m[1]})
		}
	}
	if !truth(v[4]) {
		return mounts, nil
	}
	if v[5] == "" {
		return nil, diag.Userf(c.Pos, "USE_CCACHE is set, but CCACHE_DIR is empty")
	}
	// The user builder writes there, and whoever deletes it is the user who builds: all may do both.
	if err := errors.Join(os.MkdirAll(v[5], 0o777), os.Chmod(v[5], 0o777)); err != nil {
		return nil, err
	}
	return append(mounts, sandbox.Mount{Type: sandbox.Bind, Source: v[5], Target: "/ccache"}), nil
}

// truth is BitBake's bb.utils.to_boolean, with an empty value as no.
func truth(s string) bool { return isar.Truth(strings.TrimSpace(s)) }

// inScratch gives f the name of a folder that it may make, on the file system of TMPDIR.
func inScratch(c *isar.Call, f func(dir string) error) error {
	tmp, err := c.Value("TMPDIR")
	if err != nil {
		return err
	}
	parent := filepath.Join(tmp, "n3x")
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	return isar.InScratch(parent, func(dir string) error { return f(filepath.Join(dir, "build")) })
}

func resultsFile(work string) string { return filepath.Join(work, "temp", "dpkg_build.json") }

// forgetResults removes what the last build of a work folder made: a package that is no longer built must not be deployed.
func forgetResults(work string) error {
	data, err := os.ReadFile(resultsFile(work))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		return diag.Failedf(diag.Pos{File: resultsFile(work)}, "read what was built before: %w", err).WithHint("run the recipe's task clean")
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(work, filepath.Base(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func rememberResults(work string, files []string) error {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = filepath.Base(f)
	}
	data, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return atomicfile.Write(resultsFile(work), data, 0o644)
}

// BuildDepends is what was added to a recipe's build root from the archives, for lock files.
type BuildDepends struct {
	Archive  string // key of the archive's configuration
	Packages []*debian.Package
}

func buildDependsFile(work string) string { return filepath.Join(work, "temp", "build-depends.json") }

func recordBuildDepends(work, archive string, list []*debian.Package) error {
	data, err := json.Marshal(BuildDepends{archive, list})
	if err != nil {
		return err
	}
	return atomicfile.Write(buildDependsFile(work), data, 0o644)
}

// ReadBuildDepends gives what the last build in a work folder was built with; an error that is [fs.ErrNotExist] when there was none.
func ReadBuildDepends(work string) (*BuildDepends, error) {
	data, err := os.ReadFile(buildDependsFile(work))
	if err != nil {
		return nil, err
	}
	var b BuildDepends
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("read %s: %w", buildDependsFile(work), err)
	}
	return &b, nil
}
