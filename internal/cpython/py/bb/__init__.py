# SPDX-License-Identifier: MIT
"""The part of BitBake's library that metadata uses, by n3x. What is missing here comes from a real BitBake library."""

import importlib
import logging
import multiprocessing as _mp
import sys

from n3x import host as _host
from n3x import wire as _wire

__version__ = _host.world["version"]


class BBHandledException(Exception):
    """Ends an evaluation whose error has been shown already."""


class _Logger(logging.getLoggerClass()):
    """A logger with BitBake's further levels."""

    def bbdebug(self, level, msg, *args, **kwargs):
        self.log(logging.DEBUG - level + 1, msg, *args, **kwargs)

    def debug(self, *args, **kwargs):
        self.bbdebug(1, *args, **kwargs)

    def debug2(self, *args, **kwargs):
        self.bbdebug(2, *args, **kwargs)

    def debug3(self, *args, **kwargs):
        self.bbdebug(3, *args, **kwargs)

    def plain(self, msg, *args, **kwargs):
        self.log(logging.INFO + 1, msg, *args, **kwargs)

    def verbnote(self, msg, *args, **kwargs):
        self.log(logging.INFO + 2, msg, *args, **kwargs)

    def verbose(self, msg, *args, **kwargs):
        self.log(logging.INFO - 1, msg, *args, **kwargs)

    def warnonce(self, msg, *args, **kwargs):
        self.log(logging.WARNING - 1, msg, *args, **kwargs)

    def erroronce(self, msg, *args, **kwargs):
        self.log(logging.ERROR - 1, msg, *args, **kwargs)


def _level(number):
    if number >= logging.CRITICAL:
        return "fatal"
    if number >= logging.ERROR - 1:
        return "error"
    if number >= logging.WARNING - 1:
        return "warn"
    if number == logging.INFO + 1:
        return "plain"
    if number >= logging.INFO - 1:
        return "note"
    return "debug"


class _Handler(logging.Handler):
    """Passes messages on to n3x."""

    def emit(self, record):
        _wire.send(("log", _level(record.levelno), record.getMessage()))


logging.raiseExceptions = False
logging.setLoggerClass(_Logger)
BBLogger = _Logger
logger = logging.getLogger("BitBake")
logger.addHandler(_Handler())
logger.setLevel(logging.DEBUG - 2)
logger.propagate = False
mainlogger = logging.getLogger("BitBake.Main")


def _say(level, args):
    _wire.send(("log", level, "".join(args)))


def plain(*args):
    _say("plain", args)


def debug(lvl, *args):
    if isinstance(lvl, str):
        _say("warn", ["Passed invalid debug level '%s' to bb.debug" % lvl])
        args = (lvl,) + args
    _say("debug", args)


def note(*args):
    _say("note", args)


def verbnote(*args):
    _say("note", args)


def warn(*args):
    _say("warn", args)


def error(*args, **kwargs):
    _say("error", args)


_shown = set()


def _once(level, args):
    text = "".join(args)
    if (level, text) not in _shown:
        _shown.add((level, text))
        _say(level, [text])


def warnonce(*args):
    _once("warn", args)


def erroronce(*args):
    _once("error", args)


def fatal(*args, **kwargs):
    text = "".join(args)
    _say("fatal", [text])
    e = BBHandledException()
    e.n3x_text = text
    raise e


class _Fork:
    """multiprocessing, whose processes are made by fork."""

    def __getattr__(self, name):
        context = _mp.get_context("fork")
        return getattr(context, name) if hasattr(context, name) else getattr(_mp, name)


multiprocessing = _Fork()


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if name == "fetch":
        return importlib.import_module("bb.fetch2")
    full = "bb." + name
    if full in sys.modules:
        return sys.modules[full]
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError as e:
        if e.name != full:
            raise
    return __spec__.loader.borrow("bb", name)


import bb.data_smart  # noqa: E402
import bb.filter  # noqa: E402
import bb.parse  # noqa: E402
import bb.utils  # noqa: E402
import bb.data  # noqa: E402
import bb.event  # noqa: E402
import bb.build  # noqa: E402
