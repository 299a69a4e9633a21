// Package fetch brings the sources that recipes name in SRC_URI into the download folder (DL_DIR), and unpacks them.
//
// Input: [Source] values (see [ParseSources]) and [Options], a plain struct: no datastore reaches this room. Output:
// files below DL_DIR, named as BitBake names them, so that both can share one folder; and unpacked trees.
// It mirrors bitbake lib/bb/fetch2 (__init__.py, wget.py, git.py, gitsm.py, local.py, npm.py, npmsw.py, crate.py,
// gomod.py, s3.py) and ISAR's aptsrc_fetcher.py.
//
// Schemes: file, http, https, git, gitsm, apt, npm, npmsw, crate, gomod, gomodgit, s3. Archives: tar (gz, bz2, xz, zst, lz),
// zip, deb, rpm, single files in gz, bz2, xz, zst, lz. Everything else is refused by name. What an archive holds stays below
// the folder it is unpacked into.
package fetch

import (
	"context"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"n3x/internal/diag"
	"n3x/internal/progress"
)

// Options are the settings that all sources of a recipe share. DownloadDir is needed, except for file:// sources.
type Options struct {
	DownloadDir string   // DL_DIR
	SourcePool  string   // folder below DL_DIR/deb-src for apt:// sources, e.g. "debian-trixie"
	GitDir      string   // GITDIR: bare clones; "" is git2 in DownloadDir
	FilesPath   []string // FILESPATH: where file:// sources are looked up, in this order

	Premirrors []Mirror // PREMIRRORS: tried before the source's own address
	Mirrors    []Mirror // MIRRORS: tried after it

	NoNetwork       bool     // BB_NO_NETWORK: what is not there or on a file:// mirror is an error
	PremirrorOnly   bool     // BB_FETCH_PREMIRRORONLY: no network beyond the premirrors
	AllowedNetworks []string // BB_ALLOWED_NETWORKS: hosts, also "*.example.com"; empty is all
	Checksums       Strict   // BB_STRICT_CHECKSUM

	Git            Git         // how to run git; needed for git sources
	MirrorTarballs bool        // BB_GENERATE_MIRROR_TARBALLS: clones are also kept as tarballs in DL_DIR
	GitNoShared    bool        // BB_GIT_NOSHARED: unpacked clones do not borrow objects from DL_DIR
	Shallow        *GitShallow // BB_GIT_SHALLOW; nil = whole history

	SourceDir   string // S below the folder that is unpacked into: where npmsw:// puts packages
	BasePackage string // BP: the crate of this name is the recipe's own source
	GoProxy     string // GO_MOD_PROXY; "" is proxy.golang.org
	GoCache     string // GO_MOD_CACHE_DIR; "" is pkg/mod

	S3          S3     // for s3:// sources
	Netrc       string // file with logins, e.g. "/home/me/.netrc"; "" is none
	InsecureTLS bool   // BB_CHECK_SSL_CERTS = "0": certificates are not checked

	Debian DebianSources // apt:// sources; nil refuses them

	Client   *http.Client  // nil is a client that honours the proxy variables of this process's environment
	Retries  int           // further attempts after a passing failure; 0 is 2, negative none
	Wait     time.Duration // before the first retry, doubled each time; 0 is one second
	Stall    time.Duration // without any data, a transfer counts as broken; 0 is 100 seconds
	Parallel int           // sources fetched at a time; 0 is 4

	MaxUnpacked int64 // N3X_UNPACK_LIMIT: bytes that one archive may hold; 0 is 1 GiB, or 200 times its size up to 64 GiB

	Progress *progress.Task
	Warn     func(string) // receives warnings for the user; nil is silent
}

// Git runs the host's git program. [HostGit] is one.
type Git interface {
	Git(ctx context.Context, dir string, env []string, args ...string) (stdout, stderr string, status int, err error)
}

// DebianSources brings source packages of a Debian archive, which it verifies. request is what follows apt://, e.g.
// "hello=2.10-5".
type DebianSources interface {
	// Fetch puts the package's files into the folder dir.
	Fetch(ctx context.Context, request, dir string) error
	// Unpack copies the files that Fetch put into from to the folder dir, and unpacks the package below it.
	Unpack(ctx context.Context, request, from, dir string) error
}

// Strict is what happens to an http source without checksum.
type Strict int

const (
	StrictWarn   Strict = iota // "0": warn
	StrictFail                 // "1": fail
	StrictIgnore               // "ignore"
)

// ParseStrict reads BB_STRICT_CHECKSUM.
func ParseStrict(s string) Strict {
	switch s {
	case "1":
		return StrictFail
	case "ignore":
		return StrictIgnore
	}
	return StrictWarn
}

// Fetcher fetches and unpacks sources.
type Fetcher struct {
	o     Options
	bytes counter

	netrcOnce    sync.Once
	netrcEntries []netrcEntry
}

// New checks the options.
func New(o Options) (*Fetcher, error) {
	if o.DownloadDir != "" {
		abs, err := filepath.Abs(o.DownloadDir)
		if err != nil {
			return nil, err
		}
		o.DownloadDir = abs
	}
	if o.GitDir == "" {
		o.GitDir = filepath.Join(o.DownloadDir, "git2")
	}
	if o.Client == nil {
		o.Client = defaultClient(o.InsecureTLS)
	}
	if o.GoProxy == "" {
		o.GoProxy = "proxy.golang.org"
	}
	if o.GoCache == "" {
		o.GoCache = "pkg/mod"
	}
	switch {
	case o.Retries == 0:
		o.Retries = 2
	case o.Retries < 0:
		o.Retries = 0
	}
	if o.Wait == 0 {
		o.Wait = time.Second
	}
	if o.Stall == 0 {
		o.Stall = 100 * time.Second
	}
	if o.Parallel == 0 {
		o.Parallel = 4
	}
	f := &Fetcher{o: o, bytes: counter{task: o.Progress}}
	f.o.Client = f.withLogins(o.Client)
	return f, nil
}

func (f *Fetcher) warn(text string) {
	if f.o.Warn != nil {
		f.o.Warn(text)
	}
}

// Fetch makes sure that every source is in the download folder with the right checksum; of file:// sources, that they
// exist. The first failure stops the others.
func (f *Fetcher) Fetch(ctx context.Context, sources []*Source) error {
	for _, s := range sources {
		if err := s.supported(); err != nil {
			return err
		}
	}
	if err := f.one(sources); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(f.o.Parallel)
	for _, s := range sources {
		g.Go(func() error { return f.fetchOne(gctx, s) })
	}
	return g.Wait()
}

// one checks that no two different addresses are stored under one name: they would overwrite each other.
func (f *Fetcher) one(sources []*Source) error {
	seen := map[string]*Source{}
	for _, s := range sources {
		if !s.onWeb() && s.Scheme != "s3" {
			continue
		}
		if o := seen[s.LocalName()]; o != nil && o.address() != s.address() && !sameContent(o, s) {
			return diag.Userf(s.Pos, "%s and %s are both stored as %s", o.URL, s.URL, s.LocalName()).
				WithHint("add ;downloadfilename=<another name> to one of them")
		}
		seen[s.LocalName()] = s
	}
	return nil
}

// sameContent reports whether two sources ask for the same checksums.
func sameContent(a, b *Source) bool {
	same := false
	for kind, sum := range a.Sums {
		if other := b.Sums[kind]; other != "" {
			if other != sum {
				return false
			}
			same = true
		}
	}
	return same
}

func (f *Fetcher) fetchOne(ctx context.Context, s *Source) error {
	switch s.Scheme {
	case "file":
		_, err := f.Local(s)
		return err
	case "git", "gitsm":
		return f.fetchGit(ctx, s)
	case "apt":
		return f.fetchApt(ctx, s)
	case "npm":
		return f.fetchNpm(ctx, s)
	case "npmsw":
		return f.fetchShrinkwrap(ctx, s)
	case "gomodgit":
		return f.fetchRepository(ctx, s.repository)
	}
	return f.fetchHTTP(ctx, s)
}

// Local is where a source lies: a file:// source's file or folder, a download, or a bare clone.
func (f *Fetcher) Local(s *Source) (string, error) {
	switch s.Scheme {
	case "file":
		return f.findFile(s)
	case "git", "gitsm":
		return f.cloneDir(s), nil
	case "apt":
		return f.aptDir(s), nil
	case "http", "https", "crate", "gomod", "s3":
		return filepath.Join(f.o.DownloadDir, s.LocalName()), nil
	case "npm":
		return filepath.Join(f.o.DownloadDir, s.npmLocal()), nil
	case "gomodgit":
		return f.cloneDir(s.repository), nil
	}
	return "", s.supported()
}

// findFile looks a file:// source up in FilesPath.
func (f *Fetcher) findFile(s *Source) (string, error) {
	if strings.Contains(s.Path, "*") {
		return "", diag.Userf(s.Pos, "%s: patterns in file:// are not supported", s.URL).
			WithHint("put the files into a folder and name the folder")
	}
	if path.IsAbs(s.Path) {
		if _, err := os.Stat(s.Path); err != nil {
			return "", diag.Userf(s.Pos, "%s: no such file", s.URL)
		}
		return s.Path, nil
	}
	for _, dir := range f.o.FilesPath {
		name := filepath.Join(dir, s.Path)
		if dir == "" {
			continue // of "a::b"; it does not mean the current folder
		}
		if _, err := os.Stat(name); err == nil {
			return name, nil
		}
	}
	e := diag.Userf(s.Pos, "%s is not found in any folder of FILESPATH", s.URL)
	for _, dir := range f.o.FilesPath {
		e = e.WithNote("searched %s", dir)
	}
	return "", e.WithHint("put it into files/ beside the recipe, or add its folder by FILESEXTRAPATHS:prepend")
}
