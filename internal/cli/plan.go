package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"n3x/internal/build"
	"n3x/internal/progress"
)

func (a *app) plan() *cobra.Command {
	var f buildFlags
	var asJSON bool
	var why string
	c := &cobra.Command{
		Use:   "plan FILES",
		Short: "Show the tasks that building would take, without running any",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := a.project(c.Context(), args[0], &f)
			if err != nil {
				return err
			}
			o := a.options(p, &f)
			if o.Targets == nil {
				o.Targets = p.Targets
			}
			in, err := a.enter()
			if err != nil || !in {
				return err
			}
			o.Progress = progress.New(&plainLines{a.stderr}, time.Now)
			if why != "" {
				lines, err := build.Why(c.Context(), o, why)
				for _, l := range lines {
					fmt.Fprintln(a.stdout, l)
				}
				return err
			}
			tasks, err := build.Plan(c.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(tasks)
			}
			for _, t := range tasks {
				state := "run "
				if t.Done {
					state = "done"
				}
				fmt.Fprintf(a.stdout, "%s %s\n", state, t.Name)
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().StringVar(&why, "why", "", "say why this task (PN:do_task) would run again: what has changed since it ran last")
	c.Flags().BoolVar(&asJSON, "json", false, "print the whole plan as JSON")
	return c
}
