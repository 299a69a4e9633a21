package apt

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
)

// The parsed form of a Sources index is text: a magic line with the SHA-256 of the uncompressed index; one line for each
// source package, sorted by name; CRC-32C of everything before it, little-endian. A lookup is a binary search.

const sourceMagic = "n3x sources 1 "

// SourcePackage is one Debian source package that an archive offers.
type SourcePackage struct {
	Name      string
	Version   debian.Version
	Directory string        // below the archive's address, e.g. "pool/main/h/hello"
	Files     []SourceFile  // the .dsc is the first
	Index     *debian.Index // who offers it
}

// SourceFile is one file of a source package.
type SourceFile struct {
	Name   string // without folders, e.g. "hello_2.10.orig.tar.gz"
	Size   int64  // bytes
	SHA256 string // hex
}

// ID is the package as a person would ask for it, e.g. "hello=2.10-5".
func (p *SourcePackage) ID() string { return p.Name + "=" + string(p.Version) }

// DSC is the file that describes the package.
func (p *SourcePackage) DSC() SourceFile { return p.Files[0] }

// parseSourceIndex reads a Sources index from r and gives its cached form. A stanza that cannot be used safely is left
// out; who asks for that package will not find it.
func parseSourceIndex(name string, r io.Reader, sha256 func() string) ([]byte, error) {
	stanzas := deb.NewReader(name, r)
	var lines []string
	for {
		st, err := stanzas.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if p, err := sourceOf(st); err == nil {
			lines = append(lines, sourceLine(p))
		}
	}
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(nameOf(a), nameOf(b)) })
	out := []byte(sourceMagic + sha256() + "\n" + strings.Join(lines, ""))
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli)), nil
}

// loadSourceIndex checks the cached form.
func loadSourceIndex(data string) (*parsed, error) {
	n := len(data) - 4
	if n < 0 || binary.LittleEndian.Uint32([]byte(data[n:])) != crc32.Checksum([]byte(data[:n]), castagnoli) {
		return nil, errors.New("damaged")
	}
	head, lines, ok := strings.Cut(data[:n], "\n")
	sum, magic := strings.CutPrefix(head, sourceMagic)
	if !ok || !magic {
		return nil, errors.New("not an index of sources")
	}
	return &parsed{sha256: sum, sources: lines}, nil
}

// sourceOf reads one paragraph of a Sources index.
func sourceOf(st deb.Stanza) (*SourcePackage, error) {
	p := &SourcePackage{Name: st.Field("Package"), Version: debian.Version(st.Field("Version")), Directory: st.Field("Directory")}
	if err := p.validateName(); err != nil {
		return nil, err
	}
	files, err := ParseSourceFiles(st)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(files, func(f SourceFile) bool { return path.Ext(f.Name) == ".dsc" })
	if at < 0 {
		return nil, fmt.Errorf("source package %s has no .dsc file", p.Name)
	}
	p.Files = append(append([]SourceFile{files[at]}, files[:at]...), files[at+1:]...)
	return p, nil
}

func (p *SourcePackage) validateName() error {
	if !plainName(p.Name) {
		return fmt.Errorf("source package name %q is not valid", p.Name)
	}
	if err := p.Version.Validate(); err != nil {
		return err
	}
	if strings.ContainsAny(p.Directory, "\t\n") || slices.Contains(strings.Split(p.Directory, "/"), "..") {
		return fmt.Errorf("source package %s: folder %q leaves the repository", p.Name, p.Directory)
	}
	return nil
}

// Validate refuses a package that was not read from an index and cannot be fetched safely.
func (p *SourcePackage) Validate() error {
	if err := p.validateName(); err != nil {
		return err
	}
	if len(p.Files) == 0 || path.Ext(p.Files[0].Name) != ".dsc" {
		return fmt.Errorf("source package %s: its first file is no .dsc", p.Name)
	}
	for _, f := range p.Files {
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != 32 || f.Size < 0 || !plainName(f.Name) {
			return fmt.Errorf("source package %s: file %q has no valid name, size and SHA-256", p.Name, f.Name)
		}
	}
	return nil
}

// ParseSourceFiles reads the field Checksums-Sha256 of a Sources index or of a .dsc file. Weaker checksums do not count.
func ParseSourceFiles(st deb.Stanza) ([]SourceFile, error) {
	var all []SourceFile
	for line := range strings.Lines(st.Field("Checksums-Sha256")) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 3 {
			return nil, fmt.Errorf("%s: %q is not a checksum, a size and a name", st.Pos("Checksums-Sha256"), line)
		}
		size, err := strconv.ParseInt(words[1], 10, 64)
		sum, herr := hex.DecodeString(words[0])
		if err != nil || size < 0 || herr != nil || len(sum) != 32 || !plainName(words[2]) {
			return nil, fmt.Errorf("%s: %q is not a checksum, a size and a name", st.Pos("Checksums-Sha256"), line)
		}
		all = append(all, SourceFile{Name: words[2], Size: size, SHA256: strings.ToLower(words[0])})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no SHA-256 checksums", st.Pos(""))
	}
	return all, nil
}

// plainName refuses what is no single element of a path.
func plainName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "/\x00\t\n ")
}

// sourceLine is a package as it stands in the cached form.
func sourceLine(p *SourcePackage) string {
	words := []string{p.Name, string(p.Version), p.Directory}
	for _, f := range p.Files {
		words = append(words, f.Name, strconv.FormatInt(f.Size, 10), f.SHA256)
	}
	return strings.Join(words, "\t") + "\n"
}

func nameOf(line string) string {
	name, _, _ := strings.Cut(line, "\t")
	return name
}

// named lists the source packages of a name, in the order of the index.
func (l loaded) named(name string) ([]*SourcePackage, error) {
	text := l.sources
	low, high := 0, len(text) // beginnings of lines
	for low < high {
		start := strings.LastIndexByte(text[:(low+high)/2], '\n') + 1
		start = max(start, low)
		end := start + strings.IndexByte(text[start:], '\n') + 1
		if nameOf(text[start:end]) < name {
			low = end
		} else {
			high = start
		}
	}
	var all []*SourcePackage
	for line := range strings.Lines(text[low:]) {
		if nameOf(line) != name {
			break
		}
		words := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(words) < 6 || len(words)%3 != 0 {
			return nil, fmt.Errorf("BUG: cached line %q", line)
		}
		p := &SourcePackage{Name: words[0], Version: debian.Version(words[1]), Directory: words[2], Index: l.index}
		for i := 3; i < len(words); i += 3 {
			size, err := strconv.ParseInt(words[i+1], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("BUG: cached line %q", line)
			}
			p.Files = append(p.Files, SourceFile{Name: words[i], Size: size, SHA256: words[i+2]})
		}
		all = append(all, p)
	}
	return all, nil
}
