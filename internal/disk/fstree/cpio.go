// SPDX-License-Identifier: MIT

package fstree

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"

	"golang.org/x/sys/unix"
)

// WriteCPIO streams the tree as a cpio archive of the "newc" kind, as the kernel's initramfs unpacker and cpio(1) read it.
// Inode numbers count from 1 in archive order. The format has no extended attributes, and no file of 4 GiB.
func (t *Tree) WriteCPIO(ctx context.Context, w io.Writer) error {
	c := &cpioWriter{w: bufio.NewWriterSize(w, 1<<18), buf: make([]byte, 1<<20)}
	entries := t.Entries()
	links := map[*Node]int{}
	for _, e := range entries {
		links[e.Node]++
	}
	written, inos := map[*Node]int{}, map[*Node]uint32{}
	for i, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if inos[e.Node] == 0 {
			inos[e.Node] = uint32(i + 1)
		}
		written[e.Node]++
		nlink := links[e.Node]
		// The content of hard links stands at the last of them.
		if err := c.entry(e, inos[e.Node], nlink, written[e.Node] == nlink); err != nil {
			return fmt.Errorf("archive %s: %w", e.Path, err)
		}
	}
	c.header(header{nlink: 1, name: "TRAILER!!!"})
	c.pad(512)
	if c.err != nil {
		return c.err
	}
	return c.w.Flush()
}

type cpioWriter struct {
	w   *bufio.Writer
	buf []byte
	at  int64
	err error
}

type header struct {
	ino, mode, uid, gid, nlink, mtime, size, major, minor uint32
	name                                                  string
}

func (c *cpioWriter) entry(e Entry, ino uint32, nlink int, withContent bool) error {
	if e.MTime < 0 || e.MTime > math.MaxUint32 {
		return fmt.Errorf("its time %d does not fit a cpio archive", e.MTime)
	}
	h := header{
		ino: ino, mode: e.Mode, uid: uint32(e.UID), gid: uint32(e.GID), nlink: uint32(nlink),
		mtime: uint32(e.MTime), major: e.Major, minor: e.Minor, name: e.Path,
	}
	if e.IsDir() {
		h.nlink = 2
	}
	switch {
	case e.IsRegular() && withContent:
		if e.Size > math.MaxUint32 {
			return fmt.Errorf("a file of %d bytes is too large for a cpio archive", e.Size)
		}
		h.size = uint32(e.Size)
	case e.Type() == unix.S_IFLNK:
		h.size = uint32(len(e.Target))
	}
	c.header(h)
	switch {
	case c.err != nil:
	case e.Type() == unix.S_IFLNK:
		c.write([]byte(e.Target))
	case h.size > 0:
		c.err = e.copyTo(c.w, c.buf)
		c.at += e.Size
	}
	c.pad(4)
	return c.err
}

func (c *cpioWriter) header(h header) {
	c.write([]byte(fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		h.ino, h.mode, h.uid, h.gid, h.nlink, h.mtime, h.size, 0, 0, h.major, h.minor, len(h.name)+1, 0, h.name)))
	c.pad(4)
}

func (c *cpioWriter) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
		c.at += int64(len(b))
	}
}

// pad writes zeros up to the next multiple of n.
func (c *cpioWriter) pad(n int64) {
	if rest := c.at % n; rest != 0 {
		c.write(make([]byte, n-rest))
	}
}
