package tools

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"n3x/internal/arch"
	"n3x/internal/debian/apt"
	"n3x/internal/debian/deb"
	"n3x/internal/progress"
	"n3x/internal/sandbox"
)

// Unpacking sets owners, so the tests run as root of a user namespace, like the program.
func TestMain(m *testing.M) {
	sandbox.Main()
	inside, status, err := sandbox.Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, "enter a user namespace:", err)
		os.Exit(1)
	}
	if !inside {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// repo is a repository of packages made here.
type repo struct {
	t     *testing.T
	dir   string
	index bytes.Buffer
}

// add puts a package into the repository. Its files are "path=content", "path->target", "path=>hard link" and "path/".
func (r *repo) add(fields string, files ...string) {
	r.t.Helper()
	var data []deb.Entry
	for _, f := range files {
		e := deb.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Mode: 0o755, ModTime: time.Unix(1700000000, 0)}}
		var content string
		switch {
		case strings.Contains(f, "=>"):
			e.Typeflag = tar.TypeLink
			e.Name, e.Linkname, _ = strings.Cut(f, "=>")
		case strings.Contains(f, "->"):
			e.Typeflag = tar.TypeSymlink
			e.Name, e.Linkname, _ = strings.Cut(f, "->")
		case strings.HasSuffix(f, "/"):
			e.Typeflag, e.Mode, e.Name = tar.TypeDir, 0o1777, f
		default:
			e.Name, content, _ = strings.Cut(f, "=")
			if strings.HasSuffix(e.Name, "/su") {
				e.Mode = 0o4755
			}
		}
		e.Size = int64(len(content))
		e.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
		data = append(data, e)
	}
	control := "Architecture: " + string(arch.Host()) + "\n" + strings.ReplaceAll(fields, "; ", "\n") + "\n"
	var b bytes.Buffer
	err := deb.Write(&b, deb.Contents{Control: []deb.ControlFile{{Name: "control", Data: []byte(control)}}, Data: data, Uncompressed: true})
	if err != nil {
		r.t.Fatal(err)
	}
	name := fmt.Sprintf("%x.deb", sha256.Sum256(b.Bytes()))
	fmt.Fprintf(&r.index, "%sFilename: %s\nSize: %d\nSHA256: %s\n\n", control, name, b.Len(), strings.TrimSuffix(name, ".deb"))
	for name, data := range map[string][]byte{name: b.Bytes(), "Packages": r.index.Bytes()} {
		if err := os.WriteFile(filepath.Join(r.dir, name), data, 0o666); err != nil {
			r.t.Fatal(err)
		}
	}
}

func newRepo(t *testing.T) *repo {
	r := &repo{t: t, dir: t.TempDir()}
	r.add("Package: base-files; Version: 1; Essential: yes; Pre-Depends: awk", "etc/", "bin->usr/bin", "tmp/", "etc/debian_version=13\n")
	r.add("Package: mawk; Version: 1; Provides: awk", "usr/bin/mawk=mawk")
	r.add("Package: dash; Version: 1; Essential: yes", "bin/dash=dash", "bin/su=su", "usr/bin/su2=>bin/su")
	r.add("Package: base-passwd; Version: 1; Essential: yes", "usr/share/base-passwd/passwd.master=root:*:0:0\n", "usr/share/base-passwd/group.master=root:*:0:\n")
	r.add("Package: dpkg; Version: 1; Essential: yes", "var/lib/dpkg/info/")
	r.add("Package: libx; Version: 1", "lib/x86/libx.so.1->libx.so.1.0", "usr/lib/x86/libx.so.1.0=lib", "usr/share/doc/libx/copyright=long", "usr/share/docker/x=kept")
	r.add("Package: tool; Version: 1; Depends: libx (>= 1)", "sbin/tool=tool 1")
	r.add("Package: other; Version: 1; Replaces: tool", "sbin/tool=tool of other")
	r.add("Package: zclash; Version: 1", "usr/sbin/tool=tool of zclash")
	r.add("Package: ca-certificates; Version: 1", "usr/share/ca-certificates/m/b.crt=B\n", "usr/share/ca-certificates/m/a.crt=A")
	return r
}

func (r *repo) provider(dir string, change func(*Options)) *Provider {
	r.t.Helper()
	sources, err := apt.ParseSources("tools.list", []byte("deb [trusted=yes] file://"+r.dir+" ./\n"))
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := apt.Open(apt.Options{Sources: sources, Arches: []arch.Arch{arch.Host()}, DownloadDir: filepath.Join(dir, "dl")})
	if err != nil {
		r.t.Fatal(err)
	}
	o := Options{Client: c, Dir: filepath.Join(dir, "tools")}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func layer(t *testing.T, p *Provider, names ...string) string {
	t.Helper()
	layers, err := p.Layers(context.Background(), names...)
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 1 {
		t.Fatalf("%d layers", len(layers))
	}
	return layers[0]
}

func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		text := fmt.Sprintf("%o ", st.Mode)
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			target, _ := os.Readlink(path)
			text = "-> " + target
		} else if st.Mode&unix.S_IFMT == unix.S_IFREG {
			data, _ := os.ReadFile(path)
			text += string(data)
		}
		if st.Uid != 0 || st.Gid != 0 {
			text += " (owner)"
		}
		all[path[len(root)+1:]] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLayers(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	dir := t.TempDir()
	root := layer(t, r.provider(dir, nil), "tool", "ca-certificates", "tool")
	want := map[string]string{
		"bin": "-> usr/bin", "sbin": "-> usr/sbin", "lib": "-> usr/lib", "lib64": "-> usr/lib64", "tmp": "41777 ",
		"usr": "40755 ", "usr/bin": "40755 ", "usr/sbin": "40755 ", "usr/lib": "40755 ", "usr/lib64": "40755 ", "usr/lib/x86": "40755 ",
		"etc": "41777 ", "etc/debian_version": "100755 13\n", "etc/passwd": "100644 root:*:0:0\n", "etc/group": "100644 root:*:0:\n",
		"etc/ssl": "40755 ", "etc/ssl/certs": "40755 ", "etc/ssl/certs/ca-certificates.crt": "100644 A\nB\n",
		"usr/bin/mawk": "100755 mawk", "usr/bin/awk": "-> mawk", "usr/bin/nawk": "-> mawk", "usr/bin/dash": "100755 dash", "usr/bin/sh": "-> dash",
		"usr/bin/su": "104755 su", "usr/bin/su2": "104755 su", "usr/sbin/tool": "100755 tool 1",
		"usr/lib/x86/libx.so.1": "-> libx.so.1.0", "usr/lib/x86/libx.so.1.0": "100755 lib",
		"usr/share": "40755 ", "usr/share/docker": "40755 ", "usr/share/docker/x": "100755 kept",
		"usr/share/base-passwd": "40755 ", "usr/share/base-passwd/passwd.master": "100755 root:*:0:0\n", "usr/share/base-passwd/group.master": "100755 root:*:0:\n",
		"usr/share/ca-certificates": "40755 ", "usr/share/ca-certificates/m": "40755 ",
		"usr/share/ca-certificates/m/a.crt": "100755 A", "usr/share/ca-certificates/m/b.crt": "100755 B\n",
		"var": "40755 ", "var/lib": "40755 ", "var/lib/dpkg": "40755 ", "var/lib/dpkg/info": "41777 ", "var/lib/dpkg/status": "100644 ",
	}
	if diff := cmp.Diff(want, tree(t, root)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var a, b unix.Stat_t
	if unix.Stat(filepath.Join(root, "bin/su"), &a) != nil || unix.Stat(filepath.Join(root, "bin/su2"), &b) != nil || a.Ino != b.Ino {
		t.Error("a hard link was taken apart")
	}

	// Another set shares the files, and nothing of the first is unpacked again.
	second := layer(t, r.provider(dir, nil), "libx")
	if unix.Stat(filepath.Join(second, "bin/su"), &b) != nil || a.Ino != b.Ino {
		t.Error("two sets do not share their files")
	}
	// What was resolved once needs no repository, in any order of the names.
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	if again := layer(t, r.provider(dir, nil), "ca-certificates", "tool"); again != root {
		t.Errorf("the set was made again: %s and %s", root, again)
	}
	for _, sub := range []string{"trees", "packages"} {
		entries, err := os.ReadDir(filepath.Join(dir, "tools", sub))
		if err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") }) {
			t.Errorf("%s: %v, %v", sub, entries, err)
		}
	}
}

type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Event(e progress.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Kind == progress.Line {
		l.text = append(l.text, e.Text)
	}
}

func TestSameFile(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	said := new(lines)
	p := r.provider(t.TempDir(), func(o *Options) { o.Progress = progress.New(said, time.Now) })
	for want, names := range map[string][]string{"tool of other": {"tool", "other"}, "tool 1": {"tool", "zclash"}} {
		data, err := os.ReadFile(filepath.Join(layer(t, p, names...), "sbin/tool"))
		if err != nil || string(data) != want {
			t.Errorf("%v: %q, %v", names, data, err)
		}
	}
	if diff := cmp.Diff([]string{"tools: /usr/sbin/tool is in tool and in zclash; the former is used"}, said.text); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A newer version is taken only when that is asked for.
func TestRefresh(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	dir := t.TempDir()
	before := layer(t, r.provider(dir, nil), "tool")
	r.add("Package: tool; Version: 2", "sbin/tool=tool 2")
	if got := layer(t, r.provider(dir, nil), "tool"); got != before {
		t.Error("the set changed by itself")
	}
	p := r.provider(dir, func(o *Options) { o.Refresh = true })
	if data, _ := os.ReadFile(filepath.Join(layer(t, p, "tool"), "sbin/tool")); string(data) != "tool 2" {
		t.Errorf("after a refresh: %q", data)
	}
	list, err := p.Packages(context.Background(), "tool")
	if err != nil || len(list) != 6 || list[5].ID() != "tool:"+string(arch.Host())+"=2" {
		t.Errorf("Packages: %v, %v", list, err)
	}
}

func TestTogether(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		p := r.provider(dir, nil)
		wg.Add(1)
		go func() {
			defer wg.Done()
			names := [][]string{{"tool"}, {"libx"}}[i%2]
			for range 2 {
				if _, err := p.Layers(context.Background(), names...); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
}

func TestErrors(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.add("Package: broken; Version: 1; Depends: nothing-has-this", "x=")
	p := r.provider(t.TempDir(), nil)
	for name, want := range map[string]string{"none": "none", "broken": "nothing-has-this"} {
		if _, err := p.Layers(context.Background(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("empty options are taken")
	}
	if _, err := New(Options{Client: p.o.Client, Dir: "/x", Arch: "pdp11"}); err == nil || !strings.Contains(err.Error(), "pdp11") {
		t.Errorf("unknown architecture: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Layers(ctx, "tool"); err == nil {
		t.Error("cancelled, but made")
	}
	layer(t, p, "tool") // and it can be made afterwards
}

func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := newRepo(t).provider(dir, nil)
	cmd, cleanup, err := p.Command([]string{"/a", "/b"}, "mke2fs", "-V")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/a", "/b"}, cmd.Mounts[0].Lower); diff != "" || cmd.Mounts[0].Target != "/" || cmd.Network {
		t.Errorf("%s%s", cmd.Describe(), diff)
	}
	cleanup()
	if entries, err := os.ReadDir(filepath.Join(dir, "tools/run")); err != nil || len(entries) > 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}
