package debhelper

import (
	"path"
	"slices"
	"strings"
)

var executableDirs = []string{"usr/bin", "bin", "usr/sbin", "sbin", "usr/games", "usr/libexec", "etc/init.d"}

// fixPerms is dh_fixperms(1) on files of which everybody can read all, and either nobody or everybody execute.
func (b *builder) fixPerms() error {
	for _, name := range b.tree.names() {
		n := b.tree.nodes[name]
		if n.kind == symlink || b.rules.excluded(b.name, name) {
			continue
		}
		if n.kind == directory {
			n.mode = 0o755
			continue
		}
		n.mode = b.fixedMode(name, n.mode)
	}
	return nil
}

func (b *builder) fixedMode(name string, mode int64) int64 {
	mode = mode&0o777 | 0o644
	if mode&0o111 != 0 {
		mode |= 0o111
	}
	mode &^= 0o022
	in := func(dirs ...string) bool {
		return slices.ContainsFunc(dirs, func(d string) bool { return strings.HasPrefix(name, d+"/") })
	}
	if doc, ok := strings.CutPrefix(name, "usr/share/doc/"); ok {
		if _, rest, _ := strings.Cut(doc, "/"); !strings.HasPrefix(rest, "examples/") {
			mode = 0o644
		}
	}
	if in("usr/share/man", "usr/include", "usr/share/applications", "usr/share/lintian/overrides") || b.like.themes && in("usr/share/themes") {
		mode = 0o644
	}
	if plainData(path.Base(name)) {
		mode = 0o644
	}
	if in(executableDirs...) {
		mode |= 0o111
	}
	if in("usr/lib") && strings.HasSuffix(name, ".ali") {
		mode &^= 0o222
	}
	if parts := strings.Split(name, "/"); in("usr/lib/nodejs") && len(parts) == 5 && (parts[4] == "cli.js" || parts[4] == "bin.js") {
		mode = 0o755
	}
	switch bug := "usr/share/bug/" + b.name; {
	case name == bug, name == bug+"/script":
		mode = 0o755
	case in(bug) && path.Base(name) != "script":
		mode = 0o644
	}
	if in("etc/sudoers.d") {
		mode = 0o440
	}
	return mode
}

var dataSuffixes = []string{".so", ".la", ".a", ".js", ".css", ".scss", ".sass", ".jpeg", ".jpg", ".png", ".gif", ".cmxs", ".node"}

// plainData tells whether a file is never executed, by its name.
func plainData(base string) bool {
	return slices.ContainsFunc(dataSuffixes, func(s string) bool { return strings.HasSuffix(base, s) }) || strings.Contains(base, ".so.")
}
