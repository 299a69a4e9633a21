package images

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/isar"
)

// addFiles copies the entries of ROOTFS_ADDITIONAL_FILES into the tree: single files of any size, with mode and time.
func addFiles(_ context.Context, c *isar.Call) error {
	names, err := c.Words("ROOTFS_ADDITIONAL_FILES")
	if err != nil || len(names) == 0 {
		return err
	}
	t, err := tree(c)
	if err != nil {
		return err
	}
	for _, name := range names {
		entry := "ROOTFS_ADDITIONAL_FILE_" + name
		source, err := c.Flag(entry, "source")
		if err != nil {
			return err
		}
		target, err := c.Flag(entry, "destination")
		if err != nil {
			return err
		}
		if target == "" {
			return diag.Userf(c.Pos, "%s has no flag [destination]", entry).WithHint("say where the file goes: %s[destination] = \"/install/file\"", entry)
		}
		path, err := inside(t, target)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := addFile(source, path); err != nil {
			return diag.Userf(c.Pos, "%s: %w", entry, err)
		}
	}
	return nil
}

// addFile makes target a copy of source, or an empty file when there is none.
func addFile(source, target string) error {
	if source == "" {
		f, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		return f.Close()
	}
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &os.PathError{Op: "copy", Path: source, Err: errors.New("it is not a regular file")}
	}
	if err := atomicfile.WriteFrom(target, info.Mode().Perm(), func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	}); err != nil {
		return err
	}
	return os.Chtimes(target, info.ModTime(), info.ModTime())
}
