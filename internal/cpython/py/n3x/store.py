# SPDX-License-Identifier: MIT
"""`d`: the datastore, which lives on the other side of the pipe."""

import copy
import sys
from collections.abc import MutableMapping

from n3x import wire

handles = {}  # number -> DataSmart, of the evaluation that is running


class ExpansionError(Exception):
    """A value could not be expanded. Its text names the variables on the way."""

    def __init__(self, varname=None, expression=None, exception=None):
        self.variablename = varname
        self.expression = expression
        self.exception = exception
        self.varlist = [varname or expression or ""]
        if isinstance(exception, wire.Error):
            self.msg = exception.text
        else:
            self.msg = "%s: %s: %s" % (varname or expression, type(exception).__name__, exception)
        super().__init__(varname, expression, exception)

    def addVar(self, varname):
        if varname:
            self.varlist.append(varname)

    def __str__(self):
        return self.msg


def call(op, name, *args):
    """A call that reads or writes variable name; what goes wrong becomes BitBake's exception."""
    try:
        if held:
            settle()
        return wire.call("call", op, *args)
    except wire.Error as e:
        raised = exception(e, name)
    raise raised


def exception(e, name):
    import bb
    if e.kind == "skip":
        x = bb.parse.SkipRecipe(e.text)
    elif e.kind == "fatal":
        x = bb.BBHandledException()
        x.n3x_text = e.text
    elif e.kind == "expansion":
        x = ExpansionError(name, None, e)
    elif e.kind == "missing":
        x = FileNotFoundError(2, e.text)
    else:
        x = RuntimeError(e.text)
    x.n3x_token = e.token
    return x


def literal(value, depth=0):
    """The repr of a value from which it can be made again; the items of sets are sorted."""
    kind = type(value)
    if depth > 50:
        raise ValueError("the value is nested too deep for a variable")
    if value is None or kind in (bool, int, float, str, bytes):
        return repr(value)
    if kind is list:
        return "[" + ", ".join(literal(v, depth + 1) for v in value) + "]"
    if kind is tuple:
        return "(" + ", ".join(literal(v, depth + 1) for v in value) + (",)" if len(value) == 1 else ")")
    if kind in (set, frozenset):
        return "{" + ", ".join(sorted(literal(v, depth + 1) for v in value)) + "}" if value else "set()"
    if isinstance(value, dict):
        return "{" + ", ".join(literal(k, depth + 1) + ": " + literal(v, depth + 1) for k, v in value.items()) + "}"
    if isinstance(value, str):
        return repr(str(value))
    raise TypeError("n3x keeps text, numbers, lists, tuples, dicts and sets in variables, not a %s" % kind.__name__)


LITERALS = {"__builtins__": {}, "set": set, "inf": float("inf"), "nan": float("nan")}


def parsed(text):
    return eval(text, dict(LITERALS))


MUTABLE = (list, dict, set)


def deep(value):
    """Whether parts of a value can be changed from outside, after it was copied."""
    if isinstance(value, dict):
        value = value.values()
    return isinstance(value, (list, tuple, type({}.values()))) and any(isinstance(v, MUTABLE) or isinstance(v, tuple) and deep(v) for v in value)


held = {}  # (datastore, variable, flag): (value, its literal) that metadata's code and the datastore share


def hold(handle, name, flag, value, text):
    held[handle, name, flag] = value, text


def settle():
    """Write to the datastore what the code has done to values that it shares with it."""
    for key, (value, text) in list(held.items()):
        handle, name, flag = key
        stored, is_object = wire.call("call", "get", handle, name, flag, False, False, False)
        if not is_object or stored != text:
            held.pop(key, None)
            continue
        now = literal(value)
        if now != text:
            wire.call("call", "set", handle, name, flag, now, True, None)
            held[key] = value, now


def packed(value):
    """A value for the pipe: (text, whether it is a literal)."""
    if type(value) is str:
        return value, False
    if value is None:
        return None, False
    if isinstance(value, str):
        return str(value), False
    return literal(value), True


def unpacked(answer, handle, name, flag):
    value, is_object = answer
    if type(value) is int:
        return of(value)
    if not is_object:
        return value
    stored = parsed(value)
    if not deep(stored):
        return stored
    if (handle, name, flag) in held and held[handle, name, flag][1] == value:
        stored = held[handle, name, flag][0]
    else:
        hold(handle, name, flag, stored, value)
    return copy.copy(stored)


def caller(depth=2):
    """Where metadata's code stands: the frame that called a method of d."""
    f = sys._getframe(depth)
    while f is not None and f.f_code.co_filename.startswith("<n3x>/"):
        f = f.f_back
    if f is None:
        return "", 0, ""
    return f.f_code.co_filename, f.f_lineno, f.f_code.co_name


def words(name):
    return name if type(name) is str else str(name)


class DataSmart(MutableMapping):
    def __init__(self, handle=None):
        if handle is None:
            handle = wire.call("call", "new")
        self._n3x = handle
        handles[handle] = self

    def getVar(self, var, expand=True, noweakdefault=False, parsing=False):
        if var is None:
            return None
        var = words(var)
        return unpacked(call("get", var, self._n3x, var, "", bool(expand), bool(noweakdefault), bool(parsing)), self._n3x, var, "")

    def getVarFlag(self, var, flag, expand=True, noweakdefault=False, parsing=False, retparser=False):
        if retparser:
            raise NotImplementedError("n3x has no d.getVarFlag() with retparser")
        if not flag:
            import bb
            bb.warn("Calling getVarFlag with flag unset is invalid")
            return None
        if flag == "_content":
            return self.getVar(var, expand, noweakdefault, parsing)
        var, flag = words(var), words(flag)
        return unpacked(call("get", "%s[%s]" % (var, flag), self._n3x, var, flag, bool(expand), bool(noweakdefault), bool(parsing)), self._n3x, var, flag)

    def getVarFlags(self, var, expand=False, internalflags=False):
        found = {name: parsed(value) if obj else value for name, value, obj in call("flags", var, self._n3x, words(var), bool(internalflags))}
        if expand:
            for name in found:
                if name in expand:
                    found[name] = self.expand(found[name], "%s[%s]" % (var, name))
        return found or None

    def setVar(self, var, value, **loginfo):
        self._set(words(var), "", value)

    def setVarFlag(self, var, flag, value, **loginfo):
        self._set(words(var), words(flag), value)

    def setVarFlags(self, var, flags, **loginfo):
        for flag in flags:
            if flag != "_content":
                self._set(words(var), words(flag), flags[flag])

    def _set(self, var, flag, value):
        text, is_object = packed(value)
        call("set", var, self._n3x, var, flag, text, is_object, caller())
        held.pop((self._n3x, var, flag), None)
        if is_object and isinstance(value, MUTABLE):
            hold(self._n3x, var, flag, value, text)

    def appendVar(self, var, value, **loginfo):
        call("join", var, self._n3x, words(var), "", True, joined(value), caller())

    def prependVar(self, var, value, **loginfo):
        call("join", var, self._n3x, words(var), "", False, joined(value), caller())

    def appendVarFlag(self, var, flag, value, **loginfo):
        old = self.getVarFlag(var, flag, False) or ""
        if not isinstance(old, str):
            return self.setVarFlag(var, flag, old + value)
        "" + value  # the exception of what is no text
        call("join", var, self._n3x, words(var), words(flag), True, joined(value), caller())

    def prependVarFlag(self, var, flag, value, **loginfo):
        old = self.getVarFlag(var, flag, False) or ""
        if not isinstance(old, str):
            return self.setVarFlag(var, flag, value + old)
        value + ""
        call("join", var, self._n3x, words(var), words(flag), False, joined(value), caller())

    def delVar(self, var, **loginfo):
        call("del", var, self._n3x, words(var), "", caller())

    def delVarFlag(self, var, flag, **loginfo):
        call("del", var, self._n3x, words(var), words(flag), caller())

    def delVarFlags(self, var, **loginfo):
        for flag in self.getVarFlags(var) or ():
            self.delVarFlag(var, flag)

    def renameVar(self, key, newkey, **loginfo):
        call("rename", key, self._n3x, words(key), words(newkey), caller())

    def setVarFilter(self, var, filter):
        call("filter", var, self._n3x, words(var), filter or "")

    def hasOverrides(self, var):
        return call("overridden", var, self._n3x, words(var))

    def expand(self, s, varname=None):
        if not isinstance(s, str) or "${" not in s:
            return s
        return call("expand", varname, self._n3x, words(s), words(varname or ""))

    def createCopy(self):
        return DataSmart(wire.call("call", "copy", self._n3x))

    def enableTracking(self):
        pass  # history is always kept

    def disableTracking(self):
        pass

    @property
    def varhistory(self):
        return History(self)

    @property
    def overrides(self):
        return call("overrides", "OVERRIDES", self._n3x)

    @property
    def overridesset(self):
        return set(self.overrides)

    def localkeys(self):
        return iter(self)

    def __iter__(self):
        return iter(wire.call("call", "keys", self._n3x))

    def __len__(self):
        return len(wire.call("call", "keys", self._n3x))

    def __contains__(self, key):
        return isinstance(key, str) and self.getVar(key, False) is not None

    def __getitem__(self, item):
        value = self.getVar(item, False)
        if value is None:
            raise KeyError(item)
        return value

    def __setitem__(self, var, value):
        self.setVar(var, value)

    def __delitem__(self, var):
        self.delVar(var)

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return id(self)


def joined(value):
    if not isinstance(value, str):
        raise TypeError("n3x cannot append or prepend a %s" % type(value).__name__)
    return str(value)


class History:
    """What metadata asks of d.varhistory."""

    def __init__(self, d):
        self.d = d

    def variable(self, var):
        events = []
        for op, file, line, function, flag, detail in call("history", var, self.d._n3x, words(var)):
            event = {"variable": var, "op": op, "file": file, "line": line, "detail": detail}
            if function:
                event["func"] = function
            if flag:
                event["flag"] = flag
            events.append(event)
        return events

    def get_variable_files(self, var):
        return [event["file"] for event in self.variable(var)]

    def get_variable_lines(self, var, file):
        return [event["line"] for event in self.variable(var) if event["file"] == file]

    def get_variable_refs(self, var):
        refs = {}
        for event in self.variable(var):
            refs.setdefault(event["file"], []).append(event["line"])
        return refs

    def get_variable_items_files(self, var):
        final = (self.d.getVar(var) or "").split()
        found, is_set = {}, False
        for event in self.variable(var):
            if "flag" in event or event["op"] == ":remove" or is_set and event["op"] == "set?":
                continue
            is_set = True
            for item in self.d.expand(str(event["detail"])).split():
                if item in final:
                    found.setdefault(item, event["file"])
        return found


def of(handle):
    return handles.get(handle) or DataSmart(handle)


DataSmart.__module__ = ExpansionError.__module__ = "bb.data_smart"
