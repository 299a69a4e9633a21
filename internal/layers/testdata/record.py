#!/usr/bin/env python3
"""Record what bitbake-layers prints and changes.

    OECORE=.../openembedded-core BITBAKE=.../bitbake python3 record.py layers.txtar > layers-2.8.json

Each case of the archive is unpacked into a folder of its own and its commands are run there, one after the other. The
answer of each holds the exit status, standard output without the lines that tell of progress, standard error, and the
files that the command added, changed or removed (null). The plugins of OpenEmbedded's core layer are copied into the core
layer, as they would be there; of the texts that create-layer writes only the names are kept.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict

PROGRESS = re.compile(r"^(NOTE: |Loading cache|Loaded \d|Parsing |Parsing recipes|$|Summary:|Initialising)")
SKIP = re.compile(r"/(tmp|tmp-two|cache|lib|bitbake-cookerdaemon\.log|bitbake\.(lock|sock)|hashserve\.sock)(/|$)|/COPYING.MIT$")


def read_txtar(path):
    files, name = {}, None
    for line in open(path, encoding="utf-8", newline="\n"):
        if line.startswith("-- ") and line.rstrip("\n").endswith(" --"):
            name = line.rstrip("\n")[3:-3].strip()
            files[name] = ""
        elif name is not None:
            files[name] += line
    return files


def tree(root):
    out = {}
    for folder, _, names in os.walk(root):
        for n in names:
            path = os.path.join(folder, n)
            rel = path[len(root):]
            if not SKIP.search(rel):
                with open(path, encoding="utf-8", newline="") as f:
                    out[rel] = f.read()
    return out


def clean(text, root):
    text = text.replace(root, "@ROOT@")
    if "Traceback (most recent call last)" in text:
        return "TRACEBACK\n"
    return "".join(l + "\n" for l in text.splitlines() if not PROGRESS.match(l))


def run(root, line):
    before = tree(root)
    env = {k: v for k, v in os.environ.items() if not k.startswith("BB")}
    env["HOME"] = root
    p = subprocess.run([sys.executable, os.path.join(os.environ["BITBAKE"], "bin", "bitbake-layers")] + shlex.split(line),
                       cwd=os.path.join(root, "build"), env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    after = tree(root)
    changed = {}
    for name in sorted(set(before) | set(after)):
        if before.get(name) != after.get(name):
            text = after.get(name)
            if line.startswith("create-layer") and not name.endswith("bblayers.conf"):
                text = ""
            changed[name] = text and text.replace(root, "@ROOT@")
    return {"command": line, "status": p.returncode, "stdout": clean(p.stdout, root), "stderr": clean(p.stderr, root), "files": changed}


def unpack(cases, case, root):
    parts = cases[case]
    if "base" in parts:
        unpack(cases, parts["base"].strip(), root)
    for name, content in parts.items():
        if name in ("base", "commands"):
            continue
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="\n") as f:
            f.write(content.replace("@ROOT@", root))


def main():
    cases, answers = defaultdict(dict), {}
    for name, content in read_txtar(sys.argv[1]).items():
        case, _, rest = name.partition("/")
        cases[case][rest] = content
    only = sys.argv[2:]
    for case, parts in cases.items():
        if only and case not in only:
            continue
        root = os.path.realpath(tempfile.mkdtemp())
        unpack(cases, case, root)
        plugins = os.path.join(os.environ["OECORE"], "meta")
        os.makedirs(os.path.join(root, "core", "lib", "bblayers"))
        shutil.copy(os.path.join(plugins, "COPYING.MIT"), os.path.join(root, "core"))
        for name in ("create.py", "machines.py"):
            shutil.copy(os.path.join(plugins, "lib", "bblayers", name), os.path.join(root, "core", "lib", "bblayers"))
        shutil.copytree(os.path.join(plugins, "lib", "bblayers", "templates"), os.path.join(root, "core", "lib", "bblayers", "templates"))
        answers[case] = [run(root, line) for line in parts["commands"].splitlines() if line.strip()]
        shutil.rmtree(root)
    version = subprocess.run([sys.executable, os.path.join(os.environ["BITBAKE"], "bin", "bitbake"), "--version"], capture_output=True, text=True)
    json.dump({"bitbake": version.stdout.split()[-1], "cases": answers}, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
