package deb

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"n3x/internal/debian"
	"n3x/internal/diag"
)

const (
	maxControl      = 64 << 20 // uncompressed control.tar, of which md5sums is the large part
	maxControlFiles = 1000
	maxData         = 64 << 30 // uncompressed data.tar
)

// Deb is an open binary package.
type Deb struct {
	name          string // for messages
	control, data member
	close         func() error
}

// ControlFile is one file of control.tar: the control file itself, a maintainer script, conffiles, triggers, ...
type ControlFile struct {
	Name string // e.g. "postinst"
	Mode int64  // permission bits, e.g. 0o755
	Data []byte
}

// OpenFile opens the package at path; Close closes it.
func OpenFile(path string) (*Deb, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	d, err := open(path, f, st.Size())
	if err != nil {
		f.Close()
		return nil, err
	}
	d.close = f.Close
	return d, nil
}

// Open reads the outer structure of a package of size bytes.
func Open(r io.ReaderAt, size int64) (*Deb, error) { return open("package", r, size) }

// Close releases the file that [OpenFile] opened.
func (d *Deb) Close() error {
	if d.close == nil {
		return nil
	}
	return d.close()
}

// open finds the three members that deb(5) prescribes, in their order; members that begin with "_" may stand between
// them, and any after data.tar.
func open(name string, r io.ReaderAt, size int64) (*Deb, error) {
	d := &Deb{name: name}
	ar, err := newArReader(r, size)
	if err != nil {
		return nil, d.wrap(err)
	}
	for want := 0; want < 3; {
		m, err := ar.next()
		if err == io.EOF {
			return nil, d.errorf("has no %s member", [...]string{"debian-binary", "control.tar", "data.tar"}[want])
		}
		if err != nil {
			return nil, d.wrap(err)
		}
		switch {
		case want == 0 && m.name == "debian-binary":
			if err := checkFormat(m); err != nil {
				return nil, d.wrap(err)
			}
		case want == 1 && isTar(m.name, "control.tar"):
			d.control = m
		case want == 2 && isTar(m.name, "data.tar"):
			d.data = m
		case want > 0 && strings.HasPrefix(m.name, "_"):
			continue
		default:
			return nil, d.errorf("unexpected member %q", m.name)
		}
		want++
	}
	return d, nil
}

func isTar(name, base string) bool {
	switch ext, ok := strings.CutPrefix(name, base); ext {
	case "", ".gz", ".xz", ".zst", ".bz2", ".lzma":
		return ok
	}
	return false
}

func checkFormat(m member) error {
	b, err := io.ReadAll(io.LimitReader(m, 64))
	if err != nil {
		return err
	}
	version, _, ok := strings.Cut(string(b), "\n")
	if major, _, _ := strings.Cut(version, "."); !ok || major != "2" {
		return fmt.Errorf("format version %q is not supported, only 2.x is", clip(version))
	}
	return nil
}

// Control reads all files of control.tar, by name.
func (d *Deb) Control() (map[string]ControlFile, error) {
	z, err := Decompress(d.control.name, io.NewSectionReader(d.control, 0, d.control.Size()))
	if err != nil {
		return nil, d.wrap(err)
	}
	defer z.Close()
	files := make(map[string]ControlFile)
	tr := tar.NewReader(&limited{r: z, left: maxControl, what: d.control.name})
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, d.wrap(fmt.Errorf("read %s: %w", d.control.name, err))
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if h.Typeflag != tar.TypeReg || name == "" || strings.Contains(name, "/") {
			continue
		}
		if isSparse(h) {
			return nil, d.errorf("%s of %s is a sparse file, which a package must not hold", name, d.control.name)
		}
		if len(files) == maxControlFiles {
			return nil, d.errorf("has more than %d control files", maxControlFiles)
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, tr); err != nil {
			return nil, d.wrap(fmt.Errorf("read %s of %s: %w", name, d.control.name, err))
		}
		files[name] = ControlFile{Name: name, Mode: h.Mode & 0o7777, Data: b.Bytes()}
	}
}

// Package is what the control file says; Size, SHA256 and Filename stay empty.
func (d *Deb) Package() (*debian.Package, error) {
	files, err := d.Control()
	if err != nil {
		return nil, err
	}
	control, ok := files["control"]
	if !ok {
		return nil, d.errorf("has no control file")
	}
	stanzas, err := ReadStanzas(d.name+":control", bytes.NewReader(control.Data))
	if err != nil {
		return nil, err
	}
	if len(stanzas) != 1 {
		return nil, d.errorf("its control file has %d paragraphs, want 1", len(stanzas))
	}
	return ParsePackage(stanzas[0])
}

// Data is the uncompressed data.tar. Each call reads it from the start.
func (d *Deb) Data() (io.ReadCloser, error) {
	z, err := DecompressFile(d.data.name, d.data, d.data.Size())
	if err != nil {
		return nil, d.wrap(err)
	}
	return struct {
		io.Reader
		io.Closer
	}{&limited{r: z, left: maxData, what: d.data.name}, z}, nil
}

func (d *Deb) wrap(err error) error {
	return diag.Failedf(diag.Pos{}, "read %s: %w", d.name, err)
}

func (d *Deb) errorf(format string, args ...any) error {
	return d.wrap(fmt.Errorf(format, args...))
}

// isSparse reports whether a file may be longer than the bytes that the archive holds for it. dpkg does not know such
// files, and one of them could fill memory or the disk.
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// limited fails, instead of ending early, when more than left bytes come out of a decoder.
type limited struct {
	r    io.Reader
	left int64
	what string
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("%s holds more uncompressed data than the limit", l.what)
	}
	return n, err
}
