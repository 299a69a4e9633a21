// SPDX-License-Identifier: MIT

package python

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
