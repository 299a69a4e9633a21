package yaml

import (
	"fmt"
	"strings"
	"testing"

	"n3x/internal/diag"
)

// written is a value in a form of its own: strings quoted, maps and lists in brackets.
func written(n *Node) string {
	switch v := n.Value.(type) {
	case *Map:
		var out []string
		for _, e := range v.Entries() {
			out = append(out, fmt.Sprintf("%q: %s", e.Key, written(e.Node)))
		}
		return "{" + strings.Join(out, ", ") + "}"
	case []*Node:
		var out []string
		for _, e := range v {
			out = append(out, written(e))
		}
		return "[" + strings.Join(out, ", ") + "]"
	case string:
		return fmt.Sprintf("%q", v)
	case nil:
		return "null"
	}
	return fmt.Sprint(n.Value)
}

// What PyYAML 6.0 makes of colons: print(yaml.safe_load(text)).
func TestColons(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: {b: [10.0.0.0/24, fd00::/64]}":     `{"a": {"b": ["10.0.0.0/24", "fd00::/64"]}}`,
		"a: {b: fd00::1, c: [fe80::1, x:y]}":   `{"a": {"b": "fd00::1", "c": ["fe80::1", "x:y"]}}`,
		"a: {fd00:1::/48: fd00::1}":            `{"a": {"fd00:1::/48": "fd00::1"}}`,
		"{fd00::/64: x, b: c}":                 `{"fd00::/64": "x", "b": "c"}`,
		"a: [fd00::/64, b: c]":                 `{"a": ["fd00::/64", {"b": "c"}]}`,
		"fd00::/64: x":                         `{"fd00::/64": "x"}`,
		`{"a":1,"b":"c:d","e":["f:g"],'h':{}}`: `{"a": 1, "b": "c:d", "e": ["f:g"], "h": {}}`,
		`{"a" :1}`:                             `{"a": 1}`,
		"{a:1}":                                `{"a:1": null}`,
		"{a: ssh://git@h:22/x, b: 'c:d'}":      `{"a": "ssh://git@h:22/x", "b": "c:d"}`,
		"a: |\n  x:y {b:c}\nd: >\n  e:f\n":     `{"a": "x:y {b:c}\n", "d": "e:f\n"}`,
		"a: !!str 1:30":                        `{"a": "1:30"}`,
		"a: 52:54:00:01:01:01 # c:d":           `{"a": 41135043661}`,
	} {
		n, err := Parse("f", []byte(text), func(diag.Pos, string) {})
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := written(n); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestDeep is about what the library would take all memory for: it is refused before.
func TestDeep(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"a: 1\nsteps: " + strings.Repeat("[", 200000), "x.yaml:2: the file is nested more than 1000 deep"},
		{strings.Repeat("{a: ", 200000), "x.yaml:1: the file is nested more than 1000 deep"},
		{strings.Repeat("- ", 200000), "x.yaml:1: the file is nested more than 1000 deep"},
	} {
		if _, err := Parse("x.yaml", []byte(tt.text), nil); err == nil || err.Error() != tt.want {
			t.Errorf("%.20q: %v", tt.text, err)
		}
	}
	long := "a: |\n" + strings.Repeat("  if [ -e x ]; then echo {}; fi; echo \"a - b - c\"\n", 5000) + "b: [" + strings.Repeat("1, ", 5000) + "2]\n"
	if _, err := Parse("x.yaml", []byte(long), nil); err != nil {
		t.Error(err)
	}
}
