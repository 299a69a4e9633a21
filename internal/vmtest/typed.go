package vmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
	"n3x/internal/yaml/schema"
)

// Actions are the names of what a step can do, in the order of the documentation.
func Actions() []string {
	var out []string
	for i := 0; i < len(actionRules); i += 2 {
		out = append(out, actionRules[i].(string))
	}
	return out
}

// ActionDoc says what an action is.
func ActionDoc(name string) string {
	if r := actionRule(name); r != nil {
		return r.Doc
	}
	return ""
}

func actionRule(name string) *schema.Rule {
	for i := 0; i < len(actionRules); i += 2 {
		if actionRules[i] == name {
			return actionRules[i+1].(*schema.Rule)
		}
	}
	return nil
}

// Typed reads a step that somebody types: as in a suite, in braces ({machine: one, run: uptime, within: 10s}), or short: the action, the
// machine, and the rest as one value (run one uptime), as keys (link one card=eth1 up=false), or as YAML. Actions of the network as a
// whole have no machine; the groups of a partition are divided by bars.
func Typed(line string, machines []string) (*Step, error) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "{") {
		var err error
		if line, err = long(line, machines); err != nil {
			return nil, err
		}
	}
	root, err := yaml.Parse("", []byte(line), nil)
	if err != nil {
		return nil, unplaced(err)
	}
	if err := stepRule.Check(root, "the step"); err != nil {
		return nil, unplaced(err)
	}
	r := &suiteReader{}
	s := &Step{Name: word(root.Lookup("name")), On: words(root.Lookup("machine")), Within: span(root.Lookup("within")), For: span(root.Lookup("for"))}
	if root.Lookup("when") != nil || root.Lookup("meanwhile") != nil || root.Lookup("repeat") != nil {
		return nil, diag.Userf(diag.Pos{}, "when, meanwhile and repeat are for steps of suites")
	}
	r.action(s, root)
	for _, name := range s.On {
		if name != "all" && !slices.Contains(machines, name) {
			return nil, diag.Unknown(diag.Pos{}, "the lab", "machine", name, machines)
		}
	}
	if err := errors.Join(r.errs...); err != nil {
		return nil, unplaced(err)
	}
	return s, nil
}

// unplaced is an error without its place, which is the line that was just typed.
func unplaced(err error) error {
	var d *diag.Error
	if !errors.As(err, &d) {
		return err
	}
	return (&diag.Error{Kind: d.Kind, Text: d.Text, Hint: d.Hint}).WithNote("a step is ACTION MACHINE VALUE, or {machine: MACHINE, ACTION: VALUE}")
}

// long is a short step as YAML.
func long(line string, machines []string) (string, error) {
	action, rest, _ := strings.Cut(line, " ")
	rule := actionRule(action)
	if rule == nil {
		return "", diag.Unknown(diag.Pos{}, "the prompt", "command", action, append(Actions(), "help"))
	}
	rest = strings.TrimSpace(rest)
	switch action {
	case "heal":
		return "{heal: true}", nil
	case "partition":
		var groups [][]string
		for group := range strings.SplitSeq(rest, "|") {
			groups = append(groups, strings.Fields(group))
		}
		text, err := json.Marshal(groups)
		return fmt.Sprintf("{partition: %s}", text), err
	case "service":
		return fmt.Sprintf("{service: %s}", value(rule, rest)), nil
	}
	machine, rest, _ := strings.Cut(rest, " ")
	if machine == "" {
		return "", diag.Userf(diag.Pos{}, "%s lacks the machine where it happens", action).WithHint("%s %s ...", action, machines[0])
	}
	return fmt.Sprintf("{machine: [%s], %s: %s}", machine, action, value(rule, strings.TrimSpace(rest))), nil
}

// value is what was typed as YAML.
func value(rule *schema.Rule, text string) string {
	switch {
	case strings.HasPrefix(text, "{") || strings.HasPrefix(text, "["):
		return text
	case rule.Shape == schema.Number || rule.Shape == schema.Truth:
		return text
	case rule.Shape == schema.Mapping:
		var keys []string
		for _, w := range strings.Fields(text) {
			k, v, _ := strings.Cut(w, "=")
			keys = append(keys, k+": "+v)
		}
		return "{" + strings.Join(keys, ", ") + "}"
	}
	quoted, _ := json.Marshal(text) // a text always has a form
	return string(quoted)
}

// Try does one step, and gives what came of it.
func (r *Run) Try(ctx context.Context, s *Step) Case {
	if err := r.all(ctx, []*Step{s}); err != nil && len(r.cases) == 0 {
		return Case{Name: s.Title(), Err: err}
	}
	return r.cases[len(r.cases)-1]
}
