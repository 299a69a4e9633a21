// SPDX-License-Identifier: MIT

package fstree

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// WriteTar streams the tree as a tar archive: names begin with "./", owners are numbers only, extended attributes are
// SCHILY.xattr records. Sparse files are written whole.
func (t *Tree) WriteTar(ctx context.Context, w io.Writer) error {
	return t.writeTar(ctx, w, func(*tar.Header) {})
}

// WriteInodeTar is WriteTar for a mkfs program that reads by libarchive. Records give every inode the access and change
// time at, which else would be 1970; and they say that names are mere bytes, which else would have to be UTF-8 and known
// to the locale.
func (t *Tree) WriteInodeTar(ctx context.Context, w io.Writer, at int64) error {
	return t.writeTar(ctx, w, func(h *tar.Header) {
		h.AccessTime, h.ChangeTime = time.Unix(at, 0), time.Unix(at, 0)
		h.Format = tar.FormatPAX
		if ascii(h.Name + h.Linkname) {
			return
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["hdrcharset"] = "BINARY"
	})
}

func (t *Tree) writeTar(ctx context.Context, w io.Writer, amend func(*tar.Header)) error {
	tw := tar.NewWriter(w)
	buf := make([]byte, 1<<20)
	for _, e := range t.Entries() {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tarHeader(e)
		if err != nil {
			return err
		}
		amend(h)
		if err := tw.WriteHeader(h); err != nil {
			return fmt.Errorf("archive %s: %w", e.Path, err)
		}
		if h.Typeflag == tar.TypeReg {
			if err := e.copyTo(tw, buf); err != nil {
				return fmt.Errorf("archive %s: %w", e.Path, err)
			}
		}
	}
	return tw.Close()
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func tarHeader(e Entry) (*tar.Header, error) {
	h := &tar.Header{
		Name: "./" + e.Path, Mode: int64(e.Mode &^ unix.S_IFMT), Uid: e.UID, Gid: e.GID,
		ModTime: time.Unix(e.MTime, 0).UTC(),
	}
	if e.Path == "." {
		h.Name = "./"
	}
	switch {
	case e.LinkTo != "":
		h.Typeflag, h.Linkname = tar.TypeLink, "./"+e.LinkTo
		return h, nil
	case e.IsDir():
		h.Typeflag = tar.TypeDir
		if e.Path != "." {
			h.Name += "/"
		}
	case e.IsRegular():
		h.Typeflag, h.Size = tar.TypeReg, e.Size
	case e.Type() == unix.S_IFLNK:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
	case e.Type() == unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case e.Type() == unix.S_IFCHR, e.Type() == unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if e.Type() == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(e.Major), int64(e.Minor)
	default:
		return nil, fmt.Errorf("archive %s: unknown file type %o", e.Path, e.Type())
	}
	for _, x := range e.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+x.Name] = string(x.Value)
	}
	return h, nil
}

// copyTo writes exactly n.Size bytes of content.
func (n *Node) copyTo(w io.Writer, buf []byte) error {
	f, err := n.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(f, n.Size), buf)
	if err != nil {
		return err
	}
	if got != n.Size {
		return fmt.Errorf("the file shrank from %d to %d bytes while it was read", n.Size, got)
	}
	return nil
}
