package packages

import (
	"io/fs"
	"syscall"
)

// fileID identifies a file on its file system.
type fileID struct{ dev, inode uint64 }

// hardLinked tells whether a file has more than one name.
func hardLinked(info fs.FileInfo) (fileID, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Nlink < 2 {
		return fileID{}, false
	}
	return fileID{uint64(st.Dev), st.Ino}, true //nolint:unconvert // Dev is int32 on some architectures
}
