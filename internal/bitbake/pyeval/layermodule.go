// SPDX-License-Identifier: MIT

package pyeval

import (
	"slices"

	"go.starlark.net/starlark"

	"n3x/internal/bitbake/pyeval/python"
)

// layerModule is a module of a layer. Its classes can be named and, when that does no more than make an object, called, e.g.
// to register a fetcher; what such an object does, and the module's functions, are refused.
func (r *run) layerModule(name, file string) (starlark.Value, error) {
	content, err := r.files().ReadFile(file)
	if err != nil {
		return nil, osException(err, file)
	}
	m := ns(name, nil, nil)
	body, err := python.ParseFile(string(content), python.Pos{Line: 1, Col: 1})
	if err != nil {
		return m, nil // what is taken out of it is refused
	}
	fetchers := map[string]bool{} // names that mean bb.fetch2.FetchMethod
	for _, s := range body {
		if ok, err := r.harmless(s, fetchers); err != nil || !ok {
			return ns(name, nil, nil), err // it may do anything, e.g. take its classes away again
		}
		switch s := s.(type) {
		case *python.ClassDef:
			m.attrs[s.Name] = &layerClass{name: s.Name, plain: plainClass(s, fetchers)}
		case *python.FunctionDef:
			delete(m.attrs, s.Name)
		case *python.Assign:
			for _, t := range s.Targets {
				delete(m.attrs, t.(*python.Name).ID)
			}
		}
	}
	return m, nil
}

// harmless reports that a statement of a module only gives names to things.
func (r *run) harmless(s python.Stmt, fetchers map[string]bool) (bool, error) {
	exists := func(name string) (bool, error) {
		if r.in.modules[importTop(name)] != nil {
			return true, nil
		}
		known, _, err := r.moduleExists(name)
		return known, err
	}
	switch s := s.(type) {
	case *python.Import:
		for _, a := range s.Names {
			if ok, err := exists(a.Name); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	case *python.ImportFrom:
		for _, a := range s.Names {
			if s.Module == "bb.fetch2" && a.Name == "FetchMethod" {
				fetchers[importedName(a)] = true
			}
		}
		return exists(s.Module)
	case *python.ClassDef, *python.FunctionDef:
		return true, nil
	case *python.ExprStmt:
		return constant(s.X), nil
	case *python.Assign:
		for _, t := range s.Targets {
			if _, ok := t.(*python.Name); !ok {
				return false, nil
			}
		}
		return constant(s.X), nil
	}
	return false, nil
}

// constant is a number, a text or another value that is made without running anything.
func constant(x python.Expr) bool {
	switch x := x.(type) {
	case *python.Constant:
		return true
	case *python.List:
		return !slices.ContainsFunc(x.Elts, func(e python.Expr) bool { return !constant(e) })
	}
	return false
}

// layerClass is a class that a layer's module defines; objects of a plain one are made without running code that matters.
type layerClass struct {
	opaque
	name  string
	plain bool
}

func (c *layerClass) String() string        { return "<class '" + c.name + "'>" }
func (*layerClass) Type() string            { return "type" }
func (c *layerClass) Name() string          { return c.name }
func (c *layerClass) Hash() (uint32, error) { return identity(c.name) }

// CallInternal makes an object.
func (c *layerClass) CallInternal(_ *starlark.Thread, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	if !c.plain || len(pos)+len(kw) > 0 {
		return nil, unsupported("an object of the class %s", c.name)
	}
	return &namespace{kind: c.name, attrs: map[string]starlark.Value{}}, nil
}

// plainClass reports that making an object of the class runs none of its code: it has no constructor, no metaclass and no
// base but object or BitBake's fetchers.
func plainClass(c *python.ClassDef, fetchers map[string]bool) bool {
	if len(c.Decorators) > 0 {
		return false
	}
	for _, a := range c.Args {
		base, ok := a.X.(*python.Name)
		if !ok || a.Name != "" || a.Stars > 0 || !fetchers[base.ID] && base.ID != "object" {
			return false
		}
	}
	for _, s := range c.Body {
		switch s := s.(type) {
		case *python.FunctionDef:
			if s.Name == "__init__" || s.Name == "__new__" {
				return false
			}
			if len(s.Decorators) > 0 {
				return false
			}
		case *python.ExprStmt:
			if !constant(s.X) {
				return false
			}
		case *python.Assign:
			if !constant(s.X) {
				return false
			}
		case *python.Pass:
		default:
			return false
		}
	}
	return true
}
