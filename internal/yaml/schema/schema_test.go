package schema

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

var rule = Keys("A test", []string{"name"},
	"name", Matching("its name", regexp.MustCompile(`^[a-z]+$`), "lower-case letters"),
	"level", Words("how hard it is", "easy", "hard"),
	"count", Numbers("how many", 1, 10),
	"fine", A(Truth, "whether"),
	"files", A(Texts, "one or more"),
	"list", A(Several, "more"),
	"steps", ListOf("what to do", Keys("a step", []string{"run"}, "run", A(Text, "a script"))),
	"machines", &Rule{Shape: Named, Doc: "machines by name", Pattern: regexp.MustCompile(`^[a-z]+$`), Form: "lower-case letters", Value: Keys("a machine", nil, "cpus", Numbers("processors", 1, 8))},
	"place", &Rule{Shape: Either, Doc: "an address or more", Order: []string{"address"}, Keys: map[string]*Rule{"address": A(Text, "an address")}},
)

func check(t *testing.T, text string) string {
	t.Helper()
	root, err := yaml.Parse("x.yaml", []byte(text), func(diag.Pos, string) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := rule.Check(root, "the test"); err != nil {
		return err.Error()
	}
	return ""
}

func TestCheck(t *testing.T) {
	t.Parallel()
	good := "name: a\nlevel: hard\ncount: 3\nfine: true\nfiles: 12:30\nlist: [a, 1]\nsteps: [{run: \"a\\nb\"}]\nmachines: {one: {cpus: 2}}\nplace: {address: a}\n"
	if got := check(t, good); got != "" {
		t.Error(got)
	}
	for _, tt := range []struct{ text, want string }{
		{"level: hard\n", `the test lacks "name"`},
		{"name: A\n", `x.yaml:1:7: name is "A"`},
		{"name: a\nlevl: hard\n", `x.yaml:2:1: the test has no key "levl"`},
		{"name: a\nlevel: odd\n", `level is "odd"`},
		{"name: a\ncount: 11\n", `count is "11", which is no number from 1 to 10`},
		{"name: a\ncount: 010\n", `count is "010", which is no number`},
		{"name: a\nfine: 3\n", `fine is "3", which is neither true nor false`},
		{"name: a\nlist: b\n", `list is "b", but a list is expected`},
		{"name: a\nsteps: [{run: x}, {}]\n", `item 2 of steps lacks "run"`},
		{"name: a\nsteps: [{run: {}}]\n", `item 1 of steps.run is a mapping, but one value is expected`},
		{"name: a\nsteps: [{run: }]\n", `item 1 of steps.run has no value`},
		{"name: a\nmachines: {ONE: {}}\n", `"ONE" in machines is no name`},
		{"name: a\nmachines: {one: {cpus: 99}}\n", `machines.one.cpus is "99"`},
		{"name: a\nplace: {adress: x}\n", `place has no key "adress"`},
		{"name: b\nfiles: \"a\\u0007\"\n", `files holds control characters`},
		{"- a\n", `the test is a list, but a mapping is expected`},
	} {
		if got := check(t, tt.text); !strings.Contains(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var got map[string]any
	if err := json.Unmarshal(rule.JSON("made by a test"), &got); err != nil {
		t.Fatal(err)
	}
	if got["title"] != "A test" || got["additionalProperties"] != false || got["$comment"] != "made by a test" {
		t.Errorf("%v", got)
	}
	properties, _ := got["properties"].(map[string]any)
	if len(properties) != len(rule.Keys) {
		t.Errorf("%d properties for %d keys", len(properties), len(rule.Keys))
	}
}
