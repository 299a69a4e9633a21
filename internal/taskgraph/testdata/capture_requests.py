"""Records what graphs real BitBake makes for requests: replaces the sections below want/ of a .txtar.

Usage: python3 capture_requests.py <folder of BitBake> <release, e.g. 2.8> <file.txtar>
A request is: halt|keepgoing|incomplete [runall=TASK] [runonly=TASK] [task=TASK] TARGET...; the answer is the list of edges and of
tasks, or "refused". "keepgoing" is -k, "incomplete" is -g.
"""
import json, os, re, shutil, sys, tempfile

REQUESTS = """
good | leaf | good leaf | assuming | missing | rmissing | recmissing | taskmissing | rtaskmissing | above | above-r | above good | above-r good
picker | virtual/pick | fallback | virtual/broken | broken-b | rpicker | rpick | conflicting | conflicting good | dynuser | skipped | needs-skipped | needs-skipped good
both | mcuser | mcmissing | mcmissing good | mctask | notask | notask good | outside | outside good | host-thing | nowhere | nowhere good | missing above good
good:do_fetch | good:do_fetch leaf:do_build | good:do_nothing | mc:two:good | multiconfig:two:good leaf | mc:*:good | mc:*:good leaf | mc:*:good:do_fetch | mc:four:good | mc:two:good mc:*:leaf
mc:*:leaf mc:two:good | mc::leaf | runall=fetch good | runall=do_special extra | runall=special good | runall=special extra2 | runall=listtasks good picker | runonly=fetch good | runonly=install good | runonly=special extra
runonly=nothing good | runall=fetch runonly=fetch good | runall=special runall=listtasks extra | task=fetch good leaf | task=do_special extra | task=special good | task=install- good | good:do_install- | task=listtasks good
circle-a | circle-a:do_fetch | circle-b good | nothing | uses-versions | versions | uses-versions good | world | universe | task=special world | task=special universe | task=fetch world | mc:two:world
"""

bitbake, release, archive = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
sys.path.insert(0, bitbake + "/lib")
text = open(archive).read()
parts = re.split(r"^-- (.*) --\n", text, flags=re.M)
files = {n: b for n, b in zip(parts[1::2], parts[2::2]) if not n.startswith("want/")}
os.environ.clear()
top = tempfile.mkdtemp(prefix="requests")
os.environ.update(PATH=bitbake + "/bin:/usr/bin:/bin", BBPATH=top, HOME=top, LC_ALL="C.UTF-8", LANG="C.UTF-8")
for name, body in files.items():
    os.makedirs(os.path.dirname(os.path.join(top, name)), exist_ok=True)
    open(os.path.join(top, name), "w").write(body)
open(top + "/conf/local.conf", "w")
os.chdir(top)
import logging
logging.disable(logging.CRITICAL)
import bb, bb.cooker, bb.cookerdata, bb.taskdata, bb.runqueue, bb.siggen, bb.cache, bb.fetch2, bb.codeparser, bb.server.process


class Serial:
    """Parses in this process."""
    def __init__(self, cooker, filelist, masked):
        self.cooker, self.mcfilelist, self.error = cooker, filelist, 0
        bb.codeparser.parser_cache_init(cooker.data.getVar("CACHE"))

    def parse_next(self):
        c = self.cooker
        caches = bb.cache.MulticonfigCache(c.databuilder, c.databuilder.data_hash, c.caches_array)
        for mc in c.multiconfigs:
            for fn in self.mcfilelist[mc]:
                layer = c.collections[mc].calc_bbfile_priority(fn)[2]
                for name, info in caches[mc].parse(fn, c.collections[mc].get_file_appends(fn), layer):
                    if not info[0].skipped:
                        fn, variant, _ = bb.cache.virtualfn2realfn(name)
                        c.recipecaches[mc].add_from_recipeinfo(bb.cache.realfn2virtual(fn, variant, mc), info)
        return False

    def shutdown(self, *a, **k):
        pass
    final_cleanup = shutdown


bb.cooker.CookerParser = Serial
c = bb.cooker.BBCooker([])
c.configuration.env = dict(os.environ)
for name in ("force", "invalidate_stamp", "nosetscene", "dry_run"):
    setattr(c.configuration, name, None)
c.init_configdata()
c.updateCache()


def graph(mode, words):
    c.configuration.runall, c.configuration.runonly, task, targets = [], [], "build", []
    for w in words:
        key, _, value = w.partition("=")
        if key in ("runall", "runonly"):
            getattr(c.configuration, key).append(value)
        elif key == "task":
            task = value
        else:
            targets.append(w)
    data, run = c.buildTaskData(targets, task if task.startswith("do_") else "do_" + task, mode == "halt", mode == "incomplete")
    queue = bb.runqueue.RunQueue(c, c.data, c.recipecaches, data, run)
    queue.rqdata.prepare()

    def name(tid):
        mc, _, task, fn = bb.runqueue.split_tid_mcfn(tid)
        return ("mc:%s:" % mc if mc else "") + c.recipecaches[mc].pkg_fn[fn] + "_" + c.recipecaches[mc].pkg_pepvpr[fn][1] + "." + task
    entries = queue.rqdata.runtaskentries
    return sorted(name(t) for t in entries), sorted(name(t) + " -> " + name(d) for t in entries for d in entries[t].depends)


def run(mode, words):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 1), os.dup2(null, 2)
        try:
            answer = graph(mode, words)
        except BaseException:
            answer = None
        os.write(w, json.dumps(answer).encode())
        os._exit(0)
    os.close(w)
    data = b""
    while more := os.read(r, 1 << 16):
        data += more
    os.waitpid(pid, 0)
    return json.loads(data)


out = ""
for request in REQUESTS.replace("\n", "|").split("|"):
    for mode in ("halt", "keepgoing", "incomplete"):
        if words := request.split():
            answer = run(mode, words)
            out += mode + " " + " ".join(words) + "\n"
            if answer is None:
                out += "\trefused\n"
            else:
                edges = "; ".join(answer[1])
                out += "\ttasks " + " ".join(answer[0]) + "\n\tedges " + edges + "\n"
section = "want/" + release
kept = {n: b for n, b in zip(parts[1::2], parts[2::2]) if n != section}
kept[section] = out
open(archive, "w").write(parts[0] + "".join("-- %s --\n%s" % (n, b) for n, b in kept.items()))
shutil.rmtree(top)
