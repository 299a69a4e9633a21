// SPDX-License-Identifier: MIT

package pyeval

import (
	"math/big"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"n3x/internal/bitbake/pyeval/python"
)

// emitter translates a Python tree to a Starlark tree. Names that begin with "$" are the helpers
// of helpers.go and the emitter's own variables; everything whose meaning differs between the two
// languages goes through a helper.
type emitter struct {
	file     string
	source   []string // lines, for messages
	first    int      // the line number of source[0]
	scope    *scope
	serial   int
	refusals []*Unsupported // constructs that are refused when they are reached
	globals  string         // the helper that resolves names which are not local; "" = depends on the scope
	module   bool           // the text is a module's: its functions see what that binds, and Python's own names
}

// program is translated and compiled Python; it is immutable.
type program struct {
	prog     *starlark.Program
	refusals []*Unsupported
}

// The names of the functions that a compiled text defines.
const (
	evalName = "<expression>"
	bodyName = "<body>"
)

// options of the Starlark dialect.
func dialect() *syntax.FileOptions {
	return &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, GlobalReassign: true, Recursion: true}
}

func newEmitter(file, source string, first int) *emitter {
	return &emitter{file: file, source: strings.Split(source, "\n"), first: first}
}

// compile resolves and compiles the statements.
func (e *emitter) compile(stmts []syntax.Stmt) (*program, error) {
	f := &syntax.File{Path: e.file, Stmts: stmts, Options: dialect()}
	prog, err := starlark.FileProgram(f, func(name string) bool { return strings.HasPrefix(name, "$") })
	if err != nil {
		return nil, &Unsupported{Construct: "a program of this shape (" + err.Error() + ")"}
	}
	return &program{prog, e.refusals}, nil
}

// compileExpr translates the text of ${@...}.
func compileExpr(expr string) (*program, error) {
	text := strings.TrimSpace(expr)
	lead := expr[:len(expr)-len(strings.TrimLeft(expr, " \t\r\n\f\v"))]
	x, err := python.ParseExpr(text, python.Pos{Line: 1 + strings.Count(lead, "\n"), Col: 1})
	if err != nil {
		return nil, err
	}
	e := newEmitter("", expr, 1)
	facts := surveyExpr(x)
	fn := &python.FunctionDef{Pos: x.Start(), Name: evalName, Params: []python.Param{{Name: "d"}}, Body: []python.Stmt{&python.Return{Pos: x.Start(), X: x}}}
	e.scope = nil
	def := e.function(fn, facts, true)
	return e.compile([]syntax.Stmt{def})
}

// compileBody translates the statements of a BitBake function as the body of a function with the
// given parameters.
func compileBody(body string, params ...string) (*program, error) {
	stmts, err := python.ParseFile("def f("+strings.Join(params, ", ")+"):\n"+body, python.Pos{Line: 0, Col: 1})
	if err != nil {
		return nil, err
	}
	e := newEmitter("", body, 1)
	fn, ok := stmts[0].(*python.FunctionDef)
	if !ok || len(stmts) != 1 {
		return nil, &python.Error{Pos: stmts[len(stmts)-1].Start(), Text: "a statement outside of the function's indented body"}
	}
	fn.Name = bodyName
	return e.compile([]syntax.Stmt{e.function(fn, survey(fn.Body), false)})
}

// compileDef translates one function of a `def` block.
func compileDef(file, source string, first int, fn *python.FunctionDef) (*program, error) {
	e := newEmitter(file, source, first)
	defer e.enter(&scope{})()
	return e.compile(e.topDef(fn))
}

// topDef translates a function at the top level of a program.
func (e *emitter) topDef(fn *python.FunctionDef) []syntax.Stmt {
	stmts, names := e.decorators(fn.Decorators)
	stmts = append(stmts, e.function(fn, survey(fn.Body), false))
	if len(names) == 0 {
		return stmts
	}
	return append(stmts, e.set(fn.Pos, e.ident(fn.Pos, fn.Name), e.decorated(fn.Pos, e.ident(fn.Pos, fn.Name), names)))
}

func (e *emitter) pos(p python.Pos) syntax.Position {
	return syntax.MakePosition(&e.file, int32(p.Line), int32(p.Col))
}

func (e *emitter) ident(p python.Pos, name string) *syntax.Ident {
	return &syntax.Ident{NamePos: e.pos(p), Name: name}
}

func (e *emitter) call(p python.Pos, helper string, args ...syntax.Expr) syntax.Expr {
	return &syntax.CallExpr{Fn: e.ident(p, helper), Lparen: e.pos(p), Args: args, Rparen: e.pos(p)}
}

func (e *emitter) str(p python.Pos, s string) syntax.Expr {
	return &syntax.Literal{Token: syntax.STRING, TokenPos: e.pos(p), Value: s}
}

func (e *emitter) num(p python.Pos, n int) syntax.Expr {
	return &syntax.Literal{Token: syntax.INT, TokenPos: e.pos(p), Value: int64(n)}
}

func (e *emitter) none(p python.Pos) syntax.Expr { return e.ident(p, "None") }

func (e *emitter) tuple(p python.Pos, elts ...syntax.Expr) syntax.Expr {
	return &syntax.ParenExpr{Lparen: e.pos(p), X: &syntax.TupleExpr{Lparen: e.pos(p), List: elts, Rparen: e.pos(p)}, Rparen: e.pos(p)}
}

func (e *emitter) exprStmt(x syntax.Expr) syntax.Stmt { return &syntax.ExprStmt{X: x} }

func (e *emitter) set(p python.Pos, lhs, rhs syntax.Expr) syntax.Stmt {
	return &syntax.AssignStmt{OpPos: e.pos(p), Op: syntax.EQ, LHS: lhs, RHS: rhs}
}

// refusal is an expression that stops the evaluation when it is reached.
func (e *emitter) refusal(p python.Pos, construct string) syntax.Expr {
	u := &Unsupported{Construct: construct, Source: e.line(p.Line)}
	u.Pos.File, u.Pos.Line = e.file, p.Line
	e.refusals = append(e.refusals, u)
	return e.call(p, "$refuse", e.str(p, construct), e.str(p, u.Source))
}

func (e *emitter) refuse(p python.Pos, construct string) syntax.Stmt {
	return e.exprStmt(e.refusal(p, construct))
}

// line is the source line for a message.
func (e *emitter) line(n int) string {
	if i := n - e.first; i >= 0 && i < len(e.source) {
		return clip(strings.TrimSpace(e.source[i]))
	}
	return ""
}

func clip(s string) string {
	const limit = 120
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

// variable reads a variable.
func (e *emitter) variable(p python.Pos, name string) syntax.Expr {
	s := e.scope.lookup(name)
	if s != nil && s.frame == moduleFrame {
		return e.call(p, "$modulename", e.ident(p, moduleFrame), e.str(p, name))
	}
	if s != nil && s.frame != "" {
		return &syntax.DotExpr{X: e.ident(p, s.frame), Dot: e.pos(p), NamePos: e.pos(p), Name: e.ident(p, name)}
	}
	if s != nil {
		return e.ident(p, name)
	}
	helper := "$global"
	if e.globals != "" {
		helper = e.globals
	} else if e.module {
		helper = "$builtin"
	} else if e.scope.top {
		helper = "$name"
	} else if e.scope.comp {
		helper = "$compname"
	}
	return e.call(p, helper, e.str(p, name))
}

// store is the target of an assignment to a variable; nil if it is not a local one.
func (e *emitter) store(p python.Pos, name string) syntax.Expr {
	s := e.scope.lookup(name)
	if s == nil {
		return nil
	}
	return e.variable(p, name)
}

// constant translates a literal.
func (e *emitter) constant(c *python.Constant) syntax.Expr {
	lit := func(tok syntax.Token, v any) syntax.Expr {
		return &syntax.Literal{Token: tok, TokenPos: e.pos(c.Pos), Value: v}
	}
	switch v := c.Value.(type) {
	case nil:
		return e.none(c.Pos)
	case bool:
		if v {
			return e.ident(c.Pos, "True")
		}
		return e.ident(c.Pos, "False")
	case *big.Int:
		if v.IsInt64() {
			return lit(syntax.INT, v.Int64())
		}
		return lit(syntax.INT, v)
	case float64:
		return lit(syntax.FLOAT, v)
	case string:
		return e.str(c.Pos, v)
	case python.Bytes:
		return lit(syntax.BYTES, string(v))
	}
	return e.refusal(c.Pos, "the literal \"...\"")
}
