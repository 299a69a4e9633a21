package apt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
)

// A Packages file of 68,000 stanzas takes half a second to parse, so its parsed form is kept: strings and alternatives
// are stored once each, packages refer to them by number. Reading it back allocates a handful of large slices.
//
// Alternatives and packages are stored in chunks, so that several cores can read them back.
//
// Layout, all numbers as uvarints: magic; counts of strings, of their bytes, of alternatives, of packages; tables of
// chunks (bytes and inner items of each); the lengths of all strings, then their bytes; chunks of alternatives; chunks
// of packages; SHA-256 and warnings; CRC-32C of everything before it, little-endian.

const (
	cacheMagic = "n3x packages 2\n"
	chunkItems = 8192 // alternatives, or packages, of one chunk
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parsed is what a Packages file holds.
type parsed struct {
	packages []debian.Package
	warnings []string // of stanzas that were left out
	sha256   string   // of the uncompressed file
	sources  string   // of an index of source packages: its lines, see sourceLine
}

// cacheWriter collects a Packages file, stanza by stanza.
type cacheWriter struct {
	parser    deb.Parser
	strings   map[string]uint64
	lengths   []byte
	text      []byte
	seen      map[*debian.Relation]uint64
	alts      chunks // inner items: relations
	packages  chunks // inner items: references to alternatives
	nPackages uint64
	warnings  []string
}

// chunks are the bytes of many items, cut after every chunkItems of them.
type chunks struct {
	data  []byte
	table []chunk
	items int // of the last chunk
}

type chunk struct{ bytes, inner uint64 }

// add accounts for one item whose bytes have been appended to data as it was at length before.
func (c *chunks) add(data []byte, inner int) {
	if len(c.table) == 0 || c.items == chunkItems {
		c.table, c.items = append(c.table, chunk{}), 0
	}
	last := &c.table[len(c.table)-1]
	last.bytes += uint64(len(data) - len(c.data))
	last.inner += uint64(inner)
	c.items++
	c.data = data
}

// parsePackages reads a Packages file from r and gives its cached form.
func parsePackages(name string, r io.Reader, sha256 func() string) ([]byte, error) {
	w := &cacheWriter{strings: map[string]uint64{}, seen: map[*debian.Relation]uint64{}}
	w.number(nil, "") // number 0
	stanzas := deb.NewReader(name, r)
	for {
		st, err := stanzas.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		p, err := w.parser.Package(st)
		if err == nil {
			err = checkIndexed(p)
		}
		if err != nil {
			w.warnings = append(w.warnings, fmt.Sprintf("left out: %v", err))
			continue
		}
		w.add(p)
	}
	return w.bytes(sha256()), nil
}

// checkIndexed refuses a package that could not be downloaded safely.
func checkIndexed(p *debian.Package) error {
	for part := range strings.SplitSeq(p.Filename, "/") {
		if part == ".." {
			return fmt.Errorf("package %q: file name %q leaves the repository", p.Name, p.Filename)
		}
	}
	switch {
	case strings.ContainsAny(p.Name+p.Architecture, "/\x00"):
		return fmt.Errorf("package name %q is not valid", p.Name)
	case p.Filename == "" || p.Size <= 0 || len(p.SHA256) != 64:
		return fmt.Errorf("package %q %s has no Filename, Size or SHA256", p.Name, p.Version)
	}
	return nil
}

// number appends the number of s to b.
func (w *cacheWriter) number(b []byte, s string) []byte {
	n, ok := w.strings[s]
	if !ok {
		n = uint64(len(w.strings))
		w.strings[strings.Clone(s)] = n
		w.lengths = binary.AppendUvarint(w.lengths, uint64(len(s)))
		w.text = append(w.text, s...)
	}
	return binary.AppendUvarint(b, n)
}

func (w *cacheWriter) add(p *debian.Package) {
	w.nPackages++
	b, references := w.packages.data, 0
	for _, s := range stringFields(p) {
		b = w.number(b, *s)
	}
	var flags uint64
	if p.Essential {
		flags |= 1
	}
	if p.Protected {
		flags |= 2
	}
	b = binary.AppendUvarint(b, flags)
	b = binary.AppendUvarint(b, uint64(max(p.Size, 0)))
	b = binary.AppendUvarint(b, uint64(max(p.InstalledSize, 0)))
	for _, d := range dependencyFields(p) {
		b = binary.AppendUvarint(b, uint64(len(*d)))
		references += len(*d)
		for _, alts := range *d {
			b = binary.AppendUvarint(b, w.alternatives(alts))
		}
	}
	w.packages.add(b, references)
}

// alternatives gives the number of alts, which the parser shares between all packages that have the same.
func (w *cacheWriter) alternatives(alts debian.Alternatives) uint64 {
	n, ok := w.seen[&alts[0]]
	if !ok {
		n = uint64(len(w.seen))
		w.seen[&alts[0]] = n
		b := binary.AppendUvarint(w.alts.data, uint64(len(alts)))
		for _, r := range alts {
			for _, s := range []string{r.Name, r.ArchQual, r.Op, string(r.Version)} {
				b = w.number(b, s)
			}
		}
		w.alts.add(b, len(alts))
	}
	return n
}

func (w *cacheWriter) bytes(sha256 string) []byte {
	var tail []byte
	tail = w.number(tail, sha256)
	tail = binary.AppendUvarint(tail, uint64(len(w.warnings)))
	for _, s := range w.warnings {
		tail = w.number(tail, s)
	}
	out := make([]byte, 0, len(cacheMagic)+80+len(w.lengths)+len(w.text)+len(w.alts.data)+len(w.packages.data)+len(tail)+
		16*(len(w.alts.table)+len(w.packages.table)))
	out = append(out, cacheMagic...)
	for _, n := range []uint64{uint64(len(w.strings)), uint64(len(w.text)), uint64(len(w.seen)), w.nPackages} {
		out = binary.AppendUvarint(out, n)
	}
	for _, c := range append(slices.Clone(w.alts.table), w.packages.table...) {
		out = binary.AppendUvarint(out, c.bytes)
		out = binary.AppendUvarint(out, c.inner)
	}
	for _, part := range [][]byte{w.lengths, w.text, w.alts.data, w.packages.data, tail} {
		out = append(out, part...)
	}
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// stringFields and dependencyFields fix the order in which a package is stored.
func stringFields(p *debian.Package) [10]*string {
	return [...]*string{
		&p.Name, (*string)(&p.Version), &p.Architecture, &p.MultiArch, &p.Source, (*string)(&p.SourceVersion),
		&p.Priority, &p.Section, &p.Filename, &p.SHA256,
	}
}

func dependencyFields(p *debian.Package) [9]*debian.Dependency {
	return [...]*debian.Dependency{
		&p.PreDepends, &p.Depends, &p.Recommends, &p.Suggests, &p.Conflicts, &p.Breaks, &p.Replaces, &p.Provides,
		&p.Enhances,
	}
}
