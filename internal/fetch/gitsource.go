package fetch

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/diag"
)

// gitOptions are given to every git command, as BitBake does. safe.directory: DL_DIR may be shared with other users.
var gitOptions = []string{"-c", "gc.autoDetach=false", "-c", "core.pager=cat", "-c", "safe.bareRepository=all",
	"-c", "safe.directory=*", "-c", "clone.defaultRemoteName=origin"}

// gitHash is a full commit ID, SHA-1 or SHA-256.
var gitHash = regexp.MustCompile(`^[0-9a-f]{40,64}$`)

// gitProtocols are the values of protocol= that git itself can fetch by.
var gitProtocols = []string{"git", "file", "ssh", "http", "https", "rsync"}

func (s *Source) supportedGit() error {
	if p := s.gitProtocol(); !slices.Contains(gitProtocols, p) {
		return diag.Userf(s.Pos, "%s: protocol %q is not known", s.URL, p).WithHint("it is one of %s", strings.Join(gitProtocols, ", "))
	}
	if s.flag("usehead") && s.gitProtocol() != "file" {
		return diag.Userf(s.Pos, "%s: usehead=1 is for local repositories (protocol=file)", s.URL)
	}
	for _, r := range s.refs() {
		if strings.HasPrefix(r.Branch, "-") {
			return diag.Userf(s.Pos, "%s: the branch begins with a dash, which git would take for an option", s.URL)
		}
	}
	return nil
}

// isGit reports whether git brings the source.
func (s *Source) isGit() bool { return s.Scheme == "git" || s.Scheme == "gitsm" }

// git is the git source that s is, or that holds it; nil when git has nothing to do with it.
func (s *Source) git() *Source {
	if s.isGit() {
		return s
	}
	return s.repository
}

// refs are the revisions that a git source names, the one to check out first.
func (s *Source) refs() []Ref {
	name, _, _ := strings.Cut(s.Name(), ",")
	return append([]Ref{{Name: name, Branch: s.branchName, Revision: s.Revision}}, s.Also...)
}

// withBranch reports whether the revisions must be on their branches.
func (s *Source) withBranch() bool { return !s.flag("nobranch") && !s.flag("usehead") }

// flag is a parameter that is 1 or 0.
func (s *Source) flag(name string) bool { return s.Params[name] == "1" }

func (s *Source) gitProtocol() string {
	p := s.Params["protocol"]
	if p == "" {
		p = s.Params["proto"]
	}
	switch {
	case p == "" && s.Host == "":
		p = "file"
	case p == "":
		p = "git"
	}
	if p == "git" && s.Host == "github.com" {
		return "https" // GitHub no longer serves git://
	}
	return p
}

// gitAddress is what git clones from.
func (s *Source) gitAddress() string { return s.addressOf(s.Path) }

func (s *Source) addressOf(path string) string {
	user := ""
	if s.User != "" {
		user = s.User + "@"
	}
	return s.gitProtocol() + "://" + user + s.Host + quotePath(path)
}

// gitName is the folder name of the source's bare clone, e.g. "github.com.ilbers.isar.git".
func (s *Source) gitName() string {
	name := strings.ReplaceAll(s.Host, ":", ".") + strings.NewReplacer("/", ".", "*", ".", " ", "_", "(", "_", ")", "_").Replace(s.Path)
	name = strings.TrimPrefix(name, ".")
	if s.flag("rebaseable") { // upstream may drop the revision: each has a clone of its own
		for _, r := range s.refs() {
			name += "_" + r.Revision
		}
	}
	return name
}

// gitTarball is the name under which mirrors keep the bare clone.
func (s *Source) gitTarball() string { return "git2_" + s.gitName() + ".tar.gz" }

// tarballs are the names under which mirrors may have the source, the better one first; one empty name when it is not
// git's.
func (s *Source) tarballs() []string {
	switch {
	case !s.isGit():
		return []string{""}
	case s.shallowTarball != "":
		return []string{s.shallowTarball, s.gitTarball()}
	}
	return []string{s.gitTarball()}
}

func (f *Fetcher) cloneDir(s *Source) string { return filepath.Join(f.o.GitDir, s.gitName()) }
