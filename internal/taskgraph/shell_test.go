package taskgraph

import (
	"strings"
	"testing"
	"time"
)

// What BitBake refuses, or finds only in newer releases; testdata/world.txtar has the rest.
func TestShellCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"a", "a"},
		{`x="$(a "$(b)")" c`, "a b c"},
		{"echo $((1 + $(a))) ; b", "a b echo"},
		{"[[ a == b ]] && c", "[[ c"},
		{"cat <<EOT; a\n$(no)\nEOT\nb", "a b cat"},
		{"cat <<A <<-'B'\nno\nA\nno\n\tB\nb", "b cat"},
		{"cat <<EOT\nnever ended", "cat"},
		{"case x in esac; a", "a"},
		{"case x in\n\n# comment\n(a) b;; c|d) e\nesac\nf", "b e f"},
		{"if a; then b\nfi", "a b"},
		{"a() { b; }; a", "b"},
		{"for i in $(a) b; do c; done", "a c"},
		{"for i\ndo\n  a\ndone", "a"},
		{"${cmd} a; $b; \"$c\"", ""},
		{"a 'unended", "a"},
		{"a $(b `c", "a b c"},
		{"a ) b", "a b"},
		{"a;;b", "a b"},
		{"eval a b; eval 'c d'", "'c d' a"},
		{"`echo \\`a\\``", "a echo"},
		{"a\\\n b", "a"},
		{"2> x a 3<&1; exec 4>y; 5", "5 a exec"},
	} {
		if got := strings.Join(newCode().shell(c.text), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func FuzzShellCommands(f *testing.F) {
	for _, s := range []string{"a $(b) `c` \"${d}\"", "case x in a) b;; esac", "cat <<E\nx\nE\n", "if ! a; then { b; }; fi", strings.Repeat("$(", 300), strings.Repeat("case x in a) ", 300), strings.Repeat("`\\", 99), strings.Repeat("${", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		for _, name := range newCode().shell(text) {
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
		u := newCode().expression(c.code)
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
