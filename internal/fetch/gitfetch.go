package fetch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/diag"
)

// git runs git with the common options and makes an error of a status other than 0.
func (f *Fetcher) git(ctx context.Context, dir string, args ...string) (string, error) {
	if f.o.Git == nil {
		return "", fmt.Errorf("BUG: fetch.Options.Git is not set")
	}
	env := []string{"GIT_TERMINAL_PROMPT=0", "GIT_LFS_SKIP_SMUDGE=1"}
	out, stderr, status, err := f.o.Git.Git(ctx, dir, env, append(slices.Clone(gitOptions), args...)...)
	if err != nil {
		return out, err
	}
	if status != 0 {
		text := strings.TrimSpace(stderr)
		if text == "" {
			text = "no message"
		}
		return out, fmt.Errorf("git %s ended with status %d: %s", args[0], status, text)
	}
	return out, nil
}

// fetchGit makes sure that the bare clone holds the revision, and of gitsm:// sources, that those of all submodules do.
func (f *Fetcher) fetchGit(ctx context.Context, s *Source) error {
	if s.Params["branch"] == "" && s.withBranch() {
		f.warn(s.URL + " has no branch parameter; master is taken, as BitBake does. Add ;branch=<name>")
	}
	if err := f.fetchRepository(ctx, s); err != nil || s.Scheme != "gitsm" {
		return err
	}
	return f.fetchSubmodules(ctx, s, 0)
}

func (f *Fetcher) fetchRepository(ctx context.Context, s *Source) error {
	if err := f.resolve(ctx, s); err != nil {
		return err
	}
	c, err := f.shallow(s)
	if err != nil {
		return s.wrapFetch(err)
	}
	clone := f.cloneDir(s)
	lock, err := f.lock(ctx, clone)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if !f.complete(ctx, s, c, clone) {
		if !f.haveShallow(c) {
			err = f.updateClone(ctx, s, clone, &attempts{s: s})
		}
		if err == nil && f.haveShallow(c) && !f.complete(ctx, s, c, clone) {
			return nil // a part of the history is better than an older clone
		}
		if err != nil {
			return err
		}
		f.markDone(clone)
		if rev := f.lacksCut(ctx, c, clone); rev != "" {
			return diag.Userf(s.Pos, "fetch %s: it does not hold %s of BB_GIT_SHALLOW_REVS", withoutPassword(s.URL), rev)
		}
	}
	if err := f.refuseLFS(ctx, s, clone); err != nil {
		return err
	}
	return s.wrapFetch(f.writeTarballs(ctx, s, c, clone))
}

// updateClone tries one address after the other until the clone holds the revision. A clone that is there is updated
// from its own address first, since a mirror may be older than it.
func (f *Fetcher) updateClone(ctx context.Context, s *Source, clone string, t *attempts) error {
	_, err := os.Stat(clone)
	exists := err == nil
	tarball := filepath.Join(f.o.DownloadDir, s.gitTarball())
	if _, err := os.Stat(tarball); err == nil && !exists {
		if done, err := t.note(ctx, tarball, f.cloneFromTarball(ctx, s, tarball, clone)); done {
			return err
		}
		_, err = os.Stat(clone) // it may be older than what is asked for
		exists = err == nil
	} else if err == nil && (f.o.MirrorTarballs || s.flag("rebaseable")) {
		os.Remove(tarball) // it is made anew from the updated clone
	}
	own := func() error {
		if f.o.PremirrorOnly && s.gitProtocol() != "file" {
			return errPremirrorOnly
		}
		return f.cloneFrom(ctx, s, s.gitAddress(), clone)
	}
	if exists && !f.o.PremirrorOnly {
		if done, err := t.note(ctx, s.gitAddress(), own()); done {
			return err
		}
	}
	for _, u := range mirrorURLs(s, s.URL, f.o.Premirrors) {
		if done, err := t.note(ctx, u, f.gitMirror(ctx, s, u, clone)); done {
			return err
		}
	}
	if !exists || f.o.PremirrorOnly {
		if done, err := t.note(ctx, s.gitAddress(), own()); done {
			return err
		}
	}
	for _, u := range mirrorURLs(s, s.URL, f.o.Mirrors) {
		if f.o.PremirrorOnly && !strings.HasPrefix(u, "file://") {
			continue
		}
		if done, err := t.note(ctx, u, f.gitMirror(ctx, s, u, clone)); done {
			return err
		}
	}
	return t.failed()
}

// cloneFrom clones or updates from an address that git understands.
func (f *Fetcher) cloneFrom(ctx context.Context, s *Source, address, clone string) error {
	if !strings.HasPrefix(address, "file://") {
		if err := f.allowed(address); err != nil {
			return err
		}
	}
	f.o.Progress.Step("cloning " + withoutPassword(address))
	if !f.isBare(ctx, clone) {
		tmp, err := f.tempDir(clone)
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		fresh := filepath.Join(tmp, "clone")
		if _, err := f.git(ctx, tmp, "clone", "-q", "--bare", "--mirror", "--", address, fresh); err != nil {
			return err
		}
		if err := replaceDir(fresh, clone); err != nil {
			return err
		}
	} else {
		refs := []string{"refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"}
		if s.flag("nobranch") {
			refs = []string{"refs/*:refs/*"}
		}
		if _, err := f.git(ctx, clone, append([]string{"fetch", "-q", "-f", "--", address}, refs...)...); err != nil {
			return err
		}
	}
	if f.cloneHas(ctx, s, clone) {
		return nil
	}
	return f.lacks(ctx, s, clone)
}

// lacks says which revision a clone does not hold.
func (f *Fetcher) lacks(ctx context.Context, s *Source, clone string) error {
	for _, r := range s.refs() {
		switch {
		case f.cloneHasRef(ctx, s, r, clone):
		case s.withBranch():
			return fmt.Errorf("it does not hold revision %s in branch %s", r.Revision, r.Branch)
		default:
			return fmt.Errorf("it does not hold revision %s", r.Revision)
		}
	}
	return fmt.Errorf("it does not hold tag %s", s.Params["tag"])
}

// tempDir is a new folder beside path.
func (f *Fetcher) tempDir(path string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return "", err
	}
	return os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-")
}

// replaceDir puts fresh in the place of what lies at dir, if anything.
func replaceDir(fresh, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(fresh, dir)
}

// isBare reports whether dir is the root of a bare repository.
func (f *Fetcher) isBare(ctx context.Context, dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		return false
	}
	out, err := f.git(ctx, dir, "rev-parse", "--absolute-git-dir")
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(dir)
	return err == nil && strings.TrimSpace(out) == real
}

// cloneHas reports whether the clone holds the revisions, in their branches when such are asked for, and the tag.
func (f *Fetcher) cloneHas(ctx context.Context, s *Source, clone string) bool {
	if !f.isBare(ctx, clone) {
		return false
	}
	for _, r := range s.refs() {
		if !f.cloneHasRef(ctx, s, r, clone) {
			return false
		}
	}
	if tag := s.Params["tag"]; tag != "" {
		_, err := f.git(ctx, clone, "rev-parse", "-q", "--verify", "refs/tags/"+tag)
		return err == nil
	}
	return true
}

func (f *Fetcher) cloneHasRef(ctx context.Context, s *Source, r Ref, clone string) bool {
	if !gitHash.MatchString(r.Revision) {
		return false
	}
	if !s.withBranch() {
		_, err := f.git(ctx, clone, "cat-file", "-e", r.Revision+"^{commit}")
		return err == nil
	}
	out, err := f.git(ctx, clone, "branch", "--contains", r.Revision, "--list", r.Branch)
	return err == nil && strings.TrimSpace(out) != ""
}

// gitMirror brings the clone from a mirror: another repository, or the tarball of a bare clone.
func (f *Fetcher) gitMirror(ctx context.Context, s *Source, address, clone string) error {
	m, err := Parse(address)
	if err != nil {
		return err
	}
	if s.shallowTarball != "" && filepath.Base(m.Path) == s.shallowTarball && slices.Contains([]string{"file", "http", "https"}, m.Scheme) {
		return f.shallowMirror(ctx, s, m)
	}
	tarball := filepath.Join(f.o.DownloadDir, s.gitTarball())
	switch m.Scheme {
	case "git", "gitsm":
		return f.cloneFrom(ctx, s, m.gitAddress(), clone)
	case "file":
		if st, err := os.Stat(m.Path); err != nil {
			return err
		} else if st.IsDir() {
			return f.cloneFrom(ctx, s, "file://"+quotePath(m.Path), clone)
		}
		tarball = m.Path
	case "http", "https":
		if err := f.download(ctx, &Source{URL: address, Sums: map[string]string{}}, m.address(), tarball); err != nil {
			return err
		}
		f.markDone(tarball)
	default:
		return fmt.Errorf("mirrors by %s are not supported", m.Scheme)
	}
	return f.cloneFromTarball(ctx, s, tarball, clone)
}

func (f *Fetcher) cloneFromTarball(ctx context.Context, s *Source, tarball, clone string) error {
	tmp, err := f.tempDir(clone)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	fresh := filepath.Join(tmp, "clone")
	if err := os.Mkdir(fresh, 0o777); err != nil {
		return err
	}
	if err := f.extract(ctx, tarball, fresh, 0); err != nil {
		return err
	}
	if !f.isBare(ctx, fresh) {
		return errors.New("it holds no bare git repository")
	}
	if err := replaceDir(fresh, clone); err != nil {
		return err
	}
	if !f.cloneHas(ctx, s, clone) {
		return f.lacks(ctx, s, clone)
	}
	return nil
}

// refuseLFS refuses sources whose large files lie on an LFS server: unpacked, they would be pointer files.
func (f *Fetcher) refuseLFS(ctx context.Context, s *Source, clone string) error {
	if s.Params["lfs"] == "0" {
		return nil
	}
	out, err := f.git(ctx, clone, "grep", "^[^#].*lfs", s.Revision+":.gitattributes")
	if err != nil || out == "" {
		return nil // git grep's status for "no match" and "no such file"
	}
	return diag.Userf(s.Pos, "%s: Git LFS is not supported yet", s.URL).WithHint("add ;lfs=0 to unpack the pointer files instead")
}
