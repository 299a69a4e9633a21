package debhelper

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"n3x/internal/atomicfile"
	"n3x/internal/debian"
)

// SourcePackage is a tree as dpkg-source(1) packs it in the format 1.0 without an archive of upstream.
type SourcePackage struct {
	Name, Version string
	dir           string
	control       *control
	date          time.Time
}

// sourceFields are the fields of debian/control that a source package repeats as they are, or leaves out.
var sourceFields = []string{"source", "section", "priority", "standards-version", "maintainer", "build-depends", "rules-requires-root", "homepage",
	"package", "architecture", "depends", "recommends", "suggests", "enhances", "pre-depends", "provides", "replaces", "breaks", "conflicts",
	"built-using", "multi-arch", "description", "essential"}

// ReadSource looks at the tree in dir. Errors are a [*Beyond] when dpkg-source is needed, or say what it would refuse.
func ReadSource(dir string) (*SourcePackage, error) {
	b := &builder{Source: Source{Dir: dir}, unread: map[string]bool{}}
	if _, err := os.Lstat(filepath.Join(dir, "debian/source")); err == nil {
		return nil, beyond("debian/source chooses a format")
	}
	text, err := b.take("control")
	if err != nil {
		return nil, err
	}
	if b.control, err = parseControl(string(text)); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "debian/control"), err)
	}
	if text, err = b.take("changelog"); err != nil {
		return nil, err
	}
	if b.log, err = parseChangelog(string(text)); err != nil {
		return nil, err
	}
	if err := b.control.plainSource(); err != nil {
		return nil, err
	}
	orig, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*.orig.tar.*"))
	if err != nil || len(orig) > 0 {
		return nil, beyond("there is an archive of upstream")
	}
	return &SourcePackage{Name: b.log.source, Version: b.log.version, dir: dir, control: b.control, date: b.log.date}, nil
}

// plainSource accepts control files of which a source package needs nothing to be worked out.
func (c *control) plainSource() error {
	for _, field := range []string{"source", "maintainer", "standards-version"} {
		if value := c.source.get(field); value == "" || strings.Contains(value, "\n") {
			return beyond("debian/control has no field %s of one line", field)
		}
	}
	for _, s := range []*stanza{c.source, c.binary} {
		for _, name := range s.names {
			if !slices.Contains(sourceFields, strings.ToLower(name)) {
				return beyond("debian/control has the field %s", name)
			}
		}
	}
	return c.checkBuildDepends()
}

// Write puts NAME_VERSION.tar.gz and NAME_VERSION.dsc into a folder and gives their paths.
func (s *SourcePackage) Write(folder string) ([]string, error) {
	base := s.Name + "_" + debian.Version(s.Version).WithoutEpoch()
	archive := filepath.Join(folder, base+".tar.gz")
	var b bytes.Buffer
	if err := s.archive(&b); err != nil {
		return nil, err
	}
	if err := atomicfile.Write(archive, b.Bytes(), 0o644); err != nil {
		return nil, err
	}
	dsc := filepath.Join(folder, base+".dsc")
	return []string{archive, dsc}, atomicfile.Write(dsc, []byte(s.description(filepath.Base(archive), b.Bytes())), 0o644)
}

func (s *SourcePackage) description(archive string, data []byte) string {
	c := s.control
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			b.WriteString(name + ": " + value + "\n")
		}
	}
	either := func(name string) string {
		for _, p := range []*stanza{c.binary, c.source} {
			if v := p.get(name); v != "" {
				return v
			}
		}
		return "unknown"
	}
	arches := strings.Fields(c.binary.get("Architecture"))
	field("Format", "1.0")
	field("Source", s.Name)
	field("Binary", c.binary.get("Package"))
	field("Architecture", strings.Join(arches, " "))
	field("Version", s.Version)
	field("Maintainer", c.source.get("Maintainer"))
	field("Homepage", c.source.get("Homepage"))
	field("Standards-Version", c.source.get("Standards-Version"))
	field("Build-Depends", "debhelper-compat (= 13)")
	fmt.Fprintf(&b, "Package-List:\n %s deb %s %s arch=%s\n", c.binary.get("Package"), either("Section"), either("Priority"), strings.Join(arches, ","))
	for _, sum := range []struct{ name, hex string }{
		{"Checksums-Sha1", fmt.Sprintf("%x", sha1.Sum(data))}, {"Checksums-Sha256", fmt.Sprintf("%x", sha256.Sum256(data))}, {"Files", fmt.Sprintf("%x", md5.Sum(data))},
	} {
		fmt.Fprintf(&b, "%s:\n %s %d %s\n", sum.name, sum.hex, len(data), archive)
	}
	return b.String()
}

// archive writes the tree. Compression is fast: it is read once, by a build.
func (s *SourcePackage) archive(w io.Writer) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(z)
	top := filepath.Base(s.dir)
	inodes := map[fileID]string{}
	err = filepath.WalkDir(s.dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.dir, file)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return s.entry(tw, file, path.Join(top, filepath.ToSlash(rel)), info, inodes)
	})
	if err != nil {
		return err
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return z.Close()
}

func (s *SourcePackage) entry(tw *tar.Writer, file, name string, info fs.FileInfo, inodes map[fileID]string) error {
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = os.Readlink(file); err != nil {
			return err
		}
	}
	if info.Mode()&fs.ModeSocket != 0 {
		return fmt.Errorf("%s is a socket, which no package can hold", name)
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname, h.Format = name, 0, 0, "", "", tar.FormatGNU
	h.AccessTime, h.ChangeTime = time.Time{}, time.Time{}
	if info.IsDir() {
		h.Name += "/"
	}
	if h.ModTime = info.ModTime().Truncate(time.Second); h.ModTime.After(s.date) {
		h.ModTime = s.date
	}
	if id, ok := hardLinked(info); ok && info.Mode().IsRegular() {
		if first := inodes[id]; first != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		} else {
			inodes[id] = h.Name
		}
	}
	if err := tw.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(tw, f)
	return err
}
