package images

import (
	"context"
	"slices"
	"strings"

	"n3x/internal/disk"
	"n3x/internal/isar"
	"n3x/internal/sandbox"
)

// imager runs mkfs programs and the like in the tools tree, for package disk.
type imager struct {
	c *isar.Call
	r *Room
}

// Run runs one program, with its packages' tools as root and what it asks for shown inside.
func (i imager) Run(ctx context.Context, k disk.Command) error {
	tools := i.r.Tools
	if slices.ContainsFunc(k.Packages, isLoader) {
		var err error
		if tools, err = i.r.distroTools(ctx, i.c, k.Packages); err != nil {
			return err
		}
	}
	layers, err := tools.Layers(ctx, k.Packages...)
	if err != nil {
		return err
	}
	cmd, cleanup, err := i.c.Bare(layers, k.Argv...)
	if err != nil {
		return err
	}
	defer cleanup()
	cmd.Env = append(cmd.Env, k.Env...)
	cmd.Stdin = k.Stdin
	if k.Stdout != nil {
		cmd.Stdout = k.Stdout
	}
	for _, b := range k.Binds {
		kind := sandbox.Bind
		if b.ReadOnly {
			kind = sandbox.BindRO
		}
		cmd.Mounts = append(cmd.Mounts, sandbox.Mount{Type: kind, Source: b.Source, Target: b.Target})
	}
	return cmd.Run(ctx)
}

// variables are what a layout and its sources may use.
func variables(c *isar.Call) func(name string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok, err := c.Data.Var(name, true)
		if err != nil || !ok {
			return "", false
		}
		return strings.TrimSpace(v), true
	}
}

// isLoader tells the packages of boot loaders, which an image takes from its own distribution, from tools that only work
// on it.
func isLoader(name string) bool {
	for _, prefix := range []string{"systemd-boot", "grub-", "syslinux", "shim-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// distroTools gives trees with packages of the image's own distribution.
func (r *Room) distroTools(ctx context.Context, c *isar.Call, packages []string) (isar.Tools, error) {
	ar, err := r.Archives.Open(ctx, c.Data, c.Progress)
	if err != nil {
		return nil, err
	}
	if r.RecordTools != nil {
		if err := r.RecordTools(ar.Key, packages); err != nil {
			return nil, err
		}
	}
	return ar.Tools(r.ToolsDir)
}
