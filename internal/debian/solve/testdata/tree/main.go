// Command tree makes a Debian tree with apt in it and prints its folder: for the tests that compare the solver with apt.
// It is a program of its own because the rooms that make trees import the solver.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"n3x/internal/build"
	"n3x/internal/host"
	"n3x/internal/sandbox"
)

func main() {
	sandbox.Main()
	inside, status, err := sandbox.Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, host.Host{}.Explain(err))
		os.Exit(2)
	}
	if !inside {
		os.Exit(status)
	}
	cache := filepath.Join(os.Getenv("HOME"), ".cache", "yocto")
	p, err := build.OpenTools(build.ToolsOptions{DownloadDir: filepath.Join(cache, "downloads"), CacheDir: filepath.Join(cache, "sstate")})
	if err == nil {
		var layers []string
		if layers, err = p.Layers(context.Background(), "apt"); err == nil {
			fmt.Println(layers[0])
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
