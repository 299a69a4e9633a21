package packages

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"n3x/internal/debian/deb"
)

// sample makes the work folder of a recipe that installs a bit of everything.
func sample(t *testing.T) *raw {
	t.Helper()
	r := &raw{name: "sample", version: "1.0", arch: "all", work: t.TempDir(), stamp: time.Unix(3600, 0), preserve: []string{"keep"},
		changelog: "sample (1.0)\n", fields: []string{"Maintainer: m", "Description: d"}}
	r.dir = filepath.Join(r.work, "image")
	write := func(name string, mode os.FileMode, text string) {
		t.Helper()
		path := filepath.Join(r.work, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unix.Chmod(path, uint32(mode)); err != nil {
			t.Fatal(err)
		}
	}
	write("image/etc/sample.conf", 0o600, "a=b\n")
	write("image/etc/sudoers.d/sample", 0o644, "x\n")
	write("image/usr/bin/run", 0o644, "#!/bin/sh\n")
	write("image/usr/bin/keep-setuid", 0o4755, "#!/bin/sh\n")
	write("image/usr/sbin/setuid", 0o4755, "#!/bin/sh\n")
	write("image/usr/share/doc/sample/README", 0o755, "doc\n")
	write("image/debian/control", 0o644, "not packaged\n")
	write("sample.service", 0o600, "[Service]\nExecStart=/usr/bin/run\n\n[Install]\nWantedBy=multi-user.target\n")
	write("sample.timer", 0o600, "[Timer]\nOnBootSec=1\n")
	write("postinst", 0o755, "#!/bin/sh\necho own\n#DEBHELPER#\n")
	if err := os.Symlink("run", filepath.Join(r.dir, "usr/bin/alias")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(r.dir, "usr/bin/run"), filepath.Join(r.dir, "usr/bin/zrun")); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestModesAndTypes(t *testing.T) {
	t.Parallel()
	entries, err := sample(t).entries()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, e := range entries {
		if e.Typeflag == tar.TypeReg {
			got[e.Name] = e.Mode
		}
		if e.Name == "./usr/bin/zrun" && (e.Typeflag != tar.TypeLink || e.Linkname != "./usr/bin/run") {
			t.Errorf("zrun is %c to %q, not a hard link to run", e.Typeflag, e.Linkname)
		}
		if e.Typeflag == tar.TypeDir && e.Mode != 0o755 {
			t.Errorf("folder %s has mode %o", e.Name, e.Mode)
		}
	}
	want := map[string]int64{
		"./etc/sample.conf": 0o644, "./etc/sudoers.d/sample": 0o440, "./usr/bin/run": 0o755, "./usr/bin/keep-setuid": 0o4755,
		"./usr/sbin/setuid": 0o755, "./usr/share/doc/sample/README": 0o644,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("/etc/sample.conf\n/etc/sudoers.d/sample\n", conffiles(entries)); d != "" {
		t.Error(d)
	}
}

func TestMaintainerScripts(t *testing.T) {
	t.Parallel()
	r := sample(t)
	entries, err := r.entries()
	if err != nil {
		t.Fatal(err)
	}
	control, files, err := r.maintainerScripts(entries)
	if err != nil {
		t.Fatal(err)
	}
	scripts := map[string]string{}
	for _, f := range control {
		scripts[f.Name] = string(f.Data)
	}
	post := scripts["postinst"]
	if !strings.HasPrefix(post, "#!/bin/sh\necho own\n") || strings.Contains(post, "#DEBHELPER#") {
		t.Errorf("the recipe's own postinst was lost:\n%s", post)
	}
	if !strings.Contains(post, "enable 'sample.service'") || strings.Contains(post, "sample.timer") {
		t.Errorf("only the unit with an [Install] section is to be enabled:\n%s", post)
	}
	if !strings.Contains(post, "action=restart") {
		t.Errorf("an upgrade is to restart the service:\n%s", post)
	}
	if !strings.Contains(scripts["prerm"], "stop 'sample.service'") || !strings.Contains(scripts["postrm"], "purge 'sample.service'") {
		t.Errorf("prerm or postrm is incomplete: %q", scripts)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	if d := cmp.Diff([]string{"./usr/lib/systemd/system/sample.service", "./usr/lib/systemd/system/sample.timer"}, names); d != "" {
		t.Error(d)
	}
}

// TestInstalledSize holds what dpkg-gencontrol 1.22 wrote for two packages with these files, built by debhelper.
func TestInstalledSize(t *testing.T) {
	t.Parallel()
	files := func(names ...string) (list []deb.Entry) {
		for _, n := range names {
			list = append(list, deb.Entry{Header: tar.Header{Name: n, Typeflag: tar.TypeReg, Size: 100}})
		}
		return list
	}
	control := func(sizes ...int) (list []deb.ControlFile) {
		for _, n := range sizes {
			list = append(list, deb.ControlFile{Data: make([]byte, n)})
		}
		return list
	}
	network := append(files("./etc/systemd/network/20-eth1.network", "./usr/share/doc/systemd-networkd-config/changelog.gz"),
		deb.Entry{Header: tar.Header{Name: "./etc/", Typeflag: tar.TypeDir}}, deb.Entry{Header: tar.Header{Name: "./", Typeflag: tar.TypeDir}})
	if got := installedSize(network, control(105, 36)); got != 13 {
		t.Errorf("systemd-networkd-config: %d KiB, want 13", got)
	}
	keys := files("./usr/lib/systemd/system/sshd-regen-keys.service", "./usr/share/doc/sshd-regen-keys/changelog.gz")
	if got := installedSize(keys, control(1465, 455, 256)); got != 15 {
		t.Errorf("sshd-regen-keys: %d KiB, want 15", got)
	}
}

func TestRefusesWhatAPackageCannotHold(t *testing.T) {
	t.Parallel()
	r := sample(t)
	l, err := os.Create(filepath.Join(r.dir, "etc/ok"))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := r.entries(); err != nil {
		t.Fatal(err)
	}
	if err := mkfifo(filepath.Join(r.dir, "etc/pipe")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.entries(); err == nil || !strings.Contains(err.Error(), "etc/pipe") {
		t.Errorf("a pipe was accepted: %v", err)
	}
}

func TestFieldTexts(t *testing.T) {
	t.Parallel()
	if got := description("one\n  two\n\nthree\n"); got != "one\n two\n .\n three" {
		t.Errorf("description %q", got)
	}
	if got := tidyList(" a,, b  (>= 1) ,\n c, "); got != "a, b (>= 1), c" {
		t.Errorf("list %q", got)
	}
	for in, want := range map[string]string{"1:2.0-1": "2.0-1", "3.1": "3.1"} {
		if got := withoutEpoch(in); got != want {
			t.Errorf("%s without epoch is %s", in, got)
		}
	}
}

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }
