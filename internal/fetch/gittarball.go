package fetch

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"n3x/internal/atomicfile"
)

// writeTarballs puts the tarball of a clone into DL_DIR, for use as a mirror, unless it is there: of the whole clone, or
// of a part of its history.
func (f *Fetcher) writeTarballs(ctx context.Context, s *Source, c *shallow, clone string) error {
	if c != nil && f.o.Shallow.Tarballs {
		return f.writeShallow(ctx, s, c, clone)
	}
	if !f.o.MirrorTarballs && !s.flag("rebaseable") {
		return nil
	}
	to := filepath.Join(f.o.DownloadDir, s.gitTarball())
	if exists(to) {
		return nil
	}
	f.o.Progress.Step("writing " + filepath.Base(to))
	at, err := f.commitTime(ctx, clone, "--all")
	if err != nil {
		return err
	}
	if err := writeTarball(ctx, to, clone, at); err != nil {
		return err
	}
	f.markDone(to)
	return nil
}

// commitTime is the time of the newest commit of a revision's history.
func (f *Fetcher) commitTime(ctx context.Context, repo, revision string) (time.Time, error) {
	out, err := f.git(ctx, repo, "log", revision, "-1", "--format=%ct")
	if err != nil {
		return time.Time{}, err
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	return time.Unix(seconds, 0), err
}

// writeTarball packs a folder.
func writeTarball(ctx context.Context, to, dir string, at time.Time) error {
	return atomicfile.WriteFrom(to, 0o666, func(w io.Writer) error {
		z := gzip.NewWriter(w)
		t := tar.NewWriter(z)
		return errors.Join(addTree(ctx, t, dir, at), t.Close(), z.Close())
	})
}

// addTree adds a folder as ".", owned by nobody in particular, with one time for all.
func addTree(ctx context.Context, t *tar.Writer, root string, at time.Time) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(path); err != nil {
				return err
			}
		} else if !info.IsDir() && !info.Mode().IsRegular() {
			return nil
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := "./"
		if rel != "." {
			name += rel
		}
		if info.IsDir() {
			name = strings.TrimSuffix(name, "/") + "/"
		}
		*h = tar.Header{Typeflag: h.Typeflag, Name: name, Linkname: link, Mode: h.Mode, Size: h.Size, ModTime: at, Uname: "oe", Gname: "oe"}
		if err := t.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(t, in)
		return err
	})
}
