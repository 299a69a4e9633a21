// SPDX-License-Identifier: MIT

package fstree

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// Scan reads the tree below dir. Times after epoch become epoch. Sockets are left out.
func Scan(ctx context.Context, dir string, epoch int64) (*Tree, error) {
	s := &scanner{ctx: ctx, epoch: epoch, tree: &Tree{nodes: map[string]*Node{}}, seen: map[inode]*Node{}}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return nil, &os.PathError{Op: "read", Path: dir, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil, &os.PathError{Op: "read", Path: dir, Err: unix.ENOTDIR}
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	if err := s.add(real, "."); err != nil {
		return nil, err
	}
	return s.tree, nil
}

// File reads the single file at name (following a symbolic link) as a node; times after epoch become epoch.
func File(name string, epoch int64) (*Node, error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(real, &st); err != nil {
		return nil, &os.PathError{Op: "read", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	s := &scanner{epoch: epoch, seen: map[inode]*Node{}}
	return s.node(real, &st)
}

type inode struct{ dev, ino uint64 }

type scanner struct {
	ctx   context.Context
	epoch int64
	tree  *Tree
	seen  map[inode]*Node // of files with several links
}

func (s *scanner) add(host, p string) error {
	var st unix.Stat_t
	if err := unix.Lstat(host, &st); err != nil {
		return &os.PathError{Op: "read", Path: host, Err: err}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		return nil
	}
	id := inode{uint64(st.Dev), st.Ino}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if n, ok := s.seen[id]; ok && !isDir {
		s.tree.nodes[p] = n
		return nil
	}
	n, err := s.node(host, &st)
	if err != nil {
		return err
	}
	s.tree.nodes[p] = n
	if !isDir {
		if st.Nlink > 1 {
			s.seen[id] = n
		}
		return nil
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	return s.children(host, p)
}

func (s *scanner) children(host, p string) error {
	f, err := os.Open(host)
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	sort.Strings(names)
	for _, name := range names {
		if err := s.add(host+"/"+name, join(p, name)); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) node(host string, st *unix.Stat_t) (*Node, error) {
	n := &Node{Mode: st.Mode, UID: int(st.Uid), GID: int(st.Gid), MTime: min(int64(st.Mtim.Sec), s.epoch)}
	var err error
	switch n.Type() {
	case unix.S_IFREG:
		n.source, n.Size = host, st.Size
		n.Data, err = dataBytes(host, st)
	case unix.S_IFLNK:
		n.Target, err = os.Readlink(host)
	case unix.S_IFCHR, unix.S_IFBLK:
		n.Major, n.Minor = unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	}
	if err != nil {
		return nil, err
	}
	n.Xattrs, err = xattrs(host)
	return n, err
}

// dataBytes is the size of a file without its holes. Only a file that has fewer blocks than bytes can have some.
func dataBytes(host string, st *unix.Stat_t) (int64, error) {
	if st.Size == 0 || st.Blocks*512 >= st.Size {
		return st.Size, nil
	}
	f, err := os.Open(host)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var data int64
	for at := int64(0); at < st.Size; {
		start, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return st.Size, nil
		}
		end, err := unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return st.Size, nil
		}
		data += end - start
		at = end
	}
	return data, nil
}

// xattrs reads the attributes that belong to the file rather than to this host.
func xattrs(host string) ([]Xattr, error) {
	buf := make([]byte, 1024)
	n, err := unix.Llistxattr(host, buf)
	if errors.Is(err, unix.ERANGE) {
		buf = make([]byte, xattrListMax)
		n, err = unix.Llistxattr(host, buf)
	}
	if errors.Is(err, unix.ENOTSUP) || n == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "list extended attributes of", Path: host, Err: err}
	}
	var all []Xattr
	for _, name := range strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00") {
		if !portable(name) {
			continue
		}
		value, err := xattr(host, name)
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "read extended attribute " + name + " of", Path: host, Err: err}
		}
		if name == capability {
			value = capabilityV2(value)
		}
		all = append(all, Xattr{name, value})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

func xattr(host, name string) ([]byte, error) {
	size, err := unix.Lgetxattr(host, name, nil)
	if err != nil || size == 0 {
		return nil, err
	}
	value := make([]byte, size)
	size, err = unix.Lgetxattr(host, name, value)
	return value[:max(size, 0)], err
}

const (
	capability   = "security.capability"
	xattrListMax = 65536 // XATTR_LIST_MAX of include/uapi/linux/limits.h
)

// portable reports whether an attribute goes into an image. A host's SELinux labels and the bookkeeping of overlayfs
// and network file systems do not.
func portable(name string) bool {
	switch name {
	case capability, "security.ima", "security.evm", "system.posix_acl_access", "system.posix_acl_default":
		return true
	}
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.")
}

// capabilityV2 turns the form that the kernel shows for capabilities set inside a user namespace (revision 3, with the
// namespace's root id behind) into the plain one: see struct vfs_ns_cap_data in include/uapi/linux/capability.h.
func capabilityV2(v []byte) []byte {
	const (
		revisionMask = 0xff000000
		revision2    = 0x02000000
		revision3    = 0x03000000
		sizeV2       = 20
	)
	if len(v) != sizeV2+4 {
		return v
	}
	magic := binary.LittleEndian.Uint32(v)
	if magic&revisionMask != revision3 {
		return v
	}
	out := append([]byte(nil), v[:sizeV2]...)
	binary.LittleEndian.PutUint32(out, magic&^revisionMask|revision2)
	return out
}
