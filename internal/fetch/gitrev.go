package fetch

import (
	"context"
	"fmt"
	"os"
	"strings"

	"n3x/internal/diag"
)

// ResolveRevision is the commit that a git source stands for. A branch or tag is looked up at its address, or without
// network in the clone. The source remembers it.
func (f *Fetcher) ResolveRevision(ctx context.Context, s *Source) (string, error) {
	if err := s.supported(); err != nil {
		return "", err
	}
	if !s.isGit() {
		return "", fmt.Errorf("BUG: %s is no git source", s.URL)
	}
	err := f.resolve(ctx, s)
	return s.Revision, err
}

// resolve replaces branches and tags by the commits that they are now.
func (f *Fetcher) resolve(ctx context.Context, s *Source) error {
	var refs map[string]string
	var err error
	for i, r := range s.refs() {
		if gitHash.MatchString(r.Revision) {
			continue
		}
		if refs == nil {
			if refs, err = f.listRefs(ctx, s); err != nil {
				return err
			}
		}
		id, err := s.lookUp(refs, r)
		if err != nil {
			return err
		}
		if i == 0 {
			s.Revision = id
		} else {
			s.Also[i-1].Revision = id
		}
	}
	return nil
}

// lookUp finds the commit of a branch or tag.
func (s *Source) lookUp(refs map[string]string, r Ref) (string, error) {
	want := r.Revision
	if want == "" {
		want = r.Branch
		if s.flag("usehead") {
			want = "HEAD"
		}
	}
	names := []string{"refs/heads/" + want, "refs/tags/" + want + "^{}", "refs/tags/" + want}
	if strings.HasPrefix(want, "refs/") || want == "HEAD" {
		names = []string{want, want + "^{}"}
	}
	for _, n := range names {
		if id := refs[n]; id != "" {
			return id, nil
		}
	}
	return "", diag.Userf(s.Pos, "%s: there is no branch or tag %q", s.URL, want)
}

// listRefs are the names and commits of a repository: of the remote one, or without network of the clone.
func (f *Fetcher) listRefs(ctx context.Context, s *Source) (map[string]string, error) {
	address, dir := s.gitAddress(), f.o.DownloadDir
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	if s.gitProtocol() != "file" && (f.o.PremirrorOnly || f.allowed(address) != nil) {
		address = f.cloneDir(s)
		if !f.isBare(ctx, address) {
			return nil, diag.Userf(s.Pos, "%s: revision %q cannot be looked up without network", s.URL, s.Revision).
				WithHint("set SRCREV to a full commit ID")
		}
	}
	out, err := f.git(ctx, dir, "ls-remote", "--", address)
	if err != nil {
		return nil, diag.Failedf(s.Pos, "%s: look up revision: %w", s.URL, err)
	}
	refs := map[string]string{}
	for line := range strings.Lines(out) {
		if id, name, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			refs[name] = id
		}
	}
	return refs, nil
}
