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
	git := s.git()
	if git == nil {
		return "", fmt.Errorf("BUG: %s is no git source", s.URL)
	}
	err := f.resolve(ctx, git)
	return git.Revision, err
}

// resolve replaces branches and tags by the commits that they are now.
func (f *Fetcher) resolve(ctx context.Context, s *Source) error {
	if !s.floating() {
		return nil
	}
	refs, err := f.listRefs(ctx, s)
	if err != nil {
		return err
	}
	return s.setCommits(refs)
}

// setCommits replaces branches and tags by commits, given the names of a repository.
func (s *Source) setCommits(refs map[string]string) error {
	for i, r := range s.refs() {
		if gitHash.MatchString(r.Revision) {
			continue
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

// resolveFetched is resolve without network: branches and tags are those of the clone, where fetching put them.
func (f *Fetcher) resolveFetched(ctx context.Context, s *Source) error {
	if !s.floating() {
		return nil
	}
	clone := f.cloneDir(s)
	if !f.isBare(ctx, clone) {
		return diag.Failedf(s.Pos, "unpack %s: %s is no clone of it", s.URL, clone).WithHint("run the recipe's task fetch first")
	}
	refs, err := f.refsOf(ctx, s, clone)
	if err != nil {
		return err
	}
	return s.setCommits(refs)
}

// Revisions are the commits of a git source, in the order of its names; nil when the source is not git's, or nobody has
// looked branches and tags up yet.
func (s *Source) Revisions() []string {
	git := s.git()
	if git == nil || git.floating() {
		return nil
	}
	var all []string
	for _, r := range git.refs() {
		all = append(all, r.Revision)
	}
	return all
}

// SetRevisions gives a git source the commits that were looked up for it before.
func (s *Source) SetRevisions(commits []string) {
	git := s.git()
	if git == nil || len(commits) != len(git.refs()) {
		return
	}
	git.Revision = commits[0]
	for i := range git.Also {
		git.Also[i].Revision = commits[i+1]
	}
}

// Floats reports whether a git source names a branch or tag, which may be another commit tomorrow.
func (s *Source) Floats() bool { return s.git() != nil && s.git().floating() }

// floating reports whether a revision is named by a branch or tag.
func (s *Source) floating() bool {
	for _, r := range s.refs() {
		if !gitHash.MatchString(r.Revision) {
			return true
		}
	}
	return false
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
	address := s.gitAddress()
	if err := os.MkdirAll(f.o.DownloadDir, 0o777); err != nil {
		return nil, err
	}
	if s.gitProtocol() != "file" && (f.o.PremirrorOnly || f.allowed(address) != nil) {
		address = f.cloneDir(s)
		if !f.isBare(ctx, address) {
			return nil, diag.Userf(s.Pos, "%s: revision %q cannot be looked up without network", s.URL, s.Revision).
				WithHint("set SRCREV to a full commit ID")
		}
	}
	return f.refsOf(ctx, s, address)
}

func (f *Fetcher) refsOf(ctx context.Context, s *Source, address string) (map[string]string, error) {
	out, err := f.git(ctx, f.o.DownloadDir, "ls-remote", "--", address)
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
