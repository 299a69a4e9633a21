"""Records which commands BitBake's shell parser finds in texts made of a few building blocks and in hand-written ones.

Usage: python3 capture_shell.py <folder of BitBake 2.8> <folder of BitBake 2.19> > shell.jsonl
Each line: a text, and for each release the sorted names, or null where the release refuses the text.
"""
import json, random, subprocess, sys

WRITTEN = [
    "a", "a b; c", "a\nb\n\nc", "a && b || c | d & e", "! a", "if a; then b; elif c; then d; else e; fi", "while a; do b; done",
    "until a; do b; done", "for x in a $(b) `c`; do d; done", "for x in a\ndo b\ndone", "for x; do a; done", "for x in; do a; done",
    "case $(a) in b|$(c)) d;; (e) f; g;; *) h;; esac", "case x in a) b;; c) d\nesac", "case x in esac", "{ a; b; }", "(a; b)", "(a &)", "(a & b)",
    "f() { a; }; f; b", "f() (a)", "f() { a; } > x", "f() { a; }\nf", "function f { a; }", "f () { g; }\ng() { h; }\nf; g; h",
    "A=b c", "A=b", "A=$(a)", "A=$(a) b", "A=b $(c) d", "$(a) b", "$(a b) $(c d)", "`a` b", "a $(b $(c))", "a \"$(b)\"", "a \"x $(b) `c`\"",
    "a '$(b)'", "a ${x:-$(b)}", "a > $(b)", "a >b c", ">b a", "2>&1 a", "a 2>&1 | b", "eval a b", "eval \"a b\"", "eval 'a' b", "A=b eval c d", "eval $(a) b",
    "cat <<E\na\nE\nb", "cat <<E | a\nb $(c)\nE\nd", "cat <<-E\n\ta\n\tE\nb", "cat <<'E F'\na\nE F\nb", "cat <<E\nE\na", "cat <<E\na", "cat <<A <<B\na\nA\nb\nB\nc",
    "a # b; c\nd", "a#b c", "# a\nb", "a #", "echo if", "echo else", "echo { a; }", "echo }", "{ echo }", "if a; then echo b fi", "if a; then b else c; fi", "a; ;b", "a;; b", "a & & b",
    "[ -e x ] && a", "test ! -e x || a", "[ ! -e x ]", "a \\\n b; \\\nc", "a\\\nb c", "\"a\" b", "\\a b", "'a' b", "a\"b\"c d", "$a b", "${a} b", "${a}b c", "$a$(b) c",
    "x=$((1 + 2))", "a $(b (c) d)", "a $(case x in y) z;; esac)", "a `b \\`c\\``", "a \"b\nc\" d", "a=\"b c\" d=e f", "x[1]=2 a", "a=b=c d", "=a b", "a/b c", "a.b c", "-a b",
    "a |\n b", "a &&\n\n b", "| a", "a |", "a ||", ") a", "a )", "a; }", "do a", "a do", "time a", "exec a", "command a", ". a", "source a", "sudo a", "a() b",
    "a\tb", "a\rb c", "\n\n a", "a \\", "a $", "a $(", "a \"b", "a 'b", "a `b", "a ${b", "local a=$(b)", "export A=$(b) C", "return $(a)", "a\\ b c", "for in in in; do a; done",
    "if a\nthen\n  b\nfi > c", "while read x; do a; done < b", "while a; do b; done <<E\nc\nE\nd", "(a) b", "{ a; } b", "(a)(b)", "((a))", "{ (a) b; }", "a <(b)", "a {b,c}", "a [b] c",
]
BLOCKS = ["$(", ")", "`", '"', "'", "\\", "\n", ";", "&", "|", "||", "&&", "(", "{", "}", "if", "then", "fi", "else", "for", "in", "do", "done", "case", "esac", ";;",
          "A=b", "x", "y", "${z:-", "<<E", "\nE\n", "<", ">", "2>&1", "eval", "f()", "#c", "!", "\\\n", "$x", "$", "while", "cmd", "[ -e a ]", "$(c)", "`d`", '"$(q)"']

if len(sys.argv) == 2:
    sys.path.insert(0, sys.argv[1] + "/lib")
    import logging
    logging.disable(logging.CRITICAL)
    import bb, bb.codeparser
    bb.error = lambda *a: None
    for line in sys.stdin:
        try:
            print(json.dumps(sorted(bb.codeparser.ShellParser("x", logging.getLogger("x")).parse_shell(json.loads(line)))))
        except BaseException:
            print("null")
    sys.exit()

texts = list(WRITTEN)
R = random.Random(1)
for _ in range(60000):
    n = R.randrange(2, 9)
    texts.append(R.choice(["", " ", " "]).join(R.choice(BLOCKS) for _ in range(n)))
given = "".join(json.dumps(t) + "\n" for t in texts)
old, new = ([json.loads(l) for l in subprocess.run([sys.executable, __file__, b], input=given, text=True, capture_output=True).stdout.splitlines()] for b in sys.argv[1:3])
kept = {False: 0, True: 0}
for i, t in enumerate(texts):
    refused = old[i] is None
    if i >= len(WRITTEN):
        # Of the random ones: most are refused, and most accepted ones are dull.
        if kept[refused] >= (400 if refused else 600) or not t.strip() or not refused and len(t) < 12:
            continue
        kept[refused] += 1
    print(json.dumps([t, old[i], new[i]]))
