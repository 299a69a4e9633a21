// Package repo writes Debian repositories: pool, Packages, Sources and signed Release files, as apt reads them
// (https://wiki.debian.org/DebianRepository/Format).
//
// Input are .deb files and source packages; output is a folder with conf, dists and pool in the layout of reprepro, whose
// names, fields and order are kept, and beside it a small database: the index entries of what is there and who put it
// there, so that adding one package to hundreds reads no other package.
//
// A reader never sees an index that names a file which is missing or another: files come into the pool first, then
// dists/<codename> is exchanged as a whole, and what is no longer named goes last. A file whose content changes under the
// same name is taken out of the indices for the moment of the exchange. Indices can also be had by their hash, of this
// state and of the one before. A process that is killed at any point leaves a whole repository, which the next change cleans.
//
// One version of a package is kept, as with reprepro; the section that reprepro demands may be missing. It refuses files
// that are no packages, architectures that the repository does not have, and sources whose files do not fit their .dsc.
package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
)

// Architectures are those that ISAR's repositories have, in its order; "source" stands for source packages.
var Architectures = []string{"i386", "armhf", "arm64", "amd64", "mipsel", "riscv64", "source"}

// Component is the only one.
const Component = "main"

// Field is a line of a Release file.
type Field struct{ Name, Value string }

// Options name a repository.
type Options struct {
	Dir      string // e.g. deploy/isar-apt/debian-trixie/apt/debian-trixie
	DB       string // its database, e.g. deploy/isar-apt/debian-trixie/db/debian-trixie
	Codename string // e.g. "isar"

	Fields []Field   // more of the Release file, e.g. Origin, Label, Suite
	Keys   Keyring   // sign; nil = unsigned
	Date   time.Time // of the Release file, unless it bears a later one already; the zero time counts as 1970
}

// Repository is an open repository. Several processes may change one repository: they wait for each other.
type Repository struct{ o Options }

// New checks the options. It touches nothing.
func New(o Options) (*Repository, error) {
	if o.Dir == "" || o.DB == "" {
		return nil, errors.New("BUG: repo.Options without folders")
	}
	if o.Codename == "" || strings.ContainsAny(o.Codename, "/ \t\n") || strings.HasPrefix(o.Codename, ".") {
		return nil, diag.Userf(diag.Pos{}, "%q is not the codename of a repository", o.Codename).WithHint("use letters, digits and hyphens, e.g. isar")
	}
	for _, f := range o.Fields {
		if err := checkField(f); err != nil {
			return nil, err
		}
	}
	return &Repository{o}, nil
}

// Dir is where the repository lies: what a "deb" line names.
func (r *Repository) Dir() string { return r.o.Dir }

// Exists reports whether the repository has been made.
func (r *Repository) Exists() bool {
	_, err := os.Stat(filepath.Join(r.dist(), "Release"))
	return err == nil
}

func (r *Repository) dist() string { return filepath.Join(r.o.Dir, "dists", r.o.Codename) }

// Change lets f edit the repository while no other process does, and then publishes what has become of it. When f fails,
// the repository stays as it was. Without a change nothing is written.
func (r *Repository) Change(f func(*Change) error) error {
	lock, err := r.lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	c, err := r.open()
	if err != nil {
		return err
	}
	defer c.discard()
	if err := f(c); err != nil {
		return err
	}
	return c.commit()
}

// Read lets f look at the repository while no process changes it.
func (r *Repository) Read(f func(*Change) error) error {
	lock, err := r.lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	c, err := r.open()
	if err != nil {
		return err
	}
	return f(c)
}

func (r *Repository) lock() (*atomicfile.Lock, error) {
	lock, err := atomicfile.WaitLock(filepath.Join(r.o.DB, "lock"))
	if err != nil {
		return nil, diag.Failedf(diag.Pos{}, "lock the repository %s: %w", r.o.Dir, err)
	}
	return lock, nil
}

// Change is a repository that is being edited.
type Change struct {
	r       *Repository
	entries []*entry
	staged  []staged // files that wait to come into the pool
	dirty   bool     // something differs from what is published
	begun   bool     // the journal is this change's
	public  bool     // it is being published, or has been
	swept   bool     // an earlier change was cut short: look for what it left

	link  bool         // files of the pool may be hard links to where they came from
	after func() error // called when the change has been published
}

// staged is a file under construction.
type staged struct{ tmp, path string }

// open reads the database. Entries whose files are gone or of another size are dropped; without a database, what lies in
// the pool is taken over.
func (r *Repository) open() (*Change, error) {
	c := &Change{r: r}
	entries, err := readState(r.stateFile())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errState) {
		c.dirty, c.swept = true, true
		return c, c.adopt()
	}
	if err != nil {
		return nil, diag.Failedf(diag.Pos{File: r.stateFile()}, "read the repository's database: %w", err)
	}
	if _, err := os.Lstat(r.journal()); err == nil {
		c.dirty, c.swept = true, true
	}
	for _, e := range entries {
		// A change that was cut short may have exchanged a file for another of the same size.
		if e.present(r.o.Dir) && (!c.swept || e.intact(r.o.Dir)) {
			c.entries = append(c.entries, e)
		} else {
			c.dirty = true
		}
	}
	if !r.Exists() || !c.configured() {
		c.dirty = true
	}
	return c, nil
}

func (r *Repository) stateFile() string { return filepath.Join(r.o.DB, "packages") }

// journal exists while the pool or dists hold something unfinished.
func (r *Repository) journal() string { return filepath.Join(r.o.DB, "changing") }

// begin writes the journal.
func (c *Change) begin() error {
	if c.begun {
		return nil
	}
	c.begun = true
	return atomicfile.Write(c.r.journal(), nil, 0o644)
}

// discard removes what was prepared and not published.
func (c *Change) discard() {
	for _, s := range c.staged {
		os.Remove(s.tmp)
	}
	c.staged = nil
	if c.begun && !c.public && !c.swept {
		os.Remove(c.r.journal())
	}
}

// commit publishes the change.
func (c *Change) commit() error {
	if !c.dirty {
		return nil
	}
	err := c.publishAll()
	if err == nil && c.after != nil {
		err = c.after()
	}
	if err != nil {
		return diag.Failedf(diag.Pos{}, "publish the repository %s: %w", c.r.o.Dir, err)
	}
	return nil
}

func (c *Change) publishAll() error {
	r := c.r
	if err := c.begin(); err != nil {
		return err
	}
	c.public = true
	if err := c.writeConf(); err != nil {
		return err
	}
	slices.SortStableFunc(c.entries, compareEntries)
	// Where a file changes its content, readers must not find the old entry with the new file, nor the other way round.
	if changing := c.changing(); len(changing) > 0 {
		without := slices.DeleteFunc(slices.Clone(c.entries), func(e *entry) bool {
			return slices.ContainsFunc(e.files, func(f file) bool { return changing[f.path] })
		})
		if err := c.publish(without); err != nil {
			return err
		}
	}
	for _, s := range c.staged {
		if err := os.Rename(s.tmp, filepath.Join(r.o.Dir, s.path)); err != nil {
			return err
		}
	}
	c.staged = nil
	if err := c.publish(c.entries); err != nil {
		return err
	}
	if err := writeState(r.stateFile(), c.entries); err != nil {
		return err
	}
	if err := c.sweep(); err != nil {
		return err
	}
	return os.Remove(r.journal())
}

// changing are the paths of staged files that exist already.
func (c *Change) changing() map[string]bool {
	out := map[string]bool{}
	for _, s := range c.staged {
		if _, err := os.Lstat(filepath.Join(c.r.o.Dir, s.path)); err == nil {
			out[s.path] = true
		}
	}
	return out
}

// sweep removes the files of the pool that no entry names, unfinished ones and folders that became empty.
func (c *Change) sweep() error {
	named := map[string]bool{}
	for _, e := range c.entries {
		for _, f := range e.files {
			named[f.path] = true
		}
	}
	pool := filepath.Join(c.r.o.Dir, "pool")
	var folders []string
	err := filepath.WalkDir(pool, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			folders = append(folders, path)
			return nil
		}
		rel, err := filepath.Rel(c.r.o.Dir, path)
		if err != nil || named[filepath.ToSlash(rel)] {
			return err
		}
		return os.Remove(path)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range slices.Backward(folders) {
		os.Remove(dir) // fails for those that hold something, which is meant
	}
	return c.sweepDists()
}

// String names the repository for messages.
func (r *Repository) String() string { return fmt.Sprintf("repository %s %s", r.o.Dir, r.o.Codename) }
