// SPDX-License-Identifier: MIT

package pyeval

import (
	"context"
	"strings"
	"testing"

	"n3x/internal/diag"
)

// hearing is a datastore that notes messages.
type hearing struct {
	Vars
	heard []string
}

func (h *hearing) Heard(level, text string) { h.heard = append(h.heard, level+": "+text) }

// TestRestore calls functions and modules that another process had defined.
func TestRestore(t *testing.T) {
	t.Parallel()
	lib := NewLibrary(nil)
	for _, src := range []string{"def f(d):\n    return g(d) + 1\n", "def g(d):\n    return 41\n", "def odd(d):\n    import nothing_like_this\n    return 1\n"} {
		if err := lib.Define(diag.Pos{File: "/l/a.bbclass", Line: 3}, src); err != nil {
			t.Fatal(err)
		}
	}
	first := New(Options{})
	if err := first.Exec(context.Background(), "    import re\n    bb.utils._context['re'] = re\n", Site{Vars: newFakeVars(first, nil)}); err != nil {
		t.Fatal(err)
	}
	second := New(Options{})
	second.Inject(first.Injected())
	again := RestoreLibrary(RestoreLibrary(nil, lib.Defs()[1:]), lib.Defs()[:1])
	for expr, want := range map[string]string{"f(d)": "42", "re.sub('a', 'b', 'ca')": "cb"} {
		got, err := second.Eval(context.Background(), expr, Site{Vars: newFakeVars(second, nil), Lib: again})
		if got != want || err != nil {
			t.Errorf("%s = %q, %v; want %q", expr, got, err, want)
		}
	}
	_, err1 := first.Eval(context.Background(), "odd(d)", Site{Vars: newFakeVars(first, nil), Lib: lib})
	_, err2 := second.Eval(context.Background(), "odd(d)", Site{Vars: newFakeVars(second, nil), Lib: again})
	if err1 == nil || err2 == nil || err1.Error() != err2.Error() || !strings.Contains(err2.Error(), "a.bbclass") {
		t.Errorf("errors are %v and %v", err1, err2)
	}
}

// TestMessagesAreHeard tells the datastore what its Python says.
func TestMessagesAreHeard(t *testing.T) {
	t.Parallel()
	h := &hearing{Vars: newFakeVars(New(Options{}), nil)}
	if err := New(Options{}).Exec(context.Background(), "    bb.warn('careful')\n    bb.note('so ', 'it is')\n", Site{Vars: h}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(h.heard, "; "); got != "warn: careful; note: so it is" {
		t.Errorf("heard %q", got)
	}
}
