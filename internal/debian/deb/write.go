package deb

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/ulikunitz/xz"
)

// Contents is what a package is made of.
type Contents struct {
	Control []ControlFile // among them "control"; the mode of the others is kept
	Data    []Entry       // in any order; missing parent folders are added

	ModTime      time.Time // stamp of the package; later times in Data are clamped to it
	Uncompressed bool      // store data.tar as it is, which is much faster to write
	KeepOwner    bool      // take owner and group from Data instead of root:root
	MD5Sums      bool      // add the control file md5sums (dh_md5sums(1)), conffiles left out
}

// Entry is one file of data.tar. Its Header says name (slashes and a leading "./" do not matter), type, mode, size,
// link target and times; Open gives the content of a regular file.
type Entry struct {
	tar.Header
	Open func() (io.ReadCloser, error)
}

// Write makes a package. Equal Contents give equal bytes, whatever the order of Data and the owners on disk.
func Write(w io.Writer, c Contents) error {
	if c.ModTime.IsZero() {
		c.ModTime = time.Unix(0, 0)
	}
	entries, err := normalEntries(c)
	if err != nil {
		return err
	}
	control := slices.Clone(c.Control)
	if c.MD5Sums {
		sums, err := md5sums(entries, conffiles(control))
		if err != nil {
			return err
		}
		control = append(control, ControlFile{Name: "md5sums", Mode: 0o644, Data: sums})
	}
	controlTar, err := xzipped(sizeOf(control), func(w io.Writer) error { return writeControl(w, control, c.ModTime) })
	if err != nil {
		return fmt.Errorf("write control.tar: %w", err)
	}
	var size int64
	for _, e := range entries {
		size += e.Size
	}
	dataName, fill := "data.tar.xz", func(w io.Writer) error { return writeData(w, entries) }
	var dataTar []byte
	if c.Uncompressed {
		dataName = "data.tar"
		dataTar, err = plain(fill)
	} else {
		dataTar, err = xzipped(size, fill)
	}
	if err != nil {
		return fmt.Errorf("write data.tar: %w", err)
	}
	if _, err := io.WriteString(w, arMagic); err != nil {
		return err
	}
	return errors.Join(
		writeMember(w, "debian-binary", c.ModTime, []byte("2.0\n")),
		writeMember(w, "control.tar.xz", c.ModTime, controlTar),
		writeMember(w, dataName, c.ModTime, dataTar),
	)
}

// InstalledSize is the value that dpkg-gencontrol(1) computes for the field of that name, in KiB: the size of each
// regular file and symbolic link rounded up, and 1 for anything else.
func InstalledSize(data []Entry) int64 {
	var kib int64
	for _, e := range data {
		switch {
		case normalName(e.Name) == "./":
		case e.Typeflag == tar.TypeReg:
			kib += (e.Size + 1023) / 1024
		case e.Typeflag == tar.TypeSymlink:
			kib += (int64(len(e.Linkname)) + 1023) / 1024
		case e.Typeflag != tar.TypeLink: // a hard link's data is counted once
			kib++
		}
	}
	return kib
}

func conffiles(control []ControlFile) map[string]bool {
	all := make(map[string]bool)
	for _, f := range control {
		if f.Name == "conffiles" {
			for line := range strings.SplitSeq(string(f.Data), "\n") {
				all[strings.TrimSpace(line)] = true
			}
		}
	}
	return all
}

func md5sums(entries []Entry, conffiles map[string]bool) ([]byte, error) {
	var b bytes.Buffer
	for _, e := range entries {
		if e.Typeflag != tar.TypeReg || conffiles[strings.TrimPrefix(e.Name, ".")] {
			continue
		}
		h := md5.New()
		if err := copyEntry(h, e); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s  %s\n", hex.EncodeToString(h.Sum(nil)), strings.TrimPrefix(e.Name, "./"))
	}
	return b.Bytes(), nil
}

func copyEntry(w io.Writer, e Entry) error {
	if e.Size == 0 {
		return nil
	}
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := io.Copy(w, io.LimitReader(r, e.Size+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", e.Name, err)
	}
	if n != e.Size {
		return fmt.Errorf("%s changed its size while the package was written", e.Name)
	}
	return nil
}

func writeControl(w io.Writer, files []ControlFile, mtime time.Time) error {
	sort.Slice(files, func(i, j int) bool { return files[i].Name < files[j].Name })
	tw := tar.NewWriter(w)
	dir := folder("./", mtime).Header
	if err := tw.WriteHeader(&dir); err != nil {
		return err
	}
	found := false
	for i, f := range files {
		if f.Name == "" || strings.Contains(f.Name, "/") || (i > 0 && files[i-1].Name == f.Name) {
			return fmt.Errorf("control file name %q is empty, a path, or used twice", f.Name)
		}
		found = found || f.Name == "control"
		h := tar.Header{
			Name: "./" + f.Name, Typeflag: tar.TypeReg, Mode: f.Mode & 0o7777, Size: int64(len(f.Data)),
			ModTime: mtime, Uname: "root", Gname: "root", Format: tar.FormatGNU,
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := tw.WriteHeader(&h); err != nil {
			return err
		}
		if _, err := tw.Write(f.Data); err != nil {
			return err
		}
	}
	if !found {
		return errors.New("the package has no control file")
	}
	return tw.Close()
}

func writeData(w io.Writer, entries []Entry) error {
	tw := tar.NewWriter(w)
	for _, e := range entries {
		h := e.Header
		if err := tw.WriteHeader(&h); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
		if e.Typeflag == tar.TypeReg {
			if err := copyEntry(tw, e); err != nil {
				return err
			}
		}
	}
	return tw.Close()
}

func sizeOf(files []ControlFile) int64 {
	var size int64
	for _, f := range files {
		size += int64(len(f.Data))
	}
	return size
}

// plain collects what fill writes; the ar header needs its size first.
func plain(fill func(io.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	err := fill(&b)
	return b.Bytes(), err
}

// xzipped is plain, compressed. size is about what fill will write: the window is no larger than that needs, since
// setting up one of 8 MiB takes longer than compressing a small package.
func xzipped(size int64, fill func(io.Writer) error) ([]byte, error) {
	window := 64 << 10
	for window < 8<<20 && int64(window) < size {
		window *= 2
	}
	var b bytes.Buffer
	z, err := xz.WriterConfig{DictCap: window, CheckSum: xz.CRC64}.NewWriter(&b)
	if err != nil {
		return nil, err
	}
	if err := fill(z); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}
