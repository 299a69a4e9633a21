// SPDX-License-Identifier: MIT

package pyeval

import (
	"go.starlark.net/syntax"

	"n3x/internal/bitbake/pyeval/python"
)

// Starlark has no exceptions: each part of a try statement becomes a function without parameters
// (a handler: with one, the exception), which the helper $try runs and watches. Control that
// leaves such a function other than by its end is carried out as a value.

func (e *emitter) tryStmt(s *python.Try) []syntax.Stmt {
	t := &tryClosure{}
	e.scope.tries = append(e.scope.tries, t)
	out, body := e.thunk(s.Pos, "try", s.Body)
	var handlers []syntax.Expr
	for _, h := range s.Handlers {
		def, handler := e.handler(h)
		out = append(out, def...)
		handlers = append(handlers, handler)
	}
	args := []syntax.Expr{body, &syntax.ListExpr{List: handlers}}
	for _, block := range [][]python.Stmt{s.Else, s.Finally} {
		if len(block) == 0 {
			args = append(args, e.none(s.Pos))
			continue
		}
		def, fn := e.thunk(s.Pos, "block", block)
		out = append(out, def...)
		args = append(args, fn)
	}
	e.scope.tries = e.scope.tries[:len(e.scope.tries)-1]
	return append(out, e.land(s.Pos, t, e.call(s.Pos, "$try", args...))...)
}

// thunk makes a block a function and gives its definition and its name.
func (e *emitter) thunk(p python.Pos, kind string, body []python.Stmt, params ...string) ([]syntax.Stmt, syntax.Expr) {
	name := e.fresh(kind)
	def := &syntax.DefStmt{Def: e.pos(p), Name: e.ident(p, name)}
	for _, q := range params {
		def.Params = append(def.Params, e.ident(p, q))
	}
	def.Body = e.block(body)
	return one(def), e.ident(p, name)
}

// handler makes the triple (types, function, name): types is a function that gives the exception
// classes when they are needed, name a function that forgets the variable, or None.
func (e *emitter) handler(h python.Handler) ([]syntax.Stmt, syntax.Expr) {
	param := e.fresh("exc")
	e.scope.caught = append(e.scope.caught, param)
	def, fn := e.thunk(h.Pos, "except", h.Body, param)
	e.scope.caught = e.scope.caught[:len(e.scope.caught)-1]
	types, forget := e.none(h.Pos), e.none(h.Pos)
	if h.Type != nil {
		types = e.closure(h.Pos, e.expr(h.Type))
	}
	if h.Name != "" {
		d := def[0].(*syntax.DefStmt)
		d.Body = append(e.assign(&python.Name{Pos: h.Pos, ID: h.Name}, e.ident(h.Pos, param)), d.Body...)
		if owner := e.scope.lookup(h.Name); owner != nil && owner.frame != "" && owner.frame != moduleFrame {
			forget = e.closure(h.Pos, e.call(h.Pos, "$forget", e.ident(h.Pos, owner.frame), e.str(h.Pos, h.Name)))
		}
	}
	return def, e.tuple(h.Pos, types, fn, forget)
}

// land acts on how the closure of t was left; run is the call that ran it.
func (e *emitter) land(p python.Pos, t *tryClosure, run syntax.Expr) []syntax.Stmt {
	first, how := e.temp(p, run)
	out := one(first)
	when := func(kind string, do []syntax.Stmt) {
		out = append(out, &syntax.IfStmt{If: e.pos(p), Cond: e.call(p, "$left", how(), e.str(p, kind)), True: do})
	}
	if t.returns {
		result := e.call(p, "$result", how())
		if n := len(e.scope.tries); n > 0 {
			e.scope.tries[n-1].returns = true
			result = how()
		}
		when("return", one(&syntax.ReturnStmt{Return: e.pos(p), Result: result}))
	}
	if t.breaks {
		when("break", e.branch(p, syntax.BREAK))
	}
	if t.continues {
		when("continue", e.branch(p, syntax.CONTINUE))
	}
	return out
}

// withStmt translates item i of a with statement and, inside of it, the rest.
func (e *emitter) withStmt(s *python.With, i int) []syntax.Stmt {
	item := s.Items[i]
	out, manager := e.temp(s.Pos, e.call(s.Pos, "$open", e.expr(item.X)))
	t := &tryClosure{}
	e.scope.tries = append(e.scope.tries, t)
	name := e.fresh("with")
	def := &syntax.DefStmt{Def: e.pos(s.Pos), Name: e.ident(s.Pos, name)}
	if item.Target != nil {
		def.Body = e.assign(item.Target, manager())
	}
	if i+1 < len(s.Items) {
		def.Body = append(def.Body, e.withStmt(s, i+1)...)
	} else {
		def.Body = append(def.Body, e.block(s.Body)...)
	}
	e.scope.tries = e.scope.tries[:len(e.scope.tries)-1]
	run := e.call(s.Pos, "$with", manager(), e.ident(s.Pos, name))
	return append([]syntax.Stmt{out, def}, e.land(s.Pos, t, run)...)
}

func (e *emitter) raiseStmt(s *python.Raise) []syntax.Stmt {
	if s.X != nil {
		// The cause is only shown in tracebacks, but it is evaluated.
		return one(e.exprStmt(e.call(s.Pos, "$raise", e.expr(s.X), e.optional(s.Pos, s.Cause))))
	}
	if n := len(e.scope.caught); n > 0 {
		return one(e.exprStmt(e.call(s.Pos, "$raise", e.ident(s.Pos, e.scope.caught[n-1]), e.none(s.Pos))))
	}
	return one(e.refuse(s.Pos, "raise without an exception here"))
}
