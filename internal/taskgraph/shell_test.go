package taskgraph

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// The vectors are those of testdata/capture_shell.py: python3 capture_shell.py .../isar/bitbake .../bitbake > shell.jsonl
func TestShellCommandsAreThoseOfBitBake(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/shell.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		var v []json.RawMessage
		var text string
		if err := errors.Join(json.Unmarshal([]byte(line), &v), json.Unmarshal(v[0], &text)); err != nil {
			t.Fatal(err)
		}
		for i, release := range []string{"2.8", "2.19"} {
			n++
			got, known := shellCommands(text, i == 1)
			var want []string
			if err := json.Unmarshal(v[1+i], &want); err != nil {
				t.Fatal(err)
			}
			if known != (want != nil) || !slices.Equal(got, want) {
				t.Errorf("%s: %q: %q %v, want %q", release, text, got, known, want)
			}
		}
	}
	if n < 2000 {
		t.Errorf("only %d answers recorded", n)
	}
}

// What BitBake refuses is read all the same.
func TestShellThatBitBakeRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"echo $((1 + $(a))) ; b", "a b echo"},
		{"cat <<EOT; a", "a cat"},
		{"a() { b; } > c; a", "b"},
		{"for i\ndo\n  a\ndone", "a"},
		{"a 'unended", "a"},
		{"a $(b `c", "a b c"},
		{"a ) b", "a b"},
		{"a;;b", "a b"},
		{"(a &)", "a"},
		{"x=\"$((1))$(a \"$(b)\")\" c", "a b c"},
		{"if a; then b; echo else; $((1)); fi", "a b echo"},
	} {
		text := strings.ReplaceAll(c.text, `\n`, "\n")
		if _, known := shellCommands(text, true); known {
			t.Errorf("%q is not refused", text)
		}
		if got := strings.Join(newCode(true).shell(text), " "); got != c.want {
			t.Errorf("%q: %q, want %q", text, got, c.want)
		}
	}
}

func FuzzShellCommands(f *testing.F) {
	for _, s := range []string{"a $(b) `c` \"${d}\"", "case x in a) b;; esac", "cat <<E\nx\nE\n", "if ! a; then { b; }; fi", strings.Repeat("$(", 300), strings.Repeat("case x in a) ", 300), strings.Repeat("`\\", 99), strings.Repeat("${", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		for _, name := range newCode(true).shell(text) {
			if name == "" || strings.ContainsAny(name, " \n;|&<>") && !strings.ContainsAny(name, `"'\$`) {
				t.Errorf("command %q", name)
			}
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%d bytes took %s", len(text), d)
		}
	})
}

func TestPythonUses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ code, reads, calls, asks string }{
		{"d.getVar('A') or e.data.getVar(\"B\", False)", "A B", "", ""},
		{"getVar('A')", "", "getVar", ""}, // a function of that name, not the datastore's
		{"d.getVar(name) + d.getVar('A' + b)", "", "", ""},
		{"d.getVarFlag('A', 'f') or d.getVarFlag('A', f)", "A[f]", "", ""},
		{"bb.utils.contains('A', 'x y', f(1), '', d)", "", "f", "A:x y"},
		{"bb.utils.contains('A', x, '', '', d)", "A", "", ""},
		{"bb.utils.contains_any('A', 'x y', 1, 0, d)", "", "", "A:x A:y"},
		{"oe.utils.conditional('A', 'x', '', '', d)", "A", "", ""},
		{"d.expand('${A} ${@f(d)} ${@d.getVar(\"B\")}')", "A B", "f", ""},
		{"[f(d.getVar(x)) for x in g('A')]", "", "f g", ""},
		{"a.b.c(d)['x'](1)", "", "a.b.c", ""},
		{"this is 'no' python f(x)", "no", "f", ""},
	} {
		u := newCode(true).expression(c.code)
		var asks []string
		for name, words := range u.asks {
			for _, w := range words {
				asks = append(asks, name+":"+w)
			}
		}
		if r, k, a := strings.Join(u.reads, " "), strings.Join(u.calls, " "), strings.Join(asks, " "); r != c.reads || k != c.calls || a != c.asks {
			t.Errorf("%s: reads %q calls %q asks %q", c.code, r, k, a)
		}
	}
}
