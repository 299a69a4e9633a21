# SPDX-License-Identifier: MIT
"""Functions on a datastore."""

import bb
from n3x import wire


def init():
    return bb.data_smart.DataSmart()


def createCopy(source):
    return source.createCopy()


def init_db(parent=None):
    return init() if parent is None else parent.createCopy()


def keys(d):
    return d.keys()


def expand(s, d, varname=None):
    return d.expand(s, varname)


def inherits_class(klass, d):
    return wire.call("call", "inherits", d._n3x, klass)


def expandKeys(alterdata, readdata=None):
    readdata = alterdata if readdata is None else readdata
    renamed = {}
    for key in alterdata:
        if "${" in key:
            expanded = readdata.expand(key)
            if expanded != key:
                renamed[key] = expanded
    for key in sorted(renamed):
        new = alterdata.getVar(renamed[key], False)
        old = alterdata.getVar(key, False)
        if new is not None and old is not None:
            bb.warn("Variable key %s (%s) replaces original key %s (%s)." % (key, old, renamed[key], new))
        alterdata.renameVar(key, renamed[key])


def inheritFromOS(d, savedenv, permitted):
    exported = bb.utils.preserved_envvars_exported()
    for name in savedenv.keys():
        if name in permitted:
            d.setVar(name, savedenv.getVar(name))
            if name in exported:
                d.setVarFlag(name, "export", True)


def exported_keys(d):
    return (key for key in d.keys() if not key.startswith("__") and bb.utils.to_boolean(d.getVarFlag(key, "export", False)) and not bb.utils.to_boolean(d.getVarFlag(key, "unexport", False)))


def exported_vars(d):
    for key in list(exported_keys(d)):
        try:
            value = d.getVar(key)
        except Exception as e:
            bb.warn("%s: Unable to export ${%s}: %s" % (d.getVar("FILE"), key, e))
            continue
        if value is not None:
            yield key, str(value)
