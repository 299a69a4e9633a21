package deb

import (
	"bufio"
	"compress/bzip2"
	"fmt"
	"io"
	"path"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	fastxz "github.com/therootcompany/xz"
)

// maxDictionary bounds what one decoder may take: xz -9 and zstd --long=27 stay below it.
const maxDictionary = 128 << 20

// DecompressFile is [Decompress] for a file of which any part can be read; it may use several cores.
func DecompressFile(name string, r io.ReaderAt, size int64) (io.ReadCloser, error) {
	if path.Ext(name) == ".xz" {
		if x, ok := newXZBlocks(r, size); ok {
			return io.NopCloser(x), nil
		}
	}
	return Decompress(name, io.NewSectionReader(r, 0, size))
}

// Decompress reads what the suffix of name says: .gz, .xz, .zst, .bz2, or anything else as it is.
// .lzma and .lz are refused.
func Decompress(name string, r io.Reader) (io.ReadCloser, error) {
	switch ext := path.Ext(name); ext {
	case ".gz":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("decompress %s: %w", name, err)
		}
		return z, nil
	case ".xz":
		z, err := fastxz.NewReader(bufio.NewReaderSize(r, 64<<10), maxDictionary)
		if err != nil {
			return nil, fmt.Errorf("decompress %s: %w", name, err)
		}
		return io.NopCloser(z), nil
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxDictionary))
		if err != nil {
			return nil, fmt.Errorf("decompress %s: %w", name, err)
		}
		return z.IOReadCloser(), nil
	case ".bz2":
		return io.NopCloser(bzip2.NewReader(r)), nil
	case ".lzma", ".lz":
		return nil, fmt.Errorf("%s: compression %q is not supported", name, ext)
	}
	return io.NopCloser(r), nil
}
