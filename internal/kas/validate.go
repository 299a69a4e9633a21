package kas

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// maxComplaints is how many errors of one file are shown.
const maxComplaints = 20

// validate holds a whole file against the schema; all errors are joined, in the order of their places.
func validate(root *yaml.Node) error {
	v := &validator{}
	v.value(root, schema, "")
	slices.SortStableFunc(v.errs, func(a, b *diag.Error) int {
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Col - b.Pos.Col
	})
	var all []error
	for i, e := range v.errs {
		if i == maxComplaints {
			all = append(all, diag.Userf(diag.Pos{File: e.Pos.File}, "%d further errors", len(v.errs)-i))
			break
		}
		all = append(all, e)
	}
	return errors.Join(all...)
}

type validator struct{ errs []*diag.Error }

func (v *validator) add(e *diag.Error) { v.errs = append(v.errs, e) }

// value checks n, which is found at path, e.g. "repos.isar.url" ("" is the whole file).
func (v *validator) value(n *yaml.Node, r *rule, path string) {
	if !fits(n, r.kinds) {
		v.add(typeError(n, r.kinds, path))
		return
	}
	switch val := n.Value.(type) {
	case *yaml.Map:
		v.mapping(n, val, r, path)
	case []*yaml.Node:
		for i, item := range val {
			v.value(item, r.items, fmt.Sprintf("%s[%d]", path, i))
		}
	case string:
		if r.words != nil && !slices.Contains(r.words, val) {
			e := diag.Userf(n.Pos, "%s: %q is not known", path, val)
			if near := diag.Nearest(val, r.words); near != "" {
				v.add(e.WithHint("did you mean %q?", near))
			} else {
				v.add(e.WithHint("it is one of %s", strings.Join(r.words, ", ")))
			}
			return
		}
	}
	if r.check != nil {
		if e := r.check(n); e != nil {
			if path != "" {
				e.Text = path + ": " + e.Text
			}
			v.add(e)
		}
	}
}

func (v *validator) mapping(n *yaml.Node, m *yaml.Map, r *rule, path string) {
	for _, e := range m.Entries() {
		sub := e.Key
		if path != "" {
			sub = path + "." + e.Key
		}
		if kr := r.keys[e.Key]; kr != nil {
			v.value(e.Node, kr, sub)
		} else if r.other != nil {
			v.value(e.Node, r.other, sub)
		} else if !r.open {
			v.add(unknownKey(e, r, path))
		}
	}
	for _, k := range r.required {
		if m.Lookup(k) == nil {
			where := "the file"
			if path != "" {
				where = path
			}
			e := diag.Userf(n.Pos, "key %q is missing in %s", k, where)
			if k == "header" {
				e = e.WithHint("a kas file begins with\nheader:\n  version: %d", NewestVersion)
			}
			v.add(e)
		}
	}
}

func unknownKey(e yaml.Entry, r *rule, path string) *diag.Error {
	known := slices.Sorted(maps.Keys(r.keys))
	err := diag.Userf(e.KeyPos, "unknown key %q", e.Key)
	if path != "" {
		err = diag.Userf(e.KeyPos, "unknown key %q in %s", e.Key, path)
	}
	if near := diag.Nearest(e.Key, known); near != "" {
		return err.WithHint("did you mean %q?", near)
	}
	return err.WithHint("known here: %s", strings.Join(known, ", "))
}

func fits(n *yaml.Node, k kind) bool {
	switch n.Value.(type) {
	case *yaml.Map:
		return k&mapping != 0
	case []*yaml.Node:
		return k&list != 0
	case string:
		return k&text != 0
	case bool:
		return k&boolean != 0
	case nil:
		return k&null != 0
	case *big.Int:
		return k&integer != 0
	}
	_, ok := intOf(n)
	return ok && k&integer != 0
}

func typeError(n *yaml.Node, want kind, path string) *diag.Error {
	if path == "" {
		return diag.Userf(n.Pos, "the file does not hold a mapping but %s", yaml.KindOf(n)).
			WithHint("a kas file begins with\nheader:\n  version: %d", NewestVersion)
	}
	e := diag.Userf(n.Pos, "%s: expected %v, found %s", path, want, yaml.KindOf(n))
	if want&text != 0 {
		switch n.Value.(type) {
		case bool:
			return e.WithHint("yes, no, on, off, true and false are booleans in YAML: quote the value")
		case *yaml.Map, []*yaml.Node, nil:
		default:
			return e.WithHint("quote the value to make it a string")
		}
	}
	return e
}
