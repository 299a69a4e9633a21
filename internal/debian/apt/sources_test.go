package apt

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/diag"
)

func TestParseSources(t *testing.T) {
	t.Parallel()
	at := func(file string, line int) diag.Pos { return diag.Pos{File: file, Line: line} }
	const deb = "http://deb.debian.org/debian"
	for _, c := range []struct {
		file, text string
		want       []Source
	}{
		{"a.list", "# deb http://no no no\n\n  deb http://deb.debian.org/debian/ trixie main  contrib # why\ndeb-src\t" + deb + " trixie main\r\n", []Source{
			{Pos: at("a.list", 3), Type: "deb", URI: deb, Suite: "trixie", Components: []string{"main", "contrib"}},
			{Pos: at("a.list", 4), Type: "deb-src", URI: deb, Suite: "trixie", Components: []string{"main"}},
		}},
		{"a.list", "deb [ arch=amd64,arm64 arch+=i386 arch-=all signed-by=/k#1.gpg trusted=no by-hash=force lang=none check-valid-until=0 valid-until-min=60 ] https://h/ s c", []Source{
			{Pos: at("a.list", 1), Type: "deb", URI: "https://h", Suite: "s", Components: []string{"c"}, Arches: []string{"amd64", "arm64"},
				ArchesAdd: []string{"i386"}, ArchesRemove: []string{"all"}, SignedBy: "/k#1.gpg", Trusted: No, ByHash: "force", CheckValidUntil: No, ValidUntilMin: time.Minute},
		}},
		{"a.list", "deb [trusted=yes]file:/x/../isar-apt/ ./\ndeb copy:///a%20b sub/", []Source{
			{Pos: at("a.list", 1), Type: "deb", URI: "file:///isar-apt", Suite: "./", Trusted: Yes, Components: []string{}},
			{Pos: at("a.list", 2), Type: "deb", URI: "file:///a%20b", Suite: "sub/", Components: []string{}},
		}},
		{"d.sources", "Enabled: no\nTypes: nonsense\n\nTypes: deb deb-src\nURIs: http://a/\n http://b\nSuites: s\nComponents: main\n non-free\nArchitectures: amd64 arm64\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\nTrusted: on\n\n", []Source{
			{Pos: at("d.sources", 4), Type: "deb", URI: "http://a", Suite: "s", Components: []string{"main", "non-free"}, Arches: []string{"amd64", "arm64"}, Trusted: Yes, SignedBy: "\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n.\nabc"},
			{Pos: at("d.sources", 4), Type: "deb", URI: "http://b", Suite: "s", Components: []string{"main", "non-free"}, Arches: []string{"amd64", "arm64"}, Trusted: Yes, SignedBy: "\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n.\nabc"},
			{Pos: at("d.sources", 4), Type: "deb-src", URI: "http://a", Suite: "s", Components: []string{"main", "non-free"}, Arches: []string{"amd64", "arm64"}, Trusted: Yes, SignedBy: "\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n.\nabc"},
			{Pos: at("d.sources", 4), Type: "deb-src", URI: "http://b", Suite: "s", Components: []string{"main", "non-free"}, Arches: []string{"amd64", "arm64"}, Trusted: Yes, SignedBy: "\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n.\nabc"},
		}},
	} {
		got, err := ParseSources(c.file, []byte(c.text))
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", c.text, diff)
		}
	}
}

func TestParseSourcesErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"x.list\ndeb http://h":                                 "x.list:1: repository line; lacks a URI and a suite; write it as",
		"x.list\n\ndebb http://h s c":                          `x.list:2: unknown repository type "debb"`,
		"x.list\ndeb http://h s":                               "x.list:1: ; names no component",
		"x.list\ndeb http://h s/ main":                         "takes no components",
		"x.list\ndeb ftp://h s main":                           `transport "ftp" is not supported; http, https, file and copy are`,
		"x.list\ndeb cdrom:[x]/ s main":                        `transport "cdrom" is not supported`,
		"x.list\ndeb h s main":                                 "has no scheme",
		"x.list\ndeb http:/h s main":                           "names no host",
		"x.list\ndeb file:x s main":                            "must hold an absolute path",
		"x.list\ndeb http://h%zz s main":                       "repository URI",
		"x.list\ndeb http://h ../s main":                       `must not hold ".."`,
		"x.list\ndeb [arch=amd64 http://h s main":              `no closing "]"`,
		"x.list\ndeb [arch] http://h s main":                   `option "arch" of the repository line is not name=value`,
		"x.list\ndeb [truste=yes] http://h s main":             `repository option "truste" is not supported; did you mean trusted?`,
		"x.list\ndeb [trusted=maybe] http://h s main":          `option trusted: "maybe" is neither yes nor no`,
		"x.list\ndeb [valid-until-max=soon] http://h s main":   `option valid-until-max: "soon" is not a number of seconds`,
		"x.list\ndeb [allow-weak=yes] http://h s main":         "without SHA-256 hashes are not supported",
		"x.sources\nURIs: http://h\nSuites: s\nComponents: c":  "x.sources:1: repository entry has no Types field",
		"x.sources\nTypes: deb\nSuites: s\nComponents: c":      "has no URIs field",
		"x.sources\nTypes: deb\nURIs: http://h\nComponents: c": "has no Suites field",
		"x.sources\nTypes: deb\nSnapshot: yes":                 `x.sources:2: repository option "Snapshot" is not supported`,
		"x.sources\nTypes: deb\nEnabled: perhaps":              "x.sources:2: Enabled: ",
	} {
		file, data, _ := strings.Cut(text, "\n")
		_, err := ParseSources(file, []byte(data))
		wantError(t, text, err, want)
	}
}

func FuzzParseSources(f *testing.F) {
	f.Add("deb [arch=amd64] http://deb.debian.org/debian trixie main\n")
	f.Add("Types: deb\nURIs: http://h\nSuites: s\nComponents: c\n")
	f.Fuzz(func(_ *testing.T, text string) {
		ParseSources("x.list", []byte(text))
		ParseSources("x.sources", []byte(text))
		ParsePreferences("p", []byte(text))
	})
}
