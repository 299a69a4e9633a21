# SPDX-License-Identifier: MIT
"""Modules of n3x come from memory. What they lack comes from a real BitBake library, when there is one on disk."""

import importlib.machinery
import importlib.util
import os
import sys
import types

OURS = "<n3x>/"


class Finder:
    """Finds the modules that n3x carries."""

    def __init__(self, sources, libraries):
        self.sources = sources
        self.libraries = libraries
        self.real = {}

    def find_spec(self, name, path=None, target=None):
        file = name.replace(".", "/")
        for candidate, package in ((file + "/__init__.py", True), (file + ".py", False)):
            if candidate in self.sources:
                spec = importlib.machinery.ModuleSpec(name, self, origin=OURS + candidate, is_package=package)
                if package:
                    spec.submodule_search_locations = [os.path.join(lib, file) for lib in self.libraries]
                return spec
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        origin = module.__spec__.origin
        source = self.sources[origin[len(OURS):]]
        module.__file__ = origin
        exec(compile(source, origin, "exec"), module.__dict__)
        name = module.__name__
        if name.split(".")[0] == "bb" and "__getattr__" not in module.__dict__:
            module.__getattr__ = lambda attr: self.borrow(name, attr)

    def borrow(self, name, attr):
        """An attribute that a module of ours lacks, from BitBake's own module of that name."""
        if attr.startswith("__"):
            raise AttributeError("module %r has no attribute %r" % (name, attr))
        real = self.load_real(name)
        if real is None:
            raise AttributeError("n3x has no %s.%s, and there is no BitBake library on disk that has it" % (name, attr))
        return getattr(real, attr)

    def load_real(self, name):
        if name in self.real:
            return self.real[name]
        self.real[name] = None
        file = name.replace(".", "/")
        for library in self.libraries:
            for candidate in (file + "/__init__.py", file + ".py"):
                path = os.path.join(library, candidate)
                if os.path.exists(path):
                    return self.load(name, path)
        return None

    def load(self, name, path):
        """Run the module's file without giving it the name's place in sys.modules."""
        module = types.ModuleType(name)
        self.real[name] = module  # before it runs, since its submodules may ask for parts of it
        module.__file__ = path
        module.__package__ = name if path.endswith("/__init__.py") else name.rpartition(".")[0]
        if path.endswith("/__init__.py"):
            module.__path__ = [os.path.dirname(path)]
        with open(path, "rb") as f:
            exec(compile(f.read(), path, "exec"), module.__dict__)
        return module


BUNDLED = ("bs4", "codegen", "hashserv", "layerindexlib", "ply", "progressbar", "prserv", "simplediff", "toaster")


class Refused:
    """Something of a module that comes with BitBake: it can be imported and named, but not used."""

    def __init__(self, name):
        self.__dict__["n3x_name"] = name

    def _refuse(self, *args, **kwargs):
        raise NotImplementedError("%s comes with BitBake, and there is no BitBake library on disk" % self.n3x_name)

    __call__ = __getattr__ = __setattr__ = __iter__ = __getitem__ = _refuse


class Missing:
    """Says what to do about a part of BitBake that nobody has."""

    def __init__(self, libraries):
        self.libraries = libraries

    def find_spec(self, name, path=None, target=None):
        if name.startswith("bb."):
            where = "nor has the BitBake library in " + ", ".join(self.libraries) if self.libraries else "and there is no BitBake library on disk"
            raise ModuleNotFoundError("n3x has no module %s, %s" % (name, where), name=name)
        if name.split(".")[0] in BUNDLED:
            return importlib.machinery.ModuleSpec(name, self, origin=OURS + name, is_package=True)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        def refused(attr):
            if attr.startswith("__"):
                raise AttributeError(attr)
            return Refused(module.__name__ + "." + attr)
        module.__getattr__ = refused


def start(world, stream):
    for fd in (3, 4):
        os.set_inheritable(fd, False)
    finder = Finder(world["sources"], world["libraries"])
    sys.path.extend(world["libraries"])
    sys.meta_path.insert(0, finder)
    sys.meta_path.append(Missing(world["libraries"]))
    from n3x import host
    host.run(world, stream)
