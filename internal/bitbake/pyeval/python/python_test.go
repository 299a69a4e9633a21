// SPDX-License-Identifier: MIT

package python

import (
	"errors"
	"strings"
	"testing"
)

// TestRefused holds texts against what CPython 3.11's compile() says of them, and where: python3 -c 'compile(text, "x", "exec")'.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		text        string
		line        int
		unsupported bool
	}{
		{"x = (1,\n     2\ny = 3\n", 1, false}, {"if x:\npass\n", 2, false}, {"def f(a=1, b): pass\n", 1, false},
		{"  x = 1\n", 1, false}, {"if 1:\n    a\n  b\n", 3, false}, {"f(a=1, 2)\n", 1, false}, {"f(**a, *b)\n", 1, false},
		{"1 = x\n", 1, false}, {"f() += 1\n", 1, false}, {"x = *a\nb = yield = 1\n", 2, false}, {"for x in: pass\n", 1, false},
		{"try: pass\n", 1, false}, {"a b\n", 1, false}, {"'abc\n", 1, false}, {"x = 012\n", 1, false}, {"x = 1__0\n", 1, false},
		{"f(x for x in y, 1)\n", 1, false}, {"lambda: (yield\n", 1, false}, {"\"\"\"a\nb", 1, false}, {"a = $b\n", 1, false},
		{"def f(x, x): pass\n", 1, false}, {"b'\u20ac'\n", 1, false}, {"'a' b'b'\n", 1, false}, {"x = 5 if 1\n", 1, false},
		{"async def f(): pass\n", 1, true}, {"match x:\n  case 1: pass\n", 1, true}, {"x = 5j\n", 1, true}, {"x = '\\N{DIGIT ONE}'\n", 1, true},
		{"try: pass\nexcept* ValueError: pass\n", 2, true}, {"\u00e4 = 1\n", 1, true},
		{strings.Repeat("(", 300) + strings.Repeat(")", 300), 1, false},
	} {
		_, err := ParseFile(c.text, Pos{1, 1})
		var e *Error
		if !errors.As(err, &e) || e.Pos.Line != c.line || e.Unsupported != c.unsupported {
			t.Errorf("%.40q: got %v (unsupported %v), want line %d (%v)", c.text, err, e != nil && e.Unsupported, c.line, c.unsupported)
		}
	}
}

// TestAccepted has texts that CPython 3.11 parses: python3 -c 'import ast; ast.parse(text)'.
func TestAccepted(t *testing.T) {
	for _, text := range []string{
		"", "\n\n# c\n", "x = 1", "x = 1;", "if x: pass\nelif y: pass\nelse: pass\n", "if 1:\n\ta\n\tb\n", "a = b = c, = 1,\n",
		"for a, *b in x: pass\nelse: pass\n", "def f(a, /, b, *, c=1, **d) -> int: ...\n", "def f(*a, b): return\n",
		"with a as b, c as (d, e): pass\n", "with (a as b, c): pass\n", "with (a): pass\n", "with (a, b): pass\n", "with (yield): pass\n",
		"x[1:2, ::3, ...]\n", "lambda *a, k=1, **b: (a, k, b)\n", "f(*a, b, *c, d=1, **e, f=2)\n", "print(*[x for x in y if z if w])\n",
		"try:\n  a\nexcept (A, B) as e:\n  b\nelse:\n  c\nfinally:\n  d\n", "@a.b(c)\n@d\nclass E(F, g=1):\n  x: int = 1\n",
		"raise\nraise A\nraise A from B\n", "import a.b.c as d, e\nfrom . import f\nfrom ..g import (h as i, j,)\n", "del a, b[1]\nassert a, b\nglobal c\n",
		"x = not a in b is not c\n", "x = -a ** -b\n", "x = a if b else c if d else e\n", "if (n := f(x)) > 1: pass\n", "match = 1\nmatch(x)\nprint(match)\n",
		"f'{x!r:>{w}}' f\"{a['b']}\" 'c'\n", "f'{{}}{x=}'\n", "x = 0xff_ff + 0o17 + 0b1 + 1_0.5e-3 + .5\n", "x = 1if y else 2\n", "x = [\n  1,\n\n  # c\n  2,\n]\n",
		"x = a \\\n  + b\n", "def f():\n    return\n\n\ndef g(): pass\n", "while 1:\n  break\n  continue\n", "{**a, 'b': 1}\n{*a}\n{x: y for x, y in z}\n",
		"x = (yield)\n", "return *a, b\n", "for x in *a, b: pass\n", "if 1:\r\n  a\r\n  b\r\n",
	} {
		if _, err := ParseFile(text, Pos{1, 1}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPositions(t *testing.T) {
	body, err := ParseFile("\nx = f(\n  1,\n  y.z)\n", Pos{Line: 10, Col: 1})
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	Walk(body, func(n Node) bool {
		switch n := n.(type) {
		case *Name:
			lines[n.ID] = n.Line
		case *Attribute:
			lines["."+n.Attr] = n.Line
		case *Call:
			lines["call"] = n.Line
		}
		return true
	})
	for name, want := range map[string]int{"x": 11, "f": 11, "call": 11, "y": 13, ".z": 13} {
		if lines[name] != want {
			t.Errorf("%s at line %d, want %d", name, lines[name], want)
		}
	}
}

// FuzzParse looks for texts that make the parser panic.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"def f(a, *b, c=1): return f'{a!r:>{b}}'\n", "with (a as b): pass\n", "x = {**a, 'b': [c for d in e]}\n", "try: a\nexcept B as c: d\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := ParseFile(text, Pos{1, 1}); err != nil && !errors.As(err, new(*Error)) {
			t.Errorf("%q: %T", text, err)
		}
		if _, err := ParseExpr(text, Pos{1, 1}); err != nil && !errors.As(err, new(*Error)) {
			t.Errorf("%q: %T", text, err)
		}
	})
}
