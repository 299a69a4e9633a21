package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"n3x/internal/siginfo"
)

// dumpsig prints what a signature was made of.
func (a *app) dumpsig() *cobra.Command {
	var task bool
	c := &cobra.Command{
		Use:   "bitbake-dumpsig FILE",
		Short: "Print what a task's signature was made of",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			file := a.path(args[0])
			if task && len(args) == 2 {
				list, err := a.storedSignatures(c.Context(), args[0], args[1], []string{""})
				if err != nil {
					return err
				}
				file = list[0]
			}
			return a.dumpSignature(file)
		},
	}
	c.Flags().BoolVarP(&task, "task", "t", false, "the newest one of RECIPE TASK")
	return c
}

func (a *app) dumpSignature(file string) error {
	r, err := siginfo.Read(a.path(file))
	if err != nil {
		return err
	}
	lines, err := siginfo.Dump(r)
	for _, l := range lines {
		fmt.Fprintln(a.stdout, l)
	}
	return err
}
