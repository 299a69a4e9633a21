// SPDX-License-Identifier: MIT

package fstree

import "golang.org/x/sys/unix"

const block = 4096

func blocks(n int64) int64 { return (n + block - 1) / block }

// UsageKiB is what `du -ks` counts for the tree on an ext4 file system with 4 KiB blocks, whichever one it lies on.
func (t *Tree) UsageKiB() int64 {
	var total int64
	for _, n := range t.unique() {
		switch n.Type() {
		case unix.S_IFREG:
			total += blocks(n.Data)
		case unix.S_IFLNK:
			if len(n.Target) >= 60 { // shorter ones are kept in the inode
				total += blocks(int64(len(n.Target)))
			}
		}
	}
	for _, size := range t.dirSizes() {
		total += blocks(size)
	}
	return total * block / 1024
}

// ApparentKiB is what `du -bks` counts: the bytes of files and symbolic links, without directories.
func (t *Tree) ApparentKiB() int64 {
	var total int64
	for _, n := range t.unique() {
		switch n.Type() {
		case unix.S_IFREG:
			total += n.Size
		case unix.S_IFLNK:
			total += int64(len(n.Target))
		}
	}
	return (total + 1023) / 1024
}

// DirectoryKiB is ISAR's measure for ROOTFS_SIZE (oe.utils.directory_size): every file, link and directory rounded up
// to 4 KiB, except symbolic links to directories.
func (t *Tree) DirectoryKiB() int64 {
	var total int64
	counted := map[*Node]bool{}
	for p, n := range t.nodes {
		if n.IsDir() || counted[n] {
			continue
		}
		counted[n] = true
		switch n.Type() {
		case unix.S_IFREG:
			total += blocks(n.Size)
		case unix.S_IFLNK:
			if to, ok := t.Resolve(p); !ok || !t.nodes[to].IsDir() {
				total++
			}
		}
	}
	for _, size := range t.dirSizes() {
		total += blocks(size)
	}
	return total * block / 1024
}

// unique lists the nodes that are not directories, each once.
func (t *Tree) unique() []*Node {
	seen := make(map[*Node]bool, len(t.nodes))
	list := make([]*Node, 0, len(t.nodes))
	for _, n := range t.nodes {
		if !n.IsDir() && !seen[n] {
			seen[n] = true
			list = append(list, n)
		}
	}
	return list
}

// dirSizes estimates the size of every directory on ext4: its entries, at least one block.
func (t *Tree) dirSizes() map[string]int64 {
	sizes := map[string]int64{}
	for p, n := range t.nodes {
		if n.IsDir() {
			sizes[p] += 24 // "." and ".."
		}
		if p == "." {
			continue
		}
		dir, name := parent(p)
		sizes[dir] += int64(8+len(name)+3) &^ 3
	}
	return sizes
}

func parent(p string) (dir, name string) {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] == '/' {
			return p[:i], p[i+1:]
		}
	}
	return ".", p
}
