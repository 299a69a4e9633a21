// Command kas-build builds the targets of kas files; it is `n3x build` under the name that teams know.
package main

import (
	"context"
	"os"

	"n3x/internal/cli"
	"n3x/internal/sandbox"
)

func main() {
	sandbox.Main()
	os.Exit(cli.Main(context.Background(), append([]string{"kas-build"}, os.Args[1:]...), os.Stdin, os.Stdout, os.Stderr))
}
