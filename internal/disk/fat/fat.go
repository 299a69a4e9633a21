// SPDX-License-Identifier: MIT

// Package fat fills a freshly formatted FAT file system (FAT12, FAT16 or FAT32, as mkfs.vfat makes it) with a file tree.
//
// Input is the image and an fstree.Tree; output are the directories, the file contents and the allocation tables, in one
// contiguous run of clusters from the first free one on, in the tree's order: the same tree gives the same bits. A name
// that FAT cannot hold, two names that differ in case only, device nodes, links to nowhere and to folders, files of 4 GiB
// and too many bytes are refused.
//
// Formats: Microsoft "FAT: General Overview of On-Disk Format" 1.03 (fatgen103), with long names and the case bits of
// byte 12 that Windows NT and mtools use.
package fat

import (
	"context"
	"fmt"
	"io"
	"math"

	"n3x/internal/disk/fstree"
)

// Image is a formatted image, usually an *os.File.
type Image interface {
	io.ReaderAt
	io.WriterAt
}

// Full is the error for a tree that does not fit.
type Full struct{ Need, Have int64 } // bytes of data clusters

func (e *Full) Error() string {
	return fmt.Sprintf("the content needs %d KiB, the file system has %d KiB", (e.Need+1023)/1024, e.Have/1024)
}

// Fill puts the tree into the empty file system in img. It returns the number of bytes from the start of the image that
// are in use; what lies behind is free clusters.
func Fill(ctx context.Context, img Image, t *fstree.Tree) (used int64, err error) {
	v, err := open(img)
	if err != nil {
		return 0, err
	}
	root, err := plan(t)
	if err != nil {
		return 0, err
	}
	if err := v.allocate(root); err != nil {
		return 0, err
	}
	if err := v.writeDir(ctx, root, nil); err != nil {
		return 0, err
	}
	if err := v.writeTables(); err != nil {
		return 0, err
	}
	return v.dataStart + int64(v.next-2)*v.clusterSize, nil
}

// allocate gives clusters to everything below root, and to root itself as far as it has no fixed place.
func (v *volume) allocate(root *dir) error {
	root.existing = v.label
	extra := int64(0) // clusters of FAT32's root behind its first one
	if v.bits == 32 {
		root.cluster = v.rootCluster
		extra = root.clusters(v.clusterSize) - 1
	} else if root.slots() > v.rootEntries {
		return fmt.Errorf("the root directory has place for %d entries, not for %d", v.rootEntries, root.slots())
	}
	need, free := extra+v.need(root), int64(v.clusters+2)-int64(v.next)
	if need > free {
		return &Full{Need: need * v.clusterSize, Have: free * v.clusterSize}
	}
	if root.more = v.take(extra); root.more != 0 {
		v.table[root.cluster] = root.more
	}
	v.allocateBelow(root)
	return nil
}

func (v *volume) allocateBelow(d *dir) {
	for _, c := range d.children {
		if c.dir != nil {
			c.dir.cluster = v.take(c.dir.clusters(v.clusterSize))
			c.cluster = c.dir.cluster
			v.allocateBelow(c.dir)
		} else {
			c.cluster = v.take(ceil(c.node.Size, v.clusterSize))
		}
	}
}

// need is the number of clusters that allocateBelow will take.
func (v *volume) need(d *dir) int64 {
	var n int64
	for _, c := range d.children {
		if c.dir != nil {
			n += c.dir.clusters(v.clusterSize) + v.need(c.dir)
		} else {
			n += ceil(c.node.Size, v.clusterSize)
		}
	}
	return n
}

// take allocates n clusters in a chain and gives the first, 0 for none.
func (v *volume) take(n int64) uint32 {
	if n <= 0 {
		return 0
	}
	first := v.next
	for range n {
		v.table = append(v.table, v.next+1)
		v.next++
	}
	v.table[len(v.table)-1] = math.MaxUint32 // end of chain, cut to the table's width when written
	return first
}

func ceil(n, unit int64) int64 {
	if n <= 0 {
		return 0
	}
	return (n + unit - 1) / unit
}

// writeDir writes the directory d and everything below it.
func (v *volume) writeDir(ctx context.Context, d, parent *dir) error {
	data, err := d.encode(parent)
	if err != nil {
		return err
	}
	if err := v.writeEntries(d, data); err != nil {
		return err
	}
	for _, c := range d.children {
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.dir != nil {
			err = v.writeDir(ctx, c.dir, d)
		} else {
			err = v.writeFile(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeEntries puts a directory's entries where they belong: the root of FAT12 and FAT16 has a fixed place, that of
// FAT32 may continue behind its first cluster.
func (v *volume) writeEntries(d *dir, data []byte) error {
	if d.cluster == 0 {
		_, err := v.img.WriteAt(data, v.rootStart)
		return err
	}
	first := data
	if d.more != 0 {
		first = data[:v.clusterSize]
		if _, err := v.img.WriteAt(data[v.clusterSize:], v.offset(d.more)); err != nil {
			return err
		}
	}
	_, err := v.img.WriteAt(first, v.offset(d.cluster))
	return err
}

func (v *volume) writeFile(c *entry) error {
	if c.node.Size == 0 {
		return nil
	}
	f, err := c.node.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(io.NewOffsetWriter(v.img, v.offset(c.cluster)), io.LimitReader(f, c.node.Size))
	if err != nil {
		return fmt.Errorf("copy %s: %w", c.path, err)
	}
	if n != c.node.Size {
		return fmt.Errorf("copy %s: the file shrank from %d to %d bytes", c.path, c.node.Size, n)
	}
	return nil
}
