// SPDX-License-Identifier: MIT

package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"n3x/internal/diag"
	"n3x/internal/disk/fat"
	"n3x/internal/disk/fstree"
)

// FileSystem says how to make one file system image.
type FileSystem struct {
	Type    string   // "ext2", "ext3", "ext4", "vfat", "squashfs" or "erofs"
	SizeKiB int64    // not for squashfs and erofs, which are as large as their content
	Label   string   //
	UUID    string   // for vfat 0x and eight hex digits; not for squashfs
	Options []string // further arguments for the mkfs program
	Epoch   int64    // SOURCE_DATE_EPOCH
	Runner  Runner
}

// Where the mkfs programs see the image's folder.
const mountPoint = "/work"

// Make writes the file system with the tree in it to path, which must not exist. A nil tree leaves an ext file system empty.
func (fs FileSystem) Make(ctx context.Context, path string, t *fstree.Tree) error {
	var err error
	switch fs.Type {
	case "ext2", "ext3", "ext4":
		err = fs.makeExt(ctx, path, t)
	case "vfat":
		_, err = fs.makeFAT(ctx, path, t)
	case "squashfs":
		err = fs.makeSquashfs(ctx, path, t)
	case "erofs":
		err = fs.makeEROFS(ctx, path, t)
	default:
		err = diag.Userf(diag.Pos{}, "file systems of type %s cannot be made", fs.Type)
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

// command is a program that sees the image's folder at mountPoint.
func (fs FileSystem) command(path string, packages []string, argv ...string) Command {
	return Command{
		Packages: packages, Argv: argv,
		Env:   []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", fs.Epoch), "TZ=UTC", "LC_ALL=C"},
		Binds: []Bind{{Source: filepath.Dir(path), Target: mountPoint}},
	}
}

// makeExt runs mke2fs, which takes the tree as a tar archive through libarchive: so what lands in the image is the
// normalised tree, in its order, and no copy of it is needed.
func (fs FileSystem) makeExt(ctx context.Context, path string, t *fstree.Tree) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err = errors.Join(f.Truncate(fs.SizeKiB*1024), f.Close()); err != nil {
		return err
	}
	argv := []string{"mke2fs", "-q", "-t", fs.Type, "-F"}
	argv = append(argv, withExtended(fs.Options, "hash_seed="+hashSeed(fs.UUID, fs.Epoch))...)
	argv = append(argv, "-U", fs.UUID)
	if fs.Label != "" {
		argv = append(argv, "-L", fs.Label)
	}
	if t != nil {
		argv = append(argv, "-d", "-")
	}
	argv = append(argv, mountPoint+"/"+filepath.Base(path))
	c := fs.command(path, []string{"e2fsprogs", "libarchive13t64"}, argv...)
	c.Env = append(c.Env, fmt.Sprintf("E2FSPROGS_FAKE_TIME=%d", fs.Epoch))
	if err := fs.feed(ctx, c, t); err != nil || t == nil {
		return err
	}
	return fs.setXattrs(ctx, path, t)
}

// withExtended adds an extended option to those in args: of several -E mke2fs would take the last only.
func withExtended(args []string, option string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-E" && i+1 < len(args):
			i++
			option = args[i] + "," + option
		case strings.HasPrefix(args[i], "-E") && len(args[i]) > 2:
			option = args[i][2:] + "," + option
		default:
			out = append(out, args[i])
		}
	}
	return append(out, "-E", option)
}

// feed runs c with the tree as a tar archive on its standard input.
func (fs FileSystem) feed(ctx context.Context, c Command, t *fstree.Tree) error {
	if t == nil {
		return fs.Runner.Run(ctx, c)
	}
	r, w, err := os.Pipe() // not io.Pipe: a file goes to the program as it is, without one more copy
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.Go(func() error {
		b := bufio.NewWriterSize(w, 1<<18)
		return errors.Join(fs.archive(ctx, t, b), b.Flush(), w.Close())
	})
	c.Stdin = r
	err = fs.Runner.Run(ctx, c)
	err = errors.Join(err, r.Close())
	// A program that ends early breaks the pipe; then its own error says why.
	if werr := g.Wait(); werr != nil && (err == nil || !errors.Is(werr, unix.EPIPE)) {
		return werr
	}
	return err
}

func (fs FileSystem) archive(ctx context.Context, t *fstree.Tree, w io.Writer) error {
	if strings.HasPrefix(fs.Type, "ext") {
		return t.WriteInodeTar(ctx, w, fs.Epoch)
	}
	return t.WriteTar(ctx, w)
}

// makeFAT runs mkfs.vfat and fills the result. It gives the number of bytes that are in use.
func (fs FileSystem) makeFAT(ctx context.Context, path string, t *fstree.Tree) (used int64, err error) {
	argv := []string{"mkfs.vfat", "-i", strings.TrimPrefix(fs.UUID, "0x")}
	if fs.Label != "" {
		argv = append(argv, "-n", fs.Label)
	}
	if len(fs.Options) > 0 {
		argv = append(argv, fs.Options...)
	} else {
		argv = append(argv, "-S", "512")
	}
	argv = append(argv, "-C", mountPoint+"/"+filepath.Base(path), strconv.FormatInt(fs.SizeKiB, 10))
	if err := fs.Runner.Run(ctx, fs.command(path, []string{"dosfstools"}, argv...)); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return fat.Fill(ctx, f, t)
}

// makeSquashfs runs mksquashfs on a tar archive. What it writes does not depend on the number of its threads. From an
// archive it does not take the root folder, so that is described by options.
func (fs FileSystem) makeSquashfs(ctx context.Context, path string, t *fstree.Tree) error {
	root, _ := t.Lookup(".")
	argv := []string{"mksquashfs", "-", mountPoint + "/" + filepath.Base(path), "-tar", "-noappend", "-quiet", "-no-progress", "-mem", "128M",
		"-root-mode", fmt.Sprintf("%o", root.Mode&0o7777), "-root-uid", strconv.Itoa(root.UID), "-root-gid", strconv.Itoa(root.GID),
		"-root-time", strconv.FormatInt(root.MTime, 10)}
	return fs.feed(ctx, fs.command(path, []string{"squashfs-tools"}, append(argv, fs.Options...)...), t)
}

// makeEROFS runs mkfs.erofs on a tar archive; the epoch becomes the time of the file system only.
func (fs FileSystem) makeEROFS(ctx context.Context, path string, t *fstree.Tree) error {
	argv := []string{"mkfs.erofs", "--quiet", "--tar=f", "--mkfs-time", fmt.Sprintf("-T%d", fs.Epoch), "-U", fs.UUID}
	argv = append(append(argv, fs.Options...), mountPoint+"/"+filepath.Base(path))
	return fs.feed(ctx, fs.command(path, []string{"erofs-utils"}, argv...), t)
}
