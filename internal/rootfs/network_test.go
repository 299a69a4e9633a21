package rootfs

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"n3x/internal/arch"
	"n3x/internal/debian"
	"n3x/internal/debian/apt"
	"n3x/internal/debian/solve"
)

// archive is one suite of Debian's archive, with a download folder for the whole test.
type archive struct {
	client *apt.Client
	state  *apt.State
}

func openArchive(t *testing.T, suite string, arches ...arch.Arch) archive {
	t.Helper()
	sources, err := apt.ParseSources("test.list", []byte("deb http://deb.debian.org/debian "+suite+" main\n"))
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := apt.DebianKeyring("debian-archive-keyring.gpg")
	c, err := apt.Open(apt.Options{Sources: sources, Keyrings: [][]byte{keys}, Arches: arches, DownloadDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	state, err := c.Update(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return archive{c, state}
}

// plan fetches what words need besides installed.
func (a archive) plan(t *testing.T, installed []*debian.Package, words ...string) []Deb {
	t.Helper()
	plan, err := solve.Solve(solve.Request{Packages: a.state.Packages, Installed: installed, Install: words, Arch: "amd64", Foreign: []arch.Arch{"i386"}})
	if err != nil {
		t.Fatal(err)
	}
	list := append(plan.Install, plan.Upgrade...)
	paths, err := a.client.Fetch(context.Background(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	debs := make([]Deb, len(list))
	for i, p := range list {
		debs[i] = Deb{p, paths[i]}
	}
	return debs
}

// minimal is the words for the smallest tree that apt works in, and more.
func (a archive) minimal(more ...string) []string {
	var words []string
	for _, p := range append(solve.Essential(a.state.Packages, "amd64"), solve.Required(a.state.Packages, "amd64")...) {
		words = append(words, p.Name)
	}
	return append(append(words, "apt"), more...)
}

// TestNetworkInstall makes real root filesystems: N3X_TEST_NETWORK=1 go test -run Network -v.
func TestNetworkInstall(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("set N3X_TEST_NETWORK=1 to install packages of deb.debian.org")
	}
	onAMD64(t)
	tests := []struct {
		suite  string
		arches []arch.Arch
		words  []string // besides those of every suite
	}{
		{"trixie", []arch.Arch{"amd64"}, nil},
		{"bookworm", []arch.Arch{"amd64", "i386"}, []string{"usr-is-merged"}}, // else usrmerge, which wants Perl
	}
	for _, tt := range tests {
		t.Run(tt.suite, func(t *testing.T) {
			a := openArchive(t, tt.suite, tt.arches...)
			words := append(a.minimal("openssh-server", "dbus", "vim-tiny", "libcap2-bin", "iputils-ping", "locales", "systemd-sysv"), tt.words...)
			o := Options{Arch: "amd64", Install: a.plan(t, nil, words...), Exclude: []string{"/usr/share/doc/*"}, Include: []string{"/usr/share/doc/*/copyright"},
				Preseed: "locales locales/locales_to_be_generated multiselect en_US.UTF-8 UTF-8\nlocales locales/default_environment_locale select en_US.UTF-8\n"}
			var trees []string
			dirs := []string{t.TempDir(), t.TempDir()}
			for i, dir := range dirs {
				o.Dir = filepath.Join(dir, "base")
				if i == 1 {
					o.Cache = filepath.Join(dir, "cache")
				}
				var log bytes.Buffer
				o.Log = &log
				began := time.Now()
				if _, err := Install(context.Background(), o); err != nil {
					t.Fatalf("%s\n%s", rendered(err), log.String())
				}
				t.Logf("%d packages in %v", len(o.Install), time.Since(began).Round(time.Millisecond))
				trees = append(trees, listTree(t, o.Dir))
			}
			if diff := cmp.Diff(strings.Split(trees[0], "\n"), strings.Split(trees[1], "\n")); diff != "" {
				t.Errorf("two layers of the same packages:\n%s", diff)
			}
			base := Stack{o.Dir}
			checkTree(t, base)
			checkOwn(t, base)
			checkConflicts(t, base)
			if len(tt.arches) > 1 {
				checkForeign(t, a, base)
			}
		})
	}
}

// checkTree looks at a root filesystem as a whole.
func checkTree(t *testing.T, s Stack) {
	t.Helper()
	d := must1(NewDraft(filepath.Join(t.TempDir(), "check"), s))
	defer d.Discard()
	for _, argv := range [][]string{{"dpkg", "--audit"}, {"dpkg", "-V"}, {"sh", "-c", "find /run -mindepth 1; dpkg-divert --list | grep -i start-stop"}} {
		if out, err := d.Command(argv...).Output(context.Background()); argv[0] == "dpkg" && err != nil || len(out) > 0 {
			t.Errorf("%v: %v\n%s", argv, err, out)
		}
	}
	for name, want := range map[string]uint32{"usr/bin/su": 0o104755, "etc/shadow": 0o100640, "tmp": 0o41777, "bin": 0o120777, "usr/bin/ssh-agent": 0o102755, "": 0o40755} {
		var st unix.Stat_t
		p, err := s.walk(name, false)
		if err == nil {
			err = unix.Lstat(p[0], &st)
		}
		if err != nil || st.Mode != want {
			t.Errorf("/%s: mode %o, want %o (%v)", name, st.Mode, want, err)
		}
	}
	if got, err := s.ReadFile("etc/machine-id"); string(got) != "uninitialized\n" {
		t.Errorf("machine-id %q, %v", got, err)
	}
	if locales, err := d.Command("locale", "-a").Output(context.Background()); err != nil || !strings.Contains(string(locales), "en_US.utf8") {
		t.Errorf("locale -a: %v\n%s", err, locales)
	}
	for _, name := range must1(s.ReadDir("etc/ssh")) {
		if strings.HasPrefix(name, "ssh_host_") {
			t.Errorf("host key %s", name)
		}
	}
	if docs := must1(s.ReadDir("usr/share/doc/dpkg")); len(docs) != 1 {
		t.Errorf("documentation %v", docs)
	}
	if m := must1(s.Manifest()); !strings.Contains(string(m), "\ndpkg|") {
		t.Errorf("manifest:\n%s", m)
	}
}

// checkOwn installs packages of one's own over those of Debian.
func checkOwn(t *testing.T, base Stack) {
	t.Helper()
	dir := t.TempDir()
	own := debSpec{name: "own", control: "Depends: vim-tiny (>= 99)\n", files: map[string]string{"etc/own": "x", "usr/bin/own": "x"}}
	debs := []Deb{writeDeb(t, dir, own),
		writeDeb(t, dir, debSpec{name: "vim-tiny", control: "Version: 99:1\n", files: map[string]string{"usr/bin/vim.tiny": "own vim"}})}
	layer, err := Install(context.Background(), Options{Dir: filepath.Join(dir, "own"), Below: base, Arch: "amd64", Install: debs})
	if err != nil {
		t.Fatal(rendered(err))
	}
	stack := append(base, layer.Dir)
	checkTree(t, stack)
	if got := must1(stack.ReadFile("usr/bin/vim.tiny")); string(got) != "own vim" {
		t.Errorf("vim.tiny is %.20q", got)
	}
	d := must1(NewDraft(filepath.Join(dir, "caps"), stack))
	defer d.Discard()
	out, err := d.Command("sh", "-ec", "setcap cap_net_raw+ep /usr/bin/own; getcap /usr/bin/own").Output(context.Background())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := d.Commit(packaged); err != nil {
		t.Fatal(err)
	}
	// Read inside the namespace, the capability is the plain one that belongs into an image: revision 2, no rootid.
	if got := xattrs(t, filepath.Join(dir, "caps/usr/bin/own")); !strings.Contains(got, "security.capability=0100000200200000000000000000000000000000") {
		t.Errorf("attributes %s", got)
	}
	// Policy of the layer: nothing but what changed.
	if n := strings.Count(listTree(t, filepath.Join(dir, "caps")), "\n"); n != 4 {
		t.Errorf("%d files for one capability:\n%s", n, listTree(t, filepath.Join(dir, "caps")))
	}
}

// checkConflicts: what dpkg refuses is told, what it takes is not, and the layer below and the cache stay as they were.
func checkConflicts(t *testing.T, base Stack) {
	t.Helper()
	before := listTree(t, base[0])
	file := map[string]string{"etc/same": "x"}
	for name, c := range map[string]struct {
		first, second string // more of the control files
		want          string
		preinst       string // of the second package
	}{
		"plain":      {want: "install two: /etc/same is in package two and in package one\n"},
		"replaces":   {second: "Replaces: one\n"},
		"replaced":   {first: "Replaces: two\n"},
		"too new":    {second: "Replaces: one (<< 1)\n", want: "install two: /etc/same is in package two and in package one\n"},
		"new enough": {second: "Replaces: one (<< 1.1~)\n"},
		"diverted":   {preinst: "#!/bin/sh\ndpkg-divert --package two --add --rename /etc/same\n"},
	} {
		dir := t.TempDir()
		debs := []Deb{writeDeb(t, dir, debSpec{name: "one", control: c.first, files: file}),
			writeDeb(t, dir, debSpec{name: "two", control: c.second, files: file, preinst: c.preinst})}
		o := Options{Dir: filepath.Join(dir, "own"), Below: base, Arch: "amd64", Install: debs}
		_, err := Install(context.Background(), o)
		text := ""
		if err != nil {
			text = rendered(err)
		}
		if c.want == "" && err != nil || !strings.Contains(text, c.want) {
			t.Errorf("%s: %s", name, text)
		}
		if _, there := os.Stat(o.Dir); (there == nil) != (err == nil) {
			t.Errorf("%s: the layer: %v, the error: %v", name, there, err)
		}
	}
	if after := listTree(t, base[0]); after != before {
		t.Error("the layer below has changed")
	}
}

// checkForeign adds packages of a second architecture and takes another package away.
func checkForeign(t *testing.T, a archive, base Stack) {
	t.Helper()
	dir := t.TempDir()
	var debs []Deb
	for _, d := range a.plan(t, nil, "libc6:i386") {
		if d.Architecture == "i386" {
			debs = append(debs, d)
		}
	}
	layer, err := Install(context.Background(), Options{Dir: filepath.Join(dir, "foreign"), Below: base, Arch: "amd64", Foreign: []arch.Arch{"i386"},
		Install: debs, Remove: []string{"iputils-ping"}, Auto: []string{"libc6:i386"}})
	if err != nil {
		t.Fatal(rendered(err))
	}
	stack := append(base, layer.Dir)
	checkTree(t, stack)
	manifest := string(must1(stack.Manifest()))
	if !strings.Contains(manifest, "|libc6:i386|") || !strings.Contains(manifest, "|libc6:amd64|") || strings.Contains(manifest, "|iputils-ping:") {
		t.Errorf("manifest:\n%s", manifest)
	}
	if auto, err := stack.ReadFile("var/lib/apt/extended_states"); string(auto) != "Package: libc6\nArchitecture: i386\nAuto-Installed: 1\n\n" {
		t.Errorf("extended_states %q, %v", auto, err)
	}
	if _, err := stack.Lstat("usr/bin/ping"); err == nil {
		t.Error("ping is still there")
	}
}
