#!/usr/bin/env python3
"""Record what BitBake makes of the build directories in a txtar file.

    PYTHONPATH=.../bitbake/lib python3 record_world.py world.txtar > world.json

Each case is a folder of the archive with a build folder in it. The answer holds the variables of each multiconfig's base
configuration, all recipes, and the provider that BitBake chooses for every name that is provided. With a folder instead of
an archive, that build directory on disk is recorded as the case "disk".
"""
import json
import logging
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

from record import read_txtar, text

logging.disable(logging.CRITICAL)

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


def taskflags(d, task, root):
    flags = {}
    for k, v in (d.getVarFlags(task) or {}).items():
        if v is not None and k not in ("filename", "lineno", "deps", "task"):
            flags[k] = text(v).replace(root, "@ROOT@")
    return flags


def record(root, build):
    os.chdir(build)
    bb.parse.clear_cache()
    bb.parse.BBHandler.cached_statements.clear()
    config = bb.cookerdata.CookerConfiguration()
    config.env = {k: os.environ[k] for k in bb.utils.approved_variables() if k in os.environ}
    builder = bb.cookerdata.CookerDataBuilder(config, True)
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
        for fn in files:
            appends = collect.get_file_appends(fn)
            priority, _, layer = collect.calc_bbfile_priority(fn)
            try:
                stores = builder.parseRecipeVariants(fn, appends, mc=mc, layername=layer)
            except BaseException as e:
                answer["recipes"][bb.cache.realfn2virtual(fn, "", mc).replace(root, "@ROOT@")] = {"error": type(e).__name__}
                continue
            for variant, d in stores.items():
                name = bb.cache.realfn2virtual(fn, variant, mc)
                info = bb.cache.CoreRecipeInfo(fn, d)
                one = {"pn": info.pn, "provides": info.provides, "rprovides": info.rprovides, "packages": info.packages,
                       "layer": layer, "priority": priority, "appends": [a.replace(root, "@ROOT@") for a in appends],
                       "skip": info.skipreason}
                if not info.skipped:
                    deps = d.getVar("_task_deps", False)
                    one.update(pv=info.pv, pr=info.pr, pe=info.pe, depends=info.depends, rdepends=info.rdepends,
                               inherits=[i.replace(root, "@ROOT@") for i in info.inherits], tasks=deps["tasks"],
                               parents=deps["parents"], vars=variables(d.createCopy(), root),
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


def main():
    stdout, devnull = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    answers = {}
    if os.path.isdir(sys.argv[1]):
        answers["disk"] = record(os.path.realpath(os.path.join(sys.argv[1], "..")), os.path.realpath(sys.argv[1]))
    else:
        here = os.path.abspath(sys.argv[1])
        cases = defaultdict(dict)
        for name, content in read_txtar(here).items():
            case, _, rest = name.partition("/")
            cases[case][rest] = content
        for case, parts in cases.items():
            root = os.path.realpath(tempfile.mkdtemp())
            for rest, content in parts.items():
                os.makedirs(os.path.dirname(os.path.join(root, rest)), exist_ok=True)
                with open(os.path.join(root, rest), "w", encoding="utf-8", newline="\n") as f:
                    f.write(content)
            try:
                answers[case] = record(root, os.path.join(root, "build"))
            except BaseException as e:
                answers[case] = {"error": type(e).__name__}
                if os.environ.get("DEBUG"):
                    raise
            os.chdir("/")
            shutil.rmtree(root)
    os.dup2(stdout, 1)
    json.dump({"bitbake": bb.__version__, "cases": answers}, sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
