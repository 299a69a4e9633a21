// SPDX-License-Identifier: MIT

package fat

import (
	"encoding/binary"
	"fmt"
	"math"
	"path"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	"n3x/internal/diag"
	"n3x/internal/disk/fstree"
)

// dir is a directory to be written.
type dir struct {
	root     bool
	existing []byte // entries of the root that are there already
	children []*entry
	short    map[string]bool // the 11-byte short names in use
	long     map[string]string
	cluster  uint32
	more     uint32 // FAT32's root: where it continues
	mtime    int64
}

// entry is one name in a directory.
type entry struct {
	path    string
	node    *fstree.Node
	dir     *dir // nil for a file
	short   [11]byte
	bits    byte     // case bits of byte 12
	long    []uint16 // nil when the short name says it all
	cluster uint32
}

const (
	attrArchive   = 0x20
	attrDirectory = 0x10
	attrLongName  = 0x0f
	perLongEntry  = 13 // characters
)

// slots is the number of 32-byte entries of the directory.
func (d *dir) slots() int {
	n := len(d.existing) / entrySize
	if !d.root {
		n += 2 // "." and ".."
	}
	for _, c := range d.children {
		n += 1 + (len(c.long)+perLongEntry-1)/perLongEntry
	}
	return n
}

// clusters is the number of clusters of the directory, at least one.
func (d *dir) clusters(size int64) int64 { return max(1, ceil(int64(d.slots())*entrySize, size)) }

// plan makes the directories of a tree. Symbolic links to files become copies of these.
func plan(t *fstree.Tree) (*dir, error) {
	dirs := map[string]*dir{}
	for _, e := range t.Entries() {
		if e.Path == "." {
			dirs["."] = &dir{root: true, short: map[string]bool{}, long: map[string]string{}}
			continue
		}
		n, err := storable(t, e)
		if err != nil {
			return nil, err
		}
		parent := dirs[path.Dir(e.Path)]
		c := &entry{path: e.Path, node: n}
		if err := parent.name(c, path.Base(e.Path)); err != nil {
			return nil, err
		}
		if n.IsDir() {
			c.dir = &dir{short: map[string]bool{}, long: map[string]string{}, mtime: n.MTime}
			dirs[e.Path] = c.dir
			if c.dir.slots() > math.MaxUint16 {
				return nil, fmt.Errorf("directory %s has too many entries for FAT", e.Path)
			}
		}
		parent.children = append(parent.children, c)
	}
	return dirs["."], nil
}

// storable is the node that FAT keeps for e.
func storable(t *fstree.Tree, e fstree.Entry) (*fstree.Node, error) {
	n := e.Node
	if n.Type() == unix.S_IFLNK {
		to, ok := t.Resolve(e.Path)
		if !ok {
			return nil, refuse(e.Path, "a symbolic link to %s, which is not there", n.Target)
		}
		if n, _ = t.Lookup(to); n.IsDir() {
			return nil, refuse(e.Path, "a symbolic link to the folder %s", n.Target)
		}
	}
	switch {
	case n.IsDir():
	case !n.IsRegular():
		return nil, refuse(e.Path, "neither a file nor a folder")
	case n.Size > math.MaxUint32:
		return nil, refuse(e.Path, "a file of 4 GiB or more")
	}
	return n, nil
}

func refuse(p, format string, args ...any) error {
	return diag.Userf(diag.Pos{}, "/%s cannot be put into a FAT file system: it is %s", p, fmt.Sprintf(format, args...)).
		WithHint("leave it out with --exclude-path, or choose another --fstype")
}

// encode is the content of the directory.
func (d *dir) encode(parent *dir) ([]byte, error) {
	out := append([]byte(nil), d.existing...)
	if !d.root {
		up := uint32(0) // ".." of a directory in the root names cluster 0, also on FAT32
		if !parent.root {
			up = parent.cluster
		}
		out = append(out, dotEntry(".", d.cluster, d.mtime)...)
		out = append(out, dotEntry("..", up, d.mtime)...)
	}
	for _, c := range d.children {
		out = append(out, c.encode()...)
	}
	return out, nil
}

func dotEntry(name string, cluster uint32, mtime int64) []byte {
	var short [11]byte
	copy(short[:], name+strings.Repeat(" ", 11-len(name)))
	return record{name: short, attr: attrDirectory, cluster: cluster, mtime: mtime}.encode()
}

func (c *entry) encode() []byte {
	r := record{name: c.short, attr: attrDirectory, bits: c.bits, cluster: c.cluster, mtime: c.node.MTime}
	if c.dir == nil {
		r.attr, r.size = attrArchive, uint32(c.node.Size)
	}
	return append(c.longEntries(), r.encode()...)
}

// record is the entry of a short name (fatgen103, "FAT Directory Structure").
type record struct {
	name          [11]byte
	attr, bits    byte
	cluster, size uint32
	mtime         int64
}

func (r record) encode() []byte {
	e := make([]byte, entrySize)
	le := binary.LittleEndian
	copy(e, r.name[:])
	if e[0] == 0xe5 {
		e[0] = 0x05
	}
	date, clock := dosTime(r.mtime)
	e[11], e[12] = r.attr, r.bits
	le.PutUint16(e[14:], clock)
	le.PutUint16(e[16:], date)
	le.PutUint16(e[18:], date)
	le.PutUint16(e[20:], uint16(r.cluster>>16))
	le.PutUint16(e[22:], clock)
	le.PutUint16(e[24:], date)
	le.PutUint16(e[26:], uint16(r.cluster))
	le.PutUint32(e[28:], r.size)
	return e
}

// longEntries is the long name in reverse order, 13 characters an entry (fatgen103, "FAT Long Directory Entries").
func (c *entry) longEntries() []byte {
	if c.long == nil {
		return nil
	}
	n := (len(c.long) + perLongEntry - 1) / perLongEntry
	units := append([]uint16(nil), c.long...)
	if len(units) < n*perLongEntry {
		units = append(units, 0)
	}
	for len(units) < n*perLongEntry {
		units = append(units, 0xffff)
	}
	places := [perLongEntry]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}
	out := make([]byte, 0, n*entrySize)
	for i := n; i >= 1; i-- {
		e := make([]byte, entrySize)
		e[0], e[11], e[13] = byte(i), attrLongName, c.checksum()
		if i == n {
			e[0] |= 0x40
		}
		for j, at := range places {
			binary.LittleEndian.PutUint16(e[at:], units[(i-1)*perLongEntry+j])
		}
		out = append(out, e...)
	}
	return out
}

func (c *entry) checksum() (sum byte) {
	for _, b := range c.short {
		sum = sum>>1 | sum<<7
		sum += b
	}
	return sum
}

// dosTime is a time as FAT keeps it, in UTC and in steps of two seconds, within 1980 to 2107.
func dosTime(sec int64) (date, clock uint16) {
	t := time.Unix(sec, 0).UTC()
	switch {
	case t.Year() < 1980:
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	case t.Year() > 2107:
		t = time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	}
	date = uint16(t.Year()-1980)<<9 | uint16(t.Month())<<5 | uint16(t.Day())
	clock = uint16(t.Hour())<<11 | uint16(t.Minute())<<5 | uint16(t.Second()/2)
	return date, clock
}

// fold is the form in which two names are the same to FAT.
func fold(name string) string { return strings.ToUpper(name) }

// name gives c its short and, when that does not say it all, its long name.
func (d *dir) name(c *entry, name string) error {
	if err := checkName(c.path, name); err != nil {
		return err
	}
	if other, dup := d.long[fold(name)]; dup {
		return refuse(c.path, "the same name as %s there, where case does not count", other)
	}
	d.long[fold(name)] = name
	short, bits, exact := plainShort(name)
	if !exact || d.short[string(short[:])] {
		c.long = utf16.Encode([]rune(name))
		short, bits = d.numbered(name), 0
	}
	d.short[string(short[:])] = true
	c.short, c.bits = short, bits
	return nil
}
