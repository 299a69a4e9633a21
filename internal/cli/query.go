package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"n3x/internal/query"
)

// bitbakeQuery answers questions of programs about metadata.
func (a *app) bitbakeQuery() *cobra.Command {
	return &cobra.Command{
		Use:   "bitbake-query",
		Short: "Answer questions about metadata: JSON lines in, JSON lines out",
		Long: `Read requests from standard input, one JSON object on each line, and print one answer on each line: values, flags and
history of variables, tasks, recipes, providers and task graphs. docs/bitbake-query.md describes the format.`,
		Example: `  echo '{"op": "vars", "of": {"recipe": "hello"}, "names": ["PV", "SRC_URI"]}' | n3x bitbake-query`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := a.buildFolder()
			if err != nil {
				dir = "" // requests may name their own
			}
			return query.Serve(c.Context(), query.Options{TopDir: dir, Env: a.env, Python: launcher{a}, Log: func(level, text string) {
				if level == "plain" {
					fmt.Fprintln(a.stderr, text)
				}
			}}, a.stdin, a.stdout)
		},
	}
}
