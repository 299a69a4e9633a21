// Command kas-build builds the targets of kas files; it is `n3x build` under the name that teams know.
package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"n3x/internal/cli"
	"n3x/internal/sandbox"
)

func main() {
	sandbox.Main()
	args := slices.Clone(os.Args)
	if filepath.Base(args[0]) != "bitbake" { // --cmd puts a link of that name to this program into PATH
		args[0] = "kas-build"
	}
	os.Exit(cli.Main(context.Background(), args, os.Stdin, os.Stdout, os.Stderr))
}
