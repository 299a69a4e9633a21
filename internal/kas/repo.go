package kas

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// fullHash is how kas recognises a commit: 40 or more lower-case hex digits at the start.
var fullHash = regexp.MustCompile(`^[0-9a-f]{40}`)

// repos resolves every entry of repos: of the merged configuration.
func (l *loader) repos(config *yaml.Node) ([]*Repo, error) {
	var all []*Repo
	byPath := map[string]*Repo{}
	for _, e := range config.Lookup("repos").Map().Entries() {
		r, err := l.repo(config, e.Key)
		if err != nil {
			return nil, err
		}
		if other := byPath[r.Path]; other != nil && r.URL != "" {
			return nil, diag.Userf(r.Pos, "repositories %q and %q would both be checked out in %s", other.ID, r.ID, l.show(r.Path)).
				WithHint("give one of them another name: or path:")
		}
		if r.URL != "" {
			byPath[r.Path] = r
		}
		all = append(all, r)
	}
	return all, nil
}

// repo resolves one entry of repos: with defaults and overrides.
func (l *loader) repo(config *yaml.Node, id string) (*Repo, error) {
	entries := config.Lookup("repos").Map()
	m := entries.Lookup(id).Map()
	defaults := config.Lookup("defaults", "repos").Map()
	overrides := config.Lookup("overrides", "repos", id).Map()

	r := &Repo{ID: id, Name: id, Pos: entries.KeyPos(id)}
	for key, to := range map[string]*string{"name": &r.Name, "url": &r.URL, "commit": &r.Commit, "branch": &r.Branch,
		"tag": &r.Tag, "refspec": &r.Refspec} {
		n := m.Lookup(key)
		if n == nil && (key == "branch" || key == "tag" || key == "refspec") {
			n = defaults.Lookup(key)
		}
		if s, ok := n.Text(); ok {
			if s == "" {
				return nil, diag.Userf(n.Pos, "%s of repository %q is empty", key, id).WithHint("leave the key out")
			}
			*to = s
		}
	}
	if err := l.pin(r, m, overrides); err != nil {
		return nil, err
	}
	if err := l.refuseRepo(r, m); err != nil {
		return nil, err
	}
	l.place(r, m)
	l.layers(r, m)
	return r, l.patches(r, m, defaults)
}

// pin applies overrides and checks that the repository says which revision is meant.
func (l *loader) pin(r *Repo, m, overrides *yaml.Map) error {
	if r.URL != "" && r.Commit+r.Tag+r.Branch+r.Refspec == "" {
		return diag.Userf(m.Lookup("url").Pos, "repository %q has a url, but no commit, branch or tag", r.ID).
			WithHint("add commit: (safe) or branch: to repos.%s", r.ID)
	}
	override := func(key string, to *string) {
		if n := overrides.Lookup(key); n != nil {
			*to, _ = n.Text() // null takes the value away
		}
	}
	if r.Refspec != "" {
		l.warnOnce("Using deprecated refspec for repository %q. You should migrate to commit/tag/branch.", r.Name)
		if r.Commit+r.Tag+r.Branch != "" {
			return diag.Userf(r.Pos, "repository %q mixes refspec with commit, tag or branch", r.ID).
				WithHint("replace refspec by commit, tag or branch")
		}
		override("commit", &r.Refspec)
	} else {
		override("commit", &r.Commit)
		override("branch", &r.Branch)
		override("url", &r.URL)
	}
	for _, ref := range []string{r.Commit, r.Branch, r.Tag, r.Refspec, r.URL} {
		if len(ref) > 0 && ref[0] == '-' {
			return diag.Userf(r.Pos, "%q of repository %q begins with a dash, which git would take for an option", ref, r.ID)
		}
	}
	l.warnUnpinned(r)
	return nil
}

func (l *loader) warnUnpinned(r *Repo) {
	if r.Commit != "" && l.o.Update {
		l.warnOnce("Update of %q requested, but repo is pinned to a fixed commit. Not updating.", r.Name)
	}
	if r.Commit != "" && !fullHash.MatchString(r.Commit) {
		l.warnOnce("%s is not a full-length hash for repo %q. This will be an error in future versions.", r.Commit, r.Name)
	}
	if r.URL == "" || r.Commit != "" || l.o.Update {
		return
	}
	switch {
	case r.Tag != "":
		l.warnOnce("Using tag without commit for repository %q is unsafe as tags are mutable.", r.Name)
	case r.Branch != "":
		l.warnOnce("Using branch without commit for repository %q is unsafe. Either add a commit or use a lock file.", r.Name)
	}
}

// refuseRepo names what is valid but cannot be done yet.
func (l *loader) refuseRepo(r *Repo, m *yaml.Map) error {
	if t, _ := m.Lookup("type").Text(); t == "hg" {
		return diag.Userf(m.Lookup("type").Pos, "repository %q: type \"hg\" (Mercurial) is not supported yet", r.ID).
			WithHint("use a git mirror of it")
	}
	if s := m.Lookup("signed"); s != nil && s.Value == true {
		if len(m.Lookup("allowed_signers").List()) == 0 {
			return diag.Userf(s.Pos, "repository %q is signed, but has no allowed_signers", r.ID).WithHint("list the keys of signers: that may sign it")
		}
		return diag.Userf(s.Pos, "repository %q: signed repositories are not supported yet", r.ID).
			WithHint("pin the repository by commit: and set signed: false")
	}
	return nil
}

// place sets the folder of the repository.
func (l *loader) place(r *Repo, m *yaml.Map) {
	path, ok := m.Lookup("path").Text()
	switch {
	case ok && filepath.IsAbs(path):
		r.Path = filepath.Clean(path)
	case ok:
		r.Path = filepath.Join(l.workDir, path)
	case r.URL == "":
		r.Path, _ = repoRoot(l.topRepo)
	default:
		r.Path = filepath.Join(l.workDir, r.Name)
	}
}

// layers lists the enabled layers; without the key, the repository itself is one.
func (l *loader) layers(r *Repo, m *yaml.Map) {
	entries := []yaml.Entry{{Key: "", Node: &yaml.Node{}}}
	if n := m.Lookup("layers"); n != nil {
		entries = n.Map().Entries()
	}
	for _, e := range entries {
		layer := Layer{Name: e.Key, Path: filepath.Join(r.Path, e.Key)}
		if filepath.IsAbs(e.Key) {
			layer.Path = filepath.Clean(e.Key)
		}
		switch v := e.Node.Value.(type) {
		case nil:
		case *yaml.Map:
			if p := v.Lookup("prio"); p != nil {
				prio, _ := intOf(p)
				layer.Prio = int(prio)
			}
		default:
			if v != disabledWords[0] {
				l.warnOnce("%v: Use of deprecated value \"%v\" for repo %q, layer %q. Replace with \"disabled\".",
					e.Node.Pos, v, r.Name, e.Key)
			}
			continue
		}
		r.Layers = append(r.Layers, layer)
	}
}

// patches lists the patches in the order of their IDs; null takes one away.
func (l *loader) patches(r *Repo, m, defaults *yaml.Map) error {
	fallback, _ := defaults.Lookup("patches").Map().Lookup("repo").Text()
	for _, e := range m.Lookup("patches").Map().Entries() {
		pm := e.Node.Map()
		if len(pm.Entries()) == 0 {
			continue
		}
		p := Patch{ID: e.Key, Repo: fallback, Pos: e.KeyPos}
		p.Path, _ = pm.Lookup("path").Text()
		if s, ok := pm.Lookup("repo").Text(); ok {
			p.Repo = s
		}
		if p.Repo == "" {
			return diag.Userf(e.KeyPos, "patch %q of repository %q names no repo that holds it", e.Key, r.ID).
				WithHint("add repo: to it, or set defaults.repos.patches.repo")
		}
		r.Patches = append(r.Patches, p)
	}
	slices.SortFunc(r.Patches, func(a, b Patch) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

// sortedLayers is the order of BBLAYERS: priority falling, then repository name, then layer name.
func sortedLayers(repos []*Repo) []Layer {
	type named struct {
		repo string
		Layer
	}
	var all []named
	for _, r := range repos {
		for _, l := range r.Layers {
			all = append(all, named{r.Name, l})
		}
	}
	slices.SortStableFunc(all, func(a, b named) int {
		return cmp.Or(cmp.Compare(b.Prio, a.Prio), cmp.Compare(a.repo, b.repo), cmp.Compare(a.Name, b.Name))
	})
	var out []Layer
	for _, n := range all {
		out = append(out, n.Layer)
	}
	return out
}
