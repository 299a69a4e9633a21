package deb

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// member is one file of the ar archive.
type member struct {
	name string
	*io.SectionReader
}

// arReader walks a Unix ar(5) archive.
type arReader struct {
	r         io.ReaderAt
	pos, size int64
}

const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

func newArReader(r io.ReaderAt, size int64) (*arReader, error) {
	magic := make([]byte, len(arMagic))
	if _, err := r.ReadAt(magic, 0); err != nil && err != io.EOF {
		return nil, err
	}
	if string(magic) != arMagic {
		return nil, errors.New("it is not a Debian package (no ar archive)")
	}
	return &arReader{r: r, pos: int64(len(arMagic)), size: size}, nil
}

func (a *arReader) next() (member, error) {
	if a.pos >= a.size {
		return member{}, io.EOF
	}
	var h [arHeader]byte
	if _, err := a.r.ReadAt(h[:], a.pos); err != nil {
		return member{}, fmt.Errorf("archive member header at byte %d is cut off", a.pos)
	}
	if string(h[58:]) != "`\n" {
		return member{}, fmt.Errorf("archive member header at byte %d is damaged", a.pos)
	}
	name := strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/")
	size, err := strconv.ParseUint(strings.TrimRight(string(h[48:58]), " "), 10, 40)
	if err != nil {
		return member{}, fmt.Errorf("archive member %q has the size %q", name, h[48:58])
	}
	start := a.pos + arHeader
	if int64(size) > a.size-start {
		return member{}, fmt.Errorf("archive member %q is cut off: %d of %d bytes", name, a.size-start, size)
	}
	a.pos = start + int64(size) + int64(size&1)
	return member{name, io.NewSectionReader(a.r, start, int64(size))}, nil
}

// writeMember adds one file to an archive.
func writeMember(w io.Writer, name string, mtime time.Time, data []byte) error {
	h := fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, mtime.Unix(), 0, 0, "100644", len(data))
	if len(h) != arHeader {
		return fmt.Errorf("archive member %q of %d bytes does not fit an ar header", name, len(data))
	}
	if len(data)%2 == 1 {
		data = append(data, '\n')
	}
	if _, err := io.WriteString(w, h); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}
