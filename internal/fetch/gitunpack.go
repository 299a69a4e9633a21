package fetch

import (
	"context"
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
	clone := f.cloneDir(s)
	if !f.cloneHas(ctx, s, clone) {
		return diag.Failedf(s.Pos, "unpack %s: %s does not hold revision %s", s.URL, clone, s.Revision)
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
	steps := [][]string{f.cloneArgs(s, clone, dest), {"remote", "set-url", "origin", s.gitAddress()}}
	steps = append(steps, s.checkoutSteps()...)
	for i, args := range steps {
		at := dest
		if i == 0 {
			at = dir
		}
		if _, err := f.git(ctx, at, args...); err != nil {
			return diag.Failedf(s.Pos, "unpack %s: %w", s.URL, err)
		}
	}
	if err := f.checkTag(ctx, s, dest); err != nil || s.Scheme != "gitsm" {
		return err
	}
	return f.unpackSubmodules(ctx, s, dest)
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
