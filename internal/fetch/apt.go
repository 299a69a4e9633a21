package fetch

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/diag"
)

// aptRequest is what follows apt://, e.g. "hello", "hello=2.10-5" or "hello/bookworm".
func (s *Source) aptRequest() string {
	_, request, _ := strings.Cut(s.address(), "://")
	return request
}

func (s *Source) supportedApt() error {
	name, _, _ := strings.Cut(s.aptRequest(), "/")
	if name == "" || !localPath(name) {
		return diag.Userf(s.Pos, "%s names no source package", s.URL).WithHint("write apt://hello, apt://hello=2.10-5 or apt://hello/trixie")
	}
	return nil
}

// aptDir is the folder of a source package, named as ISAR's fetcher names it.
func (f *Fetcher) aptDir(s *Source) string {
	name, _, _ := strings.Cut(s.aptRequest(), "/")
	return filepath.Join(f.o.DownloadDir, "deb-src", f.o.SourcePool, strings.ReplaceAll(name, "=", "_"))
}

// fetchApt brings a Debian source package. Its files are verified each time, so there is no stamp to trust.
func (f *Fetcher) fetchApt(ctx context.Context, s *Source) error {
	if f.o.Debian == nil {
		return diag.Userf(s.Pos, "%s: scheme \"apt\" is only fetched for ISAR's package recipes", s.URL)
	}
	dir := f.aptDir(s)
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return err
	}
	lock, err := f.lock(ctx, dir)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	return s.wrapFetch(f.o.Debian.Fetch(ctx, s.aptRequest(), dir))
}

func (f *Fetcher) unpackApt(ctx context.Context, s *Source, dir string) error {
	if f.o.Debian == nil {
		return diag.Userf(s.Pos, "%s: scheme \"apt\" is only fetched for ISAR's package recipes", s.URL)
	}
	return s.wrap(f.o.Debian.Unpack(ctx, s.aptRequest(), f.aptDir(s), dir))
}

// wrapFetch adds the source to an error of fetching it.
func (s *Source) wrapFetch(err error) error {
	if err == nil {
		return nil
	}
	return diag.Failedf(s.Pos, "fetch %s: %w", withoutPassword(s.URL), err)
}
