package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"n3x/internal/atomicfile"
	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/fetch"
	"n3x/internal/kas"
	"n3x/internal/matrix"
	"n3x/internal/metadata"
	"n3x/internal/progress"
)

// statusFile is the package database of an image.
const statusFile = "var/lib/dpkg/status"

func (a *app) matrixBuild() *cobra.Command {
	var f matrixFlags
	c := &cobra.Command{
		Use:   "build",
		Short: "Build the variants in one process, and register their files",
		Long: `Build the variants in one process, so that they share what is the same for them, and put their files into build/tmp/deploy/matrix by
names of their own, beside a registry with hashes (registry.json, and isar-artifacts.nix for Nix). When a variant fails, the others are
built all the same; it then has no entry in the registry.`,
		Example: "  n3x matrix build\n  n3x matrix build --machine qemuamd64 --role server\n  n3x matrix build --overlay kas/test/console.yml --profile simple",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.runMatrixBuild(c.Context(), &f) },
	}
	f.register(c)
	c.Flags().StringArrayVar(&f.overlays, "overlay", nil, "a kas file behind each variant's own, for tests (repeatable)")
	c.Flags().BoolVar(&f.offline, "offline", false, "use what was downloaded before, never the network")
	a.plain.register(c)
	return c
}

// unit is a variant that is being built.
type unit struct {
	matrix.Variant
	chain   []string
	project *kas.Project
	err     error
}

func (u *unit) conf() string   { return filepath.Join("conf/multiconfig", u.ID()+".conf") }
func (u *unit) target() string { return "mc:" + u.ID() + ":" + u.project.Targets[0] }

func (a *app) runMatrixBuild(ctx context.Context, f *matrixFlags) error {
	m, err := a.openMatrix(f)
	if err != nil {
		return err
	}
	if f.dryRun {
		return m.showChains()
	}
	start := time.Now()
	units, err := m.load(ctx, build.Provides)
	if err != nil {
		return err
	}
	if !inside() {
		if err := m.checkToken(units); err != nil {
			return err
		}
		if units, err = m.prepare(ctx, units); err != nil {
			return err
		}
	}
	good := slices.DeleteFunc(slices.Clone(units), func(u *unit) bool { return u.err != nil })
	if len(good) == 0 {
		return m.failures(units)
	}
	if !inside() {
		if err := m.noteInputs(ctx); err != nil {
			return err
		}
	}
	in, err := a.enter()
	if err != nil || !in {
		return err
	}
	inputs, err := m.inputs()
	if err != nil {
		return err
	}
	stream, done := a.progress()
	made, ran, err := m.build(ctx, good, stream)
	done()
	if err != nil {
		return err
	}
	return errors.Join(m.register(ctx, made, units, inputs, ran, time.Since(start)), m.failures(units))
}

// load reads each variant's kas files; what is wrong with one is remembered, and does not hinder the others.
func (m *theMatrix) load(ctx context.Context, provides func(*kas.Repo) bool) ([]*unit, error) {
	var out []*unit
	warned := map[string]bool{}
	env := maps.Clone(m.a.env)
	env["KAS_WORK_DIR"], env["KAS_BUILD_DIR"] = m.dir, m.top()
	for _, v := range m.chosen {
		chain, err := m.chain(v)
		if err != nil {
			return nil, err
		}
		u := &unit{Variant: v, chain: chain}
		out = append(out, u)
		u.project, u.err = kas.Load(ctx, kas.Options{Files: strings.Join(chain, ":"), Dir: m.dir, Env: env, Git: fetch.HostGit{}, NoCheckout: inside(), Provides: provides,
			Log: func(l kas.Level, text string) {
				if l == kas.Warning && !inside() && !warned[text] && !strings.Contains(text, "build_system") {
					warned[text] = true
					fmt.Fprintf(m.a.stderr, "%s: warning: %s\n", m.a.name, text)
				}
			}})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if u.err == nil && (len(u.project.Targets) != 1 || strings.Contains(u.project.Targets[0], ":")) {
			u.err = diag.Userf(diag.Pos{File: m.def.File}, "%s builds %s, and a variant is one image without a multiconfig", u.ID(), strings.Join(u.project.Targets, " "))
		}
		if u.err == nil && out[0].err == nil && u.project.BBLayersConf != out[0].project.BBLayersConf {
			u.err = diag.Userf(diag.Pos{File: m.def.File}, "%s uses other layers than %s, and all variants of one build share theirs", u.ID(), out[0].ID()).
				WithHint("build it by itself: --machine %s --role %s", u.Machine, u.Role)
		}
	}
	return out, nil
}

// checkToken refuses, before anything is built, nodes that join a cluster whose token is nowhere.
func (m *theMatrix) checkToken(units []*unit) error {
	if m.a.env["K3S_TOKEN_FILE"] != "" {
		return nil
	}
	name := m.a.env["CLUSTER_NAME"]
	if name == "" {
		name = "default"
	}
	if _, err := os.Stat(m.a.secrets().Token(name)); err == nil {
		return nil
	}
	var ids []string
	for _, u := range units {
		if u.Joins && u.err == nil && !strings.Contains(u.project.LocalConf, "K3S_TOKEN_FILE") && !strings.Contains(u.project.LocalConf, "CLUSTER_NAME") {
			ids = append(ids, u.ID())
		}
	}
	if ids == nil {
		return nil
	}
	e := diag.Userf(diag.Pos{}, "%d of the variants join a cluster, which takes its token, and there is none: %s", len(ids), strings.Join(ids, " "))
	if name != "default" {
		return e.WithHint("n3x cluster token --name %s, or set K3S_TOKEN_FILE", name)
	}
	return e.WithHint("n3x cluster token, or set K3S_TOKEN_FILE")
}

// prepare writes the build folder's configuration: one multiconfig for each variant, with a TMPDIR of its own.
func (m *theMatrix) prepare(ctx context.Context, units []*unit) ([]*unit, error) {
	if err := m.configure(ctx, units); err != nil {
		return nil, err
	}
	good := slices.DeleteFunc(slices.Clone(units), func(u *unit) bool { return u.err != nil })
	if len(good) == 0 || !slices.ContainsFunc(good[0].project.Repos, func(r *kas.Repo) bool { return r.Provided }) {
		return units, nil
	}
	reason := build.Resolve(ctx, m.options(good))
	if reason == nil || !slices.ContainsFunc(good[0].project.Repos, func(r *kas.Repo) bool { return build.Helps(r, reason) }) {
		return units, ctx.Err()
	}
	text, _, _ := strings.Cut(reason.Error(), "\n")
	fmt.Fprintf(m.a.stderr, "%s: fetching ISAR's repository, since without its recipes: %s\n", m.a.name, text)
	units, err := m.load(ctx, build.ProvidesNothing)
	if err != nil {
		return nil, err
	}
	return units, m.configure(ctx, units)
}

func (m *theMatrix) configure(ctx context.Context, units []*unit) error {
	var first *unit
	names := []string{}
	if err := os.MkdirAll(filepath.Join(m.top(), "conf/multiconfig"), 0o777); err != nil {
		return diag.Failedf(diag.Pos{}, "make the build folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(m.top(), "n3x/build-roots"), 0o777); err != nil {
		return diag.Failedf(diag.Pos{}, "make the build folder: %w", err)
	}
	for _, u := range units {
		if u.err != nil {
			continue
		}
		if u.err = m.a.checkProject(ctx, u.project); u.err != nil {
			continue
		}
		if first == nil {
			first = u
		}
		names = append(names, u.ID())
		text := u.project.LocalConf + fmt.Sprintf(`
# A variant of the matrix has folders of its own, so that no two overwrite each other's files.
TMPDIR = "${TOPDIR}/tmp/%s"
# That a package takes a build root is found out once for all of them.
N3X_DPKG_RAW_MARK:forcevariable = "${TOPDIR}/n3x/build-roots/${PN}"
`, u.ID())
		if u.Skip != nil {
			text += fmt.Sprintf("IMAGE_FSTYPES:remove = \"%s\"\n", strings.Join(u.Skip, " "))
		}
		if err := atomicfile.WriteIfChanged(filepath.Join(m.top(), u.conf()), []byte(text), 0o666); err != nil {
			return diag.Failedf(diag.Pos{}, "write the configuration of %s: %w", u.ID(), err)
		}
	}
	if first == nil {
		return nil
	}
	slices.Sort(names)
	p := *first.project
	p.LocalConf = fmt.Sprintf("# Written by n3x matrix build: each variant is a multiconfig, and the first one is the default, too.\nBBMULTICONFIG = \"%s\"\n"+
		"include conf/multiconfig/${@d.getVar('BB_CURRENT_MC') in ('', 'default') and '%s' or 'none'}.conf\n", strings.Join(names, " "), first.ID())
	if err := p.WriteConf(); err != nil {
		return err
	}
	return metadata.WriteSession(p.BuildDir, m.a.session(ctx, &p, m.lockFile()))
}

// lockFile is n3x.lock beside the first overlay, as for builds of one image.
func (m *theMatrix) lockFile() string {
	return filepath.Join(filepath.Dir(filepath.Join(m.dir, m.def.Base[0])), "n3x.lock")
}

func (m *theMatrix) options(units []*unit) build.Options {
	m.a.lockFile = m.lockFile()
	o := m.a.options(units[0].project, &buildFlags{offline: m.f.offline, keepGoing: true})
	o.TopDir = m.top()
	o.Packages = filepath.Join(m.top(), "tmp/packages")
	o.Whole = m.f.All() && len(units) == len(m.all)
	o.Values = []string{"DEPLOY_DIR_IMAGE", "IMAGE_FULLNAME", "K3S_VERSION", "SOURCE_DATE_EPOCH"}
	for _, u := range units {
		o.Targets = append(o.Targets, u.target())
	}
	o.Replay = func(target, task string) string {
		_, rest, _ := strings.Cut(target, ":")
		id, pn, _ := strings.Cut(rest, ":")
		for _, u := range units {
			if u.ID() == id {
				return fmt.Sprintf("kas-build %s --target %s --task %s", shellWord(strings.Join(u.chain, ":")), pn, task)
			}
		}
		return "n3x matrix build"
	}
	return o
}

// build builds the variants. Those that cannot even be planned are found one by one, and left out.
func (m *theMatrix) build(ctx context.Context, units []*unit, stream *progress.Stream) ([]build.Target, int, error) {
	o := m.options(units)
	o.Progress = stream
	result, err := build.Run(ctx, o)
	if ctx.Err() != nil {
		return nil, 0, err
	}
	if result == nil && err != nil && len(units) > 1 {
		return m.buildPlannable(ctx, units, stream, err)
	}
	if result == nil {
		return nil, 0, m.relocate(units, err)
	}
	m.blame(units, result, err)
	return result.Targets, result.Ran, nil
}

// buildPlannable builds the variants that can be planned by themselves.
func (m *theMatrix) buildPlannable(ctx context.Context, units []*unit, stream *progress.Stream, whole error) ([]build.Target, int, error) {
	var good []*unit
	for _, u := range units {
		o := m.options([]*unit{u})
		if err := m.configure(ctx, []*unit{u}); err != nil {
			return nil, 0, err
		}
		if u.err = build.Resolve(ctx, o); u.err == nil {
			good = append(good, u)
		}
	}
	if err := m.configure(ctx, good); err != nil {
		return nil, 0, err
	}
	switch len(good) {
	case 0:
		return nil, 0, nil
	case len(units):
		return nil, 0, m.relocate(units, whole) // it is not one variant's fault
	}
	return m.build(ctx, good, stream)
}

// blame gives the variants that were not finished their errors. What several need fails once.
func (m *theMatrix) blame(units []*unit, result *build.Result, err error) {
	done := map[string]bool{}
	for _, t := range result.Targets {
		done[t.Multiconfig] = t.Done
	}
	told := false
	for _, u := range units {
		if done[u.ID()] {
			continue
		}
		if told = true; u.err == nil {
			u.err = errNotBuilt
		}
	}
	m.told = nil
	if err != nil {
		m.told = m.relocate(units, err)
		if !told { // something failed that no image needs
			for _, u := range units {
				u.err = errNotBuilt
			}
		}
	}
}

// errNotBuilt is the error of a variant whose reason is told with the build's.
var errNotBuilt = errors.New("not built")

// relocate replaces places in generated files by those in the kas files.
func (m *theMatrix) relocate(units []*unit, err error) error {
	for _, u := range units {
		err = relocateFile(u.project, err, filepath.Join(m.top(), u.conf()), u.project.LocalConf, "local_conf_header")
		err = relocateFile(u.project, err, filepath.Join(m.top(), "conf/bblayers.conf"), u.project.BBLayersConf, "bblayers_conf_header")
	}
	return err
}

// failures are the errors of all variants that have one.
func (m *theMatrix) failures(units []*unit) error {
	var errs []error
	if m.told != nil {
		errs = append(errs, m.told)
	}
	var ids []string
	for _, u := range units {
		if u.err == nil {
			continue
		}
		ids = append(ids, u.ID())
		if !errors.Is(u.err, errNotBuilt) {
			errs = append(errs, u.err)
		}
	}
	if ids == nil {
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, diag.Failedf(diag.Pos{File: m.def.File}, "%d of %d variants were not built: %s", len(ids), len(units), strings.Join(ids, " ")))...)
}

// noteInputs notes what all variants are made of, where git works as the user knows it, for [theMatrix.inputs] inside.
func (m *theMatrix) noteInputs(ctx context.Context) error {
	in := matrix.Inputs{Lock: digestOf(m.lockFile())}
	git := func(args ...string) (string, bool) {
		out, _, status, err := fetch.HostGit{}.Git(ctx, m.dir, nil, args...)
		return strings.TrimSpace(out), err == nil && status == 0
	}
	if commit, ok := git("rev-parse", "HEAD"); ok {
		in.Commit = commit
		changes, ok := git("status", "--porcelain")
		in.Modified = !ok || changes != ""
	}
	data, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(m.top(), "n3x/inputs.json"), data, 0o644)
}

func (m *theMatrix) inputs() (in matrix.Inputs, err error) {
	data, err := os.ReadFile(filepath.Join(m.top(), "n3x/inputs.json"))
	if err != nil {
		return in, diag.Failedf(diag.Pos{}, "read what the variants are made of: %w", err)
	}
	return in, json.Unmarshal(data, &in)
}

// digestOf is the SHA-256 of a file, "" when there is none.
func digestOf(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
