package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"

	"n3x/internal/diag"
)

// Unpack puts a fetched source into dir, the recipe's WORKDIR: archives are unpacked, other files and folders copied,
// git sources checked out. Existing files of the same names are replaced.
func (f *Fetcher) Unpack(ctx context.Context, s *Source, dir string) error {
	if err := s.supported(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return diag.Failedf(s.Pos, "unpack %s: %w", s.URL, err)
	}
	if done, err := f.unpackBySchema(ctx, s, dir); done {
		return err
	}
	local, err := f.Local(s)
	if err != nil {
		return err
	}
	want, err := s.boolean("unpack", true)
	if err != nil {
		return err
	}
	target, err := s.subdir(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o777); err != nil {
		return s.wrap(err)
	}
	if st, err := os.Stat(local); err != nil {
		return diag.Failedf(s.Pos, "unpack %s: %w", s.URL, err)
	} else if want && !st.IsDir() {
		how, err := s.archive(local)
		if err != nil {
			return err
		}
		if how == nil {
			return s.wrap(copyInto(local, target, s.copyDir()))
		}
		if how.single { // BitBake puts these into the work folder whatever subdir= says
			target = dir
		}
		strip, err := s.stripLevel()
		if err != nil {
			return err
		}
		if err := f.extractAs(ctx, local, how, target, strip); err != nil || how.only == "" {
			return s.wrap(err)
		}
		return s.wrap(f.extractInner(ctx, filepath.Join(target, how.only), target, strip))
	}
	return s.wrap(copyInto(local, target, s.copyDir()))
}

// unpackBySchema unpacks sources that have a way of their own.
func (f *Fetcher) unpackBySchema(ctx context.Context, s *Source, dir string) (done bool, err error) {
	switch s.Scheme {
	case "git", "gitsm":
		return true, f.unpackGit(ctx, s, dir)
	case "apt":
		return true, f.unpackApt(ctx, s, dir)
	case "npm":
		return true, f.unpackNpm(ctx, s, dir)
	case "npmsw":
		return true, f.unpackShrinkwrap(ctx, s, dir)
	case "crate":
		return true, f.unpackCrate(ctx, s, dir)
	case "gomod":
		return true, f.unpackModule(ctx, s, dir)
	case "gomodgit":
		return true, f.unpackModuleRepository(ctx, s, dir)
	}
	return false, nil
}

// wrap adds the source to an error of unpacking it.
func (s *Source) wrap(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if e := (*limitError)(nil); errors.As(err, &e) {
		return diag.Userf(s.Pos, "unpack %s: %w", s.URL, err).WithHint("if that is right, set %s = \"%dG\" (or more) in the recipe", limitVariable, max(2*e.limit>>30, 1))
	}
	return diag.Failedf(s.Pos, "unpack %s: %w", s.URL, err)
}

// boolean is a parameter that is on or off, as BitBake reads it.
func (s *Source) boolean(name string, without bool) (bool, error) {
	switch v := strings.ToLower(s.Params[name]); v {
	case "":
		return without, nil
	case "y", "yes", "1", "true", "t":
		return true, nil
	case "n", "no", "0", "false", "f":
		return false, nil
	default:
		return false, diag.Userf(s.Pos, "%s: %s=%s is neither 1 nor 0", s.URL, name, v)
	}
}

func (s *Source) stripLevel() (int, error) {
	v := s.Params["striplevel"]
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return 0, diag.Userf(s.Pos, "%s: striplevel=%s is no number", s.URL, v)
	}
	return int(n), nil
}

// subdir is the folder below dir that the subdir= parameter names; it must not lead out of dir.
func (s *Source) subdir(dir string) (string, error) {
	if s.Params["subdir"] == "" {
		return dir, nil
	}
	return s.below(dir, "subdir", s.Params["subdir"])
}

// below is a folder below dir that a parameter names. Links that an archive has put there are followed within dir only.
func (s *Source) below(dir, parameter, sub string) (string, error) {
	if filepath.IsAbs(sub) {
		root := dir
		if s.workDir != "" {
			root = s.workDir
		}
		rel, err := filepath.Rel(root, sub)
		if err != nil {
			return "", err
		}
		sub = rel
	}
	if sub != "" && !filepath.IsLocal(sub) {
		return "", diag.Userf(s.Pos, "%s: %s=%s leads out of the work folder", s.URL, parameter, s.Params[parameter])
	}
	return securejoin.SecureJoin(dir, sub)
}

// copyDir is the folder, relative to the target, that a source which is no archive is copied into: file:// sources
// keep the folders of their address.
func (s *Source) copyDir() string {
	if s.Scheme != "file" {
		return "."
	}
	return path.Dir(strings.Trim(s.Path, "/"))
}

// archive says how files with certain name ends are unpacked.
type archive struct {
	ends   []string
	pack   string // compression: "", "gz", "bz2", "xz", "zst"
	single bool   // one compressed file, no tar
	zip    bool
	deb    bool
	rpm    bool
	only   string // of rpm: the one file to unpack
	refuse string // what it is, when it cannot be unpacked
}

// archives is in BitBake's order: the first end that fits decides.
var archives = []archive{
	{ends: []string{".tar"}},
	{ends: []string{".tar.Z"}, refuse: "the compression .Z"},
	{ends: []string{".tgz", ".tar.gz"}, pack: "gz"},
	{ends: []string{".tbz", ".tbz2", ".tar.bz2"}, pack: "bz2"},
	{ends: []string{".Z", ".z"}, refuse: "the compression .Z"},
	{ends: []string{".gz"}, pack: "gz", single: true},
	{ends: []string{".bz2"}, pack: "bz2", single: true},
	{ends: []string{".txz", ".tar.xz"}, pack: "xz"},
	{ends: []string{".xz"}, pack: "xz", single: true},
	{ends: []string{".tar.lz"}, pack: "lz"},
	{ends: []string{".lz"}, pack: "lz", single: true},
	{ends: []string{".tar.7z", ".7z"}, refuse: "the archive format 7z"},
	{ends: []string{".tzst", ".tar.zst"}, pack: "zst"},
	{ends: []string{".zst"}, pack: "zst", single: true},
	{ends: []string{".zip", ".jar"}, zip: true},
	{ends: []string{".rpm", ".srpm"}, rpm: true},
	{ends: []string{".deb", ".ipk"}, deb: true},
}

// archiveOf finds how the file is unpacked; nil means that it is copied.
func archiveOf(name string) *archive {
	for i := range archives {
		for _, end := range archives[i].ends {
			if strings.HasSuffix(name, end) {
				return &archives[i]
			}
		}
	}
	return nil
}

// archive finds how the source's file is unpacked.
func (s *Source) archive(local string) (*archive, error) {
	how := archiveOf(local)
	if how == nil {
		return nil, nil
	}
	if dos, err := s.boolean("dos", false); err != nil {
		return nil, err
	} else if dos && how.zip {
		return nil, diag.Userf(s.Pos, "%s: dos=1 (line endings of texts in zip archives) is not supported yet", s.URL)
	}
	if how.refuse != "" {
		return nil, diag.Userf(s.Pos, "unpack %s: %s is not supported yet", s.URL, how.refuse).
			WithHint("add ;unpack=0 to have the file copied as it is")
	}
	if only := s.Params["extract"]; only != "" && how.rpm {
		if !localPath(only) {
			return nil, diag.Userf(s.Pos, "%s: extract=%s leads out of the work folder", s.URL, only)
		}
		one := *how
		one.only = only
		return &one, nil
	}
	return how, nil
}

// extractInner unpacks a file that came out of another archive, if it is an archive itself.
func (f *Fetcher) extractInner(ctx context.Context, name, dir string, strip int) error {
	if how := archiveOf(name); how == nil || how.refuse != "" {
		return nil
	}
	return f.extract(ctx, name, dir, strip)
}

// copyInto copies a file, or a folder with all it holds, into the folder sub of target.
func copyInto(src, target, sub string) error {
	if !localPath(sub) && sub != "." {
		return fmt.Errorf("%s leads out of the work folder", sub)
	}
	t, err := openTree(target, 0)
	if err != nil {
		return err
	}
	defer t.close()
	src, err = filepath.EvalSymlinks(src)
	if err != nil {
		return err
	}
	base := path.Join(sub, filepath.Base(src))
	return filepath.WalkDir(src, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, name)
		if err != nil {
			return err
		}
		return copyEntry(t, name, path.Join(base, rel), d)
	})
}

// copyFolder copies what a folder holds into another one.
func copyFolder(src, dest string) error {
	if err := os.MkdirAll(dest, 0o777); err != nil {
		return err
	}
	t, err := openTree(dest, 0)
	if err != nil {
		return err
	}
	defer t.close()
	return filepath.WalkDir(src, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == src {
			return err
		}
		rel, err := filepath.Rel(src, name)
		if err != nil {
			return err
		}
		return copyEntry(t, name, rel, d)
	})
}

func copyEntry(t *tree, name, to string, d fs.DirEntry) error {
	st, err := d.Info()
	if err != nil {
		return err
	}
	switch {
	case d.IsDir():
		return t.mkdir(to, st.Mode(), st.ModTime())
	case st.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(name)
		if err != nil {
			return err
		}
		return t.symlink(target, to)
	case !st.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file, a folder nor a link", name)
	}
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	return t.file(to, in, st.Mode(), st.ModTime())
}
