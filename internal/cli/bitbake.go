package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/kas"
)

// bitbakeFlags are those of bitbake's flags that building takes.
type bitbakeFlags struct {
	task      string
	force     bool
	keepGoing bool
}

func (f *bitbakeFlags) register(c *cobra.Command) {
	c.Flags().StringVarP(&f.task, "cmd", "c", "", "the task to run, instead of build")
	c.Flags().BoolVarP(&f.force, "force", "f", false, "run the task even when it is done")
	c.Flags().BoolVarP(&f.keepGoing, "continue", "k", false, "after a failure, still build what does not depend on it")
}

// bitbake builds recipes of a build folder that is already set up: the current one, or BUILDDIR.
func (a *app) bitbake() *cobra.Command {
	var f bitbakeFlags
	c := &cobra.Command{
		Use:   "bitbake TARGET...",
		Short: "Build recipes in a build folder that was set up before",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := a.buildFolder()
			if err != nil {
				return err
			}
			return a.runBitbake(c.Context(), build.Options{TopDir: dir, Env: a.env}, &f, args)
		},
	}
	f.register(c)
	a.plain.register(c)
	return c
}

func (a *app) buildFolder() (string, error) {
	for _, dir := range []string{a.dir, a.env["BUILDDIR"]} {
		if dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "conf", "bblayers.conf")); err == nil {
			return filepath.Abs(dir)
		}
	}
	return "", diag.Userf(diag.Pos{}, "there is no conf/bblayers.conf here: %s is not a build folder", a.dir).
		WithHint("change into the build folder, or use `kas-build FILES --cmd \"bitbake ...\"`")
}

func (a *app) runBitbake(ctx context.Context, o build.Options, f *bitbakeFlags, targets []string) error {
	if len(targets) == 0 {
		return diag.Userf(diag.Pos{}, "bitbake: nothing to do: no target is named").WithHint("name a recipe, e.g. `bitbake isar-k3s-image-base`")
	}
	o.Targets, o.Task, o.Force, o.KeepGoing = targets, f.task, f.force, f.keepGoing
	if o.Replay == nil {
		o.Replay = func(target, task string) string { return fmt.Sprintf("bitbake -c %s %s", task, target) }
	}
	return a.buildInside(ctx, o)
}

// inProcessBitbake is `kas-build FILES --cmd "bitbake ARGS"` without a shell between.
func (a *app) inProcessBitbake(p *kas.Project, files string, args []string) error {
	var f bitbakeFlags
	c := &cobra.Command{
		Use: "bitbake TARGET...",
		RunE: func(c *cobra.Command, args []string) error {
			o := a.options(p, &buildFlags{})
			o.Replay = a.replay(files)
			return a.runBitbake(c.Context(), o, &f, args)
		},
	}
	f.register(c)
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetOut(a.stdout)
	c.SetErr(a.stderr)
	return c.ExecuteContext(a.ctx)
}
