package kas

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"n3x/internal/diag"
)

// parallelClones is how many repositories are fetched at a time.
const parallelClones = 8

// checkouts brings repositories to disk at the revision that the configuration asks for, with git commands in the
// order in which kas gives them (kas/repos.py).
type checkouts struct {
	l      *loader
	refDir string // KAS_REPO_REF_DIR: bare clones that checkouts borrow objects from; "" is none
	depth  int    // KAS_CLONE_DEPTH; 0 is everything
	needed map[string]bool
	mirror []premirror
}

func newCheckouts(l *loader) (*checkouts, error) {
	c := &checkouts{l: l, needed: map[string]bool{}}
	if d := l.o.Env["KAS_REPO_REF_DIR"]; d != "" {
		c.refDir = l.abs(d)
	}
	if s, ok := l.o.Env["KAS_CLONE_DEPTH"]; ok {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return nil, diag.Userf(diag.Pos{}, "KAS_CLONE_DEPTH=%q is not a number", s).WithHint("KAS_CLONE_DEPTH=1, or unset it")
		}
		c.depth = int(n)
	}
	var err error
	c.mirror, err = parsePremirrors(l.o.Env["KAS_PREMIRRORS"])
	return c, err
}

// setUp fetches and checks out all repositories of the complete configuration, and applies their patches.
func (c *checkouts) setUp(ctx context.Context, repos []*Repo) error {
	for _, r := range repos {
		if r.URL != "" && !c.needed[r.ID] && c.l.o.Provides != nil && c.l.o.Provides(r) {
			r.Provided = true
			for i := range r.Layers {
				r.Layers[i].Provided = true
			}
		}
	}
	if err := c.bring(ctx, repos); err != nil {
		return err
	}
	if c.l.o.NoCheckout {
		return nil
	}
	byID := map[string]*Repo{}
	for _, r := range repos {
		byID[r.ID] = r
	}
	for _, r := range repos {
		if c.managed(r) && len(r.Patches) > 0 {
			if err := c.applyPatches(ctx, r, byID); err != nil {
				return err
			}
		}
	}
	return nil
}

// managed reports whether git commands touch r at all.
func (c *checkouts) managed(r *Repo) bool { return r.URL != "" && !r.Provided }

// bring fetches repositories in parallel, then checks each out.
func (c *checkouts) bring(ctx context.Context, repos []*Repo) error {
	if c.l.o.NoCheckout {
		return nil
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelClones)
	for _, r := range repos {
		if c.managed(r) {
			g.Go(func() error { return c.fetch(gctx, r) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, r := range repos {
		if c.managed(r) {
			if err := c.checkout(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// result is how a git command ended.
type result struct {
	stdout, stderr string
	status         int
}

// git runs git in dir; a status other than 0 is left to the caller.
func (c *checkouts) git(ctx context.Context, dir string, args ...string) (result, error) {
	return c.gitEnv(ctx, dir, nil, args...)
}

func (c *checkouts) gitEnv(ctx context.Context, dir string, env []string, args ...string) (result, error) {
	if c.l.o.Git == nil {
		return result{}, fmt.Errorf("BUG: kas.Options.Git is not set")
	}
	var r result
	var err error
	env = append([]string{"GIT_TERMINAL_PROMPT=0"}, env...)
	r.stdout, r.stderr, r.status, err = c.l.o.Git.Git(ctx, dir, env, args...)
	return r, err
}

// must runs git and makes an error of a status other than 0.
func (c *checkouts) must(ctx context.Context, r *Repo, dir, doing string, args ...string) error {
	res, err := c.git(ctx, dir, args...)
	if err == nil && res.status != 0 {
		err = gitFailed(r, doing, args, res)
	}
	return err
}

func gitFailed(r *Repo, doing string, args []string, res result) *diag.Error {
	e := diag.Failedf(r.Pos, "%s repository %q: git %s ended with status %d", doing, r.ID, args[0], res.status)
	if msg := strings.TrimSpace(res.stderr); msg != "" {
		e = e.WithNote("git says: %s", msg)
	}
	return e
}

// fetch clones r, or updates its clone when the wanted revision is missing (or --update asks for the newest).
func (c *checkouts) fetch(ctx context.Context, r *Repo) error {
	ref := ""
	if c.refDir != "" {
		ref = filepath.Join(c.refDir, qualifiedName(r.URL))
		if err := c.reference(ctx, r, ref); err != nil {
			return err
		}
	}
	if err := c.clone(ctx, r, ref); err != nil {
		return err
	}
	if err := c.must(ctx, r, r.Path, "set the address of", "remote", "set-url", "origin", c.effectiveURL(r)); err != nil {
		return err
	}
	if !c.l.o.Update || r.Commit != "" {
		if have, err := c.have(ctx, r); have || err != nil {
			return err
		}
	}
	args := c.fetchArgs(r)
	res, err := c.git(ctx, r.Path, args...)
	if err != nil {
		return err
	}
	if res.status != 0 {
		return gitFailed(r, "fetch", args, res).WithHint("check url %s and the revision, and the network", r.URL)
	}
	c.l.log(Info, "Repository %s updated", r.Name)
	return nil
}

// reference makes the shared bare clone, unless it is there; another process may make it at the same time.
func (c *checkouts) reference(ctx context.Context, r *Repo, ref string) error {
	if exists(ref) {
		return nil
	}
	if err := os.MkdirAll(c.refDir, 0o777); err != nil {
		return diag.Failedf(r.Pos, "make KAS_REPO_REF_DIR: %w", err)
	}
	tmp, err := os.MkdirTemp(c.refDir, filepath.Base(ref)+".")
	if err != nil {
		return diag.Failedf(r.Pos, "make reference clone: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := c.must(ctx, r, c.l.workDir, "clone", "clone", "-q", "--bare", "--", c.effectiveURL(r), tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, ref); err != nil && !exists(ref) {
		return diag.Failedf(r.Pos, "make reference clone: %w", err)
	}
	return nil
}

// clone makes r's checkout aside and puts it in place when it is complete, so that a killed clone leaves no half one.
func (c *checkouts) clone(ctx context.Context, r *Repo, ref string) error {
	if exists(filepath.Join(r.Path, ".git")) {
		return nil
	}
	if entries, err := os.ReadDir(r.Path); err == nil && len(entries) > 0 {
		return diag.Userf(r.Pos, "repository %q: %s exists, but is no git checkout", r.ID, c.l.show(r.Path)).
			WithHint("move it away, or give the repository another path:")
	}
	c.l.log(Info, "Cloning repository %s", r.Name)
	if err := os.MkdirAll(filepath.Dir(r.Path), 0o777); err != nil {
		return diag.Failedf(r.Pos, "clone repository %q: %w", r.ID, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(r.Path), "."+filepath.Base(r.Path)+".clone-")
	if err != nil {
		return diag.Failedf(r.Pos, "clone repository %q: %w", r.ID, err)
	}
	defer os.RemoveAll(tmp)
	work := filepath.Join(tmp, "work")
	args := append([]string{"clone", "-q"}, c.cloneOptions(r)...)
	if ref != "" {
		args = append(args, "--reference", ref, "--", ref, work)
	} else {
		args = append(args, "--", c.effectiveURL(r), work)
	}
	res, err := c.git(ctx, c.l.workDir, args...)
	if err != nil {
		return err
	}
	if res.status != 0 {
		return gitFailed(r, "clone", args, res).WithHint("check url %s, and the network", r.URL)
	}
	os.Remove(r.Path) // an empty folder may be there
	if err := os.Rename(work, r.Path); err != nil {
		return diag.Failedf(r.Pos, "clone repository %q: %w", r.ID, err)
	}
	return nil
}

func (c *checkouts) cloneOptions(r *Repo) []string {
	if c.depth == 0 {
		return nil
	}
	if r.Refspec != "" {
		c.l.log(Warning, "Shallow cloning is not supported for legacy refspec on repository %q. Performing full clone.", r.Name)
		return nil
	}
	opts := []string{"--depth", strconv.Itoa(c.depth)}
	if r.Branch != "" {
		opts = append(opts, "--branch", trimRefs(r.Branch))
	}
	return opts
}

// have reports whether the clone holds the wanted revision, and the wanted branch contains it.
func (c *checkouts) have(ctx context.Context, r *Repo) (bool, error) {
	want := r.Commit
	if want == "" {
		want = r.Tag
	}
	if want == "" {
		want = r.Branch + r.Refspec
		if strings.HasPrefix(want, "refs/") {
			want = "remotes/origin/" + trimRefs(want)
		}
	}
	res, err := c.git(ctx, r.Path, "cat-file", "-t", want)
	if err != nil || res.status != 0 {
		return false, err
	}
	c.l.log(Info, "Repository %s already contains %s as %s", r.Name, want, strings.TrimSpace(res.stdout))
	if r.Branch == "" || r.Commit == "" || c.depth > 0 {
		return true, nil
	}
	return c.branchContains(ctx, r)
}

func (c *checkouts) branchContains(ctx context.Context, r *Repo) (bool, error) {
	res, err := c.git(ctx, r.Path, "branch", "origin/"+r.Branch, "-r", "--contains", r.Commit)
	return strings.TrimSpace(res.stdout) != "", err
}

func (c *checkouts) fetchArgs(r *Repo) []string {
	args := []string{"fetch", "-q"}
	shallow := c.depth > 0 && r.Refspec == ""
	if shallow {
		args = append(args, "--depth", strconv.Itoa(c.depth))
	}
	branch := r.Branch + r.Refspec
	switch {
	case r.Tag != "":
		return append(args, "origin", "+"+r.Tag+":refs/tags/"+r.Tag)
	case shallow && r.Commit != "":
		return append(args, "origin", r.Commit)
	case branch != "" && (shallow || strings.HasPrefix(branch, "refs/")):
		branch = trimRefs(branch)
		return append(args, "origin", "+"+branch+":refs/remotes/origin/"+branch)
	}
	return args
}

// checkout puts the wanted revision into the working tree, unless the user has changed files there.
func (c *checkouts) checkout(ctx context.Context, r *Repo) error {
	if !c.l.o.ForceCheckout {
		if dirty, err := c.dirty(ctx, r); err != nil {
			return err
		} else if dirty {
			c.l.log(Warning, "Repo %s is dirty - no checkout", r.Name)
			return nil
		}
	}
	ref, err := c.desired(ctx, r)
	if err != nil {
		return err
	}
	target := trimRefs(ref)
	if fullHash.MatchString(target) {
		target += "^{commit}"
	}
	args := []string{"checkout", "-q", target}
	if r.Branch != "" {
		args = append(args, "-B", strings.TrimPrefix(trimRefs(r.Branch), "heads/"))
	}
	if c.l.o.ForceCheckout {
		args = append(args, "--force")
	}
	if err := c.must(ctx, r, r.Path, "check out", args...); err != nil {
		return err
	}
	c.l.log(Info, "Repository %s checked out to %s", r.Name, ref)
	return nil
}

func (c *checkouts) dirty(ctx context.Context, r *Repo) (bool, error) {
	res, err := c.git(ctx, r.Path, "diff", "--stat")
	return res.stdout != "", err
}

// desired is the commit to check out (of a legacy refspec, the refspec itself), after the checks that tie commit, tag
// and branch together.
func (c *checkouts) desired(ctx context.Context, r *Repo) (string, error) {
	switch {
	case r.Tag != "" && r.Branch != "":
		return "", diag.Userf(r.Pos, "repository %q has both tag %q and branch %q", r.ID, r.Tag, r.Branch).
			WithHint("keep one of them; null takes a default away: branch: null")
	case r.Tag != "":
		return c.desiredTag(ctx, r)
	case r.Branch == "" && r.Commit != "":
		return r.Commit, nil
	case r.Branch == "":
		return r.Refspec, nil
	}
	res, err := c.git(ctx, r.Path, "rev-parse", "--verify", "-q", "origin/"+trimRefs(r.Branch))
	if err != nil {
		return "", err
	}
	if res.status != 0 {
		return "", diag.Userf(r.Pos, "branch %q cannot be found in repository %q (%s)", r.Branch, r.ID, r.URL)
	}
	if r.Commit == "" {
		return strings.TrimSpace(res.stdout), nil
	}
	if c.depth == 0 {
		in, err := c.branchContains(ctx, r)
		if err != nil {
			return "", err
		}
		if !in {
			return "", diag.Userf(r.Pos, "branch %q of repository %q does not contain commit %q", r.Branch, r.ID, r.Commit).
				WithHint("correct branch: or commit:, or run n3x lock --update when a lock file pins the commit")
		}
	}
	return r.Commit, nil
}

func (c *checkouts) desiredTag(ctx context.Context, r *Repo) (string, error) {
	res, err := c.git(ctx, r.Path, "rev-list", "-n", "1", trimRefs(r.Tag))
	if err != nil {
		return "", err
	}
	if res.status != 0 {
		return "", diag.Userf(r.Pos, "tag %q cannot be found in repository %q (%s)", r.Tag, r.ID, r.URL)
	}
	commit := strings.TrimSpace(res.stdout)
	if r.Commit == "" || r.Commit == commit {
		return commit, nil
	}
	if res, err = c.git(ctx, r.Path, "show-ref", "--tags", "--hash", r.Tag); err != nil {
		return "", err
	}
	if object := strings.TrimSpace(res.stdout); res.status != 0 || object != r.Commit {
		return "", diag.Userf(r.Pos, "tag %q of repository %q is commit %s, but commit %s is asked for", r.Tag, r.ID, commit, r.Commit).
			WithHint("correct tag: or commit:, or run n3x lock --update when a lock file pins the commit")
	}
	return commit, nil
}

func trimRefs(ref string) string { return strings.TrimPrefix(ref, "refs/") }
