# SPDX-License-Identifier: MIT
"""The loop that carries out what the other side asks for: evaluate an expression, run a body."""

import builtins
import linecache
import os
import sys
from collections import OrderedDict

from n3x import names, programs, store, watch, wire

codes = OrderedDict()  # compiled expressions and bodies
CODES = 10_000
depth = 0              # evaluations that are running, one inside of another
world = {}
told = ()              # the layers' modules that the other side knows of
foreign = ()           # prefixes of files in which no metadata's code stands


def run(description, stream):
    global foreign
    world.update(description)
    wire.stream, wire.handle = stream, handle
    os.register_at_fork(after_in_child=wire.after_fork)
    os.umask(0o022)
    try:
        os.setpgid(0, 0)
    except OSError:
        pass
    if world["pycache"]:
        sys.pycache_prefix, sys.dont_write_bytecode = world["pycache"], False
    sys.setrecursionlimit(4000)
    limit_machine()
    if world["runs"]:
        programs.install()
    watch.install(world)
    foreign = ("<n3x>/", "<frozen", "<string>") + watch.ignored
    for name in world["functions"]:
        names.functions[name] = names.remote(name)
    import bb
    builtins.bb, builtins.os = bb, os  # as BitBake does: modules of layers rely on it
    attach()
    settle()
    wire.send(("ready", os.getpid(), "%d.%d.%d" % sys.version_info[:3]))
    while True:
        handle(wire.receive())


def limit_machine():
    """Show the machine as the other side wants it to be seen."""
    if world["cpus"]:
        os.cpu_count = lambda: world["cpus"]
        os.sched_getaffinity = lambda pid: set(range(world["cpus"]))
    if world["pages"]:
        real = os.sysconf
        os.sysconf = lambda name: world["pages"] if name in ("SC_PHYS_PAGES", os.sysconf_names["SC_PHYS_PAGES"]) else real(name)


def attach():
    """Put the other side's functions into the modules that they belong to."""
    import importlib
    for name, function in names.functions.items():
        module, _, attr = name.rpartition(".")
        if module:
            try:
                setattr(importlib.import_module(module), attr, function)
            except ImportError:
                pass


def settle():
    """The state in which an outermost evaluation begins."""
    watch.set_environment(world["environ"])
    if world["cwd"]:
        try:
            os.chdir(world["cwd"])
        except OSError:
            pass
    names.reset_path()


def handle(message):
    kind = message[0]
    if kind == "eval" or kind == "exec":
        evaluate(message)
    elif kind == "def":
        names.definitions[message[1]] = names.Definition(*message[2:])
    elif kind == "lib":
        names.libraries[message[1]] = (message[2], tuple(message[3]))
    elif kind == "paths":
        names.paths[message[1]] = (tuple(message[2]), tuple(message[3]))
    elif kind == "inject":
        names.inject(message[1], message[2])
    else:
        raise RuntimeError("unknown message %r" % (kind,))


def evaluate(message):
    global depth
    kind, text, file, line, name, library, handle, paths, event = message
    before = names.current
    depth += 1
    outer, watch.active = watch.active, True
    recursion = None
    try:
        if depth == 1:
            names.use_paths(paths)
        scope = names.namespace(library)
        names.enter(scope)
        d = store.of(handle)
        if kind == "eval":
            result = ("done", eval_text(text, file, line, name, scope, d))
        else:
            exec_body(text, file, line, name, scope, d, event)
            result = ("done", "")
        if store.held:
            store.settle()
    except BaseException as e:
        result = failure(e, file, line, text)
    finally:
        names.current = before
        watch.active = outer
        depth -= 1
    finish(result)


def finish(result):
    global told
    if depth:
        wire.send(result + (None, None))
        return
    seen = watch.take()
    files = names.layer_modules()
    if files == told:
        files = None
    else:
        told = files
    store.handles.clear()
    store.held.clear()
    settle()
    sys.stdout.flush()
    sys.stderr.flush()
    wire.send(result + (seen, files))


def code_of(kind, text, file, line, make):
    key = kind, text, file, line
    code = codes.get(key)
    if code is None:
        code = make()
        codes[key] = code
        if len(codes) > CODES:
            codes.popitem(last=False)
    return code


class NotPython(Exception):
    """The text itself cannot be compiled."""


def compile_text(*args):
    try:
        return names.compiled(*args)
    except (SyntaxError, ValueError) as e:
        raise NotPython(e) from None


class Names(dict):
    """The local names of ${@...}: `d`, and the variables of the datastore."""

    def __init__(self, d, scope):
        super().__init__(d=d)
        self.store, self.scope = d, scope

    def __missing__(self, key):
        if key in self.scope.packages or key in names.waiting:
            return self.scope[key]
        if key in names.BUILTINS or key in self.scope:
            raise KeyError(key)
        value = self.store.getVar(key)
        if value is None:
            raise KeyError(key)
        return value


def eval_text(text, file, line, name, scope, d):
    stripped = text.lstrip()
    line += text[:len(text) - len(stripped)].count("\n")
    code = code_of("eval", text, file, line, lambda: compile_text(stripped.rstrip(), file or "Var <%s>" % name, line, "eval"))
    everywhere = names.Scope(scope)
    everywhere.packages = scope.packages
    everywhere["d"] = d
    return str(eval(code, everywhere, Names(d, scope)))


def exec_body(text, file, line, name, scope, d, event):
    function = name if name.isidentifier() else "__anon"
    params = "d" if event is None else "e, d"
    code = code_of(function + params, text, file, line,
                   lambda: compile_text(text, file or name, line, "exec", "def %s(%s):\n" % (function, params)))
    local = {}
    exec(code, scope, local)
    if event is None:
        local[function](d)
    else:
        import bb
        local[function](bb.event.n3x_make(event, d), d)


def failure(e, file, line, text):
    """What the other side is told of an exception: ("fail", kind, type, text, file, line, token)."""
    import bb
    token = getattr(e, "n3x_token", -1)
    if isinstance(e, NotPython):
        inner = e.args[0]
        return ("fail", "syntax", type(inner).__name__, getattr(inner, "msg", None) or str(inner), file, getattr(inner, "lineno", None) or line, token)
    where = position(e, file, line)
    if isinstance(e, bb.parse.SkipRecipe):
        return ("fail", "skip", "SkipRecipe", message(e), *where, token)
    if isinstance(e, bb.BBHandledException):
        return ("fail", "fatal", type(e).__name__, getattr(e, "n3x_text", None) or message(e), *where, token)
    return ("fail", "exception", type(e).__name__, message(e), *where, token)


def message(e):
    try:
        return str(e)
    except Exception as other:
        return "<%s while the text of a %s was made>" % (type(other).__name__, type(e).__name__)


def position(e, file, line):
    """The innermost line of metadata, or of a layer's module, that the exception went through."""
    found = file, line
    tb = e.__traceback__
    while tb is not None:
        name = tb.tb_frame.f_code.co_filename
        if not name.startswith(foreign):
            found = name, tb.tb_lineno
        tb = tb.tb_next
    if isinstance(e, SyntaxError) and e.filename and not e.filename.startswith("<"):
        found = e.filename, e.lineno or 0
    linecache.clearcache()
    return found
