package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/metadata"
	"n3x/internal/siginfo"
	"n3x/internal/taskgraph"
)

// diffsigs compares what two signatures were made of.
func (a *app) diffsigs() *cobra.Command {
	var task bool
	var signatures []string
	c := &cobra.Command{
		Use:     "bitbake-diffsigs FILE FILE",
		Short:   "Explain why the signatures of two runs of a task differ",
		Example: "  bitbake-diffsigs tmp/stamps/.../1.0-r0.do_install.sigdata.{1a...,2b...}\n  bitbake-diffsigs -t hello do_install",
		RunE: func(c *cobra.Command, args []string) error {
			files := args
			if task {
				if len(args) != 2 {
					return diag.Userf(diag.Pos{}, "-t takes a recipe and a task").WithHint("e.g. bitbake-diffsigs -t hello do_install")
				}
				var err error
				if files, err = a.storedSignatures(c.Context(), args[0], args[1], signatures); err != nil {
					return err
				}
			}
			if len(files) != 2 {
				return diag.Userf(diag.Pos{}, "two signature files are compared, not %d", len(files)).
					WithHint("name two files, or use -t RECIPE TASK for the two newest of a task")
			}
			return a.compareSignatures(files[0], files[1])
		},
	}
	c.Flags().BoolVarP(&task, "task", "t", false, "the two newest ones of RECIPE TASK")
	c.Flags().StringSliceVarP(&signatures, "signature", "s", nil, "with -t: the two signatures to compare, or their beginnings, as FROM,TO")
	return c
}

func (a *app) compareSignatures(from, to string) error {
	before, err := siginfo.Read(a.path(from))
	if err != nil {
		return err
	}
	after, err := siginfo.Read(a.path(to))
	if err != nil {
		return err
	}
	lines, err := siginfo.Compare(before, after)
	for _, l := range lines {
		fmt.Fprintln(a.stdout, l)
	}
	return err
}

// path is a file named on the command line.
func (a *app) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.dir, name)
}

// storedSignatures are the two newest signature files of a task, the older first, or those with the signatures given.
func (a *app) storedSignatures(ctx context.Context, recipe, task string, signatures []string) ([]string, error) {
	dir, err := a.buildFolder()
	if err != nil {
		return nil, err
	}
	opened, err := metadata.Open(ctx, a.metadataOptions(build.Options{TopDir: dir, Env: a.env}))
	if opened == nil {
		return nil, err
	}
	defer opened.Close()
	targets, err := taskgraph.Targets(opened.World, []string{recipe}, task)
	if err != nil {
		return nil, err
	}
	g, err := taskgraph.Make(opened.World, taskgraph.Request{Targets: targets, Incomplete: true})
	if err != nil {
		return nil, err
	}
	stamp, err := siginfo.Stamp(g.Targets[0])
	if err != nil {
		return nil, err
	}
	list, err := siginfo.Latest(stamp)
	if err != nil {
		return nil, err
	}
	if len(signatures) > 0 {
		return chosenSignatures(list, signatures)
	}
	if len(list) < 2 {
		return nil, diag.Userf(diag.Pos{}, "%d signatures of %s of %s are stored; two are needed", len(list), g.Targets[0].Name, recipe).
			WithHint("`bitbake -S none %s` stores the present one", recipe)
	}
	return []string{list[1], list[0]}, nil
}

func chosenSignatures(list, signatures []string) ([]string, error) {
	var out []string
	for _, s := range signatures {
		for _, file := range list {
			if strings.HasPrefix(file[strings.LastIndexByte(file, '.')+1:], s) {
				out = append(out, file)
				break
			}
		}
	}
	if len(out) != len(signatures) {
		return nil, diag.Userf(diag.Pos{}, "no stored signature of the task begins with one of %s", strings.Join(signatures, ", "))
	}
	return out, nil
}
