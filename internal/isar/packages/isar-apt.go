package packages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"n3x/internal/atomicfile"
	"n3x/internal/debian/deb"
	"n3x/internal/isar"
)

// Repository is isar-apt: the Debian repository of what this build made, as apt reads it
// (https://wiki.debian.org/DebianRepository/Format).
type Repository struct {
	Dir      string // e.g. build/tmp/deploy/isar-apt/debian-trixie/apt/debian-trixie
	Codename string // DEBDISTRONAME, e.g. "isar"
	lock     string
}

// RepositoryOf is the repository that a recipe's packages go to.
func RepositoryOf(c *isar.Call) (Repository, error) {
	v, err := c.Values("REPO_ISAR_DIR", "DISTRO", "DEBDISTRONAME")
	if err != nil {
		return Repository{}, err
	}
	return Repository{Dir: filepath.Join(v[0], v[1]), Codename: v[2], lock: filepath.Join(v[0], "isar.lock")}, nil
}

func cacheConfig(_ context.Context, c *isar.Call) error {
	r, err := RepositoryOf(c)
	if err != nil {
		return err
	}
	return r.change(func() error { return nil })
}

// deployDeb puts a recipe's packages into the repository, in place of older ones of the same name and architecture.
func deployDeb(_ context.Context, c *isar.Call) error {
	list, err := debs(c)
	if err != nil {
		return err
	}
	r, err := RepositoryOf(c)
	if err != nil {
		return err
	}
	return r.change(func() error {
		for _, path := range list {
			if err := r.add(path); err != nil {
				return fmt.Errorf("deploy %s: %w", filepath.Base(path), err)
			}
		}
		return nil
	})
}

func undeploy(c *isar.Call, list []string) error {
	r, err := RepositoryOf(c)
	if err != nil {
		return err
	}
	if _, err := os.Stat(r.Dir); err != nil {
		return nil
	}
	return r.change(func() error {
		for _, path := range list {
			if err := r.remove(filepath.Base(path)); err != nil {
				return err
			}
		}
		return nil
	})
}

// change lets f edit the pool while no other process does, and then writes the indices anew.
func (r Repository) change(f func() error) error {
	lock, err := atomicfile.WaitLock(r.lock)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := f(); err != nil {
		return err
	}
	return r.index()
}

func (r Repository) pool() string { return filepath.Join(r.Dir, "pool", "main") }

func (r Repository) add(path string) error {
	d, err := deb.OpenFile(path)
	if err != nil {
		return err
	}
	p, err := d.Package()
	d.Close()
	if err != nil {
		return err
	}
	if err := r.remove(p.Name + "_*_" + p.Architecture + ".deb"); err != nil {
		return err
	}
	source := p.Source
	if source == "" {
		source = p.Name
	}
	data, err := os.Open(path)
	if err != nil {
		return err
	}
	defer data.Close()
	return atomicfile.WriteFrom(filepath.Join(r.pool(), poolPrefix(source), source, filepath.Base(path)), 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, data)
		return err
	})
}

// poolPrefix is the folder of the pool that a source package is in: "libh" for libhello, "h" for hello.
func poolPrefix(source string) string {
	if strings.HasPrefix(source, "lib") && len(source) > 3 {
		return source[:4]
	}
	return source[:1]
}

func (r Repository) remove(pattern string) error {
	old, err := filepath.Glob(filepath.Join(escapeGlob(r.pool()), "*", "*", pattern))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// index writes dists/<codename>: a Packages file for each architecture and the Release file that lists them.
func (r Repository) index() error {
	stanzas := map[string][]string{"all": nil, "amd64": nil, "arm64": nil, "armhf": nil, "i386": nil, "riscv64": nil}
	paths, err := filepath.Glob(filepath.Join(escapeGlob(r.pool()), "*", "*", "*.deb"))
	if err != nil {
		return err
	}
	slices.Sort(paths)
	for _, path := range paths {
		arch, text, err := r.stanza(path)
		if err != nil {
			return fmt.Errorf("index %s: %w", path, err)
		}
		stanzas[arch] = append(stanzas[arch], text)
	}
	dist := filepath.Join(r.Dir, "dists", r.Codename)
	var sums []string
	for _, arch := range slices.Sorted(maps.Keys(stanzas)) {
		list := stanzas[arch]
		if arch != "all" {
			list = append(slices.Clone(list), stanzas["all"]...)
		}
		text := []byte(strings.Join(list, "\n"))
		name := "main/binary-" + arch + "/Packages"
		if err := atomicfile.WriteIfChanged(filepath.Join(dist, name), text, 0o644); err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		sums = append(sums, fmt.Sprintf(" %s %d %s\n", hex.EncodeToString(sum[:]), len(text), name))
	}
	// No date: the same packages make the same file.
	release := fmt.Sprintf("Origin: isar\nLabel: isar\nSuite: %[1]s\nCodename: %[1]s\nDate: %[2]s\nArchitectures: %[3]s\nComponents: main\nSHA256:\n%[4]s",
		r.Codename, time.Unix(0, 0).UTC().Format(time.RFC1123), strings.Join(slices.Sorted(maps.Keys(stanzas)), " "), strings.Join(sums, ""))
	return atomicfile.WriteIfChanged(filepath.Join(dist, "Release"), []byte(release), 0o644)
}

// stanza is a package's entry in a Packages file: its control file, with the fields that say where the .deb is.
func (r Repository) stanza(path string) (arch, text string, err error) {
	d, err := deb.OpenFile(path)
	if err != nil {
		return "", "", err
	}
	defer d.Close()
	control, err := d.Control()
	if err != nil {
		return "", "", err
	}
	p, err := d.Package()
	if err != nil {
		return "", "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return "", "", err
	}
	rel, err := filepath.Rel(r.Dir, path)
	if err != nil {
		return "", "", err
	}
	fields := strings.TrimRight(string(control["control"].Data), "\n")
	if p.Priority == "" {
		fields += "\nPriority: optional"
	}
	return p.Architecture, fmt.Sprintf("%s\nFilename: %s\nSize: %d\nSHA256: %x\n", fields, rel, size, h.Sum(nil)), nil
}
