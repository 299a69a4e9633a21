// Package debhelper makes the binary package that dpkg-buildpackage makes with debhelper from a source tree, without
// running either: for trees that only install files, where the result follows from the files alone.
//
// It takes a tree with debian/ (control, changelog, rules, NAME.install, maintainer scripts, units, tmpfiles,
// triggers, copyright) and the files to install below image/, and gives what goes into the .deb. What it does not do
// itself it refuses with a [Beyond], so that the caller can run the real programs: rules of the package's own,
// substitution variables, ELF files, files of debian/ for other debhelper commands.
//
// Mirrors debhelper's sequence for compat 13 (dh_install, dh_installdocs, dh_installchangelogs, dh_installman,
// dh_installtmpfiles, dh_installsystemd, dh_installsystemduser, dh_installmodules, dh_installinitramfs, dh_icons,
// dh_perl, dh_usrlocal, dh_link, dh_strip_nondeterminism, dh_compress, dh_fixperms, dh_installdeb, dh_md5sums), and of dpkg
// dpkg-source(1), dpkg-gencontrol(1) and dpkg-deb(1). The pieces of maintainer scripts come from the distribution's own
// debhelper package; which of its versions are mirrored is told by its programs (see [ReadRelease]).
package debhelper

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
)

// Source is a source tree and the circumstances of its build.
type Source struct {
	Dir      string    // holds debian/ and image/
	Release  *Release  // the debhelper whose answer is wanted
	HostArch string    // the architecture that "any" stands for, e.g. "arm64"
	Options  []string  // words of DEB_BUILD_OPTIONS
	Profiles []string  // words of DEB_BUILD_PROFILES
	Epoch    time.Time // later times of files are set to it when the source package is made; zero: the changelog's date
}

// Package is a finished binary package.
type Package struct {
	Name, Version, Arch string
	Contents            deb.Contents
	Notes               []string // what the user should know, e.g. modes that a source package does not keep
}

// FileName is the name that dpkg-deb gives the package, e.g. "hello_1.0-1_amd64.deb".
func (p *Package) FileName() string {
	return p.Name + "_" + debian.Version(p.Version).WithoutEpoch() + "_" + p.Arch + ".deb"
}

// Beyond says why a package needs the real debhelper.
type Beyond struct{ Reason string }

// Error implements error.
func (b *Beyond) Error() string { return "it needs the real debhelper: " + b.Reason }

func beyond(format string, args ...any) error { return &Beyond{fmt.Sprintf(format, args...)} }

// builder is a package in the making.
type builder struct {
	Source
	like    *behaviour
	control *control
	rules   *rules
	log     *changelog
	name    string
	arch    string
	stamp   time.Time // SOURCE_DATE_EPOCH of the build: the changelog's date
	tree    *tree     // the folder debian/NAME
	unread  map[string]bool
	scripts map[string]*script
	trigger []byte // what debhelper itself adds to triggers
	notes   []string
}

// Build makes the package. Errors are a [*Beyond], or say what real debhelper or dpkg would refuse too.
func (s Source) Build() (*Package, error) {
	b := &builder{Source: s, tree: newTree(), unread: map[string]bool{}, scripts: map[string]*script{}}
	if err := b.read(); err != nil {
		return nil, err
	}
	steps := []struct {
		name string
		run  func() error
	}{
		{"dh_install", b.install}, {"dh_installdocs", b.installDocs}, {"dh_installchangelogs", b.installChangelogs},
		{"dh_installman", b.installMan}, {"dh_installtmpfiles", b.installTmpfiles}, {"dh_installsystemd", b.installSystemd},
		{"dh_installsystemduser", b.installSystemdUser}, {"dh_installmodules", b.installModules},
		{"dh_installinitramfs", b.installInitramfs}, {"dh_icons", b.icons}, {"dh_perl", b.perl}, {"dh_usrlocal", b.usrLocal},
		{"dh_link", b.link}, {"dh_strip_nondeterminism", b.stripNondeterminism}, {"dh_compress", b.compress}, {"dh_fixperms", b.fixPerms},
		{"dh_strip", b.refuseELF},
	}
	for _, step := range steps {
		if b.rules.skipped[step.name] && step.name != "dh_strip" {
			continue
		}
		if err := step.run(); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return b.finish()
}

// read looks at all of debian/ that says what is to be done.
func (b *builder) read() error {
	if b.like = b.Release.behaviour(); b.like == nil {
		return beyond("n3x does not know what debhelper %s does with dpkg %s", b.Release.Version, b.Release.Dpkg)
	}
	if err := b.list(); err != nil {
		return err
	}
	for _, o := range b.Options {
		switch name, _, _ := strings.Cut(o, "="); name {
		case "parallel", "nocheck", "nostrip", "noopt", "noautodbgsym", "terse":
		default:
			return beyond("DEB_BUILD_OPTIONS has %s", o)
		}
	}
	for _, p := range b.Profiles {
		if p == "nodoc" {
			return beyond("DEB_BUILD_PROFILES has nodoc")
		}
	}
	text, err := b.take("control")
	if err != nil {
		return err
	}
	if b.control, err = parseControl(string(text)); err != nil {
		return fmt.Errorf("debian/control: %w", err)
	}
	if b.name, b.arch, err = b.control.identity(b.HostArch); err != nil {
		return err
	}
	if text, err = b.take("changelog"); err != nil {
		return err
	}
	if b.log, err = parseChangelog(string(text)); err != nil {
		return err
	}
	if source := b.control.source.get("Source"); source != b.log.source {
		return fmt.Errorf("debian/changelog names the source %s, debian/control %s", b.log.source, source)
	}
	if b.log.nobody {
		b.notes = append(b.notes, "MAINTAINER has no address like <name@example.org>")
	}
	b.stamp = b.log.date
	if b.Epoch.IsZero() {
		b.Epoch = b.stamp
	}
	if text, err = b.take("rules"); err != nil {
		return err
	}
	b.rules, err = parseRules(string(text))
	return err
}

// buildSystems are the files by which dh_auto_configure(1) and its like choose a build system.
var buildSystems = []string{"configure", "configure.ac", "configure.in", "Makefile", "makefile", "GNUmakefile", "CMakeLists.txt", "meson.build",
	"build.ninja", "setup.py", "Makefile.PL", "Build.PL", "build.xml"}

// list notes what debian/ holds and looks for the files of a build system beside it.
func (b *builder) list() error {
	entries, err := os.ReadDir(filepath.Join(b.Dir, "debian"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			return beyond("debian/%s is no regular file", e.Name())
		}
		b.unread[e.Name()] = true
	}
	if entries, err = os.ReadDir(b.Dir); err != nil {
		return err
	}
	for _, e := range entries {
		if slices.Contains(buildSystems, e.Name()) || strings.HasSuffix(e.Name(), ".pro") {
			return beyond("%s beside debian/ asks for a build", e.Name())
		}
	}
	return nil
}

// take reads a file of debian/.
func (b *builder) take(name string) ([]byte, error) {
	delete(b.unread, name)
	return os.ReadFile(filepath.Join(b.Dir, "debian", name))
}

// optional reads a file of debian/ that need not be there.
func (b *builder) optional(name string) (data []byte, found bool, err error) {
	if !b.unread[name] {
		return nil, false, nil
	}
	data, err = b.take(name)
	return data, err == nil, err
}

// install is dh_install(1) with --sourcedir=image: the entries of NAME.install, copied with all below them.
func (b *builder) install() error {
	text, found, err := b.optional(b.name + ".install")
	if err != nil || !found {
		return err
	}
	if !b.rules.fromImage {
		return beyond("debian/rules does not install from image/")
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		line = strings.Trim(line, " \t\r\v\f")
		if line == "" || line[0] == '#' {
			continue
		}
		if strings.ContainsAny(line, " \t*?[]{}\\$\"'`") {
			return beyond("%q in debian/%s.install is more than a plain name", line, b.name)
		}
		top := filepath.Join(b.Dir, "image", line)
		if err := b.copyTree(top, line); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) copyTree(top, name string) error {
	inodes := b.tree.inodes
	return filepath.WalkDir(top, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(filepath.Join(name, rel))
		info, err := d.Info()
		if err != nil {
			return err
		}
		return b.copyFile(file, rel, info, inodes)
	})
}

// copyFile adds a file as it is after a source package was made of it and unpacked again by an ordinary user with
// umask 022: everybody may read, the owner may write, what anybody could execute all can, and the rest is lost.
func (b *builder) copyFile(file, name string, info fs.FileInfo, inodes map[fileID]*inode) error {
	if strings.ContainsAny(name, "\n\\") {
		return beyond("the name %q has a line break or a backslash", name)
	}
	mode := info.Mode()
	mtime := info.ModTime().Truncate(time.Second)
	if mtime.After(b.Epoch) {
		mtime = b.Epoch
	}
	switch {
	case mode.IsDir():
		b.tree.mkdir(name, mtime)
		b.noteMode(name, mode, 0o755)
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(file)
		if err != nil {
			return err
		}
		b.tree.put(name, &node{kind: symlink, target: target, inode: &inode{mtime: mtime}})
	case mode.IsRegular():
		n := &inode{mode: 0o644, size: info.Size(), mtime: mtime, file: file}
		if mode&0o111 != 0 {
			n.mode = 0o755
		}
		if id, ok := hardLinked(info); ok {
			if first := inodes[id]; first != nil {
				n = first
			}
			inodes[id] = n
		}
		b.tree.put(name, &node{kind: regular, inode: n})
		b.noteMode(name, mode, n.mode)
	default:
		return fmt.Errorf("%s is neither a file, a folder nor a symbolic link, which a package cannot hold", name)
	}
	return nil
}

// noteMode says when a mode that somebody wants to keep gets lost.
func (b *builder) noteMode(name string, was fs.FileMode, now int64) {
	if special := was & (fs.ModeSetuid | fs.ModeSetgid); special != 0 && !was.IsDir() {
		b.notes = append(b.notes, fmt.Sprintf("%s is setuid or setgid, which no source package keeps; set it in postinst", name))
		return
	}
	if int64(was.Perm()) != now && b.rules.excluded(b.name, name) {
		b.notes = append(b.notes, fmt.Sprintf("%s has mode %04o, of which a source package keeps %04o; set it in postinst", name, was.Perm(), now))
	}
}
