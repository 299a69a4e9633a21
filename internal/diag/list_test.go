package diag

import "testing"

func TestList(t *testing.T) {
	t.Parallel()
	var l List
	if err := l.Err(); err != nil {
		t.Errorf("an empty list is %v", err)
	}
	l.Userf(Pos{File: "f", Line: 3, Col: 1}, "third")
	l.Add(Userf(Pos{File: "f", Line: 1, Col: 9}, "second"))
	l.Userf(Pos{File: "f", Line: 1, Col: 2}, "first").WithHint("a hint")
	if got, want := l.Err().Error(), "f:1:2: first\nf:1:9: second\nf:3:1: third"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		names      []string
		name, hint string
	}{
		{[]string{"server-1", "agent-1"}, "servr-1", "did you mean server-1?"},
		{[]string{"server-1", "agent-1"}, "x", "it has: server-1, agent-1"},
		{nil, "x", "it has none"},
	} {
		e := Unknown(Pos{File: "f"}, "the profile", "node", tt.name, tt.names)
		if e.Hint != tt.hint || e.Error() != `f: the profile has no node "`+tt.name+`"` {
			t.Errorf("%v, hint %q; want %q", e, e.Hint, tt.hint)
		}
	}
}
