// SPDX-License-Identifier: MIT

package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"n3x/internal/diag"
	"n3x/internal/disk/fstree"
	"n3x/internal/disk/gpt"
	"n3x/internal/disk/wks"
)

// rootfsSource fills a partition from the root file system or another folder.
type rootfsSource struct{}

func (rootfsSource) Prepare(ctx context.Context, b *Builder, p *Part) (Content, error) {
	b.KnownParams(p)
	tree, folder, err := b.rootfsTree(p)
	if err != nil {
		return Content{}, err
	}
	edited := len(p.ExcludePaths) > 0 || len(p.IncludePaths) > 0 || p.ChangeDirectory != ""
	tree = tree.Clone()
	if tree, err = b.edit(p, tree); err != nil {
		return Content{}, err
	}
	if _, has := tree.Resolve(fstabPath); has && b.newtab != nil && !p.NoFstabUpdate {
		if err := tree.Put(fstabPath, b.newtab); err != nil {
			return Content{}, err
		}
	}
	size := p.Size
	if size == 0 && !edited && folder == filepath.Clean(b.o.Rootfs) {
		if v, err := strconv.ParseFloat(b.Var("ROOTFS_SIZE"), 64); err == nil && v > 0 && v < math.MaxInt32 {
			size = int64(math.RoundToEven(v))
		}
	}
	return b.makeFS(ctx, p, tree, size)
}

// rootfsTree is the tree that --rootfs-dir names, by default the image's own, and its folder.
func (b *Builder) rootfsTree(p *Part) (t *fstree.Tree, folder string, err error) {
	if p.RootfsDir == "" {
		t, err = b.Rootfs()
		return t, filepath.Clean(b.o.Rootfs), err
	}
	if dir, ok := b.o.RootfsDirs[p.RootfsDir]; ok {
		t, err = b.Tree(dir)
		return t, filepath.Clean(dir), err
	}
	t, err = b.folder(p, "--rootfs-dir", p.RootfsDir)
	return t, filepath.Clean(b.absolute(p.RootfsDir)), err
}

// absolute is the place of an absolute path of the layout.
func (b *Builder) absolute(name string) string {
	if b.o.Resolve != nil {
		return b.o.Resolve(name)
	}
	return name
}

// folder is the tree of a folder that a line names; one below the root file system is taken out of that one's tree.
func (b *Builder) folder(p *Part, option, name string) (*fstree.Tree, error) {
	if !filepath.IsAbs(name) {
		return nil, diag.Userf(p.Pos, "%s %s is neither an absolute path nor the name of an image", option, name).
			WithHint("write e.g. %s ${IMAGE_ROOTFS}/home", option)
	}
	dir := filepath.Clean(b.absolute(name))
	if rel, err := filepath.Rel(b.o.Rootfs, dir); b.o.Rootfs != "" && err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		t, err := b.Rootfs()
		if err != nil {
			return nil, err
		}
		sub, err := t.Sub(rel)
		if err != nil {
			return nil, diag.Userf(p.Pos, "%s %s: %w in the root file system", option, name, err)
		}
		return sub, nil
	}
	t, err := b.Tree(dir)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, diag.Userf(p.Pos, "%s %s: there is no such folder", option, name)
	}
	return t, err
}

// edit applies --change-directory, --include-path and --exclude-path, in wic's order.
func (b *Builder) edit(p *Part, t *fstree.Tree) (*fstree.Tree, error) {
	if dir := p.ChangeDirectory; dir != "" {
		if err := inside(p, "--change-directory", dir); err != nil {
			return nil, err
		}
		sub, err := t.Sub(dir)
		if err != nil {
			return nil, diag.Userf(p.Pos, "--change-directory %s: %w", dir, err)
		}
		t = sub
	}
	for _, in := range p.IncludePaths {
		if err := b.include(p, t, in); err != nil {
			return nil, err
		}
	}
	for _, path := range p.ExcludePaths {
		if err := inside(p, "--exclude-path", path); err != nil {
			return nil, err
		}
		t.Remove(path)
	}
	return t, nil
}

// inside refuses paths that wic refuses: they must be relative and stay below the root.
func inside(p *Part, option, path string) error {
	if filepath.IsAbs(path) {
		return diag.Userf(p.Pos, "%s %s: the path must be relative to the root of the partition", option, path).
			WithHint("write %s", strings.TrimLeft(path, "/"))
	}
	if !filepath.IsLocal(path) {
		return diag.Userf(p.Pos, "%s %s: the path must stay inside the root of the partition", option, path)
	}
	return nil
}

// include puts a file or a folder's content below the tree's root or the folder that the line names. What does not come
// from a root file system belongs to root.
func (b *Builder) include(p *Part, t *fstree.Tree, in wks.Include) error {
	target := "."
	if in.Target != "" {
		if err := inside(p, "--include-path", in.Target); err != nil {
			return err
		}
		target = in.Target
	}
	if dir, ok := b.o.RootfsDirs[in.Path]; ok {
		o, err := b.Tree(dir)
		if err != nil {
			return err
		}
		return t.Merge(o, target, false)
	}
	if st, err := os.Stat(b.absolute(in.Path)); err == nil && !st.IsDir() && filepath.IsAbs(in.Path) {
		n, err := fstree.File(b.absolute(in.Path), b.o.Epoch)
		if err != nil {
			return err
		}
		o := fstree.New(b.o.Epoch)
		if old, ok := t.Resolve(target); ok { // the folder itself stays as it is
			if dir, _ := t.Lookup(old); dir.IsDir() {
				if err := o.Put(".", dir); err != nil {
					return err
				}
			}
		}
		n.UID, n.GID, n.Xattrs = 0, 0, nil
		if err := o.Put(filepath.Base(in.Path), n); err != nil {
			return err
		}
		return t.Merge(o, target, false)
	}
	o, err := b.folder(p, "--include-path", in.Path)
	if err != nil {
		return err
	}
	return t.Merge(o, target, !strings.HasPrefix(filepath.Clean(b.absolute(in.Path))+"/", filepath.Clean(b.o.Rootfs)+"/"))
}

// emptySource leaves a partition unformatted, or writes zeros to its start.
type emptySource struct{}

func (emptySource) Prepare(_ context.Context, b *Builder, p *Part) (Content, error) {
	_, fill := p.Params.Lookup("fill")
	size, hasSize := p.Params.Lookup("size")
	b.KnownParams(p, "fill", "size", "bs")
	var zeros int64
	var err error
	switch {
	case fill && hasSize:
		return Content{}, diag.Userf(p.Pos, "source empty: fill and size exclude each other")
	case fill && p.FixedSize == 0:
		return Content{}, diag.Userf(p.Pos, "source empty: fill needs --fixed-size")
	case fill:
		zeros = p.FixedSize * 1024
	case hasSize:
		if zeros, err = wks.ParseSize(size, 'K', true); err != nil {
			return Content{}, atPos(p.Pos, err)
		}
	}
	if bs, ok := p.Params.Lookup("bs"); ok {
		if _, err := wks.ParseSize(bs, 'K', true); err != nil {
			return Content{}, atPos(p.Pos, err)
		}
	}
	if zeros == 0 {
		return Content{KiB: p.Size}, nil
	}
	path := filepath.Join(b.Dir, fmt.Sprintf("part%d.zeros", p.Index))
	f, err := os.Create(path)
	if err != nil {
		return Content{}, err
	}
	if err := errors.Join(f.Truncate(zeros), f.Close()); err != nil {
		return Content{}, err
	}
	return Content{Path: path, KiB: (zeros + 1023) / 1024, Mapped: []gpt.Range{{Length: zeros}}}, nil
}

// KnownParams warns of source parameters that are not in known: wic takes no notice of them.
func (b *Builder) KnownParams(p *Part, known ...string) {
	for _, q := range p.Params {
		if slices.Contains(known, q.Key) {
			continue
		}
		text := fmt.Sprintf("source %s has no parameter %q: it changes nothing", p.Source, q.Key)
		if near := diag.Nearest(q.Key, known); near != "" {
			text += "; did you mean " + near + "?"
		}
		b.Warn(p.Pos, "%s", text)
	}
}

// dataRanges are the parts of a file that are not holes.
func dataRanges(f *os.File, size int64) ([]gpt.Range, error) {
	var out []gpt.Range
	for at := int64(0); at < size; {
		start, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return []gpt.Range{{Length: size}}, nil // the file system does not know holes
		}
		end, err := f.Seek(start, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		out = append(out, gpt.Range{Offset: start, Length: min(end, size) - start})
		at = end
	}
	_, err := f.Seek(0, io.SeekStart)
	return out, err
}
