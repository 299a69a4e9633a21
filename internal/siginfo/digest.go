package siginfo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// unversioned are the folders that version control keeps beside the sources (BitBake's BB_SIGNATURE_LOCAL_DIRS_EXCLUDE).
var unversioned = map[string]bool{"CVS": true, ".bzr": true, ".git": true, ".hg": true, ".osc": true, ".p4": true, ".repo": true, ".svn": true}

// FileDigest identifies the content of a file, or of everything below a folder: names, bytes, and what can be executed;
// not times, and not what depends on the umask of whoever made the files.
func FileDigest(path string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		if d.IsDir() && unversioned[d.Name()] && p != path {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %v %t\n", rel, info.Mode().Type(), info.Mode().IsRegular() && info.Mode()&0o100 != 0)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			fmt.Fprintln(h, target)
			return err
		case !d.Type().IsRegular():
			return nil
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(h, f)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return hex.EncodeToString(h.Sum(nil)), err
}
