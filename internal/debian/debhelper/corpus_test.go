package debhelper

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"golang.org/x/tools/txtar"

	"n3x/internal/debian/deb"
)

// sample is one package of testdata/corpus: what stands in the archive's comment, one command a line, and its files.
type sample struct {
	name          string
	vars          map[string]string
	beyond, fails string // what Build is to refuse
	only          []string
	archive       *txtar.Archive
}

var sampleDefaults = map[string]string{"version": "1.0", "arch": "all", "section": "misc", "depends": "", "provides": "", "replaces": "", "breaks": "",
	"conflicts": "", "multi-arch": "", "description": "a sample", "maintainer": "Sample Maintainer <sample@samples.org>", "preserve": "", "rules": "",
	"date": "Thu, 01 Jan 1970 01:00:00 +0000"}

func readSample(t *testing.T, path string) *sample {
	t.Helper()
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &sample{name: strings.TrimSuffix(filepath.Base(path), ".txtar"), vars: maps.Clone(sampleDefaults), archive: a}
	for line := range strings.SplitSeq(string(a.Comment), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "set":
			key, value, _ := strings.Cut(rest, " ")
			if _, known := sampleDefaults[key]; !known {
				t.Fatalf("%s: unknown %q", path, line)
			}
			s.vars[key] = strings.ReplaceAll(value, `\n`, "\n")
		case "beyond":
			s.beyond = rest
		case "fails":
			s.fails = rest
		case "only":
			s.only = strings.Fields(rest)
		}
	}
	if s.vars["multi-arch"] == "" {
		s.vars["multi-arch"] = map[bool]string{true: "foreign", false: "no"}[s.vars["arch"] == "all"]
	}
	return s
}

// write makes the source tree as class dpkg-raw leaves it: image/ from do_install, debian/ from deb_debianize.
func (s *sample) write(t *testing.T, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	put := func(name string, mode os.FileMode, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		must(os.WriteFile(path, []byte(text), mode))
		must(os.Chmod(path, mode))
	}
	must(os.MkdirAll(filepath.Join(dir, "image"), 0o755))
	for _, f := range s.archive.Files {
		put(f.Name, 0o644, string(f.Data))
	}
	for line := range strings.SplitSeq(string(s.archive.Comment), "\n") {
		words := strings.Split(line, "|")
		if len(words) == 1 {
			words = strings.Fields(line)
		}
		if len(words) == 0 {
			continue
		}
		switch strings.TrimSpace(words[0]) {
		case "mode":
			n, err := strconv.ParseUint(words[1], 8, 32)
			must(err)
			must(unix.Chmod(filepath.Join(dir, words[2]), uint32(n)))
		case "mkdir":
			n, err := strconv.ParseUint(words[1], 8, 32)
			must(err)
			must(os.MkdirAll(filepath.Join(dir, words[2]), 0o755))
			must(unix.Chmod(filepath.Join(dir, words[2]), uint32(n)))
		case "symlink":
			path := filepath.Join(dir, words[1])
			must(os.MkdirAll(filepath.Dir(path), 0o755))
			must(os.Symlink(words[2], path))
		case "hardlink":
			must(os.MkdirAll(filepath.Dir(filepath.Join(dir, words[1])), 0o755))
			must(os.Link(filepath.Join(dir, words[2]), filepath.Join(dir, words[1])))
		case "repeat":
			n, err := strconv.Atoi(words[1])
			must(err)
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, "%d %s %x\n", i, strings.Join(words[3:], " "), md5.Sum([]byte{byte(i), byte(i >> 8)}))
			}
			put(words[2], 0o644, b.String())
		case "bytes":
			text, err := strconv.Unquote(`"` + strings.Join(words[2:], " ") + `"`)
			must(err)
			put(words[1], 0o644, text)
		case "touch":
			n, err := strconv.ParseInt(words[1], 10, 64)
			must(err)
			must(os.Chtimes(filepath.Join(dir, words[2]), time.Unix(n, 0), time.Unix(n, 0)))
		}
	}
	s.debianize(t, dir, put)
}

// debianize writes the files of debian/ that are made from variables, unless the sample has them.
func (s *sample) debianize(t *testing.T, dir string, put func(string, os.FileMode, string)) {
	t.Helper()
	missing := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, "debian", name))
		return err != nil
	}
	v := s.vars
	if missing("control") {
		put("debian/control", 0o644, fmt.Sprintf("Source: %[1]s\nSection: %[2]s\nPriority: optional\nStandards-Version: 4.7.0\nMaintainer: %[3]s\n"+
			"Build-Depends: debhelper-compat (= 13)\n\nPackage: %[1]s\nArchitecture: %[4]s\nDepends: %[5]s\nProvides: %[6]s\nReplaces: %[7]s\nBreaks: %[8]s\n"+
			"Built-Using: \nConflicts: %[9]s\nMulti-Arch: %[10]s\nDescription: %[11]s\n", s.name, v["section"], v["maintainer"], v["arch"], v["depends"],
			v["provides"], v["replaces"], v["breaks"], v["conflicts"], v["multi-arch"], v["description"]))
	}
	if missing("changelog") {
		put("debian/changelog", 0o644, fmt.Sprintf("%s (%s) UNRELEASED; urgency=low\n\n  * generated\n\n -- %s  %s\n", s.name, v["version"], v["maintainer"], v["date"]))
	}
	if missing("rules") {
		exclude := ""
		for _, x := range strings.Fields(v["preserve"]) {
			exclude += " -X " + x
		}
		put("debian/rules", 0o755, "#!/usr/bin/make -f\n\noverride_dh_fixperms:\n\tdh_fixperms "+strings.TrimPrefix(exclude, " ")+"\n\n%:\n\tdh $@\n\noverride_dh_install:\n\tdh_install --sourcedir=image\n"+v["rules"])
	} else if err := os.Chmod(filepath.Join(dir, "debian/rules"), 0o755); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "image"))
	if err != nil {
		t.Fatal(err)
	}
	var list string
	for _, e := range entries {
		if e.Name() != "debian" {
			list += e.Name() + "\n"
		}
	}
	put("debian/"+s.name+".install", 0o644, list)
}

// dump says all that a package holds.
func dump(path string) (string, error) {
	d, err := deb.OpenFile(path)
	if err != nil {
		return "", err
	}
	defer d.Close()
	control, err := d.Control()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(control)) {
		f := control[name]
		fmt.Fprintf(&b, "== %s %04o\n", name, f.Mode)
		for line := range strings.SplitAfterSeq(string(f.Data), "\n") {
			if line != "" {
				b.WriteString("\t" + line)
			}
		}
	}
	b.WriteString("== data\n")
	data, err := d.Data()
	if err != nil {
		return "", err
	}
	defer data.Close()
	for tr := tar.NewReader(data); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
		sum := md5.New()
		if _, err := io.Copy(sum, tr); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%c %04o %s/%s %d %d", h.Typeflag, h.Mode, h.Uname, h.Gname, h.Size, h.ModTime.Unix())
		if h.Typeflag == tar.TypeReg {
			fmt.Fprintf(&b, " %x", sum.Sum(nil))
		}
		b.WriteString(" " + h.Name)
		if h.Linkname != "" {
			b.WriteString(" -> " + h.Linkname)
		}
		b.WriteByte('\n')
	}
}

func corpus(t *testing.T) []*sample {
	t.Helper()
	paths, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var out []*sample
	for _, p := range paths {
		out = append(out, readSample(t, p))
	}
	return out
}

func (s *sample) source(dir string, r *Release) Source {
	return Source{Dir: dir, Release: r, HostArch: "amd64"}
}

// TestAsDebhelper compares each sample with what debhelper of each release made of it. The results were recorded by
// TestRecord. Of pieces of maintainer scripts only the names and values are compared.
func TestAsDebhelper(t *testing.T) {
	t.Parallel()
	compare(t, standIn, withoutSums)
}

// TestNetworkAsDebhelper does so with the releases' own pieces, byte for byte. It downloads 2 MB and takes a second.
func TestNetworkAsDebhelper(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("set N3X_TEST_NETWORK=1 to read debhelper of deb.debian.org")
	}
	t.Parallel()
	compare(t, debianRelease, func(dump string) string { return dump })
}

func compare(t *testing.T, open func(*testing.T, string) *Release, seen func(dump string) string) {
	releases := map[string]*Release{}
	for codename := range recorded {
		releases[codename] = open(t, codename)
	}
	compared := map[string]int{}
	for _, s := range corpus(t) {
		dir := t.TempDir()
		s.write(t, dir)
		for release, r := range releases {
			if len(s.only) > 0 && !slices.Contains(s.only, release) {
				continue
			}
			pkg, err := s.source(dir, r).Build()
			if s.refused(t, release, err) {
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", s.name, release, err)
				continue
			}
			file := filepath.Join(t.TempDir(), pkg.FileName())
			var b bytes.Buffer
			if err := deb.Write(&b, pkg.Contents); err != nil {
				t.Errorf("%s, %s: %v", s.name, release, err)
				continue
			}
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := dump(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join("testdata/recorded", release, s.name+".txt"))
			if err != nil {
				t.Errorf("%s was not recorded with %s: %v", s.name, release, err)
				continue
			}
			name, rest, _ := strings.Cut(seen(string(want)), "\n")
			got = seen(r.condense(t, got))
			if name != filepath.Base(file) {
				t.Errorf("%s, %s: the file is %s, want %s", s.name, release, filepath.Base(file), name)
			}
			if d := cmp.Diff(strings.Split(rest, "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("%s, %s: debhelper -, here +\n%s", s.name, release, d)
			}
			compared[release]++
		}
	}
	for release := range releases {
		if compared[release] < 25 {
			t.Errorf("only %d packages were compared with %s", compared[release], release)
		}
	}
}

// refused checks the error of a sample that is to be refused.
func (s *sample) refused(t *testing.T, release string, err error) bool {
	t.Helper()
	var b *Beyond
	switch {
	case s.beyond != "":
		if !errors.As(err, &b) || !strings.Contains(b.Reason, s.beyond) {
			t.Errorf("%s, %s: %v; want it to be left to debhelper because %s", s.name, release, err, s.beyond)
		}
	case s.fails != "":
		if err == nil || errors.As(err, &b) || !strings.Contains(err.Error(), s.fails) {
			t.Errorf("%s, %s: %v; want an error with %q", s.name, release, err, s.fails)
		}
	default:
		return false
	}
	return true
}

// TestRecord records what the real debhelper makes of the samples. N3X_DEBHELPER is a program that gets a release, a
// source tree and an empty folder, and puts there the .deb that these commands make in that release of Debian:
//
//	dpkg-source -b TREE                        (as root)
//	dpkg-source -x *.dsc; fakeroot debian/rules binary    (as an ordinary user, umask 022, with dpkg-buildpackage's environment)
func TestRecord(t *testing.T) {
	program := os.Getenv("N3X_DEBHELPER")
	if program == "" {
		t.Skip("set N3X_DEBHELPER to a program that builds")
	}
	for _, release := range slices.Sorted(maps.Keys(recorded)) {
		for _, s := range corpus(t) {
			out := filepath.Join("testdata/recorded", release, s.name+".txt")
			if _, err := os.Stat(out); err == nil || s.beyond != "" || len(s.only) > 0 && !slices.Contains(s.only, release) {
				continue
			}
			t.Run(release+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				s.record(t, program, release, out)
			})
		}
	}
}

func (s *sample) record(t *testing.T, program, release, out string) {
	dir, to := filepath.Join(t.TempDir(), s.name), t.TempDir()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.write(t, dir)
	err := exec.Command(program, release, dir, to).Run()
	if (err != nil) != (s.fails != "") {
		log, _ := os.ReadFile(filepath.Join(to, "log"))
		t.Errorf("%s, %s: %v\n%s", s.name, release, err, log)
	}
	if err != nil {
		return
	}
	debs, _ := filepath.Glob(filepath.Join(to, "*.deb"))
	if len(debs) != 1 {
		t.Fatalf("%s, %s: %d packages", s.name, release, len(debs))
	}
	text, err := dump(debs[0])
	if err != nil {
		t.Fatal(err)
	}
	text = debianRelease(t, release).condense(t, text)
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, []byte(filepath.Base(debs[0])+"\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestMaintainerWithoutAddress: dpkg takes the time of day for the date of such a changelog, and debhelper installs an
// empty one. Here the text stays, and the user is told.
func TestMaintainerWithoutAddress(t *testing.T) {
	t.Parallel()
	s := readSample(t, "testdata/corpus/epoch.txtar")
	s.vars["maintainer"] = "nobody"
	dir := t.TempDir()
	s.write(t, dir)
	pkg, err := s.source(dir, standIn(t, "trixie")).Build()
	if err != nil {
		t.Fatal(err)
	}
	if len(pkg.Notes) != 1 || pkg.Contents.ModTime.Unix() != 3600 {
		t.Errorf("notes %q, time %v", pkg.Notes, pkg.Contents.ModTime)
	}
	s.vars["maintainer"] = ""
	dir = t.TempDir()
	s.write(t, dir)
	if _, err := s.source(dir, standIn(t, "trixie")).Build(); err == nil || !strings.Contains(err.Error(), "MAINTAINER") {
		t.Errorf("an empty MAINTAINER: %v", err)
	}
}

// TestModesThatGetLost: a source package keeps neither setuid nor private files, whatever PRESERVE_PERMS says.
func TestModesThatGetLost(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"setuid":   {"usr/bin/suid is setuid", "usr/sbin/sgid is setuid"},
		"preserve": {"etc/sudoers.d/x has mode 0440", "opt/keep has mode 0600", "opt/keep.d has mode 0700", "usr/bin/tool is setuid", "usr/bin/toolkit has mode 0640"},
	} {
		s := readSample(t, "testdata/corpus/"+name+".txtar")
		dir := t.TempDir()
		s.write(t, dir)
		pkg, err := s.source(dir, standIn(t, "trixie")).Build()
		if err != nil {
			t.Fatal(err)
		}
		if len(pkg.Notes) != len(want) {
			t.Errorf("%s: notes %q", name, pkg.Notes)
			continue
		}
		slices.Sort(pkg.Notes)
		for i, w := range want {
			if !strings.HasPrefix(pkg.Notes[i], w) {
				t.Errorf("%s: %q, want %q", name, pkg.Notes[i], w)
			}
		}
	}
}
