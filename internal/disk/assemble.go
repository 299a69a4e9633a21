// SPDX-License-Identifier: MIT

package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/disk/bmap"
	"n3x/internal/disk/gpt"
)

// chunk is how much is copied at a time.
const chunk = 1 << 20

// assemble writes the image, its block map and the partitions' own images, and puts them all in place at the end.
func (b *Builder) assemble(ctx context.Context, t *gpt.Table) (*Result, error) {
	size := int64(t.Sectors) * gpt.SectorSize
	out, err := atomicfile.Create(b.o.Output, b.mode())
	if err != nil {
		return nil, err
	}
	defer out.Discard()
	if err := out.Truncate(size); err != nil {
		return nil, fmt.Errorf("make an image of %d bytes: %w", size, err)
	}
	used := bmap.NewMap(size)
	for _, p := range b.parts {
		if err := b.install(ctx, out.File, p, used); err != nil {
			return nil, located(p, err)
		}
	}
	ranges, err := t.Write(out)
	if err != nil {
		return nil, diag.Userf(b.Loader.Pos, "partition table %s: %w", b.Loader.PTable, err)
	}
	for _, r := range ranges {
		used.Add(r.Offset, r.Length)
	}
	return b.publish(ctx, out, used, b.result(size))
}

func (b *Builder) mode() os.FileMode {
	if b.o.Mode == 0 {
		return 0o644
	}
	return b.o.Mode
}

// result describes the disk.
func (b *Builder) result(size int64) *Result {
	r := &Result{Output: b.o.Output, Size: size, RootDevice: b.RootDevice()}
	if b.newtab != nil {
		r.Fstab = b.fstab
	}
	for _, p := range b.parts {
		r.Partitions = append(r.Partitions, Partition{
			Number: p.Number, Mountpoint: p.Mountpoint, Label: p.Label, FSType: p.FSType,
			Start: p.start, Sectors: p.sectors, UUID: p.UUID, FSUUID: p.FSUUID,
		})
	}
	return r
}

// publish writes the block map and the partitions' own files, and puts all of them in place, the image last.
func (b *Builder) publish(ctx context.Context, out *atomicfile.File, used *bmap.Map, r *Result) (*Result, error) {
	files := []*atomicfile.File{}
	defer func() {
		for _, f := range files {
			f.Discard()
		}
	}()
	create := func(path string, fill func(*os.File) error) error {
		f, err := atomicfile.Create(path, b.mode())
		if err != nil {
			return err
		}
		files = append(files, f)
		return fill(f.File)
	}
	for i, p := range b.parts {
		if !b.o.DeployPartitions || p.Number == 0 || p.content.Path == "" {
			continue
		}
		r.Partitions[i].File = fmt.Sprintf("%s.p%d", b.o.Output, p.Number)
		err := create(r.Partitions[i].File, func(f *os.File) error { return copySparse(ctx, f, p.content.Path) })
		if err != nil {
			return nil, err
		}
	}
	if b.o.Bmap {
		r.Bmap = b.o.Output + ".bmap"
		if err := create(r.Bmap, func(f *os.File) error { return bmap.Write(ctx, f, out, used) }); err != nil {
			return nil, err
		}
	}
	for _, f := range append(files, out) {
		if err := f.Commit(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// CopySparse copies a file, with its mode, and leaves holes where from has them.
func CopySparse(ctx context.Context, from, to string) error {
	st, err := os.Stat(from)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, st.Mode().Perm())
	if err != nil {
		return err
	}
	return errors.Join(copySparse(ctx, out, from), out.Truncate(st.Size()), out.Close())
}

// copySparse copies the file at path to the empty file out.
func copySparse(ctx context.Context, out *os.File, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if err := out.Truncate(st.Size()); err != nil {
		return err
	}
	return copyBlocks(ctx, out, in, 0, func(int64, int64) {})
}

// install copies a partition's content to its place and notes which blocks of the disk mean something.
func (b *Builder) install(ctx context.Context, out *os.File, p *Part, used *bmap.Map) error {
	if p.content.Path == "" {
		return nil
	}
	in, err := os.Open(p.content.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if st.Size() > p.sectors*gpt.SectorSize {
		return fmt.Errorf("BUG: an image of %d bytes for %d sectors", st.Size(), p.sectors)
	}
	at := p.start * gpt.SectorSize
	if p.content.Mapped == nil {
		if err := copyBlocks(ctx, out, in, at, used.Add); err != nil {
			return err
		}
	}
	for _, r := range p.content.Mapped {
		if err := copyRange(ctx, out, in, at, r); err != nil {
			return err
		}
		used.Add(at+r.Offset, r.Length)
	}
	if !p.content.borrowed && !b.o.DeployPartitions {
		return os.Remove(p.content.Path)
	}
	return nil
}

// copyRange copies one range, in the kernel where it can.
func copyRange(ctx context.Context, out, in *os.File, at int64, r gpt.Range) error {
	if _, err := in.Seek(r.Offset, io.SeekStart); err != nil {
		return err
	}
	if _, err := out.Seek(at+r.Offset, io.SeekStart); err != nil {
		return err
	}
	for left := r.Length; left > 0; left -= min(left, 64*chunk) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, min(left, 64*chunk)); err != nil {
			return err
		}
	}
	return nil
}

const blockSize = 4096

var zeroBlock [blockSize]byte

// copyBlocks copies what is not zero of in to offset at of out, and reports each run of blocks that it copied.
func copyBlocks(ctx context.Context, out, in *os.File, at int64, copied func(offset, length int64)) error {
	st, err := in.Stat()
	if err != nil {
		return err
	}
	ranges, err := dataRanges(in, st.Size())
	if err != nil {
		return err
	}
	buf := make([]byte, chunk)
	for _, r := range ranges {
		start, end := r.Offset/blockSize*blockSize, r.Offset+r.Length
		for ; start < end; start += chunk {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := in.ReadAt(buf[:min(chunk, st.Size()-start)], start)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if err := writeNonzero(out, buf[:n], at+start, copied); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeNonzero writes the runs of blocks of data that are not all zeros.
func writeNonzero(out *os.File, data []byte, at int64, copied func(offset, length int64)) error {
	for i := 0; i < len(data); {
		j := i
		for j < len(data) && !bytes.Equal(data[j:min(j+blockSize, len(data))], zeroBlock[:min(blockSize, len(data)-j)]) {
			j = min(j+blockSize, len(data))
		}
		if j == i {
			i = min(i+blockSize, len(data))
			continue
		}
		if _, err := out.WriteAt(data[i:j], at+int64(i)); err != nil {
			if errors.Is(err, unix.ENOSPC) {
				return fmt.Errorf("the disk is full: %w", err)
			}
			return err
		}
		copied(at+int64(i), int64(j-i))
		i = j
	}
	return nil
}
