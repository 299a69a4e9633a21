// Package schema says what YAML files of n3x hold: [Rule.Check] refuses what does not fit, at its place in the file and with what would,
// and [Rule.JSON] is the same for editors (JSON schema, draft 2020-12).
package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// Shape is what a value may be.
type Shape int

// Shapes of values.
const (
	Text    Shape = iota
	Number        // an integer
	Truth         // true or false
	Texts         // one text, or a list of them
	Several       // a list of texts
	List          // a list of what Value says
	Mapping       // keys that the rule names
	Named         // keys that the file chooses, each with what Value says
	Either        // a text, several, or a mapping of the rule's keys
)

// Rule says what one place of a file holds.
type Rule struct {
	Shape    Shape
	Doc      string
	Order    []string // the keys of a mapping, as they are shown
	Keys     map[string]*Rule
	Value    *Rule
	Pattern  *regexp.Regexp // of a text, or of the keys of Named
	Form     string         // the pattern in words
	Words    []string       // the words that a text may be
	Min, Max int64
	Required []string
}

// Keys is a mapping; pairs are names and rules in turn.
func Keys(doc string, required []string, pairs ...any) *Rule {
	r := &Rule{Shape: Mapping, Doc: doc, Keys: map[string]*Rule{}, Required: required}
	for i := 0; i < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		r.Keys[name], _ = pairs[i+1].(*Rule)
		r.Order = append(r.Order, name)
	}
	return r
}

// A is a value of any other shape.
func A(shape Shape, doc string) *Rule { return &Rule{Shape: shape, Doc: doc} }

// Words is a text that is one of a few.
func Words(doc string, of ...string) *Rule { return &Rule{Doc: doc, Words: of} }

// Numbers is an integer in a range.
func Numbers(doc string, from, to int64) *Rule {
	return &Rule{Shape: Number, Doc: doc, Min: from, Max: to}
}

// Matching is a text that matches a pattern, which form says in words.
func Matching(doc string, p *regexp.Regexp, form string) *Rule {
	return &Rule{Doc: doc, Pattern: p, Form: form}
}

// ListOf is a list.
func ListOf(doc string, value *Rule) *Rule { return &Rule{Shape: List, Doc: doc, Value: value} }

// Check gives all that does not fit, in the file's order. what names the file's kind, e.g. "the suite".
func (r *Rule) Check(root *yaml.Node, what string) error {
	c := &checker{top: what}
	c.value(root, r, what)
	return c.failed()
}

type checker struct {
	top  string
	errs []*diag.Error
}

func (c *checker) fail(pos diag.Pos, format string, args ...any) *diag.Error {
	e := diag.Userf(pos, format, args...)
	c.errs = append(c.errs, e)
	return e
}

func (c *checker) failed() error {
	slices.SortStableFunc(c.errs, func(a, b *diag.Error) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	var out []error
	for _, e := range c.errs {
		out = append(out, e)
	}
	return errors.Join(out...)
}

// value checks a value; where names it in messages.
func (c *checker) value(n *yaml.Node, r *Rule, where string) {
	switch r.Shape {
	case Text:
		c.text(n, r, where)
	case Number:
		// YAML would take 0200 for 128, and 1:30 for 90.
		if v, ok := n.Value.(int64); !ok || v < r.Min || v > r.Max || strconv.FormatInt(v, 10) != n.Plain {
			c.fail(n.Pos, "%s is %s, which is no number from %d to %d", where, show(n), r.Min, r.Max)
		}
	case Truth:
		if _, ok := n.Value.(bool); !ok {
			c.fail(n.Pos, "%s is %s, which is neither true nor false", where, show(n))
		}
	case Texts, Either:
		switch {
		case r.Shape == Either && n.Map() != nil:
			c.mapping(n, r, where)
		case n.List() != nil:
			c.items(n, &Rule{Pattern: r.Pattern, Form: r.Form, Words: r.Words}, where)
		default:
			c.text(n, r, where)
		}
	case Several, List:
		if n.List() == nil {
			c.fail(n.Pos, "%s is %s, but a list is expected", where, show(n)).WithHint("write one item on each line after a hyphen, or [a, b]")
			return
		}
		item := r.Value
		if item == nil {
			item = &Rule{Pattern: r.Pattern, Form: r.Form, Words: r.Words}
		}
		c.items(n, item, where)
	case Mapping:
		c.mapping(n, r, where)
	case Named:
		c.named(n, r, where)
	}
}

func (c *checker) items(n *yaml.Node, r *Rule, where string) {
	for i, item := range n.List() {
		c.value(item, r, fmt.Sprintf("item %d of %s", i+1, where))
	}
}

func (c *checker) text(n *yaml.Node, r *Rule, where string) {
	s, ok := TextOf(n)
	switch {
	case n.Value == nil:
		c.fail(n.Pos, "%s has no value", where)
	case !ok:
		c.fail(n.Pos, "%s is %s, but one value is expected", where, show(n))
	case r.Words != nil && !slices.Contains(r.Words, s):
		c.fail(n.Pos, "%s is %q", where, s).WithHint("one of %s", strings.Join(r.Words, ", "))
	case r.Pattern != nil && !r.Pattern.MatchString(s):
		c.fail(n.Pos, "%s is %q", where, s).WithHint("allowed: %s", r.Form)
	case strings.ContainsFunc(s, func(x rune) bool { return x < ' ' && x != '\n' && x != '\t' || x == 0x7f }):
		c.fail(n.Pos, "%s holds control characters", where)
	}
}

func (c *checker) mapping(n *yaml.Node, r *Rule, where string) {
	m := n.Map()
	if m == nil {
		c.fail(n.Pos, "%s is %s, but a mapping is expected", where, show(n)).WithHint("its keys: %s", strings.Join(r.Order, ", "))
		return
	}
	for _, e := range m.Entries() {
		k := r.Keys[e.Key]
		if k == nil {
			err := c.fail(e.KeyPos, "%s has no key %q", where, e.Key)
			if near := diag.Nearest(e.Key, r.Order); near != "" {
				err.WithHint("did you mean %s?", near)
			} else {
				err.WithHint("it has: %s", strings.Join(r.Order, ", "))
			}
			continue
		}
		c.value(e.Node, k, c.inner(where, e.Key))
	}
	for _, key := range r.Required {
		if m.Lookup(key) == nil {
			c.fail(n.Pos, "%s lacks %q", where, key).WithHint("%s: %s", key, r.Keys[key].Doc)
		}
	}
}

func (c *checker) named(n *yaml.Node, r *Rule, where string) {
	m := n.Map()
	if m == nil {
		c.fail(n.Pos, "%s is %s, but a mapping is expected: %s", where, show(n), r.Doc)
		return
	}
	for _, e := range m.Entries() {
		if r.Pattern != nil && !r.Pattern.MatchString(e.Key) {
			c.fail(e.KeyPos, "%q in %s is no name", e.Key, where).WithHint("allowed: %s", r.Form)
		}
		c.value(e.Node, r.Value, c.inner(where, e.Key))
	}
}

func (c *checker) inner(where, key string) string {
	if where == c.top {
		return key
	}
	return where + "." + key
}

// TextOf is a scalar as it is written: names and addresses are text, whatever else YAML would make of them. ok is false for what is none.
func TextOf(n *yaml.Node) (s string, ok bool) {
	if n == nil {
		return "", false
	}
	if s, ok := n.Text(); ok {
		return s, true
	}
	return n.Plain, n.Plain != ""
}

func show(n *yaml.Node) string {
	if n.Value == nil {
		return "empty"
	}
	if s, ok := TextOf(n); ok {
		return fmt.Sprintf("%q", s)
	}
	return yaml.KindOf(n)
}

// JSON is the rule as a JSON schema with a title. comment is put at its head.
func (r *Rule) JSON(comment string) []byte {
	s := r.schema()
	s["$comment"] = comment // sorts first
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = s["description"]
	delete(s, "description")
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		panic("BUG: " + err.Error()) // maps, texts and numbers always encode
	}
	return b.Bytes()
}

func (r *Rule) schema() map[string]any {
	one := map[string]any{"type": "string"}
	if r.Pattern != nil && r.Shape != Named {
		one["pattern"] = r.Pattern.String()
	}
	if r.Words != nil {
		one["enum"] = r.Words
	}
	many := map[string]any{"type": "array", "items": one}
	out := map[string]any{}
	switch r.Shape {
	case Text:
		out = one
	case Number:
		out["type"], out["minimum"], out["maximum"] = "integer", r.Min, r.Max
	case Truth:
		out["type"] = "boolean"
	case Texts:
		out["oneOf"] = []any{one, many}
	case Several:
		out = many
	case List:
		out["type"], out["items"] = "array", r.Value.schema()
	case Mapping:
		r.object(out)
	case Named:
		out["type"], out["additionalProperties"] = "object", r.Value.schema()
		if r.Pattern != nil {
			out["propertyNames"] = map[string]any{"pattern": r.Pattern.String()}
		}
	case Either:
		object := map[string]any{}
		r.object(object)
		out["oneOf"] = []any{one, many, object}
	}
	if r.Doc != "" {
		out["description"] = r.Doc
	}
	return out
}

func (r *Rule) object(out map[string]any) {
	properties := map[string]any{}
	for name, k := range r.Keys {
		properties[name] = k.schema()
	}
	out["type"], out["properties"], out["additionalProperties"] = "object", properties, false
	if r.Required != nil {
		out["required"] = r.Required
	}
}
