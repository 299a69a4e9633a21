package yaml

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"n3x/internal/diag"
)

// Limits that no honest configuration reaches; they keep a hostile one from exhausting memory and stack.
const (
	maxFileSize = 16 << 20
	maxDepth    = 100
	maxNodes    = 1 << 20 // after aliases are followed
)

// maxBrackets bounds what the library is given at all: its time and memory grow with the square of the depth. It is far above maxDepth, since
// brackets are counted in texts, too.
const maxBrackets = 1000

// tooDeep is the line where more brackets are open than anybody writes, or more list items begin; 0 is nowhere.
func tooDeep(data []byte) int {
	open, line, items := 0, 1, 0
	for i, c := range data {
		switch c {
		case '[', '{':
			open++
		case ']', '}':
			open = max(open-1, 0)
		case '\n':
			line++
			items = 0
		case '-', '?', ':':
			if i+1 < len(data) && data[i+1] == ' ' {
				items++
			}
		}
		if open > maxBrackets || items > maxBrackets {
			return line
		}
	}
	return 0
}

// Parse reads one YAML document. name is used in positions; warn receives duplicate keys.
func Parse(name string, data []byte, warn func(diag.Pos, string)) (n *Node, err error) {
	data, err = cleanText(name, data)
	if err != nil {
		return nil, err
	}
	if line := tooDeep(data); line > 0 {
		return nil, diag.Userf(diag.Pos{File: name, Line: line}, "the file is nested more than %d deep", maxBrackets)
	}
	data, colon := hideColons(data)
	defer func() {
		// The library is not hardened against every malformed input; a bad file is the user's error, not ours.
		if r := recover(); r != nil {
			n, err = nil, diag.Userf(diag.Pos{File: name}, "not valid YAML (%v)", r)
		}
	}()
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, yamlError(name, err, colon)
	}
	b := &yamlBuilder{file: name, colon: colon, warn: warn, anchors: map[string]*Node{}, sizes: map[*Node]int{}}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, diag.Userf(b.pos(doc.Body), "a second YAML document begins here").
				WithHint("a file holds one document: remove this \"---\"")
		}
		body = doc.Body
	}
	n = &Node{Pos: diag.Pos{File: name, Line: 1}}
	if body != nil {
		n = b.node(body, 0)
	}
	if b.err != nil {
		return nil, b.err
	}
	return n, nil
}

// cleanText checks that data is text as YAML 1.1 (5.1) allows it, and makes line ends uniform.
func cleanText(name string, data []byte) ([]byte, error) {
	if len(data) > maxFileSize {
		return nil, diag.Userf(diag.Pos{File: name}, "file of %d bytes is too large for a configuration", len(data))
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	line := 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return nil, diag.Userf(diag.Pos{File: name, Line: line}, "byte 0x%02x is not UTF-8 text", data[i])
		case r == '\n':
			line++
		case r < ' ' && r != '\t' && r != '\r', r >= 0x7f && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			return nil, diag.Userf(diag.Pos{File: name, Line: line}, "control character U+%04X is not allowed in YAML", r)
		}
		i += size
	}
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(data, []byte("\r"), []byte("\n")), nil
}

// hideColons replaces colons that belong to plain scalars by a character that data does not have, which it returns. YAML 1.1
// ends a plain scalar at a colon only before a space or, inside brackets, before one of ,[]{}, and so does PyYAML; the library
// takes others for the end of a key, so that [10.0.0.1, fd00::1] inside braces would become a mapping.
func hideColons(data []byte) ([]byte, rune) {
	colon := '\uE000'
	for bytes.ContainsRune(data, colon) {
		colon++
	}
	var out []byte
	before := byte('"') // the last character that is no space
	for i, c := range data {
		if c == ':' && i+1 < len(data) && !strings.ContainsRune("\"']}", rune(before)) && !strings.ContainsRune(" \t\n,[]{}", rune(data[i+1])) {
			out = utf8.AppendRune(out, colon)
		} else {
			out = append(out, c)
		}
		if c != ' ' {
			before = c
		}
	}
	return out, colon
}

// yamlError gives the library's error a place and one line of text.
func yamlError(name string, err error, colon rune) error {
	pos := diag.Pos{File: name}
	var ye yaml.Error
	if !errors.As(err, &ye) {
		return diag.Userf(pos, "not valid YAML: %v", err)
	}
	if tk := ye.GetToken(); tk != nil && tk.Position != nil {
		pos.Line, pos.Col = tk.Position.Line, tk.Position.Column
	}
	e := diag.Userf(pos, "not valid YAML: %s", strings.ReplaceAll(ye.GetMessage(), string(colon), ":"))
	if strings.Contains(ye.GetMessage(), "'\t'") {
		e = e.WithHint("indent with spaces, not with tabs")
	}
	return e
}

// yamlBuilder turns the library's tree into nodes. The first error sticks.
type yamlBuilder struct {
	file    string
	colon   rune // stands for a colon
	warn    func(diag.Pos, string)
	anchors map[string]*Node
	sizes   map[*Node]int // number of nodes below, aliases followed
	total   int
	err     error
}

func (b *yamlBuilder) pos(n ast.Node) diag.Pos {
	p := diag.Pos{File: b.file}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		p.Line, p.Col = tk.Position.Line, tk.Position.Column
	}
	return p
}

func (b *yamlBuilder) fail(pos diag.Pos, format string, args ...any) *Node {
	if b.err == nil {
		b.err = diag.Userf(pos, format, args...)
	}
	return &Node{Pos: pos}
}

// count adds size nodes to the document's total, which aliases can make much larger than its text.
func (b *yamlBuilder) count(n *Node, size int) *Node {
	b.sizes[n] = size
	if b.total += size; b.total > maxNodes {
		b.fail(n.Pos, "aliases make this document larger than %d values", maxNodes)
	}
	return n
}

func (b *yamlBuilder) node(a ast.Node, depth int) *Node {
	if a == nil {
		return &Node{Pos: diag.Pos{File: b.file}}
	}
	pos := b.pos(a)
	if depth > maxDepth {
		return b.fail(pos, "values are nested more than %d deep", maxDepth)
	}
	if b.err != nil {
		return &Node{Pos: pos}
	}
	switch a := a.(type) {
	case *ast.MappingNode:
		if !a.IsFlowStyle && len(a.Values) > 0 {
			pos = b.pos(a.Values[0].Key) // the node's own place is its first colon
		}
		return b.mapping(pos, a.Values, depth)
	case *ast.MappingValueNode:
		return b.mapping(b.pos(a.Key), []*ast.MappingValueNode{a}, depth)
	case *ast.SequenceNode:
		return b.sequence(pos, a, depth)
	case *ast.AnchorNode:
		n := b.node(a.Value, depth+1)
		b.anchors[b.shown(a.Name.GetToken().Value)] = n
		return n
	case *ast.AliasNode:
		return b.alias(pos, a)
	case *ast.TagNode:
		return b.tagged(pos, a, depth)
	case *ast.LiteralNode:
		return b.count(&Node{Pos: pos, Value: b.shown(a.Value.Value)}, 1)
	case *ast.CommentGroupNode, *ast.CommentNode, *ast.NullNode:
		return b.count(&Node{Pos: pos}, 1)
	case *ast.DirectiveNode:
		return b.fail(pos, "YAML directives are not supported")
	}
	text, plain := b.scalarText(a)
	if !plain {
		return b.count(&Node{Pos: pos, Value: text}, 1)
	}
	return b.count(&Node{Pos: pos, Value: plainScalar(text), Plain: text}, 1)
}

// scalarText is a scalar's text and whether it is unquoted.
func (b *yamlBuilder) scalarText(a ast.Node) (text string, plain bool) {
	tk := a.GetToken()
	if s, ok := a.(*ast.StringNode); ok {
		return b.shown(s.Value), tk.Type != token.SingleQuoteType && tk.Type != token.DoubleQuoteType
	}
	return b.shown(tk.Value), true
}

// shown is a text of the document as it was before [hideColons].
func (b *yamlBuilder) shown(s string) string { return strings.ReplaceAll(s, string(b.colon), ":") }

func (b *yamlBuilder) sequence(pos diag.Pos, a *ast.SequenceNode, depth int) *Node {
	list := make([]*Node, 0, len(a.Values))
	size := 1
	for _, v := range a.Values {
		n := b.node(v, depth+1)
		size += b.sizes[n]
		list = append(list, n)
	}
	n := &Node{Pos: pos, Value: list}
	b.sizes[n] = size
	b.total++
	return n
}

func (b *yamlBuilder) alias(pos diag.Pos, a *ast.AliasNode) *Node {
	name := b.shown(a.Value.GetToken().Value)
	n, ok := b.anchors[name]
	if !ok {
		return b.fail(pos, "alias *%s names no anchor above", name)
	}
	return b.count(&Node{Pos: pos, Value: n.Value, Plain: n.Plain}, b.sizes[n])
}

// mapping builds a map with YAML 1.1's merge keys: what << brings comes first, and the map's own keys win.
func (b *yamlBuilder) mapping(pos diag.Pos, values []*ast.MappingValueNode, depth int) *Node {
	m := &Map{}
	size := 1
	var own []Entry
	for _, v := range values {
		if v.Key.IsMergeKey() {
			b.mergeKey(m, b.node(v.Value, depth+1))
			continue
		}
		e := Entry{Key: b.key(v.Key, depth), KeyPos: b.pos(v.Key), Node: b.node(v.Value, depth+1)}
		if _, null := v.Value.(*ast.NullNode); null {
			e.Node.Pos = e.KeyPos // an empty value lies where its key is
		}
		size += b.sizes[e.Node]
		own = append(own, e)
	}
	seen := map[string]diag.Pos{}
	for _, e := range own {
		if first, dup := seen[e.Key]; dup && b.warn != nil {
			b.warn(e.KeyPos, fmt.Sprintf("key %q was already set at line %d; this later value counts", e.Key, first.Line))
		}
		seen[e.Key] = e.KeyPos
		m.Set(e)
	}
	n := &Node{Pos: pos, Value: m}
	b.sizes[n] = size
	b.total++
	return n
}

// mergeKey adds to m what the value of a << key brings; of a list of maps, earlier ones win.
func (b *yamlBuilder) mergeKey(m *Map, v *Node) {
	maps := []*Node{v}
	if l := v.List(); l != nil {
		maps = l
	}
	for i := len(maps) - 1; i >= 0; i-- {
		src := maps[i].Map()
		if src == nil {
			b.fail(maps[i].Pos, "the merge key << takes a mapping or a list of mappings")
			return
		}
		for _, e := range src.Entries() {
			m.Set(e)
		}
	}
}

// key is the text of a mapping key. Keys are strings; other types are refused.
func (b *yamlBuilder) key(k ast.MapKeyNode, depth int) string {
	var a ast.Node = k
	if mk, ok := k.(*ast.MappingKeyNode); ok {
		a = mk.Value
	}
	n := b.node(a, depth+1)
	s, ok := n.Text()
	if !ok && b.err == nil {
		text, _ := b.scalarText(a)
		b.err = diag.Userf(b.pos(k), "key %s is read as %s, but keys are strings", text, KindOf(n)).
			WithHint("quote it: %q", text)
	}
	return s
}

// tagged is a value with an explicit type of YAML's own: !!str and its siblings.
func (b *yamlBuilder) tagged(pos diag.Pos, a *ast.TagNode, depth int) *Node {
	tag := b.shown(a.Start.Value)
	var n *Node
	if a.Value == nil {
		n = b.count(&Node{Pos: pos}, 1)
	} else {
		n = b.node(a.Value, depth+1)
	}
	text, scalar := "", a.Value == nil
	switch v := a.Value.(type) {
	case *ast.LiteralNode:
		text, scalar = b.shown(v.Value.Value), true
	case ast.ScalarNode:
		text, _ = b.scalarText(v)
		scalar = true
	}
	plain, ok := plainScalar(text), scalar
	switch strings.TrimPrefix(tag, "tag:yaml.org,2002:") {
	case "!!str", "!":
		n.Value = text
	case "!!int":
		n.Value, ok = plain, scalar && intForm.MatchString(text)
	case "!!float":
		switch v := plain.(type) {
		case int64:
			n.Value = float64(v)
		default:
			n.Value, ok = v.(float64)
		}
	case "!!bool":
		n.Value, ok = plain.(bool)
	case "!!null":
		n.Value, ok = nil, scalar && plain == nil
	case "!!map":
		ok = n.Map() != nil
	case "!!seq":
		ok = n.List() != nil
	default:
		return b.fail(pos, "YAML tag %s is not supported", tag)
	}
	if !ok {
		return b.fail(pos, "value does not fit its tag %s", tag)
	}
	return n
}

// KindOf names a value's type for messages.
func KindOf(n *Node) string {
	switch v := n.Value.(type) {
	case *Map:
		return "a mapping"
	case []*Node:
		return "a list"
	case string:
		return "a string"
	case bool:
		return fmt.Sprintf("the boolean %t", v)
	case float64:
		return "a number with a fraction"
	case Timestamp:
		return "a date"
	case nil:
		return "null"
	}
	return fmt.Sprintf("the integer %v", n.Value)
}
