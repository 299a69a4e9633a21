package isar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/debian/apt"
	"n3x/internal/diag"
	"n3x/internal/progress"
	"n3x/internal/sandbox"
)

// dpkgSource are the Debian packages that dpkg-source(1) needs to unpack a source package.
var dpkgSource = []string{"bzip2", "dpkg-dev", "gzip", "patch", "perl", "tar", "xz-utils", "zstd"}

// debianSources brings the source packages of a recipe's apt:// entries, as ISAR's fetcher aptsrc does.
type debianSources struct {
	c        *Call
	archives *Archives
}

// find looks a request up in the archive of the recipe's distribution.
func (s debianSources) find(ctx context.Context, request string) (*apt.Client, *apt.SourcePackage, error) {
	return s.archives.Source(ctx, s.c.Data, request, s.c.Progress)
}

// Source is the source package that a request of apt:// means for a datastore's distribution.
func (a *Archives) Source(ctx context.Context, d *datastore.Data, request string, p *progress.Task) (*apt.Client, *apt.SourcePackage, error) {
	r, err := apt.ParseSourceRequest(request)
	if err != nil {
		return nil, nil, err
	}
	if a.LockedSource != nil {
		return a.locked(d, r)
	}
	ar, err := a.Open(ctx, d, p)
	if err != nil {
		return nil, nil, err
	}
	found, err := ar.Client.FindSource(ctx, r, p)
	return ar.Client, found, err
}

// locked is the source package of a lock file; no index is asked.
func (a *Archives) locked(d *datastore.Data, r apt.SourceRequest) (*apt.Client, *apt.SourcePackage, error) {
	key, err := a.Key(d)
	if err != nil {
		return nil, nil, err
	}
	found, err := a.LockedSource(key, r)
	if err != nil {
		return nil, nil, err
	}
	o, _, err := a.options(d)
	if err != nil {
		return nil, nil, err
	}
	client, err := apt.Open(o)
	return client, found, err
}

// Key names the configuration whose archive a datastore's packages come from, e.g. "debian-trixie-amd64".
func (a *Archives) Key(d *datastore.Data) (string, error) {
	r, err := rootOf(d)
	if err != nil {
		return "", err
	}
	return r.key(), nil
}

// Fetch puts the files of a source package into dir.
func (s debianSources) Fetch(ctx context.Context, request, dir string) error {
	client, p, err := s.find(ctx, request)
	if err != nil {
		return err
	}
	s.c.Progress.Step("fetching source package " + p.ID())
	fmt.Fprintf(s.c.Log, "NOTE: apt://%s is %s of %s\n", request, p.ID(), p.Index.Suite)
	_, err = client.FetchSource(ctx, p, dir, s.c.Progress)
	return err
}

// Unpack copies a source package's files into dir and unpacks them into the folder there that S names. What is in that
// folder already goes on top.
func (s debianSources) Unpack(ctx context.Context, request, from, dir string) error {
	_, p, err := s.find(ctx, request)
	if err != nil {
		return err
	}
	sub, err := s.sourceDir()
	if err != nil {
		return err
	}
	for _, f := range p.Files {
		if err := copyChecked(filepath.Join(from, f.Name), filepath.Join(dir, f.Name), f); err != nil {
			return err
		}
	}
	return InScratch(dir, func(out string) error {
		if err := s.extract(ctx, filepath.Join(dir, p.DSC().Name), out); err != nil {
			return diag.Failedf(diag.Pos{}, "unpack %s: %w", p.DSC().Name, err)
		}
		fresh, target := filepath.Join(out, "source"), filepath.Join(dir, sub)
		if _, err := os.Lstat(target); err == nil {
			if err := merge(target, fresh); err != nil {
				return err
			}
			if err := sandbox.Remove(target); err != nil {
				return err
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
			return err
		}
		return os.Rename(fresh, target)
	})
}

// sourceDir is PPS: the sources' folder below WORKDIR, which is S unless a recipe says otherwise.
func (s debianSources) sourceDir() (string, error) {
	v, err := s.c.Values("S", "WORKDIR", "PPS")
	if err != nil {
		return "", err
	}
	rel := filepath.Clean(v[2])
	if v[2] == "" || filepath.IsAbs(rel) {
		rel, err = filepath.Rel(v[1], v[0])
	}
	if err != nil || !filepath.IsLocal(rel) || rel == "." {
		return "", diag.Userf(s.c.Data.LastSet("S"), "S is %s, but a source package is unpacked into a folder below WORKDIR (%s)", v[0], v[1]).
			WithHint(`set S = "${WORKDIR}/<folder>", or leave it out`)
	}
	return rel, nil
}

// extract runs dpkg-source: the .dsc's folder is all that it sees, the folder out all that it may write to.
func (s debianSources) extract(ctx context.Context, dsc, out string) error {
	layers, err := s.c.Tools.Layers(ctx, slices.Clone(dpkgSource)...)
	if err != nil {
		return err
	}
	const in, to = "/n3x/in", "/n3x/out"
	cmd, cleanup, err := s.c.Bare(layers, "dpkg-source", "--no-check", "-x", in+"/"+filepath.Base(dsc), to+"/source")
	if err != nil {
		return err
	}
	defer cleanup()
	cmd.Dir = to
	cmd.Mounts = append(cmd.Mounts,
		sandbox.Mount{Type: sandbox.BindRO, Source: filepath.Dir(dsc), Target: in},
		sandbox.Mount{Type: sandbox.Bind, Source: out, Target: to})
	return cmd.Run(ctx)
}

// copyChecked copies a file whose content is known; the download folder may be shared with others.
func copyChecked(from, to string, f apt.SourceFile) error {
	err := apt.CopySource(from, to, f)
	if errors.Is(err, fs.ErrNotExist) {
		return diag.Failedf(diag.Pos{}, "%s is not in the download folder", from).WithHint("run the recipe's task fetch again: bitbake -c fetch -f <recipe>")
	}
	return err
}

// AptRequests are the apt:// entries of a SRC_URI, without their scheme.
func AptRequests(srcURI string) []string {
	var all []string
	for _, entry := range strings.Fields(srcURI) {
		address, _, _ := strings.Cut(entry, ";")
		if request, ok := strings.CutPrefix(address, "apt://"); ok {
			all = append(all, request)
		}
	}
	return all
}
