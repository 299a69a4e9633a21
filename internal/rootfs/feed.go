package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"n3x/internal/atomicfile"
	"n3x/internal/debian/deb"
)

// feed makes uncompressed copies of packages, several at once and ahead of dpkg, which decompresses one after the other.
type feed struct {
	dir   string // where the copies are
	ready map[Deb]chan struct{}
	group *errgroup.Group
	ctx   context.Context //nolint:containedctx // of the group: ends when a copy fails
}

// startFeed copies debs in their order to dir. Copies that dir has already are taken as they are.
func startFeed(ctx context.Context, dir string, debs []Deb) *feed {
	f := &feed{dir: dir, ready: make(map[Deb]chan struct{}, len(debs))}
	for _, d := range debs {
		f.ready[d] = make(chan struct{})
	}
	f.group, f.ctx = errgroup.WithContext(ctx)
	f.group.Go(func() error {
		var copies errgroup.Group
		copies.SetLimit(runtime.GOMAXPROCS(0))
		for _, d := range debs {
			if f.ctx.Err() != nil {
				break
			}
			copies.Go(func() error {
				if err := Decompress(f.ctx, f.dir, d); err != nil {
					return err
				}
				close(f.ready[d])
				return nil
			})
		}
		return copies.Wait()
	})
	return f
}

// wait returns when the copies of debs are there.
func (f *feed) wait(debs []Deb) error {
	for _, d := range debs {
		select {
		case <-f.ready[d]:
		case <-f.ctx.Done():
			return f.stop()
		}
	}
	return nil
}

// stop waits for the copies that are being made and returns the first error.
func (f *feed) stop() error {
	if err := f.group.Wait(); err != nil {
		return err
	}
	return context.Cause(f.ctx)
}

// copyName is the copy's file name: dpkg's messages show it, and the cache knows the content by it.
func copyName(d Deb) string {
	return strings.ReplaceAll(fmt.Sprintf("%s_%s_%s.%.16s.deb", d.Name, d.Version, d.Architecture, d.SHA256), ":", "%3a")
}

// drop removes the copies of debs, to save space.
func (f *feed) drop(debs []Deb) error {
	var errs []error
	for _, d := range debs {
		errs = append(errs, os.Remove(filepath.Join(f.dir, copyName(d))))
	}
	return errors.Join(errs...)
}

// Decompress puts the uncompressed copy of a package, which has its SHA256, into a cache before [Install] needs it: while
// other packages are downloaded, for example. A copy that is there already is left alone.
func Decompress(ctx context.Context, cache string, d Deb) error {
	target := filepath.Join(cache, copyName(d))
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	w, err := atomicfile.Create(target, 0o644)
	if err != nil {
		return err
	}
	if err := uncompress(ctx, w.File, d.Path); err != nil {
		w.Discard()
		return fmt.Errorf("decompress %s: %w", d.ID(), err)
	}
	return w.Commit()
}

const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

// uncompress writes the package at path with data.tar as it is. The members before it are copied byte for byte.
func uncompress(ctx context.Context, w *os.File, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	d, err := deb.OpenFile(path) // checks the structure too
	if err != nil {
		return err
	}
	defer d.Close()
	head, err := beforeData(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	data, err := d.Data()
	if err != nil {
		return err
	}
	defer data.Close()
	if _, err := io.Copy(w, io.NewSectionReader(in, 0, head)); err != nil {
		return err
	}
	if err := writeArHeader(w, 0); err != nil { // its place, until the size is known
		return err
	}
	size, err := io.Copy(w, contextReader{ctx, data})
	if err != nil {
		return err
	}
	if size%2 == 1 {
		if _, err := w.WriteString("\n"); err != nil {
			return err
		}
	}
	if _, err := w.Seek(head, io.SeekStart); err != nil {
		return err
	}
	return writeArHeader(w, size)
}

func writeArHeader(w io.Writer, size int64) error {
	_, err := fmt.Fprintf(w, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", "data.tar", 0, 0, 0, "100644", size)
	return err
}

// beforeData is the offset of the header of data.tar.
func beforeData(r io.ReaderAt) (int64, error) {
	at := int64(len(arMagic))
	for {
		name, size, _, err := arMember(r, at)
		if err != nil {
			return 0, err
		}
		if strings.HasPrefix(name, "data.tar") {
			return at, nil
		}
		at += arHeader + size + size&1
	}
}

// arMember reads the header at an offset of an ar archive.
func arMember(r io.ReaderAt, at int64) (name string, size int64, mtime time.Time, err error) {
	var h [arHeader]byte
	if _, err := r.ReadAt(h[:], at); err != nil {
		return "", 0, mtime, errors.New("it is cut off")
	}
	size, err = strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 64)
	seconds, err2 := strconv.ParseInt(strings.TrimSpace(string(h[16:28])), 10, 64)
	if err != nil || err2 != nil || size < 0 {
		return "", 0, mtime, errors.New("it is damaged")
	}
	return strings.TrimSpace(string(h[:16])), size, time.Unix(seconds, 0), nil
}

// newest is the time of the youngest package: dpkg-deb stamps the archive with the time of the last change, and no file in
// the package is younger.
func newest(debs []Deb) (time.Time, error) {
	var epoch time.Time
	for _, d := range debs {
		mtime, err := stamp(d.Path)
		if err != nil {
			return epoch, fmt.Errorf("read %s: %w", d.Path, err)
		}
		if mtime.After(epoch) {
			epoch = mtime
		}
	}
	return epoch, nil
}

func stamp(path string) (time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	_, _, mtime, err := arMember(f, int64(len(arMagic)))
	return mtime, err
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context //nolint:containedctx // a reader has no other way to be cancelled
	io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}
