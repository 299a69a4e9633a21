// SPDX-License-Identifier: MIT

package disk

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/disk/fstree"
)

// ImageOptions describe an image that is one file system or archive, without a partition table.
type ImageOptions struct {
	Type    string // "ext4" (ext2, ext3), "squashfs", "erofs", "tar" or "cpio": ISAR's IMAGE_FSTYPES
	Rootfs  string // the folder to pack
	Exclude []string
	Output  string
	Name    string // the image's full name; the file system's UUID derives from it
	Epoch   int64  // SOURCE_DATE_EPOCH
	SizeKiB int64  // of an ext file system: ROOTFS_SIZE
	Label   string
	Options []string // further arguments of the mkfs program, e.g. SQUASHFS_CREATION_ARGS
	Runner  Runner
}

// imageTypes are what WriteImage makes.
var imageTypes = []string{"ext2", "ext3", "ext4", "squashfs", "erofs", "tar", "cpio"}

// WriteImage packs a folder. Paths in Exclude that end in a slash keep the folder and lose its content.
func WriteImage(ctx context.Context, o ImageOptions) error {
	tree, err := fstree.Scan(ctx, o.Rootfs, o.Epoch)
	if err != nil {
		return err
	}
	for _, p := range o.Exclude {
		tree.Remove(p)
	}
	switch o.Type {
	case "tar":
		return stream(o.Output, func(w io.Writer) error { return tree.WriteTar(ctx, w) })
	case "cpio":
		return stream(o.Output, func(w io.Writer) error { return tree.WriteCPIO(ctx, w) })
	case "ext2", "ext3", "ext4", "squashfs", "erofs":
		return writeFS(ctx, o, tree)
	}
	e := diag.Userf(diag.Pos{}, "images of type %q cannot be made", o.Type)
	if near := diag.Nearest(o.Type, imageTypes); near != "" {
		return e.WithHint("did you mean %s?", near)
	}
	return e.WithHint("possible are %s, and wic", strings.Join(imageTypes, ", "))
}

func stream(output string, fill func(io.Writer) error) error {
	return atomicfile.WriteFrom(output, 0o644, func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 1<<18)
		if err := fill(b); err != nil {
			return err
		}
		return b.Flush()
	})
}

// writeFS makes a file system in a folder beside the output and moves it there.
func writeFS(ctx context.Context, o ImageOptions, tree *fstree.Tree) error {
	if strings.HasPrefix(o.Type, "ext") {
		if need := tree.UsageKiB(); o.SizeKiB < need {
			return diag.Userf(diag.Pos{}, "an %s image of %d KiB is too small for %d KiB of files", o.Type, o.SizeKiB, need).
				WithHint("raise ROOTFS_EXTRA")
		}
	}
	if err := os.MkdirAll(filepath.Dir(o.Output), 0o777); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(o.Output), ".image-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fs := FileSystem{
		Type: o.Type, SizeKiB: o.SizeKiB, Label: o.Label, Options: o.Options, Epoch: o.Epoch, Runner: o.Runner,
		UUID: Identifiers{Name: o.Name, Epoch: o.Epoch}.UUID("file system").String(),
	}
	path := filepath.Join(dir, "image")
	if err := fs.Make(ctx, path, tree); err != nil {
		return fmt.Errorf("make %s: %w", o.Output, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	return os.Rename(path, o.Output)
}
