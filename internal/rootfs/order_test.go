package rootfs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
)

// parse reads packages as stanzas; Version, Architecture and the like have defaults.
func parse(t *testing.T, text string) []*debian.Package {
	t.Helper()
	var list []*debian.Package
	for stanza := range strings.SplitSeq(text, "\n\n") {
		stanza = strings.TrimSpace(stanza)
		if stanza == "" {
			continue
		}
		for field, value := range map[string]string{"Version": "1", "Architecture": "amd64"} {
			if !strings.Contains(stanza, "\n"+field+":") {
				stanza += "\n" + field + ": " + value
			}
		}
		stanzas, err := deb.ReadStanzas("test", strings.NewReader(stanza+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := deb.ParsePackage(stanzas[0])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func asDebs(list []*debian.Package) []Deb {
	debs := make([]Deb, len(list))
	for i, p := range list {
		debs[i].Package = p
	}
	return debs
}

// show writes steps one a line: "unpack a b", "configure c", with "!" for those of the bootstrap.
func show(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		words := append([]string{"configure"}, s.configure...)
		if s.unpack != nil {
			words = []string{"unpack"}
			for _, d := range s.unpack {
				words = append(words, d.Name)
			}
		}
		if s.bootstrap {
			words[0] += "!"
		}
		b.WriteString(strings.Join(words, " ") + "\n")
	}
	return b.String()
}

const base = `Package: base-files
Essential: yes
Pre-Depends: awk

Package: base-passwd
Essential: yes
Depends: libc6

Package: dpkg
Essential: yes
Pre-Depends: libc6

Package: libc6

Package: mawk
Provides: awk

`

func TestOrder(t *testing.T) {
	tests := []struct {
		name, below, install, want string
		remove                     []string
	}{
		{name: "essential packages and what they depend on come first",
			install: base + "Package: zsh\nDepends: libc6\n\nPackage: gawk\nProvides: awk\nDepends: libc6\n",
			want: `unpack! base-files base-passwd dpkg gawk libc6
configure! base-passwd
configure -a
unpack mawk zsh
configure -a
`},
		{name: "Pre-Depends with all that they need are configured before",
			below: base,
			install: `Package: kernel
Pre-Depends: hooks (>= 2)

Package: hooks
Version: 2
Depends: left, right, libc6

Package: left
Depends: hooks

Package: right
Pre-Depends: ground

Package: ground

Package: other
`,
			want: `unpack ground hooks left other
configure ground:amd64
unpack right
configure hooks:amd64 left:amd64 right:amd64
unpack kernel
configure -a
`},
		{name: "an old version that is configured serves Pre-Depends that are content with it",
			below:   base + "Package: hooks\nVersion: 1\n",
			install: "Package: kernel\nPre-Depends: hooks\n\nPackage: hooks\nVersion: 2\n",
			want:    "unpack hooks kernel\nconfigure -a\n"},
		{name: "and others wait for the new one",
			below:   base + "Package: hooks\nVersion: 1\n",
			install: "Package: kernel\nPre-Depends: hooks (>= 2)\n\nPackage: hooks\nVersion: 2\n",
			want:    "unpack hooks\nconfigure hooks:amd64\nunpack kernel\nconfigure -a\n"},
		{name: "what is in the way is upgraded first",
			below:   base + "Package: zold\nVersion: 1\n",
			install: "Package: new\nConflicts: zold (<< 2)\n\nPackage: zold\nVersion: 2\n",
			want:    "unpack zold new\nconfigure -a\n"},
		{name: "alternatives and architecture all",
			below:   base,
			install: "Package: kernel\nPre-Depends: nothing | hooks\n\nPackage: hooks\nArchitecture: all\n",
			want:    "unpack hooks\nconfigure hooks\nunpack kernel\nconfigure -a\n"},
		{name: "nothing to install",
			below: base,
			want:  "configure -a\n"},
		{name: "what goes does not serve",
			below: base + "Package: hooks\n", remove: []string{"hooks"},
			install: "Package: kernel\nPre-Depends: hooks | stubs\n\nPackage: stubs\n",
			want:    "unpack stubs\nconfigure stubs:amd64\nunpack kernel\nconfigure -a\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Arch: "amd64", Install: asDebs(parse(t, tt.install)), Remove: tt.remove}
			have := parse(t, tt.below)
			if len(have) > 0 {
				o.Below = Stack{"below"}
			}
			steps, err := order(o, have)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, show(steps)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOrderRefuses(t *testing.T) {
	tests := []struct{ name, install, want string }{
		{"Pre-Depends that nobody satisfies", "Package: a\nPre-Depends: b\n", "a:amd64=1 pre-depends on b, which is not to be installed"},
		{"Pre-Depends on what depends on itself", "Package: a\nPre-Depends: b\n\nPackage: b\nDepends: a\n", "a:amd64=1 pre-depends on b, which depends on a package that cannot be unpacked either"},
		{"two versions", "Package: a\n\nPackage: a\nVersion: 2\n", "install a:amd64=1: a:amd64=2 is to be installed too"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := order(Options{Arch: "amd64", Below: Stack{"x"}, Install: asDebs(parse(t, tt.install))}, nil)
			if err == nil {
				t.Fatal("no error")
			}
			if text := rendered(err); !strings.Contains(text, tt.want) {
				t.Errorf("error lacks %q:\n%s", tt.want, text)
			}
		})
	}
}

// TestMatches holds the rules of dpkg for architectures (deb-control(5), Multi-Arch; Debian wiki, Multiarch/HOWTO).
func TestMatches(t *testing.T) {
	tests := []struct {
		provider, relation, dependant string
		want                          bool
	}{
		{"", "p", "", true},
		{"", "p (>= 1)", "", true},
		{"", "p (>> 1)", "", false},
		{"Architecture: i386", "p", "", false},
		{"Architecture: i386\nMulti-Arch: foreign", "p", "", true},
		{"Architecture: i386\nMulti-Arch: allowed", "p", "", false},
		{"Architecture: i386\nMulti-Arch: allowed", "p:any", "", true},
		{"Architecture: i386", "p:i386", "", true},
		{"Architecture: all", "p", "", true},
		{"", "p", "Architecture: all", true},
		{"Provides: v", "v", "", true},
		{"Provides: v", "v (>= 1)", "", false},
		{"Provides: v (= 3)", "v (>= 2)", "", true},
		{"Provides: v (= 3)", "v (>= 4)", "", false},
	}
	for _, tt := range tests {
		provider, dependant := parse(t, "Package: p\n"+tt.provider)[0], parse(t, "Package: d\n"+tt.dependant)[0]
		d, err := debian.ParseDependency(tt.relation)
		if err != nil {
			t.Fatal(err)
		}
		if got := matches(provider, d[0][0], dependant); got != tt.want {
			t.Errorf("%q satisfies %q of %q: %v, want %v", tt.provider, tt.relation, tt.dependant, got, tt.want)
		}
	}
}
