package recipe

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"time"
)

// Text is an overlay that shows one text in place of the file at path.
func Text(path, text string) Overlay {
	return Overlay{Path: path, FS: buffer{name: filepath.Base(path), text: text}}
}

// buffer is a file system that consists of one file, called ".".
type buffer struct{ name, text string }

// Open implements [fs.FS].
func (b buffer) Open(name string) (fs.File, error) {
	if name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &bufferFile{buffer: b, Reader: bytes.NewReader([]byte(b.text))}, nil
}

type bufferFile struct {
	buffer
	*bytes.Reader
}

// Stat implements [fs.File].
func (f *bufferFile) Stat() (fs.FileInfo, error) { return bufferInfo{f.buffer}, nil }

// Close implements [fs.File].
func (f *bufferFile) Close() error { return nil }

type bufferInfo struct{ buffer }

// Name implements [fs.FileInfo].
func (i bufferInfo) Name() string { return i.name }

// Size implements [fs.FileInfo].
func (i bufferInfo) Size() int64 { return int64(len(i.text)) }

// Mode implements [fs.FileInfo].
func (i bufferInfo) Mode() fs.FileMode { return 0o644 }

// ModTime implements [fs.FileInfo].
func (i bufferInfo) ModTime() time.Time { return time.Time{} }

// IsDir implements [fs.FileInfo].
func (i bufferInfo) IsDir() bool { return false }

// Sys implements [fs.FileInfo].
func (i bufferInfo) Sys() any { return nil }
