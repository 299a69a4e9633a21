#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Record everything that BitBake computes for a build folder, as JSON lines on standard output.

    record.py BITBAKE_DIR BUILD_DIR [MULTICONFIG...]

Without names all multiconfigs are recorded. Texts are written once ("s": number and text) and named by number from then
on. The clock that metadata sees stands still, so that a second reader can use the same one. Nothing is built.
"""
import builtins
import io
import json
import logging
import os
import sys
import time
import uuid

NOW = 1700000000  # what the clock says
PID = 4242  # and os.getpid()
UUID = "c0ffee00-1111-4222-8333-444455556666"  # and uuid.uuid4()


def stop_the_clock():
    gmtime, localtime, strftime = time.gmtime, time.localtime, time.strftime
    time.gmtime = lambda s=None: gmtime(NOW if s is None else s)
    time.localtime = lambda s=None: localtime(NOW if s is None else s)
    time.strftime = lambda f, t=None: strftime(f, localtime(NOW) if t is None else t)
    time.time = lambda: float(NOW)
    os.getpid = lambda: PID


def freeze():
    """Random numbers and free memory do not change either. Gives the text of /proc/meminfo."""
    with open("/proc/meminfo") as f:
        meminfo = f.read()
    real = builtins.open
    builtins.open = lambda name, *a, **k: io.StringIO(meminfo) if name == "/proc/meminfo" else real(name, *a, **k)
    uuid.uuid4 = lambda: uuid.UUID(UUID)
    return meminfo


class Writer:
    """Writes one JSON object a line; texts become numbers."""

    def __init__(self, stream):
        self.stream, self.texts = stream, {}

    def line(self, **what):
        self.stream.write(json.dumps(what, ensure_ascii=False, separators=(",", ":")) + "\n")

    def text(self, value):
        """A text's number; -1 is None."""
        if value is None:
            return -1
        value = str(value)
        n = self.texts.get(value)
        if n is None:
            n = self.texts[value] = len(self.texts)
            self.line(s=n, t=value)
        return n


class Messages(logging.Handler):
    """Collects what BitBake logs from warnings on."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.seen = []

    def emit(self, record):
        try:
            self.seen.append((record.levelname, record.getMessage()))
        except Exception as e:
            self.seen.append((record.levelname, "cannot be shown: %s" % e))


HIDDEN = ("BB_ORIGENV", "BBINCLUDED", "__depends", "__base_depends")  # environment and files; files are written apart


def value(w, get):
    try:
        return w.text(get())
    except Exception as e:
        return "!" + type(e).__name__


def variables(w, d):
    """Of each variable: number of the name, unexpanded and expanded value, flags."""
    out = []
    for key in sorted(d.keys()):
        if key in HIDDEN:
            continue
        flags = d.getVarFlags(key, False) or {}
        out.append([w.text(key), value(w, lambda: d.getVar(key, False)), value(w, lambda: d.getVar(key)),
                    {str(k): w.text(v) for k, v in sorted(flags.items(), key=str) if v is not None}])
    return out


def files(d):
    found = (d.getVar("__depends", False) or []) + (d.getVar("__base_depends", False) or [])
    return sorted({f for f, _ in found})


class Recorder:
    def __init__(self, w):
        self.w, self.messages = w, Messages()
        logging.getLogger("BitBake").addHandler(self.messages)
        logging.getLogger("BitBake").setLevel(logging.WARNING)

    def recipe(self, mc, fn, appends, layer, priority, variant, d, cache):
        import bb.cache
        name = bb.cache.realfn2virtual(fn, variant, mc)
        info = bb.cache.CoreRecipeInfo(fn, d)
        one = {"name": name, "pn": info.pn, "layer": layer, "priority": priority, "appends": appends, "skip": info.skipreason,
               "provides": info.provides, "rprovides": info.rprovides, "packages": info.packages,
               "packages_dynamic": info.packages_dynamic if not info.skipped else [], "files": files(d)}
        if not info.skipped:
            deps = d.getVar("_task_deps", False) or {"tasks": [], "parents": {}}
            one.update(pv=info.pv, pr=info.pr, pe=info.pe, depends=info.depends, inherits=list(info.inherits), tasks=deps["tasks"],
                       parents=deps["parents"], preference=int(info.defaultpref), world=bool(info.not_world),
                       rdepends={k: v for k, v in info.rdepends_pkg.items() if v}, rrecommends={k: v for k, v in info.rrecommends_pkg.items() if v},
                       rdepends_all=info.rdepends, rrecommends_all=info.rrecommends)
            info.add_cacheData(cache, name)
            cache.bbfile_priority[name] = priority
        one["vars"] = variables(self.w, d.createCopy())
        self.w.line(mc=mc, recipe=one)

    def multiconfig(self, builder, priorities, mc):
        import bb.cache
        import bb.cooker
        import bb.data
        import bb.providers
        base = builder.mcdata[mc]
        collect = bb.cooker.CookerCollectFiles(priorities, mc)
        found, _, _ = collect.collect_bbfiles(base, base)
        self.w.line(mc=mc, base={"vars": variables(self.w, base.createCopy()), "files": files(base)})
        cache = bb.cache.CacheData([bb.cache.CoreRecipeInfo])
        for fn in found:
            appends = collect.get_file_appends(fn)
            priority, _, layer = collect.calc_bbfile_priority(fn)
            before = len(self.messages.seen)
            try:
                stores = builder.parseRecipeVariants(fn, appends, mc=mc, layername=layer)
            except BaseException as e:
                if isinstance(e, KeyboardInterrupt):
                    raise
                text = str(e) or "\n".join(m for _, m in self.messages.seen[before:])
                self.w.line(mc=mc, recipe={"name": bb.cache.realfn2virtual(fn, "", mc), "error": type(e).__name__, "text": text})
                continue
            for variant, d in stores.items():
                self.recipe(mc, fn, appends, layer, priority, variant, d, cache)
        self.providers(builder, priorities, mc, base, cache)

    def providers(self, builder, priorities, mc, base, cache):
        import bb.cooker
        import bb.data
        import bb.providers
        holder = type("Holder", (), {})()
        holder.data, holder.multiconfigs, holder.databuilder, holder.recipecaches = builder.data, [mc], builder, {mc: cache}
        bb.cooker.BBCooker.handlePrefProviders(holder)
        local = base.createCopy()
        bb.data.expandKeys(local)
        chosen, runtime = {}, {}
        for item in sorted(cache.providers):
            eligible, _ = bb.providers.filterProviders(list(cache.providers[item]), item, local, cache)
            chosen[item] = eligible[0] if eligible else None
        self.w.line(mc=mc, providers=chosen)

    def run(self, build, only):
        import bb.cooker
        import bb.cookerdata
        import bb.utils
        environment = dict(os.environ)
        config = bb.cookerdata.CookerConfiguration()
        config.env = environment
        self.w.line(bitbake=bb.__version__, build=build, now=NOW, pid=PID, uuid=UUID, python=sys.executable, meminfo=freeze(), env=environment, cpus=len(os.sched_getaffinity(0)))
        bb.utils.clean_environment()
        builder = bb.cookerdata.CookerDataBuilder(config, False)
        try:
            builder.parseBaseConfiguration()
        except BaseException as e:
            text = str(e) or "\n".join(m for _, m in self.messages.seen)
            self.w.line(error=type(e).__name__, text=text)
        else:
            holder = type("Holder", (), {})()
            holder.data = builder.data
            bb.cooker.BBCooker.handleCollections(holder, builder.data.getVar("BBFILE_COLLECTIONS"))
            self.w.line(multiconfigs=list(builder.mcdata), priorities=[[p[0], p[1], p[3]] for p in holder.bbfile_config_priorities])
            for mc in builder.mcdata:
                if not only or mc in only or (mc == "" and "default" in only):
                    self.multiconfig(builder, holder.bbfile_config_priorities, mc)
        self.w.line(messages=sorted(set(self.messages.seen)))


def main():
    bitbake, build = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2])
    sys.path.insert(0, os.path.join(bitbake, "lib"))
    out, devnull = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.chdir(build)
    started = os.times()
    import bb
    import bb.event
    stop_the_clock()
    bb.event.print_ui_queue = lambda: None
    with os.fdopen(out, "w", encoding="utf-8", errors="surrogateescape") as stream:
        w = Writer(stream)
        Recorder(w).run(build, set(sys.argv[3:]))
        spent = os.times()
        w.line(cpu=round(spent.user + spent.system + spent.children_user + spent.children_system - started.user - started.system, 2))


if __name__ == "__main__":
    main()
