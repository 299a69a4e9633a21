// SPDX-License-Identifier: MIT

package pyeval

import (
	"strconv"

	"go.starlark.net/syntax"

	"n3x/internal/bitbake/pyeval/python"
)

// params translates the parameters of a function; defaults belong to the scope outside.
func (e *emitter) params(params []python.Param) []syntax.Expr {
	var out []syntax.Expr
	for _, q := range params {
		switch {
		case q.Slash: // whether a name may also be given as a keyword matters to no correct program
		case q.Stars > 0:
			star := &syntax.UnaryExpr{OpPos: e.pos(q.Pos), Op: syntax.STAR}
			if q.Stars == 2 {
				star.Op = syntax.STARSTAR
			}
			if q.Name != "" {
				star.X = e.ident(q.Pos, q.Name)
			}
			out = append(out, star)
		case q.Default != nil:
			out = append(out, &syntax.BinaryExpr{X: e.ident(q.Pos, q.Name), OpPos: e.pos(q.Pos), Op: syntax.EQ, Y: e.expr(q.Default)})
		default:
			out = append(out, e.ident(q.Pos, q.Name))
		}
	}
	return out
}

// function translates a def. top marks the text of ${@...}.
func (e *emitter) function(fn *python.FunctionDef, f *facts, top bool) *syntax.DefStmt {
	s := &scope{names: f.names}
	params := e.defParams(fn.Params)
	for _, q := range fn.Params {
		if q.Name != "" {
			s.names[q.Name] = true
		}
	}
	defer e.enter(s)()
	s.top, s.comp = top, false
	if s.parent != nil && s.parent.class && len(fn.Params) > 0 {
		s.self = fn.Params[0].Name
	}
	if f.boxed || f.yields {
		s.frame = e.fresh("frame")
	}
	def := &syntax.DefStmt{Def: e.pos(fn.Pos), Name: e.ident(fn.Pos, fn.Name), Params: params, Body: e.prologue(fn, s)}
	if !f.yields {
		def.Body = append(def.Body, e.block(fn.Body)...)
		return def
	}
	// A call only makes the generator; its body finds the parameters in the frame.
	body := e.ident(fn.Pos, e.fresh("generator"))
	def.Body = append(def.Body,
		&syntax.DefStmt{Def: e.pos(fn.Pos), Name: body, Body: e.block(fn.Body)},
		&syntax.ReturnStmt{Return: e.pos(fn.Pos), Result: e.call(fn.Pos, "$coroutine", e.ident(fn.Pos, body.Name))})
	return def
}

// defParams translates parameters where the scope may not exist yet (a def of a class file).
func (e *emitter) defParams(params []python.Param) []syntax.Expr {
	if e.scope == nil {
		defer e.enter(&scope{})()
	}
	return e.params(params)
}

// prologue guards the depth of calls and moves the parameters into the frame.
func (e *emitter) prologue(fn *python.FunctionDef, s *scope) []syntax.Stmt {
	out := []syntax.Stmt{e.exprStmt(e.call(fn.Pos, "$enter"))}
	if s.frame == "" {
		return out
	}
	out = append(out, e.set(fn.Pos, e.ident(fn.Pos, s.frame), e.call(fn.Pos, "$frame")))
	for _, q := range fn.Params {
		if q.Name != "" {
			out = append(out, e.set(q.Pos, e.variable(q.Pos, q.Name), e.ident(q.Pos, q.Name)))
		}
	}
	return out
}

// block translates statements; Starlark wants at least one.
func (e *emitter) block(body []python.Stmt) []syntax.Stmt {
	var out []syntax.Stmt
	for _, s := range body {
		out = append(out, e.stmt(s)...)
	}
	if len(out) == 0 {
		out = append(out, &syntax.BranchStmt{Token: syntax.PASS})
	}
	return out
}

func one(s syntax.Stmt) []syntax.Stmt { return []syntax.Stmt{s} }

func (e *emitter) stmt(s python.Stmt) []syntax.Stmt {
	switch s := s.(type) {
	case *python.ExprStmt:
		if _, isText := s.X.(*python.Constant); isText {
			return nil // a docstring
		}
		return one(e.exprStmt(e.expr(s.X)))
	case *python.Assign:
		return e.assignStmt(s)
	case *python.AugAssign:
		return e.augAssign(s)
	case *python.AnnAssign:
		if s.X == nil {
			return one(e.refuse(s.Pos, "an annotation without a value"))
		}
		return e.assignStmt(&python.Assign{Pos: s.Pos, Targets: []python.Expr{s.Target}, X: s.X})
	case *python.Return:
		return e.returnStmt(s)
	case *python.If:
		out := &syntax.IfStmt{If: e.pos(s.Pos), Cond: e.expr(s.Cond), True: e.block(s.Body)}
		if len(s.Else) > 0 {
			out.ElsePos, out.False = e.pos(s.Pos), e.block(s.Else)
		}
		return one(out)
	case *python.For:
		return e.forStmt(s)
	case *python.While:
		return e.whileStmt(s)
	case *python.Break:
		return e.branch(s.Pos, syntax.BREAK)
	case *python.Continue:
		return e.branch(s.Pos, syntax.CONTINUE)
	case *python.Pass, *python.Nonlocal:
		return nil
	case *python.FunctionDef:
		return e.innerDef(s)
	case *python.Import:
		return e.importStmt(s)
	case *python.ImportFrom:
		return e.importFrom(s)
	case *python.Raise:
		return e.raiseStmt(s)
	case *python.Try:
		return e.tryStmt(s)
	case *python.With:
		return e.withStmt(s, 0)
	case *python.Del:
		return e.del(s)
	case *python.Assert:
		fail := e.exprStmt(e.call(s.Pos, "$assert", e.optional(s.Pos, s.Msg)))
		return one(&syntax.IfStmt{If: e.pos(s.Pos), Cond: e.not(s.Pos, e.expr(s.Cond)), True: one(fail)})
	case *python.Global:
		if e.module {
			return nil
		}
		return one(e.refuse(s.Pos, "the statement \"global\""))
	case *python.ClassDef:
		return e.classStmt(s)
	}
	return one(e.refuse(s.Start(), "this statement"))
}

// temp evaluates x once and gives its name.
func (e *emitter) temp(p python.Pos, x syntax.Expr) (syntax.Stmt, func() syntax.Expr) {
	name := e.fresh("t")
	return e.set(p, e.ident(p, name), x), func() syntax.Expr { return e.ident(p, name) }
}

func (e *emitter) assignStmt(s *python.Assign) []syntax.Stmt {
	if len(s.Targets) == 1 {
		if name, ok := s.Targets[0].(*python.Name); ok {
			return e.assign(name, e.expr(s.X))
		}
	}
	first, value := e.temp(s.Pos, e.expr(s.X))
	out := one(first)
	for _, t := range s.Targets {
		out = append(out, e.assign(t, value())...)
	}
	return out
}

// assign stores a value, which is a constant or a temporary unless the target is a name.
func (e *emitter) assign(target python.Expr, value syntax.Expr) []syntax.Stmt {
	p := target.Start()
	switch t := target.(type) {
	case *python.Name:
		if owner := e.scope.lookup(t.ID); owner != nil && owner.frame == moduleFrame {
			return one(e.exprStmt(e.call(p, "$setmodule", e.ident(p, moduleFrame), e.str(p, t.ID), value)))
		}
		if lhs := e.store(p, t.ID); lhs != nil {
			return one(e.set(p, lhs, value))
		}
		return one(e.refuse(p, "an assignment to the global "+strconv.Quote(t.ID)))
	case *python.Subscript:
		return one(e.exprStmt(e.call(p, "$setitem", e.expr(t.X), e.index(t.Index), value)))
	case *python.Attribute:
		return one(e.exprStmt(e.call(p, "$setattr", e.expr(t.X), e.str(p, t.Attr), value)))
	case *python.Tuple:
		return e.unpack(p, t.Elts, value)
	case *python.List:
		return e.unpack(p, t.Elts, value)
	}
	return one(e.refuse(p, "this target of an assignment"))
}

func (e *emitter) unpack(p python.Pos, elts []python.Expr, value syntax.Expr) []syntax.Stmt {
	star := -1
	for i, x := range elts {
		if _, ok := x.(*python.Starred); ok {
			star = i
		}
	}
	starArg := e.none(p)
	if star >= 0 {
		starArg = e.num(p, star)
	}
	first, items := e.temp(p, e.call(p, "$unpack", value, e.num(p, len(elts)), starArg))
	out := one(first)
	for i, x := range elts {
		if s, ok := x.(*python.Starred); ok {
			x = s.X
		}
		item := &syntax.IndexExpr{X: items(), Lbrack: e.pos(p), Y: e.num(p, i), Rbrack: e.pos(p)}
		out = append(out, e.assign(x, item)...)
	}
	return out
}

func (e *emitter) augAssign(s *python.AugAssign) []syntax.Stmt {
	op := e.str(s.Pos, s.Op)
	switch t := s.Target.(type) {
	case *python.Name:
		lhs := e.store(t.Pos, t.ID)
		if lhs == nil {
			return one(e.refuse(s.Pos, "an assignment to the global "+strconv.Quote(t.ID)))
		}
		if e.scope.lookup(t.ID).frame == moduleFrame {
			return e.assign(t, e.call(s.Pos, "$inplace", op, e.variable(t.Pos, t.ID), e.expr(s.X)))
		}
		return one(e.set(s.Pos, lhs, e.call(s.Pos, "$inplace", op, e.variable(t.Pos, t.ID), e.expr(s.X))))
	case *python.Subscript:
		first, x := e.temp(s.Pos, e.expr(t.X))
		second, i := e.temp(s.Pos, e.index(t.Index))
		value := e.call(s.Pos, "$inplace", op, e.call(s.Pos, "$index", x(), i()), e.expr(s.X))
		third, v := e.temp(s.Pos, value)
		return []syntax.Stmt{first, second, third, e.exprStmt(e.call(s.Pos, "$setitem", x(), i(), v()))}
	case *python.Attribute:
		first, x := e.temp(s.Pos, e.expr(t.X))
		name := e.str(s.Pos, t.Attr)
		value := e.call(s.Pos, "$inplace", op, e.call(s.Pos, "$attr", x(), name), e.expr(s.X))
		return []syntax.Stmt{first, e.exprStmt(e.call(s.Pos, "$setattr", x(), name, value))}
	}
	return one(e.refuse(s.Pos, "this target of an augmented assignment"))
}

func (e *emitter) returnStmt(s *python.Return) []syntax.Stmt {
	value := e.optional(s.Pos, s.X)
	if n := len(e.scope.tries); n > 0 {
		e.scope.tries[n-1].returns = true
		value = e.call(s.Pos, "$return", value)
	}
	return one(&syntax.ReturnStmt{Return: e.pos(s.Pos), Result: value})
}

// forStmt translates a loop: its else part becomes an if behind it.
func (e *emitter) forStmt(s *python.For) []syntax.Stmt {
	iter := e.call(s.Pos, "$iter", e.expr(s.Iter))
	return e.loop(s.Pos, s.Else, func() []syntax.Stmt {
		var vars syntax.Expr
		var head []syntax.Stmt
		if t, ok := s.Target.(*python.Name); ok && !e.scope.inModule(t.ID) {
			vars = e.store(t.Pos, t.ID)
		}
		if vars == nil {
			item := e.fresh("item")
			vars = e.ident(s.Pos, item)
			head = e.assign(s.Target, e.ident(s.Pos, item))
		}
		loop := &syntax.ForStmt{For: e.pos(s.Pos), Vars: vars, X: iter, Body: append(head, e.block(s.Body)...)}
		return []syntax.Stmt{loop, e.exprStmt(e.call(s.Pos, "$checked", e.none(s.Pos)))}
	})
}

func (e *emitter) whileStmt(s *python.While) []syntax.Stmt {
	return e.loop(s.Pos, s.Else, func() []syntax.Stmt {
		return one(&syntax.WhileStmt{While: e.pos(s.Pos), Cond: e.expr(s.Cond), Body: e.block(s.Body)})
	})
}

func (e *emitter) loop(p python.Pos, orElse []python.Stmt, body func() []syntax.Stmt) []syntax.Stmt {
	l := &loop{depth: len(e.scope.tries)}
	var out []syntax.Stmt
	if len(orElse) > 0 {
		l.elseVar = e.fresh("else")
		out = append(out, e.set(p, e.ident(p, l.elseVar), e.ident(p, "True")))
	}
	e.scope.loops = append(e.scope.loops, l)
	out = append(out, body()...)
	e.scope.loops = e.scope.loops[:len(e.scope.loops)-1]
	if l.elseVar != "" {
		out = append(out, &syntax.IfStmt{If: e.pos(p), Cond: e.ident(p, l.elseVar), True: e.block(orElse)})
	}
	return out
}

// branch translates break and continue, which may have to leave try closures first.
func (e *emitter) branch(p python.Pos, tok syntax.Token) []syntax.Stmt {
	if len(e.scope.loops) == 0 {
		return one(e.refuse(p, "break or continue outside of a loop"))
	}
	l := e.scope.loops[len(e.scope.loops)-1]
	if n := len(e.scope.tries); l.depth < n {
		kind := "$continue"
		if tok == syntax.BREAK {
			kind = "$break"
			e.scope.tries[n-1].breaks = true
		} else {
			e.scope.tries[n-1].continues = true
		}
		return one(&syntax.ReturnStmt{Return: e.pos(p), Result: e.call(p, kind)})
	}
	var out []syntax.Stmt
	if tok == syntax.BREAK && l.elseVar != "" {
		out = append(out, e.set(p, e.ident(p, l.elseVar), e.ident(p, "False")))
	}
	return append(out, &syntax.BranchStmt{Token: tok, TokenPos: e.pos(p)})
}

// innerDef translates a def inside of a function.
func (e *emitter) innerDef(s *python.FunctionDef) []syntax.Stmt {
	out, names := e.decorators(s.Decorators)
	def := e.function(s, survey(s.Body), false)
	owner := e.scope.lookup(s.Name)
	if len(names) == 0 && (owner == nil || owner.frame == "") {
		return append(out, def)
	}
	if !e.scope.inModule(s.Name) {
		def.Name = e.ident(s.Pos, e.fresh("def"))
	}
	return append(append(out, def), e.assign(&python.Name{Pos: s.Pos, ID: s.Name}, e.decorated(s.Pos, e.ident(s.Pos, def.Name.Name), names))...)
}

func (e *emitter) importStmt(s *python.Import) []syntax.Stmt {
	var out []syntax.Stmt
	for _, a := range s.Names {
		module := a.Name
		if a.As == "" {
			module = importedName(a)
		}
		value := e.call(s.Pos, "$import", e.str(s.Pos, a.Name), e.str(s.Pos, module))
		out = append(out, e.assign(&python.Name{Pos: s.Pos, ID: importedName(a)}, value)...)
	}
	return out
}

func (e *emitter) importFrom(s *python.ImportFrom) []syntax.Stmt {
	var out []syntax.Stmt
	for _, a := range s.Names {
		if a.Name == "*" {
			return one(e.refuse(s.Pos, "from ... import *"))
		}
		value := e.call(s.Pos, "$importfrom", e.str(s.Pos, s.Module), e.str(s.Pos, a.Name))
		out = append(out, e.assign(&python.Name{Pos: s.Pos, ID: importedName(a)}, value)...)
	}
	return out
}

func (e *emitter) del(s *python.Del) []syntax.Stmt {
	var out []syntax.Stmt
	for _, t := range s.Targets {
		switch t := t.(type) {
		case *python.Subscript:
			out = append(out, e.exprStmt(e.call(s.Pos, "$delitem", e.expr(t.X), e.index(t.Index))))
		case *python.Name:
			if owner := e.scope.lookup(t.ID); owner != nil && owner.frame != "" && owner.frame != moduleFrame {
				out = append(out, e.exprStmt(e.call(s.Pos, "$delvar", e.ident(s.Pos, owner.frame), e.str(s.Pos, t.ID))))
				continue
			}
			out = append(out, e.refuse(s.Pos, "del of a global"))
		default:
			out = append(out, e.refuse(s.Pos, "this target of del"))
		}
	}
	return out
}
