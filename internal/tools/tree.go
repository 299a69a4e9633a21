package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
	"n3x/internal/progress"
	"n3x/internal/sandbox"
)

// merged are the top folders that are links into usr (Debian's merged /usr). They are made first, so that packages that
// still ship files below /bin or /lib land in the right place.
var merged = []string{"bin", "sbin", "lib", "lib64"}

// unneeded are folders without use for a program that runs unattended.
var unneeded = []string{
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bug",
	"usr/share/doc-base", "usr/share/gtk-doc", "usr/share/help", "usr/share/bash-completion", "usr/share/zsh",
	"usr/share/applications", "usr/share/icons", "usr/share/pixmaps", "usr/share/menu",
}

func isUnneeded(name string) bool {
	for _, dir := range unneeded {
		if rest, ok := strings.CutPrefix(name, dir); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

func parallelUnpacks() int { return max(2, min(8, runtime.GOMAXPROCS(0))) }

// makeTree downloads, unpacks and joins packages, and gives the key of the tree.
func (p *Provider) makeTree(ctx context.Context, packages []*debian.Package, task *progress.Task) (string, error) {
	parts := []string{recipe}
	for _, q := range packages {
		parts = append(parts, q.ID(), q.SHA256)
	}
	key := digest(parts)
	if isDir(p.treeDir(key)) {
		return key, nil
	}
	var missing []*debian.Package
	for _, q := range packages {
		if !isDir(p.packageDir(q)) {
			missing = append(missing, q)
		}
	}
	err := p.o.Client.FetchEach(ctx, missing, task, func(i int, file string) error {
		return p.unpack(ctx, missing[i], file)
	})
	if err != nil {
		return "", err
	}
	return key, p.publish(p.treeDir(key), func(dir string) error {
		if err := p.join(ctx, dir, packages, task); err != nil {
			return err
		}
		return finish(dir)
	})
}

func (p *Provider) packageDir(q *debian.Package) string {
	return filepath.Join(p.o.Dir, "packages", q.SHA256)
}

// unpack puts one package into the cache.
func (p *Provider) unpack(ctx context.Context, q *debian.Package, file string) error {
	lock, _ := p.packages.LoadOrStore(q.SHA256, new(sync.Mutex)) // sets that are made side by side share packages
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()
	if isDir(p.packageDir(q)) {
		return nil
	}
	select {
	case p.unpacks <- struct{}{}:
		defer func() { <-p.unpacks }()
	case <-ctx.Done():
		return ctx.Err()
	}
	d, err := deb.OpenFile(file)
	if err != nil {
		return err
	}
	defer d.Close()
	return p.publish(p.packageDir(q), func(dir string) error {
		if err := mergeUsr(dir); err != nil {
			return err
		}
		return d.Unpack(ctx, dir, deb.UnpackOptions{Exclude: isUnneeded})
	})
}

func mergeUsr(root string) error {
	for _, name := range merged {
		if err := os.MkdirAll(filepath.Join(root, "usr", name), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+name, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return nil
}

// publish fills a folder beside dir and renames it, so that dir is whole or not there.
func (p *Provider) publish(dir string, fill func(dir string) error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return err
	}
	defer sandbox.Remove(tmp) // what a rename has moved away is no error to remove
	root := filepath.Join(tmp, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := fill(root); err != nil {
		return err
	}
	if err := os.Chmod(root, 0o755); err != nil {
		return err
	}
	if err := os.Rename(root, dir); err != nil && !isDir(dir) { // another process may have been faster
		return err
	}
	return nil
}

// join links the files of all packages into one folder.
func (p *Provider) join(ctx context.Context, root string, packages []*debian.Package, task *progress.Task) error {
	if err := mergeUsr(root); err != nil {
		return err
	}
	owner := make(map[string]*debian.Package)
	for _, q := range packages {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.joinPackage(root, q, owner, task); err != nil {
			return err
		}
	}
	return nil
}

func (p *Provider) joinPackage(root string, q *debian.Package, owner map[string]*debian.Package, task *progress.Task) error {
	from := p.packageDir(q)
	var folders []func() error // their times, set when they are filled
	err := filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == from {
			return err
		}
		rel := file[len(from)+1:]
		to := filepath.Join(root, rel)
		if d.IsDir() {
			made, err := copyFolder(file, to)
			if made != nil {
				folders = append(folders, made)
			}
			return err
		}
		if slices.Contains(merged, rel) {
			return nil
		}
		switch first := owner[rel]; {
		case first == nil:
			owner[rel] = q
		case replaces(first, q):
			return nil
		case replaces(q, first):
			owner[rel] = q
			if err := os.Remove(to); err != nil {
				return err
			}
		default:
			// Debian allows this to packages that divert each other's files when they are installed.
			task.Line(fmt.Sprintf("tools: %s is in %s and in %s; the former is used", path.Join("/", rel), first.Name, q.Name))
			return nil
		}
		return unix.Linkat(unix.AT_FDCWD, file, unix.AT_FDCWD, to, 0) // a link to a symbolic link is one to the link
	})
	for _, set := range slices.Backward(folders) {
		err = errors.Join(err, set())
	}
	if err != nil {
		return fmt.Errorf("add %s to the tree: %w", q.ID(), err)
	}
	return nil
}

// replaces reports whether a may overwrite files of b.
func replaces(a, b *debian.Package) bool {
	for _, alternatives := range a.Replaces {
		for _, r := range alternatives {
			if r.Name == b.Name && r.SatisfiedBy(b.Version) {
				return true
			}
		}
	}
	return false
}

// copyFolder makes the folder to with owner and mode of from, unless it is there. The function it gives sets the time.
func copyFolder(from, to string) (func() error, error) {
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return nil, err
	}
	if err := os.Mkdir(to, 0o700); errors.Is(err, fs.ErrExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := os.Chown(to, int(st.Uid), int(st.Gid)); err != nil {
		return nil, err
	}
	if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
		return nil, err
	}
	return func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, to, []unix.Timespec{st.Atim, st.Mtim}, 0) }, nil
}
