#!/usr/bin/env python3
"""Record what BitBake's datastore makes of the cases in a txtar file: values, flags, history and emitted text.

    PYTHONPATH=.../bitbake/lib python3 record_store.py store.txtar > store.json

Each case is a folder of the archive whose main file is t.bb or t.conf. For each variable that the case brings: expanded
value, unexpanded value, flags in their order, and the text of bb.data.emit_var(all=True), which is that of bitbake-getvar.
"""
import io
import json
import logging
import os
import shutil
import signal
import sys
import tempfile

import bb
import bb.data
import bb.event
import bb.parse
import bb.siggen
import bb.utils

from record import read_txtar

logging.disable(logging.CRITICAL)
HIDDEN = ("BBINCLUDED", "BBPATH", "TOPDIR", "_task_deps", "_remote_sigs", "BB_HASHFILENAME")


def dump(d, root):
    flat = root.translate(str.maketrans("/.+-@%&~", "________"))
    hide = lambda s: None if s is None else str(s).replace(root, "@ROOT@").replace(flat, "@FLAT@")
    out = {}
    if d.getVar("__SKIPPED", False):
        out["skipped"] = str(d.getVar("__SKIPPED", False))
    out["vars"] = {}
    for key in sorted(d.keys()):
        if key.startswith("__") and not key.startswith("__anon_") or key in HIDDEN:
            continue
        entry = {}
        for name, expand in (("value", True), ("raw", False)):
            try:
                v = hide(d.getVar(key, expand))
                if v is not None:
                    entry[name] = v
            except Exception as e:
                entry[name + "error"] = type(e).__name__
        flags = [[k, hide(v)] for k, v in (d.getVarFlags(key) or {}).items()]
        if flags:
            entry["flags"] = flags
        try:
            text = io.StringIO()
            bb.data.emit_var(key, text, d, True)
            entry["emit"] = hide(text.getvalue())
        except Exception as e:
            entry["emiterror"] = type(e).__name__
        out["vars"][hide(key)] = entry
    return out


def run(root, main):
    bb.utils.set_context(bb.utils.clean_context())
    d = bb.data.init()
    d.setVar("__bbclasstype", "recipe")
    d.setVar("BBPATH", root)
    d.setVar("TOPDIR", root)
    d.setVar("BB_SIGNATURE_HANDLER", "noop")
    bb.parse.siggen = bb.siggen.init(d)
    d.delVar("BB_SIGNATURE_HANDLER")
    d.enableTracking()
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


class Late(BaseException):
    pass


def late(*_):
    raise Late()


def main():
    cases = {}
    for name, content in read_txtar(sys.argv[1]).items():
        case, _, rest = name.partition("/")
        cases.setdefault(case, {})[rest] = content
    answers = {}
    stdout, devnull = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    signal.signal(signal.SIGALRM, late)
    for case, parts in cases.items():
        signal.alarm(20)  # BitBake's own recursion can take for ever
        root = os.path.realpath(tempfile.mkdtemp())
        for rest, content in parts.items():
            os.makedirs(os.path.dirname(os.path.join(root, rest)), exist_ok=True)
            open(os.path.join(root, rest), "w", encoding="utf-8", newline="\n").write(content)
        answers[case] = run(root, "t.bb" if "t.bb" in parts else "t.conf")
        os.chdir("/")
        shutil.rmtree(root)
    os.dup2(stdout, 1)
    json.dump({"bitbake": bb.__version__, "cases": answers}, sys.stdout, indent=0, sort_keys=True, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
