package fetch

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/diag"
)

// TestMirrors holds the addresses that mirrors give against BitBake's (see the file's header).
func TestMirrors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/mirrors.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(strings.TrimSpace(string(data)), "\n\n")[1:]
	if len(cases) < 20 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		lines := strings.Split(c, "\n")
		s, err := Parse(lines[0])
		if err != nil {
			t.Errorf("%s: %v", lines[0], err)
			continue
		}
		mirrors, err := ParseMirrors(lines[1], diag.Pos{})
		if err != nil {
			t.Errorf("%s: %v", lines[1], err)
			continue
		}
		var want []string
		for _, l := range lines[2:] {
			want = append(want, strings.TrimSpace(l))
		}
		if d := cmp.Diff(want, mirrorURLs(s, s.URL, mirrors)); d != "" {
			t.Errorf("%s with %s (-bitbake +n3x):\n%s", lines[0], lines[1], d)
		}
	}
}

func TestParseMirrorsErrors(t *testing.T) {
	t.Parallel()
	pos := diag.Pos{File: "local.conf", Line: 3}
	for value, want := range map[string]string{
		"https://.*/.*":               `local.conf:3: mirrors come in pairs, but "https://.*/.*" is left over`,
		`https://.*/.* nonsense`:      "is no pair of addresses",
		`git://(?!x).*/.* http://m/x`: `regular expression "(?!x).*" is not supported`,
	} {
		if _, err := ParseMirrors(value, pos); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", value, err, want)
		}
	}
	if m, err := ParseMirrors(` a://x b://y \n c://z d://w \n`, pos); err != nil || len(m) != 2 {
		t.Errorf("got %v, %v", m, err)
	}
}
