package fetch

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/ulikunitz/xz/lzma"
)

// rpmPayload skips the lead and the two headers of an rpm package and gives the cpio archive behind them, decompressed.
func rpmPayload(r io.Reader) (io.Reader, func(), error) {
	in := bufio.NewReaderSize(r, 64<<10)
	lead := make([]byte, 96)
	if _, err := io.ReadFull(in, lead); err != nil || !bytes.HasPrefix(lead, []byte{0xed, 0xab, 0xee, 0xdb}) {
		return nil, nil, errors.New("not an rpm package")
	}
	for _, padded := range []bool{true, false} { // the signatures, then the package's header
		var h [16]byte
		if _, err := io.ReadFull(in, h[:]); err != nil || !bytes.HasPrefix(h[:], []byte{0x8e, 0xad, 0xe8}) {
			return nil, nil, errors.New("rpm package without header")
		}
		size := 16*int64(binary.BigEndian.Uint32(h[8:])) + int64(binary.BigEndian.Uint32(h[12:]))
		if padded {
			size += (8 - size%8) % 8
		}
		if _, err := io.CopyN(io.Discard, in, size); err != nil {
			return nil, nil, fmt.Errorf("read rpm: %w", io.ErrUnexpectedEOF)
		}
	}
	magic, _ := in.Peek(6)
	for prefix, pack := range map[string]string{"\x1f\x8b": "gz", "BZh": "bz2", "\xfd7zXZ\x00": "xz", "\x28\xb5\x2f\xfd": "zst", "0707": ""} {
		if strings.HasPrefix(string(magic), prefix) {
			return decompress(in, pack)
		}
	}
	if strings.HasPrefix(string(magic), "\x5d\x00\x00") {
		z, err := lzma.NewReader(in)
		return z, func() {}, err
	}
	return nil, nil, errors.New("rpm package with an unknown compression")
}

// cpioEntry is the header of one member.
type cpioEntry struct {
	name              string
	mode, ino, nlink  uint64
	size              int64
	mtime             int64
	devMajor, devMino uint64
}

// uncpio unpacks a cpio archive of the "new" formats; of members whose path matches only, when that is not "".
func uncpio(r io.Reader, t *tree, only string) error {
	in := &counted{r: r}
	type inode struct{ major, minor, ino uint64 }
	links := map[inode][]string{} // names without content so far; the last one has it
	found := false
	for {
		e, err := readCpio(in)
		if err != nil {
			return fmt.Errorf("read cpio: %w", err)
		}
		if e.name == "TRAILER!!!" {
			if only != "" && !found {
				return fmt.Errorf("it holds no %q", only)
			}
			return nil
		}
		body := io.LimitReader(in, e.size)
		name, ok := stripped(e.name, 0)
		if match, _ := path.Match(only, strings.TrimPrefix(name, "./")); only != "" && !match {
			ok = false
		}
		if ok {
			found = true
			id := inode{e.devMajor, e.devMino, e.ino}
			regular := e.mode&0o170000 == 0o100000
			if regular && e.nlink > 1 && e.size == 0 {
				links[id] = append(links[id], name)
			}
			if err := uncpioEntry(body, e, name, t); err != nil {
				return err
			}
			if regular && e.size > 0 {
				for _, other := range links[id] {
					if err := t.link(name, other); err != nil {
						return err
					}
				}
				delete(links, id)
			}
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		if err := in.pad(); err != nil {
			return fmt.Errorf("read cpio: %w", err)
		}
	}
}

func uncpioEntry(body io.Reader, e *cpioEntry, name string, t *tree) error {
	mode, at := fs.FileMode(e.mode&0o777), time.Unix(e.mtime, 0)
	switch e.mode & 0o170000 {
	case 0o040000:
		return t.mkdir(name, mode, at)
	case 0o100000:
		return t.file(name, body, mode, at)
	case 0o120000:
		target, err := readAll(body, maxLink)
		if err != nil {
			return err
		}
		return t.symlink(string(target), name)
	}
	return fmt.Errorf("%q is a device or pipe, which sources do not hold", e.name)
}

// counted counts what is read, for the padding to four bytes.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

func (c *counted) pad() error {
	_, err := io.CopyN(io.Discard, c, (4-c.n%4)%4)
	return err
}

// readCpio reads one header and name.
func readCpio(in *counted) (*cpioEntry, error) {
	var h [110]byte
	if _, err := io.ReadFull(in, h[:]); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	if m := string(h[:6]); m != "070701" && m != "070702" {
		return nil, fmt.Errorf("header %q is of no known format", m)
	}
	var v [13]uint64
	for i := range v {
		n, err := strconv.ParseUint(string(h[6+8*i:14+8*i]), 16, 32)
		if err != nil {
			return nil, err
		}
		v[i] = n
	}
	if v[11] == 0 || v[11] > maxLink {
		return nil, fmt.Errorf("name of %d bytes", v[11])
	}
	name := make([]byte, v[11])
	if _, err := io.ReadFull(in, name); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return &cpioEntry{name: strings.TrimRight(string(name), "\x00"), ino: v[0], mode: v[1], nlink: v[4], mtime: int64(v[5]), size: int64(v[6]),
		devMajor: v[7], devMino: v[8]}, in.pad()
}
