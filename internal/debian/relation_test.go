package debian

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseDependency(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Dependency
	}{
		{"", nil},
		{" ,, ", Dependency{}},
		{"libc6", Dependency{{{Name: "libc6"}}}},
		{"libc6 (>= 2.38), awk|mawk ,", Dependency{{{Name: "libc6", Op: ">=", Version: "2.38"}}, {{Name: "awk"}, {Name: "mawk"}}}},
		{"a(<1),b (>2)", Dependency{{{Name: "a", Op: "<=", Version: "1"}}, {{Name: "b", Op: ">=", Version: "2"}}}},
		{"a (<<1~), b(>> 2),c (= 3 )", Dependency{
			{{Name: "a", Op: "<<", Version: "1~"}}, {{Name: "b", Op: ">>", Version: "2"}}, {{Name: "c", Op: "=", Version: "3"}},
		}},
		{"a (1.0)", Dependency{{{Name: "a", Op: "=", Version: "1.0"}}}},
		{"python3:any (>= 3.5~), gcc:native, x:amd64", Dependency{
			{{Name: "python3", ArchQual: "any", Op: ">=", Version: "3.5~"}}, {{Name: "gcc", ArchQual: "native"}}, {{Name: "x", ArchQual: "amd64"}},
		}},
		{"a [amd64 !i386] <!nocheck> <cross stage1>,\n b", Dependency{
			{{Name: "a", Arches: []string{"amd64", "!i386"}, Profiles: [][]string{{"!nocheck"}, {"cross", "stage1"}}}}, {{Name: "b"}},
		}},
		{"a (>= 1)[linux-any]<x>|b", Dependency{
			{{Name: "a", Op: ">=", Version: "1", Arches: []string{"linux-any"}, Profiles: [][]string{{"x"}}}, {Name: "b"}},
		}},
		{"${misc:Depends}, a (= ${binary:Version})", Dependency{
			{{Name: "${misc", ArchQual: "Depends}"}}, {{Name: "a", Op: "=", Version: "${binary:Version}"}},
		}},
	} {
		got, err := ParseDependency(c.in)
		if err != nil {
			t.Errorf("ParseDependency(%q): %v", c.in, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("ParseDependency(%q):\n%s", c.in, diff)
		}
		again, err := ParseDependency(got.String())
		if diff := cmp.Diff(got.String(), again.String()); err != nil || diff != "" {
			t.Errorf("%q does not read back: %v\n%s", got, err, diff)
		}
	}
}

func TestParseDependencyRefuses(t *testing.T) {
	for _, c := range []struct{ in, says string }{
		{"a b", `expected "," or "|"`}, {"(>= 1)", "expected a package name"}, {"a |", "expected a package name"},
		{"a || b", "expected a package name"}, {"a (>= )", "expected a version"}, {"a (>= 1", `expected ")"`},
		{"a (=> 1)", `unknown version operator "=>"`}, {"a (>= 1 2)", `expected ")"`}, {"a [", "expected a word"},
		{"a []", "is empty"}, {"a <", "expected a word"}, {"a: (>= 1)", "nothing follows the colon"}, {"a )", `expected ","`},
		{"a [!]", "expected a word"}, {strings.Repeat("x", 200) + " y", "..."},
	} {
		if d, err := ParseDependency(c.in); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("ParseDependency(%q) = %v, %v; want an error with %q", c.in, d, err, c.says)
		}
	}
}

func TestSatisfiedBy(t *testing.T) {
	for _, c := range []struct {
		relation string
		version  Version
		want     bool
	}{
		{"a", "1", true}, {"a", "", true}, {"a (>= 1)", "", false}, {"a (>= 1)", "1-0", true}, {"a (<< 1)", "1~", true},
		{"a (= 1:1)", "1", false}, {"a (>> 1)", "1", false}, {"a (<= 1)", "1.0.1", false}, {"a (= 1.0)", "1.0-0", true},
	} {
		d, err := ParseDependency(c.relation)
		if err != nil {
			t.Fatal(err)
		}
		if got := d[0][0].SatisfiedBy(c.version); got != c.want {
			t.Errorf("%s satisfied by %q: %v", c.relation, c.version, got)
		}
	}
}

// The verdicts on architectures are those of `dpkg-architecture -a ARCH -i PATTERN`.
func TestApplies(t *testing.T) {
	for _, c := range []struct {
		relation, arch, profiles string
		want                     bool
	}{
		{"a", "amd64", "", true},
		{"a [amd64]", "amd64", "", true}, {"a [amd64]", "arm64", "", false}, {"a [!amd64]", "arm64", "", true},
		{"a [!amd64 !arm64]", "arm64", "", false}, {"a [linux-any]", "riscv64", "", true}, {"a [any-arm]", "armhf", "", true},
		{"a [any-arm]", "arm64", "", false}, {"a [any-amd64]", "x32", "", true}, {"a [hurd-any]", "hurd-i386", "", true},
		{"a [hurd-any]", "i386", "", false}, {"a [any-i386]", "hurd-i386", "", true}, {"a [gnu-any-any]", "amd64", "", true},
		{"a [musl-any-any]", "musl-linux-armhf", "", true}, {"a [kfreebsd-any !linux-any]", "amd64", "", false},
		{"a <!nocheck>", "amd64", "", true}, {"a <!nocheck>", "amd64", "nocheck", false}, {"a <cross>", "amd64", "", false},
		{"a <cross stage1> <stage2>", "amd64", "cross", false}, {"a <cross stage1> <stage2>", "amd64", "stage2", true},
	} {
		d, err := ParseDependency(c.relation)
		if err != nil {
			t.Fatal(err)
		}
		if got := d[0][0].Applies(c.arch, strings.Fields(c.profiles)); got != c.want {
			t.Errorf("%s on %s with %q: %v", c.relation, c.arch, c.profiles, got)
		}
	}
}

func TestNames(t *testing.T) {
	p := &Package{Name: "hello", Architecture: "amd64", Version: "2.10-3"}
	if got := p.ID(); got != "hello:amd64=2.10-3" {
		t.Error(got)
	}
	i := &Index{URI: "http://deb.debian.org/debian", Suite: "trixie", Component: "main", Arch: "amd64"}
	if got := i.String(); got != "http://deb.debian.org/debian trixie/main amd64" {
		t.Error(got)
	}
	if got := Version("1:2-3").WithoutEpoch(); got != "2-3" {
		t.Error(got)
	}
}

func FuzzParseDependency(f *testing.F) {
	for _, s := range []string{"a (>= 1) | b:any [!amd64 any-i386] <!x y> <z>, c", "a(", "[", "<>", "a|,b", "a (= 1)(= 2)", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDependency(s)
		if err != nil {
			return
		}
		again, err := ParseDependency(d.String())
		if err != nil || again.String() != d.String() {
			t.Fatalf("%q reads back as %q, %v", d, again, err)
		}
	})
}
