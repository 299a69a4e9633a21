package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/disk"
	"n3x/internal/disk/fstree"
	"n3x/internal/disk/wks"
	"n3x/internal/isar"
)

// scan reads the recipe's root file system as data, with times no newer than SOURCE_DATE_EPOCH.
func scan(ctx context.Context, c *isar.Call) (*fstree.Tree, error) {
	t, err := tree(c)
	if err != nil {
		return nil, err
	}
	epoch, err := c.Epoch()
	if err != nil {
		return nil, err
	}
	return fstree.Scan(ctx, t.Dir, epoch.Unix())
}

// content is the root file system as data with the image's secrets, and the mode of the file that it becomes.
func (r *Room) content(ctx context.Context, c *isar.Call) (*fstree.Tree, fs.FileMode, error) {
	t, err := scan(ctx, c)
	if err != nil {
		return nil, 0, err
	}
	secret, err := r.withSecrets(c, t)
	if secret {
		return t, 0o600, err
	}
	return t, 0o644, err
}

// imageSize sets ROOTFS_SIZE, in KiB: the content's size and ROOTFS_EXTRA MiB.
func (r *Room) imageSize(ctx context.Context, c *isar.Call) error {
	extra, err := c.Value("ROOTFS_EXTRA")
	if err != nil {
		return err
	}
	mib, err := strconv.ParseInt(strings.TrimSpace(extra), 10, 64)
	if err != nil || mib < 0 {
		return diag.Userf(c.Pos, "ROOTFS_EXTRA is %q, not a number of MiB", extra)
	}
	t, err := scan(ctx, c)
	if err != nil {
		return err
	}
	return c.Data.SetVar("ROOTFS_SIZE", strconv.FormatInt(t.DirectoryKiB()+mib*1024, 10))
}

// output is the path of this type's file in the deploy folder, and the image's full name.
func output(c *isar.Call, kind string) (file, name string, err error) {
	v, err := c.Values("DEPLOY_DIR_IMAGE", "IMAGE_FULLNAME")
	if err != nil {
		return "", "", err
	}
	return filepath.Join(v[0], v[1]+"."+kind), v[1], nil
}

// makeFile makes a file system image and puts it in its place when it is whole.
func (r *Room) makeFile(ctx context.Context, c *isar.Call, kind string, fs disk.FileSystem, t *fstree.Tree, mode os.FileMode) error {
	out, name, err := output(c, kind)
	if err != nil {
		return err
	}
	epoch, err := c.Epoch()
	if err != nil {
		return err
	}
	work, err := c.Value("WORKDIR")
	if err != nil {
		return err
	}
	fs.Type, fs.Epoch, fs.Runner = kind, epoch.Unix(), imager{c, r}
	fs.UUID = disk.Identifiers{Name: name, Epoch: fs.Epoch}.UUID(kind).String()
	c.Progress.Step("making " + filepath.Base(out))
	return isar.InScratch(work, func(dir string) error {
		tmp := filepath.Join(dir, "image")
		if err := fs.Make(ctx, tmp, t); err != nil {
			return err
		}
		if err := os.Chmod(tmp, mode); err != nil {
			return err
		}
		return isar.Replace(tmp, out)
	})
}

func (r *Room) ext4(ctx context.Context, c *isar.Call) error {
	t, mode, err := r.content(ctx, c)
	if err != nil {
		return err
	}
	size, err := c.Value("ROOTFS_SIZE")
	if err != nil {
		return err
	}
	kib, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return diag.Userf(c.Pos, "ROOTFS_SIZE is %q, not a number of KiB", size)
	}
	return r.makeFile(ctx, c, "ext4", disk.FileSystem{SizeKiB: kib}, t, mode)
}

func (r *Room) squashfs(ctx context.Context, c *isar.Call) error {
	t, mode, err := r.content(ctx, c)
	if err != nil {
		return err
	}
	args, err := c.Words("SQUASHFS_CREATION_ARGS")
	if err != nil {
		return err
	}
	excluded, err := c.Words("SQUASHFS_EXCLUDE_DIRS")
	if err != nil {
		return err
	}
	for _, dir := range excluded {
		if err := emptyTree(t, strings.Trim(path.Clean(dir), "/")); err != nil {
			return err
		}
	}
	return r.makeFile(ctx, c, "squashfs", disk.FileSystem{Options: args}, t, mode)
}

// emptyTree removes what is below a folder of the tree.
func emptyTree(t *fstree.Tree, dir string) error {
	var below []string
	for _, e := range t.Entries() {
		if path.Dir(e.Path) == dir {
			below = append(below, e.Path)
		}
	}
	for _, p := range below {
		t.Remove(p)
	}
	return nil
}

// stream writes an archive of the root file system into the deploy folder.
func (r *Room) stream(ctx context.Context, c *isar.Call, kind string, write func(*fstree.Tree, io.Writer) error) error {
	t, mode, err := r.content(ctx, c)
	if err != nil {
		return err
	}
	out, _, err := output(c, kind)
	if err != nil {
		return err
	}
	c.Progress.Step("writing " + filepath.Base(out))
	return atomicfile.WriteFrom(out, mode, func(w io.Writer) error { return write(t, w) })
}

func (r *Room) tar(ctx context.Context, c *isar.Call) error {
	options, err := c.Value("TAR_OPTIONS")
	if err != nil {
		return err
	}
	if strings.TrimSpace(options) != "" {
		return diag.Userf(c.Data.LastSet("TAR_OPTIONS"), "TAR_OPTIONS is %q, and n3x writes the archive without tar(1)", options).
			WithHint("unset it; for another archive define an image type of your own: IMAGE_CMD:mytar() { ... }")
	}
	return r.stream(ctx, c, "tar", func(t *fstree.Tree, w io.Writer) error { return t.WriteTar(ctx, w) })
}

func (r *Room) cpio(ctx context.Context, c *isar.Call) error {
	format, err := c.Value("CPIO_IMAGE_FORMAT")
	if err != nil {
		return err
	}
	if format != "newc" {
		return diag.Userf(c.Data.LastSet("CPIO_IMAGE_FORMAT"), "CPIO_IMAGE_FORMAT is %q; only newc is supported", format)
	}
	return r.stream(ctx, c, "cpio", func(t *fstree.Tree, w io.Writer) error { return t.WriteCPIO(ctx, w) })
}

// wic makes the disk that WKS_FILE describes.
func (r *Room) wic(ctx context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	layout, err := r.layout(c)
	if err != nil {
		return err
	}
	out, name, err := output(c, "wic")
	if err != nil {
		return err
	}
	epoch, err := c.Epoch()
	if err != nil {
		return err
	}
	v, err := c.Values("WORKDIR", "DEPLOY_DIR_IMAGE", "WIC_DEPLOY_PARTITIONS", "WIC_CREATE_EXTRA_ARGS")
	if err != nil {
		return err
	}
	o := disk.Options{
		WKS: layout, Name: name, Epoch: epoch.Unix(), Output: out, WorkDir: v[0], Rootfs: t.Dir, DeployDir: v[1],
		Var: variables(c), Runner: imager{c, r}, Bmap: true, DeployPartitions: v[2] == "1", Progress: c.Progress,
		Warn: func(pos diag.Pos, text string) { fmt.Fprintf(c.Log, "WARNING: %s: %s\n", pos, text) },
	}
	for _, arg := range strings.Fields(v[3]) {
		switch arg {
		case "--no-fstab-update":
			o.NoFstabUpdate = true
		case "--bmap", "-m", "-D", "--debug":
		default:
			return diag.Userf(c.Data.LastSet("WIC_CREATE_EXTRA_ARGS"), "WIC_CREATE_EXTRA_ARGS has %s, which is not supported", arg).WithHint("supported: --no-fstab-update")
		}
	}
	if err := r.bootSources(ctx, c, &o); err != nil {
		return err
	}
	if secrets, err := secretFiles(c.Data); err != nil {
		return err
	} else if secrets != nil {
		o.Mode = 0o600
	}
	o.Edit = func(t *fstree.Tree) error {
		_, err := r.withSecrets(c, t)
		return err
	}
	result, err := disk.Build(ctx, o)
	if err != nil {
		return err
	}
	for _, p := range result.Partitions {
		fmt.Fprintf(c.Log, "partition %d: %s %s, label %q, %d sectors from %d\n", p.Number, p.Mountpoint, p.FSType, p.Label, p.Sectors, p.Start)
	}
	return diskManifest(c, v[1], out, name)
}

// diskManifest lists what is on the disk: the packages of the root file system and of an initrd of its own, sorted.
func diskManifest(c *isar.Call, dir, out, name string) error {
	initrd, err := c.Value("INITRD_DEPLOY_FILE")
	if err != nil {
		return err
	}
	var lines []string
	for _, file := range []string{name, initrd} {
		text, err := os.ReadFile(filepath.Join(dir, file+".manifest"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the feature generate-manifest is off, or the initrd is the root file system's
		}
		if err != nil {
			return err
		}
		lines = slices.AppendSeq(lines, strings.Lines(string(text)))
	}
	slices.Sort(lines)
	return atomicfile.Write(out+".manifest", []byte(strings.Join(slices.Compact(lines), "")), 0o644)
}

// layout reads WKS_FILE.
func (r *Room) layout(c *isar.Call) (*wks.File, error) {
	file, err := r.wksPath(c.Data)
	if err != nil {
		return nil, err
	}
	text, err := r.ReadFile(file)
	if err != nil {
		return nil, err
	}
	dirs, err := wksDirs(c.Data)
	if err != nil {
		return nil, err
	}
	return wks.Parse(file, text, wks.Options{
		Var: variables(c), Template: strings.HasSuffix(file, ".in"),
		Include: func(name string) (string, []byte, error) {
			p := r.findIn(dirs, name)
			if p == "" {
				return "", nil, fmt.Errorf("no layer has %s", name)
			}
			data, err := r.ReadFile(p)
			return p, data, err
		},
	})
}
