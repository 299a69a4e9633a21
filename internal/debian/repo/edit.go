package repo

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
	"n3x/internal/diag"
)

// Deb is a .deb file that was read to be added.
type Deb struct {
	*debian.Package
	Path string

	control deb.Stanza
	sums    sums
}

// sums are a file's size and hashes.
type sums struct {
	size              int64
	md5, sha1, sha256 string // hex
}

// ReadDeb reads and checks a .deb file. It takes most of the time of adding one, and needs no lock.
func ReadDeb(path string) (*Deb, error) {
	d, err := deb.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	p, err := d.Package()
	if err != nil {
		return nil, err
	}
	if err := checkName(p.Name); err != nil {
		return nil, diag.Userf(diag.Pos{}, "%s: %w", filepath.Base(path), err)
	}
	if err := checkName(p.Source); err != nil {
		return nil, diag.Userf(diag.Pos{}, "%s: field Source: %w", filepath.Base(path), err)
	}
	files, err := d.Control()
	if err != nil {
		return nil, err
	}
	stanzas, err := deb.ReadStanzas(path+":control", strings.NewReader(string(files["control"].Data)))
	if err != nil {
		return nil, err
	}
	out := &Deb{Package: p, Path: path, control: stanzas[0]}
	out.sums, err = sumFile(path)
	p.Size, p.SHA256 = out.sums.size, out.sums.sha256
	return out, err
}

// checkName refuses names that are none by Debian's policy (5.6.1); they become folders of the pool.
func checkName(name string) error {
	ok := len(name) >= 2
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' // dpkg takes capitals, and some packages have them
		ok = ok && (letter || i > 0 && strings.IndexByte("+-._", c) >= 0)
	}
	if !ok {
		return fmt.Errorf("%q is not the name of a package", name)
	}
	return nil
}

func sumFile(path string) (sums, error) {
	f, err := os.Open(path)
	if err != nil {
		return sums{}, err
	}
	defer f.Close()
	a, b, c := md5.New(), sha1.New(), sha256.New()
	n, err := io.Copy(io.MultiWriter(a, b, c), f)
	return sums{n, hex.EncodeToString(a.Sum(nil)), hex.EncodeToString(b.Sum(nil)), hex.EncodeToString(c.Sum(nil))}, err
}

func sumBytes(data []byte) sums {
	a, b, c := md5.Sum(data), sha1.Sum(data), sha256.Sum256(data)
	return sums{int64(len(data)), hex.EncodeToString(a[:]), hex.EncodeToString(b[:]), hex.EncodeToString(c[:])}
}

// PoolFile is where a .deb lies below a repository, e.g. "pool/main/libh/libhello/libhello1_1.0_amd64.deb".
func PoolFile(p *debian.Package) string {
	return poolDir(p.Source) + "/" + p.Name + "_" + p.Version.WithoutEpoch() + "_" + p.Architecture + ".deb"
}

func poolDir(source string) string {
	prefix := source[:1]
	if strings.HasPrefix(source, "lib") && len(source) > 3 {
		prefix = source[:4]
	}
	return "pool/" + Component + "/" + prefix + "/" + source
}

// Held is a package of the repository.
type Held struct {
	Version string
	Path    string   // of the .deb, or of the .dsc
	SHA256  string   // of that file, hex
	Owners  []string // those who put it there
}

// Find gives a package; arch is "source" for a source package.
func (c *Change) Find(name, arch string) (Held, bool) {
	e := c.find(name, arch)
	if e == nil {
		return Held{}, false
	}
	return Held{Version: e.version, Path: filepath.Join(c.r.o.Dir, e.files[0].path), SHA256: e.files[0].sha256, Owners: e.owners}, true
}

func (c *Change) find(name, arch string) *entry {
	for _, e := range c.entries {
		if e.name == name && e.arch == arch {
			return e
		}
	}
	return nil
}

// Add puts a package into the repository in place of any other of its name and architecture, older or newer. owner is
// whose it is from now on, together with those who put exactly this one there before: when all have let go of it
// ([Change.Retain]) it is removed. "" is nobody.
func (c *Change) Add(d *Deb, owner string) error {
	if d.Architecture != "all" && (d.Architecture == "source" || !slices.Contains(Architectures, d.Architecture)) {
		return diag.Userf(diag.Pos{}, "%s is for architecture %s, which the repository does not have", filepath.Base(d.Path), d.Architecture).
			WithHint("its architectures are: %s", strings.Join(Architectures[:len(Architectures)-1], " "))
	}
	e := &entry{kind: "deb", name: d.Name, version: string(d.Version), arch: d.Architecture}
	e.files = []file{{path: PoolFile(d.Package), size: d.sums.size, sha256: d.sums.sha256}}
	e.stanza = binaryStanza(d, e.files[0].path)
	return c.put(e, owner, []string{d.Path})
}

// put replaces the entry of e's key; sources are where e's files come from.
func (c *Change) put(e *entry, owner string, sources []string) error {
	old := c.find(e.name, e.arch)
	same := old != nil && old.stanza == e.stanza && slices.Equal(old.files, e.files)
	if same {
		e.owners = old.owners
	}
	if owner != "" && !slices.Contains(e.owners, owner) {
		e.owners = append(slices.Clone(e.owners), owner)
		slices.Sort(e.owners)
	}
	if same {
		if !slices.Equal(old.owners, e.owners) {
			old.owners, c.dirty = e.owners, true
		}
		return nil
	}
	for i, f := range e.files {
		if old != nil && slices.Contains(old.files, f) || filepath.Join(c.r.o.Dir, f.path) == sources[i] {
			continue // it is there already
		}
		if err := c.stage(sources[i], f); err != nil {
			return err
		}
	}
	c.dirty = true
	c.entries = slices.DeleteFunc(c.entries, func(o *entry) bool { return o == old })
	c.entries = append(c.entries, e)
	return nil
}

// stage copies a file beside its place in the pool.
func (c *Change) stage(source string, f file) error {
	if err := c.begin(); err != nil {
		return err
	}
	target := filepath.Join(c.r.o.Dir, f.path)
	if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".new")
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c.staged = append(c.staged, staged{tmp, f.path})
	if c.link && os.Link(source, tmp) == nil {
		return nil
	}
	if err := copyFile(source, tmp); err != nil {
		return err
	}
	if st, err := os.Stat(tmp); err != nil || st.Size() != f.size {
		return fmt.Errorf("%s changed while it was copied", source)
	}
	return nil
}

// copyFile makes a copy that shares its blocks with the original where the file system can.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) != nil {
		_, err = io.Copy(out, in)
	}
	return errors.Join(err, out.Close())
}

// Remove takes a package out; arch is "source" for a source package. It reports whether there was one.
func (c *Change) Remove(name, arch string) bool {
	return c.drop(func(e *entry) bool { return e.name == name && e.arch == arch })
}

// Retain takes owner's name off all packages of kind "deb" or "dsc" but those that keep accepts, and takes out those that
// nobody has then.
func (c *Change) Retain(owner, kind string, keep func(name, arch string) bool) {
	for _, e := range c.entries {
		if e.kind == kind && slices.Contains(e.owners, owner) && !keep(e.name, e.arch) {
			c.dirty = true
			if len(e.owners) == 1 {
				c.drop(func(o *entry) bool { return o == e })
				continue
			}
			e.owners = slices.DeleteFunc(slices.Clone(e.owners), func(o string) bool { return o == owner })
		}
	}
}

func (c *Change) drop(is func(*entry) bool) bool {
	left := slices.DeleteFunc(slices.Clone(c.entries), is)
	found := len(left) < len(c.entries)
	c.entries, c.dirty = left, c.dirty || found
	return found
}

// adopt takes over what lies in the pool without being in the database. What is no package is left to be swept.
func (c *Change) adopt() error {
	pool := filepath.Join(c.r.o.Dir, "pool", Component)
	var sources []string
	err := filepath.WalkDir(pool, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "."):
			return err
		case filepath.Ext(path) == ".dsc":
			sources = append(sources, path)
		case filepath.Ext(path) == ".deb":
			p, err := ReadDeb(path)
			if err != nil {
				return nil //nolint:nilerr // a file that a killed process left
			}
			if filepath.Join(c.r.o.Dir, PoolFile(p.Package)) != path {
				return nil
			}
			return c.Add(p, "")
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, path := range sources {
		if s, err := ReadSource(path); err == nil {
			if err := c.AddSource(s, ""); err != nil {
				return err
			}
		}
	}
	return nil
}
