package deb

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/debian"
)

const e2fsprogs = `Package: e2fsprogs
Source: e2fsprogs-src (1.47.2-3)
Version: 1.47.2-3+b11
Installed-Size: 1532
Architecture: amd64
Multi-Arch: foreign
Essential: yes
Important: yes
Pre-Depends: libc6 (>= 2.36), libblkid1 (>= 2.39),
Depends: logsave | old-logsave (<< 2)
Replaces: hurd (<= 1:0.5)
Priority: required
Section: admin
Filename: pool/main/e/e2fsprogs/e2fsprogs_1.47.2-3+b11_amd64.deb
Size: 612340
SHA256: AAbbcc
Description: ext2/ext3/ext4 file system utilities
`

func parseOne(t *testing.T, text string) (*debian.Package, error) {
	t.Helper()
	stanzas, err := ReadStanzas("control", strings.NewReader(text))
	if err != nil || len(stanzas) != 1 {
		t.Fatalf("%d stanzas, %v", len(stanzas), err)
	}
	return ParsePackage(stanzas[0])
}

func TestParsePackage(t *testing.T) {
	t.Parallel()
	got, err := parseOne(t, e2fsprogs)
	if err != nil {
		t.Fatal(err)
	}
	want := &debian.Package{
		Name: "e2fsprogs", Version: "1.47.2-3+b11", Architecture: "amd64", MultiArch: "foreign",
		Source: "e2fsprogs-src", SourceVersion: "1.47.2-3", Essential: true, Protected: true, Priority: "required", Section: "admin",
		PreDepends: debian.Dependency{
			{{Name: "libc6", Op: ">=", Version: "2.36"}}, {{Name: "libblkid1", Op: ">=", Version: "2.39"}},
		},
		Depends:       debian.Dependency{{{Name: "logsave"}, {Name: "old-logsave", Op: "<<", Version: "2"}}},
		Replaces:      debian.Dependency{{{Name: "hurd", Op: "<=", Version: "1:0.5"}}},
		InstalledSize: 1532, Size: 612340, SHA256: "aabbcc", Filename: "pool/main/e/e2fsprogs/e2fsprogs_1.47.2-3+b11_amd64.deb",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParsePackageErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Package: a\nVersion: 1\n":                                     `control:1: package "a" has no Architecture field`,
		"Package: a\nArchitecture: all\n":                              `control:1: package "a" has no Version field`,
		"Version: 1\nArchitecture: all\n":                              `control:1: package "" has no Package field`,
		"Package: a\nArchitecture: all\nVersion: 1\nDepends: b (":      `control:4: package "a": field Depends: `,
		"Package: a\nArchitecture: all\nVersion: x y\n":                `control:3: package "a": field Version: `,
		"Package: a\nArchitecture: all\nVersion: 1\nSize: many\n":      `control:4: package "a": field Size: `,
		"Package: a\nArchitecture: all\nVersion: 1\nSource: b (1 2)\n": `control:4: package "a": field Source: `,
	} {
		if _, err := parseOne(t, text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
