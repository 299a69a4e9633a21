// SPDX-License-Identifier: MIT

package disk_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"n3x/internal/disk"
)

// fakeRunner stands for the tools tree where no test needs real file systems: mke2fs leaves a mark, mkfs.vfat formats a
// FAT16 or FAT32 without a label, loaders are as large as those of trixie. broken names a program that fails.
type fakeRunner struct{ broken string }

func (r fakeRunner) Run(_ context.Context, c disk.Command) error {
	last := c.Argv[len(c.Argv)-1]
	host := func(p string) string {
		for _, b := range c.Binds {
			if rest, ok := strings.CutPrefix(p, b.Target+"/"); ok {
				return filepath.Join(b.Source, rest)
			}
		}
		return p
	}
	if c.Stdin != nil {
		if _, err := io.Copy(io.Discard, c.Stdin); err != nil {
			return err
		}
	}
	switch name := c.Argv[0]; name {
	case r.broken:
		return fmt.Errorf("%s: exit status 1", name)
	case "mke2fs":
		f, err := os.OpenFile(host(last), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte("ext"), 1024)
		return err
	case "mksquashfs":
		return os.WriteFile(host(c.Argv[2]), make([]byte, 5000), 0o644)
	case "mkfs.erofs":
		return os.WriteFile(host(last), make([]byte, 8192), 0o644)
	case "mkfs.vfat":
		kib, err := strconv.ParseInt(last, 10, 64)
		if err != nil {
			return err
		}
		return formatFAT(host(c.Argv[len(c.Argv)-2]), kib)
	case "cat":
		_, err := c.Stdout.Write([]byte(strings.Repeat("L", 124416)))
		return err
	case "grub-mkimage":
		for i, a := range c.Argv {
			if a == "-o" {
				return os.WriteFile(host(c.Argv[i+1]), make([]byte, 1265664), 0o644)
			}
		}
	case "tune2fs", "fatlabel":
		return nil
	}
	return fmt.Errorf("the fake tools tree has no %s", c.Argv[0])
}

// formatFAT writes the least that a FAT needs.
func formatFAT(path string, kib int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(kib * 1024); err != nil {
		return err
	}
	b := make([]byte, 512)
	le := binary.LittleEndian
	sectors := uint32(kib * 2)
	le.PutUint16(b[11:], 512)
	b[13], b[16] = 4, 2 // sectors a cluster, tables
	le.PutUint32(b[32:], sectors)
	b[510], b[511] = 0x55, 0xaa
	if clusters := sectors / 4; clusters < 60000 {
		perFAT := clusters/256 + 1
		le.PutUint16(b[14:], 4)
		le.PutUint16(b[17:], 512)
		le.PutUint16(b[22:], uint16(perFAT))
		_, err = f.WriteAt([]byte{0xf8, 0xff, 0xff, 0xff}, 4*512)
	} else {
		perFAT := clusters/128 + 1
		le.PutUint16(b[14:], 32)
		le.PutUint32(b[36:], perFAT)
		le.PutUint32(b[44:], 2)
		le.PutUint16(b[48:], 1)
		_, err = f.WriteAt([]byte{0xf8, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f}, 32*512)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return err
}
