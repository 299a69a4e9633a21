// SPDX-License-Identifier: MIT

package python

// exprList parses "a, b, *c" as a tuple, or a single expression. With star, a lone starred item is allowed.
func (p *parser) exprList(star bool) Expr {
	pos := p.tok.pos
	first := p.starOrNamed()
	if !p.is(",") {
		if _, isStar := first.(*Starred); isStar && !star {
			p.fail(pos, "can't use starred expression here")
		}
		return first
	}
	elts := []Expr{first}
	for p.accept(",") && !p.endOfList() {
		elts = append(elts, p.starOrNamed())
	}
	return &Tuple{pos, elts}
}

// endOfList reports whether the token cannot begin another item behind a comma.
func (p *parser) endOfList() bool {
	switch p.tok.kind {
	case tokEOF, tokNewline:
		return true
	case tokOp:
		switch p.tok.text {
		case ")", "]", "}", "=", ":", ";", "+=", "-=", "*=", "/=", "//=", "%=", "**=", "&=", "|=", "^=", ">>=", "<<=", "@=":
			return true
		}
	case tokName:
		return p.tok.text == "in"
	}
	return false
}

func (p *parser) starOrNamed() Expr {
	if p.is("*") {
		pos := p.tok.pos
		p.next()
		return &Starred{pos, p.binary(bitOrLevel)}
	}
	return p.named()
}

// named parses an expression with an optional walrus.
func (p *parser) named() Expr {
	pos := p.tok.pos
	if p.isIdent() && p.peekTok().kind == tokOp && p.peekTok().text == ":=" {
		name := &Name{pos, p.ident()}
		p.next()
		return &NamedExpr{pos, name, p.expr()}
	}
	return p.expr()
}

// expr parses a conditional expression or a lambda.
func (p *parser) expr() Expr {
	defer p.deeper()()
	pos := p.tok.pos
	if p.isWord("lambda") {
		return p.lambda()
	}
	x := p.or()
	if !p.acceptWord("if") {
		return x
	}
	cond := p.or()
	p.expectWord("else")
	return &IfExp{pos, cond, x, p.expr()}
}

func (p *parser) lambda() Expr {
	pos := p.tok.pos
	p.next()
	params := p.params(":", false)
	p.expect(":")
	return &Lambda{pos, params, p.expr()}
}

func (p *parser) or() Expr  { return p.boolChain("or", p.and) }
func (p *parser) and() Expr { return p.boolChain("and", p.not) }

func (p *parser) boolChain(op string, operand func() Expr) Expr {
	pos := p.tok.pos
	values := []Expr{operand()}
	for p.acceptWord(op) {
		values = append(values, operand())
	}
	if len(values) == 1 {
		return values[0]
	}
	return &BoolOp{pos, op, values}
}

func (p *parser) not() Expr {
	if pos := p.tok.pos; p.acceptWord("not") {
		defer p.deeper()()
		return &UnaryOp{pos, "not", p.not()}
	}
	return p.comparison()
}

func (p *parser) comparison() Expr {
	pos := p.tok.pos
	c := &Compare{Pos: pos, X: p.binary(bitOrLevel)}
	for {
		op := p.compareOp()
		if op == "" {
			break
		}
		c.Ops = append(c.Ops, op)
		c.Ys = append(c.Ys, p.binary(bitOrLevel))
	}
	if len(c.Ops) == 0 {
		return c.X
	}
	return c
}

func (p *parser) compareOp() string {
	switch {
	case p.tok.kind == tokOp:
		switch op := p.tok.text; op {
		case "<", ">", "<=", ">=", "==", "!=":
			p.next()
			return op
		}
	case p.acceptWord("in"):
		return "in"
	case p.isWord("not") && p.peekTok().kind == tokName && p.peekTok().text == "in":
		p.next()
		p.next()
		return "not in"
	case p.acceptWord("is"):
		if p.acceptWord("not") {
			return "is not"
		}
		return "is"
	}
	return ""
}

// binaryLevels are the left-associative operators from loose to tight.
var binaryLevels = [][]string{{"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "//", "%", "@"}}

const bitOrLevel = 0

func (p *parser) binary(level int) Expr {
	if level == len(binaryLevels) {
		return p.unary()
	}
	x := p.binary(level + 1)
	for p.tok.kind == tokOp {
		op := ""
		for _, o := range binaryLevels[level] {
			if o == p.tok.text {
				op = o
			}
		}
		if op == "" {
			break
		}
		pos := p.tok.pos
		p.next()
		x = &BinOp{pos, op, x, p.binary(level + 1)}
	}
	return x
}

func (p *parser) unary() Expr {
	pos := p.tok.pos
	for _, op := range []string{"-", "+", "~"} {
		if p.accept(op) {
			defer p.deeper()()
			return &UnaryOp{pos, op, p.unary()}
		}
	}
	x := p.primary()
	if !p.is("**") {
		return x
	}
	pos = p.tok.pos
	p.next()
	defer p.deeper()()
	return &BinOp{pos, "**", x, p.unary()}
}

// primary parses an atom with its attributes, calls and subscripts.
func (p *parser) primary() Expr {
	if p.isWord("await") {
		p.refuse(p.tok.pos, "await")
	}
	x := p.atom()
	for {
		pos := p.tok.pos
		switch {
		case p.accept("."):
			pos = p.tok.pos
			x = &Attribute{pos, x, p.ident()}
		case p.accept("("):
			x = &Call{pos, x, p.args()}
		case p.accept("["):
			x = &Subscript{pos, x, p.subscript()}
		default:
			return x
		}
	}
}

// args parses a call's arguments behind "(" and the closing ")".
func (p *parser) args() []Arg {
	defer p.deeper()()
	var args []Arg
	named, doubled := false, false
	for !p.accept(")") {
		pos := p.tok.pos
		var a Arg
		switch {
		case p.accept("*"):
			a = Arg{Stars: 1, X: p.expr()}
		case p.accept("**"):
			a = Arg{Stars: 2, X: p.expr()}
			doubled = true
		case p.isIdent() && p.peekTok().kind == tokOp && p.peekTok().text == "=":
			a.Name = p.ident()
			p.next()
			a.X = p.expr()
			named = true
		default:
			a.X = p.named()
			if named || doubled {
				p.fail(pos, "positional argument follows keyword argument")
			}
			if p.compStart() {
				if g := p.comp(Generator, pos, a.X, nil); len(args) == 0 && p.is(")") {
					a.X = g
				} else {
					p.fail(pos, "Generator expression must be parenthesized")
				}
			}
		}
		if a.Stars == 1 && doubled {
			p.fail(pos, "iterable argument unpacking follows keyword argument unpacking")
		}
		args = append(args, a)
		if !p.accept(",") {
			p.expect(")")
			break
		}
	}
	seen := map[string]bool{}
	for _, a := range args {
		if a.Name != "" && seen[a.Name] {
			p.fail(a.X.Start(), "keyword argument repeated: "+a.Name)
		}
		seen[a.Name] = true
	}
	return args
}

func (p *parser) subscript() Expr {
	defer p.deeper()()
	pos := p.tok.pos
	first := p.sliceItem()
	if p.accept("]") {
		if s, isStar := first.(*Starred); isStar {
			return &Tuple{pos, []Expr{s}}
		}
		return first
	}
	elts := []Expr{first}
	for p.accept(",") && !p.is("]") {
		elts = append(elts, p.sliceItem())
	}
	p.expect("]")
	return &Tuple{pos, elts}
}

func (p *parser) sliceItem() Expr {
	pos := p.tok.pos
	if p.is("*") {
		return p.starOrNamed()
	}
	var parts [3]Expr
	n := 0
	for {
		if !p.is(":") && !p.is("]") && !p.is(",") {
			parts[n] = p.named()
		}
		if n == 2 || !p.accept(":") {
			break
		}
		n++
	}
	if n == 0 {
		if parts[0] == nil {
			p.unexpected()
		}
		return parts[0]
	}
	return &Slice{pos, parts[0], parts[1], parts[2]}
}

func (p *parser) atom() Expr {
	tok := p.tok
	switch tok.kind {
	case tokNumber:
		p.next()
		return &Constant{tok.pos, tok.value}
	case tokString:
		return p.strings()
	case tokName:
		return p.nameAtom()
	case tokOp:
		switch tok.text {
		case "(":
			return p.paren()
		case "[":
			return p.list()
		case "{":
			return p.braces()
		case "...":
			p.next()
			return &Constant{tok.pos, Ellipsis{}}
		}
	}
	p.unexpected()
	return nil
}

func (p *parser) nameAtom() Expr {
	pos := p.tok.pos
	switch p.tok.text {
	case "None":
		p.next()
		return &Constant{pos, nil}
	case "True", "False":
		value := p.tok.text == "True"
		p.next()
		return &Constant{pos, value}
	}
	if isKeyword(p.tok.text) {
		p.unexpected()
	}
	return &Name{pos, p.ident()}
}

// targetList parses the targets of for, which end at "in".
func (p *parser) targetList() Expr {
	pos := p.tok.pos
	item := func() Expr {
		if p.is("*") {
			starPos := p.tok.pos
			p.next()
			return &Starred{starPos, p.binary(bitOrLevel)}
		}
		return p.binary(bitOrLevel)
	}
	first := item()
	target := first
	if p.is(",") {
		elts := []Expr{first}
		for p.accept(",") && !p.isWord("in") {
			elts = append(elts, item())
		}
		target = &Tuple{pos, elts}
	}
	p.checkTarget(target)
	return target
}

// checkTarget refuses what cannot be assigned to.
func (p *parser) checkTarget(x Expr) {
	switch x := x.(type) {
	case *Name, *Attribute, *Subscript:
	case *Starred:
		p.checkTarget(x.X)
	case *Tuple:
		p.checkTargets(x.Elts)
	case *List:
		p.checkTargets(x.Elts)
	default:
		p.fail(x.Start(), "cannot assign to this expression")
	}
}

func (p *parser) checkTargets(elts []Expr) {
	stars := 0
	for _, e := range elts {
		if _, isStar := e.(*Starred); isStar {
			if stars++; stars > 1 {
				p.fail(e.Start(), "multiple starred expressions in assignment")
			}
		}
		p.checkTarget(e)
	}
}

func (p *parser) yield() Expr {
	pos := p.tok.pos
	p.next()
	if p.acceptWord("from") {
		return &Yield{pos, p.expr(), true}
	}
	if p.endOfList() {
		return &Yield{pos, nil, false}
	}
	return &Yield{pos, p.exprList(true), false}
}
