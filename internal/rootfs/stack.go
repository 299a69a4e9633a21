package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"n3x/internal/sandbox"
)

// Stack is a root filesystem as the directories of its layers, the lowest first. Nothing in them may be written to.
type Stack []string

// Mount is the stack as a read-only mount at target, e.g. "/" or "/rootfs".
func (s Stack) Mount(target string) sandbox.Mount {
	return sandbox.Mount{Type: sandbox.Overlay, Lower: slices.Clone(s), Target: target}
}

// Lookup finds the file that name has in the root filesystem and returns its path on this machine. Symbolic links, absolute
// ones too, are followed inside the root filesystem. What is not there is [fs.ErrNotExist].
//
// For a directory the path is that of its topmost layer: [Stack.ReadDir] lists all of it.
func (s Stack) Lookup(name string) (string, error) {
	at, err := s.walk(name, true)
	if err != nil {
		return "", err
	}
	return at[0], nil
}

// Lstat describes name without following a last symbolic link.
func (s Stack) Lstat(name string) (fs.FileInfo, error) {
	at, err := s.walk(name, false)
	if err != nil {
		return nil, err
	}
	return os.Lstat(at[0])
}

// ReadFile is the content of name.
func (s Stack) ReadFile(name string) ([]byte, error) {
	p, err := s.Lookup(name)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(p)
}

// ReadDir is the names in the directory name, sorted.
func (s Stack) ReadDir(name string) ([]string, error) {
	at, err := s.walk(name, true)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	var names []string
	for _, dir := range at {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if seen[e.Name()] {
				continue
			}
			seen[e.Name()] = true
			if info, err := e.Info(); err != nil {
				return nil, err
			} else if !isWhiteout(info) {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// maxLinks is how many symbolic links a name may lead through, as in path_resolution(7).
const maxLinks = 40

// walk resolves name and returns where it is: one path, or for a directory its path in each layer that has it, topmost first.
func (s Stack) walk(name string, follow bool) ([]string, error) {
	notExist := &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	top := slices.Clone(s)
	slices.Reverse(top)
	var (
		at    = [][]string{top} // the directories entered so far, "/" first
		rest  = split(name)
		links = 0
	)
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		if part == ".." {
			at = at[:max(1, len(at)-1)]
			continue
		}
		found, info, err := lookupIn(at[len(at)-1], part)
		if err != nil {
			return nil, err
		}
		switch {
		case found == nil:
			return nil, notExist
		case info.Mode()&fs.ModeSymlink != 0 && (follow || len(rest) > 0):
			if links++; links > maxLinks {
				return nil, &fs.PathError{Op: "open", Path: name, Err: unix.ELOOP}
			}
			target, err := os.Readlink(found[0])
			if err != nil {
				return nil, err
			}
			if path.IsAbs(target) {
				at = at[:1]
			}
			rest = append(split(target), rest...)
		case !info.IsDir() && len(rest) > 0:
			return nil, notExist
		default:
			at = append(at, found)
		}
	}
	return at[len(at)-1], nil
}

// split is the parts of a path, without empty ones and ".".
func split(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(p string) bool { return p == "" || p == "." })
}

// lookupIn finds name in a directory that is spread over layers, topmost first, as overlayfs does.
func lookupIn(dirs []string, name string) (found []string, first fs.FileInfo, err error) {
	for _, dir := range dirs {
		p := filepath.Join(dir, name)
		info, err := os.Lstat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
			continue
		case err != nil:
			return nil, nil, err
		case isWhiteout(info) || found != nil && !info.IsDir():
			return found, first, nil
		case found == nil:
			first = info
		}
		found = append(found, p)
		if !info.IsDir() || isOpaque(p) {
			break
		}
	}
	return found, first, nil
}

// isWhiteout reports whether a layer's entry says that what lies below it is gone.
func isWhiteout(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0
}

// isOpaque reports whether a layer's directory hides those below it.
func isOpaque(dir string) bool {
	var v [8]byte
	n, err := unix.Lgetxattr(dir, overlayXattrs+"opaque", v[:])
	return err == nil && string(v[:n]) == "y"
}

// overlayXattrs is the prefix of overlayfs's own attributes, when it is mounted with userxattr.
const overlayXattrs = "user.overlay."
