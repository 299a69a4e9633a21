package debhelper

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"n3x/internal/debian/deb"
)

// recorded are the debhelpers that results were recorded with, by the distribution's code name.
var recorded = map[string]struct{ version, dpkg, programs string }{
	"bookworm": {"13.11.4", "1.21.22", "8a145afdaabed89d422ed78485cf9aa1a1548be7ba36a955469e4c2daa56aee3"},
	"trixie":   {"13.24.2", "1.22.21", "1aace2367b601841dd0613451edeb9ccff60943e76ca1274e231eb56a3185f08"},
}

// standIn is a release with pieces of our own, which only say their name and values. Each has as many bytes, and each
// value as often, as debhelper's has (testdata/snippets.txt), since a package's size depends on that.
func standIn(t *testing.T, codename string) *Release {
	t.Helper()
	data, err := os.ReadFile("testdata/snippets.txt")
	if err != nil {
		t.Fatal(err)
	}
	d := recorded[codename]
	r := &Release{Version: d.version, Dpkg: d.dpkg, Programs: d.programs, Snippets: map[string]string{}}
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if words[0] != codename {
			continue
		}
		size, err := strconv.Atoi(words[2])
		if err != nil {
			t.Fatal(err)
		}
		text, first := words[1]+"\n", ""
		for _, key := range words[3:] {
			if key != first {
				text += key + "="
			}
			text, first = text+"#"+key+"#\n", key
		}
		text += strings.Repeat("-", max(size-len(text)-1, 0)) + "\n"
		if len(text) != max(size, len(text)) {
			t.Fatalf("%s has %d bytes, want %d", words[1], len(text), size)
		}
		r.Snippets[words[1]] = text
	}
	if len(r.Snippets) == 0 {
		t.Fatalf("no snippets of %s", codename)
	}
	return r
}

// debianRelease is the real one of deb.debian.org.
func debianRelease(t *testing.T, codename string) *Release {
	t.Helper()
	want := recorded[codename]
	var debs []*deb.Deb
	for _, name := range Packages() {
		url := fmt.Sprintf("http://deb.debian.org/debian/pool/main/d/debhelper/%s_%s_all.deb", name, want.version)
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusNotFound {
			t.Skipf("%s is gone: %s has another version by now, with which the results can be recorded anew (TestRecord)", url, codename)
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v; if %s has another version by now, record with it", url, resp.Status, err, codename)
		}
		d, err := deb.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		debs = append(debs, d)
	}
	r, err := ReadRelease(debs...)
	if err != nil {
		t.Fatal(err)
	}
	if r.Dpkg = want.dpkg; r.Version != want.version || r.Programs != want.programs || r.behaviour() == nil {
		t.Fatalf("%s has debhelper %s with the programs %s, want %+v", codename, r.Version, r.Programs, want)
	}
	return r
}

var (
	section = regexp.MustCompile(`(?s)(\t# Automatically added by [^\n]*\n)(.*?)(\t# End automatically added section\n)`)
	holder  = regexp.MustCompile(`#([A-Z_]+)#`)
	summed  = regexp.MustCompile(`(?m) sha256:[0-9a-f]+$`)
)

// condense puts, in a dump, in place of each piece of a script which piece it is, its values and its SHA-256.
func (r *Release) condense(t *testing.T, dump string) string {
	t.Helper()
	names := slices.Collect(maps.Keys(standIn(t, "trixie").Snippets))
	literal := func(name string) int { return len(holder.ReplaceAllString(r.Snippets[name], "")) }
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(literal(b)-literal(a), strings.Compare(a, b)) })
	return section.ReplaceAllStringFunc(dump, func(s string) string {
		parts := section.FindStringSubmatch(s)
		body := strings.ReplaceAll(parts[2], "\n\t", "\n")[1:]
		for _, name := range names {
			if values, ok := r.values(name, body); ok {
				return fmt.Sprintf("%s\t%s%s sha256:%x\n%s", parts[1], name, values, sha256.Sum256([]byte(body)), parts[3])
			}
		}
		t.Errorf("debhelper %s has no snippet that gives %q", r.Version, body)
		return s
	})
}

// values are those with which a snippet gives body.
func (r *Release) values(name, body string) (string, bool) {
	var keys []string
	pattern := ""
	rest := r.Snippets[name]
	for at := holder.FindStringSubmatchIndex(rest); at != nil; at = holder.FindStringSubmatchIndex(rest) {
		pattern += regexp.QuoteMeta(rest[:at[0]]) + `(.*?)`
		keys, rest = append(keys, rest[at[2]:at[3]]), rest[at[1]:]
	}
	m := regexp.MustCompile(`(?s)^` + pattern + regexp.QuoteMeta(rest) + `$`).FindStringSubmatch(body)
	if m == nil {
		return "", false
	}
	set := map[string]string{}
	for i, key := range keys {
		if v, ok := set[key]; ok && v != m[i+1] {
			return "", false
		}
		set[key] = m[i+1]
	}
	out := ""
	for _, key := range slices.Sorted(maps.Keys(set)) {
		out += fmt.Sprintf(" %s=%q", key, set[key])
	}
	return out, true
}

func withoutSums(dump string) string { return summed.ReplaceAllString(dump, "") }

// TestUnknownDebhelper: other programs, another dpkg, or a piece that is missing are left to the real debhelper.
func TestUnknownDebhelper(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Release){
		"programs": func(r *Release) { r.Programs = strings.Repeat("0", 64) },
		"dpkg":     func(r *Release) { r.Dpkg = "1.21.22" },
		"ubuntu":   func(r *Release) { r.Dpkg = "1.22.6ubuntu6.1" },
		"snippet":  func(r *Release) { delete(r.Snippets, "postinst-systemd-enable") },
	} {
		s, dir, r := readSample(t, "testdata/corpus/service.txtar"), t.TempDir(), standIn(t, "trixie")
		s.write(t, dir)
		change(r)
		_, err := s.source(dir, r).Build()
		var b *Beyond
		if !errors.As(err, &b) || !strings.Contains(b.Reason, "debhelper "+r.Version) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReadRelease: what stands for the programs is independent of their order in the package and of the version, and of
// nothing else; packages of another kind are refused.
func TestReadRelease(t *testing.T) {
	t.Parallel()
	file := func(name, text string) deb.Entry {
		return deb.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: "./" + name, Mode: 0o644, Size: int64(len(text))},
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
	}
	read := func(entries ...deb.Entry) (*Release, error) {
		control := []deb.ControlFile{{Name: "control", Mode: 0o644, Data: []byte("Package: x\nVersion: 1\nArchitecture: all\n")}}
		var b bytes.Buffer
		if err := deb.Write(&b, deb.Contents{Control: control, Data: entries}); err != nil {
			t.Fatal(err)
		}
		d, err := deb.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		return ReadRelease(d)
	}
	version, program := file(versionFile, "package Debian::Debhelper::Dh_Version;\n$version='14.0~x';\n1"), file("usr/bin/dh", "#!/usr/bin/perl\n")
	module, snippet := file(moduleDir+"/Sequence/x.pm", "1"), file(snippetDir+"/postinst-x", "x #X#\n")
	r, err := read(version, program, module, snippet)
	if err != nil || r.Version != "14.0~x" || r.Snippets["postinst-x"] != "x #X#\n" || len(r.Snippets) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	for name, c := range map[string]struct {
		entries []deb.Entry
		same    bool
	}{
		"order":   {[]deb.Entry{module, snippet, version, program}, true},
		"version": {[]deb.Entry{file(versionFile, "$version='15';"), program, module, snippet}, true},
		"program": {[]deb.Entry{version, file("usr/bin/dh", "#!/usr/bin/perl -w\n"), module, snippet}, false},
		"module":  {[]deb.Entry{version, program, file(moduleDir+"/Sequence/x.pm", "2"), snippet}, false},
		"another": {[]deb.Entry{version, program, file("usr/bin/dh_x", ""), module, snippet}, false},
	} {
		if other, err := read(c.entries...); err != nil || (other.Programs == r.Programs) != c.same {
			t.Errorf("%s: %+v, %v", name, other, err)
		}
	}
	for want, entries := range map[string][]deb.Entry{
		"packages have no programs":  {version, snippet},
		"no " + snippetDir:           {version, program},
		"or no " + versionFile:       {file(versionFile, "1"), program, snippet},
		"which no piece of a script": {version, program, file(snippetDir+"/postinst-x", strings.Repeat("x", maxSnippet+1))},
	} {
		if _, err := read(entries...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
