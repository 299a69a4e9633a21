package kas

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// mergeAll lays the files over each other. The merged header carries the highest version seen.
func (l *loader) mergeAll(files []loadedFile) *yaml.Node {
	config := &yaml.Node{Value: &yaml.Map{}}
	version := int64(OldestVersion)
	for _, f := range files {
		if f.Lock && l.o.Update {
			continue
		}
		config = merged(config, f.root)
		v, _ := intOf(f.root.Lookup("header", "version"))
		version = max(version, v)
	}
	return merged(config, wrapped("header", wrapped("version", &yaml.Node{Value: version})))
}

// load reads files and fetches the repositories that includes need, until nothing is missing.
func (l *loader) load(ctx context.Context) (*Project, error) {
	if err := l.findTopRepo(); err != nil {
		return nil, err
	}
	co, err := newCheckouts(l)
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	var before []need
	for {
		w, err := l.gather(paths)
		if err != nil {
			return nil, err
		}
		config := l.mergeAll(w.files)
		if len(w.missing) == 0 {
			return l.finish(ctx, co, w.files, config)
		}
		if slices.Equal(w.missing, before) {
			return nil, unknownRepo(w.missing[0], config)
		}
		before = w.missing
		if err := l.fetchMissing(ctx, co, w.missing, config, paths); err != nil {
			return nil, err
		}
	}
}

func unknownRepo(n need, config *yaml.Node) error {
	e := diag.Userf(n.pos, "include names the repository %q, which no file defines", n.repo)
	var ids []string
	for _, r := range config.Lookup("repos").Map().Entries() {
		ids = append(ids, r.Key)
	}
	if near := diag.Nearest(n.repo, ids); near != "" {
		return e.WithHint("did you mean %q?", near)
	}
	return e.WithHint("define it under repos:")
}

// fetchMissing brings the repositories that includes wait for to disk, and adds their folders to paths.
func (l *loader) fetchMissing(ctx context.Context, co *checkouts, missing []need, config *yaml.Node, paths map[string]string) error {
	var repos []*Repo
	for _, n := range missing {
		if config.Lookup("repos").Map().Lookup(n.repo) == nil {
			continue // an include that is still missing itself may define it
		}
		r, err := l.repo(config, n.repo)
		if err != nil {
			return err
		}
		repos = append(repos, r)
	}
	if err := co.bring(ctx, repos); err != nil {
		return err
	}
	for _, r := range repos {
		paths[r.ID] = r.Path
		co.needed[r.ID] = true
	}
	return nil
}

// parse reads and checks one file, once.
func (l *loader) parse(path string, from diag.Pos, main bool) (*yaml.Node, error) {
	if n, ok := l.parsed[path]; ok {
		return n, nil
	}
	name := l.show(path)
	parse := yaml.Parse
	switch filepath.Ext(path) {
	case ".yml", ".yaml":
	case ".json":
		parse = yaml.ParseJSON
	default:
		return nil, diag.Userf(from, "%s is not a kas file by its name", name).WithHint("kas files end in .yml, .yaml or .json")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, l.unreadable(path, from, err)
	}
	n, err := parse(name, data, func(p diag.Pos, s string) { l.warnOnce("%v: %s", p, s) })
	if err != nil {
		return nil, err
	}
	if err := validate(n); err != nil {
		return nil, err
	}
	if n.Lookup("proxy_config").Map() != nil {
		l.warnOnce("%v: proxy_config is obsolete and has no effect", n.Lookup("proxy_config").Pos)
	}
	if bs, _ := n.Lookup("build_system").Text(); bs == "isar" && main {
		l.warnOnce("%v: the meaning of build_system: isar may change; write isar-privileged or isar-rootless",
			n.Lookup("build_system").Pos)
	}
	l.parsed[path] = n
	return n, nil
}

// unreadable explains why a file cannot be read, with the name that was probably meant.
func (l *loader) unreadable(path string, from diag.Pos, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return diag.Userf(from, "read kas file: %w", err)
	}
	e := diag.Userf(from, "kas file %s does not exist", l.show(path))
	entries, derr := os.ReadDir(filepath.Dir(path))
	if derr != nil {
		return e.WithHint("the folder %s does not exist either", l.show(filepath.Dir(path)))
	}
	var names []string
	for _, d := range entries {
		names = append(names, d.Name())
	}
	if near := diag.Nearest(filepath.Base(path), names); near != "" {
		return e.WithHint("did you mean %s?", l.show(filepath.Join(filepath.Dir(path), near)))
	}
	return e.WithHint("check the name; it is looked up in %s", l.show(filepath.Dir(path)))
}
