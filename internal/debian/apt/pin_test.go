package apt

import (
	"bufio"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"n3x/internal/arch"
)

// pinWorld is the set of repositories of testdata/pins.txtar, without the network.
func pinWorld(t *testing.T, files map[string]string, prefs []Preference) (*Client, *State) {
	t.Helper()
	sources, err := ParseSources("sources.list", []byte(files["sources.list"]))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(Options{Sources: sources, Preferences: prefs, Arches: []arch.Arch{"amd64", "arm64"}, DownloadDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	repos, err := c.repositories("deb")
	if err != nil {
		t.Fatal(err)
	}
	var all []*opened
	for _, r := range repos {
		base := "lists/" + strings.ReplaceAll(strings.TrimPrefix(r.base(), "http://"), "/", "_")
		rel, err := parseRelease(base, []byte(files[base+"_Release"]))
		if err != nil {
			t.Fatal(err)
		}
		o := &opened{meta: new(metadata)}
		for _, w := range r.wanted {
			text, ok := files[base+"_"+strings.ReplaceAll(w.path(), "/", "_")]
			if !ok {
				continue
			}
			data, err := parsePackages(base, strings.NewReader(text), func() string { return base })
			if err != nil {
				t.Fatal(err)
			}
			p, err := loadPackages(string(data))
			if err != nil {
				t.Fatal(err)
			}
			o.indices = append(o.indices, loaded{describe(r, rel, w, p), p})
		}
		all = append(all, o)
	}
	return c, c.assemble(all)
}

// policy reads what apt-cache policy printed: "name version priority" and "name candidate version".
func policy(text string) []string {
	var all []string
	name := ""
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		line := s.Text()
		words := strings.Fields(line)
		switch {
		case !strings.HasPrefix(line, " "):
			name = strings.TrimSuffix(line, ":")
		case words[0] == "Candidate:":
			all = append(all, name+" candidate "+words[1])
		case strings.HasPrefix(line, "     ") && line[5] != ' ' && len(words) == 2:
			all = append(all, name+" "+words[0]+" "+words[1])
		}
	}
	sort.Strings(all)
	return all
}

func TestPins(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/pins.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	cases := 0
	for name, text := range files {
		number, ok := strings.CutPrefix(name, "prefs/")
		if !ok {
			continue
		}
		cases++
		prefs, err := ParsePreferences(name, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, state := pinWorld(t, files, prefs)
		want := policy(files["policy/"+number])
		var got []string
		for _, n := range []string{"curl", "libcurl4", "bash", "linux-image-6.12", "docs", "foo", "nonfree", "own", "curl:arm64", "bash:arm64"} {
			candidate := "(none)"
			if p := state.Candidate(n, "amd64"); p != nil {
				candidate = string(p.Version)
			}
			got = append(got, n+" candidate "+candidate)
			seen := map[string]bool{}
			for _, p := range state.Named(n, "amd64") {
				if line := fmt.Sprintf("%s %s %d", n, p.Version, p.Pin); !seen[line] {
					seen[line] = true
					got = append(got, line)
				}
			}
		}
		sort.Strings(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-apt +got)\n%s", name, diff)
		}
	}
	if cases < 13 {
		t.Errorf("only %d cases", cases)
	}
}

func TestParsePreferencesErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Pin: release a=b\nPin-Priority: 1\n":                    "p:1: preference has no Package field",
		"Package: *\nPin: version 1\nPin-Priority: 1\n":          `p:2: a version pin needs a package name, not "*"`,
		"Package: *\nPin: relase a=b\nPin-Priority: 1\n":         `p:2: unknown pin type "relase"`,
		"Package: *\nPin: release a=b\n":                         `p:1: priority "" is not a number`,
		"Package: *\nPin: release a=b\nPin-Priority: 0\n":        "p:3: priority 0 is not defined",
		"Package: *\nPin: release a=b\nPin-Priority: 99999\n":    `p:3: priority "99999" is not a number from`,
		"Package: x\nPin: release a=b\nPin-Priority: never\n":    `p:3: the priority "never" is only for Package: *`,
		"Package: *\nPin: release a=/(/\nPin-Priority: 1\n":      "p:2: expression /(/: ",
		"Package: /[/\nPin: release a=b\nPin-Priority: 1\n":      "p:2: expression /[/: ",
		"# nothing\n\nPackage: x\nPin-Priority: 1\n\nnonsense\n": `p:6: expected "Field: value"`,
	} {
		if _, err := ParsePreferences("p", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if list, err := ParsePreferences("p", []byte("Package: x\nPin-Priority: 1\n")); err != nil || len(list) != 0 {
		t.Errorf("stanza without Pin: %v, %v", list, err)
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		glob, text string
		want       bool
	}{
		{"a*", "a/b", true}, {"A?C", "abc", true}, {"a[!b]c", "abc", false}, {"a[^b]c", "adc", true}, {"a[b-d]c", "acc", true},
		{"a[]]c", "a]c", true}, {"a[b", "a[b", true}, {`a\*`, "a*", true}, {`a\*`, "ab", false}, {"a.c", "abc", false}, {"", "", true},
		{"[[]x", "[x", true}, {"*", "", true},
	} {
		if got := newMatcher(c.glob)(c.text); got != c.want {
			t.Errorf("%q matches %q: %v", c.glob, c.text, got)
		}
	}
}
