// SPDX-License-Identifier: MIT

package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"n3x/internal/diag"
	"n3x/internal/disk/fat"
	"n3x/internal/disk/fstree"
	"n3x/internal/disk/gpt"
	"n3x/internal/disk/wks"
)

// rootfsKiB is wic's rule for the size of a partition whose content takes actual KiB.
func (p *Part) rootfsKiB(actual, size int64) (int64, error) {
	if p.FixedSize > 0 {
		if actual > p.FixedSize {
			return 0, tooSmall(p, actual, p.FixedSize)
		}
		return p.FixedSize, nil
	}
	extra := max(size-actual, p.ExtraSpace)
	return int64(float64(actual+extra) * p.OverheadFactor), nil
}

// GrownKiB is the size a boot partition gets for current KiB of files: at least spare more, and at least --size.
func (p *Part) GrownKiB(current, spare int64) int64 { return current + max(p.Size-current, spare) }

// makeFS makes p's file system with the tree in it. size is --size, or what stands for it.
func (b *Builder) makeFS(ctx context.Context, p *Part, t *fstree.Tree, size int64) (Content, error) {
	path := filepath.Join(b.Dir, fmt.Sprintf("part%d.%s", p.Index, p.FSType))
	fs := FileSystem{
		Type: p.FSType, Label: p.Label, UUID: p.FSUUID, Epoch: b.o.Epoch, Runner: runner{b},
	}
	var err error
	if fs.Options, err = wks.Split(p.MkfsExtraOpts); err != nil {
		return Content{}, diag.Userf(p.Pos, "--mkfs-extraopts: %w", err)
	}
	switch {
	case p.Ext():
		actual := t.UsageKiB()
		if fs.SizeKiB, err = p.rootfsKiB(actual, size); err != nil {
			return Content{}, err
		}
		if fs.Options == nil {
			fs.Options = []string{"-i", "8192"}
		}
		if err := fs.Make(ctx, path, t); err != nil {
			if ctx.Err() != nil {
				return Content{}, err
			}
			return Content{}, diag.Failedf(p.Pos, "make the %s file system of %s: %w", p.FSType, p.Name(), err).
				WithNote("its files take %d KiB, besides its own tables; the layout gives it %d KiB", actual, fs.SizeKiB).
				WithHint("if it is full, raise --fixed-size, --size or --extra-space")
		}
		return Content{Path: path, KiB: fs.SizeKiB}, nil
	case p.FAT():
		kib, err := p.rootfsKiB(t.ApparentKiB(), size)
		if err != nil {
			return Content{}, err
		}
		if fs.Label == "" {
			fs.Label = "boot"
		}
		return b.MakeFAT(ctx, p, t, fs, kib)
	case p.FSType == "squashfs" || p.FSType == "erofs":
		if err := fs.Make(ctx, path, t); err != nil {
			return Content{}, err
		}
		return wholeFile(path)
	}
	return Content{}, diag.Userf(p.Pos, "partition %s: source %s cannot make a file system of type %s", p.Name(), p.Source, p.FSType)
}

// MakeFAT makes a FAT of kib KiB with the tree in it.
func (b *Builder) MakeFAT(ctx context.Context, p *Part, t *fstree.Tree, fs FileSystem, kib int64) (Content, error) {
	path := filepath.Join(b.Dir, fmt.Sprintf("part%d.%s", p.Index, p.FSType))
	fs.Type, fs.UUID, fs.Epoch, fs.Runner, fs.SizeKiB = "vfat", p.FSUUID, b.o.Epoch, runner{b}, kib
	used, err := fs.makeFAT(ctx, path, t)
	if full := (*fat.Full)(nil); errors.As(err, &full) {
		return Content{}, tooSmall(p, kib+(full.Need-full.Have+1023)/1024, kib)
	}
	if err != nil {
		return Content{}, err
	}
	return Content{Path: path, KiB: kib, Mapped: []gpt.Range{{Length: used}}}, nil
}

// wholeFile is a content that fills its partition from end to end.
func wholeFile(path string) (Content, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Content{}, err
	}
	return Content{Path: path, KiB: (st.Size() + 1023) / 1024, Mapped: []gpt.Range{{Length: st.Size()}}}, nil
}

// emptyFS is a partition without a source: an empty file system of the size that the line gives.
func (b *Builder) emptyFS(ctx context.Context, p *Part) (Content, error) {
	kib := p.Size
	if p.FixedSize > 0 {
		kib = p.FixedSize
	}
	if p.FSType == "none" || p.NoTable {
		return Content{KiB: kib}, nil
	}
	if kib == 0 {
		return Content{}, diag.Userf(p.Pos, "the partition %s has a size of zero", p.Name()).WithHint("give it --size or --fixed-size")
	}
	path := filepath.Join(b.Dir, fmt.Sprintf("part%d.%s", p.Index, p.FSType))
	fs := FileSystem{Type: p.FSType, Label: p.Label, UUID: p.FSUUID, Epoch: b.o.Epoch, SizeKiB: kib, Runner: runner{b}}
	var err error
	if fs.Options, err = wks.Split(p.MkfsExtraOpts); err != nil {
		return Content{}, diag.Userf(p.Pos, "--mkfs-extraopts: %w", err)
	}
	switch {
	case p.FSType == "swap":
		return b.swap(p, path, kib)
	case p.Ext():
		if fs.Options == nil {
			fs.Options = []string{"-i", "8192"}
		}
		err = fs.Make(ctx, path, nil)
		return Content{Path: path, KiB: kib}, err
	case p.FAT():
		if fs.Label == "" {
			fs.Label = "boot"
		}
		return b.MakeFAT(ctx, p, fstree.New(b.o.Epoch), fs, kib)
	case p.FSType == "squashfs" || p.FSType == "erofs":
		return Content{}, diag.Userf(p.Pos, "partition %s: an empty %s cannot be made", p.Name(), p.FSType).
			WithHint("give the line a --source, e.g. rootfs")
	}
	return Content{}, diag.Userf(p.Pos, "partition %s: an empty %s cannot be made", p.Name(), p.FSType)
}

// swapPage is the page size that swap headers are written for.
const swapPage = 4096

// swap makes swap space: its header alone says everything (union swap_header in include/linux/swap.h).
func (b *Builder) swap(p *Part, path string, kib int64) (Content, error) {
	pages := kib * 1024 / swapPage
	if pages < 10 {
		return Content{}, diag.Userf(p.Pos, "partition %s: %d KiB are too small for swap space", p.Name(), kib).WithHint("40 KiB is the least")
	}
	id, err := uuid.Parse(p.FSUUID)
	if err != nil {
		return Content{}, err
	}
	h := make([]byte, swapPage)
	binary.LittleEndian.PutUint32(h[1024:], 1)
	binary.LittleEndian.PutUint32(h[1028:], uint32(pages-1))
	copy(h[1036:], id[:])
	copy(h[1052:1068], p.Label)
	copy(h[swapPage-10:], "SWAPSPACE2")
	f, err := os.Create(path)
	if err != nil {
		return Content{}, err
	}
	_, err = f.Write(h)
	if err = errors.Join(err, f.Truncate(kib*1024), f.Close()); err != nil {
		return Content{}, err
	}
	return Content{Path: path, KiB: kib, Mapped: []gpt.Range{{Length: swapPage}}}, nil
}

// runner runs programs as the builder does.
type runner struct{ b *Builder }

func (r runner) Run(ctx context.Context, c Command) error { return r.b.Run(ctx, c) }
