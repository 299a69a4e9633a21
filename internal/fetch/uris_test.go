package fetch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEntries holds how entries are read, and where they are stored, against BitBake (see the file's header).
func TestEntries(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/uris.txt")
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(Options{DownloadDir: "/dl", GitDir: "/dl/git"})
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(strings.TrimSpace(string(data)), "\n\n")[1:]
	if len(cases) < 40 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		lines := strings.Split(c, "\n")
		list, err := ParseSources(Request{SrcURI: strings.ReplaceAll(lines[0], " ", "%20"), Revision: func(string) string { return strings.Repeat("a", 40) }})
		if err == nil {
			err = list[0].supported()
		}
		if strings.HasPrefix(lines[1], "  ERROR") {
			if err == nil {
				t.Errorf("%s is taken; BitBake refuses it", lines[0])
			}
			continue
		}
		if err != nil && !strings.Contains(err.Error(), `scheme "ftp" is not supported yet`) {
			t.Errorf("%s: %v", lines[0], err)
			continue
		}
		s := list[0]
		var params []string
		for k, v := range s.Params {
			params = append(params, k+"="+v)
		}
		slices.Sort(params)
		got := "  " + strings.Join([]string{s.Scheme, s.Host, s.Path, s.User, s.Password, strings.Join(params, " ")}, " | ")
		if want := lines[1]; strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s\n bitbake %s\n n3x     %s", lines[0], want, got)
		}
		name := s.LocalName()
		switch {
		case s.isGit():
			name = f.cloneDir(s)
		case s.Scheme == "npm":
			name = s.npmLocal()
		}
		if want := strings.TrimSpace(lines[2]); filepath.ToSlash(name) != want {
			t.Errorf("%s is stored as %q, BitBake's name is %q", lines[0], name, want)
		}
	}
}
