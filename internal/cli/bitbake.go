package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/kas"
)

// bitbakeFlags are bitbake's own (lib/bb/main.py, create_bitbake_parser).
type bitbakeFlags struct {
	task, clearStamp   string
	force, keepGoing   bool
	dryRun             bool
	runAll, runOnly    []string
	buildFile          string
	ignoreDeps         []string
	prefiles, post     []string
	versions, parse    bool
	environment, graph bool
	signatures         []string
	debug, quiet       int
	verbose            bool
	ui                 string
	version            bool
}

func (f *bitbakeFlags) register(c *cobra.Command) {
	s := c.Flags()
	s.StringVarP(&f.task, "cmd", "c", "", "the task to run, instead of build")
	s.StringVarP(&f.clearStamp, "clear-stamp", "C", "", "run this task again, and then the default task")
	s.BoolVarP(&f.force, "force", "f", false, "run the task even when it is done")
	s.BoolVarP(&f.keepGoing, "continue", "k", false, "after a failure, still build what does not depend on it")
	s.BoolVarP(&f.dryRun, "dry-run", "n", false, "say which tasks would run, and run none")
	s.StringArrayVar(&f.runAll, "runall", nil, "run this task for every recipe that the targets lead to")
	s.StringArrayVar(&f.runOnly, "runonly", nil, "run only this task of what the targets lead to, and what it needs")
	s.StringVarP(&f.buildFile, "buildfile", "b", "", "work on this recipe file, without what it depends on")
	s.StringArrayVarP(&f.ignoreDeps, "ignore-deps", "I", nil, "take this dependency for provided, like ASSUME_PROVIDED")
	s.StringArrayVarP(&f.prefiles, "read", "r", nil, "read this file before bitbake.conf")
	s.StringArrayVarP(&f.post, "postread", "R", nil, "read this file after bitbake.conf")
	s.BoolVarP(&f.versions, "show-versions", "s", false, "list the versions of all recipes")
	s.BoolVarP(&f.parse, "parse-only", "p", false, "only read the recipes")
	s.BoolVarP(&f.environment, "environment", "e", false, "print the variables of the configuration, or of a recipe, and where they were set")
	s.BoolVarP(&f.graph, "graphviz", "g", false, "write pn-buildlist and task-depends.dot")
	s.StringArrayVarP(&f.signatures, "dump-signatures", "S", nil, "write what signatures are made of (none), or compare it with what was written before (printdiff)")
	s.CountVarP(&f.debug, "debug", "D", "say more; may be repeated")
	s.CountVarP(&f.quiet, "quiet", "q", "say less; may be repeated")
	s.BoolVarP(&f.verbose, "verbose", "v", false, "trace shell tasks, and print their notes")
	s.StringVarP(&f.ui, "ui", "u", "", "knotty is the only one")
	s.BoolVar(&f.version, "version", false, "print the version")
	f.registerOthers(c)
}

// unsupported are flags of the original that would change what is done, and are therefore refused.
var unsupported = []struct{ name, short, why string }{
	{"profile", "P", "n3x is no Python program to be profiled"},
	{"write-log", "w", "there is no event log; `--progress json` prints events"},
	{"no-setscene", "", "n3x keeps no packed results of tasks"},
	{"skip-setscene", "", "n3x keeps no packed results of tasks"},
	{"setscene-only", "", "n3x keeps no packed results of tasks"},
	{"revisions-changed", "", "n3x does not follow floating revisions"},
	{"bind", "B", "there is no server"},
	{"remote-server", "", "there is no server"},
	{"token", "", "there is no server"},
	{"observe-only", "", "there is no server"},
	{"status-only", "", "there is no server"},
	{"server-only", "", "there is no server"},
}

// withValue are those of [unsupported] that take a value.
var withValue = map[string]bool{"write-log": true, "bind": true, "remote-server": true, "token": true}

func (f *bitbakeFlags) registerOthers(c *cobra.Command) {
	s := c.Flags()
	for _, u := range unsupported {
		if withValue[u.name] {
			s.StringP(u.name, u.short, "", "")
		} else {
			s.BoolP(u.name, u.short, false, "")
		}
		_ = s.MarkHidden(u.name) // it was defined just now
	}
	// These have nothing to act on and change no result.
	s.BoolP("kill-server", "m", false, "")
	s.StringP("idle-timeout", "T", "", "")
	s.StringArrayP("log-domains", "l", nil, "")
	for _, name := range []string{"kill-server", "idle-timeout", "log-domains"} {
		_ = s.MarkHidden(name)
	}
}

// check refuses what n3x does not do and what contradicts itself.
func (f *bitbakeFlags) check(c *cobra.Command) error {
	for _, u := range unsupported {
		if c.Flags().Changed(u.name) {
			return diag.Userf(diag.Pos{}, "bitbake: --%s is not supported: %s", u.name, u.why).WithHint("leave it out; docs/bitbake.md lists the flags that work")
		}
	}
	if f.ui != "" && f.ui != "knotty" {
		return diag.Userf(diag.Pos{}, "bitbake: there is no user interface %q", f.ui).WithHint("leave -u out; `--progress json` prints events for programs")
	}
	if f.quiet > 0 && (f.verbose || f.debug > 0) {
		return diag.Userf(diag.Pos{}, "bitbake: -q contradicts -v and -D").WithHint("leave one of them out")
	}
	return nil
}

// bitbake builds recipes of a build folder that is already set up, the current one or BUILDDIR, or answers questions about them.
func (a *app) bitbake() *cobra.Command {
	var f bitbakeFlags
	c := &cobra.Command{
		Use:   "bitbake TARGET...",
		Short: "Build recipes in a build folder that was set up before, or ask about them",
		RunE: func(c *cobra.Command, args []string) error {
			return a.runBitbake(c, &f, args, func() (build.Options, error) {
				dir, err := a.buildFolder()
				return build.Options{TopDir: dir, Env: a.env, Python: launcher{a}}, err
			})
		},
	}
	f.register(c)
	a.plain.register(c)
	return c
}

// buildFolder is the folder with conf/bblayers.conf that BBPATH names, the current one, one above it, or BUILDDIR.
func (a *app) buildFolder() (_ string, err error) {
	candidates := filepath.SplitList(a.env["BBPATH"])
	for dir := a.dir; ; dir = filepath.Dir(dir) {
		candidates = append(candidates, dir)
		if dir == filepath.Dir(dir) {
			break
		}
	}
	for _, dir := range append(candidates, a.env["BUILDDIR"]) {
		if dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "conf", "bblayers.conf")); err == nil {
			if dir, err = filepath.Abs(dir); err == nil {
				err = checkBuildFolder(dir)
			}
			return dir, err
		}
	}
	return "", diag.Userf(diag.Pos{}, "there is no conf/bblayers.conf here: %s is not a build folder", a.dir).
		WithHint("change into the build folder, or use `kas-build FILES --cmd \"bitbake ...\"`")
}

// runBitbake does what the flags say. options gives the build folder with its environment.
func (a *app) runBitbake(c *cobra.Command, f *bitbakeFlags, targets []string, options func() (build.Options, error)) error {
	if f.version {
		fmt.Fprintf(a.stdout, "BitBake Build Tool Core version %s (n3x %s)\n", bitbakeRelease, Version)
		return nil
	}
	if err := f.check(c); err != nil {
		return err
	}
	o, err := options()
	if err != nil {
		return err
	}
	if c.Flags().Changed("kill-server") && len(targets) == 0 && !f.asks() {
		return nil
	}
	if !f.asks() || f.graph || len(f.signatures) > 0 {
		if err := f.options(a, &o, targets); err != nil {
			return err
		}
	}
	if f.asks() {
		return a.ask(c.Context(), o, f, targets)
	}
	return a.buildTargets(c.Context(), o, f)
}

// bitbakeRelease is the release of BitBake whose rules native builds follow.
const bitbakeRelease = "2.8.0"

// asks reports whether nothing is to be built.
func (f *bitbakeFlags) asks() bool {
	return f.versions || f.parse || f.environment || f.graph || len(f.signatures) > 0
}

// options says what to do with which targets.
func (f *bitbakeFlags) options(a *app, o *build.Options, targets []string) error {
	if len(targets) == 0 && f.buildFile == "" {
		return diag.Userf(diag.Pos{}, "bitbake: nothing to do: no target is named").WithHint("name a recipe, e.g. `bitbake isar-k3s-image-base`")
	}
	o.Targets, o.Task, o.Force, o.KeepGoing = targets, f.task, f.force, f.keepGoing
	o.Again, o.AssumeProvided, o.RunAll, o.RunOnly = f.clearStamp, f.ignoreDeps, f.runAll, f.runOnly
	o.Prefiles, o.Postfiles = f.extraConfiguration(a.env, a.dir)
	o.BuildFile = f.buildFile
	if o.Dir == "" {
		o.Dir = a.dir
	}
	if o.Replay == nil {
		o.Replay = func(target, task string) string { return fmt.Sprintf("bitbake -c %s %s", task, target) }
	}
	return nil
}

func (a *app) buildTargets(ctx context.Context, o build.Options, f *bitbakeFlags) error {
	if f.dryRun {
		return a.dryRun(ctx, o)
	}
	return a.buildInside(ctx, o)
}

// dryRun says which tasks would run, in the words that bitbake -n has for it.
func (a *app) dryRun(ctx context.Context, o build.Options) error {
	in, err := a.enter()
	if err != nil || !in {
		return err
	}
	tasks, err := build.Plan(ctx, o)
	if err != nil {
		return err
	}
	run := 0
	for i, t := range tasks {
		if !t.Done {
			run++
			fmt.Fprintf(a.stdout, "NOTE: Running task %d of %d (%s)\n", i+1, len(tasks), t.ID)
		}
	}
	fmt.Fprintf(a.stdout, "NOTE: Tasks Summary: Attempted %d tasks of which %d didn't need to be rerun and all succeeded.\n", len(tasks), len(tasks)-run)
	return nil
}

// inProcessBitbake is `kas-build FILES --cmd "bitbake ARGS"` without a shell between.
func (a *app) inProcessBitbake(p *kas.Project, files string, args []string) error {
	var f bitbakeFlags
	c := &cobra.Command{
		Use: "bitbake TARGET...",
		RunE: func(c *cobra.Command, args []string) error {
			return a.runBitbake(c, &f, args, func() (build.Options, error) {
				o := a.options(p, &buildFlags{})
				o.Replay, o.Dir = a.replay(files), p.BuildDir
				return o, nil
			})
		},
	}
	f.register(c)
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetOut(a.stdout)
	c.SetErr(a.stderr)
	return c.ExecuteContext(a.ctx)
}

// bitbakeTargets are the targets of a bitbake command line, none when it is another command's.
func bitbakeTargets(words []string) []string {
	if len(words) == 0 || words[0] != "bitbake" {
		return nil
	}
	var f bitbakeFlags
	c := &cobra.Command{}
	f.register(c)
	if c.ParseFlags(words[1:]) != nil {
		return nil // it is refused when it is run
	}
	return c.Flags().Args()
}

// extraConfiguration are the files of -r and -R, those of BBPRECONF and BBPOSTCONF behind them.
func (f *bitbakeFlags) extraConfiguration(env map[string]string, dir string) (pre, post []string) {
	absolute := func(list []string, more string) []string {
		var out []string
		for _, p := range append(slices.Clone(list), more) {
			if p != "" && !filepath.IsAbs(p) {
				p = filepath.Join(dir, p)
			}
			if p != "" {
				out = append(out, p)
			}
		}
		return out
	}
	return absolute(f.prefiles, env["BBPRECONF"]), absolute(f.post, env["BBPOSTCONF"])
}
