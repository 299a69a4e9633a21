// SPDX-License-Identifier: MIT

// Package fstree is a file tree as data: what a file system image holds, apart from the folder it was read from.
//
// [Scan] reads a folder into a [Tree]; its methods edit the tree without touching the folder (leave paths out, put files
// in, take a subfolder); [Tree.WriteTar] and [Tree.WriteCPIO] stream it. Whatever of a folder is accidental is gone after
// the scan: the order of directories, inode numbers, change and access times, fractions of seconds, times after the epoch
// (clamped), host labels (security.selinux, overlayfs's attributes) and the user-namespace form of file capabilities.
// Hard links, device nodes, sparse files, ownership, modes and all other extended attributes stay.
//
// Formats: pax (POSIX.1-2024, with SCHILY.xattr records as GNU tar and libarchive read them), cpio "newc"
// (Linux Documentation/driver-api/early-userspace/buffer-format.rst).
package fstree

import (
	"bytes"
	"io"
	"os"
	"path"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// Node is an inode. Hard links are paths of a tree that share one node.
type Node struct {
	Mode     uint32 // file type and permission bits, as in st_mode, e.g. unix.S_IFREG | 0o644
	UID, GID int
	MTime    int64 // seconds
	Size     int64 // of a regular file
	Data     int64 // bytes of a regular file that are not in holes
	Target   string
	Major    uint32
	Minor    uint32
	Xattrs   []Xattr // sorted by name

	source  string // the file that holds the content
	content []byte // the content, when source is ""
}

// Xattr is an extended attribute.
type Xattr struct {
	Name  string // e.g. "security.capability"
	Value []byte
}

// Type is the file type of the mode, e.g. unix.S_IFDIR.
func (n *Node) Type() uint32 { return n.Mode & unix.S_IFMT }

// IsDir reports whether n is a directory.
func (n *Node) IsDir() bool { return n.Type() == unix.S_IFDIR }

// IsRegular reports whether n is a regular file.
func (n *Node) IsRegular() bool { return n.Type() == unix.S_IFREG }

// Open opens the content of a regular file.
func (n *Node) Open() (io.ReadCloser, error) {
	if n.source == "" {
		return io.NopCloser(bytes.NewReader(n.content)), nil
	}
	return os.Open(n.source)
}

// NewFile is a regular file of root's with the given content.
func NewFile(content []byte, perm uint32, mtime int64) *Node {
	size := int64(len(content))
	return &Node{Mode: unix.S_IFREG | perm, MTime: mtime, Size: size, Data: size, content: content}
}

// NewDir is a directory of root's.
func NewDir(perm uint32, mtime int64) *Node { return &Node{Mode: unix.S_IFDIR | perm, MTime: mtime} }

// Tree is a file tree. Paths are relative to its root, with slashes; the root is ".".
type Tree struct {
	nodes map[string]*Node
}

// New is a tree that holds only a root directory of root's.
func New(mtime int64) *Tree { return &Tree{nodes: map[string]*Node{".": NewDir(0o755, mtime)}} }

// Entry is a path of a tree.
type Entry struct {
	Path string
	*Node
	LinkTo string // for the second and further links to a node: the path of the first
}

// Lookup gives the node at p, not following symbolic links.
func (t *Tree) Lookup(p string) (*Node, bool) {
	n, ok := t.nodes[clean(p)]
	return n, ok
}

// Entries lists the tree, parents before children, sorted by name within each directory.
func (t *Tree) Entries() []Entry {
	paths := make([]string, 0, len(t.nodes))
	for p := range t.nodes {
		paths = append(paths, p)
	}
	sort.Slice(paths, func(i, j int) bool { return less(paths[i], paths[j]) })
	first := map[*Node]string{}
	entries := make([]Entry, len(paths))
	for i, p := range paths {
		n := t.nodes[p]
		entries[i] = Entry{Path: p, Node: n, LinkTo: first[n]}
		if _, seen := first[n]; !seen && !n.IsDir() {
			first[n] = p
		}
	}
	return entries
}

// less orders paths by their components, so that a directory's content follows it at once.
func less(a, b string) bool {
	if a == "." || b == "." {
		return a == "." && b != "."
	}
	for i := 0; i < len(a) && i < len(b); i++ {
		if x, y := a[i], b[i]; x != y {
			if x == '/' || y == '/' {
				return x == '/'
			}
			return x < y
		}
	}
	return len(a) < len(b)
}

// clean makes a path of a tree from what users write: "/boot/", "./boot" and "boot" are the same.
func clean(p string) string {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if p == "" {
		return "."
	}
	return p
}

func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}
