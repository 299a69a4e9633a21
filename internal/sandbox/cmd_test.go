package sandbox

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	root := Mount{Type: Overlay, Lower: []string{"/a"}, Target: "/"}
	for want, c := range map[string]Cmd{
		"holds a zero byte":                                    {Argv: []string{"a\x00"}},
		"a terminal needs a file":                              {Argv: []string{"a"}, TTY: true},
		"root x is not absolute":                               {Argv: []string{"a"}, Root: "x"},
		"must be one bind or overlay, and first":               {Argv: []string{"a"}, Root: "/x", Mounts: []Mount{root}},
		"-> /.: the root must be one bind or overlay":          {Argv: []string{"a"}, Mounts: []Mount{{Type: Tmpfs, Target: "/."}}},
		"overlay /a -> /: the root must be":                    {Argv: []string{"a"}, Mounts: []Mount{{Type: Tmpfs, Target: "/x"}, root}},
		`tmpfs -> x: path "x" is not absolute`:                 {Argv: []string{"a"}, Mounts: []Mount{{Type: Tmpfs, Target: "x"}}},
		`bind  -> /x: path "" is not absolute`:                 {Argv: []string{"a"}, Mounts: []Mount{{Target: "/x"}}},
		"overlay a -> /x: path \"a\" is not absolute":          {Argv: []string{"a"}, Mounts: []Mount{{Type: Overlay, Lower: []string{"a"}, Target: "/x"}}},
		"overlay  -> /x: nothing to stack":                     {Argv: []string{"a"}, Mounts: []Mount{{Type: Overlay, Target: "/x"}}},
		"needs a work directory":                               {Argv: []string{"a"}, Mounts: []Mount{{Type: Overlay, Upper: "/u", Target: "/x"}}},
		"mount MountType(9) -> /x: unknown type":               {Argv: []string{"a"}, Mounts: []Mount{{Type: 9, Target: "/x"}}},
		"run a: a host command has no sandbox settings":        {Argv: []string{"/bin/a"}, Host: true, Root: "/"},
		"run a b 'c d': a host command":                        {Argv: []string{"/bin/a", "b", "c d"}, Host: true, UID: 1},
		"run sh -c 'a b " + strings.Repeat("x", 46) + "...: a": {Argv: []string{"sh", "-c", "a \n b " + strings.Repeat("x", 99)}, Host: true, UID: 1},
	} {
		err := c.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Cmd{
		"env -i true":    {Argv: []string{"true"}},
		"git --version":  {Argv: []string{"git", "--version"}, Host: true},
		"cd /a && git x": {Argv: []string{"git", "x"}, Host: true, Dir: "/a"},
		`cd '/a b' && env -i A=1 'B=it'\''s' sh -c 'echo "$A"' ''`: {Argv: []string{"sh", "-c", `echo "$A"`, ""}, Dir: "/a b", Env: []string{"A=1", "B=it's"}},
	} {
		if got := c.Line(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	c := Cmd{Mounts: append([]Mount{{Type: Overlay, Lower: []string{"/a", "/b"}, Upper: "/u", Work: "/w", Target: "/"},
		{Type: BindRO, Source: "/s", Target: "/t"}}, System()...)}
	want := `overlay /a + /b + upper /u -> /
bind-ro /s -> /t
proc -> /proc
sys -> /sys
dev -> /dev
tmpfs -> /tmp
tmpfs -> /run
no network
`
	if diff := cmp.Diff(want, c.Describe()); diff != "" {
		t.Error(diff)
	}
	c = Cmd{Root: "/r", Network: true}
	if got, want := c.Describe(), "root /r\nnetwork of the host\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
