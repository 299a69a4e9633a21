#!/usr/bin/env python3
"""Record what BitBake makes of the cases in a txtar file.

    PYTHONPATH=.../bitbake/lib python3 record.py language.txtar > language.json

Each case is a folder of the archive whose main file is t.bb or t.conf. The answer holds every variable of the resulting
datastore: expanded value, unexpanded value, flags; and the tasks. Only variables that the case itself brings are kept.
"""
import json
import logging
import os
import shutil
import sys
import tempfile

import bb
import bb.data
import bb.event
import bb.parse
import bb.siggen
import bb.utils

logging.disable(logging.CRITICAL)


def read_txtar(path):
    files, name = {}, None
    for line in open(path, encoding="utf-8", newline="\n"):
        if line.startswith("-- ") and line.rstrip("\n").endswith(" --"):
            name = line.rstrip("\n")[3:-3].strip()
            files[name] = ""
        elif name is not None:
            files[name] += line
    return files


def text(value):
    return None if value is None else str(value)


def dump(d, root):
    hide = lambda s: s.replace(root, "@ROOT@") if isinstance(s, str) else s
    out = {"vars": {}}
    if d.getVar("__SKIPPED", False):
        out["skipped"] = str(d.getVar("__SKIPPED", False))
    for key in sorted(d.keys()):
        if key.startswith("__") or key in ("FILE", "BBINCLUDED", "BBPATH", "TOPDIR", "_task_deps", "_remote_sigs", "BB_HASHFILENAME"):
            continue
        entry = {}
        try:
            entry["value"] = hide(text(d.getVar(key)))
        except Exception as e:
            entry["error"] = type(e).__name__
        try:
            entry["raw"] = hide(text(d.getVar(key, False)))
        except Exception as e:
            entry["rawerror"] = type(e).__name__
        flags = {k: hide(text(v)) for k, v in (d.getVarFlags(key) or {}).items()
                 if v is not None and k not in ("filename", "lineno")}
        if flags:
            entry["flags"] = flags
        out["vars"][key] = entry
    tasks = d.getVar("_task_deps", False)
    if tasks:
        out["tasks"] = tasks["tasks"]
        out["parents"] = tasks["parents"]
    return out


def run(root, main):
    d = bb.data.init()
    d.setVar("__bbclasstype", "recipe")
    d.setVar("BBPATH", root)
    d.setVar("TOPDIR", root)
    d.setVar("BB_SIGNATURE_HANDLER", "noop")
    bb.parse.siggen = bb.siggen.init(d)
    d.delVar("BB_SIGNATURE_HANDLER")
    bb.parse.BBHandler.cached_statements.clear()
    for name in ("__infunc__", "__body__", "__residue__"):
        setattr(bb.parse.BBHandler, name, [])
    bb.parse.BBHandler.__inpython__ = False
    bb.event.set_class_handlers(bb.event.clean_class_handlers())
    os.chdir(root)
    path = os.path.join(root, main)
    try:
        if main.endswith(".conf"):
            bb.parse.handle(path, d, True)
            return {"": dump(d, root)}
        stores = bb.parse.handle(path, d)
        return {name: dump(store, root) for name, store in stores.items()}
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt):
            raise
        return {"error": type(e).__name__}


def main():
    bb.utils.set_context(bb.utils.clean_context())
    files = read_txtar(sys.argv[1])
    cases = {}
    for name, content in files.items():
        case, _, rest = name.partition("/")
        cases.setdefault(case, {})[rest] = content
    answers = {}
    stdout, devnull = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    for case, parts in cases.items():
        root = os.path.realpath(tempfile.mkdtemp())
        for rest, content in parts.items():
            os.makedirs(os.path.dirname(os.path.join(root, rest)), exist_ok=True)
            open(os.path.join(root, rest), "w", encoding="utf-8", newline="\n").write(content)
        answers[case] = run(root, "t.bb" if "t.bb" in parts else "t.conf")
        os.chdir("/")
        shutil.rmtree(root)
    os.dup2(stdout, 1)
    json.dump({"bitbake": bb.__version__, "cases": answers}, sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
