package isar

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// LayersKey stands for what is in a stack of layers: shared ones have a key for a name, those of tasks are read.
func LayersKey(layers []Layer) (string, error) {
	h := sha256.New()
	for _, l := range layers {
		fmt.Fprintf(h, "layer %s\n", filepath.Base(l.Dir))
		if l.Shared {
			continue
		}
		if err := digestTree(h, l.Dir); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}

// digestTree writes names, types, modes, owners and contents of a folder's entries, in order.
func digestTree(w io.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(w, "%q %o %d:%d %x\n", rel, st.Mode, st.Uid, st.Gid, st.Rdev)
		switch {
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%q\n", target)
		case info.Mode().IsRegular():
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			fmt.Fprintf(w, "%d\n", info.Size())
			_, err = io.Copy(w, f)
			return err
		}
		return nil
	})
}
