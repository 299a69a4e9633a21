package packages

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"n3x/internal/atomicfile"
	"n3x/internal/debian"
	"n3x/internal/debian/deb"
	"n3x/internal/diag"
	"n3x/internal/isar"
)

// raw is what a dpkg-raw recipe says about its package.
type raw struct {
	name, version, arch string
	dir                 string // what do_install filled
	work                string
	preserve            []string // PRESERVE_PERMS: parts of paths whose modes stay
	stamp               time.Time
	fields              []string // control fields, "Name: value", in dpkg's order
	changelog           string
}

var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

// buildRaw writes the .deb of a package that only installs files, as debhelper would from the same files.
func buildRaw(_ context.Context, c *isar.Call) error {
	r, err := readRaw(c)
	if err != nil {
		return err
	}
	if err := removeDebs(c); err != nil {
		return err
	}
	entries, err := r.entries()
	if err != nil {
		return err
	}
	scripts, extra, err := r.maintainerScripts(entries)
	if err != nil {
		return err
	}
	entries = append(entries, extra...)
	doc, err := r.documentation()
	if err != nil {
		return err
	}
	entries = append(entries, doc...)
	control := scripts
	if list := conffiles(entries); list != "" {
		control = append(control, deb.ControlFile{Name: "conffiles", Mode: 0o644, Data: []byte(list)})
	}
	control = append(control, r.control(installedSize(entries, control)))
	file := fmt.Sprintf("%s_%s_%s.deb", r.name, withoutEpoch(r.version), r.arch)
	out := filepath.Join(r.work, file)
	err = atomicfile.WriteFrom(out, 0o644, func(w io.Writer) error {
		return deb.Write(w, deb.Contents{Control: control, Data: entries, ModTime: r.stamp, MD5Sums: true})
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Log, "wrote %s: %d entries\n", out, len(entries))
	return err
}

func withoutEpoch(v string) string {
	if _, after, ok := strings.Cut(v, ":"); ok {
		return after
	}
	return v
}

func readRaw(c *isar.Call) (*raw, error) {
	v, err := c.Values("BPN", "CHANGELOG_V", "DPKG_ARCH", "PACKAGE_ARCH", "D", "WORKDIR", "PRESERVE_PERMS", "DEBIAN_CHANGELOG_TIMESTAMP")
	if err != nil {
		return nil, err
	}
	r := &raw{name: v[0], version: v[1], arch: v[2], dir: v[4], work: v[5], preserve: strings.Fields(v[6])}
	if !packageName.MatchString(r.name) {
		return nil, diag.Userf(c.Pos, "%q is not a package name: it has lower-case letters, digits and + - . only, at least two", r.name).WithHint("set PN, or rename the recipe")
	}
	if _, err := debian.ParseVersion(r.version); err != nil {
		return nil, diag.Userf(c.Pos, "%s: CHANGELOG_V is not a Debian version: %w", r.name, err).WithHint("set PV or CHANGELOG_V to something like 1.0 or 1.0-1")
	}
	switch r.arch {
	case "any":
		r.arch = v[3]
	case "all":
	default:
		if r.arch != v[3] {
			return nil, diag.Userf(c.Pos, "DPKG_ARCH is %q; %s can be built for all, any or %s here", r.arch, r.name, v[3])
		}
	}
	seconds, err := strconv.ParseInt(v[7], 10, 64)
	if err != nil {
		return nil, diag.Userf(c.Pos, "DEBIAN_CHANGELOG_TIMESTAMP is %q, not a number of seconds since 1970", v[7])
	}
	r.stamp = time.Unix(seconds, 0)
	for _, name := range []string{"control", "rules", "changelog"} {
		if _, err := os.Stat(filepath.Join(r.work, name)); err == nil {
			return nil, diag.Userf(c.Pos, "%s brings its own debian/%s, which class dpkg-raw of n3x does not support yet", r.name, name).
				WithHint("use the DEBIAN_* variables instead of the file %s", name)
		}
	}
	return r, r.readFields(c)
}

// readFields collects the control fields. Relations are checked here, where the recipe can be named.
func (r *raw) readFields(c *isar.Call) error {
	add := func(field, value string) {
		if value != "" {
			r.fields = append(r.fields, field+": "+value)
		}
	}
	v, err := c.Values("MAINTAINER", "DESCRIPTION", "DEBIAN_SECTION", "DEBIAN_MULTI_ARCH", "DEBIAN_BUILT_USING")
	if err != nil {
		return err
	}
	maintainer := oneLine(v[0])
	if maintainer == "" || strings.Contains(maintainer, "@example.com") {
		fmt.Fprintf(c.Log, "WARNING: %s: MAINTAINER is %q; set the name and address of who is responsible\n", r.name, maintainer)
	}
	add("Maintainer", maintainer)
	for _, field := range []string{"Depends", "Conflicts", "Breaks", "Replaces", "Provides"} {
		value, err := c.Value("DEBIAN_" + strings.ToUpper(field))
		if err != nil {
			return err
		}
		list := tidyList(value)
		if _, err := debian.ParseDependency(list); err != nil {
			return diag.Userf(c.Pos, "DEBIAN_%s of %s: %w", strings.ToUpper(field), r.name, err).WithHint("separate packages by commas, versions as in `libc6 (>= 2.36)`")
		}
		if strings.Contains(list, "${") {
			return diag.Userf(c.Pos, "DEBIAN_%s of %s holds the substitution %s, which only a real package build fills in", strings.ToUpper(field), r.name, list).WithHint("name the packages")
		}
		add(field, list)
	}
	add("Built-Using", tidyList(v[4]))
	add("Section", oneLine(v[2]))
	add("Priority", "optional")
	add("Multi-Arch", oneLine(v[3]))
	add("Description", description(v[1]))
	r.changelog = fmt.Sprintf("%s (%s) UNRELEASED; urgency=low\n\n  * made by n3x from its recipe\n\n -- %s  %s\n", r.name, r.version, maintainer, r.stamp.UTC().Format(time.RFC1123Z))
	return nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// description keeps the first line as synopsis and makes the others continuation lines (deb-control(5)).
func description(s string) string {
	first, rest, _ := strings.Cut(strings.TrimSpace(s), "\n")
	out := strings.TrimSpace(first)
	for line := range strings.SplitSeq(rest, "\n") {
		switch line = strings.TrimSpace(line); {
		case rest == "":
		case line == "":
			out += "\n ."
		default:
			out += "\n " + line
		}
	}
	return out
}

// tidyList drops empty items and spare white space of a comma-separated list.
func tidyList(s string) string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = oneLine(item); item != "" {
			items = append(items, item)
		}
	}
	return strings.Join(items, ", ")
}

func (r *raw) control(installedSize int64) deb.ControlFile {
	lines := append([]string{"Package: " + r.name, "Version: " + r.version, "Architecture: " + r.arch}, r.fields[0],
		"Installed-Size: "+strconv.FormatInt(installedSize, 10))
	lines = append(lines, r.fields[1:]...)
	return deb.ControlFile{Name: "control", Mode: 0o644, Data: []byte(strings.Join(lines, "\n") + "\n")}
}

// installedSize is the package's size in KiB as dpkg-gencontrol(1) finds it when debhelper calls it: its folder DEBIAN is
// there already, with everything but control and md5sums.
func installedSize(entries []deb.Entry, control []deb.ControlFile) int64 {
	size := int64(2) // the root folder and DEBIAN
	seen := map[string]bool{".": true, "/": true}
	for _, e := range entries {
		seen[path.Clean(e.Name)] = true
	}
	for _, e := range entries {
		for dir := path.Dir(path.Clean(e.Name)); !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			size++
		}
	}
	for _, f := range control {
		size += int64(len(f.Data)+1023) / 1024
	}
	return size + deb.InstalledSize(entries)
}

// entries are the files below D, without a top-level "debian", with the modes that dh_fixperms(1) gives them.
func (r *raw) entries() ([]deb.Entry, error) {
	var out []deb.Entry
	links := map[fileID]string{}
	err := filepath.WalkDir(r.dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(r.dir, file)
		if err != nil || rel == "." {
			return err
		}
		if rel == "debian" && d.IsDir() {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e, err := r.entry(file, filepath.ToSlash(rel), info, links)
		if err != nil {
			return err
		}
		out = append(out, e)
		return nil
	})
	if os.IsNotExist(err) {
		return nil, nil
	}
	return out, err
}

func (r *raw) entry(file, rel string, info fs.FileInfo, links map[fileID]string) (deb.Entry, error) {
	var target string
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = os.Readlink(file); err != nil {
			return deb.Entry{}, err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return deb.Entry{}, fmt.Errorf("%s cannot be packaged: %w", rel, err)
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink:
	default:
		return deb.Entry{}, fmt.Errorf("%s is neither a file, a folder nor a symbolic link; a package cannot hold it", rel)
	}
	h.Name, h.ModTime = "./"+rel, r.stamp
	h.Mode = r.fixedMode(rel, h)
	e := deb.Entry{Header: *h}
	if h.Typeflag != tar.TypeReg {
		return e, nil
	}
	if id, ok := hardLinked(info); ok {
		if first, seen := links[id]; seen {
			e.Typeflag, e.Linkname, e.Size = tar.TypeLink, first, 0
			return e, nil
		}
		links[id] = h.Name
	}
	e.Open = func() (io.ReadCloser, error) { return os.Open(file) }
	return e, nil
}

var executableDirs = []string{"bin", "sbin", "usr/bin", "usr/sbin", "usr/games", "usr/libexec", "etc/init.d"}

// fixedMode is dh_fixperms(1): everybody may read, only the owner may write, nothing is setuid, and what lies where
// programs live can be executed, unless PRESERVE_PERMS has a part of the path.
func (r *raw) fixedMode(rel string, h *tar.Header) int64 {
	if slices.ContainsFunc(r.preserve, func(p string) bool { return strings.Contains(rel, p) }) {
		return h.Mode & 0o7777
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return 0o755
	case tar.TypeSymlink:
		return 0o777
	}
	mode := int64(0o644)
	if h.Mode&0o111 != 0 || slices.Contains(executableDirs, path.Dir(rel)) {
		mode = 0o755
	}
	dataOnly := strings.HasPrefix(rel, "usr/share/man/") || strings.HasPrefix(rel, "usr/include/") ||
		(strings.HasPrefix(rel, "usr/share/doc/") && !strings.Contains(rel, "/examples/"))
	switch {
	case dataOnly:
		mode = 0o644
	case strings.HasPrefix(rel, "etc/sudoers.d/"):
		mode = 0o440
	}
	return mode
}

// documentation is what dh_installchangelogs(1) and dh_installdocs(1) add.
func (r *raw) documentation() ([]deb.Entry, error) {
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, r.changelog); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	name := "changelog.gz"
	if strings.Contains(r.version, "-") {
		name = "changelog.Debian.gz"
	}
	dir := "./usr/share/doc/" + r.name + "/"
	out := []deb.Entry{r.textEntry(dir+name, 0o644, z.Bytes())}
	copyright, err := os.ReadFile(filepath.Join(r.work, "default-copyright"))
	if err == nil {
		out = append(out, r.textEntry(dir+"copyright", 0o644, copyright))
	} else if !os.IsNotExist(err) {
		return nil, err
	}
	return out, nil
}

func (r *raw) textEntry(name string, mode int64, data []byte) deb.Entry {
	return deb.Entry{
		Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(data)), ModTime: r.stamp},
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}
}

// conffiles lists the regular files below /etc: dpkg asks before it replaces one that the administrator changed.
func conffiles(entries []deb.Entry) string {
	var list []string
	for _, e := range entries {
		name := strings.TrimPrefix(e.Name, ".")
		if e.Typeflag == tar.TypeReg && strings.HasPrefix(name, "/etc/") {
			list = append(list, name+"\n")
		}
	}
	slices.Sort(list)
	return strings.Join(list, "")
}
