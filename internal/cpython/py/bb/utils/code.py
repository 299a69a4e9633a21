# SPDX-License-Identifier: MIT
"""Running code of metadata, the environment, and other surroundings of it."""

import contextlib
import logging
import os

import bb
from n3x import names

__all__ = ["get_context", "set_context", "clean_context", "better_compile", "better_exec", "better_eval", "simple_exec", "exec_flat_python_func",
           "preserved_envvars", "preserved_envvars_exported", "approved_variables", "build_environment", "export_proxies", "environment", "LogCatcher"]


def get_context():
    return names.current


def clean_context():
    return dict(names.namespace(0))


def set_context(ctx):
    names.current.clear()
    names.current.update(ctx)


def better_compile(text, file, realfile, mode="exec", lineno=0):
    return compile("\n" * int(lineno) + text, realfile, mode, dont_inherit=True)


def better_exec(code, context, text=None, realfile="<code>", pythonexception=False):
    if not hasattr(code, "co_filename"):
        code = better_compile(code, realfile, realfile)
    exec(code, get_context(), context)


def simple_exec(code, context):
    exec(code, get_context(), context)


def better_eval(source, locals, extraglobals=None):
    scope = get_context()
    if extraglobals:
        packages = getattr(scope, "packages", frozenset())
        scope = names.Scope(scope)
        scope.packages = packages
        scope.update(extraglobals)
    return eval(source, scope, locals)


def exec_flat_python_func(func, *args, **kwargs):
    return eval(func, get_context())(*args, **kwargs)


def preserved_envvars_exported():
    return ["BB_TASKHASH", "HOME", "LOGNAME", "PATH", "PWD", "SHELL", "USER", "LC_ALL", "BBSERVER"]


def preserved_envvars():
    return ["BBPATH", "BB_PRESERVE_ENV", "BB_ENV_PASSTHROUGH_ADDITIONS"] + preserved_envvars_exported()


def approved_variables():
    env = os.environ
    if "BB_PRESERVE_ENV" in env:
        return env.keys()
    found = env["BB_ENV_PASSTHROUGH"].split() + ["BB_ENV_PASSTHROUGH"] if "BB_ENV_PASSTHROUGH" in env else preserved_envvars()
    if "BB_ENV_PASSTHROUGH_ADDITIONS" in env:
        found += env["BB_ENV_PASSTHROUGH_ADDITIONS"].split() + ["BB_ENV_PASSTHROUGH_ADDITIONS"]
    return found


def build_environment(d):
    for name in bb.data.keys(d):
        if d.getVarFlag(name, "export", False):
            os.environ[name] = d.getVar(name) or ""


def export_proxies(d):
    os.environ.update(bb.fetch2.get_fetcher_environment(d))


@contextlib.contextmanager
def environment(**envvars):
    before = dict(os.environ)
    try:
        os.environ.update(envvars)
        yield
    finally:
        for name in envvars:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


class LogCatcher(logging.Handler):
    """Keeps messages."""

    def __init__(self):
        self.messages = []
        super().__init__(logging.WARNING)

    def emit(self, record):
        self.messages.append("%s: %s" % (record.levelname, record.getMessage()))

    def contains(self, message):
        return message in self.messages
