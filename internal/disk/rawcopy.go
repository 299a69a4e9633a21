// SPDX-License-Identifier: MIT

package disk

import (
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"n3x/internal/diag"
	"n3x/internal/disk/gpt"
)

// rawcopySource fills a partition with a file as it is.
type rawcopySource struct{}

func (rawcopySource) Prepare(ctx context.Context, b *Builder, p *Part) (Content, error) {
	b.KnownParams(p, "file", "skip", "unpack")
	name, ok := p.Params.Lookup("file")
	if !ok || name == "" {
		return Content{}, diag.Userf(p.Pos, "source rawcopy needs a file").WithHint(`add --sourceparams="file=NAME"`)
	}
	path := b.File(name)
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		e := diag.Userf(p.Pos, "source rawcopy: there is no file %s", name)
		if filepath.IsAbs(name) {
			return Content{}, e.WithNote("looked for %s", path).WithHint("the package that holds it belongs into IMAGER_INSTALL:wic")
		}
		return Content{}, e.WithNote("looked for %s", path).WithHint("a relative name is looked up in the deploy folder of the machine")
	}
	skip := int64(0)
	if v, ok := p.Params.Lookup("skip"); ok {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return Content{}, diag.Userf(p.Pos, "source rawcopy: skip=%s is not a number of bytes", v)
		}
		skip = n
	}
	_, unpack := p.Params.Lookup("unpack")
	relabel := p.Label != "" && p.FSType != "none"
	if !unpack && skip == 0 && !relabel {
		return rawContent(p, path, true)
	}
	copied := filepath.Join(b.Dir, fmt.Sprintf("part%d.raw", p.Index))
	if err := copyRaw(path, copied, skip, unpack); err != nil {
		return Content{}, atPos(p.Pos, fmt.Errorf("source rawcopy: %s: %w", name, err))
	}
	if relabel {
		if err := b.relabel(ctx, p, copied); err != nil {
			return Content{}, err
		}
	}
	return rawContent(p, copied, false)
}

// rawContent is the file at path as the content of p.
func rawContent(p *Part, path string, borrowed bool) (Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return Content{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Content{}, err
	}
	mapped, err := dataRanges(f, st.Size())
	if mapped == nil {
		mapped = []gpt.Range{}
	}
	return Content{Path: path, KiB: max((st.Size()+1023)/1024, p.Size), Mapped: mapped, borrowed: borrowed}, err
}

// copyRaw copies a file without its first skip bytes, or unpacks it.
func copyRaw(from, to string, skip int64, unpack bool) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	var r io.Reader = in
	if unpack {
		closer, err := unpacker(from, in)
		if err != nil {
			return err
		}
		defer closer.Close()
		r = closer
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err = io.CopyN(io.Discard, r, skip); errors.Is(err, io.EOF) {
		err = fmt.Errorf("skip=%d reaches behind its end", skip)
	}
	if err == nil {
		_, err = io.Copy(out, r)
	}
	return errors.Join(err, out.Close())
}

// unpacker decompresses by the name's extension, as wic does.
func unpacker(name string, r io.Reader) (io.ReadCloser, error) {
	switch ext := filepath.Ext(name); ext {
	case ".gz":
		return gzip.NewReader(r)
	case ".bz2":
		return io.NopCloser(bzip2.NewReader(r)), nil
	case ".xz":
		x, err := xz.NewReader(r)
		return io.NopCloser(x), err
	case ".zst":
		z, err := zstd.NewReader(r)
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	default:
		return nil, fmt.Errorf("unpack knows no files named *%s, only .bz2, .gz, .xz and .zst", ext)
	}
}

// relabel gives the file system in a copied image the layout's label.
func (b *Builder) relabel(ctx context.Context, p *Part, path string) error {
	image := mountPoint + "/" + filepath.Base(path)
	c := Command{
		Env:   []string{fmt.Sprintf("E2FSPROGS_FAKE_TIME=%d", b.o.Epoch)},
		Binds: []Bind{{Source: b.Dir, Target: mountPoint}},
	}
	switch {
	case p.Ext():
		c.Packages, c.Argv = []string{"e2fsprogs"}, []string{"tune2fs", "-L", p.Label, image}
	case p.FAT():
		c.Packages, c.Argv = []string{"dosfstools"}, []string{"fatlabel", image, p.Label}
	default:
		return diag.Userf(p.Pos, "source rawcopy cannot set the label of a %s file system", p.FSType).
			WithHint("drop --label, or use --fstype none with --part-name")
	}
	if err := b.Run(ctx, c); err != nil {
		return diag.Failedf(p.Pos, "set the label %q of the %s file system in partition %s: %w", p.Label, p.FSType, p.Name(), err).
			WithHint("if the file holds no such file system, use --fstype none with --part-name")
	}
	return nil
}
