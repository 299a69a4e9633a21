package fetch

import (
	"archive/tar"
	"archive/zip"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"

	"n3x/internal/debian/deb"
)

// extract unpacks an archive into dir, without its first strip path elements.
func (f *Fetcher) extract(ctx context.Context, name, dir string, strip int) error {
	how := archiveOf(name)
	if how == nil || how.refuse != "" {
		return fmt.Errorf("%s is no archive of a known kind", filepath.Base(name))
	}
	return f.extractAs(ctx, name, how, dir, strip)
}

// extractAs unpacks an archive of a kind that its name does not tell.
func (f *Fetcher) extractAs(ctx context.Context, name string, how *archive, dir string, strip int) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	t, err := openTree(dir, f.limit(st.Size()))
	if err != nil {
		return err
	}
	defer t.close()
	switch {
	case how.zip:
		err = unzip(ctx, in, t)
	case how.deb:
		err = undeb(ctx, name, t)
	case how.rpm:
		err = unrpm(ctx, in, t, how.only)
	default:
		err = untarOrCopy(ctx, in, how, t, filepath.Base(name), strip)
	}
	return errors.Join(err, t.finish(err))
}

// Without a limit of the user's, an archive may hold this many bytes, or this many times its own size if that is more.
// Linux's sources are ten times as large as their archive, a tarball of zeros a thousand times.
const (
	freeUnpacked  = 1 << 30
	mostTimes     = 200
	mostUnpacked  = 64 << 30
	limitVariable = "N3X_UNPACK_LIMIT"
)

// limit is how many bytes an archive of a size may hold.
func (f *Fetcher) limit(size int64) int64 {
	if f.o.MaxUnpacked > 0 {
		return f.o.MaxUnpacked
	}
	if size > mostUnpacked/mostTimes {
		return mostUnpacked
	}
	return max(freeUnpacked, size*mostTimes)
}

// limitError is an archive that holds more than it may.
type limitError struct{ limit int64 }

func (e *limitError) Error() string {
	return fmt.Sprintf("the archive holds more than %d MiB, which is more than it may", e.limit>>20)
}

// undeb unpacks the files of a Debian package, with their modes.
func undeb(ctx context.Context, name string, t *tree) error {
	d, err := deb.OpenFile(name)
	if err != nil {
		return err
	}
	defer d.Close()
	data, err := d.Data()
	if err != nil {
		return err
	}
	defer data.Close()
	t.keepModes = true
	return untar(ctxReader{ctx, data}, t, 0)
}

// unrpm unpacks an rpm package; only names one file of it, or is "".
func unrpm(ctx context.Context, in *os.File, t *tree, only string) error {
	r, done, err := rpmPayload(ctxReader{ctx, in})
	if err != nil {
		return err
	}
	defer done()
	return uncpio(r, t, only)
}

func untarOrCopy(ctx context.Context, in *os.File, how *archive, t *tree, name string, strip int) error {
	r, done, err := decompress(ctxReader{ctx, in}, how.pack)
	if err != nil {
		return err
	}
	defer done()
	if !how.single {
		return untar(r, t, strip)
	}
	st, err := in.Stat()
	if err != nil {
		return err
	}
	return t.file(strings.TrimSuffix(name, path.Ext(name)), r, 0o666, st.ModTime())
}

// ctxReader ends a long decompression when ctx ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// maxWindow is the most memory that a compressed stream may ask the decompressor for.
const maxWindow = 1 << 30

func decompress(r io.Reader, pack string) (io.Reader, func(), error) {
	switch pack {
	case "gz":
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case "bz2":
		return bzip2.NewReader(r), func() {}, nil
	case "xz":
		z, err := xz.NewReader(r, maxWindow)
		return z, func() {}, err
	case "lz":
		return newLzipReader(r), func() {}, nil
	case "zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

func untar(r io.Reader, t *tree, strip int) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read tar: %w", err)
		}
		name, ok := stripped(h.Name, strip)
		if !ok {
			continue
		}
		if err := untarEntry(tr, h, name, t, strip); err != nil {
			return err
		}
	}
}

func untarEntry(tr *tar.Reader, h *tar.Header, name string, t *tree, strip int) error {
	mode := h.FileInfo().Mode()
	switch h.Typeflag {
	case tar.TypeDir:
		return t.mkdir(name, mode, h.ModTime)
	case tar.TypeReg, tar.TypeGNUSparse:
		return t.file(name, tr, mode, h.ModTime)
	case tar.TypeSymlink:
		return t.symlink(h.Linkname, name)
	case tar.TypeLink:
		old, ok := stripped(h.Linkname, strip)
		if !ok {
			return fmt.Errorf("%q is a hard link to %q, which is stripped away", h.Name, h.Linkname)
		}
		return t.link(old, name)
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return fmt.Errorf("%q is a device or pipe, which sources do not hold", h.Name)
	}
	return fmt.Errorf("%q has the unknown tar type %q", h.Name, h.Typeflag)
}

// stripped is a member's name without its first n elements; ok is false when nothing is left. Like tar, it drops a
// leading slash.
func stripped(name string, n int) (string, bool) {
	name = strings.TrimLeft(name, "/")
	if n == 0 {
		return name, strings.Trim(name, "./") != "" || strings.Contains(name, "..")
	}
	var parts []string
	for _, p := range strings.Split(name, "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	if len(parts) <= n {
		return "", false
	}
	return strings.Join(parts[n:], "/"), true
}

// openZip opens a zip archive; its names may be anything.
func openZip(name string) (*zip.ReadCloser, error) {
	zr, err := zip.OpenReader(name)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fmt.Errorf("read zip: %w", err)
	}
	return zr, nil
}

func unzip(ctx context.Context, in *os.File, t *tree) error {
	st, err := in.Stat()
	if err != nil {
		return err
	}
	zr, err := zip.NewReader(in, st.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // the tree refuses such names itself
		return fmt.Errorf("read zip: %w", err)
	}
	for _, e := range zr.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := unzipEntry(e, t); err != nil {
			return err
		}
	}
	return nil
}

// maxLink is the longest target that a symbolic link can have on Linux.
const maxLink = 4096

func unzipEntry(e *zip.File, t *tree) error {
	mode := e.Mode()
	if mode.IsDir() || strings.HasSuffix(e.Name, "/") {
		return t.mkdir(e.Name, mode, e.Modified)
	}
	r, err := e.Open()
	if err != nil {
		return fmt.Errorf("read zip: %w", err)
	}
	defer r.Close()
	switch {
	case mode&fs.ModeSymlink != 0:
		target, err := io.ReadAll(io.LimitReader(r, maxLink))
		if err != nil {
			return fmt.Errorf("read zip: %w", err)
		}
		return t.symlink(string(target), e.Name)
	case !mode.IsRegular():
		return fmt.Errorf("%q is a device or pipe, which sources do not hold", e.Name)
	}
	return t.file(e.Name, r, mode, e.Modified)
}
