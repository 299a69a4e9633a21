package debhelper

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// installMan is what dh_installman(1) does to pages that are in the package already: pages that only include another
// become links, and all are UTF-8. Only pages that are UTF-8 already are handled.
func (b *builder) installMan() error {
	for _, name := range b.tree.files("usr/share/man") {
		n := b.tree.nodes[name]
		plain, zipped := strings.CutSuffix(name, ".gz")
		if strings.HasSuffix(name, ".Z") || zipped && b.tree.nodes[plain] != nil {
			return beyond("%s is an old compressed manual page, or there is another one", name)
		}
		text, err := n.read()
		if err == nil && zipped {
			text, err = gunzip(text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		first, _, _ := bytes.Cut(text, []byte("\n"))
		if n.size > 0 && n.size <= 1024 && soLine.Match(first) {
			if zipped {
				return beyond("%s is a compressed manual page that includes another", name)
			}
			if err := b.includedPage(name, string(soLine.FindSubmatch(first)[1])); err != nil {
				return err
			}
			continue
		}
		if !utf8.Valid(text) || len(text) == 0 || bytes.Contains(first, []byte("coding")) {
			return beyond("%s is empty or its text may have to be recoded", name)
		}
		delete(b.tree.nodes, name)
		b.replace(plain, &inode{mode: 0o644, size: int64(len(text)), mtime: b.stamp, data: text})
	}
	return nil
}

// maxPage bounds a manual page that is unpacked in memory.
const maxPage = 64 << 20

func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(z, maxPage+1))
	if err == nil && len(text) > maxPage {
		err = fmt.Errorf("it is larger than %d bytes", maxPage)
	}
	return text, err
}

var soLine = regexp.MustCompile(`\.so\s+(.*)\s*`)

// includedPage makes a link of a page that is ".so target".
func (b *builder) includedPage(name, target string) error {
	target = strings.TrimRight(target, " \t\r")
	dir := path.Dir(name)
	switch {
	case path.Base(dir) == path.Dir(target):
		target = path.Base(target)
	case strings.Contains(target, "/"):
		target = "../" + target
	}
	for _, suffix := range []string{"", ".gz"} {
		if b.tree.nodes[path.Join(dir, target)+suffix] != nil {
			b.tree.put(name, &node{kind: symlink, target: target, inode: &inode{mtime: b.stamp}})
			return nil
		}
	}
	return nil
}

// replace gives a name an inode of its own.
func (b *builder) replace(name string, n *inode) { b.tree.put(name, &node{kind: regular, inode: n}) }

var moduleName = regexp.MustCompile(`\.k?o(\.([gx]z|bz2))?$`)

// installModules is dh_installmodules(1): depmod for each kernel that modules are for.
func (b *builder) installModules() error {
	var versions []string
	for _, name := range b.tree.files("lib/modules") {
		if !moduleName.MatchString(name) {
			continue
		}
		if version, _, ok := strings.Cut(strings.TrimPrefix(name, "lib/modules/"), "/"); ok && !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
	}
	slices.Sort(versions)
	for _, v := range versions {
		for _, name := range []string{"postinst", "postrm"} {
			if err := b.addScript(name, "dh_installmodules", name+"-modules", false, "KVERS", v); err != nil {
				return err
			}
		}
	}
	return nil
}

// installInitramfs is dh_installinitramfs(1): hooks for the initial RAM disk make it anew.
func (b *builder) installInitramfs() error {
	if len(b.tree.below("usr/share/initramfs-tools/hooks")) > 0 {
		b.trigger = append(b.trigger, "# Triggers added by dh_installinitramfs/"+b.Release.Version+"\nactivate-noawait update-initramfs\n"...)
	}
	return nil
}

// icons is dh_icons(1): caches of icon themes are updated.
func (b *builder) icons() error {
	const top = "usr/share/icons"
	var themes []string
	for _, name := range b.tree.files(top) {
		theme, _, ok := strings.Cut(strings.TrimPrefix(name, top+"/"), "/")
		if !ok || theme[0] == '.' || theme == "gnome" || theme == "hicolor" || !slices.Contains([]string{".png", ".svg", ".xpm", ".icon"}, path.Ext(name)) {
			continue
		}
		if dir := "/" + top + "/" + theme; !slices.Contains(themes, dir) {
			themes = append(themes, dir)
		}
	}
	if len(themes) == 0 {
		return nil
	}
	slices.Sort(themes)
	for _, name := range []string{"postinst", "postrm"} {
		if err := b.addScript(name, "dh_icons", name+"-icons", false, "DIRLIST", strings.Join(themes, " ")); err != nil {
			return err
		}
	}
	return nil
}

var envPerl = regexp.MustCompile(`^#!\s*/usr/bin/env\s+perl\s`)

// perl is dh_perl(1): scripts that look for perl along PATH get its path. Perl modules are beyond.
func (b *builder) perl() error {
	for _, name := range b.tree.names() {
		n := b.tree.nodes[name]
		if strings.HasPrefix(name, "usr/share/perl5") || strings.HasPrefix(name, "usr/lib/") && strings.Contains(name, "/perl5") {
			return beyond("%s belongs to perl's modules", name)
		}
		if n.kind != regular || n.mode&0o111 == 0 && !strings.HasSuffix(name, ".pl") || strings.HasPrefix(name, "usr/share/doc/") {
			continue
		}
		head, err := n.head(32)
		if err != nil {
			return err
		}
		if !envPerl.Match(head) {
			continue
		}
		text, err := n.read()
		if err != nil {
			return err
		}
		text = append([]byte("#! /usr/bin/perl"), bytes.TrimPrefix(text, bytes.TrimRight(envPerl.Find(head), " \t\r\n"))...)
		b.replace(name, &inode{mode: n.mode, size: int64(len(text)), mtime: b.stamp, data: text})
	}
	return nil
}

var unsafeName = regexp.MustCompile("[\\s!'\"$()*#;<>?@\\[\\]\\\\`|]")

// usrLocal is dh_usrlocal(1): folders below /usr/local are made by postinst, since packages must not own them. Files
// there cannot be packaged.
func (b *builder) usrLocal() error {
	const top = "usr/local"
	if n := b.tree.nodes[top]; n == nil {
		return nil
	} else if n.kind != directory {
		return fmt.Errorf("/%s is no folder; debhelper refuses that", top)
	}
	names := b.tree.below(top)
	var dirs []string
	for _, name := range names {
		if b.tree.nodes[name].kind != directory {
			return fmt.Errorf("/%s: packages must not have files in /usr/local; install it elsewhere, e.g. in /%s (or bring a file `rules` with an empty override_dh_usrlocal)",
				name, strings.Replace(name, "usr/local/", "usr/", 1))
		}
		if unsafeName.MatchString("/" + name) {
			return fmt.Errorf("/%s: debhelper makes folders below /usr/local in a script, for which this name has the wrong characters", name)
		}
		dirs = append(dirs, "/"+name+" default")
	}
	delete(b.tree.nodes, top)
	for _, name := range names {
		delete(b.tree.nodes, name)
	}
	if len(dirs) == 0 {
		return nil
	}
	if err := b.addScript("postinst", "dh_usrlocal", "postinst-usrlocal", false, "DIRS", strings.Join(dirs, "\n")); err != nil {
		return err
	}
	just := postOrder(names)
	if len(just) == 0 {
		return nil
	}
	return b.addScript("prerm", "dh_usrlocal", "prerm-usrlocal", false, "JUSTDIRS", strings.Join(just, "\n"))
}

// postOrder lists the folders that lie in another one of /usr/local, each after what it holds. names has each folder
// before what it holds.
func postOrder(names []string) []string {
	var out, open []string
	shut := func() {
		last := open[len(open)-1]
		open = open[:len(open)-1]
		if strings.Count(last, "/") > 2 {
			out = append(out, "/"+last)
		}
	}
	for _, name := range names {
		for len(open) > 0 && !strings.HasPrefix(name, open[len(open)-1]+"/") {
			shut()
		}
		open = append(open, name)
	}
	for len(open) > 0 {
		shut()
	}
	return out
}

// link is dh_link(1) for the links that the package has: relative within a folder below the root, else absolute
// (Debian Policy 10.5).
func (b *builder) link() error {
	for _, name := range b.tree.names() {
		n := b.tree.nodes[name]
		if n.kind != symlink {
			continue
		}
		if n.target == "" {
			return fmt.Errorf("%s is a symbolic link to nothing", name)
		}
		target := n.target
		if target[0] != '/' {
			target = path.Dir("/"+name) + "/" + target
		}
		target = path.Clean(target)[1:]
		if target == name {
			continue
		}
		n.target = policyLink(name, target)
		n.mtime = b.stamp
	}
	return nil
}

func policyLink(name, target string) string {
	from, to := strings.Split(name, "/"), strings.Split(target, "/")
	if target == "" || from[0] != to[0] {
		return "/" + target
	}
	x := 0
	for x < len(to) && x < len(from) && to[x] == from[x] {
		x++
	}
	out := strings.TrimSuffix(strings.Repeat("../", max(0, len(from)-1-x))+strings.Join(to[x:], "/"), "/")
	if out == "" {
		return "."
	}
	return out
}
