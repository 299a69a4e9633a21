// SPDX-License-Identifier: MIT

package pyeval

import (
	"strconv"

	"go.starlark.net/syntax"

	"n3x/internal/bitbake/pyeval/python"
)

// expr translates an expression.
func (e *emitter) expr(x python.Expr) syntax.Expr {
	switch x := x.(type) {
	case *python.Name:
		return e.variable(x.Pos, x.ID)
	case *python.Constant:
		return e.constant(x)
	case *python.JoinedStr:
		return e.joined(x)
	case *python.FormattedValue:
		return e.formatted(x)
	case *python.BinOp:
		return e.call(x.Pos, "$binary", e.str(x.Pos, x.Op), e.expr(x.X), e.expr(x.Y))
	case *python.UnaryOp:
		if x.Op == "not" {
			return e.not(x.Pos, e.expr(x.X))
		}
		return e.call(x.Pos, "$unary", e.str(x.Pos, x.Op), e.expr(x.X))
	case *python.BoolOp:
		return e.boolOp(x)
	case *python.Compare:
		return e.compare(x)
	case *python.IfExp:
		return &syntax.CondExpr{If: e.pos(x.Pos), Cond: e.expr(x.Cond), True: e.expr(x.Then), ElsePos: e.pos(x.Pos), False: e.expr(x.Else)}
	case *python.Lambda:
		return e.lambda(x)
	case *python.Call:
		return e.callExpr(x)
	case *python.Attribute:
		return e.call(x.Pos, "$attr", e.expr(x.X), e.str(x.Pos, x.Attr))
	case *python.Subscript:
		return e.subscript(x)
	case *python.List:
		return e.display(x.Pos, "$list", x.Elts)
	case *python.Tuple:
		return e.display(x.Pos, "$tuple", x.Elts)
	case *python.Set:
		return e.call(x.Pos, "$set", e.display(x.Pos, "$list", x.Elts))
	case *python.Dict:
		return e.dict(x)
	case *python.Comp:
		return e.comprehension(x)
	case *python.NamedExpr:
		return e.walrus(x)
	case *python.Starred:
		return e.refusal(x.Pos, "a starred expression here")
	case *python.Slice:
		return e.refusal(x.Pos, "a slice inside of a tuple")
	case *python.Yield:
		return e.yield(x)
	}
	return e.refusal(x.Start(), "this expression")
}

// yield hands a value to the generator's consumer; a comprehension or lambda is no place for it.
func (e *emitter) yield(x *python.Yield) syntax.Expr {
	switch {
	case e.scope.frame == "":
		return e.refusal(x.Pos, "yield here")
	case x.From:
		return e.call(x.Pos, "$yieldfrom", e.expr(x.X))
	}
	return e.call(x.Pos, "$yield", e.optional(x.Pos, x.X))
}

func (e *emitter) exprs(xs []python.Expr) []syntax.Expr {
	out := make([]syntax.Expr, len(xs))
	for i, x := range xs {
		out[i] = e.expr(x)
	}
	return out
}

func (e *emitter) not(p python.Pos, x syntax.Expr) syntax.Expr {
	return &syntax.UnaryExpr{OpPos: e.pos(p), Op: syntax.NOT, X: x}
}

// optional is the expression, or None in its absence.
func (e *emitter) optional(p python.Pos, x python.Expr) syntax.Expr {
	if x == nil {
		return e.none(p)
	}
	return e.expr(x)
}

func (e *emitter) joined(x *python.JoinedStr) syntax.Expr {
	return e.call(x.Pos, "$join", &syntax.ListExpr{Lbrack: e.pos(x.Pos), List: e.exprs(x.Parts), Rbrack: e.pos(x.Pos)})
}

func (e *emitter) formatted(x *python.FormattedValue) syntax.Expr {
	conv := ""
	if x.Conv != 0 {
		conv = string(x.Conv)
	}
	spec := e.str(x.Pos, "")
	if x.Spec != nil {
		spec = e.joined(x.Spec)
	}
	return e.call(x.Pos, "$format", e.expr(x.X), e.str(x.Pos, conv), spec)
}

func (e *emitter) boolOp(x *python.BoolOp) syntax.Expr {
	op := syntax.AND
	if x.Op == "or" {
		op = syntax.OR
	}
	out := e.expr(x.Values[0])
	for _, v := range x.Values[1:] {
		out = &syntax.BinaryExpr{X: out, OpPos: e.pos(x.Pos), Op: op, Y: e.expr(v)}
	}
	return out
}

// compare translates a chain. Of a longer one, the operands that are used twice become parameters
// of a lambda, so that each is evaluated once, in order, and the later ones only if needed.
func (e *emitter) compare(c *python.Compare) syntax.Expr {
	return e.compareFrom(c, e.expr(c.X), 0)
}

func (e *emitter) compareFrom(c *python.Compare, left syntax.Expr, i int) syntax.Expr {
	p := c.Ys[i].Start()
	right := e.expr(c.Ys[i])
	if i == len(c.Ops)-1 {
		return e.comparison(p, c.Ops[i], left, right)
	}
	a, b := e.fresh("a"), e.fresh("b")
	body := &syntax.BinaryExpr{
		X: e.comparison(p, c.Ops[i], e.ident(p, a), e.ident(p, b)), OpPos: e.pos(p), Op: syntax.AND,
		Y: e.compareFrom(c, e.ident(p, b), i+1),
	}
	return &syntax.CallExpr{Fn: e.closure(p, body, a, b), Lparen: e.pos(p), Args: []syntax.Expr{left, right}, Rparen: e.pos(p)}
}

// closure is a lambda of the emitter's own.
func (e *emitter) closure(p python.Pos, body syntax.Expr, params ...string) syntax.Expr {
	l := &syntax.LambdaExpr{Lambda: e.pos(p), Body: body}
	for _, name := range params {
		l.Params = append(l.Params, e.ident(p, name))
	}
	return &syntax.ParenExpr{Lparen: e.pos(p), X: l, Rparen: e.pos(p)}
}

func (e *emitter) comparison(p python.Pos, op string, x, y syntax.Expr) syntax.Expr {
	switch op {
	case "not in":
		return e.not(p, e.call(p, "$compare", e.str(p, "in"), x, y))
	case "is not":
		return e.not(p, e.call(p, "$compare", e.str(p, "is"), x, y))
	case "!=":
		return e.not(p, e.call(p, "$compare", e.str(p, "=="), x, y))
	}
	return e.call(p, "$compare", e.str(p, op), x, y)
}

func (e *emitter) lambda(x *python.Lambda) syntax.Expr {
	params := e.params(x.Params)
	facts := surveyExpr(x.Body)
	if facts.boxed || facts.yields {
		return e.refusal(x.Pos, "an assignment or yield inside of lambda")
	}
	names := map[string]bool{}
	for _, q := range x.Params {
		names[q.Name] = true
	}
	defer e.enter(&scope{names: names})()
	body := &syntax.BinaryExpr{X: e.call(x.Pos, "$enter"), OpPos: e.pos(x.Pos), Op: syntax.OR, Y: e.expr(x.Body)}
	return &syntax.ParenExpr{X: &syntax.LambdaExpr{Lambda: e.pos(x.Pos), Params: params, Body: body}}
}

// enter makes s the current scope until the result is called.
func (e *emitter) enter(s *scope) func() {
	outer := e.scope
	s.parent = outer
	if outer != nil {
		s.comp = outer.top || outer.comp
	}
	e.scope = s
	return func() { e.scope = outer }
}

// callExpr translates a call. Starlark takes at most one *x and one **x, behind everything else.
func (e *emitter) callExpr(x *python.Call) syntax.Expr {
	if s := e.superCall(x); s != nil {
		return s
	}
	var positional, named, maps []syntax.Expr
	stars := 0
	for _, a := range x.Args {
		p := a.X.Start()
		switch {
		case a.Stars == 1:
			stars++
			positional = append(positional, &syntax.UnaryExpr{OpPos: e.pos(p), Op: syntax.STAR, X: e.expr(a.X)})
		case a.Stars == 2:
			maps = append(maps, e.expr(a.X))
		case a.Name != "":
			named = append(named, &syntax.BinaryExpr{X: e.ident(p, a.Name), OpPos: e.pos(p), Op: syntax.EQ, Y: e.expr(a.X)})
		default:
			positional = append(positional, e.expr(a.X))
		}
	}
	if len(positional)+len(named) > 200 {
		return e.refusal(x.Pos, "a call with more than 200 arguments")
	}
	call := &syntax.CallExpr{Fn: e.expr(x.Fn), Lparen: e.pos(x.Pos), Rparen: e.pos(x.Pos)}
	var gathered syntax.Expr
	if stars > 0 {
		gathered = &syntax.UnaryExpr{OpPos: e.pos(x.Pos), Op: syntax.STAR, X: e.gather(x.Pos, "$tuple", positional)}
	} else {
		call.Args = positional
	}
	call.Args = append(call.Args, named...)
	if gathered != nil {
		call.Args = append(call.Args, gathered)
	}
	if len(maps) > 0 {
		merged := e.call(x.Pos, "$kwargs", maps...)
		call.Args = append(call.Args, &syntax.UnaryExpr{OpPos: e.pos(x.Pos), Op: syntax.STARSTAR, X: merged})
	}
	return call
}

// gather builds a list or tuple out of items of which some are starred.
func (e *emitter) gather(p python.Pos, helper string, items []syntax.Expr) syntax.Expr {
	var parts []syntax.Expr
	for _, item := range items {
		if u, ok := item.(*syntax.UnaryExpr); ok && u.Op == syntax.STAR {
			parts = append(parts, u.X)
		} else {
			parts = append(parts, e.tuple(p, item))
		}
	}
	return e.call(p, helper, parts...)
}

// display translates the items of a list or tuple display.
func (e *emitter) display(p python.Pos, helper string, elts []python.Expr) syntax.Expr {
	starred := false
	items := make([]syntax.Expr, len(elts))
	for i, x := range elts {
		if s, ok := x.(*python.Starred); ok {
			starred = true
			items[i] = &syntax.UnaryExpr{OpPos: e.pos(s.Pos), Op: syntax.STAR, X: e.expr(s.X)}
			continue
		}
		items[i] = e.expr(x)
	}
	switch {
	case starred:
		return e.gather(p, helper, items)
	case helper == "$tuple":
		return e.tuple(p, items...)
	}
	return &syntax.ListExpr{Lbrack: e.pos(p), List: items, Rbrack: e.pos(p)}
}

func (e *emitter) subscript(x *python.Subscript) syntax.Expr {
	return e.call(x.Pos, "$index", e.expr(x.X), e.index(x.Index))
}

// index translates what stands between brackets; a slice becomes a slice object.
func (e *emitter) index(x python.Expr) syntax.Expr {
	if s, ok := x.(*python.Slice); ok {
		return e.call(s.Pos, "$slice", e.optional(s.Pos, s.Lo), e.optional(s.Pos, s.Hi), e.optional(s.Pos, s.Step))
	}
	return e.expr(x)
}

// dict translates a dict display to a list of pairs; a lone dict stands for **.
func (e *emitter) dict(x *python.Dict) syntax.Expr {
	items := make([]syntax.Expr, len(x.Keys))
	for i, k := range x.Keys {
		if k == nil {
			items[i] = e.expr(x.Values[i])
		} else {
			items[i] = e.tuple(x.Values[i].Start(), e.expr(k), e.expr(x.Values[i]))
		}
	}
	return e.call(x.Pos, "$dict", &syntax.ListExpr{Lbrack: e.pos(x.Pos), List: items, Rbrack: e.pos(x.Pos)})
}

func (e *emitter) comprehension(x *python.Comp) syntax.Expr {
	first := e.expr(x.Clauses[0].Iter) // belongs to the scope outside
	names := map[string]bool{}
	for _, cl := range x.Clauses {
		for _, name := range targetNames(cl.Target) {
			names[name] = true
		}
	}
	for _, cl := range x.Clauses {
		if !plainTarget(cl.Target) {
			return e.refusal(x.Pos, "this target in a comprehension")
		}
	}
	defer e.enter(&scope{names: names})()
	if x.Kind == python.Generator {
		// The first iterable is taken one item at a time, as the consumer asks for them.
		item := e.fresh("item")
		body := e.clauses(x, e.tuple(x.Pos, e.ident(x.Pos, item)))
		return e.call(x.Pos, "$generator", first, e.closure(x.Pos, body, item))
	}
	list := e.call(x.Pos, "$checked", e.clauses(x, first))
	switch x.Kind {
	case python.SetComp:
		return e.call(x.Pos, "$set", list)
	case python.DictComp:
		return e.call(x.Pos, "$dict", list)
	}
	return list
}

// clauses makes the Starlark comprehension.
func (e *emitter) clauses(x *python.Comp, first syntax.Expr) syntax.Expr {
	c := &syntax.Comprehension{Lbrack: e.pos(x.Pos), Rbrack: e.pos(x.Pos)}
	for i, cl := range x.Clauses {
		p := cl.Target.Start()
		iter := first
		if i > 0 {
			iter = e.expr(cl.Iter)
		}
		if t, ok := cl.Target.(*python.Name); ok {
			c.Clauses = append(c.Clauses, &syntax.ForClause{For: e.pos(p), Vars: e.ident(p, t.ID), In: e.pos(p), X: e.call(p, "$iter", iter)})
		} else {
			shape := e.shape(cl.Target)
			c.Clauses = append(c.Clauses, &syntax.ForClause{For: e.pos(p), Vars: e.pattern(cl.Target), In: e.pos(p), X: e.call(p, "$iter", iter, shape)})
		}
		for _, cond := range cl.Conds {
			c.Clauses = append(c.Clauses, &syntax.IfClause{If: e.pos(p), Cond: e.expr(cond)})
		}
	}
	if x.Kind == python.DictComp {
		c.Body = e.tuple(x.Pos, e.expr(x.Elt), e.expr(x.Value))
	} else {
		c.Body = e.expr(x.Elt)
	}
	return c
}

// plainTarget reports whether a comprehension's target consists of names and tuples of them.
func plainTarget(x python.Expr) bool {
	elts := []python.Expr(nil)
	switch x := x.(type) {
	case *python.Name:
		return true
	case *python.Tuple:
		elts = x.Elts
	case *python.List:
		elts = x.Elts
	default:
		return false
	}
	for _, sub := range elts {
		if !plainTarget(sub) {
			return false
		}
	}
	return len(elts) > 0
}

// pattern is a comprehension's target in Starlark, where a list of names cannot be repeated.
func (e *emitter) pattern(x python.Expr) syntax.Expr {
	var elts []python.Expr
	switch x := x.(type) {
	case *python.Name:
		return e.ident(x.Pos, x.ID)
	case *python.Tuple:
		elts = x.Elts
	case *python.List:
		elts = x.Elts
	}
	items := make([]syntax.Expr, len(elts))
	for i, sub := range elts {
		items[i] = e.pattern(sub)
	}
	return e.tuple(x.Start(), items...)
}

// shape tells the helper how deep items are to be unpacked: None for a name, a tuple for a tuple.
func (e *emitter) shape(x python.Expr) syntax.Expr {
	var elts []python.Expr
	switch x := x.(type) {
	case *python.Tuple:
		elts = x.Elts
	case *python.List:
		elts = x.Elts
	default:
		return e.none(x.Start())
	}
	items := make([]syntax.Expr, len(elts))
	for i, sub := range elts {
		items[i] = e.shape(sub)
	}
	return e.tuple(x.Start(), items...)
}

func (e *emitter) walrus(x *python.NamedExpr) syntax.Expr {
	s := e.scope.lookup(x.Target.ID)
	if s == nil || s.frame == "" {
		return e.refusal(x.Pos, "the assignment "+strconv.Quote(x.Target.ID+" :=")+" here")
	}
	return e.call(x.Pos, "$setvar", e.ident(x.Pos, s.frame), e.str(x.Pos, x.Target.ID), e.expr(x.X))
}
