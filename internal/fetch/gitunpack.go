package fetch

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"

	"n3x/internal/diag"
)

// unpackGit makes a checkout of the revision below dir.
func (f *Fetcher) unpackGit(ctx context.Context, s *Source, dir string) error {
	if err := f.resolveFetched(ctx, s); err != nil {
		return err
	}
	dest, err := s.gitDest(dir)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dest); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o777); err != nil {
		return err
	}
	whole, err := f.placeClone(ctx, s, dest)
	if err != nil {
		return diag.Failedf(s.Pos, "unpack %s: %w", s.URL, err)
	}
	for _, args := range s.checkoutSteps() {
		if _, err := f.git(ctx, dest, args...); err != nil {
			return diag.Failedf(s.Pos, "unpack %s: %w", s.URL, err)
		}
	}
	if whole { // else the tag may have been cut off
		err = f.checkTag(ctx, s, dest)
	} else {
		err = f.refuseLFS(ctx, s, dest)
	}
	if err != nil || s.Scheme != "gitsm" {
		return err
	}
	return f.unpackSubmodules(ctx, s, dest)
}

// placeClone puts a repository with the source's revisions at dest: the clone's, or when that is older, what a tarball has
// of its history.
func (f *Fetcher) placeClone(ctx context.Context, s *Source, dest string) (whole bool, err error) {
	clone := f.cloneDir(s)
	c, err := f.shallow(s)
	if err != nil {
		return false, err
	}
	switch {
	case f.complete(ctx, s, c, clone):
		whole = true
		_, err = f.git(ctx, filepath.Dir(dest), f.cloneArgs(s, clone, dest)...)
	case f.haveShallow(c):
		err = f.extractShallow(ctx, s, f.shallowFile(c), dest)
	default:
		return false, fmt.Errorf("%s does not hold revision %s", clone, s.Revision)
	}
	if err == nil {
		_, err = f.git(ctx, dest, "remote", "set-url", "origin", s.gitAddress())
	}
	return whole, err
}

// gitDest is the folder of the checkout.
func (s *Source) gitDest(dir string) (string, error) {
	base, err := s.subdir(dir)
	if err != nil {
		return "", err
	}
	suffix, given := s.Params["destsuffix"]
	switch sub := s.Params["subpath"]; {
	case given:
	case s.Params["subdir"] != "":
		suffix = ""
	case sub != "":
		suffix = path.Base(strings.TrimRight(sub, "/"))
	default:
		suffix = "git"
	}
	if suffix == "" || path.Clean(suffix) == "." {
		if base == dir {
			return "", diag.Userf(s.Pos, "%s: destsuffix=%s would replace the whole work folder", s.URL, suffix)
		}
		return base, nil
	}
	if !localPath(suffix) {
		return "", diag.Userf(s.Pos, "%s: destsuffix=%s leads out of the work folder", s.URL, suffix)
	}
	return securejoin.SecureJoin(base, suffix)
}

func (f *Fetcher) cloneArgs(s *Source, clone, dest string) []string {
	args := []string{"clone", "-q", "-n"}
	if !f.o.GitNoShared {
		args = append(args, "-s")
	}
	if s.flag("bareclone") {
		args = append(args, "--mirror")
	}
	return append(args, "--", clone, dest)
}

func (s *Source) checkoutSteps() [][]string {
	branch, withBranch := s.branchName, s.withBranch()
	if sub := s.Params["subpath"]; sub != "" && !s.flag("nocheckout") && !s.flag("bareclone") {
		steps := [][]string{{"read-tree", s.Revision + ":" + sub}, {"checkout-index", "-q", "-f", "-a"},
			{"update-ref", "--no-deref", "HEAD", s.Revision}}
		if withBranch {
			steps = append(steps, []string{"update-ref", "refs/heads/" + branch, s.Revision})
		}
		return steps
	}
	switch {
	case s.flag("nocheckout") || s.flag("bareclone"):
		return nil
	case withBranch:
		return [][]string{{"checkout", "-q", "-B", branch, s.Revision}, {"branch", "-q", branch, "--set-upstream-to", "origin/" + branch}}
	}
	return [][]string{{"checkout", "-q", s.Revision}}
}

// checkTag refuses a tag that is not the revision: one of the two was moved.
func (f *Fetcher) checkTag(ctx context.Context, s *Source, dest string) error {
	tag := s.Params["tag"]
	if tag == "" {
		return nil
	}
	is, err := f.git(ctx, dest, "rev-list", "-n", "1", "refs/tags/"+tag)
	if err != nil {
		return diag.Failedf(s.Pos, "unpack %s: %w", s.URL, err)
	}
	want, err := f.git(ctx, dest, "rev-list", "-n", "1", s.Revision)
	if err != nil {
		return diag.Failedf(s.Pos, "unpack %s: %w", s.URL, err)
	}
	if is != want {
		return diag.Userf(s.Pos, "%s: tag %s is commit %s, not %s", s.URL, tag, strings.TrimSpace(is), strings.TrimSpace(want)).
			WithHint("correct tag= or the revision")
	}
	return nil
}

// Checkout is where unpacking a git source below dir puts it, "" for sources that are not git's.
func (s *Source) Checkout(dir string) (string, error) {
	if !s.isGit() {
		return "", nil
	}
	return s.gitDest(dir)
}
