// Package yaml reads YAML 1.1 and JSON documents into values that know where they are written, so that whoever refuses
// one can name file and line.
//
// Plain scalars have the types that PyYAML gives them (https://yaml.org/type/), because that is how kas and its users read
// them. Documents are bounded in size, depth and what their aliases expand to.
package yaml

import "n3x/internal/diag"

// Node is one value of a document, with the place where it is written.
type Node struct {
	Pos diag.Pos
	// Value is a *Map, a []*Node, a string, a bool, an int64, a *big.Int (what int64 does not hold), a float64, a
	// Timestamp, or nil.
	Value any
	// Plain is an unquoted scalar as it is written: what reads names and addresses wants 52:54:00:01:01:01 and "no" as text.
	Plain string
}

// Timestamp is a plain scalar that YAML 1.1 reads as a date, e.g. 2026-01-31.
type Timestamp string

// Map is a mapping in the order of its keys' first appearance.
type Map struct {
	entries []Entry
	index   map[string]int
}

// Entry is one key of a [Map] and its value.
type Entry struct {
	Key    string
	KeyPos diag.Pos
	Node   *Node
}

// Entries are the keys and values in order. They must not be changed.
func (m *Map) Entries() []Entry {
	if m == nil {
		return nil
	}
	return m.entries
}

// Lookup is the value of key, or nil. A nil map is empty.
func (m *Map) Lookup(key string) *Node {
	if m == nil {
		return nil
	}
	if i, ok := m.index[key]; ok {
		return m.entries[i].Node
	}
	return nil
}

// KeyPos is where key is written; the zero Pos when it is missing.
func (m *Map) KeyPos(key string) diag.Pos {
	if m == nil {
		return diag.Pos{}
	}
	if i, ok := m.index[key]; ok {
		return m.entries[i].KeyPos
	}
	return diag.Pos{}
}

// Set puts e at the place of an older entry with the same key, or at the end.
func (m *Map) Set(e Entry) {
	if i, ok := m.index[e.Key]; ok {
		m.entries[i] = e
		return
	}
	if m.index == nil {
		m.index = map[string]int{}
	}
	m.index[e.Key] = len(m.entries)
	m.entries = append(m.entries, e)
}

// Map is the node's mapping; nil when it is none, also of a nil node.
func (n *Node) Map() *Map {
	if n == nil {
		return nil
	}
	m, _ := n.Value.(*Map)
	return m
}

// List is the node's list; nil when it is none.
func (n *Node) List() []*Node {
	if n == nil {
		return nil
	}
	l, _ := n.Value.([]*Node)
	return l
}

// Text is the node's string; ok is false when it is none.
func (n *Node) Text() (s string, ok bool) {
	if n == nil {
		return "", false
	}
	s, ok = n.Value.(string)
	return s, ok
}

// Lookup follows keys down from n, e.g. Lookup("repos", "isar", "url"); nil when one is missing.
func (n *Node) Lookup(keys ...string) *Node {
	for _, k := range keys {
		n = n.Map().Lookup(k)
	}
	return n
}
