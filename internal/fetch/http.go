package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
)

// fetchHTTP makes sure that the file of an http source is in DL_DIR: it is there already, a premirror has it, its own
// address has it, or a mirror has it.
func (f *Fetcher) fetchHTTP(ctx context.Context, s *Source) error {
	local := filepath.Join(f.o.DownloadDir, s.LocalName())
	lock, err := f.lock(ctx, local)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if len(s.Sums) == 0 && f.o.Checksums == StrictFail {
		return f.withoutSum(ctx, s, local)
	}
	if err := f.reuse(s, local); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errChecksum) {
		return err
	}
	t := &attempts{s: s, local: local}
	err = f.tryAll(ctx, s, local, t)
	if err != nil {
		return err
	}
	f.markDone(local)
	if len(s.Sums) == 0 && f.o.Checksums == StrictWarn {
		if sum, err := fileSums(local, "sha256"); err == nil {
			f.warn(fmt.Sprintf("%s has no checksum; add to the recipe: SRC_URI[%s] = \"%s\"", s.URL, s.sumName("sha256"), sum["sha256"]))
		}
	}
	return nil
}

// withoutSum refuses a source without checksum, after it was fetched to tell what to write, as BitBake does.
func (f *Fetcher) withoutSum(ctx context.Context, s *Source, local string) error {
	e := diag.Userf(s.Pos, "%s has no checksum, which BB_STRICT_CHECKSUM demands", s.URL)
	if _, err := os.Stat(local); err != nil && f.tryAll(ctx, s, local, &attempts{s: s, local: local}) != nil {
		return e.WithHint("add SRC_URI[%s]", s.sumName("sha256"))
	}
	sum, err := fileSums(local, "sha256")
	if err != nil {
		return err
	}
	return e.WithHint("if the file in DL_DIR is right, write: SRC_URI[%s] = \"%s\"", s.sumName("sha256"), sum["sha256"])
}

// sumName is the flag of SRC_URI that holds a checksum of the source.
func (s *Source) sumName(kind string) string {
	if n := s.Params["name"]; n != "" {
		return n + "." + kind + "sum"
	}
	return kind + "sum"
}

// tryAll tries one address after the other until one has the right content.
func (f *Fetcher) tryAll(ctx context.Context, s *Source, local string, t *attempts) error {
	for _, u := range mirrorURLs(s, f.mirrorAddress(s), f.o.Premirrors) {
		if done, err := t.note(ctx, u, f.fromMirror(ctx, s, u, local)); done {
			return err
		}
	}
	own := f.webAddress(s)
	if f.o.PremirrorOnly {
		t.note(ctx, own, errPremirrorOnly)
	} else if done, err := t.note(ctx, own, f.downloadOwn(ctx, s, own, local)); done {
		return err
	}
	for _, u := range mirrorURLs(s, f.mirrorAddress(s), f.o.Mirrors) {
		if f.o.PremirrorOnly && !strings.HasPrefix(u, "file://") {
			continue
		}
		if done, err := t.note(ctx, u, f.fromMirror(ctx, s, u, local)); done {
			return err
		}
	}
	return t.failed()
}

var errPremirrorOnly = errors.New("not tried: BB_FETCH_PREMIRRORONLY is set")

func (f *Fetcher) downloadOwn(ctx context.Context, s *Source, address, local string) error {
	if s.Scheme == "s3" {
		return f.downloadS3(ctx, s, s, local)
	}
	return f.download(ctx, s, address, local)
}

// mirrorAddress is what mirrors are looked for: the entry as written, or the address that it stands for.
func (f *Fetcher) mirrorAddress(s *Source) string {
	if s.Scheme == "crate" || s.Scheme == "gomod" {
		return f.webAddress(s)
	}
	return s.URL
}

// attempts collects what was tried in vain.
type attempts struct {
	s     *Source
	local string // the file that is missing; "" for a clone
	tried []string
	sum   *sumError // the last file with wrong content
	net   bool
}

// note records one attempt; done is true when it succeeded or nothing else may be tried.
func (t *attempts) note(ctx context.Context, address string, err error) (done bool, _ error) {
	if err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return true, ctx.Err()
	}
	if sum := (*sumError)(nil); errors.As(err, &sum) {
		t.sum = sum
	}
	t.net = t.net || errors.Is(err, errNoNetwork)
	t.tried = append(t.tried, withoutPassword(address)+": "+strings.ReplaceAll(err.Error(), address, withoutPassword(address)))
	return false, nil
}

func (t *attempts) failed() error {
	e := diag.Failedf(t.s.Pos, "fetch %s: no address has it", withoutPassword(t.s.URL))
	e.Notes = t.tried
	switch {
	case t.sum != nil:
		wrong := diag.Failedf(t.s.Pos, "fetch %s: %w", withoutPassword(t.s.URL), t.sum)
		wrong.Notes = t.tried
		return t.s.wrongSum(wrong, t.sum)
	case t.net:
		return e.WithHint("unset BB_NO_NETWORK, %s", t.otherWays())
	}
	return e.WithHint("check the address and the network, %s", t.otherWays())
}

// otherWays tells how the file comes here without its own address.
func (t *attempts) otherWays() string {
	if t.local == "" {
		return "or name a mirror by PREMIRRORS or MIRRORS"
	}
	what := "the file"
	for _, kind := range sumKinds {
		if want := t.s.Sums[kind]; want != "" {
			what += " with the " + kind + " " + want
			break
		}
	}
	from := withoutPassword(t.s.URL)
	from = from[:strings.LastIndexByte(from, '/')+1]
	return fmt.Sprintf("or put %s there as %s, or name a mirror that has it as %s: PREMIRRORS = \"%s file:///srv/mirror/\"", what, t.local, filepath.Base(t.local), from)
}

// wrongSum says where the checksum stands, and what to write there.
func (s *Source) wrongSum(e *diag.Error, sum *sumError) *diag.Error {
	name := s.sumName(sum.kind)
	if place, ok := s.sumPlaces[sum.kind]; ok {
		if !place.IsZero() {
			e.Pos = place
		}
		return e.WithHint("if the new content is right, write: SRC_URI[%s] = \"%s\"", name, sum.got)
	}
	return e.WithHint("if the new content is right, write in the entry of SRC_URI: ;%ssum=%s", sum.kind, sum.got)
}

// withoutPassword is an address that may be shown.
func withoutPassword(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	authority, p := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, p = rest[:i], rest[i:]
	}
	i := strings.LastIndexByte(authority, '@')
	user, _, has := strings.Cut(authority[:max(i, 0)], ":")
	if !has {
		return address
	}
	return scheme + "://" + user + ":***" + authority[i:] + p
}

// lock takes the lock file that BitBake uses for path, too.
func (f *Fetcher) lock(ctx context.Context, path string) (*atomicfile.Lock, error) {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		lock, err := atomicfile.TryLock(path + ".lock")
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, atomicfile.ErrLocked) {
			return nil, diag.Failedf(diag.Pos{}, "use the download folder: %w", err).
				WithHint("DL_DIR must be a folder that you may write to")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// reuse checks a file that is already in DL_DIR. One with a wrong checksum stays until the right one is there: another
// recipe may need it, and this recipe's checksum may be what is wrong.
func (f *Fetcher) reuse(s *Source, local string) error {
	if _, err := os.Stat(local); err != nil {
		return err
	}
	err := checkSums(local, s.Sums)
	if errors.Is(err, errChecksum) {
		f.warn(fmt.Sprintf("%s: %v; it is fetched again", local, err))
	}
	return err
}

// setAside renames a file with wrong content, so that it can be looked at: DL_DIR/NAME_bad-checksum_SHA256, as BitBake
// names it.
func (f *Fetcher) setAside(file, local string) {
	sums, err := fileSums(file, "sha256")
	if err != nil || os.Rename(file, local+"_bad-checksum_"+sums["sha256"]) != nil {
		os.Remove(file)
	}
	os.Remove(local + ".done")
}

// markDone leaves the stamp that BitBake looks for beside a download. Empty, it means that no checksums are remembered.
func (f *Fetcher) markDone(local string) {
	if file, err := os.OpenFile(local+".done", os.O_CREATE|os.O_WRONLY, 0o666); err == nil {
		file.Close()
	}
}

// fromMirror brings the file from one mirror address.
func (f *Fetcher) fromMirror(ctx context.Context, s *Source, address, local string) error {
	address, _, _ = strings.Cut(address, ";")
	switch scheme, rest, _ := strings.Cut(address, "://"); scheme {
	case "http", "https":
		return f.download(ctx, s, address, local)
	case "s3":
		object, err := Parse(address)
		if err != nil {
			return err
		}
		return f.downloadS3(ctx, s, object, local)
	case "file":
		path, err := url.PathUnescape(rest)
		if err != nil {
			return err
		}
		if err := checkSums(path, s.Sums); err != nil {
			return err
		}
		return atomicfile.Symlink(path, local)
	default:
		return fmt.Errorf("mirrors by %s are not supported", scheme)
	}
}
