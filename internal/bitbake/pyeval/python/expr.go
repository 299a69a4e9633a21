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

// paren parses (), (x), (a, b), (x for x in y) and (yield).
func (p *parser) paren() Expr {
	defer p.deeper()()
	pos := p.tok.pos
	p.next()
	if p.accept(")") {
		return &Tuple{pos, nil}
	}
	if p.isWord("yield") {
		y := p.yield()
		p.expect(")")
		return y
	}
	first := p.starOrNamed()
	if p.compStart() {
		g := p.comp(Generator, pos, first, nil)
		p.expect(")")
		return g
	}
	if p.accept(")") {
		if s, isStar := first.(*Starred); isStar {
			p.fail(s.Pos, "cannot use starred expression here")
		}
		return first
	}
	elts := p.restOfList(first, ")")
	return &Tuple{pos, elts}
}

func (p *parser) restOfList(first Expr, closer string) []Expr {
	elts := []Expr{first}
	for p.accept(",") && !p.is(closer) {
		elts = append(elts, p.starOrNamed())
	}
	p.expect(closer)
	return elts
}

func (p *parser) list() Expr {
	defer p.deeper()()
	pos := p.tok.pos
	p.next()
	if p.accept("]") {
		return &List{pos, nil}
	}
	first := p.starOrNamed()
	if p.compStart() {
		c := p.comp(ListComp, pos, first, nil)
		p.expect("]")
		return c
	}
	return &List{pos, p.restOfList(first, "]")}
}

// braces parses dict and set displays and comprehensions.
func (p *parser) braces() Expr {
	defer p.deeper()()
	pos := p.tok.pos
	p.next()
	if p.accept("}") {
		return &Dict{Pos: pos}
	}
	if !p.is("**") {
		first := p.starOrNamed()
		if !p.is(":") {
			if p.compStart() {
				c := p.comp(SetComp, pos, first, nil)
				p.expect("}")
				return c
			}
			return &Set{pos, p.restOfList(first, "}")}
		}
		p.next()
		value := p.expr()
		if p.compStart() {
			c := p.comp(DictComp, pos, first, value)
			p.expect("}")
			return c
		}
		d := &Dict{pos, []Expr{first}, []Expr{value}}
		if !p.accept(",") {
			p.expect("}")
			return d
		}
		return p.dictItems(d)
	}
	return p.dictItems(&Dict{Pos: pos})
}

func (p *parser) dictItems(d *Dict) Expr {
	for !p.accept("}") {
		if p.accept("**") {
			d.Keys = append(d.Keys, nil)
			d.Values = append(d.Values, p.binary(bitOrLevel))
		} else {
			d.Keys = append(d.Keys, p.expr())
			p.expect(":")
			d.Values = append(d.Values, p.expr())
		}
		if !p.accept(",") {
			p.expect("}")
			break
		}
	}
	return d
}

func (p *parser) compStart() bool {
	if p.isWord("async") {
		p.refuse(p.tok.pos, "async")
	}
	return p.isWord("for")
}

func (p *parser) comp(kind CompKind, pos Pos, elt, value Expr) Expr {
	if s, isStar := elt.(*Starred); isStar {
		p.fail(s.Pos, "iterable unpacking cannot be used in comprehension")
	}
	c := &Comp{Pos: pos, Kind: kind, Elt: elt, Value: value}
	for p.compStart() {
		p.next()
		clause := Clause{Target: p.targetList()}
		p.expectWord("in")
		clause.Iter = p.or()
		for p.acceptWord("if") {
			clause.Conds = append(clause.Conds, p.or())
		}
		c.Clauses = append(c.Clauses, clause)
	}
	return c
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

// strings joins adjacent literals.
func (p *parser) strings() Expr {
	pos := p.tok.pos
	var parts []Expr
	var bytes, text, formatted bool
	lit := func(s string) {
		if n := len(parts); n > 0 {
			if c, ok := parts[n-1].(*Constant); ok {
				parts[n-1] = &Constant{c.Pos, c.Value.(string) + s}
				return
			}
		}
		parts = append(parts, &Constant{pos, s})
	}
	for p.tok.kind == tokString {
		switch v := p.tok.value.(type) {
		case string:
			text = true
			lit(v)
		case Bytes:
			bytes = true
			lit(string(v))
		case *fstring:
			text, formatted = true, true
			for _, part := range p.formatted(v) {
				if c, ok := part.(*Constant); ok {
					lit(c.Value.(string))
				} else {
					parts = append(parts, part)
				}
			}
		}
		p.next()
	}
	switch {
	case bytes && text:
		p.fail(pos, "cannot mix bytes and nonbytes literals")
	case bytes:
		return &Constant{pos, Bytes(parts[0].(*Constant).Value.(string))}
	case !formatted:
		return parts[0]
	}
	return &JoinedStr{pos, parts}
}

// formatted parses the expressions inside an f-string.
func (p *parser) formatted(f *fstring) []Expr {
	var out []Expr
	for _, part := range f.parts {
		if !part.isExpr {
			out = append(out, &Constant{p.tok.pos, part.lit})
			continue
		}
		if part.debug != "" {
			out = append(out, &Constant{part.pos, part.debug})
			if part.conv == 0 && part.spec == nil {
				part.conv = 'r'
			}
		}
		out = append(out, p.replacement(part))
	}
	return out
}

func (p *parser) replacement(part fpart) Expr {
	defer p.deeper()()
	// The parentheses make newlines harmless, as they are inside a replacement field.
	sub, err := newParser("("+part.src+")", Pos{part.pos.Line, max(part.pos.Col-1, 1)}, false)
	if err != nil {
		panic(err)
	}
	sub.depth = p.depth
	sub.next()
	v := &FormattedValue{Pos: part.pos, Conv: part.conv}
	if sub.isWord("yield") {
		v.X = sub.yield()
	} else {
		v.X = sub.exprList(true)
	}
	sub.expect(")")
	if sub.tok.kind != tokEOF {
		sub.unexpected()
	}
	if part.spec != nil {
		v.Spec = &JoinedStr{part.pos, p.formatted(part.spec)}
	}
	return v
}
