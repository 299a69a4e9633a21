package rootfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"n3x/internal/arch"
	"n3x/internal/diag"
)

func calls(t *testing.T, layer string) []call {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(layer, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	var all []call
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var c call
		if err := d.Decode(&c); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		c.Args = c.Args[len(options)-1:]
		for i, a := range c.Args { // without version and digest
			if name, ok := strings.CutPrefix(a, debsDir+"/"); ok {
				c.Args[i], _, _ = strings.Cut(name, "_")
			}
		}
		all = append(all, c)
	}
}

func onAMD64(t *testing.T) {
	t.Helper()
	if arch.Host() != "amd64" {
		t.Skip("the hand-made packages are for amd64")
	}
}

func TestInstallRunsDpkg(t *testing.T) {
	onAMD64(t)
	dir := t.TempDir()
	o := Options{Dir: filepath.Join(dir, "layer"), Arch: "amd64", Env: []string{"EXTRA=1"}, Exclude: []string{"/usr/share/doc/*"}, Install: baseDebs(t, dir)}
	o.Install = append(o.Install,
		writeDeb(t, dir, debSpec{name: "kernel", control: "Pre-Depends: hooks\n", time: packaged.Add(time.Hour)}),
		writeDeb(t, dir, debSpec{name: "hooks", control: "Architecture: all\n"}),
		writeDeb(t, dir, debSpec{name: "tool", files: map[string]string{"usr/bin/tool": "x", "bin/alias": "y"}}))
	layer, err := Install(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range calls(t, layer.Dir) {
		got = append(got, strings.Join(c.Args, " "))
		configuring := slices.Contains(c.Args, "--configure")
		if !strings.HasPrefix(c.Path, toolsDir+":") || c.Extra != "1" || c.Epoch != fmt.Sprint(packaged.Add(time.Hour).Unix()) {
			t.Errorf("environment of %v: %+v", c.Args, c)
		}
		if hidden := c.Policy == stubs["policy-rc.d"] && c.StartStop == stubs["start-stop-daemon"]; hidden != configuring {
			t.Errorf("%v: services are out of reach: %v", c.Args, hidden)
		}
		if c.Shell != slices.Equal(c.Args, []string{"--configure", "-a"}) && len(got) == 8 {
			t.Errorf("%v: run by the shell with depmod: %v", c.Args, c.Shell)
		}
	}
	want := []string{
		"--no-triggers --auto-deconfigure --force-depends --path-exclude=/usr/share/doc/* --unpack base-files base-passwd dpkg",
		"--force-depends --configure base-passwd",
		"--configure -a",
		"--no-triggers --auto-deconfigure --path-exclude=/usr/share/doc/* --unpack hooks tool",
		"--configure hooks",
		"--no-triggers --auto-deconfigure --path-exclude=/usr/share/doc/* --unpack kernel",
		"--configure -a",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls of dpkg (-want +got):\n%s", diff)
	}
	checkLayer(t, dir, layer)
}

// checkLayer looks for what has to be in a layer and what must not.
func checkLayer(t *testing.T, dir string, layer *Layer) {
	t.Helper()
	for name, want := range map[string]time.Time{
		"usr/bin/tool": packaged, "usr/bin/alias": packaged, // from a package, the second through the merged /usr
		"etc/written": layer.Epoch, "etc": layer.Epoch, "usr/bin": layer.Epoch, ".": layer.Epoch,
	} {
		if info, err := os.Lstat(filepath.Join(layer.Dir, name)); err != nil || !info.ModTime().Equal(want) {
			t.Errorf("%s: %v, time %v, want %v", name, err, info.ModTime(), want)
		}
	}
	for _, name := range []string{"var/log/dpkg.log", "etc/ssh/ssh_host_rsa_key", "run/pid", "var/lib/dpkg/status-old", "usr/sbin/policy-rc.d", toolsDir, debsDir, stateDir} {
		if _, err := os.Lstat(filepath.Join(layer.Dir, name)); err == nil {
			t.Errorf("the layer has %s", name)
		}
	}
	if id, err := os.ReadFile(filepath.Join(layer.Dir, "etc/machine-id")); string(id) != "uninitialized\n" {
		t.Errorf("machine-id %q, %v", id, err)
	}
	if rest, _ := filepath.Glob(filepath.Join(dir, ".*")); len(rest) != 0 {
		t.Errorf("left behind: %v", rest)
	}
}

func TestInstallTwiceGivesEqualLayers(t *testing.T) {
	onAMD64(t)
	var trees []string
	for range 2 {
		dir := t.TempDir()
		o := Options{Dir: filepath.Join(dir, "base"), Arch: "amd64", Install: baseDebs(t, dir)}
		base, err := Install(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		own := Options{Dir: filepath.Join(dir, "own"), Below: Stack{base.Dir}, Arch: "amd64", Cache: filepath.Join(dir, "cache"),
			Install: []Deb{writeDeb(t, dir, debSpec{name: "own", files: map[string]string{"etc/own.conf": "x"}})}}
		layer, err := Install(context.Background(), own)
		if err != nil {
			t.Fatal(err)
		}
		if cached, _ := os.ReadDir(own.Cache); len(cached) != 1 {
			t.Errorf("the cache holds %v", cached)
		}
		trees = append(trees, listTree(t, base.Dir)+listTree(t, layer.Dir))
		time.Sleep(20 * time.Millisecond)
	}
	if diff := cmp.Diff(trees[0], trees[1]); diff != "" {
		t.Errorf("two layers of the same packages (-first +second):\n%s", diff)
	}
	if !strings.Contains(trees[0], "etc/own.conf") {
		t.Errorf("the upper layer lacks its file:\n%s", trees[0])
	}
}

// listTree describes every file below root with type, mode, owner, time, attributes and content.
func listTree(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		content := ""
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			if content, err = fileDigest(p); err != nil {
				return err
			}
		case unix.S_IFLNK:
			if content, err = os.Readlink(p); err != nil {
				return err
			}
		}
		name, _ := filepath.Rel(root, p)
		fmt.Fprintf(&b, "%s %o %d:%d %d %x %s %s\n", name, st.Mode, st.Uid, st.Gid, st.Mtim.Nano(), st.Rdev, xattrs(t, p), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func xattrs(t *testing.T, p string) string {
	t.Helper()
	names := make([]byte, 4096)
	n, err := unix.Llistxattr(p, names)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		t.Fatal(err)
	}
	var all []string
	for _, name := range strings.Split(strings.TrimRight(string(names[:max(n, 0)]), "\x00"), "\x00") {
		if name == "" || name == "security.selinux" {
			continue
		}
		v := make([]byte, 4096)
		n, err := unix.Lgetxattr(p, name, v)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s=%x", name, v[:n]))
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

func TestInstallRefuses(t *testing.T) {
	onAMD64(t)
	debs := t.TempDir()
	base := baseDebs(t, debs)
	deb := func(name, control string) Deb { return writeDeb(t, debs, debSpec{name: name, control: control}) }
	cut := deb("cut", "")
	if err := os.Truncate(cut.Path, 100); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		arch    arch.Arch
		install []Deb
		want    []string // in the rendered error
		err     error
	}{
		{"script", "amd64", append(base, deb("bad", "")), []string{"install bad: its postinst script ended with exit status 7", "note: oops"}, nil},
		{"disk full", "amd64", append(base, deb("full", "")), []string{"run dpkg", "No space left on device", "hint: free some space"}, unix.ENOSPC},
		{"no dpkg", "amd64", base[:2], []string{"dpkg is not among them", "hint: install the essential packages"}, nil},
		{"nothing", "amd64", nil, []string{"dpkg is not among them"}, nil},
		{"foreign package", "amd64", append(base, deb("alien", "Architecture: armhf\n")), []string{"install alien:armhf=1: it is built for armhf, the root filesystem is amd64"}, nil},
		{"unknown architecture", "vax", base, []string{`architecture "vax": it is not known`}, nil},
		{"damaged package", "amd64", append(base, cut), []string{"read ", "cut"}, nil},
		{"circle", "amd64", append(base, deb("a", "Pre-Depends: b\n"), deb("b", "Pre-Depends: a\n")),
			[]string{"order 2 packages", "a:amd64=1 pre-depends on b, which cannot be unpacked either"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			o := Options{Dir: filepath.Join(dir, "layer"), Arch: tt.arch, Install: tt.install}
			_, err := Install(context.Background(), o)
			if err == nil {
				t.Fatal("no error")
			}
			var b strings.Builder
			diag.Render(&b, "n3x", err)
			for _, want := range tt.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("error lacks %q:\n%s", want, b.String())
				}
			}
			if tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("error is no %v", tt.err)
			}
			if rest, _ := os.ReadDir(dir); len(rest) != 0 {
				t.Errorf("left behind: %v", rest)
			}
		})
	}
}

func TestInstallIsCancelled(t *testing.T) {
	onAMD64(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out, in := io.Pipe()
	o := Options{Dir: filepath.Join(dir, "layer"), Arch: "amd64", Log: in,
		Install: append(baseDebs(t, t.TempDir()), writeDeb(t, t.TempDir(), debSpec{name: "sleeper"}))}
	done := make(chan error)
	go func() {
		_, err := Install(ctx, o)
		in.Close()
		done <- err
	}()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := out.Read(buf)
			if strings.Contains(string(buf[:n]), "sleeping") {
				cancel()
			}
			if err != nil {
				return
			}
		}
	}()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if rest, _ := os.ReadDir(dir); len(rest) != 0 {
		t.Errorf("left behind: %v", rest)
	}
}

func TestInstallKeepsAnExistingLayer(t *testing.T) {
	onAMD64(t)
	dir := t.TempDir()
	o := Options{Dir: filepath.Join(dir, "layer"), Arch: "amd64", Install: baseDebs(t, t.TempDir())}
	if err := os.Mkdir(o.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(context.Background(), o); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("error %v", err)
	}
}

func TestKey(t *testing.T) {
	dir := t.TempDir()
	a, b := writeDeb(t, dir, debSpec{name: "a"}), writeDeb(t, dir, debSpec{name: "b"})
	key := func(o Options, below string) string {
		t.Helper()
		k, err := Key(o, below)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	base := key(Options{Arch: "amd64", Install: []Deb{a, b}}, "")
	if other := key(Options{Arch: "amd64", Install: []Deb{b, a}, Dir: "elsewhere", Cache: "c"}, ""); other != base {
		t.Error("the order of packages or a directory changes the key")
	}
	for name, k := range map[string]string{
		"below":   key(Options{Arch: "amd64", Install: []Deb{a, b}}, "x"),
		"package": key(Options{Arch: "amd64", Install: []Deb{a}}, ""),
		"arch":    key(Options{Arch: "i386", Install: []Deb{a, b}}, ""),
		"env":     key(Options{Arch: "amd64", Install: []Deb{a, b}, Env: []string{"A=b"}}, ""),
		"preseed": key(Options{Arch: "amd64", Install: []Deb{a, b}, Preseed: "x"}, ""),
		"exclude": key(Options{Arch: "amd64", Install: []Deb{a, b}, Exclude: []string{"x"}}, ""),
		"include": key(Options{Arch: "amd64", Install: []Deb{a, b}, Include: []string{"x"}}, ""),
		"auto":    key(Options{Arch: "amd64", Install: []Deb{a, b}, Auto: []string{"a"}}, ""),
	} {
		if k == base {
			t.Errorf("the key does not depend on %s", name)
		}
	}
}
