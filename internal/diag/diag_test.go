package diag

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	user, failed := Userf(Pos{}, "u"), Failedf(Pos{}, "f")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("x"), 1}, {failed, 1}, {user, 2}, {&Error{Kind: Broken}, 3},
		{fmt.Errorf("around: %w", user), 2},
		{errors.Join(failed, user), 2},
		{Failedf(Pos{}, "outer: %w", user), 2},
		{fmt.Errorf("x: %w", context.Canceled), 130},
	} {
		if got := Status(c.err); got != c.want {
			t.Errorf("%v: status %d, want %d", c.err, got, c.want)
		}
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	first := Userf(Pos{File: "a.yml", Line: 3}, "unknown key %q", "repoz").WithHint("did you mean repos?").WithNote("two\nlines")
	err := errors.Join(fmt.Errorf("load: %w", first), errors.New("second"), ErrReported)
	var b strings.Builder
	Render(&b, "n3x", err)
	want := `n3x: error: load: a.yml:3: unknown key "repoz"
    note: two
        lines
    hint: did you mean repos?
n3x: error: second
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

// TestRenderSource holds that the line in question is shown once, whatever is in it.
func TestRenderSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "a.conf")
	if err := os.WriteFile(file, []byte("A = \"1\"\n  B \x1b[31m= c\n\n"+strings.Repeat("x", 500)+"\nD = e\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	at := func(line int) *Error { return Userf(Pos{File: file, Line: line}, "no") }
	for _, c := range []struct {
		err  error
		want string // "" when no line is shown
	}{
		{at(1), `A = "1"`}, {at(2), "B  [31m= c"}, {at(3), ""}, {at(4), strings.Repeat("x", 160) + " ..."}, {at(99), ""}, {at(0), ""},
		{fmt.Errorf("around: %w", at(5)), "D = e"}, {at(5).WithNote("it is: D = e"), ""},
		{Userf(Pos{File: file, Line: 1}, "unparsed %q", `A = "1"`), ""},
		{Userf(Pos{File: dir, Line: 1}, "a folder"), ""}, {Userf(Pos{File: "/nowhere/x", Line: 1}, "gone"), ""}, {errors.New("plain"), ""},
	} {
		var b strings.Builder
		Render(&b, "n3x", c.err)
		if _, line, _ := strings.Cut(b.String(), "    line: "); strings.TrimSuffix(line, "\n") != c.want {
			t.Errorf("%v: shows %q, want %q", c.err, line, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"repos", "machine", "distro", "local_conf_header"}
	for name, want := range map[string]string{"repoz": "repos", "mahcine": "machine", "Distro": "distro", "target": "", "x": "", "local_conf_haeder": "local_conf_header"} {
		if got := Nearest(name, words); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := Distance("kitten", "sitting"); got != 3 {
		t.Errorf("distance %d, want 3", got)
	}
	if got := Distance("ab", "ba"); got != 1 {
		t.Errorf("a swap costs %d, want 1", got)
	}
}

func TestPosString(t *testing.T) {
	t.Parallel()
	for p, want := range map[Pos]string{{File: "f"}: "f", {File: "f", Line: 2}: "f:2", {File: "f", Line: 2, Col: 5}: "f:2:5"} {
		if p.String() != want {
			t.Errorf("%q, want %q", p.String(), want)
		}
	}
}
