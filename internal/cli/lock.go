package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"n3x/internal/build"
)

func (a *app) lock() *cobra.Command {
	var f buildFlags
	c := &cobra.Command{
		Use:   "lock FILES",
		Short: "Write n3x.lock: exactly these Debian packages, from now on",
		Long: `Build the targets of kas files from the newest packages, and write n3x.lock with every package that was used:
name, version, architecture, SHA-256 and source. Builds that find n3x.lock use exactly these.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runLock(c.Context(), args[0], &f) },
	}
	f.register(c)
	a.plain.register(c)
	c.Flags().Lookup("update").Usage = "renew an existing lock file, and show what changes"
	return c
}

func (a *app) runLock(ctx context.Context, files string, f *buildFlags) error {
	renew := f.update
	f.update = false // here the word means the packages, not the layers
	p, err := a.project(ctx, files, f)
	if err != nil {
		return err
	}
	path := a.lockFile
	old, err := build.ReadLock(path)
	if err != nil && !renew {
		return err
	}
	if old != nil && !renew {
		fmt.Fprintf(a.stdout, "%s exists; `n3x lock --update %s` renews it\n", path, files)
		return nil
	}
	session := a.session(ctx, p, "")
	in, err := a.enter()
	if err != nil || !in {
		return err
	}
	o := a.options(p, f)
	if o.Targets == nil {
		o.Targets = p.Targets
	}
	stream, done := a.progress()
	o.Progress = stream
	lock, err := build.MakeLock(ctx, o, session.Epoch)
	done()
	if err != nil {
		return err
	}
	for _, line := range lock.Difference(old) {
		fmt.Fprintln(a.stdout, line)
	}
	if err := lock.Write(path); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "wrote %s\n", path)
	return nil
}
