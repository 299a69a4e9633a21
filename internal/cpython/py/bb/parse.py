# SPDX-License-Identifier: MIT
"""What metadata uses of BitBake's parser."""

import errno
import os

import bb
from n3x import wire


class ParseError(Exception):
    def __init__(self, msg, filename, lineno=0):
        self.msg, self.filename, self.lineno = msg, filename, lineno
        super().__init__(msg, filename, lineno)

    def __str__(self):
        if self.lineno:
            return "ParseError at %s:%d: %s" % (self.filename, self.lineno, self.msg)
        return "ParseError in %s: %s" % (self.filename, self.msg)


class SkipRecipe(Exception):
    """The recipe is not for this configuration."""


class SkipPackage(SkipRecipe):
    pass


def mark_dependency(d, f):
    if f.startswith("./"):
        f = os.path.join(os.getcwd(), f[2:])
    wire.call("call", "mark", d._n3x, f)


def resolve_file(fn, d):
    if os.path.isabs(fn):
        mark_dependency(d, fn)
    else:
        bbpath = d.getVar("BBPATH")
        found, tried = bb.utils.which(bbpath, fn, history=True)
        for path in tried:
            mark_dependency(d, path)
        if not found:
            raise OSError(errno.ENOENT, "file %s not found in %s" % (fn, bbpath))
        fn = found
    if not os.path.isfile(fn):
        raise OSError(errno.ENOENT, "file %s not found" % fn)
    return fn


def vars_from_file(mypkg, d):
    if not mypkg or not mypkg.endswith((".bb", ".bbappend")):
        return (None, None, None)
    parts = os.path.splitext(os.path.basename(mypkg))[0].split("_")
    if len(parts) > 3:
        raise ParseError("Unable to generate default variables from filename (too many underscores)", mypkg)
    return parts + [None] * (3 - len(parts))


def _adds(attribute):
    def decorator(*varnames):
        def inner(f):
            setattr(f, attribute, getattr(f, attribute, set()) | set(varnames))
            return f
        return inner
    return decorator


vardeps = _adds("bb_vardeps")
vardepsexclude = _adds("bb_vardepsexclude")


def supports(fn, data):
    return fn.endswith((".bb", ".bbclass", ".inc", ".conf", ".bbappend"))


class _Siggen:
    """Signatures are computed by n3x: metadata can hold this, and not use it."""

    def __bool__(self):
        return True

    def __getattr__(self, name):
        raise AttributeError("n3x computes signatures itself: bb.parse.siggen.%s does not exist" % name)


siggen = _Siggen()
