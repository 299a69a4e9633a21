package fetch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// GitShallow says how tarballs of git repositories are cut short: BB_GIT_SHALLOW and its kin. Clones stay whole.
type GitShallow struct {
	Depth     func(name string) (int, error)      // BB_GIT_SHALLOW_DEPTH_<name>: commits to keep behind a revision, itself included; 0 is all
	Revs      func(name string) ([]string, error) // BB_GIT_SHALLOW_REVS_<name>: commits to cut at, for instance tags
	ExtraRefs []string                            // BB_GIT_SHALLOW_EXTRA_REFS: branches and tags to keep besides; "*" is any text
	Tarballs  bool                                // BB_GENERATE_SHALLOW_TARBALLS: such tarballs are written into DL_DIR
}

// shallow is where the history of one source is cut.
type shallow struct {
	depths  []int // of each of refs
	revs    []string
	tarball string // its name in DL_DIR
}

// shallow tells where a source's history is cut, nil when it is not. Its revisions must be known.
func (f *Fetcher) shallow(s *Source) (*shallow, error) {
	if f.o.Shallow == nil {
		return nil, nil
	}
	c, whole := &shallow{}, true
	for _, r := range s.refs() {
		depth, err := f.o.Shallow.Depth(r.Name)
		if err != nil {
			return nil, err
		}
		revs, err := f.o.Shallow.Revs(r.Name)
		if err != nil {
			return nil, err
		}
		c.depths, c.revs = append(c.depths, depth), append(c.revs, revs...)
		whole = whole && depth == 0 && len(revs) == 0
	}
	for _, name := range slices.Concat(c.revs, f.o.Shallow.ExtraRefs) {
		if strings.HasPrefix(name, "-") {
			return nil, diag.Userf(s.Pos, "%s: %q of BB_GIT_SHALLOW_REVS or _EXTRA_REFS begins with a dash, which git would take for an option", s.URL, name)
		}
	}
	if whole {
		return nil, nil
	}
	c.tarball = f.shallowName(s, c)
	s.shallowTarball = c.tarball
	return c, nil
}

// shallowName is the name of the tarball, which tells all that its content depends on.
func (f *Fetcher) shallowName(s *Source, c *shallow) string {
	words := []string{s.gitName()}
	if s.flag("bareclone") {
		words = append(words, "bare")
	}
	words = append(words, slices.Sorted(slices.Values(c.revs))...)
	refs := s.refs()
	order := make([]int, len(refs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(refs[a].Name, refs[b].Name) })
	for _, i := range order {
		rev := refs[i].Revision[:min(7, len(refs[i].Revision))]
		if c.depths[i] > 0 {
			rev += fmt.Sprintf("-%d", c.depths[i])
		}
		words = append(words, rev)
	}
	var kept []string
	if !s.flag("nobranch") {
		for _, r := range refs {
			kept = append(kept, r.Branch)
		}
	}
	for _, r := range f.o.Shallow.ExtraRefs {
		kept = append(kept, strings.NewReplacer("refs/heads/", "", "*", "ALL").Replace(r))
	}
	slices.Sort(kept)
	if len(kept) > 0 {
		words = append(words, strings.ReplaceAll(strings.Join(kept, "_"), "/", "."))
	}
	return s.Scheme + "shallow_" + strings.ReplaceAll(strings.Join(words, "_"), "/", ".") + ".tar.gz"
}

// complete reports whether the clone holds all that unpacking, or making the tarball, needs.
func (f *Fetcher) complete(ctx context.Context, s *Source, c *shallow, clone string) bool {
	return f.cloneHas(ctx, s, clone) && f.lacksCut(ctx, c, clone) == ""
}

// lacksCut is a commit to cut at that the clone does not know, "" when it knows all.
func (f *Fetcher) lacksCut(ctx context.Context, c *shallow, clone string) string {
	if c == nil || !f.o.Shallow.Tarballs {
		return ""
	}
	for _, rev := range c.revs {
		if _, err := f.git(ctx, clone, "rev-parse", "-q", "--verify", "--end-of-options", rev+"^{commit}"); err != nil {
			return rev
		}
	}
	return ""
}

func (f *Fetcher) shallowFile(c *shallow) string { return filepath.Join(f.o.DownloadDir, c.tarball) }

// haveShallow reports whether the tarball is in DL_DIR.
func (f *Fetcher) haveShallow(c *shallow) bool {
	if c == nil {
		return false
	}
	_, err := os.Stat(f.shallowFile(c))
	return err == nil
}

// shallowMirror brings the tarball from a mirror's file, which DL_DIR then links to, or from the web.
func (f *Fetcher) shallowMirror(ctx context.Context, s, m *Source) error {
	to := filepath.Join(f.o.DownloadDir, s.shallowTarball)
	if m.Scheme == "file" {
		if err := f.checkShallow(ctx, s, m.Path); err != nil {
			return err
		}
		return atomicfile.Symlink(m.Path, to)
	}
	if err := f.download(ctx, &Source{URL: m.URL, Sums: map[string]string{}}, m.address(), to); err != nil {
		return err
	}
	if err := f.checkShallow(ctx, s, to); err != nil {
		os.Remove(to)
		return err
	}
	f.markDone(to)
	return nil
}

func (f *Fetcher) checkShallow(ctx context.Context, s *Source, tarball string) error {
	return f.inShallow(ctx, s, tarball, func(string) error { return nil })
}

// inShallow unpacks a tarball into a folder of its own while use runs.
func (f *Fetcher) inShallow(ctx context.Context, s *Source, tarball string, use func(repo string) error) error {
	tmp, err := f.tempDir(filepath.Join(f.o.DownloadDir, s.shallowTarball))
	if err != nil {
		return err
	}
	defer sandbox.Remove(tmp)
	repo := filepath.Join(tmp, "git")
	if err := f.extractShallow(ctx, s, tarball, repo); err != nil {
		return err
	}
	return use(repo)
}

// extractShallow unpacks a tarball to dest, where nothing is yet.
func (f *Fetcher) extractShallow(ctx context.Context, s *Source, tarball, dest string) error {
	if err := os.MkdirAll(dest, 0o777); err != nil {
		return err
	}
	if err := f.extract(ctx, tarball, dest, 0); err != nil {
		return err
	}
	inside := filepath.Join(dest, ".git")
	if s.flag("bareclone") {
		inside = dest
	}
	if _, err := os.Stat(filepath.Join(inside, "HEAD")); err != nil {
		return fmt.Errorf("%s holds no git repository", tarball)
	}
	for _, r := range s.refs() {
		if _, err := f.git(ctx, dest, "--git-dir="+inside, "cat-file", "-e", r.Revision+"^{commit}"); err != nil {
			return fmt.Errorf("%s does not hold revision %s", tarball, r.Revision)
		}
	}
	return nil
}

// writeShallow makes the tarball of a clone, unless it is there.
func (f *Fetcher) writeShallow(ctx context.Context, s *Source, c *shallow, clone string) error {
	if f.haveShallow(c) {
		return nil
	}
	to := f.shallowFile(c)
	f.o.Progress.Step("writing " + c.tarball)
	tmp, err := f.tempDir(to)
	if err != nil {
		return err
	}
	defer sandbox.Remove(tmp)
	repo := filepath.Join(tmp, "git")
	if err := f.cutClone(ctx, s, c, clone, repo); err != nil {
		return err
	}
	at, err := f.commitTime(ctx, clone, s.Revision)
	if err != nil {
		return err
	}
	if err := writeTarball(ctx, to, repo, at); err != nil {
		return err
	}
	f.markDone(to)
	return nil
}

// cutClone makes a clone at dest with a part of the history.
func (f *Fetcher) cutClone(ctx context.Context, s *Source, c *shallow, clone, dest string) error {
	if _, err := f.git(ctx, filepath.Dir(dest), f.cloneArgs(s, clone, dest)...); err != nil {
		return err
	}
	k := &cutter{ctx: ctx, f: f, repo: dest, dir: filepath.Join(dest, ".git")}
	if s.flag("bareclone") {
		k.dir = dest
	}
	var stops, keep []string
	for i, r := range s.refs() {
		ref := "refs/remotes/origin/" + r.Branch
		switch {
		case s.flag("nobranch"):
			ref = "refs/shallow/" + r.Name
		case s.flag("bareclone"):
			ref = "refs/heads/" + r.Branch
		}
		keep = append(keep, ref)
		k.git("update-ref", ref, r.Revision) // history beyond the revision is not kept
		if d := c.depths[i]; d > 0 {
			at := strings.TrimSpace(k.git("rev-parse", fmt.Sprintf("%s~%d^{commit}", r.Revision, d-1)))
			if k.err != nil {
				return fmt.Errorf("%s has fewer than %d commits (BB_GIT_SHALLOW_DEPTH): %w", r.Revision, d, k.err)
			}
			stops = append(stops, at)
		}
	}
	for _, rev := range c.revs {
		stops = append(stops, strings.TrimSpace(k.git("rev-parse", "--verify", "--end-of-options", rev+"^{commit}")))
	}
	keep = append(keep, k.extraRefs(f.o.Shallow.ExtraRefs, s.flag("bareclone"))...)
	k.cut(stops, keep)
	return k.err
}

// cutter changes a clone; after an error it does nothing more.
type cutter struct {
	ctx       context.Context
	f         *Fetcher
	repo, dir string // checkout and git's folder
	err       error
}

func (k *cutter) git(args ...string) string {
	if k.err != nil {
		return ""
	}
	var out string
	out, k.err = k.f.git(k.ctx, k.repo, append([]string{"-c", "core.logAllRefUpdates=false"}, args...)...)
	return out
}

func (k *cutter) lines(args ...string) []string { return strings.Fields(k.git(args...)) }

// extraRefs are the refs that patterns mean. In a clone with a working tree branches are those of origin.
func (k *cutter) extraRefs(patterns []string, bare bool) []string {
	var out []string
	for _, p := range patterns {
		if !bare {
			p = strings.ReplaceAll(p, "refs/heads/", "refs/remotes/origin/")
		}
		if !strings.Contains(p, "*") {
			out = append(out, p)
			continue
		}
		re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*") + "$")
		for _, ref := range k.lines("for-each-ref", "--format=%(refname)") {
			if re.MatchString(ref) {
				out = append(out, ref)
			}
		}
	}
	return out
}

// cut takes the parents of stops away, and of the commits where other kept refs come from these parents; then all refs
// but keep, and what nothing leads to any more.
func (k *cutter) cut(stops, keep []string) {
	refs := k.lines(append([]string{"rev-parse", "--symbolic-full-name"}, keep...)...)
	refs = slices.DeleteFunc(refs, func(r string) bool { return strings.HasSuffix(r, "/HEAD") })
	slices.Sort(refs)
	refs = slices.Compact(refs)
	stops = k.intersections(stops, refs)
	if k.err == nil {
		k.err = os.WriteFile(filepath.Join(k.dir, "shallow"), []byte(strings.Join(stops, "\n")+"\n"), 0o666)
	}
	for _, ref := range k.lines("for-each-ref", "--format=%(refname)") {
		if !slices.Contains(refs, ref) {
			k.git("update-ref", "--no-deref", "-d", ref)
		}
	}
	k.git("reflog", "expire", "--expire-unreachable=now", "--all")
	k.git("repack", "-a", "-d", "-q")
	if k.err == nil {
		if err := os.Remove(filepath.Join(k.dir, "objects/info/alternates")); err != nil && !os.IsNotExist(err) {
			k.err = err
		}
	}
	k.git("prune", "--expire", "now")
	k.git("fsck", "--no-progress", "--connectivity-only")
}

// intersections adds to stops the commits at which the histories of refs meet the parents of a stop: cut only at one of
// two ways, the history would be reached by the other.
func (k *cutter) intersections(stops, refs []string) []string {
	var out []string
	tips := k.lines(append([]string{"merge-base", "--independent"}, refs...)...)
	for queue := slices.Clone(stops); len(queue) > 0 && k.err == nil; queue = queue[1:] {
		if slices.Contains(out, queue[0]) {
			continue
		}
		out = append(out, queue[0])
		for _, parent := range k.lines("rev-parse", queue[0]+"^@") {
			for _, tip := range tips {
				base, err := k.f.git(k.ctx, k.repo, "merge-base", parent, tip)
				if err == nil { // else they have nothing in common
					queue = append(queue, strings.TrimSpace(base))
				}
			}
		}
	}
	return out
}
