# SPDX-License-Identifier: MIT
"""Filters of variables: expressions that see their own functions only."""

from n3x import names

FILTERS = {"__builtins__": {}}
CACHE = {}


class Namespace:
    """Functions by attribute, for names with dots."""


def filter_proc(*, name=None):
    def inner(func):
        *parents, last = (name or func.__name__).split(".")
        if not parents:
            FILTERS[last] = func
            return func
        space = FILTERS.setdefault(parents[0], Namespace())
        for parent in parents[1:]:
            space = space.__dict__.setdefault(parent, Namespace())
        space.__dict__[last] = func
        return func
    return inner


for _builtin in (all, any, bin, bool, chr, enumerate, float, format, hex, int, len, map, max, min, oct, ord, pow, str, sum):
    FILTERS[_builtin.__name__] = _builtin


@filter_proc()
def suffix(val, suffix):
    return " ".join(word + suffix for word in val.split())


@filter_proc()
def prefix(val, prefix):
    return " ".join(prefix + word for word in val.split())


@filter_proc()
def sort(val):
    return " ".join(sorted(val.split()))


@filter_proc()
def remove(val, remove, sep=None):
    unwanted = remove.split(sep) if isinstance(remove, str) else remove
    return (sep or " ").join(word for word in val.split(sep) if word not in unwanted)


def _apply(val, expression):
    code = compile(expression, "<filter>", "eval")
    if not FILTERS.keys() >= set(code.co_names) - {"bb"}:
        names.import_all()  # where the functions of layers register themselves
    return eval(code, dict(FILTERS), {"val": val})


def apply_filters(val, expressions):
    for expression in expressions:
        expression = expression.strip()
        if expression:
            key = names.current_paths, val, expression
            if key not in CACHE:
                CACHE[key] = _apply(val, expression)
            val = CACHE[key]
    return val
