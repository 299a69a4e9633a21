package build

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// Occupy makes this process the only one that builds in a build folder, as bitbake.lock does for BitBake: it waits until
// an earlier one has ended, and calls waiting once when it has to.
func Occupy(ctx context.Context, topDir string, waiting func()) (release func(), err error) {
	path := filepath.Join(topDir, "n3x", "build.lock")
	for told := false; ; told = true {
		lock, err := atomicfile.TryLock(path)
		if err == nil {
			return lock.Unlock, nil
		}
		if !errors.Is(err, atomicfile.ErrLocked) {
			return nil, diag.Failedf(diag.Pos{}, "lock the build folder: %w", err)
		}
		if !told {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// unfinishedImages are the files and folders in which images are made; they may have an image's secrets in them.
var unfinishedImages = []string{"work/*/*/*/scratch-*", "work/*/*/*/disk-*", "deploy/images/*/.*.tmp-*", "deploy/images/*/.image-*"}

// Tidy removes the unfinished images of a build in topDir that was killed, unless another one runs there. What it cannot
// remove, and what lies in another TMPDIR, the next build does.
func Tidy(topDir string) {
	lock, err := atomicfile.TryLock(filepath.Join(topDir, "n3x", "build.lock"))
	if err != nil {
		return
	}
	defer lock.Unlock()
	tmp := filepath.Join(topDir, "tmp")
	for _, pattern := range unfinishedImages {
		left, _ := fs.Glob(os.DirFS(tmp), pattern) // the patterns are good ones
		for _, name := range left {
			_ = os.RemoveAll(filepath.Join(tmp, name))
		}
	}
}

// sweep removes what a build that was killed could not: roots of programs, half-made folders and half-written images.
// The build folder must be occupied.
func sweep(tmp string) error {
	for _, pattern := range append([]string{"n3x/run-*", "n3x/scratch-*"}, unfinishedImages...) {
		left, err := fs.Glob(os.DirFS(tmp), pattern)
		if err != nil {
			return err
		}
		for _, name := range left {
			if err := sandbox.Remove(filepath.Join(tmp, name)); err != nil {
				return diag.Failedf(diag.Pos{}, "remove what a killed build left: %w", err)
			}
		}
	}
	return nil
}
