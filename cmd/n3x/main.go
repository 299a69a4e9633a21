// Command n3x builds, boots and proves Debian images for K3s edge clusters from kas overlays and ISAR layers.
package main

import (
	"context"
	"os"

	"n3x/internal/cli"
	"n3x/internal/sandbox"
)

func main() {
	sandbox.Main()
	os.Exit(cli.Main(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}
