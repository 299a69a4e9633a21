#!/usr/bin/env python3
"""Write random cases for the datastore, its history and what bitbake -e prints: python3 generate_store.py SEED COUNT > store.txtar"""
import random
import sys

rnd = random.Random(int(sys.argv[1]))
OPS = ["=", "=", "?=", "??=", ":=", "+=", "=+", ".=", "=."]
NAMES = ["A", "B", "C", "dd"]
KEYED = ["K-${dd}", "K${C}", "K-x", "Kc"]
OVERRIDES = ["x", "y", "z", "w1"]
WORDS = ["a", "b", "c", "  d", "e ", "${A}", "${B}", "${C}", "${dd}", "${U}", "${A:x}", "x", ":y", "$", "`q`", "'s'", "${B", "}", "${${dd}}", "\\n", "1"]
INLINE = ["${@1+1}", "${@d.getVar('C')}", "${@d.getVar('dd') or 'no'}", "${@bb.utils.contains('B', 'a', 'yes', 'no', d)}", "${@'{}'.format(dd)}",
          "${@d.getVarFlag('A', 'f')}", "${@[1, 2]}", "${@{'k': 1}['k']}", "${@d.getVar('C', False)}", "${@helper(d)}", "${@'a}b'}", "${@d.setVar('S', 'set') or ''}"]


def order(name):
    return (NAMES + ["U"]).index(name)


def acyclic(name, words):
    ok = []
    for w in words:
        ref = w[2:].rstrip("}").split(":")[0] if w.startswith("${") and not w.startswith("${$") else None
        if ref is None or ref not in NAMES + ["U"] or order(ref) > order(name):
            ok.append(w)
    return ok


def value(name):
    words = acyclic(name, [rnd.choice(WORDS) for _ in range(rnd.randint(0, 4))])
    if rnd.random() < 0.12 and name in ("A", "B"):
        words.append(rnd.choice(INLINE))
    if rnd.random() < 0.08:
        words.insert(rnd.randint(0, len(words)), "\\\n   ")
    return " ".join(words)


def override(n):
    return "".join(":" + o for o in rnd.sample(OVERRIDES, n))


def target():
    name = rnd.choice(NAMES)
    if rnd.random() < 0.06:
        return "A", rnd.choice(KEYED)
    return name, name


def line():
    name, text = target()
    kind = rnd.random()
    text += override(rnd.choice([0, 0, 0, 1, 1, 2]))
    if kind < 0.3:
        text += ":" + rnd.choice(["append", "append", "prepend", "remove", "remove"]) + override(rnd.choice([0, 0, 1, 1, 2]))
    if kind > 0.98:
        return "unset " + name
    if kind > 0.96:
        return "unset %s[%s]" % (name, rnd.choice("fg"))
    if kind > 0.94:
        return "export " + name
    flag = kind > 0.84
    if flag:
        text += "[%s]" % rnd.choice(["f", "g", "export", "unexport"] if rnd.random() < 0.2 else ["f", "g"])
    op = "=" if kind < 0.3 and rnd.random() < 0.9 else rnd.choice(OPS)
    val = rnd.choice(["1", "0", "yes"]) if "export" in text else value(name)
    pre = "export " if kind < 0.84 and rnd.random() < 0.05 else ""
    return '%s%s %s "%s"' % (pre, text, op, val)


def overrides():
    return 'OVERRIDES = "%s"' % ":".join(rnd.sample(OVERRIDES, rnd.randint(0, 4)))


OBJECTS = ["1", "0", "True", "False", "[1, 'a']", "[]", "{'k': [1]}", "('t',)", "()", "None", "{'s'}", "set()", "1.5", "['it\\'s', \"q\\\"\"]", "[None]", "b'x'"]


def var():
    return "'%s'" % (rnd.choice(NAMES) + override(rnd.choice([0, 0, 0, 1, 2])))


def opvar():
    return "'%s'" % (rnd.choice(NAMES) + override(rnd.choice([0, 0, 1])) + rnd.choice(["", "", "", ":append", ":prepend", ":remove", ":append:x"]))


def pyvalue():
    if rnd.random() < 0.15:
        return rnd.choice(OBJECTS)
    return repr(" ".join(acyclic("A", [rnd.choice(WORDS) for _ in range(rnd.randint(0, 3))])))


serial = [0]


def statement(d="d"):
    serial[0] += 1
    r = "R%d" % serial[0]
    f = "'%s'" % rnd.choice(["f", "g", "h"])
    return rnd.choice([
        lambda: "%s.setVar(%s, %s)" % (d, opvar(), pyvalue()),
        lambda: "%s.setVar(%s, %s)" % (d, opvar(), pyvalue()),
        lambda: "%s.appendVar(%s, %s)" % (d, var(), pyvalue()),
        lambda: "%s.prependVar(%s, %s)" % (d, var(), pyvalue()),
        lambda: "%s.delVar(%s)" % (d, var()),
        lambda: "%s.renameVar(%s, %s)" % (d, var(), rnd.choice([var(), "'N'", "'N:x'"])),
        lambda: "%s.setVarFlag(%s, %s, %s)" % (d, var(), f, pyvalue()),
        lambda: "%s.appendVarFlag(%s, %s, ' +')" % (d, var(), f),
        lambda: "%s.prependVarFlag(%s, %s, '+ ')" % (d, var(), f),
        lambda: "%s.delVarFlag(%s, %s)" % (d, var(), f),
        lambda: "%s.setVarFlags(%s, {'f': '1', 'h': %s})" % (d, var(), pyvalue()),
        lambda: "d.setVar('%s', repr(%s.getVar(%s, %s)))" % (r, d, var(), rnd.choice(["True", "False"])),
        lambda: "d.setVar('%s', repr(%s.getVar(%s, noweakdefault=True)))" % (r, d, var()),
        lambda: "d.setVar('%s', repr(%s.getVar(%s, False, True)))" % (r, d, var()),
        lambda: "d.setVar('%s', repr(%s.getVar(%s, False, parsing=True)))" % (r, d, var()),
        lambda: "d.setVar('%s', repr(%s.getVarFlag(%s, %s)))" % (r, d, var(), f),
        lambda: "d.setVar('%s', repr(%s.getVarFlag(%s, %s, False, noweakdefault=True)))" % (r, d, var(), f),
        lambda: "d.setVar('%s', repr(%s.getVarFlags(%s)))" % (r, d, var()),
        lambda: "d.setVar('%s', repr(sorted((%s.getVarFlags(%s, internalflags=True) or {}).items(), key=str)))" % (r, d, var()),
        lambda: "d.setVar('%s', ' '.join(sorted(k for k in %s.keys() if k[0] in 'ABCN')))" % (r, d),
        lambda: "d.setVar('%s', repr(%s in %s))" % (r, var(), d),
        lambda: "d.setVar('%s', repr(%s.expand('<${A} ${B:y}>')))" % (r, d),
        lambda: "d.setVar(%s, 'x:' + (d.getVar('dd') or ''))" % "'OVERRIDES'" if d == "d" else "%s.setVar('OVERRIDES', 'y:x')" % d,
        lambda: "v = %s.getVar(%s, False)\n    if isinstance(v, list):\n        v.append('more')\n        %s.setVar(%s, v)" % (d, var(), d, var()),
        lambda: "v = ['own']\n    %s.setVar(%s, v)\n    v.append('late')" % (d, var()),
    ])()


def guarded(text):
    if rnd.random() < 0.85:
        return "    " + text
    serial[0] += 1
    return "    try:\n        %s\n    except Exception:\n        d.setVar('E%d', 'failed')" % (text.replace("\n", "\n    "), serial[0])


def python():
    kind = rnd.random()
    body = [guarded(statement()) for _ in range(rnd.randint(1, 5))]
    if kind < 0.25:
        body = ["    c = d.createCopy()"] + [guarded(statement("c")) for _ in range(rnd.randint(1, 5))]
    if kind > 0.9:
        body.append("    helper(d)")
    if kind > 0.8:
        body.insert(0, "    for n in ('A', 'B'):\n        d.setVarFlag(n,\n            'loop', n)")
    return "python () {\n%s\n}" % "\n".join(body)


def function():
    name = rnd.choice(["do_a", "do_b", "fun"])
    kind = rnd.random()
    if kind < 0.2:
        serial[0] += 1
        return "def helper(d):\n    d.setVar('H', d.getVar('C') or '')\n    return 'helped%d'\n" % serial[0]
    if kind < 0.4:
        return "addtask %s%s%s" % (rnd.choice(["do_a", "b", "do_c"]), rnd.choice(["", " before do_b", " before do_c do_d"]), rnd.choice(["", " after do_a", " after do_e c"]))
    if kind < 0.45:
        return "deltask " + rnd.choice(["do_a", "do_b"])
    if kind < 0.55:
        return "%s[%s] = \"%s\"" % (name, rnd.choice(["dirs", "cleandirs", "f", "depends"]), rnd.choice(["1", "${A}", "x:do_y"]) if rnd.random() < .5 else "x:do_y")
    head = rnd.choice(["", "", "python ", "fakeroot ", "fakeroot python "])
    suffix = rnd.choice(["", "", "", ":append", ":prepend", ":x", ":append:y", ":remove"])
    body = rnd.choice(["    echo ${A} \"$b\"", "    a = 1", "    echo `x`\n\n    y", ""])
    return "%s%s%s() {\n%s\n}" % (head, name, suffix, body)


def include():
    return rnd.choice(["include one.inc", "require one.inc", "include none.inc", "inherit cls", "inherit two", "inherit ${@'cls'}", "inherit_defer two",
                       "include one.inc"])


def lines(n, conf):
    out = []
    for _ in range(n):
        r = rnd.random()
        if conf or r < 0.62:
            out.append(line())
        elif r < 0.78:
            out.append(python())
        elif r < 0.92:
            out.append(function())
        else:
            out.append(include())
    return out


CLASSES = '''-- %(n)05d/classes/cls.bbclass --
cls_do_a() {
    echo class
}
python cls_fun () {
    bb.note("x")
}
cls_do_a[dirs] = "${B}"
EXPORT_FUNCTIONS do_a fun
A ?= "from class"
-- %(n)05d/classes/two.bbclass --
B:append = " two"
addtask do_b after do_a
'''

print("Random cases for the datastore, made by generate_store.py %s %s; answers by record_store.py.\n" % (sys.argv[1], sys.argv[2]))
for n in range(int(sys.argv[2])):
    conf = rnd.random() < 0.3
    print("-- %05d/t.%s --" % (n, "conf" if conf else "bb"))
    text = lines(rnd.randint(2, 12), conf)
    text.insert(rnd.randint(0, len(text)), overrides())
    if rnd.random() < 0.15:
        text.append(overrides())
    if any("helper" in t for t in text) and not any(t.startswith("def helper") for t in text):
        text.insert(0, "def helper(d):\n    d.setVar('H', 'h')\n    return 'help%d'\n" % n)
    if conf:
        text = [t.replace("helper(d)", "1") for t in text if not t.startswith(("def", "python"))]
    if rnd.random() < 0.1 and not conf:
        text.append('BBCLASSEXTEND = "%s"' % rnd.choice(["two", "cls two", "two:arg"]))
    print("\n".join(text))
    joined = "\n".join(text)
    if "one.inc" in joined:
        print("-- %05d/one.inc --" % n)
        print("\n".join(lines(rnd.randint(1, 4), True)))
    if "cls" in joined or "two" in joined:
        print(CLASSES % {"n": n}, end="")
