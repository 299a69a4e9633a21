package images

import (
	"context"

	"n3x/internal/arch"
	"n3x/internal/bootloader"
	"n3x/internal/disk"
	"n3x/internal/isar"
)

// bootSources adds the source plugins that make boot partitions.
func (r *Room) bootSources(_ context.Context, c *isar.Call, o *disk.Options) error {
	v, err := c.Values("DISTRO_ARCH", "DISTRO")
	if err != nil {
		return err
	}
	o.Sources = map[string]disk.Source{bootloader.Name: bootloader.EFI{Arch: arch.Arch(v[0]), Distro: v[1]}}
	return nil
}
