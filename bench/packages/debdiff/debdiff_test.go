// SPDX-License-Identifier: MIT

package debdiff

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"n3x/internal/debian/deb"
)

// sample is a package that a test changes in one place.
type sample struct {
	control  []string
	files    map[string]tar.Header
	scripts  map[string]string
	contents map[string]string
	modes    map[string]int64
	form     func(*deb.Contents)
}

func newSample() *sample {
	at := time.Unix(1700000000, 0)
	s := &sample{
		control: []string{"Package: x", "Version: 1", "Architecture: all", "Maintainer: M <m@localhost>", "Depends: libc6", "Installed-Size: 10", "Description: text"},
		files: map[string]tar.Header{
			"etc/x.conf":                    {Typeflag: tar.TypeReg, Mode: 0o644, ModTime: at},
			"usr/bin/x":                     {Typeflag: tar.TypeReg, Mode: 0o755, ModTime: at},
			"usr/bin/y":                     {Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: "x", ModTime: at},
			"usr/share/doc/x/changelog.gz":  {Typeflag: tar.TypeReg, Mode: 0o644, ModTime: at},
			"usr/share/doc/x/copyright.txt": {Typeflag: tar.TypeReg, Mode: 0o644, ModTime: at},
		},
		contents: map[string]string{"etc/x.conf": "a=1\n", "usr/bin/x": "#!/bin/sh\n", "usr/share/doc/x/changelog.gz": zipped("x (1)\n", 9), "usr/share/doc/x/copyright.txt": "free\n"},
		scripts:  map[string]string{"postinst": "#!/bin/sh\nset -e\n# Automatically added by dh_x/13.1\ntrue\n# End automatically added section\n", "conffiles": "/etc/x.conf\n", "triggers": "interest y\n"},
		modes:    map[string]int64{"postinst": 0o755},
		form:     func(*deb.Contents) {},
	}
	return s
}

func zipped(text string, level int) string {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, level)
	z.Write([]byte(text))
	z.Close()
	return b.String()
}

func (s *sample) write(t *testing.T, dir string) string {
	t.Helper()
	c := deb.Contents{ModTime: time.Unix(1800000000, 0), MD5Sums: true}
	c.Control = []deb.ControlFile{{Name: "control", Mode: 0o644, Data: []byte(strings.Join(s.control, "\n") + "\n")}}
	for name, text := range s.scripts {
		mode := s.modes[name]
		if mode == 0 {
			mode = 0o644
		}
		c.Control = append(c.Control, deb.ControlFile{Name: name, Mode: mode, Data: []byte(text)})
	}
	for name, h := range s.files {
		h.Name = name
		e := deb.Entry{Header: h}
		if h.Typeflag == tar.TypeReg {
			text := s.contents[name]
			e.Size = int64(len(text))
			e.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
		}
		c.Data = append(c.Data, e)
	}
	s.form(&c)
	var b bytes.Buffer
	if err := deb.Write(&b, c); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x_1_all.deb")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *sample) file(name string, change func(*tar.Header)) {
	h := s.files[name]
	change(&h)
	s.files[name] = h
}

// TestClasses changes a package in one place at a time and expects the classes that this shows in, and no others.
func TestClasses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*sample)
		want   []Class
		what   string
	}{
		{"nothing", func(*sample) {}, nil, ""},
		{"field", func(s *sample) { s.control[4] = "Depends: libc6 (>= 2)" }, []Class{Field}, "Depends"},
		{"field gone", func(s *sample) { s.control = slices.Delete(s.control, 4, 5) }, []Class{Field}, "Depends"},
		{"size", func(s *sample) { s.control[5] = "Installed-Size: 11" }, []Class{Size}, "Installed-Size"},
		{"order of fields", func(s *sample) { s.control[3], s.control[4] = s.control[4], s.control[3] }, []Class{Form}, "order of fields"},
		{"mode", func(s *sample) { s.file("usr/bin/x", func(h *tar.Header) { h.Mode = 0o4755 }) }, []Class{Mode}, "/usr/bin/x"},
		{"owner", func(s *sample) {
			for name := range s.files {
				s.file(name, func(h *tar.Header) { h.Uname, h.Gname = "root", "root" })
			}
			s.file("usr/bin/x", func(h *tar.Header) { h.Uid, h.Uname = 5, "games" })
			s.form = func(c *deb.Contents) { c.KeepOwner = true }
		}, []Class{Owner}, "/usr/bin/x"},
		{"link", func(s *sample) { s.file("usr/bin/y", func(h *tar.Header) { h.Linkname = "z" }) }, []Class{Link}, "/usr/bin/y"},
		{"time", func(s *sample) { s.file("usr/bin/x", func(h *tar.Header) { h.ModTime = time.Unix(1600000000, 0) }) }, []Class{Time}, "/usr/bin/x"},
		{"type", func(s *sample) {
			s.file("usr/share/doc/x/copyright.txt", func(h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeSymlink, "z" })
		}, []Class{Type, Control, Order}, "/usr/share/doc/x/copyright.txt"},
		{"content", func(s *sample) { s.contents["usr/bin/x"] = "#!/bin/bash\n" }, []Class{Content}, "/usr/bin/x"},
		{"changelog", func(s *sample) { s.contents["usr/share/doc/x/changelog.gz"] = zipped("x (2)\n", 9) }, []Class{Changelog}, "/usr/share/doc/x/changelog.gz"},
		{"compression of a file", func(s *sample) { s.contents["usr/share/doc/x/changelog.gz"] = zipped("x (1)\n", 0) }, []Class{Compressed}, "/usr/share/doc/x/changelog.gz"},
		{"conffiles", func(s *sample) { delete(s.scripts, "conffiles") }, []Class{Conffiles, Control}, "conffiles"},
		{"script", func(s *sample) { s.scripts["postinst"] += "false\n" }, []Class{Script}, "postinst"},
		{"script in other words", func(s *sample) {
			s.scripts["postinst"] = "#!/bin/sh\n\nset -e\n\t# why\n# Automatically added by dh_x/13.2\n\ttrue\n# End automatically added section\n"
		}, []Class{Form}, "bytes"},
		{"triggers", func(s *sample) { s.scripts["triggers"] = "interest-noawait y\n" }, []Class{Control}, "triggers"},
		{"mode of a script", func(s *sample) { s.modes["postinst"] = 0o644 }, []Class{Form}, "mode of postinst"},
		{"member", func(s *sample) { s.form = func(c *deb.Contents) { c.Uncompressed = true } }, []Class{Form}, "members"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			changed := newSample()
			test.change(changed)
			got, err := Packages(newSample().write(t, t.TempDir()), changed.write(t, t.TempDir()))
			if err != nil {
				t.Fatal(err)
			}
			var classes []Class
			for _, d := range got {
				classes = append(classes, d.Class)
			}
			if !slices.Equal(classes, test.want) {
				t.Errorf("classes %v, want %v: %v", classes, test.want, got)
			} else if len(got) > 0 && got[0].What != test.what {
				t.Errorf("the first difference is at %q, want %q", got[0].What, test.what)
			}
		})
	}
}

func TestAddedFile(t *testing.T) {
	t.Parallel()
	changed := newSample()
	changed.files["usr/bin/z"] = tar.Header{Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: "x"}
	a, b := newSample().write(t, t.TempDir()), changed.write(t, t.TempDir())
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		got, err := Packages(pair[0], pair[1])
		if err != nil || len(got) != 1 || got[0].Class != Files || got[0].What != "/usr/bin/z" || (got[0].A == "") == (got[0].B == "") {
			t.Errorf("got %v, %v", got, err)
		}
	}
}

func TestFolders(t *testing.T) {
	t.Parallel()
	a, b := t.TempDir(), t.TempDir()
	newSample().write(t, a)
	newSample().write(t, b)
	other := newSample()
	other.control[0] = "Package: only"
	if err := os.Rename(other.write(t, t.TempDir()), filepath.Join(b, "only_1_all.deb")); err != nil {
		t.Fatal(err)
	}
	r, err := Folders(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Compared != 1 || r.Identical != 1 || len(r.Differences) != 1 || r.Differences[0].Class != Missing || r.Differences[0].Package != "only:all" {
		t.Errorf("%+v", r)
	}
	if len(r.Without(Missing)) != 0 {
		t.Error("Without does not leave a class out")
	}
	if _, err := Folders(a, t.TempDir()); err == nil || !strings.Contains(err.Error(), "holds no .deb") {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(a, "bad_1_all.deb"), []byte("!<arch>\nnothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Folders(a, b); err == nil || !strings.Contains(err.Error(), "bad_1_all.deb") {
		t.Errorf("a damaged package: %v", err)
	}
}
