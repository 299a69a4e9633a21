#!/usr/bin/env python3
"""Record what BitBake makes of the cases in a txtar file.

    PYTHONPATH=.../bitbake/lib python3 record.py language.txtar > language.json                     # BitBake 2.19
    PYTHONPATH=.../bitbake-2.8/lib python3 record.py language.txtar language.json > language-2.8.json

Each case is a folder of the archive whose main file is t.bb or t.conf. The answer holds every variable of the resulting
datastore: expanded value, unexpanded value, flags; and the tasks. Only variables that the case itself brings are kept.
For a case that BitBake refuses the answer holds the file and line that BitBake names, and those words of the case that its
message repeats. With a second argument only the cases whose answer is another than in that file are written.

A file whose name ends in .bytes is written without that ending and without its line ends; \\n \\r \\t \\\\ \\xNN in it are bytes.
"""
import json
import logging
import os
import re
import shutil
import sys
import tempfile

import bb
import bb.data
import bb.event
import bb.parse
import bb.siggen
import bb.utils

class Messages(logging.Handler):
    """Keeps what BitBake logs as an error, since some exceptions carry no text."""
    texts = []

    def emit(self, record):
        if record.levelno >= logging.ERROR:
            self.texts.append(record.getMessage())


logging.getLogger("BitBake").addHandler(Messages())
logging.getLogger("BitBake").propagate = False


def content(name, data):
    """The name and the bytes of a file of the archive."""
    if not name.endswith(".bytes"):
        return name, data.encode()
    plain = {"n": b"\n", "r": b"\r", "t": b"\t", "\\": b"\\"}
    one = lambda m: bytes([int(m[1][1:], 16)]) if m[1][:1] == b"x" else plain[m[1].decode()]
    return name[:-len(".bytes")], re.sub(rb"\\(x[0-9a-f]{2}|.)", one, data.replace("\n", "").encode())


def refusal(e, root, parts):
    """Where BitBake says that it failed, and the words of the case that its message holds."""
    text = "\n".join(Messages.texts + [str(e)])
    # What Python prints of its own frames is no message.
    text = re.split(r"Traceback|The stack trace of python calls", text)[0] + " " + str(e)
    out = {"error": type(e).__name__}
    places = [(m[1], m[2]) for m in re.finditer(r"(%s[^\s:'\"]*):(\d+)" % re.escape(root), text)]
    places += [(m[2], m[1]) for m in re.finditer(r"line (\d+) of file (%s[^\s:]*)" % re.escape(root), text)]
    places = [p for p in places if os.path.isfile(p[0]) and int(p[1]) > 0]
    source = "\n".join(parts.values())
    if places:
        path, line = places[-1]
        out["at"] = "%s:%s" % (path.replace(root, "@ROOT@"), line)
        lines = open(path, encoding="utf-8", errors="replace").read().split("\n")
        source = "\n".join(lines[max(0, int(line) - 3):int(line)])
    words = lambda s: set(re.findall(r"[A-Za-z0-9_][\w:.+-]*[\w]", s))
    out["words"] = sorted((words(text.replace(root, "")) & words(source)) - set("bb or is it the not in of a an".split()))
    return out



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


def run(root, main, parts):
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
    Messages.texts.clear()
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
        return refusal(e, root, parts)


def alone(function, *args):
    """The answer of a function in a process of its own, since BitBake leaves things behind in its modules."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        with os.fdopen(writer, "w") as f:
            json.dump(function(*args), f)
            f.flush()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as f:
        answer = json.load(f)
    os.waitpid(child, 0)
    return answer


def main():
    bb.utils.set_context(bb.utils.clean_context())
    files = read_txtar(sys.argv[1])
    other = {}
    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8") as f:
            other = json.load(f)["cases"]
    cases = {}
    for name, text in files.items():
        case, _, rest = name.partition("/")
        cases.setdefault(case, {})[rest] = text
    answers = {}
    stdout, devnull = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    for case, parts in cases.items():
        root = os.path.realpath(tempfile.mkdtemp())
        names = set()
        for rest, text in parts.items():
            rest, data = content(rest, text)
            names.add(rest)
            os.makedirs(os.path.dirname(os.path.join(root, rest)), exist_ok=True)
            with open(os.path.join(root, rest), "wb") as f:
                f.write(data)
        mains = sorted(n for n in names if "/" not in n and n.endswith(".bb"))
        answers[case] = alone(run, root, mains[0] if mains else "t.conf", parts)
        shutil.rmtree(root)
    os.dup2(stdout, 1)
    if other:
        answers = {k: v for k, v in answers.items() if json.loads(json.dumps(v)) != other.get(k)}
    json.dump({"bitbake": bb.__version__, "cases": answers}, sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
