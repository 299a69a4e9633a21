// Command kas-build builds the targets of kas files; it is `n3x build` under the name that teams know.
package main

import (
	"context"
	"os"
	"slices"

	"n3x/internal/cli"
	"n3x/internal/sandbox"
)

func main() {
	sandbox.Main()
	args := slices.Clone(os.Args)
	args[0] = cli.Program(args[0], "kas-build")
	os.Exit(cli.Main(context.Background(), args, os.Stdin, os.Stdout, os.Stderr))
}
