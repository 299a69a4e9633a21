// SPDX-License-Identifier: MIT

package python

import "slices"

// params parses parameters up to (not including) end; annotations are skipped.
func (p *parser) params(end string, annotated bool) []Param {
	var params []Param
	seen := map[string]bool{}
	var star, double, defaults, slash bool
	for !p.is(end) {
		q := Param{Pos: p.tok.pos}
		switch {
		case double:
			p.fail(q.Pos, "arguments cannot follow var-keyword argument")
		case p.accept("/"):
			if slash || star || len(params) == 0 {
				p.fail(q.Pos, "/ must be ahead of * and behind a parameter")
			}
			q.Slash, slash = true, true
		case p.accept("**"):
			q.Stars, double = 2, true
			q.Name = p.ident()
		case p.accept("*"):
			if star {
				p.fail(q.Pos, "* argument may appear only once")
			}
			q.Stars, star = 1, true
			if p.isIdent() {
				q.Name = p.ident()
			} else if p.peekTok().text == "**" || !p.is(",") {
				p.fail(q.Pos, "named arguments must follow bare *")
			}
		default:
			q.Name = p.ident()
		}
		if q.Name != "" {
			if seen[q.Name] {
				p.fail(q.Pos, "duplicate argument '"+q.Name+"' in function definition")
			}
			seen[q.Name] = true
			if annotated && p.accept(":") {
				p.expr()
			}
		}
		if q.Stars == 0 && !q.Slash {
			if p.accept("=") {
				q.Default = p.expr()
				defaults = defaults || !star
			} else if defaults && !star {
				p.fail(q.Pos, "non-default argument follows default argument")
			}
		}
		params = append(params, q)
		if !p.accept(",") {
			break
		}
	}
	if n := len(params); n > 0 && params[n-1].Stars == 1 && params[n-1].Name == "" {
		p.fail(params[n-1].Pos, "named arguments must follow bare *")
	}
	return params
}

// simple parses one statement without a block.
func (p *parser) simple() Stmt {
	pos := p.tok.pos
	if p.tok.kind == tokName {
		switch p.tok.text {
		case "pass":
			p.next()
			return &Pass{pos}
		case "break":
			p.next()
			return &Break{pos}
		case "continue":
			p.next()
			return &Continue{pos}
		case "return":
			p.next()
			return &Return{pos, p.optionalList()}
		case "raise":
			return p.raise()
		case "import":
			return p.importStmt()
		case "from":
			return p.importFrom()
		case "del":
			return p.del()
		case "global":
			p.next()
			return &Global{pos, p.nameList()}
		case "nonlocal":
			p.next()
			return &Nonlocal{pos, p.nameList()}
		case "assert":
			p.next()
			s := &Assert{Pos: pos, Cond: p.expr()}
			if p.accept(",") {
				s.Msg = p.expr()
			}
			return s
		}
	}
	return p.exprStmt()
}

func (p *parser) optionalList() Expr {
	if p.endOfList() {
		return nil
	}
	return p.exprList(true)
}

func (p *parser) raise() Stmt {
	s := &Raise{Pos: p.tok.pos}
	p.next()
	if p.endOfList() {
		return s
	}
	s.X = p.expr()
	if p.acceptWord("from") {
		s.Cause = p.expr()
	}
	return s
}

func (p *parser) nameList() []string {
	names := []string{p.ident()}
	for p.accept(",") {
		names = append(names, p.ident())
	}
	return names
}

func (p *parser) dotted() string {
	name := p.ident()
	for p.accept(".") {
		name += "." + p.ident()
	}
	return name
}

func (p *parser) alias(name string) Alias {
	a := Alias{Name: name}
	if p.acceptWord("as") {
		a.As = p.ident()
	}
	return a
}

func (p *parser) importStmt() Stmt {
	s := &Import{Pos: p.tok.pos}
	p.next()
	for {
		s.Names = append(s.Names, p.alias(p.dotted()))
		if !p.accept(",") {
			return s
		}
	}
}

func (p *parser) importFrom() Stmt {
	s := &ImportFrom{Pos: p.tok.pos}
	p.next()
	for p.is(".") || p.is("...") {
		s.Module += p.tok.text
		p.next()
	}
	if !p.isWord("import") {
		s.Module += p.dotted()
	}
	p.expectWord("import")
	if p.accept("*") {
		s.Names = []Alias{{Name: "*"}}
		return s
	}
	paren := p.accept("(")
	for {
		s.Names = append(s.Names, p.alias(p.ident()))
		if !p.accept(",") || paren && p.is(")") {
			break
		}
	}
	if paren {
		p.expect(")")
	}
	return s
}

func (p *parser) del() Stmt {
	s := &Del{Pos: p.tok.pos}
	p.next()
	x := p.exprList(false)
	if t, ok := x.(*Tuple); ok {
		s.Targets = t.Elts
	} else {
		s.Targets = []Expr{x}
	}
	for _, t := range s.Targets {
		p.checkTarget(t)
	}
	return s
}

var augmented = []string{"+=", "-=", "*=", "/=", "//=", "%=", "**=", "&=", "|=", "^=", ">>=", "<<=", "@="}

// exprStmt parses expressions and all kinds of assignment.
func (p *parser) exprStmt() Stmt {
	pos := p.tok.pos
	if p.tok.text == "match" && p.isIdent() && p.matchFollows() {
		p.refuse(pos, "the match statement")
	}
	x := p.yieldOrList()
	switch {
	case p.is(":"):
		return p.annotated(pos, x)
	case p.tok.kind == tokOp && slices.Contains(augmented, p.tok.text):
		op := p.tok.text[:len(p.tok.text)-1]
		switch x.(type) {
		case *Name, *Attribute, *Subscript:
		default:
			p.fail(pos, "illegal expression for augmented assignment")
		}
		p.next()
		return &AugAssign{pos, x, op, p.yieldOrList()}
	case !p.is("="):
		if s, isStar := x.(*Starred); isStar {
			p.fail(s.Pos, "can't use starred expression here")
		}
		return &ExprStmt{pos, x}
	}
	s := &Assign{Pos: pos}
	for p.accept("=") {
		if _, isStar := x.(*Starred); isStar {
			p.fail(pos, "starred assignment target must be in a list or tuple")
		}
		p.checkTarget(x)
		s.Targets = append(s.Targets, x)
		x = p.yieldOrList()
	}
	s.X = x
	return s
}

// matchFollows tells the soft keyword from a variable of that name.
func (p *parser) matchFollows() bool {
	next := p.peekTok()
	return next.kind == tokName && !slices.Contains([]string{"if", "in", "is", "and", "or", "not", "for"}, next.text) ||
		next.kind == tokString || next.kind == tokNumber
}

func (p *parser) yieldOrList() Expr {
	if p.isWord("yield") {
		return p.yield()
	}
	return p.exprList(true)
}

func (p *parser) annotated(pos Pos, x Expr) Stmt {
	switch x.(type) {
	case *Name, *Attribute, *Subscript:
	default:
		p.fail(pos, "only single target can be annotated")
	}
	p.next()
	p.expr()
	s := &AnnAssign{Pos: pos, Target: x}
	if p.accept("=") {
		s.X = p.yieldOrList()
	}
	return s
}
