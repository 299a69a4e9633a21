package disk

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"n3x/internal/disk/ext4"
	"n3x/internal/disk/gpt"
)

// ReadFile reads one file of the root file system that an image holds, by its path without a leading slash: out of an archive
// (.tar, perhaps with .gz, .xz or .zst), a file system (.ext4), or else a disk with a GPT, on which the file is looked for in
// each ext4 partition. A file that is nowhere is fs.ErrNotExist.
func ReadFile(image, name string) ([]byte, error) {
	f, err := os.Open(image)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	base := image
	switch {
	case strings.HasSuffix(image, ".gz"):
		base = strings.TrimSuffix(image, ".gz")
		r, err = gzip.NewReader(f)
	case strings.HasSuffix(image, ".xz"):
		base = strings.TrimSuffix(image, ".xz")
		r, err = xz.NewReader(f)
	case strings.HasSuffix(image, ".zst"):
		base = strings.TrimSuffix(image, ".zst")
		var z *zstd.Decoder
		if z, err = zstd.NewReader(f); err == nil {
			defer z.Close()
			r = z
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", image, err)
	case strings.HasSuffix(base, ".tar"):
		return readArchive(r, name)
	case base != image:
		return nil, fmt.Errorf("%s: only archives are read while compressed; decompress it first", image)
	case strings.HasSuffix(image, ".ext4"):
		return readSystem(f, name)
	}
	return readDisk(f, name)
}

func missing(name string) error {
	return &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
}

func readArchive(r io.Reader, name string) ([]byte, error) {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil, missing(name)
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg && path.Clean(strings.TrimPrefix(h.Name, "/")) == name {
			if h.Size > ext4.MaxFile {
				return nil, fmt.Errorf("a file of %d bytes is too large", h.Size)
			}
			return io.ReadAll(t)
		}
	}
}

func readSystem(r io.ReaderAt, name string) ([]byte, error) {
	system, err := ext4.Open(r)
	if err != nil {
		return nil, err
	}
	return system.ReadFile(name)
}

func readDisk(f *os.File, name string) ([]byte, error) {
	parts, err := gpt.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	for _, p := range parts {
		data, err := readSystem(io.NewSectionReader(f, p.Offset, p.Length), name)
		if errors.Is(err, ext4.ErrNone) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return data, err
	}
	return nil, missing(name)
}
