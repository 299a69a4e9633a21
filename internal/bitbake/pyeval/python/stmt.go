// SPDX-License-Identifier: MIT

package python

// statement parses one logical line or one compound statement.
func (p *parser) statement() []Stmt {
	defer p.deeper()()
	if p.tok.kind == tokNewline {
		p.next()
		return nil
	}
	if p.tok.kind == tokIndent {
		p.fail(p.tok.pos, "unexpected indent")
	}
	if p.tok.kind == tokName {
		switch p.tok.text {
		case "if":
			return []Stmt{p.ifStmt()}
		case "for":
			return []Stmt{p.forStmt()}
		case "while":
			return []Stmt{p.whileStmt()}
		case "try":
			return []Stmt{p.tryStmt()}
		case "with":
			return []Stmt{p.withStmt()}
		case "def":
			return []Stmt{p.def(nil)}
		case "class":
			return []Stmt{p.class(nil)}
		case "async":
			p.refuse(p.tok.pos, "async")
		}
	}
	if p.is("@") {
		return []Stmt{p.decorated()}
	}
	return p.simpleLine()
}

// simpleLine parses "a; b; c" up to the end of the line.
func (p *parser) simpleLine() []Stmt {
	var out []Stmt
	for {
		out = append(out, p.simple())
		if p.accept(";") {
			if p.tok.kind == tokNewline || p.tok.kind == tokEOF {
				break
			}
			continue
		}
		break
	}
	switch p.tok.kind {
	case tokNewline:
		p.next()
	case tokEOF:
	default:
		p.unexpected()
	}
	return out
}

// block parses what follows a colon.
func (p *parser) block() []Stmt {
	p.expect(":")
	if p.tok.kind != tokNewline {
		return p.simpleLine()
	}
	for p.tok.kind == tokNewline {
		p.next()
	}
	if p.tok.kind != tokIndent {
		p.fail(p.tok.pos, "expected an indented block")
	}
	p.next()
	var body []Stmt
	for p.tok.kind != tokDedent && p.tok.kind != tokEOF {
		body = append(body, p.statement()...)
	}
	if p.tok.kind == tokDedent {
		p.next()
	}
	return body
}

func (p *parser) orElse() []Stmt {
	if p.acceptWord("else") {
		return p.block()
	}
	return nil
}

func (p *parser) ifStmt() Stmt {
	defer p.deeper()()
	pos := p.tok.pos
	p.next()
	s := &If{Pos: pos, Cond: p.named(), Body: p.block()}
	if p.isWord("elif") {
		s.Else = []Stmt{p.ifStmt()}
	} else {
		s.Else = p.orElse()
	}
	return s
}

func (p *parser) forStmt() Stmt {
	pos := p.tok.pos
	p.next()
	s := &For{Pos: pos, Target: p.targetList()}
	p.expectWord("in")
	s.Iter = p.exprList(true)
	s.Body = p.block()
	s.Else = p.orElse()
	return s
}

func (p *parser) whileStmt() Stmt {
	pos := p.tok.pos
	p.next()
	s := &While{Pos: pos, Cond: p.named(), Body: p.block()}
	s.Else = p.orElse()
	return s
}

func (p *parser) tryStmt() Stmt {
	pos := p.tok.pos
	p.next()
	s := &Try{Pos: pos, Body: p.block()}
	for p.isWord("except") {
		h := Handler{Pos: p.tok.pos}
		p.next()
		if p.is("*") {
			p.refuse(p.tok.pos, "except*")
		}
		if !p.is(":") {
			h.Type = p.expr()
			if p.acceptWord("as") {
				h.Name = p.ident()
			}
		}
		h.Body = p.block()
		if n := len(s.Handlers); n > 0 && s.Handlers[n-1].Type == nil {
			p.fail(h.Pos, "default 'except:' must be last")
		}
		s.Handlers = append(s.Handlers, h)
	}
	if len(s.Handlers) > 0 {
		s.Else = p.orElse()
	}
	if p.acceptWord("finally") {
		s.Finally = p.block()
	} else if len(s.Handlers) == 0 {
		p.fail(pos, "expected 'except' or 'finally' block")
	}
	return s
}

func (p *parser) withStmt() Stmt {
	pos := p.tok.pos
	p.next()
	s := &With{Pos: pos}
	if items, ok := p.parenItems(); ok {
		s.Items = items
	} else {
		for {
			s.Items = append(s.Items, p.withItem())
			if !p.accept(",") {
				break
			}
		}
	}
	s.Body = p.block()
	return s
}

// parenItems tries "(a as b, c as d):"; when it is not that, nothing is consumed.
func (p *parser) parenItems() (items []WithItem, ok bool) {
	if !p.is("(") {
		return nil, false
	}
	start, depth := p.i, p.depth
	err := p.catch(func() {
		p.next()
		for !p.accept(")") {
			items = append(items, p.withItem())
			if !p.accept(",") {
				p.expect(")")
				break
			}
		}
		if !p.is(":") || len(items) == 0 {
			p.unexpected()
		}
	})
	if err != nil {
		p.i, p.tok, p.depth = start, p.toks[start], depth
		return nil, false
	}
	return items, true
}

func (p *parser) withItem() WithItem {
	item := WithItem{X: p.expr()}
	if p.acceptWord("as") {
		item.Target = p.binary(bitOrLevel)
		p.checkTarget(item.Target)
	}
	return item
}

func (p *parser) decorated() Stmt {
	var decorators []Expr
	for p.accept("@") {
		decorators = append(decorators, p.named())
		if p.tok.kind != tokNewline {
			p.unexpected()
		}
		p.next()
	}
	switch {
	case p.isWord("def"):
		return p.def(decorators)
	case p.isWord("class"):
		return p.class(decorators)
	case p.isWord("async"):
		p.refuse(p.tok.pos, "async")
	}
	p.unexpected()
	return nil
}

func (p *parser) def(decorators []Expr) Stmt {
	f := &FunctionDef{Pos: p.tok.pos, Decorators: decorators}
	p.next()
	f.Name = p.ident()
	p.expect("(")
	f.Params = p.params(")", true)
	p.expect(")")
	if p.accept("->") {
		p.expr()
	}
	f.Body = p.block()
	return f
}

func (p *parser) class(decorators []Expr) Stmt {
	c := &ClassDef{Pos: p.tok.pos, Decorators: decorators}
	p.next()
	c.Name = p.ident()
	if p.accept("(") {
		c.Args = p.args()
	}
	c.Body = p.block()
	return c
}
