package repo

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
	"n3x/internal/diag"
)

// Source is a source package that was read to be added.
type Source struct {
	Name    string
	Version debian.Version
	Path    string // of the .dsc

	control deb.Stanza
	files   []named // the .dsc first
}

// named is a file of a source package.
type named struct {
	name string
	sums
}

// ReadSource reads a .dsc file and checks the files that it names, which lie beside it. Signatures are not checked.
func ReadSource(path string) (*Source, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text := data
	if block, _ := clearsign.Decode(data); block != nil {
		text = block.Plaintext
	}
	stanzas, err := deb.ReadStanzas(path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if len(stanzas) != 1 {
		return nil, diag.Userf(diag.Pos{File: path}, "it has %d paragraphs, a source package has 1", len(stanzas))
	}
	s := &Source{Name: stanzas[0].Field("Source"), Path: path, control: stanzas[0]}
	if err := checkName(s.Name); err != nil {
		return nil, diag.Userf(stanzas[0].Pos("Source"), "field Source: %w", err)
	}
	if s.Version, err = debian.ParseVersion(stanzas[0].Field("Version")); err != nil {
		return nil, diag.Userf(stanzas[0].Pos("Version"), "field Version: %w", err)
	}
	s.files = []named{{filepath.Base(path), sumBytes(data)}}
	return s, s.readFiles()
}

// readFiles takes the files from the .dsc and compares them with what lies there.
func (s *Source) readFiles() error {
	field, ok := s.control.Lookup("Checksums-Sha256")
	if !ok {
		return diag.Userf(s.control.Pos(""), "source package %s has no Checksums-Sha256 field", s.Name)
	}
	for line := range strings.SplitSeq(field.Value, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 3 || filepath.Base(words[2]) != words[2] || strings.HasPrefix(words[2], ".") {
			return diag.Userf(s.control.Pos(field.Name), "field Checksums-Sha256 of %s: %q is not a hash, a size and a file name", s.Name, strings.TrimSpace(line))
		}
		got, err := sumFile(filepath.Join(filepath.Dir(s.Path), words[2]))
		if err != nil {
			return diag.Userf(s.control.Pos(field.Name), "source package %s: %w", s.Name, err)
		}
		if size, err := strconv.ParseInt(words[1], 10, 64); err != nil || size != got.size || !strings.EqualFold(words[0], got.sha256) {
			return diag.Userf(s.control.Pos(field.Name), "source package %s: %s has %d bytes with SHA-256 %s, its .dsc says %s and %s", s.Name, words[2], got.size, got.sha256, words[1], words[0])
		}
		s.files = append(s.files, named{words[2], got})
	}
	return nil
}

// AddSource puts a source package into the repository; see [Change.Add].
func (c *Change) AddSource(s *Source, owner string) error {
	e := &entry{kind: "dsc", name: s.Name, version: string(s.Version), arch: "source"}
	dir := poolDir(s.Name)
	var from []string
	for _, f := range s.files {
		e.files = append(e.files, file{path: dir + "/" + f.name, size: f.size, sha256: f.sha256})
		from = append(from, filepath.Join(filepath.Dir(s.Path), f.name))
	}
	for _, o := range c.entries {
		if o.name == e.name && o.arch == "source" {
			continue
		}
		for _, f := range o.files {
			if i := slices.IndexFunc(e.files, func(g file) bool { return g.path == f.path }); i >= 0 && e.files[i] != f {
				return fmt.Errorf("source package %s has a file %s, which is another one in source package %s", s.Name, f.path, o.name)
			}
		}
	}
	e.stanza = sourceStanza(s, dir)
	return c.put(e, owner, from)
}

// sourceStanza is an entry of Sources in reprepro's order.
func sourceStanza(s *Source, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Package: %s\n", s.Name)
	for _, f := range s.control.Fields {
		switch strings.ToLower(f.Name) {
		case "source", "files", "checksums-sha1", "checksums-sha256", "checksums-md5", "priority", "section", "directory":
			continue
		}
		writeField(&b, f)
	}
	fmt.Fprintf(&b, "Priority: source\nSection: -\nDirectory: %s\n", dir)
	for _, list := range []struct {
		name string
		hash func(sums) string
	}{
		{"Files", func(s sums) string { return s.md5 }},
		{"Checksums-Sha1", func(s sums) string { return s.sha1 }},
		{"Checksums-Sha256", func(s sums) string { return s.sha256 }},
	} {
		b.WriteString(list.name + ": \n") // with reprepro's space
		for _, f := range s.files {
			fmt.Fprintf(&b, " %s %d %s\n", list.hash(f.sums), f.size, f.name)
		}
	}
	return b.String()
}

// binaryStanza is an entry of Packages in reprepro's order: what says where the file is stands before the description.
func binaryStanza(d *Deb, path string) string {
	var b strings.Builder
	priority := d.Priority
	if priority == "" {
		priority = "optional"
	}
	placed := false
	place := func() {
		placed = true
		fmt.Fprintf(&b, "Priority: %s\n", priority)
		if d.Section != "" {
			fmt.Fprintf(&b, "Section: %s\n", d.Section)
		}
		fmt.Fprintf(&b, "Filename: %s\nSize: %d\nSHA256: %s\nSHA1: %s\nMD5sum: %s\n", path, d.sums.size, d.sums.sha256, d.sums.sha1, d.sums.md5)
	}
	for _, f := range d.control.Fields {
		switch strings.ToLower(f.Name) {
		case "priority", "section", "filename", "size", "sha256", "sha1", "md5sum", "sha512":
			continue
		case "description":
			if !placed {
				place()
			}
		}
		writeField(&b, f)
	}
	if !placed {
		place()
	}
	return b.String()
}

// writeField writes a field as it stood, with its continuation lines.
func writeField(b *strings.Builder, f deb.Field) {
	first, rest, more := strings.Cut(f.Value, "\n")
	if b.WriteString(f.Name + ":"); first != "" {
		b.WriteString(" " + first)
	}
	b.WriteByte('\n')
	for more {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		if line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
}
