package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"n3x/internal/atomicfile"
	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/disk"
	"n3x/internal/kas"
	"n3x/internal/matrix"
	"n3x/internal/multiconfig"
)

// register puts the files of what was built into the folder of the images, checks their packages, and writes the registry.
func (m *theMatrix) register(ctx context.Context, made []build.Target, units []*unit, in matrix.Inputs, ran int, took time.Duration) error {
	dir := m.images()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return diag.Failedf(diag.Pos{}, "make the folder of the images: %w", err)
	}
	lock, err := atomicfile.WaitLock(filepath.Join(m.top(), "n3x/registry.lock"))
	if err != nil {
		return diag.Failedf(diag.Pos{}, "lock the registry: %w", err)
	}
	defer lock.Unlock()
	r, err := matrix.ReadRegistry(dir)
	if err != nil {
		return err
	}
	files := 0
	for _, u := range units {
		at := slices.IndexFunc(made, func(t build.Target) bool { return t.Multiconfig == u.ID() && t.Done })
		if u.Err == nil && at < 0 {
			u.Err = multiconfig.ErrNotBuilt
		}
		if u.Err == nil {
			u.Err = m.enter(ctx, r, dir, u, made[at], in)
		}
		if u.Err != nil {
			if err := r.Remove(dir, u.ID()); err != nil {
				return err
			}
			continue
		}
		files += len(u.Variant.Files)
	}
	if m.f.All() {
		for _, id := range r.IDs() { // the definition or the profiles have it no more
			if !slices.ContainsFunc(m.all, func(v matrix.Variant) bool { return v.ID() == id }) {
				if err := r.Remove(dir, id); err != nil {
					return err
				}
			}
		}
	}
	if err := r.Write(dir); err != nil {
		return err
	}
	fmt.Fprintf(m.a.stdout, "%s: %d files in %s, %d tasks run now, %.1f s\n", m.a.name, files, m.a.relative(dir), ran, took.Seconds())
	return nil
}

// enter links one variant's files and writes its entry.
func (m *theMatrix) enter(ctx context.Context, r *matrix.Registry, dir string, u *unit, t build.Target, in matrix.Inputs) error {
	e := &matrix.Entry{Machine: u.Machine, Role: u.Role, Profile: u.Profile, Node: u.Node, Overlays: u.Unit.Files, Inputs: in, Packages: []string{}}
	e.Inputs.Epoch = t.Values["SOURCE_DATE_EPOCH"]
	if u.ProfileFile != "" {
		e.Inputs.Profile = digestOf(m.a.absolute(u.ProfileFile))
	}
	groups := m.def.Needs(u.Role, u.Profile, m.overlaysOf(u.Project))
	for _, g := range groups {
		e.Packages = append(e.Packages, g.Name)
		if slices.ContainsFunc(g.Names, func(n string) bool { return strings.HasPrefix(n, "k3s-server") || strings.HasPrefix(n, "k3s-agent") }) {
			e.Inputs.K3s = t.Values["K3S_VERSION"]
		}
	}
	old := r.Variants[u.ID()]
	for _, ext := range u.Variant.Files {
		from := filepath.Join(t.Values["DEPLOY_DIR_IMAGE"], t.Values["IMAGE_FULLNAME"]+ext)
		name := u.File(ext)
		same, err := linkFile(ctx, from, filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return diag.Failedf(diag.Pos{File: m.def.File}, "%s was built, and there is no %s", u.ID(), from).WithHint("correct files: of machine %s, or its IMAGE_FSTYPES", u.Machine)
		}
		if err != nil {
			return diag.Failedf(diag.Pos{}, "put %s in its place: %w", name, err)
		}
		f, err := m.describe(dir, ext, name, old, same)
		if err != nil {
			return err
		}
		e.Files = append(e.Files, f)
	}
	if err := m.checkPackages(dir, u.ID(), e, groups); err != nil {
		return err
	}
	r.Variants[u.ID()] = e
	return nil
}

// describe measures a file. One that was there, and was not touched since the registry was written, is what it was; one that was
// touched is no longer what was built.
func (m *theMatrix) describe(dir, ext, name string, old *matrix.Entry, same bool) (matrix.File, error) {
	var was *matrix.File
	if old != nil && same {
		if at := slices.IndexFunc(old.Files, func(f matrix.File) bool { return f.Name == name && f.Kind == ext }); at >= 0 {
			was = &old.Files[at]
		}
	}
	file, err := os.Stat(filepath.Join(dir, name))
	registry, err2 := os.Stat(filepath.Join(dir, matrix.RegistryFile))
	if was != nil && err == nil && err2 == nil && file.Size() == was.Size && file.ModTime().Before(registry.ModTime()) {
		return *was, nil
	}
	f, err := matrix.Describe(dir, ext, name)
	switch {
	case err != nil:
		return f, diag.Failedf(diag.Pos{}, "register %s: %w", name, err)
	case was != nil && f != *was:
		return f, diag.Failedf(diag.Pos{File: filepath.Join(dir, name)}, "the file was changed since it was built").WithHint("remove it; then the next build makes it anew")
	}
	return f, nil
}

// linkFile makes to the same file as from: a hard link, or a copy where there can be none. same means that it was already.
func linkFile(ctx context.Context, from, to string) (same bool, err error) {
	a, err := os.Stat(from)
	if err != nil {
		return false, err
	}
	if b, err := os.Lstat(to); err == nil && os.SameFile(a, b) {
		return true, nil
	}
	tmp := to + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.Link(from, tmp); err != nil {
		if err := disk.CopySparse(ctx, from, tmp); err != nil {
			return false, err
		}
	}
	return false, os.Rename(tmp, to)
}

// overlaysOf are all kas files of a project, relative to the definition's folder.
func (m *theMatrix) overlaysOf(p *kas.Project) []string {
	var out []string
	for _, f := range p.Files {
		if rel, err := filepath.Rel(m.dir, f.Path); err == nil {
			out = append(out, filepath.ToSlash(rel))
		}
	}
	return out
}
