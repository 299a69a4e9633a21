package buildroot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"n3x/internal/arch"
	"n3x/internal/debian"
	"n3x/internal/rootfs"
	"n3x/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// TestReduce compares with Dpkg::Deps of dpkg 1.21.23 (reduce_arch, reduce_profiles; :native replaced as sbuild 0.85 does).
func TestReduce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		build, host arch.Arch
		profiles    string
		each        bool
		field, want string
	}{
		{"amd64", "amd64", "", false, "debhelper-compat (= 13), zlib1g-dev", "debhelper-compat (= 13), zlib1g-dev"},
		{"amd64", "arm64", "cross", false, "debhelper-compat (= 13), zlib1g-dev, python3:any, python3:native, perl:native <!cross>", "debhelper-compat (= 13), zlib1g-dev, python3:any, python3:amd64"},
		{"amd64", "amd64", "", false, "a [amd64], b [arm64], c [!amd64], d [linux-any], e [any-arm64] | f", "a, d, f"},
		{"amd64", "arm64", "cross nocheck", false, "a [amd64], b [arm64], c [!amd64], d [linux-any], e [any-arm64] | f", "b, c, d, e | f"},
		{"amd64", "amd64", "nocheck", false, "x <!nocheck>, y <nocheck>, z <!nocheck !cross>, u <cross> <nocheck>, v <nocheck cross>", "y, u"},
		{"amd64", "armhf", "cross", false, "x <!nocheck>, y <nocheck>, z <!nocheck !cross>, u <cross> <nocheck>, v <nocheck cross>", "x, u"},
		{"amd64", "amd64", "", false, "gcc:native (>= 4), awk | mawk, libfoo-dev (>> 1:2.0~rc1)", "gcc (>= 4), awk | mawk, libfoo-dev (>> 1:2.0~rc1)"},
		{"amd64", "i386", "cross", false, "gcc:native (>= 4), awk | mawk:native, libfoo-dev (<< 2)", "gcc:amd64 (>= 4), awk | mawk:amd64, libfoo-dev (<< 2)"},
		{"amd64", "arm64", "cross", true, "bad:native, worse (<< 3) [arm64], none [amd64]", "bad:amd64, worse (<< 3)"},
		{"amd64", "amd64", "", false, "a | b [arm64], c [arm64] | d <nope>,", "a"},
	} {
		s := &Source{Name: "x"}
		got, err := s.reduce([]string{c.field}, Conditions{Build: c.build, Host: c.host, Profiles: strings.Fields(c.profiles)}, c.each)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != c.want {
			t.Errorf("%s for %s on %s <%s>:\n%s, want\n%s", c.field, c.host, c.build, c.profiles, got, c.want)
		}
	}
}

const signedDsc = `-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Format: 3.0 (quilt)
Source: hello
Binary: hello
Architecture: any
Version: 2.10-5
Build-Depends: debhelper-compat (= 13), texinfo <!nodoc>
Build-Depends-Indep: doxygen
Checksums-Sha256:
 31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b 725946 hello_2.10.orig.tar.gz
 9feb0ef2ce1a6da73afcb3a4a5a9ab86eb2ad0c3c9d9a24f8af6d9ac5b7a5f9d 12688 hello_2.10-5.debian.tar.xz

-----BEGIN PGP SIGNATURE-----

abc
`

func TestReadSource(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hello_2.10-5.dsc")
	if err := os.WriteFile(path, []byte(signedDsc), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := ReadSource(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Files, " "); s.Name != "hello" || s.Version != "2.10-5" || got != "hello_2.10-5.dsc hello_2.10.orig.tar.gz hello_2.10-5.debian.tar.xz" {
		t.Errorf("%s %s with files %s", s.Name, s.Version, got)
	}
	n, err := s.Needs(Conditions{Build: "amd64", Host: "arm64", Profiles: []string{"nodoc", "cross"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "debhelper-compat (= 13), build-essential:amd64, fakeroot:amd64, crossbuild-essential-arm64:amd64, libc-dev:arm64, libstdc++-dev:arm64"; n.Depends.String() != want {
		t.Errorf("needs %s, want %s", n.Depends, want)
	}
	if err := s.CheckFiles(); err == nil || !strings.Contains(err.Error(), "hello_2.10.orig.tar.gz is missing") {
		t.Errorf("a missing archive: %v", err)
	}
	r := Run{Source: s}
	if r.tree() != "/build/hello/hello-2.10" {
		t.Errorf("built in %s", r.tree())
	}
}

func TestReadSourceRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                              "is empty",
		"Source: ../x\nVersion: 1\n":    `"../x" is not the name`,
		"Source: hello\nVersion: a b\n": "field Version",
		"Source: hello\nVersion: 1\nChecksums-Sha256:\n aa 1 ../../etc/passwd\n": "is not a checksum",
	} {
		path := filepath.Join(t.TempDir(), "x.dsc")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSource(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestBuilds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		arches string
		host   arch.Arch
		indep  bool
		ok     bool
	}{
		{"any", "arm64", false, true}, {"all", "arm64", false, false}, {"all", "amd64", true, true}, {"linux-any all", "armhf", false, true},
		{"amd64 i386", "arm64", true, false}, {"any-arm64", "arm64", false, true},
	} {
		s := &Source{Name: "x", Arches: strings.Fields(c.arches)}
		if err := s.Builds(Conditions{Build: "amd64", Host: c.host, Indep: c.indep}); (err == nil) != c.ok {
			t.Errorf("%s on %s: %v", c.arches, c.host, err)
		}
	}
}

func parsed(t *testing.T, field string) debian.Dependency {
	t.Helper()
	d, err := debian.ParseDependency(field)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func pack(t *testing.T, name, a, depends string, more ...string) *debian.Package {
	t.Helper()
	p := &debian.Package{Name: name, Version: "1", Architecture: a, Depends: parsed(t, depends), Size: 1, Pin: 500, SHA256: name + a}
	for i := 0; i+1 < len(more); i += 2 {
		switch more[i] {
		case "multi":
			p.MultiArch = more[i+1]
		case "version":
			p.Version = debian.Version(more[i+1])
		case "provides":
			p.Provides = parsed(t, more[i+1])
		}
	}
	return p
}

func ids(debs []rootfs.Deb) string {
	var out []string
	for _, d := range debs {
		out = append(out, d.ID())
	}
	return strings.Join(out, " ")
}

// TestChooseForForeign follows apt-get install of sbuild's dummy package for a foreign architecture.
func TestChooseForForeign(t *testing.T) {
	t.Parallel()
	offer := []*debian.Package{
		pack(t, "debhelper", "all", "perl", "multi", "foreign"), pack(t, "perl", "amd64", "", "multi", "allowed"), pack(t, "perl", "arm64", "", "multi", "allowed"),
		pack(t, "zlib1g-dev", "amd64", "", "multi", "same"), pack(t, "zlib1g-dev", "arm64", "zlib1g", "multi", "same"), pack(t, "zlib1g", "arm64", "", "multi", "same"),
		pack(t, "gcc-aarch64", "amd64", ""),
	}
	o := Options{Build: "amd64", Host: "arm64"}
	c, err := o.choose(offer, "x", nil, Needs{Depends: parsed(t, "debhelper, zlib1g-dev, perl:any, gcc-aarch64:amd64")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ids(c.debian), "debhelper:all=1 gcc-aarch64:amd64=1 perl:amd64=1 zlib1g:arm64=1 zlib1g-dev:arm64=1"; got != want {
		t.Errorf("chose %s, want %s", got, want)
	}
	if _, err = o.choose(offer, "x", nil, Needs{Depends: parsed(t, "nowhere (>= 2)")}, nil); err == nil || !strings.Contains(err.Error(), "build-dependencies-of-x") || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("an unmet dependency: %v", err)
	}
}

// TestOwnPackagesWin is ISAR's pin of 1000 for isar-apt, with downgrades allowed.
func TestOwnPackagesWin(t *testing.T) {
	t.Parallel()
	offer := []*debian.Package{pack(t, "liba-dev", "amd64", "", "version", "5"), pack(t, "b", "amd64", "liba-dev"), pack(t, "c", "amd64", "")}
	own := []rootfs.Deb{{Package: pack(t, "liba-dev", "amd64", "", "version", "2"), Path: "/x.deb"}}
	installed := []*debian.Package{pack(t, "c", "amd64", "")}
	o := Options{Build: "amd64", Host: "amd64"}
	c, err := o.choose(offer, "x", installed, Needs{Depends: parsed(t, "b, c")}, own)
	if err != nil {
		t.Fatal(err)
	}
	if ids(c.debian) != "" || ids(c.own) != "liba-dev:amd64=2 b:amd64=1" && ids(c.own) != "b:amd64=1 liba-dev:amd64=2" {
		t.Errorf("chose %q and %q", ids(c.debian), ids(c.own))
	}
	installed = append(installed, pack(t, "liba-dev", "amd64", "", "version", "5"))
	if c, err = o.choose(offer, "x", installed, Needs{Depends: parsed(t, "c")}, own); err != nil || ids(c.own) != "liba-dev:amd64=2" {
		t.Errorf("an older package of this build: %v, %q", err, ids(c.own))
	}
	// What is installed already needs it, and the package of this build needs something new.
	installed = append(installed, pack(t, "b", "amd64", "liba-dev"))
	own[0].Package = pack(t, "liba-dev", "amd64", "d", "version", "2")
	offer = append(offer, pack(t, "d", "amd64", ""))
	if c, err = o.choose(offer, "x", installed, Needs{Depends: parsed(t, "c")}, own); err != nil || ids(c.own) != "liba-dev:amd64=2" || ids(c.debian) != "d:amd64=1" {
		t.Errorf("an older package of this build that is needed: %v, %+v", err, c)
	}
}

func TestTouches(t *testing.T) {
	t.Parallel()
	needs := Needs{Depends: parsed(t, "a | virtual")}
	names := mentions(nil, needs, &choice{debian: []rootfs.Deb{{Package: pack(t, "a", "amd64", "b")}}})
	for _, c := range []struct {
		own  *debian.Package
		want bool
	}{
		{pack(t, "z", "amd64", "a"), false}, {pack(t, "b", "amd64", ""), true}, {pack(t, "y", "amd64", "", "provides", "virtual"), true}, {pack(t, "virtual", "amd64", ""), true},
	} {
		if got := touches(names, []rootfs.Deb{{Package: c.own}}); got != c.want {
			t.Errorf("%s: %v", c.own.Name, got)
		}
	}
}

func TestPulse(t *testing.T) {
	t.Parallel()
	p := newPulse(nil)
	stalled := make(chan struct{})
	stop := p.watch(30*time.Millisecond, func() { close(stalled) })
	defer stop()
	for range 10 {
		_, _ = p.Write([]byte("x"))
		time.Sleep(5 * time.Millisecond)
	}
	select {
	case <-stalled:
		t.Log("this machine is slow") // the writer itself was held up
	default:
	}
	select {
	case <-stalled:
	case <-time.After(10 * time.Second):
		t.Error("a silent build is not noticed")
	}
}

func TestUpstream(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]string{"1.2": "1.2", "1:2.0-3": "2.0", "2.0-rc1-3": "2.0-rc1", "1.3.dfsg+really1.3.1-1+b1": "1.3.dfsg+really1.3.1"} {
		if got := upstream(v); got != want {
			t.Errorf("%s: %s, want %s", v, got, want)
		}
	}
}
