# SPDX-License-Identifier: MIT
"""Notes what metadata's code looks at outside of its datastore: files, folders, the environment, the clock, programs."""

import datetime
import os
import sys
import time

seen = {}  # (kind, name): True, in order; kinds as in the other side's pyeval.Looked
FILE, DIR, ENV, CLOCK, PROCESS = range(5)
active = False
ignored = ()  # prefixes of paths that belong to Python itself


def note(kind, name=""):
    if active:
        seen[kind, name] = True


def note_path(kind, path):
    if not active or isinstance(path, int):
        return
    try:
        path = os.fspath(path)
        if isinstance(path, bytes):
            path = os.fsdecode(path)
    except (TypeError, ValueError):
        return
    if not path.startswith("/"):
        path = real_getcwd() + "/" + path if path else real_getcwd()
    path = os.path.normpath(path) if "/." in path or "//" in path else path
    if not (path + "/").startswith(ignored) and "/__pycache__/" not in path:
        seen[kind, path] = True


def take():
    """What was seen since the last time."""
    if not seen:
        return None
    found = [(kind, name) for kind, name in seen]
    seen.clear()
    return found


def audit(event, args):
    if not active:
        return
    if event == "open":
        path, mode, flags = args
        if path is not None and not (isinstance(mode, str) and mode[:1] in "wax") and not (mode is None and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_TRUNC)):
            note_path(FILE, path)
    elif event in ("os.listdir", "os.scandir"):
        note_path(DIR, "." if args[0] is None else args[0])
    elif event in ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec"):
        command = args[0]
        if isinstance(command, bytes):
            command = os.fsdecode(command)
        seen[PROCESS, str(command).split(None, 1)[0] if command else ""] = True


def wrapped(function, kind=FILE):
    def look(path, *args, **kwargs):
        if kwargs.get("dir_fd") is None:
            note_path(kind, path)
        return function(path, *args, **kwargs)
    look.__name__ = look.__qualname__ = function.__name__
    return look


class Environ(type(os.environ)):
    """os.environ, whose reads are noted."""

    def __getitem__(self, key):
        if isinstance(key, str):
            note(ENV, key)
        return super().__getitem__(key)

    def __contains__(self, key):
        if isinstance(key, str):
            note(ENV, key)
        return super().__contains__(key)

    def __iter__(self):
        note(ENV)
        return super().__iter__()

    def __len__(self):
        note(ENV)
        return super().__len__()


def clocked(function, free=0):
    """function reads the clock when it gets no more than free arguments."""
    def look(*args, **kwargs):
        if len(args) + len(kwargs) <= free:
            note(CLOCK)
        return function(*args, **kwargs)
    look.__name__ = look.__qualname__ = function.__name__
    return look


def noticing(base):
    """A class of module datetime whose constructors for the present are noted."""
    class Meta(type):
        def __instancecheck__(cls, value):
            return isinstance(value, base)

        def __subclasscheck__(cls, other):
            return issubclass(other, base)

    class Now(base, metaclass=Meta):
        @classmethod
        def now(cls, tz=None):
            note(CLOCK)
            return super().now(tz)

        @classmethod
        def utcnow(cls):
            note(CLOCK)
            return super().utcnow()

        @classmethod
        def today(cls):
            note(CLOCK)
            return super().today()

    Now.__name__, Now.__qualname__, Now.__module__ = base.__name__, base.__qualname__, base.__module__
    return Now


real_getcwd = os.getcwd


def install(world):
    global ignored
    ignored = tuple(dict.fromkeys(p + "/" for p in (sys.prefix + "/lib/python3", sys.base_prefix + "/lib/python3", os.path.dirname(os.__file__)) if p != "/lib/python3")) + tuple(
        sys.prefix + "/lib/python%d.%d" % sys.version_info[:2] + tail for tail in ("/", ".zip")) + ("/proc/self/", "/dev/") + tuple(lib + "/" for lib in world["libraries"])
    for name in ("stat", "lstat", "access", "readlink", "statvfs", "getxattr", "listxattr"):
        setattr(os, name, wrapped(getattr(os, name)))
    for name, free in (("time", 0), ("time_ns", 0), ("localtime", 0), ("gmtime", 0), ("ctime", 0), ("asctime", 0), ("strftime", 1)):
        setattr(time, name, clocked(getattr(time, name), free))
    datetime.datetime = noticing(datetime.datetime)
    datetime.date = noticing_date(datetime.date)
    old = os.environ
    os.environ = Environ(old._data, old.encodekey, old.decodekey, old.encodevalue, old.decodevalue)
    os.environb._data = os.environ._data
    sys.addaudithook(audit)


def noticing_date(base):
    class Meta(type):
        def __instancecheck__(cls, value):
            return isinstance(value, base)

        def __subclasscheck__(cls, other):
            return issubclass(other, base)

    class Today(base, metaclass=Meta):
        @classmethod
        def today(cls):
            note(CLOCK)
            return super().today()

    Today.__name__, Today.__qualname__, Today.__module__ = base.__name__, base.__qualname__, base.__module__
    return Today


def set_environment(values):
    data = os.environ._data
    wanted = {os.environ.encodekey(k): os.environ.encodevalue(v) for k, v in values.items()}
    if data == wanted:
        return
    for key in list(data):
        if key not in wanted:
            os.unsetenv(key)
            del data[key]
    for key, value in wanted.items():
        if data.get(key) != value:
            os.putenv(key, value)
            data[key] = value
