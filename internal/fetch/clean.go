package fetch

import (
	"context"
	"os"
	"path/filepath"

	"n3x/internal/sandbox"
)

// Clean removes what fetching a source has left in DL_DIR: the file, clone or folder, its stamp, what is unfinished of it,
// and the tarball of a clone. It waits for whoever fetches it just now. file:// sources stay; submodules, too, since others
// may have them.
func (f *Fetcher) Clean(ctx context.Context, s *Source) error {
	if s.Scheme == "file" || s.supported() != nil {
		return nil
	}
	if s.Scheme == "npmsw" {
		parts, err := f.npmParts(s)
		if err != nil {
			return nil // without the file that names them nobody knows the parts
		}
		for _, p := range parts {
			if p.source == nil {
				continue
			}
			if err := f.Clean(ctx, p.source); err != nil {
				return err
			}
		}
		return nil
	}
	local, err := f.Local(s)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Dir(local)); err != nil {
		return nil
	}
	lock, err := f.lock(ctx, local)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	names := []string{local, local + ".done", local + ".tmp", local + ".resolved"}
	if git := s.git(); git != nil {
		tarball := filepath.Join(f.o.DownloadDir, git.gitTarball())
		names = append(names, tarball, tarball+".done")
		if c, err := f.shallow(git); err == nil && c != nil && !git.floating() {
			names = append(names, f.shallowFile(c), f.shallowFile(c)+".done")
		}
	}
	for _, name := range names {
		if err := sandbox.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
