#!/usr/bin/env python3
"""Write random cases of assignments: python3 generate.py SEED COUNT > random.txtar"""
import random
import sys

rnd = random.Random(int(sys.argv[1]))
OPS = ["=", "=", "?=", "??=", ":=", "+=", "=+", ".=", "=."]
NAMES = ["A", "B", "C", "dd"]
OVERRIDES = ["x", "y", "z", "w1"]
WORDS = ["a", "b", "c", "  d", "e ", "${A}", "${B}", "${C}", "${dd}", "${U}", "${A:x}", "x", ":y"]


def acyclic(name, words):
    # References only point to later names, so that most cases have a value.
    order = NAMES + ["U"]
    ok = []
    for w in words:
        ref = w[2:-1].split(":")[0] if w.startswith("${") else None
        if ref is None or order.index(ref) > order.index(name):
            ok.append(w)
    return ok


def line():
    name = rnd.choice(NAMES)
    kind = rnd.random()
    text = name
    for o in rnd.sample(OVERRIDES, rnd.choice([0, 0, 0, 1, 1, 2])):
        text += ":" + o
    if kind < 0.35:
        text += ":" + rnd.choice(["append", "append", "prepend", "remove", "remove"])
        for o in rnd.sample(OVERRIDES, rnd.choice([0, 0, 1, 1, 2])):
            text += ":" + o
    if kind > 0.97:
        return "unset " + name
    if kind > 0.90:
        text += "[%s]" % rnd.choice(["f", "g"])
    op = "=" if kind < 0.35 and rnd.random() < 0.9 else rnd.choice(OPS)
    value = " ".join(acyclic(name, [rnd.choice(WORDS) for _ in range(rnd.randint(0, 4))]))
    return '%s %s "%s"' % (text, op, value)


def overrides():
    text = ":".join(rnd.sample(OVERRIDES, rnd.randint(0, 4)))
    return 'OVERRIDES = "%s"' % text


print("Random assignments, made by generate.py %s %s; answers as for language.txtar.\n" % (sys.argv[1], sys.argv[2]))
for n in range(int(sys.argv[2])):
    print("-- %04d/t.%s --" % (n, rnd.choice(["conf", "conf", "bb"])))
    lines = [line() for _ in range(rnd.randint(3, 14))]
    lines.insert(rnd.randint(0, len(lines)), overrides())
    if rnd.random() < 0.15:
        lines.append(overrides())
    print("\n".join(lines))
