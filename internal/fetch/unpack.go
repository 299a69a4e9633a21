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
	if s.isGit() {
		return f.unpackGit(ctx, s, dir)
	}
	if s.Scheme == "apt" {
		return f.unpackApt(ctx, s, dir)
	}
	local, err := f.Local(s)
	if err != nil {
		return err
	}
	want, err := s.wantsUnpack()
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
		how := archiveOf(local)
		if how == nil {
			return s.wrap(copyInto(local, target, s.copyDir()))
		}
		if how.refuse != "" {
			return diag.Userf(s.Pos, "unpack %s: %s is not supported yet", s.URL, how.refuse).
				WithHint("add ;unpack=0 to have the file copied as it is")
		}
		if how.single { // BitBake puts these into the work folder whatever subdir= says
			target = dir
		}
		strip, err := s.stripLevel()
		if err != nil {
			return err
		}
		return s.wrap(f.extract(ctx, local, target, strip))
	}
	return s.wrap(copyInto(local, target, s.copyDir()))
}

// wrap adds the source to an error of unpacking it.
func (s *Source) wrap(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return diag.Failedf(s.Pos, "unpack %s: %w", s.URL, err)
}

// wantsUnpack is the unpack= parameter as BitBake reads booleans.
func (s *Source) wantsUnpack() (bool, error) {
	switch v := strings.ToLower(s.Params["unpack"]); v {
	case "", "y", "yes", "1", "true", "t":
		return true, nil
	case "n", "no", "0", "false", "f":
		return false, nil
	default:
		return false, diag.Userf(s.Pos, "%s: unpack=%s is neither 1 nor 0", s.URL, v)
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
	sub := s.Params["subdir"]
	if sub == "" {
		return dir, nil
	}
	target := sub
	if !filepath.IsAbs(sub) {
		target = filepath.Join(dir, sub)
	}
	if rel, err := filepath.Rel(dir, target); err != nil || !filepath.IsLocal(rel) {
		return "", diag.Userf(s.Pos, "%s: subdir=%s leads out of the work folder", s.URL, sub)
	}
	return target, nil
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
	{ends: []string{".tar.lz", ".lz"}, refuse: "the compression lzip"},
	{ends: []string{".tar.7z", ".7z"}, refuse: "the archive format 7z"},
	{ends: []string{".tzst", ".tar.zst"}, pack: "zst"},
	{ends: []string{".zst"}, pack: "zst", single: true},
	{ends: []string{".zip", ".jar"}, zip: true},
	{ends: []string{".rpm", ".srpm"}, refuse: "unpacking rpm packages"},
	{ends: []string{".deb", ".ipk"}, refuse: "unpacking deb packages"},
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
