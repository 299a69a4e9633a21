package isar

import (
	"context"
	"fmt"

	"n3x/internal/arch"
)

// Emulate makes programs of architecture a run in every sandbox from now on, by an emulator where this machine needs one.
// Whoever starts programs of an image or a build root calls it before; doing so again costs nothing.
func (c *Call) Emulate(ctx context.Context, a arch.Arch) error {
	if a == "" || a == "all" || a == arch.Host() || c.Emulator == nil {
		return nil
	}
	return c.Emulator(ctx, a)
}

// EmulateAlso is Emulate for the foreign architectures of a tree, whose programs usually nothing starts during a build: where they do not
// run, the task's log says why and the build goes on.
func (c *Call) EmulateAlso(ctx context.Context, foreign []arch.Arch) error {
	for _, a := range foreign {
		if err := c.Emulate(ctx, a); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil {
			fmt.Fprintf(c.Log, "programs of the foreign architecture %s cannot be run during the build: %v\n", a, err)
		}
	}
	return nil
}

// emulateTree prepares for programs of the recipe's root file system.
func (c *Call) emulateTree(ctx context.Context) error {
	for _, name := range []string{"ROOTFS_ARCH", "DISTRO_ARCH"} {
		a, err := c.Value(name)
		if err != nil {
			return err
		}
		if a != "" {
			return c.Emulate(ctx, arch.Arch(a))
		}
	}
	return nil
}
