package kas

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"n3x/internal/diag"
)

// applyPatches puts r's patches on a branch of their own, one commit each, with dates from the patches, so that the
// commit IDs are the same everywhere. Patches already applied by an earlier run vanish with the checkout before.
func (c *checkouts) applyPatches(ctx context.Context, r *Repo, repos map[string]*Repo) error {
	if dirty, err := c.dirty(ctx, r); err != nil {
		return err
	} else if dirty {
		c.l.log(Warning, "Repo %s is dirty - no patching", r.Name)
		return nil
	}
	base := r.Commit
	if base == "" {
		base = trimRefs(r.Tag + r.Branch + r.Refspec)
	}
	if err := c.must(ctx, r, r.Path, "patch", "checkout", "-q", "-B", "patched-"+base); err != nil {
		return err
	}
	for _, p := range r.Patches {
		files, err := c.patchFiles(r, p, repos)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := c.applyPatch(ctx, r, p, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// patchFiles are the files of one patch entry: the file itself, or those of a quilt series.
func (c *checkouts) patchFiles(r *Repo, p Patch, repos map[string]*Repo) ([]string, error) {
	holder := repos[p.Repo]
	if holder == nil {
		return nil, diag.Userf(p.Pos, "patch %q of repository %q lies in repository %q, which is not defined", p.ID, r.ID, p.Repo)
	}
	path := filepath.Join(holder.Path, p.Path)
	st, err := os.Stat(path)
	if err == nil && st.Mode().IsRegular() {
		return []string{path}, nil
	}
	series, err := os.ReadFile(filepath.Join(path, "series"))
	if err != nil {
		return nil, diag.Userf(p.Pos, "patch %q of repository %q: there is no patch and no quilt series at %s", p.ID, r.ID, c.l.show(path))
	}
	var files []string
	for line := range strings.Lines(string(series)) {
		name, _, _ := strings.Cut(line, " #")
		if name = strings.TrimRight(name, " \t\r\n"); strings.HasPrefix(line, "#") || name == "" {
			continue
		}
		file := filepath.Join(path, name)
		if st, err := os.Stat(file); err != nil || !st.Mode().IsRegular() {
			return nil, diag.Userf(p.Pos, "patch %q of repository %q: the series names %s, which does not exist", p.ID, r.ID, c.l.show(file))
		}
		files = append(files, file)
	}
	return files, nil
}

func (c *checkouts) applyPatch(ctx context.Context, r *Repo, p Patch, file string) error {
	date, err := patchDate(file)
	if err != nil {
		return diag.Failedf(p.Pos, "read patch: %w", err)
	}
	args := []string{"apply", "--whitespace=nowarn", file}
	res, err := c.git(ctx, r.Path, args...)
	if err != nil {
		return err
	}
	if res.status != 0 {
		return diag.Userf(p.Pos, "patch %q does not apply to repository %q: %s", p.ID, r.ID, c.l.show(file)).
			WithNote("git says: %s", strings.TrimSpace(res.stderr)).
			WithHint("make the patch again for revision %s", r.Commit+r.Tag+r.Branch+r.Refspec)
	}
	c.l.log(Info, "Patch applied. (patch path: %s, repo: %s, patch entry: %s)", file, r.Name, p.ID)
	if err := c.must(ctx, r, r.Path, "patch", "add", "-A"); err != nil {
		return err
	}
	args = []string{"-c", "commit.gpgSign=false", "commit", "-a", "--no-verify", "--author", "kas <kas@example.com>",
		"-m", "kas: " + p.ID + "\n\npatch " + file + " applied by kas", "--date", date}
	res, err = c.gitEnv(ctx, r.Path, []string{"GIT_COMMITTER_NAME=kas User", "GIT_COMMITTER_EMAIL=kas@example.com",
		"GIT_COMMITTER_DATE=" + date}, args...)
	if err == nil && res.status != 0 {
		err = gitFailed(r, "commit a patch to", []string{"commit"}, res)
	}
	return err
}

// patchDate is the date of the commit that a patch becomes: its third line, when that is "Date: ...", else its file time.
func patchDate(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if lines := strings.SplitN(string(data), "\n", 4); len(lines) > 2 {
		if d, ok := strings.CutPrefix(lines[2], "Date: "); ok {
			return strings.TrimSpace(d), nil
		}
	}
	st, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	return st.ModTime().Format(time.RFC1123Z), nil
}
