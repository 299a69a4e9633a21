// Package ext4 reads single files out of an ext4 file system that lies in an image, without mounting it: the kernel's
// Documentation/filesystems/ext4 tells the format. Links are not followed. What a damaged image says is never trusted: it
// leads to an error.
//
// Refused by name: file systems with inline data, meta block groups or encryption where they matter, and files without
// extents, which mke2fs has not made for ext4 since it exists.
package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// ErrNone says that there is no ext4 file system.
var ErrNone = errors.New("no ext4 file system")

// MaxFile is the size of the largest file that is read, in bytes.
const MaxFile = 64 << 20

const (
	rootInode   = 2
	maxDepth    = 5 // of extent trees, as the kernel has it
	flagExtents = 0x80000
	flagInline  = 0x10000000
	flagEncrypt = 0x800
	modeMask    = 0xf000
	modeDir     = 0x4000
	modeFile    = 0x8000
)

var le = binary.LittleEndian

// FS is a file system in an image.
type FS struct {
	r         io.ReaderAt
	block     int64 // bytes
	perGroup  uint32
	inodes    uint32
	inodeSize int64
	descSize  int64
	tableAt   int64 // byte of the group descriptors
}

// Open reads the superblock. ErrNone means that r holds something else.
func Open(r io.ReaderAt) (*FS, error) {
	s := make([]byte, 1024)
	if _, err := r.ReadAt(s, 1024); err != nil || le.Uint16(s[0x38:]) != 0xef53 {
		return nil, ErrNone
	}
	f := &FS{r: r, perGroup: le.Uint32(s[0x28:]), inodes: le.Uint32(s), inodeSize: 128, descSize: 32}
	log := le.Uint32(s[0x18:])
	if log > 6 || f.perGroup == 0 {
		return nil, fmt.Errorf("the superblock is damaged")
	}
	f.block = 1024 << log
	if le.Uint32(s[0x4c:]) > 0 { // dynamic revision
		f.inodeSize = int64(le.Uint16(s[0x58:]))
	}
	incompatible := le.Uint32(s[0x60:])
	if incompatible&0x10 != 0 {
		return nil, fmt.Errorf("file systems with meta block groups cannot be read")
	}
	if incompatible&0x80 != 0 { // 64bit
		f.descSize = int64(le.Uint16(s[0xfe:]))
	}
	if f.inodeSize < 128 || f.inodeSize > f.block || f.descSize < 32 || f.descSize > 1024 {
		return nil, fmt.Errorf("the superblock is damaged")
	}
	f.tableAt = (int64(le.Uint32(s[0x14:])) + 1) * f.block
	return f, nil
}

// ReadFile reads a file by its path from the root, e.g. "var/lib/dpkg/status". A missing one is fs.ErrNotExist.
func (f *FS) ReadFile(path string) ([]byte, error) {
	inode, err := f.inode(rootInode)
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if le.Uint16(inode)&modeMask != modeDir {
			return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
		}
		n, err := f.lookup(inode, name)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
		}
		if inode, err = f.inode(n); err != nil {
			return nil, err
		}
	}
	if le.Uint16(inode)&modeMask != modeFile {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	return f.content(inode)
}

// inode reads an inode's first 128 bytes.
func (f *FS) inode(n uint32) ([]byte, error) {
	if n == 0 || n > f.inodes {
		return nil, fmt.Errorf("inode %d does not exist", n)
	}
	group, index := int64((n-1)/f.perGroup), int64((n-1)%f.perGroup)
	desc := make([]byte, f.descSize)
	if _, err := f.r.ReadAt(desc, f.tableAt+group*f.descSize); err != nil {
		return nil, fmt.Errorf("read group %d: %w", group, err)
	}
	table := int64(le.Uint32(desc[8:]))
	if f.descSize >= 64 {
		table |= int64(le.Uint32(desc[0x28:])) << 32
	}
	inode := make([]byte, 128)
	if _, err := f.r.ReadAt(inode, table*f.block+index*f.inodeSize); err != nil {
		return nil, fmt.Errorf("read inode %d: %w", n, err)
	}
	return inode, nil
}

// lookup finds a name in a folder; 0 means that it is not there. The index blocks of large folders look like unused entries.
func (f *FS) lookup(inode []byte, name string) (uint32, error) {
	data, err := f.content(inode)
	if err != nil {
		return 0, err
	}
	for at := 0; at+8 <= len(data); {
		n, length, size := le.Uint32(data[at:]), int(le.Uint16(data[at+4:])), int(data[at+6])
		if length < 8 || at+length > len(data) || size > length-8 {
			return 0, fmt.Errorf("a folder is damaged")
		}
		if n != 0 && string(data[at+8:at+8+size]) == name {
			return n, nil
		}
		at += length
	}
	return 0, nil
}

// content reads what an inode's extents hold.
func (f *FS) content(inode []byte) ([]byte, error) {
	flags := le.Uint32(inode[0x20:])
	size := int64(le.Uint32(inode[4:])) | int64(le.Uint32(inode[0x6c:]))<<32
	switch {
	case flags&flagInline != 0, flags&flagEncrypt != 0, flags&flagExtents == 0 && size > 0:
		return nil, fmt.Errorf("a file with inline data, encryption or without extents cannot be read")
	case size < 0 || size > MaxFile:
		return nil, fmt.Errorf("a file of %d bytes is too large", size)
	case size == 0:
		return nil, nil
	}
	out := make([]byte, size)
	return out, f.extents(inode[0x28:0x28+60], out, maxDepth)
}

// extents fills out from one node of an extent tree.
func (f *FS) extents(node, out []byte, depth int) error {
	count, level := int(le.Uint16(node[2:])), le.Uint16(node[6:])
	if le.Uint16(node) != 0xf30a || depth < 0 || 12+12*count > len(node) {
		return fmt.Errorf("an extent tree is damaged")
	}
	for i := range count {
		e := node[12+12*i:][:12]
		if level > 0 {
			child := make([]byte, f.block)
			at := int64(le.Uint32(e[4:])) | int64(le.Uint16(e[8:]))<<32
			if _, err := f.r.ReadAt(child, at*f.block); err != nil {
				return fmt.Errorf("read an extent tree: %w", err)
			}
			if err := f.extents(child, out, depth-1); err != nil {
				return err
			}
			continue
		}
		length := int64(le.Uint16(e[4:]))
		if length > 32768 {
			continue // allocated, and never written: zeros
		}
		from := int64(le.Uint32(e)) * f.block
		if from >= int64(len(out)) {
			continue
		}
		part := out[from:min(from+length*f.block, int64(len(out)))]
		at := int64(le.Uint32(e[8:])) | int64(le.Uint16(e[6:]))<<32
		if _, err := f.r.ReadAt(part, at*f.block); err != nil {
			return fmt.Errorf("read a file's blocks: %w", err)
		}
	}
	return nil
}
