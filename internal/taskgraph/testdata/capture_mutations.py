"""Records whose signatures real BitBake changes when a line of the layers in a .txtar is edited.

Usage: python3 capture_mutations.py <folder of BitBake> <file.txtar> > mutations-<release>.jsonl
Each line: file, edit, line number (from 1), new text of the line (null = taken away), and the tasks that changed, appeared or
went, or null where BitBake refuses the metadata. The signatures of tasks with [nostamp] are made to stay the same.
"""
import json, os, re, shutil, sys, tempfile

bitbake, archive = os.path.abspath(sys.argv[1]), sys.argv[2]
sys.path.insert(0, bitbake + "/lib")
text = open(archive).read()
parts = re.split(r"^-- (.*) --\n", text, flags=re.M)
files = dict(zip(parts[1::2], parts[2::2]))
targets = files.pop("targets").split()
os.environ.clear()
top = tempfile.mkdtemp(prefix="mutations")
os.environ.update(PATH=bitbake + "/bin:/usr/bin:/bin", BBPATH=top, HOME=top, LC_ALL="C.UTF-8", LANG="C.UTF-8")
import logging, uuid
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


def signatures():
    bb.cooker.CookerParser = Serial
    c = bb.cooker.BBCooker([])
    c.configuration.env = dict(os.environ)
    c.configuration.runall, c.configuration.runonly = [], []
    for name in ("force", "invalidate_stamp", "nosetscene", "dry_run"):
        setattr(c.configuration, name, None)
    c.init_configdata()
    c.updateCache()
    data, run = c.buildTaskData(targets, "do_build", True)
    queue = bb.runqueue.RunQueue(c, c.data, c.recipecaches, data, run)
    queue.rqdata.prepare()
    out = {}
    for tid, entry in queue.rqdata.runtaskentries.items():
        mc, fn, task, taskfn = bb.runqueue.split_tid_mcfn(tid)
        out[("mc:%s:" % mc if mc else "") + c.recipecaches[mc].pkg_fn[taskfn] + ":" + task] = entry.hash
    return out


def run(changed):
    """The signatures with other texts of files, or None."""
    shutil.rmtree(top)
    for name, body in {**files, **changed}.items():
        os.makedirs(os.path.dirname(os.path.join(top, name)), exist_ok=True)
        open(os.path.join(top, name), "w").write(body)
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        os.chdir(top)
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 1), os.dup2(null, 2)
        uuid.uuid4 = lambda: "u"
        answer = None
        try:
            answer = signatures()
        except BaseException:
            pass
        os.write(w, json.dumps(answer).encode())
        os._exit(0)
    os.close(w)
    data = b""
    while True:
        more = os.read(r, 1 << 16)
        if not more:
            break
        data += more
    os.close(r)
    os.waitpid(pid, 0)
    return json.loads(data)


def edits(name, lines):
    function = False
    for i, line in enumerate(lines):
        if line == "}" or function and line and not line[0].isspace() and not function == "{":
            function = False
        if re.search(r"\)\s*{$", line):
            yield i, "comment before", "# note\n" + line
            function = "{"
            continue
        if line.startswith("def "):
            function = "def"
            continue
        if function:
            if line == "}":
                continue
            yield i, "comment in function", line + "\n" + re.match(r"\s*", line).group() + "# note"
            yield i, "space in function", line + " "
            m = re.search(r'(?<=")([^"]*)"', line)
            if m:
                yield i, "text in function", line[:m.end() - 1] + "zz" + line[m.end() - 1:]
            continue
        m = re.match(r'(?:export )?[A-Za-z0-9_:${}\[\]-]+ *(?:\?\?=|\?=|\+=|\.=|=) *"(.*)"$', line)
        if m:
            yield i, "value", line[:-1] + 'zz"' if not line.endswith(' "') else None
            yield i, "word", line[:-1] + ' ww"'
            yield i, "taken away", None
            if " ?" not in line:
                yield i, "comment before", "# note\n" + line
        elif line.startswith("addtask"):
            yield i, "taken away", None
        elif name.startswith("files/"):
            yield i, "content", line + "zz"
        elif line.startswith(("inherit", "EXPORT")):
            yield i, "taken away", None


before = run({})
assert before, "the layers are refused"
skip = re.compile(r"^(BB_CURRENT_MC|BB_SIGNATURE_HANDLER|BBPATH|BBFILE|LAYERSERIES|PN|CACHE|PERSISTENT|TMPDIR|DL_DIR|STAMP|BBLAYERS|B|T) ")
for name in files:
    if name in ("conf/bblayers.conf", "layer/conf/layer.conf"):
        continue
    lines = files[name].split("\n")[:-1]
    for i, kind, new in edits(name, lines):
        if skip.match(lines[i]):
            continue
        changed = lines[:i] + ([] if new is None else [new]) + lines[i + 1:]
        after = run({name: "".join(l + "\n" for l in changed)})
        differ = None
        if after is not None:
            differ = sorted(t for t in set(before) | set(after) if before.get(t) != after.get(t))
        print(json.dumps([name, kind, i + 1, new, differ]))
