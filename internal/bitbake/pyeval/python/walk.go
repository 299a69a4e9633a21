// SPDX-License-Identifier: MIT

package python

// Walk visits every node of the statements in source order; visit says whether to go inside.
func Walk(body []Stmt, visit func(Node) bool) {
	for _, s := range body {
		walkStmt(s, visit)
	}
}

// WalkExpr visits x and every node inside of it.
func WalkExpr(x Expr, visit func(Node) bool) {
	if x == nil || !visit(x) {
		return
	}
	for _, sub := range Children(x) {
		WalkExpr(sub, visit)
	}
}

// Outer gives the expressions of a def that are evaluated outside of it: decorators and defaults.
func Outer(f *FunctionDef) []Expr {
	return append(append([]Expr{}, f.Decorators...), defaults(f.Params)...)
}

func defaults(params []Param) []Expr {
	var out []Expr
	for _, p := range params {
		if p.Default != nil {
			out = append(out, p.Default)
		}
	}
	return out
}

// CompParts gives the expressions of a comprehension in the order in which they are evaluated.
func CompParts(c *Comp) []Expr {
	var out []Expr
	for _, cl := range c.Clauses {
		out = append(append(out, cl.Iter, cl.Target), cl.Conds...)
	}
	return append(out, present(c.Elt, c.Value)...)
}

// present drops the parts that are not there.
func present(xs ...Expr) []Expr {
	out := xs[:0:0]
	for _, x := range xs {
		if x != nil {
			out = append(out, x)
		}
	}
	return out
}

func argExprs(args []Arg) []Expr {
	var out []Expr
	for _, a := range args {
		out = append(out, a.X)
	}
	return out
}

// Children gives the expressions directly inside x.
func Children(x Expr) []Expr {
	switch x := x.(type) {
	case *JoinedStr:
		return x.Parts
	case *FormattedValue:
		if x.Spec != nil {
			return []Expr{x.X, x.Spec}
		}
		return []Expr{x.X}
	case *BinOp:
		return []Expr{x.X, x.Y}
	case *UnaryOp:
		return []Expr{x.X}
	case *BoolOp:
		return x.Values
	case *Compare:
		return append([]Expr{x.X}, x.Ys...)
	case *IfExp:
		return []Expr{x.Cond, x.Then, x.Else}
	case *Lambda:
		return append(defaults(x.Params), x.Body)
	case *Call:
		return append([]Expr{x.Fn}, argExprs(x.Args)...)
	case *Attribute:
		return []Expr{x.X}
	case *Subscript:
		return []Expr{x.X, x.Index}
	case *Slice:
		return present(x.Lo, x.Hi, x.Step)
	case *List:
		return x.Elts
	case *Tuple:
		return x.Elts
	case *Set:
		return x.Elts
	case *Dict:
		var out []Expr
		for i, k := range x.Keys {
			out = append(out, present(k, x.Values[i])...)
		}
		return out
	case *Comp:
		return CompParts(x)
	case *Starred:
		return []Expr{x.X}
	case *NamedExpr:
		return []Expr{x.Target, x.X}
	case *Yield:
		return present(x.X)
	}
	return nil
}

func walkStmt(s Stmt, visit func(Node) bool) {
	if !visit(s) {
		return
	}
	exprs, blocks := parts(s)
	for _, x := range exprs {
		WalkExpr(x, visit)
	}
	for _, b := range blocks {
		Walk(b, visit)
	}
}

// parts gives the expressions and the blocks directly inside a statement.
func parts(s Stmt) ([]Expr, [][]Stmt) {
	switch s := s.(type) {
	case *ExprStmt:
		return []Expr{s.X}, nil
	case *Assign:
		return append([]Expr{s.X}, s.Targets...), nil
	case *AugAssign:
		return []Expr{s.Target, s.X}, nil
	case *AnnAssign:
		return present(s.Target, s.X), nil
	case *Return:
		return present(s.X), nil
	case *If:
		return []Expr{s.Cond}, [][]Stmt{s.Body, s.Else}
	case *For:
		return []Expr{s.Iter, s.Target}, [][]Stmt{s.Body, s.Else}
	case *While:
		return []Expr{s.Cond}, [][]Stmt{s.Body, s.Else}
	case *FunctionDef:
		return Outer(s), [][]Stmt{s.Body}
	case *ClassDef:
		return append(append([]Expr{}, s.Decorators...), argExprs(s.Args)...), [][]Stmt{s.Body}
	case *Raise:
		return present(s.X, s.Cause), nil
	case *Try:
		return tryParts(s)
	case *With:
		var out []Expr
		for _, item := range s.Items {
			out = append(out, present(item.X, item.Target)...)
		}
		return out, [][]Stmt{s.Body}
	case *Del:
		return s.Targets, nil
	case *Assert:
		return present(s.Cond, s.Msg), nil
	}
	return nil, nil
}

func tryParts(s *Try) ([]Expr, [][]Stmt) {
	var exprs []Expr
	blocks := [][]Stmt{s.Body}
	for _, h := range s.Handlers {
		exprs = append(exprs, present(h.Type)...)
		blocks = append(blocks, h.Body)
	}
	return exprs, append(blocks, s.Else, s.Finally)
}
