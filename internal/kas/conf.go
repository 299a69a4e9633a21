package kas

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// Values of keys that no file sets.
const (
	defaultMachine     = "qemux86-64"
	defaultDistro      = "nodistro"
	defaultTarget      = "core-image-minimal"
	defaultTask        = "build"
	defaultBuildSystem = "openembedded"
)

// passedThrough are the variables that a build sees besides those of env:.
var passedThrough = []string{"SSTATE_DIR", "SSTATE_MIRRORS", "DL_DIR", "TMPDIR"}

// finish checks out the repositories of the complete configuration and makes the project of it.
func (l *loader) finish(ctx context.Context, co *checkouts, files []loadedFile, config *yaml.Node) (*Project, error) {
	p := &Project{WorkDir: l.workDir, BuildDir: l.buildDir, TopRepo: l.topRepo, Config: config}
	for _, f := range files {
		p.Files = append(p.Files, f.File)
	}
	var err error
	if p.Repos, err = l.repos(config); err != nil {
		return nil, err
	}
	if err := co.setUp(ctx, p.Repos); err != nil {
		return nil, err
	}
	p.Machine = l.setting(config, "machine", "KAS_MACHINE", defaultMachine)
	p.Distro = l.setting(config, "distro", "KAS_DISTRO", defaultDistro)
	p.Task = cmp.Or(l.o.Task, l.setting(config, "task", "KAS_TASK", defaultTask))
	p.Targets = l.targets(config)
	switch bs := l.setting(config, "build_system", "", defaultBuildSystem); bs {
	case "isar":
		p.BuildSystem = "isar-privileged"
	case "oe":
		p.BuildSystem = defaultBuildSystem
	default:
		p.BuildSystem = bs
	}
	p.Env = l.env(config)
	p.LocalConf, err = localConf(p)
	if err != nil {
		return nil, err
	}
	p.BBLayersConf, err = bblayersConf(p)
	return p, err
}

// setting is a string key: the caller's variable wins over the files.
func (l *loader) setting(config *yaml.Node, key, variable, fallback string) string {
	if v, ok := l.o.Env[variable]; ok {
		return v
	}
	if s, ok := config.Lookup(key).Text(); ok {
		return s
	}
	return fallback
}

func (l *loader) targets(config *yaml.Node) []string {
	if len(l.o.Targets) > 0 {
		return l.o.Targets
	}
	if words := strings.Fields(l.o.Env["KAS_TARGET"]); len(words) > 0 {
		return words
	}
	n := config.Lookup("target")
	if n == nil {
		return []string{defaultTarget}
	}
	if s, ok := n.Text(); ok {
		return []string{s}
	}
	targets := []string{}
	for _, t := range n.List() {
		s, _ := t.Text()
		targets = append(targets, s)
	}
	return targets
}

func (l *loader) env(config *yaml.Node) map[string]string {
	env := map[string]string{}
	for _, e := range config.Lookup("env").Map().Entries() {
		if s, ok := e.Node.Text(); ok {
			env[e.Key] = s
		}
		if v, ok := l.o.Env[e.Key]; ok {
			env[e.Key] = v
		}
	}
	for _, name := range passedThrough {
		if v, ok := l.o.Env[name]; ok {
			env[name] = v
		}
	}
	return env
}

// headers is the text that the entries of a header key put before a generated file, sorted by key.
func headers(config *yaml.Node, key string) string {
	entries := slices.Clone(config.Lookup(key).Map().Entries())
	slices.SortFunc(entries, func(a, b yaml.Entry) int { return cmp.Compare(a.Key, b.Key) })
	var b strings.Builder
	for _, e := range entries {
		s, _ := e.Node.Text()
		fmt.Fprintf(&b, "# %s\n%s\n", e.Key, s)
	}
	return b.String()
}

// multiconfigs are the names NAME of targets mc:NAME:..., each once, in the order of the targets.
func multiconfigs(targets []string) []string {
	var names []string
	for _, t := range targets {
		parts := strings.Split(t, ":")
		if len(parts) > 1 && (parts[0] == "mc" || parts[0] == "multiconfig") && !slices.Contains(names, parts[1]) {
			names = append(names, parts[1])
		}
	}
	return names
}

func localConf(p *Project) (string, error) {
	var b strings.Builder
	b.WriteString(headers(p.Config, "local_conf_header"))
	for _, kv := range [][2]string{{"machine", p.Machine}, {"distro", p.Distro}} {
		if strings.ContainsAny(kv[1], "\"\n") {
			return "", diag.Userf(posOf(p.Config, kv[0]), "%s %q has a quote or a line break in it", kv[0], kv[1])
		}
	}
	fmt.Fprintf(&b, "MACHINE ??= \"%s\"\n", p.Machine)
	fmt.Fprintf(&b, "DISTRO ??= \"%s\"\n", p.Distro)
	fmt.Fprintf(&b, "BBMULTICONFIG ?= \"%s\"\n", strings.Join(multiconfigs(p.Targets), " "))
	if p.BuildSystem == "isar-rootless" {
		b.WriteString("ISAR_ROOTLESS ?= \"1\"\n")
	}
	return b.String(), nil
}

func posOf(config *yaml.Node, key string) diag.Pos {
	if n := config.Lookup(key); n != nil {
		return n.Pos
	}
	return diag.Pos{}
}

func bblayersConf(p *Project) (string, error) {
	var paths []string
	for _, layer := range p.Layers() {
		rel, err := filepath.Rel(p.BuildDir, layer.Path)
		if err != nil {
			return "", fmt.Errorf("layer %s: %w", layer.Path, err)
		}
		paths = append(paths, "${TOPDIR}/"+rel)
	}
	return headers(p.Config, "bblayers_conf_header") +
		"BBLAYERS ?= \" \\\n    " + strings.Join(paths, " \\\n    ") + "\"\n" +
		"BBPATH ?= \"${TOPDIR}\"\n" +
		"BBFILES ??= \"\"\n", nil
}
