#!/usr/bin/env python3
"""Record what BitBake makes of the build directories in a txtar file.

    PYTHONPATH=.../bitbake/lib python3 record_world.py world.txtar > world.json                   # BitBake 2.19
    PYTHONPATH=.../bitbake-2.8/lib:.../isar/meta/lib python3 record_world.py layers-isar.txtar > layers-isar.json   # BitBake 2.8

Each case is a folder of the archive with a build folder in it. The answer holds the variables of each multiconfig's base
configuration, all recipes, and the provider that BitBake chooses for every name that is provided. Of a recipe's variables
those are kept whose value is another than in the base configuration, and digests of the functions. What BitBake refuses, a recipe or
all, is recorded as in record.py. With a folder instead of an archive, that build directory on disk is the case "disk".
"""
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections import defaultdict

import bb
import bb.cache
import bb.cooker
import bb.cookerdata
import bb.data
import bb.event
import bb.parse
import bb.providers
import bb.siggen
import bb.utils

from record import Messages, alone, content, read_txtar, refusal, text

HIDE = set("""FILE BBINCLUDED PATH HOME PWD SHELL USER LOGNAME LC_ALL BB_ORIGENV DATE TIME
    _task_deps BB_HASHFILENAME _remote_sigs BB_ENV_PASSTHROUGH_ADDITIONS""".split())


def variables(d, root):
    out = {}
    for key in sorted(d.keys()):
        if key.startswith("__") or key in HIDE or d.getVarFlag(key, "func", False):
            continue
        try:
            value = text(d.getVar(key))
        except Exception as e:
            out[key] = "!" + type(e).__name__
            continue
        out[key] = value.replace(root, "@ROOT@") if value is not None else None
    return out


def functions(d, root):
    out = {}
    for key in sorted(d.keys()):
        if d.getVarFlag(key, "func", False) and not key.startswith("__anon_"):
            try:
                value = d.getVar(key, not d.getVarFlag(key, "python", False))
            except Exception as e:
                out[key] = "!" + type(e).__name__
                continue
            if value:
                out[key] = hashlib.sha256(text(value).replace(root, "@ROOT@").encode()).hexdigest()[:8]
    return out


def besides(own, base):
    """What a recipe has otherwise than the base configuration."""
    return {k: v for k, v in own.items() if k not in base or base[k] != v}


def taskflags(d, task, root):
    flags = {}
    for k, v in (d.getVarFlags(task) or {}).items():
        if v is not None and k not in ("filename", "lineno", "deps", "task"):
            flags[k] = text(v).replace(root, "@ROOT@")
    return flags


def record(root, build, parts):
    os.chdir(build)
    Messages.texts.clear()
    bb.parse.clear_cache()
    bb.parse.BBHandler.cached_statements.clear()
    config = bb.cookerdata.CookerConfiguration()
    config.env = {k: os.environ[k] for k in bb.utils.approved_variables() if k in os.environ}
    builder = bb.cookerdata.CookerDataBuilder(config, True)
    try:  # ISAR's Python library; its classes load it with code that the built-in classes do not have
        import oe.utils
        bb.utils._context["oe"] = oe
    except ImportError:
        pass
    builder.parseBaseConfiguration(True)
    holder = type("Holder", (), {})()
    holder.data = builder.data
    bb.cooker.BBCooker.handleCollections(holder, builder.data.getVar("BBFILE_COLLECTIONS"))
    result = {}
    for mc, base in builder.mcdata.items():
        collect = bb.cooker.CookerCollectFiles(holder.bbfile_config_priorities, mc)
        files, _, _ = collect.collect_bbfiles(base, base)
        cache = bb.cache.CacheData([bb.cache.CoreRecipeInfo])
        answer = {"base": variables(base.createCopy(), root), "recipes": {}, "providers": {}}
        basefuncs = functions(base.createCopy(), root)
        for fn in files:
            appends = collect.get_file_appends(fn)
            priority, _, layer = collect.calc_bbfile_priority(fn)
            try:
                stores = builder.parseRecipeVariants(fn, appends, mc=mc, layername=layer)
            except BaseException as e:
                answer["recipes"][bb.cache.realfn2virtual(fn, "", mc).replace(root, "@ROOT@")] = refusal(e, root, parts)
                Messages.texts.clear()
                continue
            for variant, d in stores.items():
                name = bb.cache.realfn2virtual(fn, variant, mc)
                info = bb.cache.CoreRecipeInfo(fn, d)
                one = {"pn": info.pn, "provides": info.provides, "rprovides": info.rprovides, "packages": info.packages,
                       "layer": layer, "priority": priority, "appends": [a.replace(root, "@ROOT@") for a in appends],
                       "skip": str(info.skipreason)}
                if not info.skipped:
                    deps = d.getVar("_task_deps", False)
                    one.update(pv=info.pv, pr=info.pr, pe=info.pe, depends=info.depends, rdepends=info.rdepends,
                               inherits=[i.replace(root, "@ROOT@") for i in info.inherits], tasks=deps["tasks"],
                               parents=deps["parents"], vars=besides(variables(d.createCopy(), root), answer["base"]),
                               funcs=besides(functions(d.createCopy(), root), basefuncs),
                               flags={t: taskflags(d, t, root) for t in deps["tasks"]})
                    info.add_cacheData(cache, name)
                    cache.bbfile_priority[name] = priority
                answer["recipes"][name.replace(root, "@ROOT@")] = one
        holder.multiconfigs, holder.databuilder, holder.recipecaches = [mc], builder, {mc: cache}
        bb.cooker.BBCooker.handlePrefProviders(holder)
        local = base.createCopy()
        bb.data.expandKeys(local)
        for item in sorted(cache.providers):
            eligible, unique = bb.providers.filterProviders(list(cache.providers[item]), item, local, cache)
            answer["providers"][item] = eligible[0].replace(root, "@ROOT@") if eligible else None
        result[mc] = answer
    return result


def one(root, build, parts):
    try:
        return record(root, build, parts)
    except BaseException as e:
        if os.environ.get("DEBUG"):
            raise
        return refusal(e, root, parts)


def main():
    stdout, devnull = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    answers = {}
    if os.path.isdir(sys.argv[1]):
        answers["disk"] = record(os.path.realpath(os.path.join(sys.argv[1], "..")), os.path.realpath(sys.argv[1]), {})
    else:
        here = os.path.abspath(sys.argv[1])
        cases = defaultdict(dict)
        for name, data in read_txtar(here).items():
            case, _, rest = name.partition("/")
            cases[case][rest] = data
        for case, parts in cases.items():
            root = os.path.realpath(tempfile.mkdtemp())
            for rest, data in parts.items():
                rest, data = content(rest, data)
                os.makedirs(os.path.dirname(os.path.join(root, rest)), exist_ok=True)
                with open(os.path.join(root, rest), "wb") as f:
                    f.write(data)
            answers[case] = alone(one, root, os.path.join(root, "build"), parts)
            os.chdir("/")
            shutil.rmtree(root)
    os.dup2(stdout, 1)
    json.dump({"bitbake": bb.__version__, "cases": answers}, sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
