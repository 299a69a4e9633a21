package kas

import (
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/diag"
)

// findTopRepo sets the root of the repository that holds the files of the command line; all must lie in the same one.
func (l *loader) findTopRepo() error {
	first, isRepo := repoRoot(filepath.Dir(l.tops[0]))
	for _, f := range l.tops[1:] {
		root, ok := repoRoot(filepath.Dir(f))
		if ok != isRepo || ok && root != first {
			return diag.Userf(diag.Pos{}, "%s and %s are not in the same repository", l.show(l.tops[0]), l.show(f)).
				WithHint("files joined by colons are all in one repository, or all outside of any; " +
					"include the other ones by header.includes with repo and file")
		}
	}
	l.topRepo = first
	return nil
}

// repoRoot is the root of the working tree that holds dir; of a submodule, the superproject's.
// Without version control it is dir itself, and ok is false.
func repoRoot(dir string) (root string, ok bool) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return dir, false
	}
	for d := real; ; d = filepath.Dir(d) {
		if isWorkTree(d) {
			if super, ok := superproject(d); ok {
				return super, true
			}
			return d, true
		}
		if _, err := os.Stat(filepath.Join(d, ".hg", "requires")); err == nil {
			return d, true
		}
		if d == filepath.Dir(d) {
			return dir, false
		}
	}
}

// isWorkTree reports whether d is the root of a git working tree: it has a .git folder, or a file that names one.
func isWorkTree(d string) bool {
	git := filepath.Join(d, ".git")
	st, err := os.Stat(git)
	if err != nil {
		return false
	}
	if !st.IsDir() {
		return true
	}
	_, err = os.Stat(filepath.Join(git, "HEAD"))
	return err == nil
}

// superproject is the working tree whose submodule d is: d's .git file points into its .git/modules.
func superproject(d string) (string, bool) {
	data, err := os.ReadFile(filepath.Join(d, ".git"))
	if err != nil {
		return "", false
	}
	gitdir, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "gitdir:")
	if !ok || !strings.Contains(gitdir, "/modules/") {
		return "", false
	}
	for up := filepath.Dir(d); up != filepath.Dir(up); up = filepath.Dir(up) {
		if isWorkTree(up) {
			return up, true
		}
	}
	return "", false
}
