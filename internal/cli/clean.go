package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"n3x/internal/build"
	"n3x/internal/sandbox"
)

// clean removes what builds left in the build folder; files there may belong to the ids of the sandbox, which rm
// cannot remove.
func (a *app) clean() *cobra.Command {
	c := &cobra.Command{
		Use:   "clean [FILES]",
		Short: "Remove the build folder's tmp, and what the matrix was built in; the caches stay",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			files := ""
			if len(args) > 0 {
				files = args[0]
			}
			dir := filepath.Join(a.dir, "build")
			if files != "" {
				p, err := a.project(c.Context(), files, &buildFlags{})
				if err != nil {
					return err
				}
				dir = p.BuildDir
			} else if d, err := a.buildFolder(); err == nil {
				dir = d
			}
			in, err := a.enter()
			if err != nil || !in {
				return err
			}
			if err := a.removeTmp(c.Context(), filepath.Join(dir, "matrix")); err != nil {
				return err
			}
			if !isDir(filepath.Join(dir, "tmp")) {
				fmt.Fprintf(a.stdout, "%s has no tmp: nothing to remove\n", dir)
				return nil
			}
			return a.removeTmp(c.Context(), dir)
		},
	}
	return c
}

// removeTmp removes the tmp of a build folder when nothing is being built there.
func (a *app) removeTmp(ctx context.Context, dir string) error {
	tmp := filepath.Join(dir, "tmp")
	if !isDir(tmp) {
		return nil
	}
	release, err := build.Occupy(ctx, dir, func() { fmt.Fprintf(a.stderr, "waiting for the build in %s\n", dir) })
	if err != nil {
		return err
	}
	defer release()
	if err := sandbox.Remove(tmp); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "removed %s\n", tmp)
	return nil
}
