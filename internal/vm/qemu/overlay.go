package qemu

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"n3x/internal/diag"
)

// The format of QEMU's own disk images, version 3, as far as an empty one needs it (QEMU's docs/interop/qcow2): the header, a table of
// counters with one block of them, and an empty table of data. All numbers are big-endian, all tables begin at a cluster.
const (
	qcowMagic   = 0x514649fb
	clusterBits = 16
	cluster     = 1 << clusterBits
	tableCover  = cluster / 8 * cluster // how much of the disk an entry of the first table of data stands for
	headerSize  = 104
)

// NewOverlay makes a file without a name in dir that takes what a machine writes to a disk of that size, in bytes. It can be a
// [Disk]'s Overlay, is valid as long as it is open, and then nothing of it is left.
func NewOverlay(dir string, size int64) (*os.File, error) {
	f, err := unnamed(dir)
	if err != nil {
		return nil, err
	}
	if err := formatOverlay(f, size); err != nil {
		f.Close()
		return nil, fmt.Errorf("make a file for what a machine writes: %w", err)
	}
	return f, nil
}

func formatOverlay(f *os.File, size int64) error {
	if size <= 0 || size%sector != 0 {
		return fmt.Errorf("a disk of %d bytes is impossible: it consists of sectors of %d", size, sector)
	}
	entries := (size + tableCover - 1) / tableCover
	tableClusters := (entries*8 + cluster - 1) / cluster
	if tableClusters > 512 { // 32 MiB of table is QEMU's limit, far beyond what files can be
		return fmt.Errorf("a disk of %d bytes is too large", size)
	}
	be := binary.BigEndian
	h := make([]byte, headerSize)
	be.PutUint32(h[0:], qcowMagic)
	be.PutUint32(h[4:], 3)
	be.PutUint32(h[20:], clusterBits)
	be.PutUint64(h[24:], uint64(size))
	be.PutUint32(h[36:], uint32(entries))
	be.PutUint64(h[40:], 3*cluster) // the table of data
	be.PutUint64(h[48:], 1*cluster) // the table of counters
	be.PutUint32(h[56:], 1)
	be.PutUint32(h[96:], 4) // counters of 16 bits
	be.PutUint32(h[100:], headerSize)
	counters := be.AppendUint64(nil, 2*cluster)
	used := make([]byte, 2*(3+tableClusters))
	for i := range 3 + tableClusters {
		be.PutUint16(used[2*i:], 1)
	}
	for at, b := range map[int64][]byte{0: h, 1 * cluster: counters, 2 * cluster: used} {
		if _, err := f.WriteAt(b, at); err != nil {
			return err
		}
	}
	return f.Truncate((3 + tableClusters) * cluster)
}

// tempDir is where files without a name are: what guests write is too much for a /tmp in memory.
const tempDir = "/var/tmp"

// unnamed is an open file that no folder lists, so that nothing is left of it however this process ends. dir "" is [tempDir].
func unnamed(dir string) (*os.File, error) {
	if dir == "" {
		dir = tempDir
	}
	if fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600); err == nil {
		return os.NewFile(uintptr(fd), dir+"/(unnamed)"), nil
	}
	f, err := os.CreateTemp(dir, "n3x-") // not every file system can do better
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unnamedCopy is a copy of a file without a name.
func unnamedCopy(dir, name string) (*os.File, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out, err := unnamed(dir)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

// duplicate is another descriptor of an open file.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// writeOnly opens a file without a name once more, for a QEMU that wants to do nothing but write.
func writeOnly(f *os.File) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_WRONLY, 0)
}

// RoomFor checks that a folder's file system has so many bytes left. dir "" is where machines' files are kept otherwise.
func RoomFor(dir string, need int64) error {
	if dir == "" {
		dir = tempDir
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look for room in %s: %w", dir, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < need {
		return diag.Userf(diag.Pos{}, "%s has room for %d MiB; %d may be needed", dir, free>>20, need>>20)
	}
	return nil
}
