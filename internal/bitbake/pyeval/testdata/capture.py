# Records what real BitBake and CPython answer to the cases of a .jsonl file, in place:
#
#   python3 capture.py BITBAKE/lib ISAR/meta/lib eval.jsonl
#
# A line is one JSON object: {"set": {variables}} and {"def": text} are the surroundings of all
# cases behind them, {"eval": expression} and {"exec": body} are cases. Recorded is "value" (of
# ${@expression}), "vars" (the variables R* that a body leaves, unexpanded) or "error" (the class
# of the exception). "refused" marks cases that pyeval may refuse, "since312" is the value on
# CPython 3.12 or newer where that differs; both are kept.
import json, os, sys

bitbake, isar, path = map(os.path.abspath, sys.argv[1:])
sys.path[0:0] = [bitbake, isar]
os.environ.clear()
os.environ.update({"HOME": "/home/user", "LANG": "C.UTF-8"})
os.chdir("/")

import bb.data_smart, bb.data, bb.utils, bb.parse, bb.fetch2, bb.build, bb.event
import oe.utils, oe.types, oe.data

bb.utils.get_context()["oe"] = oe
bb.utils.get_context()["sys"] = sys
os.cpu_count = lambda: 8
os.sched_getaffinity = lambda pid: set(range(8))
bb.utils.cpu_count = lambda: 8
base = bb.data_smart.DataSmart()


def evaluate(case, d):
    try:
        code = case["eval"]
        value = bb.utils.better_eval(compile(code.strip(), "eval", "eval"), bb.data_smart.DataContext(d), {"d": d})
        return {"value": str(value)}
    except BaseException as e:
        return {"error": type(e).__name__}


def execute(case, d):
    scope = {}
    try:
        exec(compile("def f(d):\n" + case["exec"], "exec", "exec"), bb.utils.get_context(), scope)
        scope["f"](d)
        return {"vars": {k: d.getVar(k, False) for k in sorted(d.keys()) if k.startswith("R")}}
    except BaseException as e:
        return {"error": type(e).__name__}


out = []
for line in open(path):
    if line.startswith("#") or not line.strip():
        continue
    case = json.loads(line)
    for key, value in case.get("set", {}).items():
        base.setVar(key, value)
    if "def" in case:
        exec(compile(case["def"], "def", "exec"), bb.utils.get_context())
    kept = {k: v for k, v in case.items() if k in ("set", "def", "eval", "exec", "refused", "since312")}
    if "eval" in case:
        kept.update(evaluate(case, base.createCopy()))
    elif "exec" in case:
        kept.update(execute(case, base.createCopy()))
    out.append(kept)

with open(path, "w") as f:
    f.write("# Recorded from BitBake %s on CPython %s by: %s\n" % (
        bb.__version__, sys.version.split()[0], "python3 capture.py BITBAKE/lib ISAR/meta/lib " + os.path.basename(path)))
    for case in out:
        f.write(json.dumps(case, ensure_ascii=False) + "\n")
