// SPDX-License-Identifier: MIT

// Package python parses the Python that BitBake metadata contains: expressions, function bodies
// and whole `def` blocks. Input is text and the place it came from; output is a tree with line
// numbers. Nothing is evaluated.
//
// The grammar is that of CPython 3.8 to 3.13 (The Python Language Reference, chapters 2, 6, 7
// and 8) without async/await, match statements, type parameters and `except*`, which are refused
// by name ([*Error] with Unsupported set). Text that is not Python gives an [*Error] as well.
package python

import (
	"fmt"
	"math/big"
)

// Pos is a place in the source, both 1-based.
type Pos struct{ Line, Col int }

// Error is text that cannot be parsed.
type Error struct {
	Pos         Pos
	Text        string
	Unsupported bool // Python, but outside this package's grammar
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Pos.Line, e.Text) }

// Node is any part of the tree.
type Node interface{ Start() Pos }

// Start gives the position itself, so that nodes embed Pos.
func (p Pos) Start() Pos { return p }

// Expr is an expression.
type Expr interface{ Node }

// Expressions, named as in Python's own ast module.
type (
	// Name is an identifier, e.g. d.
	Name struct {
		Pos
		ID string
	}
	// Constant is a literal: nil, bool, *big.Int, float64, string, Bytes or Ellipsis.
	Constant struct {
		Pos
		Value any
	}
	// JoinedStr is an f-string (with the plain strings beside it).
	JoinedStr struct {
		Pos
		Parts []Expr // *Constant (string) or *FormattedValue
	}
	// FormattedValue is one {expr!conv:spec} of an f-string.
	FormattedValue struct {
		Pos
		X    Expr
		Conv byte       // 0, 'r', 's' or 'a'
		Spec *JoinedStr // nil = none
	}
	// BinOp is an arithmetic operation; Op is its token, e.g. "//".
	BinOp struct {
		Pos
		Op   string
		X, Y Expr
	}
	// UnaryOp has the operator "not", "-", "+" or "~".
	UnaryOp struct {
		Pos
		Op string
		X  Expr
	}
	// BoolOp is a chain of one of "and", "or".
	BoolOp struct {
		Pos
		Op     string
		Values []Expr
	}
	// Compare is a chain X Ops[0] Ys[0] Ops[1] Ys[1] ...; "not in" and "is not" are one operator.
	Compare struct {
		Pos
		X   Expr
		Ops []string
		Ys  []Expr
	}
	// IfExp is Then if Cond else Else.
	IfExp struct {
		Pos
		Cond, Then, Else Expr
	}
	// Lambda is an anonymous function.
	Lambda struct {
		Pos
		Params []Param
		Body   Expr
	}
	// Call is a call; positional, starred and keyword arguments in source order.
	Call struct {
		Pos
		Fn   Expr
		Args []Arg
	}
	// Attribute is X.Attr.
	Attribute struct {
		Pos
		X    Expr
		Attr string
	}
	// Subscript is X[Index]; Index may be a *Slice.
	Subscript struct {
		Pos
		X, Index Expr
	}
	// Slice is lo:hi:step, each possibly nil.
	Slice struct {
		Pos
		Lo, Hi, Step Expr
	}
	// List is [a, b].
	List struct {
		Pos
		Elts []Expr
	}
	// Tuple is (a, b).
	Tuple struct {
		Pos
		Elts []Expr
	}
	// Set is {a, b}.
	Set struct {
		Pos
		Elts []Expr
	}
	// Dict is {k: v}; a nil key marks **v.
	Dict struct {
		Pos
		Keys, Values []Expr
	}
	// Comp is a comprehension or a generator expression.
	Comp struct {
		Pos
		Kind    CompKind
		Elt     Expr // the key, in a dict comprehension
		Value   Expr // dict comprehensions only
		Clauses []Clause
	}
	// Starred is *X in a display, a call or an assignment target.
	Starred struct {
		Pos
		X Expr
	}
	// NamedExpr is Name := X.
	NamedExpr struct {
		Pos
		Target *Name
		X      Expr
	}
	// Yield is yield X or yield from X.
	Yield struct {
		Pos
		X    Expr
		From bool
	}
)

// Bytes is the value of a bytes literal.
type Bytes string

// Ellipsis is the value of the literal "...".
type Ellipsis struct{}

// CompKind says what a comprehension makes.
type CompKind int

// The kinds of comprehension.
const (
	ListComp CompKind = iota
	SetComp
	DictComp
	Generator
)

// Clause is one "for Target in Iter if Conds..." of a comprehension.
type Clause struct {
	Target, Iter Expr
	Conds        []Expr
}

// Arg is one argument of a call.
type Arg struct {
	Name  string // of a keyword argument
	Stars int    // 1 for *X, 2 for **X
	X     Expr
}

// Param is one parameter of a function.
type Param struct {
	Pos
	Name    string // "" for the bare "*" that starts keyword-only parameters and for "/"
	Stars   int    // 1 for *args or the bare "*", 2 for **kwargs
	Slash   bool   // the "/" marker
	Default Expr
}

// Stmt is a statement.
type Stmt interface{ Node }

// Statements, named as in Python's own ast module.
type (
	// ExprStmt is an expression as a statement.
	ExprStmt struct {
		Pos
		X Expr
	}
	// Assign is t1 = t2 = X.
	Assign struct {
		Pos
		Targets []Expr
		X       Expr
	}
	// AugAssign is Target Op= X; Op without "=".
	AugAssign struct {
		Pos
		Target Expr
		Op     string
		X      Expr
	}
	// AnnAssign is Target: annotation [= X].
	AnnAssign struct {
		Pos
		Target, X Expr
	}
	// Return is return [X].
	Return struct {
		Pos
		X Expr
	}
	// If is if/elif/else.
	If struct {
		Pos
		Cond       Expr
		Body, Else []Stmt
	}
	// For is for Target in Iter, with its else part.
	For struct {
		Pos
		Target, Iter Expr
		Body, Else   []Stmt
	}
	// While is while Cond, with its else part.
	While struct {
		Pos
		Cond       Expr
		Body, Else []Stmt
	}
	// Break, Continue and Pass are the statements of that name.
	Break    struct{ Pos }
	Continue struct{ Pos }
	Pass     struct{ Pos }
	// FunctionDef is a def.
	FunctionDef struct {
		Pos
		Name       string
		Decorators []Expr
		Params     []Param
		Body       []Stmt
	}
	// ClassDef is a class; its body is kept for analysis.
	ClassDef struct {
		Pos
		Name       string
		Decorators []Expr
		Args       []Arg
		Body       []Stmt
	}
	// Import is import a.b as c, ...
	Import struct {
		Pos
		Names []Alias
	}
	// ImportFrom is from Module import names.
	ImportFrom struct {
		Pos
		Module string // with its leading dots, if relative
		Names  []Alias
	}
	// Raise is raise [X [from Cause]].
	Raise struct {
		Pos
		X, Cause Expr
	}
	// Try is try/except/else/finally.
	Try struct {
		Pos
		Body     []Stmt
		Handlers []Handler
		Else     []Stmt
		Finally  []Stmt
	}
	// With is with a as b, c as d.
	With struct {
		Pos
		Items []WithItem
		Body  []Stmt
	}
	// Del is del targets.
	Del struct {
		Pos
		Targets []Expr
	}
	// Global is global names.
	Global struct {
		Pos
		Names []string
	}
	// Nonlocal is nonlocal names.
	Nonlocal struct {
		Pos
		Names []string
	}
	// Assert is assert Cond[, Msg].
	Assert struct {
		Pos
		Cond, Msg Expr
	}
)

// Alias is one "name as as" of an import; As is "" without one.
type Alias struct{ Name, As string }

// Handler is one "except Type as Name".
type Handler struct {
	Pos
	Type Expr // nil = everything
	Name string
	Body []Stmt
}

// WithItem is one "X as Target".
type WithItem struct{ X, Target Expr }

// IntValue is the value of an int literal.
func IntValue(c *Constant) (*big.Int, bool) {
	i, ok := c.Value.(*big.Int)
	return i, ok
}

// ParseExpr parses one expression (what compile(text, name, "eval") accepts). start is where text begins.
func ParseExpr(text string, start Pos) (Expr, error) {
	p, err := newParser(text, start, false)
	if err != nil {
		return nil, err
	}
	var x Expr
	err = p.catch(func() {
		x = p.exprList(false)
		for p.tok.kind == tokNewline {
			p.next()
		}
		if p.tok.kind != tokEOF {
			p.unexpected()
		}
	})
	return x, err
}

// ParseFile parses statements. start is where text begins.
func ParseFile(text string, start Pos) ([]Stmt, error) {
	p, err := newParser(text, start, true)
	if err != nil {
		return nil, err
	}
	var body []Stmt
	err = p.catch(func() {
		for p.tok.kind != tokEOF {
			body = append(body, p.statement()...)
		}
	})
	return body, err
}
