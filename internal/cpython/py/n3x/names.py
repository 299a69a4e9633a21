# SPDX-License-Identifier: MIT
"""What metadata's code sees: functions of classes and recipes, BitBake's modules, and the modules of layers."""

import builtins
import importlib
import importlib.util
import os
import sys
import time
import types
from collections import OrderedDict
from collections.abc import MutableMapping

from n3x import wire

definitions = {}      # number -> Definition
libraries = {0: (0, ())}  # number -> (parent's number, numbers of its definitions)
namespaces = OrderedDict()  # (library, paths) -> dict; the last used come last
KEPT = 24

paths = {0: ((), ())}  # number -> (folders, ((folder, namespace) ...))
current_paths = 0
stash = {}            # number of paths -> modules imported under them
base_path = list(sys.path)
waiting = {}          # the same by others: name -> module's name, imported when it is first used
injected = {}         # by bb.utils._context[name] = value
functions = {}        # provided by the other side: name -> callable
current = {}          # the namespace of the evaluation that is running
BUILTINS = frozenset(n for n in dir(builtins) if not n.startswith("_")) | {"oe"}


class Definition:
    """One `def` block, compiled when it is first needed."""

    def __init__(self, file, line, source):
        self.file, self.line, self.source = file, line, source
        self.compiled = None

    def code(self):
        if self.compiled is None:
            self.compiled = compiled(self.source, self.file, self.line, "exec")
        return self.compiled


def compiled(text, file, line, mode, header=""):
    """Compile text, whose first line is line of file; header is a line to put before it."""
    lead = line - 1 - header.count("\n")
    if lead >= 0:
        return compile("\n" * lead + header + text, file, mode, dont_inherit=True)
    import ast
    tree = ast.increment_lineno(compile(header + text, file, mode, ast.PyCF_ONLY_AST, dont_inherit=True), lead)
    return compile(tree, file, mode, dont_inherit=True)


def chain(library):
    found = []
    while library:
        library, defs = libraries[library]
        found.append(defs)
    for defs in reversed(found):
        for number in defs:
            yield definitions[number]


class Lazy(types.ModuleType):
    """Makes the modules of a package visible as its attributes without an import statement, as BBIMPORTS does."""

    def __getattr__(self, name):
        if name.startswith("__") or importlib.util.find_spec(self.__name__ + "." + name) is None:
            raise AttributeError("module %r has no attribute %r" % (self.__name__, name))
        return importlib.import_module(self.__name__ + "." + name)


def package(name):
    """A package of the layers, or None."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as e:
        if e.name == name:
            return None
        raise
    if type(module) is types.ModuleType and hasattr(module, "__path__") and "__getattr__" not in module.__dict__:
        module.__class__ = Lazy
    return module


class Scope(dict):
    """The globals of metadata's code; packages of layers appear in it when they are first named."""

    packages = frozenset()

    def __missing__(self, key):
        if key in self.packages or key in waiting:
            module = package(waiting.get(key, key))
            if module is not None:
                self[key] = module
                return module
        raise KeyError(key)


def namespace(library):
    key = library, current_paths
    scope = namespaces.get(key)
    if scope is None:
        import bb
        scope = Scope(bb=bb, os=os, time=time, sys=sys, __builtins__=builtins)
        scope.packages = frozenset({"oe"}.union(name for _, name in paths[current_paths][1]))
        for definition in chain(library):
            exec(definition.code(), scope)
        for name, function in functions.items():
            if "." not in name:
                scope[name] = function
        namespaces[key] = scope
        if len(namespaces) > KEPT:
            namespaces.popitem(last=False)
    namespaces.move_to_end(key)
    for name, value in injected.items():
        scope.setdefault(name, value)
    return scope


def enter(scope):
    """Make scope the namespace that bb.utils.get_context() gives; returns the one before."""
    global current
    before, current = current, scope
    return before


def use_paths(number):
    """Look for modules where this evaluation's layers have them. Each set of folders has its own modules."""
    global current_paths
    if number == current_paths:
        return
    mine = tuple(p.rstrip("/") + "/" for p in paths[current_paths][0])
    if mine:
        taken = {}
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and file.startswith(mine):
                taken[name] = sys.modules.pop(name)
        stash[current_paths] = taken
    current_paths = number
    sys.modules.update(stash.pop(number, {}))
    importlib.invalidate_caches()
    reset_path()


def reset_path():
    wanted = base_path + [p for p in paths[current_paths][0] if p not in base_path]
    if sys.path != wanted:
        sys.path[:] = wanted


loaded = (None, ())  # what layer_modules found: (number of modules and of paths, files)


def layer_modules():
    """The files of the layers' modules that are loaded."""
    global loaded
    state = len(sys.modules), current_paths
    if loaded[0] != state:
        loaded = state, find_layer_modules()
    return loaded[1]


def find_layer_modules():
    mine = tuple(p.rstrip("/") + "/" for p in paths[current_paths][0])
    if not mine:
        return ()
    return [m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None) and m.__file__.startswith(mine)]


class Context(MutableMapping):
    """bb.utils._context. What is put here stays for later evaluations, as in BitBake."""

    def __getitem__(self, key):
        return current[key]

    def __setitem__(self, key, value):
        if key not in injected or injected[key] is not value:
            injected[key] = value
            if isinstance(value, types.ModuleType):
                wire.send(("inject", key, value.__name__))
        current[key] = value

    def __delitem__(self, key):
        injected.pop(key, None)
        del current[key]

    def __iter__(self):
        return iter(current)

    def __len__(self):
        return len(current)


context = Context()


imported = set()  # the paths whose packages have been imported as a whole


def import_all():
    """Import what addpylib does in BitBake: each package and the modules of its BBIMPORTS."""
    if current_paths in imported:
        return
    imported.add(current_paths)
    for _, name in paths[current_paths][1]:
        module = package(name)
        for one in getattr(module, "BBIMPORTS", ()):
            importlib.import_module(name + "." + one)


def inject(name, module):
    """What another process has put into bb.utils._context."""
    waiting[name] = module


def remote(name):
    """A function of the other side."""
    def function(*args, **kwargs):
        try:
            return wire.call("call", "func", name, [sent(a) for a in args], {k: sent(v) for k, v in kwargs.items()})
        except wire.Error as e:
            from n3x import store
            raised = store.exception(e, name)
        raise raised
    function.__name__ = function.__qualname__ = name.rpartition(".")[2]
    return function


def sent(value):
    from n3x import store
    if isinstance(value, store.DataSmart):
        return {"\0d": value._n3x}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [sent(v) for v in value]
    if isinstance(value, dict):
        return {str(k): sent(v) for k, v in value.items()}
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, str):
        return str(value)
    raise TypeError("n3x cannot pass a %s to this function" % type(value).__name__)
