package packages

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/buildroot"
	"n3x/internal/diag"
	"n3x/internal/isar"
)

// devshell is do_devshell: a shell in the recipe's build root, in the sources. With the argument nodeps the root is the
// base system alone. What is written to the sources stays; the rest is thrown away.
func (r *Room) devshell(ctx context.Context, c *isar.Call) error {
	if c.User == nil {
		return diag.Userf(c.Pos, "there is no terminal to open a shell of %s on", c.Recipe).WithHint("run it in the foreground: bitbake -c devshell %s", c.Recipe)
	}
	rec, err := readRecipe(c)
	if err != nil {
		return err
	}
	pps, err := c.Value("PPS")
	if err != nil {
		return err
	}
	root, err := r.shellRoot(ctx, c, rec, filepath.Join(rec.work, pps, "debian", "control"))
	if err != nil {
		return err
	}
	run := buildroot.Run{Build: rec.build, Host: rec.host}
	if err := readSurroundings(c, rec, &run); err != nil {
		return err
	}
	shell := buildroot.Shell{Dir: filepath.Join(rec.pp, pps), Path: run.Path, Mounts: run.Mounts, Network: run.Network,
		Env: append(run.Env, "DEB_BUILD_PROFILES="+strings.Join(rec.profiles, " ")), In: c.User.In, Out: c.User.Out, Err: c.User.Err, Term: c.User.Term}
	return inScratch(c, func(dir string) error {
		shell.Scratch = dir
		var err error
		c.Progress.Alone(func() { err = shell.Run(ctx, root.Stack) })
		return err
	})
}

// shellRoot is the root for a shell.
func (r *Room) shellRoot(ctx context.Context, c *isar.Call, rec *recipe, control string) (*buildroot.Root, error) {
	if slices.Contains(c.Args, "nodeps") {
		o, _, err := r.options(ctx, c, rec)
		return &buildroot.Root{Stack: o.Base}, err
	}
	source, err := buildroot.ReadControl(control)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.Userf(c.Pos, "the sources of %s have no debian/control, which would name the build dependencies: %w", c.Recipe, err).
			WithHint("bitbake -c devshell_nodeps %s opens a shell without them", c.Recipe)
	}
	if err != nil {
		return nil, err
	}
	return r.root(ctx, c, rec, source)
}
