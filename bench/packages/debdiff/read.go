// SPDX-License-Identifier: MIT

package debdiff

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"n3x/internal/debian/deb"
)

// pkg is one package, read whole; contents of files as checksums.
type pkg struct {
	path    string
	sum     string // SHA-256 of the .deb
	members []string
	fields  []deb.Field
	control map[string]deb.ControlFile
	entries map[string]entry
	order   []string
}

// entry is one path of data.tar.
type entry struct {
	kind       string // "file", "folder", "link", ...
	mode       int64
	owner      string // user/uid group/gid
	link       string
	size       int64
	sum, plain string // of the bytes, and of what a compressed file holds
	text       string // content of a changelog
	time       time.Time
}

// maxFile bounds what is held of one file in memory: larger ones are compared by checksum of their bytes only.
const maxFile = 64 << 20

func open(name string) (*pkg, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	p := &pkg{path: name, sum: hex.EncodeToString(sum[:]), entries: map[string]entry{}}
	if p.members, err = members(data); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d, err := deb.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if p.control, err = d.Control(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	stanzas, err := deb.ReadStanzas(name, bytes.NewReader(p.control["control"].Data))
	if err != nil || len(stanzas) != 1 {
		return nil, errors.Join(fmt.Errorf("%s: its control file has %d stanzas", name, len(stanzas)), err)
	}
	p.fields = stanzas[0].Fields
	if err := p.readData(d); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// key is what packages are matched by.
func (p *pkg) key() string {
	var name, arch string
	for _, f := range p.fields {
		switch strings.ToLower(f.Name) {
		case "package":
			name = f.Value
		case "architecture":
			arch = f.Value
		}
	}
	return name + ":" + arch
}

// members are the names in the outer archive (ar), which tell the compression.
func members(data []byte) ([]string, error) {
	var out []string
	const magic, head = "!<arch>\n", 60
	if !bytes.HasPrefix(data, []byte(magic)) {
		return nil, errors.New("not an ar archive")
	}
	for at := len(magic); at+head <= len(data); {
		size, err := strconv.Atoi(strings.TrimSpace(string(data[at+48 : at+58])))
		if err != nil || size < 0 {
			return nil, errors.New("damaged ar archive")
		}
		out = append(out, strings.TrimRight(string(data[at:at+16]), " /"))
		at += head + size + size&1
	}
	return out, nil
}

func (p *pkg) readData(d *deb.Deb) error {
	data, err := d.Data()
	if err != nil {
		return err
	}
	defer data.Close()
	r := tar.NewReader(data)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.Trim(path.Clean("/"+h.Name), "/")
		e := entry{kind: kind(h.Typeflag), mode: h.Mode & 0o7777, owner: fmt.Sprintf("%s/%d %s/%d", h.Uname, h.Uid, h.Gname, h.Gid),
			link: h.Linkname, size: h.Size, time: h.ModTime}
		if h.Typeflag == tar.TypeReg {
			if err := e.read(name, r); err != nil {
				return err
			}
		}
		p.entries[name] = e
		p.order = append(p.order, name)
	}
}

func kind(flag byte) string {
	switch flag {
	case tar.TypeReg:
		return "file"
	case tar.TypeDir:
		return "folder"
	case tar.TypeSymlink:
		return "symbolic link"
	case tar.TypeLink:
		return "hard link"
	}
	return fmt.Sprintf("type %q", flag)
}

var changelogName = regexp.MustCompile(`^usr/share/doc/[^/]+/(changelog|NEWS)(\.Debian)?(\.gz)?$`)

// read takes in a file's content.
func (e *entry) read(name string, r io.Reader) error {
	h := sha256.New()
	var held bytes.Buffer
	if _, err := io.Copy(h, io.TeeReader(io.LimitReader(r, maxFile), &held)); err != nil {
		return err
	}
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	e.sum = hex.EncodeToString(h.Sum(nil))
	e.plain = e.sum
	text := held.Bytes()
	if strings.HasSuffix(name, ".gz") {
		if z, err := gzip.NewReader(&held); err == nil {
			if plain, err := io.ReadAll(io.LimitReader(z, maxFile)); err == nil {
				sum := sha256.Sum256(plain)
				e.plain, text = hex.EncodeToString(sum[:]), plain
			}
		}
	}
	if changelogName.MatchString(name) {
		e.text = string(text)
	}
	return nil
}
