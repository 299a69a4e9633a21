// SPDX-License-Identifier: MIT

package pyeval

import (
	"fmt"

	"n3x/internal/bitbake/pyeval/python"
)

// scope is a function, a lambda or a comprehension that is being translated.
type scope struct {
	parent *scope
	names  map[string]bool // local variables
	// frame names the Starlark variable that holds the locals as attributes; "" = they are
	// Starlark locals themselves. A frame is needed where Starlark cannot assign: out of the
	// closures that try blocks become, and for nonlocal and := .
	frame  string
	top    bool          // the text of ${@...} itself, where names may be variables of the datastore
	comp   bool          // inside a comprehension of such a text
	tries  []*tryClosure // the closures around the statement, outermost first
	loops  []*loop       // the loops around the statement, outermost first
	caught []string      // the Starlark variables of the exceptions being handled
	class  bool          // the body of a class, whose names functions inside do not see
	self   string        // the first parameter of a method, for super()
}

// loop is a loop that is being translated.
type loop struct {
	elseVar string // Starlark variable that tells whether the else part is due; "" = none
	depth   int    // len(scope.tries) where the loop stands
}

// tryClosure notes how control leaves a block that has become a function of its own.
type tryClosure struct{ returns, breaks, continues bool }

// lookup finds the scope whose local variable name is, or nil for a global.
func (s *scope) lookup(name string) *scope {
	for inner := s; s != nil; s = s.parent {
		if s.names[name] && (!s.class || s == inner) {
			return s
		}
	}
	return nil
}

// inModule reports a variable of the module's own level.
func (s *scope) inModule(name string) bool {
	owner := s.lookup(name)
	return owner != nil && owner.frame == moduleFrame
}

// facts is what a function body says about its variables.
type facts struct {
	names    map[string]bool
	nonlocal map[string]bool
	global   map[string]bool
	boxed    bool // needs a frame
	yields   bool
	asks     bool // a function inside has nonlocal
}

// survey collects the names that a function's statements bind in its own scope.
func survey(body []python.Stmt) *facts {
	f := &facts{names: map[string]bool{}, nonlocal: map[string]bool{}, global: map[string]bool{}}
	python.Walk(body, func(n python.Node) bool { return f.visit(n) })
	for name := range f.nonlocal {
		delete(f.names, name)
	}
	for name := range f.global {
		delete(f.names, name)
	}
	return f
}

// surveyExpr does the same for the body of a lambda or an expression text.
func surveyExpr(x python.Expr) *facts {
	return survey([]python.Stmt{&python.ExprStmt{Pos: x.Start(), X: x}})
}

func (f *facts) bind(name string) { f.names[name] = true }

// visit notes one node; the result says whether to go inside.
func (f *facts) visit(n python.Node) bool {
	switch n := n.(type) {
	case *python.FunctionDef:
		f.bind(n.Name)
		f.inner(survey(n.Body))
		for _, x := range python.Outer(n) {
			python.WalkExpr(x, f.visit)
		}
		return false
	case *python.ClassDef:
		f.bind(n.Name)
		for _, s := range n.Body {
			if fn, ok := s.(*python.FunctionDef); ok {
				f.inner(survey(fn.Body))
			}
		}
		return false
	case *python.Lambda:
		for _, p := range n.Params {
			if p.Default != nil {
				python.WalkExpr(p.Default, f.visit)
			}
		}
		return false
	case *python.Comp:
		f.comp(n)
		return false
	case *python.Assign:
		f.targets(n.Targets...)
	case *python.AugAssign:
		f.targets(n.Target)
	case *python.AnnAssign:
		f.targets(n.Target)
	case *python.For:
		f.targets(n.Target)
	case *python.NamedExpr:
		f.bind(n.Target.ID)
		f.boxed = true
	case *python.With:
		f.boxed = true
		for _, item := range n.Items {
			if item.Target != nil {
				f.targets(item.Target)
			}
		}
	case *python.Try:
		f.boxed = true
		for _, h := range n.Handlers {
			if h.Name != "" {
				f.bind(h.Name)
			}
		}
	case *python.Del:
		f.boxed = true
		f.targets(n.Targets...)
	case *python.Import:
		for _, a := range n.Names {
			f.bind(importedName(a))
		}
	case *python.ImportFrom:
		for _, a := range n.Names {
			f.bind(importedName(a))
		}
	case *python.Global:
		for _, name := range n.Names {
			f.global[name] = true
		}
	case *python.Nonlocal:
		for _, name := range n.Names {
			f.nonlocal[name] = true
		}
	case *python.Yield:
		f.yields = true
	}
	return true
}

// inner takes over what a nested function asks of this one.
func (f *facts) inner(g *facts) {
	if len(g.nonlocal) > 0 || g.asks {
		f.boxed, f.asks = true, true
	}
}

// comp looks through a comprehension: its targets are its own, but := inside binds out here.
func (f *facts) comp(c *python.Comp) {
	inner := &facts{names: map[string]bool{}, nonlocal: map[string]bool{}, global: map[string]bool{}}
	walrus := func(n python.Node) bool {
		if w, ok := n.(*python.NamedExpr); ok {
			f.bind(w.Target.ID)
			f.boxed = true
		}
		if y, ok := n.(*python.Yield); ok {
			return inner.visit(y)
		}
		_, isLambda := n.(*python.Lambda)
		return !isLambda
	}
	for _, x := range python.CompParts(c) {
		python.WalkExpr(x, walrus)
	}
	f.yields = f.yields || inner.yields
}

func (f *facts) targets(xs ...python.Expr) {
	for _, x := range xs {
		for _, name := range targetNames(x) {
			f.bind(name)
		}
	}
}

// targetNames lists the variables that an assignment to x binds.
func targetNames(x python.Expr) []string {
	switch x := x.(type) {
	case *python.Name:
		return []string{x.ID}
	case *python.Starred:
		return targetNames(x.X)
	case *python.Tuple:
		return targetsNames(x.Elts)
	case *python.List:
		return targetsNames(x.Elts)
	}
	return nil
}

func targetsNames(xs []python.Expr) []string {
	var names []string
	for _, x := range xs {
		names = append(names, targetNames(x)...)
	}
	return names
}

// importedName is the variable that one alias of an import binds.
func importedName(a python.Alias) string {
	if a.As != "" {
		return a.As
	}
	for i, c := range a.Name {
		if c == '.' {
			return a.Name[:i]
		}
	}
	return a.Name
}

// fresh makes a Starlark name that no Python name can collide with.
func (e *emitter) fresh(kind string) string {
	e.serial++
	return fmt.Sprintf("$%s%d", kind, e.serial)
}
