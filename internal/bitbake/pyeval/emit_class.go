// SPDX-License-Identifier: MIT

package pyeval

import (
	"strings"

	"go.starlark.net/syntax"

	"n3x/internal/bitbake/pyeval/python"
)

// classStmt translates a class: the class is made first, its body's names become its attributes, as its frame.
func (e *emitter) classStmt(s *python.ClassDef) []syntax.Stmt {
	decorators, names := e.decorators(s.Decorators)
	var bases []syntax.Expr
	for _, a := range s.Args {
		if a.Name != "" || a.Stars > 0 {
			return append(one(e.refuse(s.Pos, "a class with keywords")), e.assign(&python.Name{Pos: s.Pos, ID: s.Name}, e.none(s.Pos))...)
		}
		bases = append(bases, e.expr(a.X))
	}
	cls := e.fresh("class")
	out := append(decorators, e.set(s.Pos, e.ident(s.Pos, cls), e.call(s.Pos, "$class", e.str(s.Pos, s.Name), e.tuple(s.Pos, bases...))))
	f := survey(s.Body)
	leave := e.enter(&scope{names: f.names, frame: cls, class: true})
	for name := range f.names {
		if strings.HasPrefix(name, "__") && !strings.HasSuffix(name, "__") {
			out = append(out, e.refuse(s.Pos, "the private name "+name))
		}
	}
	for _, line := range s.Body {
		if a, ok := line.(*python.AnnAssign); ok {
			if t, ok := a.Target.(*python.Name); ok {
				out = append(out, e.exprStmt(e.call(a.Pos, "$annotate", e.ident(a.Pos, cls), e.str(a.Pos, t.ID))))
			}
			if a.X == nil {
				continue
			}
		}
		out = append(out, e.stmt(line)...)
	}
	leave()
	done := e.decorated(s.Pos, e.call(s.Pos, "$classdone", e.ident(s.Pos, cls)), names)
	first, value := e.temp(s.Pos, done)
	return append(append(out, first), e.assign(&python.Name{Pos: s.Pos, ID: s.Name}, value())...)
}

// decorators evaluates decorators, which is done before what they decorate, and gives the variables that hold them.
func (e *emitter) decorators(xs []python.Expr) (out []syntax.Stmt, names []func() syntax.Expr) {
	for _, x := range xs {
		s, name := e.temp(x.Start(), e.expr(x))
		out, names = append(out, s), append(names, name)
	}
	return out, names
}

// decorated applies decorators, the last one first.
func (e *emitter) decorated(p python.Pos, x syntax.Expr, names []func() syntax.Expr) syntax.Expr {
	for i := len(names) - 1; i >= 0; i-- {
		x = &syntax.CallExpr{Fn: names[i](), Lparen: e.pos(p), Args: []syntax.Expr{x}, Rparen: e.pos(p)}
	}
	return x
}

// superCall translates super() without arguments inside of a method; nil if x is something else.
func (e *emitter) superCall(x *python.Call) syntax.Expr {
	fn, ok := x.Fn.(*python.Name)
	if !ok || fn.ID != "super" || e.scope.lookup("super") != nil {
		return nil
	}
	if len(x.Args) > 0 || e.scope.self == "" {
		return e.refusal(x.Pos, "super() here")
	}
	return e.call(x.Pos, "$super", e.ident(x.Pos, e.scope.parent.frame), e.variable(x.Pos, e.scope.self))
}

// moduleFrame is the name by which the program of a module's statement finds the module.
const moduleFrame = "$module"

// compileTop translates one statement of a module's own level. names are all names that the module binds there.
func compileTop(file, source string, s python.Stmt, names map[string]bool) (*program, error) {
	e := newEmitter(file, source, 1)
	e.module = true
	defer e.enter(&scope{names: names, frame: moduleFrame})()
	top := &syntax.DefStmt{Def: e.pos(s.Start()), Name: e.ident(s.Start(), bodyName), Body: e.block([]python.Stmt{s})}
	return e.compile([]syntax.Stmt{top})
}

// compileModuleDef translates a function of a module's own level.
func compileModuleDef(file, source string, fn *python.FunctionDef, names map[string]bool) (*program, error) {
	e := newEmitter(file, source, 1)
	e.module = true
	defer e.enter(&scope{names: names, frame: moduleFrame})()
	return e.compile(e.topDef(fn))
}
