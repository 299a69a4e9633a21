package fetch

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"n3x/internal/diag"
)

// maxNested is how deep submodules may lie within submodules.
const maxNested = 32

// submodule is one submodule of a gitsm:// source at a revision.
type submodule struct {
	name, path string
	source     *Source // with the commit that the parent records
}

// submodules reads which submodules the revision has, from a clone or checkout that holds it. Entries of .gitmodules
// without a recorded commit are left out, as git leaves them out.
func (f *Fetcher) submodules(ctx context.Context, s *Source, revision, repo string) ([]submodule, error) {
	blob := revision + ":.gitmodules"
	if _, err := f.git(ctx, repo, "cat-file", "-e", blob); err != nil {
		return nil, ctx.Err() // none
	}
	out, err := f.git(ctx, repo, "config", "--blob", blob, "-z", "--get-regexp", `^submodule\..*\.(path|url)$`)
	if err != nil {
		return nil, diag.Failedf(s.Pos, "%s: read .gitmodules: %w", s.URL, err)
	}
	paths, urls := map[string]string{}, map[string]string{}
	var names []string
	for entry := range strings.SplitSeq(out, "\x00") {
		key, value, ok := strings.Cut(entry, "\n")
		if !ok {
			continue
		}
		key = strings.TrimPrefix(key, "submodule.")
		name, kind := key[:strings.LastIndexByte(key, '.')], key[strings.LastIndexByte(key, '.')+1:]
		if kind == "path" {
			paths[name] = value
			names = append(names, name)
		} else {
			urls[name] = value
		}
	}
	var all []submodule
	for _, name := range names {
		if !localPath(name) || !localPath(paths[name]) || strings.HasPrefix(paths[name], "-") {
			return nil, diag.Userf(s.Pos, "%s: submodule %q at %q leads out of the checkout", s.URL, name, paths[name])
		}
		out, err := f.git(ctx, repo, "ls-tree", "-z", "-d", revision, "--", paths[name])
		if err != nil {
			return nil, diag.Failedf(s.Pos, "%s: %w", s.URL, err)
		}
		words := strings.Fields(out)
		if len(words) < 3 || words[1] != "commit" {
			continue
		}
		sub, err := s.submodule(name, urls[name], words[2])
		if err != nil {
			return nil, diag.Userf(s.Pos, "%s: submodule %s: %w", s.URL, name, err)
		}
		all = append(all, submodule{name, paths[name], sub})
	}
	return all, nil
}

// submodule is the source that a submodule's url means.
func (s *Source) submodule(name, url, revision string) (*Source, error) {
	protocol := ""
	switch {
	case url == "":
		return nil, fmt.Errorf("it has no url")
	case strings.HasPrefix(url, "./"), strings.HasPrefix(url, ".."):
		sub := *s
		sub.Path = path.Join(s.Path, url)
		sub.URL = "gitsm://" + strings.TrimPrefix(s.addressOf(sub.Path), s.gitProtocol()+"://")
		return sub.asSubmodule(name, s.gitProtocol(), revision), nil
	case strings.Contains(url, "://"):
		protocol, url, _ = strings.Cut(url, "://")
		url = "gitsm://" + url
	case strings.Contains(url, ":"):
		host, rest, _ := strings.Cut(url, ":")
		protocol, url = "ssh", "gitsm://"+host+"/"+strings.TrimPrefix(rest, "/")
	default:
		protocol, url = "file", "gitsm://"+url
	}
	sub, err := Parse(url)
	if err != nil {
		return nil, err
	}
	sub.Pos = s.Pos
	if sub.Host == s.Host && sub.Path == s.Path {
		return nil, fmt.Errorf("it is the repository itself")
	}
	return sub.asSubmodule(name, protocol, revision), nil
}

// asSubmodule gives a source the parameters that submodules have. Their large files are not fetched, as in BitBake.
func (s *Source) asSubmodule(name, protocol, revision string) *Source {
	s.Scheme, s.Also, s.branchName, s.Revision, s.shallowTarball = "gitsm", nil, "", revision, ""
	s.Params = map[string]string{"name": name, "protocol": protocol, "nobranch": "1", "bareclone": "1", "lfs": "0"}
	return s
}

// fetchSubmodules brings what the revisions of a gitsm:// source need beyond its own clone.
func (f *Fetcher) fetchSubmodules(ctx context.Context, s *Source, depth int) error {
	if depth > maxNested {
		return diag.Userf(s.Pos, "%s: its submodules are nested deeper than %d", s.URL, maxNested)
	}
	c, err := f.shallow(s)
	if err != nil {
		return err
	}
	if !f.complete(ctx, s, c, f.cloneDir(s)) && f.haveShallow(c) {
		return f.inShallow(ctx, s, f.shallowFile(c), func(repo string) error { return f.fetchSubmodulesOf(ctx, s, repo, depth) })
	}
	return f.fetchSubmodulesOf(ctx, s, f.cloneDir(s), depth)
}

// fetchSubmodulesOf is fetchSubmodules for those that a repository with the revisions tells of.
func (f *Fetcher) fetchSubmodulesOf(ctx context.Context, s *Source, repo string, depth int) error {
	for _, r := range s.refs() {
		subs, err := f.submodules(ctx, s, r.Revision, repo)
		if err != nil {
			return err
		}
		for _, m := range subs {
			if err := m.source.supported(); err != nil {
				return err
			}
			if err := f.fetchRepository(ctx, m.source); err != nil {
				return diag.Failedf(s.Pos, "fetch submodule %s of %s: %w", m.name, withoutPassword(s.URL), err)
			}
			if err := f.fetchSubmodules(ctx, m.source, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// unpackSubmodules puts clones of the submodules into the repository at dest, where git looks for them, and checks them
// out; nothing is fetched.
func (f *Fetcher) unpackSubmodules(ctx context.Context, s *Source, dest string) error {
	found, err := f.placeSubmodules(ctx, s, dest, s.flag("bareclone"), 0)
	if err != nil || !found || s.flag("bareclone") || s.flag("nocheckout") {
		return err
	}
	if _, err := f.git(ctx, dest, "submodule", "--quiet", "update", "--recursive", "--no-fetch"); err != nil {
		return diag.Failedf(s.Pos, "unpack %s: %w", s.URL, err)
	}
	return nil
}

func (f *Fetcher) placeSubmodules(ctx context.Context, s *Source, dest string, bare bool, depth int) (found bool, err error) {
	subs, err := f.submodules(ctx, s, s.Revision, dest)
	if err != nil || depth > maxNested {
		return false, err
	}
	modules := filepath.Join(dest, ".git", "modules")
	if bare {
		modules = filepath.Join(dest, "modules")
	}
	for _, m := range subs {
		clone, at := f.cloneDir(m.source), filepath.Join(modules, m.name)
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			return true, err
		}
		whole, err := f.placeClone(ctx, m.source, at)
		if err != nil {
			return true, diag.Failedf(s.Pos, "unpack submodule %s of %s: %w", m.name, s.URL, err)
		}
		if !whole {
			clone = filepath.Join(f.o.DownloadDir, m.source.shallowTarball)
		}
		if _, err := f.placeSubmodules(ctx, m.source, at, true, depth+1); err != nil {
			return true, err
		}
		if _, err := f.git(ctx, at, "config", "core.bare", "false"); err != nil {
			return true, err
		}
		if _, err := f.git(ctx, dest, "config", "submodule."+m.name+".url", clone); err != nil {
			return true, err
		}
		if m.source.shallowTarball == "" {
			continue
		}
		if _, err := f.git(ctx, dest, "config", "submodule."+m.name+".shallow", "true"); err != nil {
			return true, err
		}
	}
	return len(subs) > 0, nil
}
