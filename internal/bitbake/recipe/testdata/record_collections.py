#!/usr/bin/env python3
"""Record which priorities BitBake gives layers, which files belong to which, and which layers it finds empty.

    PYTHONPATH=.../bitbake/lib python3 record_collections.py > collections.json

Each case is the variables of layer.conf files, recipe files and .bbappend files; an answer holds the collections in order
with pattern and priority, or that BitBake refuses them; the layer of each file, what BBMASK leaves of them, and the
warnings about layers without recipes.
"""
import json
import logging
import os
import re
import sys

import bb
import bb.cache
import bb.cooker
import bb.data
import bb.utils

logging.disable(logging.CRITICAL)


def layers(*names, **more):
    v = {"BBFILE_COLLECTIONS": " ".join(names)}
    for n in names:
        v["BBFILE_PATTERN_" + n] = "^/l/%s/" % n
    for k, value in more.items():
        v[k] = value
        if value is None:
            del v[k]
    return v


A, B, C = "/l/a/r/x_1.bb", "/l/b/r/x_1.bb", "/l/a/in/y_1.bb"
CASES = {
    "plain": (layers("a", "b", BBFILE_PRIORITY_a="5", BBFILE_PRIORITY_b="7"), [A, B, C, "/else/z.bb"], []),
    "none": (layers("a", "b"), [A, B], []),
    "from depends": (layers("a", "b", "c", BBFILE_PRIORITY_a="5", LAYERDEPENDS_b="a", LAYERDEPENDS_c="b a"), [A, B], []),
    "backwards": (layers("c", "b", "a", BBFILE_PRIORITY_a="5", LAYERDEPENDS_b="a", LAYERDEPENDS_c="b a"), [A], []),
    "lowest without depends": (layers("a", "b", "c", BBFILE_PRIORITY_a="5", BBFILE_PRIORITY_b="3"), [A], []),
    "zero": (layers("a", "b", BBFILE_PRIORITY_a="0", BBFILE_PRIORITY_b="4"), [A], []),
    "negative": (layers("a", "b", "c", BBFILE_PRIORITY_a="-5", LAYERDEPENDS_b="a"), [A], []),
    "zero after": (layers("a", "b", "c", BBFILE_PRIORITY_a="3", BBFILE_PRIORITY_b="0"), [A], []),
    "blanks": (layers("a", BBFILE_PRIORITY_a=" 5 "), [A], []),
    "plus": (layers("a", BBFILE_PRIORITY_a="+5"), [A], []),
    "underscore": (layers("a", BBFILE_PRIORITY_a="1_0"), [A], []),
    "empty priority": (layers("a", BBFILE_PRIORITY_a=""), [A], []),
    "only blanks": (layers("a", BBFILE_PRIORITY_a=" "), [A], []),
    "not a number": (layers("a", BBFILE_PRIORITY_a="high"), [A], []),
    "fraction": (layers("a", BBFILE_PRIORITY_a="5.0"), [A], []),
    "recommends": (layers("a", "b", BBFILE_PRIORITY_a="5", LAYERRECOMMENDS_b="a"), [A], []),
    "recommends absent": (layers("a", "b", BBFILE_PRIORITY_a="5", LAYERRECOMMENDS_b="zz"), [A], []),
    "recommends version": (layers("a", "b", BBFILE_PRIORITY_a="5", LAYERRECOMMENDS_b="a (>= 2)", LAYERVERSION_a="2"), [A], []),
    "recommends other version": (layers("a", "b", "c", BBFILE_PRIORITY_a="5", BBFILE_PRIORITY_c="1", LAYERRECOMMENDS_b="a (>= 2)", LAYERVERSION_a="1"), [A], []),
    "recommends no version": (layers("a", "b", "c", BBFILE_PRIORITY_a="5", BBFILE_PRIORITY_c="1", LAYERRECOMMENDS_b="a (>= 2)"), [A], []),
    "recommends twice": (layers("a", "b", "c", BBFILE_PRIORITY_a="5", BBFILE_PRIORITY_c="1", LAYERRECOMMENDS_b="a (>= 2) a (>= 9)", LAYERVERSION_a="3"), [A], []),
    "depends absent": (layers("a", "b", LAYERDEPENDS_b="zz"), [A], []),
    "depends version": (layers("a", "b", LAYERDEPENDS_b="a (>= 2)", LAYERVERSION_a="2"), [A], []),
    "depends two versions": (layers("a", "b", LAYERDEPENDS_b="a (>= 2) a (< 4)", LAYERVERSION_a="3"), [A], []),
    "depends two versions not met": (layers("a", "b", LAYERDEPENDS_b="a (>= 2) a (< 3)", LAYERVERSION_a="3"), [A], []),
    "depends no version": (layers("a", "b", LAYERDEPENDS_b="a (>= 2)"), [A], []),
    "depends glued": (layers("a", "b", LAYERDEPENDS_b="a (>=2)", LAYERVERSION_a="3"), [A], []),
    "depends name glued": (layers("a", "b", LAYERDEPENDS_b="a(>= 2)", LAYERVERSION_a="3"), [A], []),
    "depends blank inside": (layers("a", "b", LAYERDEPENDS_b="a ( >= 2 )", LAYERVERSION_a="3"), [A], []),
    "depends no operator": (layers("a", "b", LAYERDEPENDS_b="a (2)", LAYERVERSION_a="3"), [A], []),
    "depends reversed operator": (layers("a", "b", LAYERDEPENDS_b="a (=> 2)", LAYERVERSION_a="3"), [A], []),
    "depends double": (layers("a", "b", LAYERDEPENDS_b="a (>> 2)", LAYERVERSION_a="3"), [A], []),
    "depends not": (layers("a", "b", LAYERDEPENDS_b="a (!= 3)", LAYERVERSION_a="3"), [A], []),
    "depends comma": (layers("a", "b", "c", BBFILE_PRIORITY_a="5", LAYERDEPENDS_c="a, b"), [A], []),
    "depends comma glued": (layers("a", "b", "c", LAYERDEPENDS_c="a,b"), [A], []),
    "depends comma in version": (layers("a", "b", LAYERDEPENDS_b="a (>= 2),", LAYERVERSION_a="2"), [A], []),
    "depends open": (layers("a", "b", LAYERDEPENDS_b="a (>= 2", LAYERVERSION_a="2"), [A], []),
    "depends empty version": (layers("a", "b", LAYERDEPENDS_b="a (>= )", LAYERVERSION_a="2"), [A], []),
    "depends three words": (layers("a", "b", LAYERDEPENDS_b="a (>= 2 3)", LAYERVERSION_a="2"), [A], []),
    "depends itself": (layers("a", "b", BBFILE_PRIORITY_a="2", LAYERDEPENDS_a="a"), [A], []),
    "version letters": (layers("a", "b", LAYERDEPENDS_b="a (>= 1.10)", LAYERVERSION_a="1.9"), [A], []),
    "no pattern": (layers("a", "b", BBFILE_PATTERN_b=None), [A], []),
    "empty pattern": (layers("a", "b", BBFILE_PATTERN_b=""), [A, B], []),
    "bad pattern": (layers("a", "b", BBFILE_PATTERN_b="^/l/(b/"), [A, B], []),
    "look-ahead": (layers("a", "b", BBFILE_PATTERN_a="^/l/(?!b)"), [A, B, C], []),
    "back reference": (layers("a", "b", BBFILE_PATTERN_a="^/(l)/a/(?P<x>r)?"), [A, B, C], []),
    "not anchored": (layers("a", "b", BBFILE_PATTERN_a="l/a"), [A, B], []),
    "nested": (layers("a", "inner", BBFILE_PATTERN_inner="^/l/a/in/", BBFILE_PRIORITY_a="5", BBFILE_PRIORITY_inner="1"), [A, C], []),
    "nested empty": (layers("a", "inner", BBFILE_PATTERN_inner="^/l/a/in/"), [A], []),
    "nested outer empty": (layers("a", "inner", BBFILE_PATTERN_inner="^/l/a/in/"), [C], []),
    "same pattern": (layers("a", "b", BBFILE_PATTERN_b="^/l/a/", BBFILE_PRIORITY_a="1", BBFILE_PRIORITY_b="2"), [A], []),
    "overlapping": (layers("a", "b", BBFILE_PATTERN_a="^/l/", BBFILE_PATTERN_b="^/l/.*/r/", BBFILE_PRIORITY_a="1", BBFILE_PRIORITY_b="2"), [A, B, C], []),
    "escaped": (layers("a", BBFILE_PATTERN_a="^\\/l\\/a\\/"), [A, B], []),
    "only appends": (layers("a", "b"), [A], ["/l/b/x_1.bbappend"]),
    "only appends inside another": (layers("a", "inner", BBFILE_PATTERN_inner="^/l/a/in/"), [A], ["/l/a/in/x_1.bbappend"]),
    "only skipped": (layers("a", "b"), [A], ["/l/a/x_1.bbappend"], ["/l/b/skipped_1.bb"]),
    "ignored when empty": (layers("a", "b", "c", BBFILE_PATTERN_IGNORE_EMPTY_b="1", BBFILE_PATTERN_IGNORE_EMPTY_c="yes"), [A], []),
    "all empty": (layers("a", "b", BBFILE_PATTERN_b=""), ["/else/z.bb"], []),
    "mask": (layers("a", BBMASK="/in/ ^/l/b"), [A, B, C], []),
    "mask look-ahead": (layers("a", BBMASK="/l/(?!a)"), [A, B, C], []),
    "mask bar": (layers("a", BBMASK="|/in/"), [A, B, C], []),
    "mask bad": (layers("a", BBMASK="*x (/in/ /b/"), [A, B, C], []),
    "mask only bad": (layers("a", BBMASK="*x"), [A, B, C], []),
    "mask flags": (layers("a", BBMASK="(?i)/IN/"), [A, B, C], []),
    "mask flags second": (layers("a", BBMASK="/zz/ (?i)/IN/"), [A, B, C], []),
    "mask groups": (layers("a", BBMASK="(zz) (.)n/y_\\1"), [A, B, C, "/l/a/in/y_i"], []),
    "mask end": (layers("a", BBMASK="x_1.bb$ y_1\\Z"), [A, B, C], []),
}


def answer(variables, files, appends, skipped=()):
    d = bb.data.init()
    for k, v in variables.items():
        d.setVar(k, v)
    holder = type("Holder", (), {"data": d})()
    try:
        bb.cooker.BBCooker.handleCollections(holder, d.getVar("BBFILE_COLLECTIONS"))
    except BaseException as e:
        return {"refused": True}
    out = {"collections": [{"name": n, "pattern": p, "priority": pri} for n, p, _, pri in holder.bbfile_config_priorities]}
    collect = bb.cooker.CookerCollectFiles(holder.bbfile_config_priorities)
    out["layers"] = {f: collect.calc_bbfile_priority(f)[2] for f in files}
    warnings = []
    logger = bb.cooker.collectlog
    logger.warning = lambda text, *args: warnings.append(text % args if args else text)
    collect.bbappends = [(os.path.basename(a), a) for a in appends]
    collect.collection_priorities(files, list(files) + list(skipped), d)
    out["empty"] = warnings
    if d.getVar("BBMASK"):
        real = os.path.isdir, os.path.exists, bb.cooker.glob.glob
        os.path.isdir, os.path.exists, bb.cooker.glob.glob = lambda p: False, lambda p: p in files, lambda p: [p] if p in files else []
        d.setVar("BBFILES", " ".join(files))
        out["left"], _, _ = collect.collect_bbfiles(d, d)
        os.path.isdir, os.path.exists, bb.cooker.glob.glob = real
    del logger.warning
    return out


cases = {}
for name, case in CASES.items():
    variables, files, appends = case[:3]
    skipped = case[3] if len(case) > 3 else []
    cases[name] = {"variables": variables, "files": files, "appends": appends, "skipped": skipped, "answer": answer(*case)}
json.dump({"bitbake": bb.__version__, "cases": cases}, sys.stdout, indent=1)
print()
